"""From the rules of play to an environment, and back to what the rules were made of."""

from __future__ import annotations

import hashlib
from importlib import metadata
from pathlib import Path

from ale_py import roms

from gco_agent.envs.objects import ObjectObservation, make_object_env
from gco_agent.games import find_game
from gco_agent.records import PlayProtocol

_FRAMES_CAP = 108_000


def default_protocol(game: str, max_steps: int = 27_000) -> PlayProtocol:
    """The rules of ``ALE/<Game>-v5``: frame skip 4, sticky 0.25, all lives, minimal actions.

    Args:
        game: Name in snake case, as in `gco_agent.games.GAMES`.
        max_steps: Steps after which an episode is cut.

    Source: Machado et al. 2018, arXiv:1709.06009.
    """
    spec = find_game(game)
    rom = hashlib.md5(Path(roms.get_rom_path(game)).read_bytes(), usedforsecurity=False)
    return PlayProtocol(
        "default",
        spec.env_id,
        max_steps=max_steps,
        versions=(
            ("ale-py", metadata.version("ale-py")),
            ("ocatari", metadata.version("ocatari")),
            ("rom", rom.hexdigest()[:12]),
        ),
    )


def open_environment(protocol: PlayProtocol) -> ObjectObservation:
    """The environment that ``protocol`` describes.

    Raises:
        UsageError: It names a game that is not known.
    """
    return make_object_env(
        find_game(protocol.env_id).name,
        frameskip=protocol.frame_skip,
        repeat_action_probability=protocol.sticky,
        max_num_frames_per_episode=max(_FRAMES_CAP, protocol.max_steps * protocol.frame_skip),
    )
