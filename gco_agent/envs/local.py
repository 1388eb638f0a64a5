"""Games that a program gives as Python objects: specifications, environments, and functions.

What can be imported by name is played by worker processes, too; the rest exists in this process
alone, under an id that begins with ``local/``.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import gymnasium

from gco_agent.core.errors import UsageError
from gco_agent.envs.environment import KNOWN, find_spec
from gco_agent.games.spec import GameSpec

Game = str | Path | GameSpec | gymnasium.Env[Any, Any] | Callable[[], gymnasium.Env[Any, Any]]
_PREFIX = "local/"


def is_local(env_id: str) -> bool:
    """Return whether an environment exists in this process alone."""
    return env_id.startswith(_PREFIX) or env_id in KNOWN


def find_game(game: Game) -> GameSpec:
    """Return the specification of a game.

    Where it exists in this process alone, environments that were kept of one with the same id are
    to be closed.
    """
    if isinstance(game, str | Path):
        return find_spec(str(game))
    if isinstance(game, GameSpec):
        return _known(game)
    if isinstance(game, gymnasium.Env):
        return _find_instance(game)
    if callable(game):
        return _find_function(game)
    raise UsageError(f"{game!r} is not a game: give an id, a GameSpec, a Gymnasium environment, or "
                     "a function that makes one")  # fmt: skip


def _known(spec: GameSpec) -> GameSpec:
    """Remember a specification that is not found by its id."""
    try:
        found = find_spec(spec.env_id)
    except UsageError:
        found = None
    if found != spec:
        KNOWN[spec.env_id] = spec
    return spec


def _find_instance(env: gymnasium.Env[Any, Any]) -> GameSpec:
    if _is_as_registered(env) and env.spec is not None:
        return find_spec(env.spec.id)
    return _register(type(env.unwrapped).__name__, lambda: _Kept(env))


def _is_as_registered(env: gymnasium.Env[Any, Any]) -> bool:
    """Return whether `gymnasium.make` makes the same environment from its id."""
    spec = env.spec
    known = gymnasium.registry.get(spec.id) if spec is not None else None
    if spec is None or known is None or env is env.unwrapped:
        return False
    parts = ("entry_point", "max_episode_steps", "kwargs", "additional_wrappers")
    return all(getattr(spec, part) == getattr(known, part) for part in parts)


def _find_function(make: Callable[[], gymnasium.Env[Any, Any]]) -> GameSpec:
    name, module = getattr(make, "__qualname__", ""), getattr(make, "__module__", None) or ""
    if name.isidentifier() and module != "__main__":
        try:
            is_importable = getattr(importlib.import_module(module), name, None) is make
        except ImportError:
            is_importable = False
        if is_importable:
            return find_spec(f"{module}:{name}")
    return _register(name.rpartition(".")[2], make)


def _register(name: str, make: Callable[[], gymnasium.Env[Any, Any]]) -> GameSpec:
    base = re.sub(r"\W", "", name) or "Env"
    env_id = f"{_PREFIX}{base}"
    gymnasium.registry.pop(env_id, None)
    gymnasium.register(env_id, entry_point=lambda **_: make())
    spec = find_spec(env_id)
    return replace(spec, name=spec.name.strip("_") or "env")


class _Kept(gymnasium.Wrapper[Any, Any, Any, Any]):
    """An environment that belongs to the user, who closes it."""

    def close(self) -> None:
        """Leave it open."""
