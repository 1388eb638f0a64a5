"""One proposal by OptoPrime: the graph, the feedback, the answer, and our own reading of it."""

from __future__ import annotations

import json
import threading
import warnings
from types import SimpleNamespace
from typing import Any

from gco_agent.core.errors import BudgetSpent, GcoError, ReplyRefused, ReplyTruncated
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
from gco_agent.optimizers.optoprime.graph import PolicyGraph, open_graph
from gco_agent.optimizers.optoprime.library import load_library
from gco_agent.optimizers.prompts import compose_contract, describe_run, spec_of_run
from gco_agent.optimizers.replies import Reply, read_completion
from gco_agent.policy.edit import components

MEMORY = 5
"""Attempts that OptoPrime is told of, as in the paper."""

_TRACE_MARK = "### Execution trace"
_OBJECTIVE = """\
Each (code) variable is a component of the policy of a game: a method of `class Policy`. \
Change the code so that the episodes bring more points. You need not change every one. \
Keep names and parameters. You may put imports, constants and helper functions above the function \
that uses them; they become part of the module.

{contract}

{interface}"""

_one_at_a_time = threading.Lock()
"""Opto's graph is one for the whole process."""


class OptoPrimeOptimizer(Optimizer):
    """Proposes what OptoPrime makes of the graph of a policy's recorded calls.

    Args:
        model: Who answers its prompts.
        patience: How often it is asked.
    """

    name = "optoprime"
    capabilities = Capabilities(repairs=True, uses_model=True, uses_horizon=True)

    def __init__(self, model: LanguageModel, patience: Patience | None = None) -> None:
        self._model, self._patience = model, patience or Patience()

    @classmethod
    def create(cls, tools: Tools) -> OptoPrimeOptimizer:
        """Create the optimizer with the language model of the command.

        Raises:
            UsageError: There is no language model, or no trace-opt.
        """
        load_library()
        return cls(tools.model("optoprime"))

    def propose(self, request: Request) -> Proposal:
        """The policy with the components that OptoPrime suggests.

        Raises:
            Unusable: It suggests nothing that can be used; `kind` says why.
            BudgetSpent: The request might cost more than is left, or there is no time for it.
            ModelError: There was no reply.
            UsageError: trace-opt is not installed.
        """
        library = load_library()
        with _one_at_a_time, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # opto warns of what is an error here
            graph = open_graph(library, components(request.parent))
            try:
                return self._propose(request, graph)
            finally:
                graph.close()

    def _propose(self, request: Request, graph: PolicyGraph) -> Proposal:
        feedback = request.feedback()
        results = {"stage": feedback.stage, "moments": len(feedback.trace.windows)}
        graph.add_trace(feedback.trace, results, whole=bool(request.config.horizon))
        answers = _Answers(self._model, self._patience, request, graph)
        optimizer = graph.library.optimizer(
            list(graph.parameters.values()),
            llm=answers,
            propagator=graph.library.propagator(),
            objective=_objective(request),
            memory_size=MEMORY,
            max_tokens=request.config.max_tokens,
            log=False,
        )
        for entry in _memory(request, graph):
            optimizer.memory.add(entry)
        optimizer.zero_feedback()
        optimizer.backward(graph.report, _words(request, feedback.text))
        update = optimizer.propose()
        reply = answers.reply
        if reply is None:
            raise answers.error or Unusable("OptoPrime asked for no answer.", kind="no code")
        changed = {node.py_name for node in update}
        missing = set(answers.suggested) - changed
        assert not missing, f"opto dropped {missing}"
        return Proposal(
            reply.source, reply.summary, reply.reason or reply.form, usage=answers.usage
        )


