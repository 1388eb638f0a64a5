"""What a policy of a game sees and may do, in words for whoever is to write one.

Names and numbers are measured: the game is played at random, and what each action moved is said.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence

from gco_agent.config import RunConfig
from gco_agent.records import PlayProtocol

_PROBES, _PROBE_STEPS = 2, 800
_FIRST_SEED = 600_000

_FIELDS = """\
`obs` maps the name of a category to a sequence of its objects: `obs["{example}"][0].x`. A category
with nothing on the screen gives an empty sequence, never a KeyError. `obs.lives` is the number of
lives left (0 where the game has none). The screen is 160 pixels wide and 210 high. Objects cannot
be changed; each has

- `x`, `y`: left and top edge in pixels; x grows to the right, y grows DOWNWARDS from the top;
- `w`, `h`: width and height in pixels; `cx`, `cy`: the centre, `x + w / 2` and `y + h / 2`;
- `dx`, `dy`: pixels moved right and down since the last step (so dy < 0 is upwards);
- `value`: the number that the object shows, or None; `rgb`: its colour, or None; `orientation`:
  the way it faces, or None.
"""

_WAYS = {
    (0, 0): "no clear effect on the position",
    (0, -1): "moves it UP (y gets smaller)",
    (0, 1): "moves it DOWN (y grows)",
    (-1, 0): "moves it LEFT (x gets smaller)",
    (1, 0): "moves it RIGHT (x grows)",
    (-1, -1): "moves it UP and LEFT",
    (1, -1): "moves it UP and RIGHT",
    (-1, 1): "moves it DOWN and LEFT",
    (1, 1): "moves it DOWN and RIGHT",
}


def describe_interface(config: RunConfig) -> str:
    """What ``act`` gets and what it may return in the game of a run; depends on its rules alone."""
    return _describe(config.protocol)


@functools.lru_cache(maxsize=8)
def _describe(protocol: PlayProtocol) -> str:
    from gco_agent.optimizers.search.play import Probe, all_moves, probe
    from gco_agent.optimizers.search.world import World, identify
    from gco_agent.seeds import Stream

    first = Stream.FEEDBACK.value + _FIRST_SEED
    found = [probe(Probe(protocol, first + 100 * i, _PROBE_STEPS)) for i in range(_PROBES)]
    world: World = identify(
        found[0].action_names, all_moves(found), [part.sightings for part in found]
    )
    example = world.player or next(iter(world.ranges), "Player")
    categories = [f"- `{name}`: up to {most} at once" for name, most in sorted(world.most.items())]
    seen = f"Categories seen in {_PROBES * _PROBE_STEPS:,} steps of random play; others may come"
    return "\n".join(
        [
            "### What `act` gets",
            "",
            _FIELDS.format(example=example),
            f"{seen} later in the game:",
            "",
            *categories,
            "",
            "### What `act` returns",
            "",
            _timing(protocol.frame_skip, protocol.sticky),
            "",
            *_action_rows(found[0].action_names, world.player, world.signs),
        ]
    )


def _timing(frame_skip: int, sticky: float) -> str:
    text = (
        f"An index of the table, as an int. `act` is called once a step, and a step is "
        f"{frame_skip} frames of the game."
    )
    if sticky:
        text += (
            f" With probability {sticky:g} a frame repeats the action before instead of the new "
            "one, so no sequence of moves plays out exactly as planned: decide from what `obs` "
            "shows now."
        )
    return text


def _action_rows(names: Sequence[str], player: str, signs: Sequence[tuple[int, int]]) -> list[str]:
    what = f"effect on `{player}`, measured" if player else "effect"
    rows = [f"| index | the emulator's name | {what} |", "|---|---|---|"]
    for index, (name, sign) in enumerate(zip(names, signs, strict=True)):
        effect = _WAYS[sign]
        if "FIRE" in name:
            effect += "; presses the button"
        rows.append(f"| {index} | {name} | {effect} |")
    return rows
