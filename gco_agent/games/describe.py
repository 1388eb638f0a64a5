"""What a language model is told of a game, in one of three layers.

``none`` is the types alone, so that what a model finds out by itself can be measured;
``interface`` adds what categories, fields and actions mean; ``paper`` adds what the authors of
the paper tell their model besides: coordinates and advice.
"""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import Literal, get_args

from gco_agent.games.spec import Category, GameSpec

Hints = Literal["none", "interface", "paper"]
HINTS: tuple[Hints, ...] = get_args(Hints)
_WIDTH = 100

_OBJECTS_TYPE = (
    "act(self, obs) is called once a step and returns an int, the index of an action. obs maps a "
    "category (str) to a sequence of objects; a category with nothing in it gives an empty "
    "sequence, never a KeyError. An object has the fields x, y, w, h, dx, dy (int), cx, cy "
    "(float), value (int or None), rgb (three ints or None), orientation (str or None). obs.lives "
    "is an int."
)
_OBJECTS_MEANING = (
    "x and y are the left and the top edge in pixels, from the top left corner of a screen of "
    "160 x 210, so y grows downwards; w and h are width and height; cx and cy the centre; dx and "
    "dy by how many pixels it moved since the step before, 0 when it has just appeared."
)


def describe_interface(
    spec: GameSpec, hints: Hints = "interface", *, action_names: Sequence[str] | None = None
) -> str:
    """The game as a text for a prompt; plain English, wrapped to 100 columns.

    Args:
        spec: The game.
        hints: How much is told.
        action_names: Of the environment, in the order of their indices, where they are others
            than those of ``spec.actions``.
    """
    names = tuple(spec.actions) if action_names is None else action_names
    parts = [_observation(spec, told=hints != "none"), _actions(spec, names, hints)]
    if hints != "none":
        parts.insert(0, f"{spec.title}. {spec.goal}")
    if hints == "paper" and spec.hints:
        parts.append(_bullets("Hints:", [hint.format(**spec.facts) for hint in spec.hints]))
    return "\n\n".join(part for part in parts if part)


def _observation(spec: GameSpec, *, told: bool) -> str:
    if spec.fields:
        return _vector(spec, told=told)
    if spec.seen:
        return _fill(f"act(self, obs) is called once a step; obs is {spec.seen}.")
    parts = [_fill(_OBJECTS_TYPE)]
    if not told:
        names = ", ".join(category.name for category in spec.categories)
        return "\n".join([*parts, _fill(f"Categories: {names}.")])
    if spec.lives:
        parts.append(f"obs.lives counts down from {spec.lives}.")
    parts.append(_fill(_OBJECTS_MEANING))
    parts.append(_bullets("Categories:", [_category(category) for category in spec.categories]))
    return "\n".join(parts)


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
    text = f"act(self, obs) is called once a step; obs is a numpy array of {n} float numbers."
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


def _actions(spec: GameSpec, names: Sequence[str], hints: Hints) -> str:
    if not names:
        return ""
    if hints == "none":
        return f"Actions: 0 to {len(names) - 1}."
    lines = [
        f"{index} {name}" + (f": {spec.actions[name]}" if spec.actions.get(name) else "")
        for index, name in enumerate(names)
    ]
    return _bullets("Actions:", lines)


def _fill(text: str) -> str:
    return textwrap.fill(text, _WIDTH)


def _bullets(heading: str, lines: Sequence[str]) -> str:
    filled = [
        textwrap.fill(line, _WIDTH, initial_indent="- ", subsequent_indent="  ") for line in lines
    ]
    return "\n".join([heading, *filled] if heading else filled)
