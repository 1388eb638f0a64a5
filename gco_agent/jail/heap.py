"""Where a worker's objects will lie: the same places, whatever its zygote did before.

A worker begins with the zygote's memory, in which earlier orders have left holes in another order
each time. A policy that goes by addresses (the order of a set of plain objects) would see that. So
the holes are filled before the policy is loaded, and what follows lies in fresh memory.
"""

from __future__ import annotations

import functools
import gc
from collections.abc import Callable

_CLASS_BYTES = 16
"""Python's allocator keeps its holes by size, in steps of this up to the largest."""
_LARGEST_BYTES = 512
_POOL_BYTES, _HEAD_BYTES = 1 << 14, 48
"""It takes fresh memory in pools of this size, with a head, when the last hole is filled."""
_BATCH_BYTES, _ROW_BYTES = 6_000, 2_000
_MOST_BATCHES = 200

_filling: list[object] = []


def settle() -> None:
    """Fill the holes, for the life of this process."""
    gc.collect()  # lists of free tuples, floats and frames are given up, too
    for size in range(_CLASS_BYTES, _LARGEST_BYTES + 1, _CLASS_BYTES):
        make, n = _maker(size), _BATCH_BYTES // size
        for _ in range(_MOST_BATCHES):
            batch: list[object] = [None] * n  # one that grows would take holes itself
            _filling.append(batch)
            for place in range(n):
                batch[place] = make()
            if _is_in_a_fresh_pool(batch, size):
                break
    gc.collect()


def _is_in_a_fresh_pool(batch: list[object], size: int) -> bool:
    """Whether objects of it lie one after the other from the beginning of a pool."""
    n, last = 0, 0
    for thing in batch:
        place = id(thing)
        if place % _POOL_BYTES == _HEAD_BYTES:
            n = 1
        elif n and place == last + size:
            n += 1
        else:
            n = 0
        if n * size >= _ROW_BYTES:
            return True
        last = place
    return False


def _maker(size: int) -> Callable[[], object]:
    """What makes an object that takes one hole of that size, and no other."""
    if size == _CLASS_BYTES:
        return object
    if size == 2 * _CLASS_BYTES:
        return functools.partial(int.__neg__, 1 << 40)
    return functools.partial(bytes, size - bytes.__basicsize__)
