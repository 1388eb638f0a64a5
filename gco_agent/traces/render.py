"""An execution trace as text for a language model or a person, within a budget of tokens. Pure.

What does not fit is left out from the least telling end, whole: first the early steps of windows,
then the last windows. What was left out is said.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from gco_agent.calls import ComponentCall
from gco_agent.jail.text import escape, escape_lines, lines_of
from gco_agent.traces.arrivals import Arrivals, find_arrivals
from gco_agent.traces.columns import (
    ENTRY,
    arrival_heading,
    cut,
    make_table,
    plain_name,
    predictions,
    show,
)
from gco_agent.traces.numbers import describe_extents
from gco_agent.traces.records import ExecutionTrace, TracedStep, Window
from gco_agent.traces.tokens import estimate_tokens

DEFAULT_TOKENS = 6_000
_LENGTHS = (1000, 32, 28)
"""Steps a window, tried in this order before a window is dropped: fewer do not show how a thing
came to be where it was."""
_SHORT_LENGTHS = (*_LENGTHS, 24, 18, 12, 8, 4)
"""As before, for the last window left."""
_MOST_LINES = 24
_MOST_LINE = 100
_MOST_CALLS = 12
_MOST_FAILURE = 1500
_POSITIONS = (
    "Positions are x,y of the top left corner, in pixels from the top left of the screen; an "
    "object's dx and dy are the differences between rows. "
)
_LEGEND = (
    "A row is what the policy saw in a step, "
    "what its components then returned, the action, and the reward that the action brought. "
    '"-" means nothing, a quotation mark alone the same as above.'
)


@dataclass(frozen=True, slots=True)
class Rendered:
    """A trace as text.

    Attributes:
        text: Lines without Markdown structure but headings and code blocks.
        n_tokens: As `estimate_tokens` estimates it; never above the budget, unless even the list
            of what is left out is.
        left_out: What is missing, a sentence each; in the text too.
    """

    text: str
    n_tokens: int
    left_out: tuple[str, ...]


def render_trace(
    trace: ExecutionTrace, source: str = "", max_tokens: int = DEFAULT_TOKENS
) -> Rendered:
    """Render ``trace`` within ``max_tokens`` estimated tokens.

    Args:
        trace: What to show.
        source: The policy's text, to quote the lines that ran.
        max_tokens: The budget.
    """
    lines = lines_of(source)
    arrivals = find_arrivals(trace.windows)
    n_windows = len(trace.windows)
    for shown in range(n_windows, 0, -1):
        for length in _LENGTHS if shown > 1 else _SHORT_LENGTHS:
            windows = [_shortened(w, length) for w in trace.windows[:shown]]
            rendered = _compose(trace, windows, arrivals, lines)
            if rendered.n_tokens <= max_tokens:
                return rendered
    return _compose(trace, [], arrivals, lines)


def _shortened(window: Window, length: int) -> Window:
    """The window without its earliest steps."""
    return replace(window, steps=window.steps[-length:])


def _compose(
    trace: ExecutionTrace,
    windows: Sequence[Window],
    arrivals: Arrivals | None,
    lines: Sequence[str],
) -> Rendered:
    left_out = tuple(_left_out(trace, windows))
    parts = [*trace.notes, _ranges(trace), describe_extents(trace)]
    if windows:
        has_places = any(step.objects for window in windows for step in window.steps)
        parts.append(_POSITIONS + _LEGEND if has_places else _LEGEND)
    parts.append(_landing_words(arrivals))
    for number, window in enumerate(windows, start=1):
        parts.append(_render_window(number, window, arrivals, (lines, trace.names)))
    if left_out:
        parts.append("Left out: " + " ".join(left_out))
    text = "\n\n".join(part for part in parts if part) + "\n"
    return Rendered(text, estimate_tokens(text), left_out)


def _left_out(trace: ExecutionTrace, windows: Sequence[Window]) -> Iterator[str]:
    for number, (window, whole) in enumerate(zip(windows, trace.windows, strict=False), start=1):
        n_dropped = len(whole.steps) - len(window.steps)
        if n_dropped:
            yield f"the first {n_dropped} of the {len(whole.steps)} steps of moment {number};"
    n_dropped = len(trace.windows) - len(windows)
    if n_dropped:
        titles = ", ".join(_title(window) for window in trace.windows[len(windows) :])
        yield f"{n_dropped} of {len(trace.windows)} recorded moments ({titles});"
    if trace.windows:
        yield "all other steps of these episodes."


def _ranges(trace: ExecutionTrace) -> str:
    if not trace.ranges:
        return ""
    told = [
        f"{category} x {left} to {right}, y {top} to {bottom}"
        for category, (left, right, top, bottom) in sorted(trace.ranges.items())
    ]
    return "Where things were in all of these episodes: " + "; ".join(told) + "."


def _landing_words(arrivals: Arrivals | None) -> str:
    if arrivals is None:
        return ""
    place = "row" if arrivals.axis == "x" else "column"
    return (
        f"{arrival_heading(arrivals)} is where the centre of {arrivals.category} really was when "
        f"it next reached the {place} of {arrivals.player}: what a prediction should have said."
    )


def _render_window(
    number: int,
    window: Window,
    arrivals: Arrivals | None,
    quoted: tuple[Sequence[str], Mapping[str, str]],
) -> str:
    """A window, with the lines of the policy, and the names of numbers, to quote."""
    lines, names = quoted
    kind = {True: "good", False: "bad", None: "neither good nor bad"}[window.is_good]
    heading = (
        f"### Moment {number} ({kind}): {_title(window)}\n\n"
        f"Seed {window.seed}, in step {window.event} of {window.n_steps}; "
        f"the episode's return is {window.episode_return:g}."
    )
    if not window.steps:
        failure = escape_lines(window.failure, _MOST_FAILURE)
        return heading + (f"\n\n{_block(failure)}" if failure else " No step was recorded.")
    table = make_table(window, arrivals, names)
    rows = ["|".join(cells) for cells in zip(*(c.cells for c in table.columns), strict=True)]
    parts = [heading]
    if table.constant:
        parts.append("; ".join(table.constant) + ".")
    parts.append(_block("\n".join(["|".join(c.heading for c in table.columns), *rows])))
    parts += _accuracy(window, arrivals)
    parts.append(_in_full(_telling_step(window, arrivals), lines))
    if window.failure:
        parts.append(_block(escape_lines(window.failure, _MOST_FAILURE)))
    return "\n\n".join(part for part in parts if part)


def _title(window: Window) -> str:
    """A policy has a say in it, where it failed."""
    return plain_name(escape(window.title, _MOST_LINE))


def _accuracy(window: Window, arrivals: Arrivals | None) -> list[str]:
    """How far the components that return a number were from where the thing landed."""
    if arrivals is None:
        return []
    told = [
        f"{plain_name(name)} minus {arrival_heading(arrivals)}: "
        f"{statistics.fmean(errors):+.1f} px on average, {statistics.fmean(map(abs, errors)):.1f} "
        f"px without the sign, over {len(errors)} steps."
        for name, errors in predictions(window, arrivals).items()
    ]
    return ["\n".join(told)] if told else []


def _telling_step(window: Window, arrivals: Arrivals | None) -> TracedStep:
    """The step that is shown in full.

    That which failed; or the last one up to the event from which something landed on the player,
    or else in which most was to be seen.
    """
    failed = [step for step in window.steps if step.action is None]
    if failed:
        return failed[-1]
    before = [step for step in window.steps if step.step <= window.event] or [*window.steps]
    if arrivals is not None:
        landed = [step for step in before if (window.seed, step.step) in arrivals.centres]
        before = landed or before
    seen = [sum(1 for members in step.objects.values() if members) for step in before]
    return [step for step, n in zip(before, seen, strict=True) if n == max(seen)][-1]


def _in_full(step: TracedStep, lines: Sequence[str]) -> str:
    """The calls of one step with inputs, outputs and the lines that ran."""
    if not step.calls:
        return ""
    told = [_describe_call(call) for call in step.calls[:_MOST_CALLS]]
    if len(step.calls) > _MOST_CALLS:
        told.append(f"and {len(step.calls) - _MOST_CALLS} more calls")
    ran = sorted({line for call in step.calls for line in call.lines})
    quoted = [
        f"{number:4} {escape(lines[number - 1].rstrip(), _MOST_LINE)}"
        for number in ran
        if number <= len(lines)
    ]
    if len(quoted) > _MOST_LINES:
        quoted[_MOST_LINES:] = [f"     and {len(quoted) - _MOST_LINES} more lines"]
    body = "\n".join([*told, *quoted])
    return (
        f"Step {step.step} in full, and the lines of the policy that ran in it:\n\n{_block(body)}"
    )


def _describe_call(call: ComponentCall) -> str:
    inputs = ", ".join(f"{plain_name(k)}={show(v, 80)}" for k, v in call.inputs.items())
    result = f"raised {escape(call.error, 100)}" if call.error else f"-> {show(call.output, 120)}"
    indent = "  " * min(call.depth, 8)
    name = plain_name(call.name) if call.name != ENTRY else ENTRY
    return cut(f"{indent}{name}({inputs}) {result}", 240)


def _block(text: str) -> str:
    """A code block that nothing in it can close."""
    return "```\n" + text.replace("```", "'''") + "\n```"
