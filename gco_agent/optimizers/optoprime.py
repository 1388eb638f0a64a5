"""OptoPrime of Trace (trace-opt 0.1.3.8) as an optimizer of policies.

Recorded calls become Trace's graph, in which components are parameters and calls are nodes:

    obs, code of the component  ->  what it returned  ->  action  ->  rewards  ->  report

OptoPrime writes the prompt and reads the update from its graph. No policy runs here: the nodes
hold what was recorded in the jail.

After Cheng et al. 2024 (arXiv:2406.16218), as Kuang et al. 2025 (arXiv:2508.19506) use it.
"""

from __future__ import annotations

import contextlib
import functools
import inspect
import io
import json
import re
import sys
import threading
import types
import warnings
from collections.abc import Iterator, Mapping, Sequence
from importlib import metadata
from types import SimpleNamespace
from typing import Any, TypeAlias

from gco_agent.core.errors import PolicyError, UsageError, how_to_install
from gco_agent.core.observation import ObjectBox
from gco_agent.core.records import ComponentCall, Shown, Verdict
from gco_agent.core.text import format_points
from gco_agent.llm.asking import Patience
from gco_agent.llm.base import LanguageModel, ModelRequest
from gco_agent.optimizers.base import Capabilities, Optimizer, Proposal, Request, Tools
from gco_agent.optimizers.feedback import TRACE_HEADING
from gco_agent.optimizers.prompts import (
    TEXTS,
    answer_tool,
    compose_contract,
    describe_run,
    spec_of_run,
)
from gco_agent.optimizers.replies import Reply, ask_for_reply
from gco_agent.policy.edit import Component, components
from gco_agent.policy.source import PolicySource
from gco_agent.traces.records import ExecutionTrace, TracedStep, Window

VERSION = "0.1.3.8"
MEMORY = 5
"""Past candidates in the prompt, as in the paper."""

_UNUSED = ("litellm", "openai", "autogen")
_STEPS_A_WINDOW, _STRIDE = 6, 3
"""Steps before an event that enter the graph, and the distance between them."""
_OBSERVATION = "obs"
_FIELDS = ("x", "y", "w", "h", "dx", "dy")

Node: TypeAlias = Any
"""A node of opto, which has no types."""
_one_at_a_time = threading.Lock()
"""Opto has one graph for the whole process."""


