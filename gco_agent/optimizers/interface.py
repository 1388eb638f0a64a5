"""What a policy of a run sees and may do, in words: its specification, and what play showed.

What `gco_agent.games` says of an action has been tried in the emulator. Where it says nothing, as
of games that nobody described by hand, the game is played at random and what each action moved is
told.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence

from gco_agent.config import RunConfig
from gco_agent.envs.opening import complete_spec, spec_of
from gco_agent.games import GameSpec, describe_interface, is_atari
from gco_agent.records import PlayProtocol

_PROBES, _PROBE_STEPS = 2, 800
_FIRST_SEED = 600_000

_WAYS = {
    (0, -1): "moves {player} up (y gets smaller)",
    (0, 1): "moves {player} down (y grows)",
    (-1, 0): "moves {player} left (x gets smaller)",
    (1, 0): "moves {player} right (x grows)",
    (-1, -1): "moves {player} up and left",
    (1, -1): "moves {player} up and right",
    (-1, 1): "moves {player} down and left",
    (1, 1): "moves {player} down and right",
}
_NOTHING_SEEN = "no clear effect on the position of {player}"


def spec_of_run(config: RunConfig) -> GameSpec:
    """The specification of what a run plays, with the bounds of actions that are numbers.

    Raises:
        UsageError: It is not known here.
    """
    return _complete(config.protocol)


def describe_run(config: RunConfig) -> str:
    """What ``act`` gets and what it may return in a run; depends on its configuration alone.

    Raises:
        UsageError: What it plays is not known here.
    """
    rules, spec = config.protocol, spec_of_run(config)
    if not is_atari(rules.env_id):
        return describe_interface(spec, config.hints, rules=rules)
    names = _action_names(rules)
    is_explained = config.hints == "none" or all(spec.actions.get(name) for name in names)
    moved = {} if is_explained else dict(_measured(rules))
    return describe_interface(spec, config.hints, action_names=names, moved=moved, rules=rules)


@functools.lru_cache(maxsize=8)
def _complete(protocol: PlayProtocol) -> GameSpec:
    return complete_spec(spec_of(protocol))


@functools.lru_cache(maxsize=8)
def _action_names(protocol: PlayProtocol) -> Sequence[str]:
    from gco_agent.envs.atari import open_environment

    env = open_environment(protocol)
    try:
        return tuple(env.action_names)
    finally:
        env.close()


@functools.lru_cache(maxsize=8)
def _measured(protocol: PlayProtocol) -> Sequence[tuple[str, str]]:
    """Action word to what it was seen to do in random play."""
    from gco_agent.optimizers.search.play import Probe, all_moves, probe
    from gco_agent.optimizers.search.world import World, identify
    from gco_agent.seeds import Stream

    first = Stream.FEEDBACK.value + _FIRST_SEED
    found = [probe(Probe(protocol, first + 100 * i, _PROBE_STEPS)) for i in range(_PROBES)]
    world: World = identify(
        found[0].action_names, all_moves(found), [part.sightings for part in found]
    )
    if not world.player:
        return ()
    words = [_WAYS.get(sign, _NOTHING_SEEN).format(player=world.player) for sign in world.signs]
    return tuple(
        (name, f"{word} in random play" + ("; presses the button" if "FIRE" in name else ""))
        for name, word in zip(world.action_names, words, strict=True)
    )
