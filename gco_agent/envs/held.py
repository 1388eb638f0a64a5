"""Which action the console still holds: the one thing that no saved state contains.

Sticky actions repeat, with some probability and frame by frame, whatever action the console holds,
and a new action is held only from the first frame that does not repeat. So after a step of four
frames at probability 0.25 the console still holds an older action once in 256 times. The draws of
the frames played are in the saved state, since it has the generator's words in it, and they say
which action it was.

Source: Matsumoto and Nishimura 1998, "Mersenne Twister", doi:10.1145/272991.272995.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence

_GENERATOR = re.compile(rb"\d+(?: \d+){624}")
"""A Mersenne Twister in an emulator state: 624 words, then how many of them are used; its length in
bytes stands before it. The sticky actions' is the last."""
_LENGTH_BYTES = 4
_N_EARLIER = 128
_PERIOD, _MATRIX = 227, 0x9908B0DF
_HIGHEST_BIT, _ALL_BITS = 1 << 31, (1 << 32) - 1
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


def _draws(state: bytes) -> Iterator[float]:
    """The draws of the latest frames, each in [0, 1), the last one first."""
    begin = max((found.start() for found in _GENERATOR.finditer(state)), default=None)
    if begin is None:
        return
    length = int.from_bytes(state[begin - _LENGTH_BYTES : begin], "little")
    *words, used = (int(word) for word in state[begin : begin + length].split())
    # two words a frame: one for this player, then one for the other
    for index in range(used - 2, -_N_EARLIER, -2):
        yield _temper(words[index] if index >= 0 else _word_before(words, index)) / 2**32


def _word_before(words: Sequence[int], index: int) -> int:
    """A word that the generator had before it made ``words`` of those, counted from the end."""
    here, below = _untwist(words, index), _untwist(words, index - 1)
    return here & _HIGHEST_BIT | below & ~_HIGHEST_BIT


def _untwist(words: Sequence[int], index: int) -> int:
    """The highest bit of the word before at ``index``, and the other bits of the one after it."""
    twisted = words[index] ^ words[index - _PERIOD]
    if twisted & _HIGHEST_BIT:
        return ((twisted ^ _MATRIX) << 1 | 1) & _ALL_BITS
    return twisted << 1


def _temper(word: int) -> int:
    """The output of the generator for one word of its state."""
    word ^= word >> 11
    word ^= (word << 7) & 0x9D2C5680
    word ^= (word << 15) & 0xEFC60000
    return word ^ (word >> 18)