class OptoPrimeOptimizer(Optimizer):
    """Proposes what OptoPrime makes of the graph of a policy's recorded calls."""

    name = "optoprime"
    capabilities = Capabilities(repairs=True, uses_model=True, uses_horizon=True)

    def __init__(self, model: LanguageModel, patience: Patience | None = None) -> None:
        self._model, self._patience = model, patience or Patience()

    @classmethod
    def create(cls, tools: Tools) -> OptoPrimeOptimizer:
        """Create the optimizer with the language model of the command."""
        load_opto()
        return cls(tools.model("optoprime"))

    def propose(self, request: Request) -> Proposal:
        """Return the policy with the components that OptoPrime suggests."""
        opto = load_opto()
        with _one_at_a_time, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # opto warns of what is an error here
            with contextlib.closing(PolicyGraph(opto, components(request.parent))) as graph:
                return self._propose(request, graph)

    def _propose(self, request: Request, graph: PolicyGraph) -> Proposal:
        feedback, opto = request.feedback(), graph.opto
        results = {"stage": feedback.stage, "moments": len(feedback.trace.windows)}
        graph.add_trace(feedback.trace, results, whole=bool(request.config.horizon))
        optimizer = opto.OptoPrime(
            list(graph.parameters.values()),
            llm=self._model,
            propagator=opto.Propagator(),
            objective=TEXTS["optoprime"].format(
                contract=compose_contract(spec_of_run(request.config)),
                interface=describe_run(request.config),
            ),
            memory_size=MEMORY,
            max_tokens=request.config.max_tokens,
            log=False,
        )
        for entry in _memory(request, graph.parameters):
            optimizer.memory.add(entry)
        replies: list[Reply] = []

        def call_llm(system_prompt: str, user_prompt: str, **_: object) -> str:
            replies.append(self._ask(system_prompt.strip(), user_prompt.strip(), request, graph))
            suggestion = graph.changes(request.parent, replies[-1].source)
            # this word anywhere in the text would make opto drop all of it
            return json.dumps({"suggestion": suggestion}).replace("TERMINATE", "\\u0054ERMINATE")

        optimizer.call_llm = call_llm  # opto's own pays twice for an answer that is an error
        optimizer.zero_feedback()
        words = feedback.text.partition(TRACE_HEADING)[0].strip()  # the graph holds the trace
        if request.repair is not None:
            words += f"\n\nYour last answer could not be used; correct it. {request.repair}"
        optimizer.backward(graph.report, words)
        update = {node.py_name for node in optimizer.propose()}
        (reply,) = replies
        missing = set(graph.changes(request.parent, reply.source)) - update
        assert not missing, f"opto dropped {missing}"
        return Proposal(reply.source, reply.summary, reply.reason or reply.form, usage=reply.usage)

    def _ask(self, system: str, user: str, request: Request, graph: PolicyGraph) -> Reply:
        """Ask for OptoPrime's own fields, with the parameters that there are."""
        names = [node.py_name for node in graph.parameters.values()]
        code = {"type": "string", "description": "Complete new Python source of this function."}
        suggestion = {"type": "object", "properties": dict.fromkeys(names, code)}
        tool = answer_tool(
            "suggest",
            "Suggest new values of variables. Call this once.",
            {
                "reasoning": "As the instructions ask for it.",
                "summary": "What is new, in at most ten words.",
                "suggestion": {**suggestion, "additionalProperties": False},
            },
        )
        asked = ModelRequest(system, "", user, tool, request.config.max_tokens)
        return ask_for_reply(self._model, asked, request, self._patience)


def _memory(
    request: Request, parameters: Mapping[str, Node]
) -> Iterator[tuple[dict[str, Any], str]]:
    """Yield the last candidates as OptoPrime remembers them: variables and their feedback."""
    for attempt in request.attempts[-MEMORY:]:
        if attempt.source is None or attempt.verdict == Verdict.REPORTED:
            continue
        try:
            parts = components(PolicySource(attempt.source))
        except PolicyError:  # a person may have committed anything
            continue
        variables = {
            parameters[c.name].py_name: (c.dedented, None) for c in parts if c.name in parameters
        }
        yield variables, f"{attempt.outcome}: {attempt.summary}"


# The graph


