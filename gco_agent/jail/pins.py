"""Chance and time, the same in every episode; runs inside the jail.

For honest policies: whatever they draw or read of the clock is decided by what they did before in
the same episode, never by the machine, the day or the lanes beside them. A policy that insists on
real entropy gets it from its own address space; that costs its score the digest, and nobody else.

Pinned: the functions of `random` and of `numpy.random`, generators made without a seed (Random,
SystemRandom, default_rng, RandomState, every bit generator), os.urandom and what is built on it
(secrets, uuid), the clocks and the sleep of `time`, and now() and today() of `datetime`. Sleep
costs nothing: it moves the clock. Every reading of the clock takes a microsecond.
"""

from __future__ import annotations

import datetime
import os
import random
import sys
import time
import uuid
from collections.abc import Callable
from typing import Any

SEED = 20_000
EPOCH_NS = 1_700_000_000 * 1_000_000_000
"""What `time.time` says when an episode begins: 14 November 2023."""
TICK_NS = 1_000

_SECONDS = ("monotonic", "perf_counter", "process_time", "thread_time")
_OF_MODULE = tuple(
    name
    for name, value in vars(random).items()
    if getattr(value, "__self__", None) is random._inst  # noqa: SLF001
)
"""The functions of `random` that belong to its one shared generator."""


class PinnedRandom(random.Random):
    """`random.Random`, except that no seed means the lane's own chance."""

    def seed(self, a: Any = None, version: int = 2) -> None:  # noqa: ANN401 - as the base class
        """Start over from ``a``, or from the lane's chance."""
        super().seed(_now.source.getrandbits(64) if a is None else a, version)


class Entropy:
    """The chance and the clock of one lane, from the beginning of its episode.

    Attributes:
        clock_ns: Nanoseconds since 1970, as this lane's clock shows them.
        source: Where seeds come from that the policy did not give.
        shared: What `random.random` and the like draw from in this lane.
        bits: What drives the functions of `numpy.random`, if numpy is here.
    """

    __slots__ = ("bits", "clock_ns", "shared", "source")

    def __init__(self) -> None:
        self.clock_ns = EPOCH_NS
        self.source = random.Random(SEED + 1)  # noqa: S311 - not for secrets
        self.shared = PinnedRandom(SEED)
        numpy = sys.modules.get("numpy")
        self.bits = numpy.random.MT19937(SEED) if numpy is not None else None

    def enter(self) -> None:
        """Make this the chance and the clock that everybody sees."""
        global _now  # noqa: PLW0603 - there is one current lane, and every pin reads it
        _now = self
        random._inst = self.shared  # noqa: SLF001
        if self.bits is not None:
            sys.modules["numpy"].random.set_bit_generator(self.bits)


_now = Entropy()


def install() -> None:
    """Put the pins in place of the real functions; for the rest of the process."""
    random.Random = PinnedRandom  # type: ignore[misc]
    vars(random).update({name: _of_the_lane(name) for name in _OF_MODULE})
    os.urandom = random._urandom = _draw_bytes  # type: ignore[attr-defined]  # noqa: SLF001
    uuid.uuid1 = _make_uuid1
    if "numpy" in sys.modules:
        sys.modules["numpy.random.bit_generator"].randbits = _draw_bits  # type: ignore[attr-defined]
    _install_clocks()
    _install_dates()


def _of_the_lane(name: str) -> Callable[..., Any]:
    """A function of `random` that draws from the lane that runs, whoever keeps it and since when.

    Putting two dozen bound methods into the module whenever another lane runs would cost every
    step of every policy half a microsecond, and a multiple of that in play.
    """

    def draw(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - those of the method
        return getattr(_now.shared, name)(*args, **kwargs)

    draw.__name__ = draw.__qualname__ = name
    draw.__module__ = random.__name__
    draw.__doc__ = getattr(random.Random, name).__doc__
    return draw


def _draw_bits(count: int) -> int:
    return _now.source.getrandbits(count)


def _draw_bytes(count: int) -> bytes:
    return _now.source.randbytes(count)


def _make_uuid1(node: int | None = None, clock_seq: int | None = None) -> uuid.UUID:  # noqa: ARG001
    return uuid.UUID(bytes=_draw_bytes(16), version=1)


def _tick() -> int:
    _now.clock_ns += TICK_NS
    return _now.clock_ns


def _seconds() -> float:
    return _tick() / 1e9


def _span_ns() -> int:
    return _tick() - EPOCH_NS


def _span() -> float:
    return (_tick() - EPOCH_NS) / 1e9


def _sleep(seconds: float, /) -> None:
    if seconds < 0:
        raise ValueError("sleep length must be non-negative")
    _now.clock_ns += int(seconds * 1e9)


def _install_clocks() -> None:
    pinned: dict[str, Callable[..., Any]] = {"time": _seconds, "time_ns": _tick, "sleep": _sleep}
    pinned |= dict.fromkeys(_SECONDS, _span)
    pinned |= {f"{name}_ns": _span_ns for name in _SECONDS}
    pinned["clock_gettime"] = lambda _clock: _seconds()
    pinned["clock_gettime_ns"] = lambda _clock: _tick()
    for name in ("localtime", "gmtime", "ctime"):
        pinned[name] = _at_pinned_time(getattr(time, name))
    strftime, asctime, local = time.strftime, time.asctime, pinned["localtime"]
    pinned["strftime"] = lambda form, t=None: strftime(form, local() if t is None else t)
    pinned["asctime"] = lambda t=None: asctime(local() if t is None else t)
    vars(time).update(pinned)


def _at_pinned_time(function: Callable[[float], Any]) -> Callable[..., Any]:
    """``function`` of seconds, which reads the pinned clock when it is given none."""

    def pinned(seconds: float | None = None) -> Any:  # noqa: ANN401 - whatever it returns
        return function(_seconds() if seconds is None else seconds)

    return pinned


def _install_dates() -> None:
    real_datetime, real_date = datetime.datetime, datetime.date

    class PinnedDatetime(real_datetime):  # type: ignore[misc, valid-type]
        @classmethod
        def now(cls, tz: datetime.tzinfo | None = None) -> Any:  # noqa: ANN401 - of cls
            return cls.fromtimestamp(_seconds(), tz)

        @classmethod
        def today(cls) -> Any:  # noqa: ANN401 - of cls
            return cls.fromtimestamp(_seconds())

        @classmethod
        def utcnow(cls) -> Any:  # noqa: ANN401 - of cls
            return cls.fromtimestamp(_seconds(), datetime.timezone.utc).replace(tzinfo=None)  # noqa: UP017 - of the class that is being replaced

    class PinnedDate(real_date):  # type: ignore[misc, valid-type]
        @classmethod
        def today(cls) -> Any:  # noqa: ANN401 - of cls
            return cls.fromtimestamp(_seconds())

    for pinned, real in ((PinnedDatetime, real_datetime), (PinnedDate, real_date)):
        pinned.__name__ = pinned.__qualname__ = real.__name__
        pinned.__module__ = real.__module__
        setattr(datetime, real.__name__, pinned)
