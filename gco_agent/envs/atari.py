"""From the rules of play to an environment, and back to what the rules were made of."""

from __future__ import annotations

import dataclasses
import hashlib
from importlib import metadata
from pathlib import Path
from typing import Any

import gymnasium
from ale_py import roms
from gymnasium.envs.registration import EnvSpec

from gco_agent.envs.disturbed import DisturbedObservation
from gco_agent.envs.extraction import source_digest
from gco_agent.envs.objects import ObjectObservation, make_object_env
from gco_agent.errors import GcoError
from gco_agent.games import find_game
from gco_agent.records import PlayProtocol, Variation

_FRAMES_CAP = 108_000


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
            ("objects", source_digest(spec.name.replace("_", ""))),
            ("rom", rom.hexdigest()[:12]),
        ),
    )


def open_environment(protocol: PlayProtocol) -> ObjectObservation:
    """The environment that ``protocol`` describes.

    Raises:
        UsageError: It names a game that is not known.
        GcoError: What is installed here is not what the protocol names: a worker on another
            machine would otherwise put its numbers under a stamp that is not theirs.
    """
    here = dict(default_protocol(protocol.env_id).versions)
    for name, version in protocol.versions:
        if here.get(name) != version:
            raise GcoError(
                f"the rules of play ask for {name} {version}, and here is {here.get(name)}: "
                "install the same versions wherever episodes are played"
            )
    switches: dict[str, Any] = {}
    if isinstance(protocol, Variation):
        switches = {"mode": protocol.mode, "difficulty": protocol.difficulty}
    env = make_object_env(
        find_game(protocol.env_id).name,
        frameskip=protocol.frame_skip,
        repeat_action_probability=protocol.sticky,
        max_num_frames_per_episode=max(_FRAMES_CAP, protocol.max_steps * protocol.frame_skip),
        **switches,
    )
    if isinstance(protocol, Variation) and protocol.is_disturbed:
        return DisturbedObservation(env, protocol)
    return env


def emulator_spec(protocol: PlayProtocol) -> EnvSpec:
    """How Gymnasium makes the emulator of these rules, observed as RAM, without gco-agent.

    Raises:
        UsageError: They name a game that is not known.
    """
    name = find_game(protocol.env_id).env_id.removeprefix("gco/")
    found = gymnasium.spec(f"ALE/{name}")
    settings = {
        "obs_type": "ram",
        "frameskip": protocol.frame_skip,
        "repeat_action_probability": protocol.sticky,
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
