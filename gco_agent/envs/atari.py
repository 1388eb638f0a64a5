"""From the rules of play to an environment, and back to what the rules were made of."""

from __future__ import annotations

import dataclasses
import hashlib
from dataclasses import replace
from importlib import metadata
from pathlib import Path
from typing import Any

import gymnasium
from ale_py import roms
from gymnasium.envs.registration import EnvSpec

from gco_agent.core.errors import GcoError, UsageError
from gco_agent.core.records import PlayProtocol
from gco_agent.envs.fingerprint import observation_digest, require_versions
from gco_agent.envs.objects import ObjectObservation, Rules, make_object_env
from gco_agent.envs.wrappers import DisturbedObservation
from gco_agent.games import Reference, find_game

PROTOCOLS = ("default", "reference", "machado")

_FRAMES_CAP = 108_000
_FIVE_MINUTES = 4_500
"""Steps of four frames, at 60 frames a second."""


def default_protocol(game: str, max_steps: int = 27_000) -> PlayProtocol:
    """The rules of ``ALE/<Game>-v5``: frame skip 4, sticky 0.25, all lives, minimal actions.

    Args:
        game: As `gco_agent.games.find_game` takes it.
        max_steps: Steps after which an episode is cut.

    Raises:
        UsageError: There is no such game.
        GcoError: ale-py came without its ROM.

    Source: Machado et al. 2018, arXiv:1709.06009.
    """
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
    """The rules called ``name``: one of `PROTOCOLS`.

    ``reference`` is how the authors of the paper play: no sticky actions, their caps and their
    rule for lost lives, game by game, OCAtari's objects, and games in a row instead of seeds,
    since their emulator has no chance in it. ``machado`` is sticky 0.25, the console's 18 actions
    and five minutes of play.

    Args:
        name: The protocol.
        game: As `gco_agent.games.find_game` takes it.
        max_steps: Steps after which an episode is cut, if not those of the protocol.
        objects: What is observed, as of `PlayProtocol`, if not as the protocol has it.

    Raises:
        UsageError: There is no such protocol, or the paper does not have this game.

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
    """The environment that ``protocol`` describes.

    Raises:
        UsageError: It names a game that is not known.
        GcoError: What is installed here is not what the protocol names: a worker on another
            machine would otherwise put its numbers under a stamp that is not theirs.
    """
    require_versions(protocol, default_protocol(protocol.env_id).versions)
    env = make_object_env(
        find_game(protocol.env_id).name,
        rules=Rules(
            protocol.one_life,
            protocol.fires,
            protocol.restarts,
            protocol.objects == "completed",
            _unseen(protocol),
        ),
        frameskip=protocol.frame_skip,
        repeat_action_probability=protocol.sticky,
        max_num_frames_per_episode=max(_FRAMES_CAP, protocol.max_steps * protocol.frame_skip),
        full_action_space=protocol.actions == "all",
        **_switches(protocol),
    )
    if protocol.is_disturbed:
        return DisturbedObservation(env, protocol)
    return env


def _unseen(protocol: PlayProtocol) -> tuple[str, ...]:
    theirs = find_game(protocol.env_id).reference
    return theirs.unseen if theirs and protocol.objects == "paper" else ()


def _switches(protocol: PlayProtocol) -> dict[str, Any]:
    """The console's switches, where they are not as the game comes."""
    switches = {"mode": protocol.mode, "difficulty": protocol.difficulty}
    return {name: value for name, value in switches.items() if value}


def initial_policy(protocol: PlayProtocol) -> str:
    """Text of the policy that a run under ``protocol`` starts from.

    Raises:
        UsageError: It names a game that is not known.
    """
    spec = find_game(protocol.env_id)
    if protocol.actions == "minimal":
        return spec.initial_policy()
    return spec.initial_policy(open_environment(protocol).action_names)


def emulator_spec(protocol: PlayProtocol) -> EnvSpec:
    """How Gymnasium makes the emulator of these rules, observed as RAM, without gco-agent.

    Raises:
        UsageError: They name a game that is not known.
    """
    name = find_game(protocol.env_id).env_id.removeprefix("gco/")
    found = gymnasium.spec(f"ALE/{name}")
    settings: dict[str, Any] = {
        "obs_type": "ram",
        "frameskip": protocol.frame_skip,
        "repeat_action_probability": protocol.sticky,
        "full_action_space": protocol.actions == "all",
        **_switches(protocol),
    }
    return dataclasses.replace(found, kwargs={**found.kwargs, **settings})


def switches_of(game: str) -> tuple[list[int], list[int]]:
    """The modes and the difficulties that ALE knows of a game.

    Raises:
        UsageError: There is no such game.
    """
    env = make_object_env(find_game(game).name)
    found = env.switches
    env.close()
    return found
