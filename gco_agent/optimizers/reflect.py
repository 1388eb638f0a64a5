"""One request for the whole policy: first a diagnosis, then the complete new file.

The answer is asked for as the call of a strict tool. A server without tools answers in text, which
is read as well.
"""

from __future__ import annotations

from gco_agent.core.events import Searching
from gco_agent.llm.asking import Patience
from gco_agent.llm.base import LanguageModel, ModelRequest
from gco_agent.optimizers.base import Capabilities, Optimizer, Proposal, Request, Tools
from gco_agent.optimizers.prompts import REFLECT_TEXTS, answer_tool, compose_prompt
from gco_agent.optimizers.replies import ask_for_reply

TOOL = answer_tool("hand_in_policy", REFLECT_TEXTS["tool"], REFLECT_TEXTS["fields"])
HOW = REFLECT_TEXTS["how"]
"""Of the answer, for `compose_prompt`."""


class ReflectOptimizer(Optimizer):
    """Proposes the policy that a language model writes after it saw the results."""

    name = "reflect"
    capabilities = Capabilities(repairs=True, uses_model=True)

    def __init__(self, model: LanguageModel, patience: Patience | None = None) -> None:
        self.model, self.patience = model, patience or Patience()

    @classmethod
    def create(cls, tools: Tools) -> ReflectOptimizer:
        """Create the optimizer with the language model of the command."""
        return cls(tools.model("reflect"))

    def propose(self, request: Request) -> Proposal:
        """Return the policy that the model hands in."""
        request.progress(Searching("trace the present policy", None, 0, ""))
        prompt = compose_prompt(request, HOW)
        request.progress(Searching(f"wait for {self.model.name}", None, 0, ""))
        tokens = request.config.max_tokens
        asked = ModelRequest(prompt.system, prompt.cached, prompt.user, TOOL, tokens)
        reply = ask_for_reply(self.model, asked, request, self.patience)
        return Proposal(reply.source, reply.summary, reply.reason, usage=reply.usage)
