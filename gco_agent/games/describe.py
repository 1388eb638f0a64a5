"""The description of a game in a prompt, in one of three layers.

``none`` has only the types, to measure what a model finds out by itself; ``interface`` adds the
meaning of categories, fields and actions, and the rules of play; ``paper`` adds the coordinates and
the advice that the authors of the paper give their model.
"""

from __future__ import annotations

import math
import textwrap
from collections.abc import Mapping, Sequence
from typing import Literal, get_args

from gco_agent.core.records import PlayProtocol
from gco_agent.games.spec import TEXTS, Category, Control, GameSpec

Hints = Literal["none", "interface", "paper"]
HINTS: tuple[Hints, ...] = get_args(Hints)
_WIDTH = 100


def describe_interface(
    spec: GameSpec,
    hints: Hints = "interface",
    *,
    action_names: Sequence[str] | None = None,
    moved: Mapping[str, str] | None = None,
    rules: PlayProtocol | None = None,
) -> str:
    """Return the description of a game for a prompt, wrapped to 100 columns.

    Args:
        action_names: Of the environment, in the order of their indices, where they are others
            than those of ``spec.actions``.
        moved: Action word to the movement it caused, for actions that ``spec`` does not explain.
    """
    names = tuple(spec.actions) if action_names is None else tuple(action_names)
    parts = [_observation(spec, told=hints != "none"), _controls(spec.controls, hints)]
    if names:
        meanings = {**(moved or {}), **{word: text for word, text in spec.actions.items() if text}}
        parts.append(_actions(names, spec.words_for(names), meanings, hints))
    if hints != "none":
        parts.insert(0, _fill(f"{spec.title}. {spec.goal}"))
        parts.append(_timing(rules) if rules is not None else "")
    if hints == "paper" and spec.hints:
        parts.append(_bullets("Hints:", [hint.format(**spec.facts) for hint in spec.hints]))
    return "\n\n".join(part for part in parts if part)


def _observation(spec: GameSpec, *, told: bool) -> str:
    if spec.fields:
        return _vector(spec, told=told)
    if spec.seen:
        return _fill(f"{_called(spec)}; obs is {spec.seen}.")
    example = spec.categories[0].name if spec.categories else spec.player
    parts = [_fill(TEXTS["objects"]["type"].format(example=f'obs["{example}"][0].x'))]
    if not told:
        names = ", ".join(category.name for category in spec.categories)
        return "\n".join([*parts, _fill(f"Categories: {names}.")])
    if spec.lives:
        parts.append(f"obs.lives counts down from {spec.lives}.")
    parts.append(_fill(TEXTS["objects"]["meaning"]))
    parts.append(_bullets("Categories:", [_category(category) for category in spec.categories]))
    return "\n".join(parts)


def _called(spec: GameSpec) -> str:
    text = "act(self, obs) is called once a step"
    return text if spec.controls else f"{text} and returns an int, the index of an action"


def _category(category: Category) -> str:
    text = f"{category.name}: {category.meaning} ({category.when}"
    text += f"; {category.most} at most)" if category.most > 1 else ")"
    if not category.moves:
        text += "; its dx and dy are 0"
    for name in ("value", "rgb", "orientation"):
        meaning = getattr(category, name)
        if meaning:
            text += f". {name}: {meaning}"
    return text + "."


def _vector(spec: GameSpec, *, told: bool) -> str:
    n = len(spec.fields)
    text = f"{_called(spec)}; obs is a numpy array of {n} float numbers."
    if not told:
        return _fill(text)
    lines = [
        f"obs[{i}], {field.name}: {field.meaning}" if field.meaning else _bare(i, field.name)
        for i, field in enumerate(spec.fields)
    ]
    return f"{_fill(text)}\n{_bullets('', lines)}"


def _bare(number: int, name: str) -> str:
    own = f"obs[{number}]"
    return own if name == own else f"{own}: {name}"


def _controls(controls: Sequence[Control], hints: Hints) -> str:
    if not controls:
        return ""
    n = len(controls)
    text = f"act returns a list of {n} float number{'s' if n > 1 else ''}, each within its bounds:"
    lines = [
        f"number {i}: {_bounds(control)}"
        + (f", {control.meaning}" if control.meaning and hints != "none" else "")
        for i, control in enumerate(controls)
    ]
    return _bullets(text, lines)


def _bounds(control: Control) -> str:
    if math.isfinite(control.low) and math.isfinite(control.high):
        return f"{control.low:g} to {control.high:g}"
    low = f" from {control.low:g}" if math.isfinite(control.low) else ""
    high = f" up to {control.high:g}" if math.isfinite(control.high) else ""
    return f"any{low}{high}"


def _actions(
    names: Sequence[str], words: Sequence[str], meanings: Mapping[str, str], hints: Hints
) -> str:
    has_words = any(name in meanings or name != str(n) for n, name in enumerate(names))
    if hints == "none" or not has_words:
        return f"Actions: 0 to {len(names) - 1}."
    lines = []
    for index, (name, word) in enumerate(zip(names, words, strict=True)):
        alias = "" if word == name else f" ({name} in the emulator)"
        meaning = f": {meanings[name]}" if name in meanings else ""
        lines.append(f"{index} {word}{alias}{meaning}")
    return _bullets("Actions:", lines)


def _timing(rules: PlayProtocol) -> str:
    text = ""
    if rules.frame_skip > 1:
        text = f"A step is {rules.frame_skip} frames of the game. "
    text += f"What counts is the return of a whole episode, of {rules.max_steps:,} steps at most. "
    if rules.sticky:
        text += (
            f"With probability {rules.sticky:g} a frame repeats the action before instead of the "
            "new one, so no sequence of moves plays out exactly as planned: decide from what obs "
            "shows now."
        )
    return _fill(text.strip())


def _fill(text: str) -> str:
    return textwrap.fill(text, _WIDTH)


def _bullets(heading: str, lines: Sequence[str]) -> str:
    filled = [
        textwrap.fill(line, _WIDTH, initial_indent="- ", subsequent_indent="  ") for line in lines
    ]
    return "\n".join([heading, *filled] if heading else filled)
