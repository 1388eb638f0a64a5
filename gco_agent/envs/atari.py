"""Atari: the rules of play by name, and from them to an environment."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
from collections.abc import Iterable
from dataclasses import replace
from importlib import metadata
from pathlib import Path
from typing import Any

import gymnasium
from ale_py import roms
from gymnasium.envs.registration import EnvSpec

from gco_agent.core.errors import GcoError, UsageError
from gco_agent.core.records import PlayProtocol
from gco_agent.envs.extraction import observation_digest
from gco_agent.envs.objects import ObjectObservation, Rules, make_object_env
from gco_agent.games.registry import find_game
from gco_agent.games.spec import Reference

PROTOCOLS = ("default", "reference", "machado")

_FRAMES_CAP = 108_000
_FIVE_MINUTES = 4_500
"""In steps of four frames, at 60 frames a second."""


def default_protocol(game: str, max_steps: int = 27_000) -> PlayProtocol:
    """Return the rules of ``ALE/<Game>-v5``: frame skip 4, sticky 0.25, minimal actions."""
    spec = find_game(game)
    path = roms.get_rom_path(spec.name)
    if path is None:
        raise GcoError(f"ale-py has no ROM of {spec.title}; install ale-py 0.11.2 or later again")
    rom = hashlib.md5(Path(path).read_bytes(), usedforsecurity=False)
    return PlayProtocol(
        "default",
        spec.env_id,
        max_steps=max_steps,
        versions=(
            ("ale-py", metadata.version("ale-py")),
            ("ocatari", metadata.version("ocatari")),
            ("extraction", observation_digest(spec.name.replace("_", ""))),
            ("rom", rom.hexdigest()[:12]),
        ),
    )


def make_protocol(
    name: str, game: str, max_steps: int | None = None, objects: str | None = None
) -> PlayProtocol:
    """Return the rules called ``name``, one of `PROTOCOLS`.

    ``reference`` is how the paper's authors play: no sticky actions, their limits and their rule
    for lost lives, OCAtari's objects, and games in a row instead of seeds. ``machado`` is sticky
    0.25, 18 actions and five minutes of play.

    Source: Machado et al. 2018, arXiv:1709.06009, section 5; Kuang et al. 2026, arXiv:2603.23994,
        table B2, and their published code.
    """
    rules, spec = default_protocol(game), find_game(game)
    spec.require_rules(name, objects)
    if name == "reference" and spec.reference is not None:
        rules = _as_the_authors(rules, spec.reference)
    elif name == "machado":
        rules = replace(rules, name="machado", max_steps=_FIVE_MINUTES, actions="all")
    elif name != "default":
        raise UsageError(f"no protocol is called {name!r}; there are: {', '.join(PROTOCOLS)}")
    rules = rules if max_steps is None else replace(rules, max_steps=max_steps)
    return rules if objects is None else replace(rules, objects=objects)


def _as_the_authors(rules: PlayProtocol, theirs: Reference) -> PlayProtocol:
    return replace(
        rules,
        name="reference",
        sticky=0.0,
        max_steps=theirs.max_steps,
        objects="ocatari",
        one_life=theirs.one_life,
        fires=theirs.fires,
        restarts=theirs.n_episodes,
    )


def open_environment(protocol: PlayProtocol) -> ObjectObservation:
    """Make the environment that ``protocol`` describes, without its disturbances."""
    require_versions(protocol, default_protocol(protocol.env_id).versions)
    spec = find_game(protocol.env_id)
    is_papers = spec.reference is not None and protocol.objects == "paper"
    return make_object_env(
        spec.name,
        rules=Rules(
            protocol.one_life,
            protocol.fires,
            protocol.restarts,
            protocol.objects == "completed",
            spec.reference.unseen if spec.reference and is_papers else (),
        ),
        max_num_frames_per_episode=max(_FRAMES_CAP, protocol.max_steps * protocol.frame_skip),
        **_settings(protocol),
    )


def require_versions(protocol: PlayProtocol, here: Iterable[tuple[str, str]]) -> None:
    """Check that the versions ``here`` are those of the protocol."""
    known = dict(here)
    for name, version in protocol.versions:
        if known.get(name) != version:
            raise GcoError(
                f"the rules of play ask for {name} {version}, and here is {known.get(name)}: "
                "install the same versions wherever episodes are played"
            )


def _settings(protocol: PlayProtocol) -> dict[str, Any]:
    switches = {"mode": protocol.mode, "difficulty": protocol.difficulty}
    return {
        "frameskip": protocol.frame_skip,
        "repeat_action_probability": protocol.sticky,
        "full_action_space": protocol.actions == "all",
        **{name: value for name, value in switches.items() if value},
    }


def emulator_spec(protocol: PlayProtocol) -> EnvSpec:
    """Return how Gymnasium makes the emulator, observed as RAM, without gco-agent."""
    found = gymnasium.spec(f"ALE/{find_game(protocol.env_id).env_id.removeprefix('gco/')}")
    settings = {"obs_type": "ram", **_settings(protocol)}
    return dataclasses.replace(found, kwargs={**found.kwargs, **settings})


def switches_of(game: str) -> tuple[list[int], list[int]]:
    """Return the modes and the difficulties of a game."""
    with contextlib.closing(make_object_env(find_game(game).name)) as env:
        return env.switches
