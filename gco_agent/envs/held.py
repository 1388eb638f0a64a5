"""Which action the console still holds: the one thing that no saved state contains.

Sticky actions repeat, with some probability and frame by frame, whatever action the console holds,
and a new action is held only from the first frame that does not repeat. So after a step of four
frames at probability 0.25 the console still holds an older action once in 256 times. The draws of
the frames played are in the saved state, since it has the generator's words in it, and they say
which action it was.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

_GENERATOR = re.compile(rb"(\d+(?: \d+){624})\Z")
"""The state of the sticky actions' generator (a Mersenne Twister: 624 words, then how many of them
are used) is the last thing in an emulator state that was saved with its generators."""
_LEAST_PRIMING = 12
_LEFT_OVER = 1e-9


def held_action(state: bytes, repeat: float, frame: int, begun: Sequence[tuple[int, int]]) -> int:
    """The action held at the moment that ``state`` was saved at.

    Args:
        state: From ``cloneState(include_rng=True).serialize()`` of ale-py 0.11 or 0.12.
        repeat: The probability to repeat.
        frame: Frames played when it was saved, as ``getFrameNumber`` counts.
        begun: The last steps, oldest first: frames played before the step, and its action.

    Returns:
        The action of the last frame that did not repeat; where no draw tells, of the oldest step
        that could be meant.
    """
    action = begun[-1][1]
    steps = list(begun)
    for draw in _draws(state):
        frame -= 1
        while len(steps) > 1 and steps[-1][0] > frame:
            steps.pop()
        action = steps[-1][1]
        if draw >= repeat or frame <= steps[0][0]:
            break
    return action


def n_priming_frames(repeat: float) -> int:
    """Frames of one action after which that action is held: all but surely (1 in 10**9)."""
    if not 0 < repeat < 1:
        return _LEAST_PRIMING
    return max(_LEAST_PRIMING, math.ceil(math.log(_LEFT_OVER) / math.log(repeat)))


def _draws(state: bytes) -> list[float]:
    """The latest draws of one frame each, in [0, 1), the last one first."""
    found = _GENERATOR.search(state)
    if found is None:
        return []
    *words, used = (int(word) for word in found[1].split())
    last = [_temper(word) for word in words[max(0, used - 32) : used]]
    pairs = zip(last[-2::-2], last[-1::-2], strict=False)  # a draw is of two words, the low first
    return [(low + high * 2.0**32) / 2.0**64 for low, high in pairs]


def _temper(word: int) -> int:
    """The output of a Mersenne Twister for one word of its state (Matsumoto, Nishimura 1998)."""
    word ^= word >> 11
    word ^= (word << 7) & 0x9D2C5680
    word ^= (word << 15) & 0xEFC60000
    return word ^ (word >> 18)