class _Answers:
    """What OptoPrime calls for a reply: asks our way, reads it our way, and hands on what it got.

    OptoPrime calls a second time after any exception; the first is remembered and raised again, so
    that nothing is paid for twice.
    """

    def __init__(
        self, model: LanguageModel, patience: Patience, request: Request, graph: PolicyGraph
    ) -> None:
        self._model, self._patience = model, patience
        self._request, self._graph = request, graph
        self._failed: GcoError | BudgetSpent | None = None
        self.reply: Reply | None = None
        self.error: Unusable | None = None
        self.suggested: dict[str, str] = {}
        self.usage: Any = None

    def __call__(self, messages: list[dict[str, str]], **_: Any) -> SimpleNamespace:  # noqa: ANN401
        """Answer a prompt in the form that opto reads without fail."""
        if self._failed is not None:
            raise self._failed
        system = "\n\n".join(m["content"] for m in messages if m["role"] == "system")
        user = "\n\n".join(m["content"] for m in messages if m["role"] != "system")
        try:
            self._read(self._ask(system.strip(), user.strip()))
        except Unusable as error:
            error.usage = self.usage
            self.error = error
        except (GcoError, BudgetSpent) as error:
            self._failed = error
            raise
        content = json.dumps({"reasoning": "", "answer": "", "suggestion": self.suggested})
        # this word anywhere in the text would make opto drop all of it
        content = content.replace("TERMINATE", "\\u0054ERMINATE")
        message = SimpleNamespace(content=content)
        return SimpleNamespace(choices=[SimpleNamespace(message=message)])

    def _ask(self, system: str, user: str) -> Completion:
        request = self._request
        names = [node.py_name for node in self._graph.parameters.values()]
        asked = ModelRequest(system, "", user, _tool(names), request.config.max_tokens)
        try:
            answer = ask_in_time(self._model, asked, request, self._patience)
        except (ReplyTruncated, ReplyRefused) as error:
            kind = "cut off" if isinstance(error, ReplyTruncated) else "declined"
            self.usage = error.usage
            raise Unusable(f"{error}.", kind=kind) from error
        self.usage = answer.usage
        return answer

    def _read(self, answer: Completion) -> None:
        """Make a candidate of the answer, and suggestions of what differs in its components."""
        parent = self._request.parent
        reply = read_completion(answer, parent)
        before = {c.name: c.text for c in components(parent)}
        self.suggested = {
            self._graph.parameters[c.name].py_name: c.dedented
            for c in components(reply.source)
            if c.name in before and before[c.name] != c.text
        }
        self.reply = reply


def _tool(names: list[str]) -> ToolSpec:
    """The form of the answer: the fields of OptoPrime's own, with the names that there are."""
    code = {"type": "string", "description": "Complete new Python source of this function."}
    return ToolSpec(
        "suggest",
        "Suggest new values of variables. Call this once.",
        {
            "type": "object",
            "properties": {
                "reasoning": {"type": "string", "description": "As the instructions ask for it."},
                "summary": {"type": "string", "description": "What is new, in at most ten words."},
                "suggestion": {
                    "type": "object",
                    "properties": dict.fromkeys(names, code),
                    "additionalProperties": False,
                },
            },
            "required": ["reasoning", "summary", "suggestion"],
            "additionalProperties": False,
        },
    )


def _objective(request: Request) -> str:
    return _OBJECTIVE.format(
        contract=compose_contract(spec_of_run(request.config)),
        interface=describe_run(request.config),
    )


def _words(request: Request, text: str) -> str:
    """The feedback without its own rendering of the trace, which is in the graph here."""
    words = text.partition(_TRACE_MARK)[0].strip()
    if request.repair is not None:
        words += f"\n\nYour last answer could not be used; correct it. {request.repair}"
    return words


def _memory(request: Request, graph: PolicyGraph) -> list[tuple[dict[str, Any], str]]:
    """What was tried last, as OptoPrime remembers it: variables and the feedback on them."""
    from gco_agent.core.errors import PolicyError
    from gco_agent.policy import PolicySource

    entries = []
    for attempt in request.attempts[-MEMORY:]:
        if attempt.source is None or attempt.verdict == "reported":
            continue
        try:
            parts = components(PolicySource(attempt.source))
        except PolicyError:
            continue
        variables = {
            graph.parameters[c.name].py_name: (c.dedented, None)
            for c in parts
            if c.name in graph.parameters
        }
        gain = f", {attempt.gain:+.2f} points an episode" if attempt.gain is not None else ""
        entries.append((variables, f"{attempt.verdict}{gain}: {attempt.summary}"))
    return entries