class PolicyGraph:
    """The graph of a policy's recorded calls; its nodes live until it is closed.

    Attributes:
        report: The last node, which the feedback is given to.
    """

    def __init__(self, opto: SimpleNamespace, parts: Sequence[Component]) -> None:
        self.opto = opto
        opto.GRAPH.clear()  # so that the names begin at 0
        self.parameters: dict[str, Node] = {
            part.name: opto.ParameterNode(
                part.dedented,
                name=f"{part.name}__code",
                trainable=True,
                constraint=f"Keep the name and the parameters: {part.signature}",
            )
            for part in parts
        }
        self.report: Node = None
        self._used: set[str] = set()

    def add_trace(self, trace: ExecutionTrace, results: Mapping[str, Any], *, whole: bool) -> None:
        """Add the calls of ``trace``, and the report that joins them.

        Args:
            whole: Add every step, instead of a few before each event.
        """
        windows: dict[str, Node] = {}
        for window in trace.windows:
            steps = window.steps if whole else _chosen_steps(window)
            actions = {f"action_{step.step}": self._add_step(step) for step in steps if step.calls}
            if actions:
                about = "[game] plays the actions; its value is what came of them."
                node = self._message(_describe_event(window), actions, about, "game")
                windows[f"moment_{len(windows) + 1}"] = node
        unseen = {name: node for name, node in self.parameters.items() if name not in self._used}
        about = "[report] what all episodes came to."
        self.report = self._message(dict(results), {**windows, **unseen}, about, "report")

    def changes(self, before: PolicySource, after: PolicySource) -> dict[str, str]:
        """Return the new code of the components that differ, by the names of their nodes."""
        old = {c.name: c.text for c in components(before)}
        return {
            self.parameters[c.name].py_name: c.dedented
            for c in components(after)
            if old.get(c.name, c.text) != c.text
        }

    def close(self) -> None:
        """Release all nodes: opto keeps them for ever otherwise."""
        for node in self.parameters.values():
            node._children.clear()  # noqa: SLF001 - there is no other way
            node.zero_feedback()
        self.opto.GRAPH.clear()

    def _message(
        self, value: object, inputs: Mapping[str, Node], description: str, name: str
    ) -> Node:
        """Return the node of a call; opto accepts each input only once."""
        first = {id(node): key for key, node in reversed(list(inputs.items()))}
        once = {key: node for key, node in inputs.items() if first[id(node)] == key}
        return self.opto.MessageNode(value, inputs=once, description=description, name=name)

    def _add_step(self, step: TracedStep) -> Node:
        observation = self.opto.Node(_plain_observation(step), name=f"obs_step{step.step}_")
        node, _ = self._add_calls(step.calls, 0, observation, [])
        return node

    def _add_calls(
        self,
        calls: Sequence[ComponentCall],
        at: int,
        observation: Node,
        made: list[tuple[object, Node]],
    ) -> tuple[Node, int]:
        """Add the call at an index after those that it made; return its node and the next index."""
        call, following = calls[at], at + 1
        called: dict[str, Node] = {}
        while following < len(calls) and calls[following].depth > call.depth:
            name = calls[following].name
            node, following = self._add_calls(calls, following, observation, made)
            called[f"result_of_{name}_{len(called) + 1}"] = node
        inputs: dict[str, Node] = {}
        if call.name in self.parameters:
            inputs["code"] = self.parameters[call.name]
            self._used.add(call.name)
        for name, value in call.inputs.items():
            inputs[name] = self._origin(name, value, observation, made)
        if call.depth == 0:
            inputs.setdefault(_OBSERVATION, observation)
        about = f"[{call.name}] runs {call.name}__code."
        result = call.error or _plain(call.output)
        node = self._message(result, {**inputs, **called}, about, call.name)
        made.append((call.output, node))
        return node, following

    def _origin(
        self, name: str, value: object, observation: Node, made: Sequence[tuple[object, Node]]
    ) -> Node:
        """Return the node that an input came from, or a new one."""
        if isinstance(value, Shown) and value == _OBSERVATION:
            return observation
        if value is not None and not isinstance(value, bool):
            for output, node in reversed(made):
                if type(output) is type(value) and output == value:
                    return node
        return self.opto.Node(_plain(value), name=f"{name}_value")


def _chosen_steps(window: Window) -> list[TracedStep]:
    """Return a few steps of a window up to its event, in the order of time."""
    before = [step for step in window.steps if step.step <= window.event] or list(window.steps)
    return before[::-1][: _STEPS_A_WINDOW * _STRIDE : _STRIDE][::-1]


def _plain_observation(step: TracedStep) -> dict[str, Any]:
    """Return what the policy saw, as dictionaries and numbers."""
    seen: dict[str, Any] = {
        category: [_plain_box(box) for box in boxes] for category, boxes in step.objects.items()
    }
    seen |= {words: _plain(value) for words, value in step.values.items()}
    return {**seen, "lives": step.lives} if step.lives else seen


def _plain_box(box: ObjectBox) -> dict[str, Any]:
    plain = {name: getattr(box, name) for name in _FIELDS}
    return plain if box.value is None else {**plain, "value": box.value}


def _plain(value: object) -> object:
    return str(value) if isinstance(value, Shown) else value


def _describe_event(window: Window) -> str:
    text = (
        f"{window.title} in step {window.event} of {window.n_steps} (seed {window.seed}; the "
        f"episode's return is {format_points(window.episode_return)})"
    )
    return f"{text}; {window.failure}" if window.failure else text


# The library


