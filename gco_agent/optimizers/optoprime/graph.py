"""Recorded calls as Trace's graph: components are its parameters, calls its nodes.

    obs, code of the component  ->  what it returned  ->  action  ->  what came of it  ->  report

Nothing of a policy is run here: the nodes hold what the jail recorded.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from gco_agent.core.observation import ObjectBox
from gco_agent.core.records import ComponentCall, Shown
from gco_agent.optimizers.optoprime.library import Library
from gco_agent.policy.edit import Component
from gco_agent.traces.records import ExecutionTrace, TracedStep, Window

_STEPS_A_WINDOW = 6
_STRIDE = 3
_OBSERVATION = "obs"
_FIELDS = ("x", "y", "w", "h", "dx", "dy")


@dataclass
class PolicyGraph:
    """A graph under construction; its nodes live as long as it is open.

    Attributes:
        library: Opto.
        parameters: Component name to its node.
        report: The last node, which the feedback is given to.
        n_calls: Calls that are in it.
    """

    library: Library
    parameters: dict[str, Any]
    report: Any = None
    n_calls: int = 0
    _used: set[str] = field(default_factory=set)

    def add_trace(self, trace: ExecutionTrace, results: Mapping[str, Any], *, whole: bool) -> None:
        """Add the calls of ``trace``, and the report that joins them.

        Args:
            trace: What was recorded.
            results: What the report says.
            whole: Add every step, instead of a few before each event.
        """
        windows: dict[str, Any] = {}
        for window in trace.windows:
            steps = window.steps if whole else chosen_steps(window)
            actions = {f"action_{step.step}": self._add_step(step) for step in steps if step.calls}
            if actions:
                windows[f"moment_{len(windows) + 1}"] = self.library.message(
                    _event(window),
                    inputs=_distinct(actions),
                    description="[game] plays the actions; its value is what came of them.",
                    name="game",
                )
        unseen = {name: node for name, node in self.parameters.items() if name not in self._used}
        self.report = self.library.message(
            dict(results),
            inputs={**windows, **unseen},
            description="[report] what all episodes came to.",
            name="report",
        )

    def _add_step(self, step: TracedStep) -> Any:  # noqa: ANN401 - a node of opto
        """The node of the action of a step."""
        observation = self.library.node(plain_observation(step), name=f"obs_step{step.step}_")
        made: list[tuple[object, Any]] = []
        top, _ = self._add_calls(step.calls, 0, observation, made)
        return top

    def _add_calls(
        self,
        calls: Sequence[ComponentCall],
        at: int,
        observation: Any,  # noqa: ANN401
        made: list[tuple[object, Any]],
    ) -> tuple[Any, int]:
        """Add the call at an index after those that it made; its node, and the index behind."""
        call, following = calls[at], at + 1
        called: dict[str, Any] = {}
        while following < len(calls) and calls[following].depth > call.depth:
            name = calls[following].name
            node, following = self._add_calls(calls, following, observation, made)
            called[f"result_of_{name}_{len(called) + 1}"] = node
        inputs: dict[str, Any] = {}
        if call.name in self.parameters:
            inputs["code"] = self.parameters[call.name]
            self._used.add(call.name)
        for name, value in call.inputs.items():
            inputs[name] = self._input(name, value, observation, made)
        if call.depth == 0:
            inputs.setdefault(_OBSERVATION, observation)
        node = self.library.message(
            call.error or _value(call.output),
            inputs=_distinct({**inputs, **called}),
            description=f"[{call.name}] runs {call.name}__code.",
            name=call.name,
        )
        self.n_calls += 1
        made.append((call.output, node))
        return node, following

    def _input(
        self,
        name: str,
        value: object,
        observation: Any,  # noqa: ANN401
        made: Sequence[tuple[object, Any]],
    ) -> Any:  # noqa: ANN401
        """The node that a value came from, or one of its own."""
        if isinstance(value, Shown) and value == _OBSERVATION:
            return observation
        if value is not None and not isinstance(value, bool):
            for output, node in reversed(made):
                if type(output) is type(value) and output == value:
                    return node
        return self.library.node(_value(value), name=f"{name}_value")

    def close(self) -> None:
        """Let go of all nodes: opto keeps them for ever otherwise."""
        for node in self.parameters.values():
            node._children.clear()  # noqa: SLF001 - there is no other way
            node.zero_feedback()
        self.library.graph.clear()


def open_graph(library: Library, components: Sequence[Component]) -> PolicyGraph:
    """An empty graph of the components of a policy."""
    library.graph.clear()  # so that the names begin at 0
    parameters = {
        component.name: library.parameter(
            component.dedented,
            name=f"{component.name}__code",
            trainable=True,
            constraint=f"Keep the name and the parameters: {component.signature}",
        )
        for component in components
    }
    return PolicyGraph(library, parameters)


def chosen_steps(window: Window) -> list[TracedStep]:
    """A few steps of a window, the last before its event, from the first to the last."""
    before = [step for step in window.steps if step.step <= window.event] or list(window.steps)
    return before[::-1][: _STEPS_A_WINDOW * _STRIDE : _STRIDE][::-1]


def plain_observation(step: TracedStep) -> dict[str, Any]:
    """What the policy saw, as dictionaries and numbers."""
    seen: dict[str, Any] = {
        category: [_box(box) for box in boxes] for category, boxes in step.objects.items()
    }
    seen |= {words: _value(value) for words, value in step.values.items()}
    return {**seen, "lives": step.lives} if step.lives else seen


def _box(box: ObjectBox) -> dict[str, Any]:
    plain = {name: getattr(box, name) for name in _FIELDS}
    return plain if box.value is None else {**plain, "value": box.value}


def _event(window: Window) -> str:
    text = (
        f"{window.title} in step {window.event} of {window.n_steps} (seed {window.seed}; the "
        f"episode's return is {window.episode_return:g})"
    )
    return f"{text}; {window.failure}" if window.failure else text


def _value(value: object) -> object:
    return str(value) if isinstance(value, Shown) else value


def _distinct(inputs: Mapping[str, Any]) -> dict[str, Any]:
    """The inputs without those whose node is there already: opto takes each but once."""
    seen: set[int] = set()
    kept = {}
    for name, node in inputs.items():
        if id(node) not in seen:
            seen.add(id(node))
            kept[name] = node
    return kept
