"""Programs and worlds read back from a run's branch, which anybody may have written.

What is read is rendered as Python and played outside the jail. So nothing is taken that is not
exactly what this version writes: known nodes with the parts that they have, names that the
environment itself has, choices from their lists, finite numbers.
"""

from __future__ import annotations

import dataclasses
import functools
import types
import typing
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, cast

from gco_agent.core.codec import finite_number
from gco_agent.optimizers.search.genome import Program
from gco_agent.optimizers.search.world import Contact, Range, World

_LARGEST = 1e6
"""No place, distance or number of steps is larger."""


@dataclass(frozen=True, slots=True)
class Names:
    """What an environment calls things.

    Attributes:
        actions: In the order of their indices.
        categories: Of its objects.
    """

    actions: tuple[str, ...]
    categories: tuple[str, ...]


def read_program(data: object, names: Names) -> Program:
    """Inverse of `genome.to_json`.

    Raises:
        ValueError: It is no program for an environment of those names.
    """
    return cast("Program", _read(data, Program, "program", names))


def read_world(data: Mapping[str, Any], names: Names) -> World:
    """Inverse of `World.to_json`.

    Raises:
        ValueError: It is no world of an environment of those names.
    """
    told = tuple(data["action_names"])
    player = data["player"]
    if told != names.actions:
        raise ValueError(f"the actions are {told!r}, and here they are {names.actions!r}")
    if player not in ("", *names.categories):
        raise ValueError(f"the player is {player!r}, which the environment does not have")
    axes = tuple(_one_of(axis, ("x", "y"), "axis") for axis in data["axes"])
    signs = [tuple(_one_of(sign, (-1, 0, 1), "sign") for sign in pair) for pair in data["signs"]]
    if len(signs) != len(told) or any(len(pair) != 2 for pair in signs):  # noqa: PLR2004 - x, y
        raise ValueError(f"{len(signs)} directions of {len(told)} actions")
    return World(
        told,
        player,
        whole(data["player_index"], "player_index"),
        axes,
        tuple((x, y) for x, y in signs),
        {_category(c, names): _range(r) for c, r in data["ranges"].items()},
        {_category(c, names): whole(n, "most") for c, n in data["most"].items()},
        {_category(c, names): _extremes(pair) for c, pair in data.get("values", {}).items()},
        tuple((finite(a, "stride"), finite(b, "stride")) for a, b in data.get("strides", ())),
        {_category(c, names): _contact(told) for c, told in data.get("contacts", {}).items()},
    )


def _read(data: object, wanted: Any, name: str, names: Names) -> object:  # noqa: ANN401 - a type
    """``data`` as what the annotation ``wanted`` of the part ``name`` says."""
    origin, choices = typing.get_origin(wanted), typing.get_args(wanted)
    if origin is Literal:
        return _one_of(data, choices, name)
    if origin in (types.UnionType, typing.Union):
        if data is None and types.NoneType in choices:
            return None
        told = data.get("is") if isinstance(data, dict) else None
        wanted = next((kind for kind in choices if kind.__name__ == told), None)
        if wanted is None:
            raise ValueError(f"{name} cannot be {told!r}")
        return _node(data, wanted, names)
    if origin is tuple:
        if not isinstance(data, list):
            raise ValueError(f"{name} is no list: {data!r}")
        return tuple(_read(item, choices[0], name, names) for item in data)
    if dataclasses.is_dataclass(wanted):
        return _node(data, wanted, names)
    return _leaf(data, wanted, name, names)


def _leaf(data: object, wanted: Any, name: str, names: Names) -> object:  # noqa: ANN401 - a type
    if wanted is bool:
        return _one_of(data, (False, True), name)
    if wanted is float:
        return finite(data, name)
    if wanted is int:
        return _one_of(data, range(len(names.actions)), name)  # the only one is an action
    return _category(data, names)  # the only text that there is


def _node(data: object, kind: Any, names: Names) -> object:  # noqa: ANN401 - a type
    hints = _hints(kind)
    if not isinstance(data, dict) or data.get("is") != kind.__name__:
        raise ValueError(f"no {kind.__name__}: {data!r}")
    if kind is Program:
        data = {"plan": None, **data}  # programs of earlier versions have no plan
    if data.keys() != {"is", *hints}:
        raise ValueError(f"{kind.__name__} has not the parts {sorted(data)}")
    return kind(**{part: _read(data[part], hint, part, names) for part, hint in hints.items()})


@functools.cache
def _hints(kind: Any) -> dict[str, Any]:  # noqa: ANN401 - a type
    return typing.get_type_hints(kind)


def finite(data: object, name: str) -> float:
    """``data`` as a number that a program can have.

    Raises:
        ValueError: It is none.
    """
    number = finite_number(data, name)
    if abs(number) > _LARGEST:
        raise ValueError(f"{name} is out of range: {data!r}")
    return number


def whole(data: object, name: str) -> int:
    """``data`` as a count.

    Raises:
        ValueError: It is none.
    """
    if type(data) is not int or not 0 <= data <= _LARGEST:
        raise ValueError(f"{name} is no count: {data!r}")
    return data


def _one_of(data: Any, choices: Sequence[Any], name: str) -> Any:  # noqa: ANN401 - of the choices
    for choice in choices:
        if type(data) is type(choice) and data == choice:
            return choice
    raise ValueError(f"{name} cannot be {data!r}")


def _category(data: object, names: Names) -> str:
    if not isinstance(data, str) or data not in names.categories:
        raise ValueError(f"the environment has no category {data!r}")
    return data


def _range(data: Sequence[object]) -> Range:
    left, right, top, bottom = (finite(number, "range") for number in data)
    return left, right, top, bottom


def _contact(told: Sequence[object]) -> Contact:
    n, n_rewarded, reward, n_lost = told
    counts = (whole(n, "contacts"), whole(n_rewarded, "contacts"), whole(n_lost, "contacts"))
    return Contact(counts[0], counts[1], finite(reward, "reward"), counts[2])


def _extremes(pair: Sequence[object]) -> tuple[int, int]:
    low, high = (int(finite(number, "value")) for number in pair)
    return low, high