@functools.cache
def load_opto() -> SimpleNamespace:
    """Import the classes of opto that are used here, silently and without its clients.

    trace-opt 0.1.3.8 imports litellm and openai at the top of modules that never use them here.
    litellm takes ten seconds, and the network, to be imported; so empty modules take their place
    while opto is imported, whether they are installed or not.
    """
    try:
        found = metadata.version("trace-opt")
    except metadata.PackageNotFoundError:
        raise _missing("it is not installed") from None
    if found != VERSION:
        raise _missing(f"version {found} is installed")
    with (
        _stand_ins(),
        _short_stacks(),
        warnings.catch_warnings(),
        contextlib.redirect_stdout(io.StringIO()),
    ):
        warnings.simplefilter("ignore")
        try:
            from opto.optimizers import OptoPrime
            from opto.trace.nodes import GRAPH, MessageNode, Node, ParameterNode
            from opto.trace.propagators import GraphPropagator, TraceGraph
        except ImportError as error:
            raise _missing(f"it cannot be imported: {error}") from error
    return SimpleNamespace(
        GRAPH=GRAPH,
        Node=Node,
        ParameterNode=ParameterNode,
        MessageNode=MessageNode,
        OptoPrime=OptoPrime,
        Propagator=_propagator(GraphPropagator, TraceGraph),
    )


def _missing(why: str) -> UsageError:
    return UsageError(
        f"optoprime needs trace-opt {VERSION}, and {why}: {how_to_install('trace')}, or, "
        f"without its other dependencies, pip install --no-deps trace-opt=={VERSION} graphviz"
    )


@contextlib.contextmanager
def _stand_ins() -> Iterator[None]:
    """Put empty modules in the place of libraries that opto imports and never calls here."""
    absent = [name for name in _UNUSED if name not in sys.modules]
    for name in absent:
        module = types.ModuleType(name)
        module.OpenAI = object  # type: ignore[attr-defined]  # an annotation names it
        sys.modules[name] = module
    try:
        yield
    finally:
        for name in absent:
            del sys.modules[name]


@contextlib.contextmanager
def _short_stacks() -> Iterator[None]:
    """Let `inspect.stack` return two frames.

    Each of opto's eighty operators asks for its caller's variables when it is defined, and
    `inspect.stack` looks through all modules of the process for every frame: ten seconds and more
    where thousands are loaded.
    """
    real = inspect.stack

    def stack(_: int = 1) -> list[SimpleNamespace]:
        return [SimpleNamespace(frame=sys._getframe(depth)) for depth in (1, 2)]  # noqa: SLF001

    inspect.stack = stack  # type: ignore[assignment]
    try:
        yield
    finally:
        inspect.stack = real


def _propagator(base: Any, trace_graph: Any) -> Any:  # noqa: ANN401 - opto has no types
    """Return a propagator class that collects the same nodes as opto's own, each once.

    Opto's merges a list of nodes into another at every edge, which takes time that grows with the
    cube of the number of calls (400 steps: seconds; 2,000: minutes).
    """

    class Propagator(base):  # type: ignore[misc]
        """Collects the nodes of one backward pass."""

        def init_feedback(self, node: Node, feedback: object) -> Node:
            self.nodes, self.feedback = {id(node): node}, trace_graph([], feedback)
            return self.feedback

        def _propagate(self, child: Node) -> dict[Node, Node]:
            self.nodes |= {id(parent): parent for parent in child.parents}
            return dict.fromkeys(child.parents, self.feedback)

        def aggregate(self, feedback: dict[Node, Node]) -> Node:
            """Return all nodes to the first parameter that asks: OptoPrime adds them up."""
            if not feedback:
                return trace_graph([], None)
            # by name among equals, as the order of opto's own traversal differs from run to run
            nodes = sorted(self.nodes.values(), key=lambda n: (n.level, _numbered(n.name)))
            self.nodes = {}
            return trace_graph([(n.level, n) for n in nodes], self.feedback.user_feedback)

    return Propagator


def _numbered(name: str) -> list[tuple[int, str]]:
    """Return a key that sorts by the numbers in names: "obs_step9_:0" before "obs_step10_:0"."""
    parts = re.split(r"(\d+)", name)
    return [(int(part) if part.isdigit() else -1, part) for part in parts]
