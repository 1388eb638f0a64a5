"""One request for the whole policy: first what went wrong, then the file that mends it.

The answer is asked for as the call of a strict tool. A server that knows no tools answers in
text, which does as well.
"""

from __future__ import annotations

from gco_agent.core.errors import ReplyRefused, ReplyTruncated
from gco_agent.core.events import Searching
from gco_agent.llm import Completion, LanguageModel, ModelRequest, Patience, ToolSpec
from gco_agent.optimizers.base import (
    Capabilities,
    Optimizer,
    Proposal,
    Request,
    Tools,
    Unusable,
    ask_in_time,
)
from gco_agent.optimizers.prompts import Prompt, compose_prompt
from gco_agent.optimizers.replies import read_completion

TOOL = ToolSpec(
    "hand_in_policy",
    "Hand in the new version of the policy. Call this once, with the complete file.",
    {
        "type": "object",
        "properties": {
            "diagnosis": {
                "type": "string",
                "description": "What the trace shows: which moments lost or won points, and why. "
                "Name steps and numbers.",
            },
            "change": {
                "type": "string",
                "description": "What you change, and what you expect of it, in a few sentences.",
            },
            "summary": {
                "type": "string",
                "description": "What is new, in at most ten words; the subject of a commit.",
            },
            "policy": {
                "type": "string",
                "description": "The complete new policy file: Python source, without fences.",
            },
        },
        "required": ["diagnosis", "change", "summary", "policy"],
        "additionalProperties": False,
    },
)

ANSWER = f"""\
## How to answer

Call the tool `{TOOL.name}` once, with its fields in this order: `diagnosis`, what the trace shows
and why points were lost; `change`, what you change and what you expect of it; `summary`, what is
new in at most ten words; `policy`, the whole new file, complete, not "the rest as before".

If you cannot call tools, answer in text: a line `Summary: ` and what is new, then diagnosis and
change in a few sentences, then the whole file in one fenced block that begins with ```python.
"""


class ReflectOptimizer(Optimizer):
    """Proposes what a language model makes of the policy and its results.

    Args:
        model: The model to ask.
        patience: How often to ask it.
    """

    name = "reflect"
    capabilities = Capabilities(repairs=True, uses_model=True)

    def __init__(self, model: LanguageModel, patience: Patience | None = None) -> None:
        self.model, self.patience = model, patience or Patience()

    @classmethod
    def create(cls, tools: Tools) -> ReflectOptimizer:
        """Create the optimizer with the language model of the command."""
        return cls(tools.model("reflect"))

    def propose(self, request: Request) -> Proposal:
        """The policy that the model hands in.

        Raises:
            Unusable: Its reply holds none.
            BudgetSpent: The request might cost more than is left, or there is no time for it.
            ModelError: There was no reply.
        """
        request.progress(Searching("trace the present policy", None, 0, ""))
        prompt = compose_prompt(request, ANSWER)
        request.progress(Searching(f"wait for {self.model.name}", None, 0, ""))
        try:
            completion = self._ask(prompt, request)
        except ReplyTruncated as error:
            raise Unusable(
                f"{error}. Think and write less: the whole reply must fit.",
                kind="cut off",
                usage=error.usage,
            ) from error
        except ReplyRefused as error:
            raise Unusable(str(error), kind="declined", usage=error.usage) from error
        try:
            reply = read_completion(completion, request.parent)
        except Unusable as error:
            error.usage = completion.usage
            raise
        return Proposal(reply.source, reply.summary, reply.reason, usage=completion.usage)

    def _ask(self, prompt: Prompt, request: Request) -> Completion:
        asked = ModelRequest(
            prompt.system, prompt.cached, prompt.user, TOOL, request.config.max_tokens
        )
        return ask_in_time(self.model, asked, request, self.patience)
