"""Random numbers and clocks that follow from the episode; runs inside the jail.

What an honest policy draws or reads of a clock depends on the seed of its episode and on what it
did before in the same episode, never on the machine, the day or the lanes beside it. (A policy that
wants real entropy can have it from its own memory; that costs only the repeatability of its own
score.)

Seeded: `random` and `numpy.random`, generators made without a seed (Random, SystemRandom,
default_rng, RandomState, bit generators), os.urandom and what is built on it (secrets, uuid).
Clocks: those of `time`, and now() and today() of `datetime`. Sleep takes no time: it moves the
clock. Every reading of the clock takes a microsecond.
"""

from __future__ import annotations

import datetime
import os
import random
import sys
import time
import uuid
from collections.abc import Callable
from types import ModuleType
from typing import Any

EPOCH_NS = 1_700_000_000 * 1_000_000_000
"""`time.time` at the start of an episode: 14 November 2023."""
TICK_NS = 1_000

_SECONDS = ("monotonic", "perf_counter", "process_time", "thread_time")


class SeededRandom(random.Random):
    """`random.Random` whose default seed is drawn from the lane's chance."""

    def seed(self, a: Any = None, version: int = 2) -> None:  # noqa: ANN401 - as the base class
        """Seed the generator."""
        super().seed(_now.source.getrandbits(64) if a is None else a, version)


class Chance:
    """The random numbers and the clock of one lane.

    Attributes:
        clock_ns: Nanoseconds since 1970, as the lane's clock shows them.
        source: Where default seeds come from.
        random: The generator behind the functions of `random`.
        numpy: The one behind the functions of `numpy.random`, if numpy is loaded.
    """

    __slots__ = ("_seed", "clock_ns", "numpy", "random", "source")

    def __init__(self, seed: int) -> None:
        self.source, self.random = random.Random(0), SeededRandom(0)  # noqa: S311 - not for secrets
        self.numpy: Any = None
        if "numpy" in sys.modules:
            # RandomState(0) would first draw a seed, which is that of the current lane
            generators = sys.modules["numpy"].random
            self.numpy = generators.RandomState(generators.MT19937(0))
        self.seed(seed)

    def seed(self, seed: int) -> None:
        """Start over from ``seed``."""
        self.clock_ns, self._seed = EPOCH_NS, seed
        self.source.seed(seed)
        self.random.seed(self.source.getrandbits(64))
        if self.numpy is not None:
            self.numpy.seed(self.source.getrandbits(32))

    def is_untouched(self) -> bool:
        """Return whether nothing has been drawn, and no clock read, since the start."""
        return self.state() == Chance(self._seed).state()

    def enter(self) -> None:
        """Make this the chance and the clock of the interpreter."""
        global _now  # noqa: PLW0603 - there is one current lane, and every function reads it
        _now = self
        random._inst = self.random  # noqa: SLF001

    def state(self) -> tuple[object, ...]:
        """Return all that changes with use."""
        key, *rest = self.numpy.get_state()[1:] if self.numpy is not None else (b"",)
        return self.clock_ns, self.source.getstate(), self.random.getstate(), bytes(key), rest


_now = Chance(0)


def install() -> None:
    """Replace the real functions, for the rest of the process."""
    _replace_functions(random, random._inst, "random")  # noqa: SLF001
    random.Random = SeededRandom  # type: ignore[misc]
    os.urandom = random._urandom = _draw_bytes  # type: ignore[attr-defined]  # noqa: SLF001
    uuid.uuid1 = _make_uuid1
    numpy = sys.modules.get("numpy")
    if numpy is not None:
        _replace_functions(numpy.random, numpy.random.mtrand._rand, "numpy")  # noqa: SLF001
        sys.modules["numpy.random.bit_generator"].randbits = _draw_bits  # type: ignore[attr-defined]
    _install_clocks()
    _install_dates()


def _replace_functions(module: ModuleType, shared: object, attribute: str) -> None:
    """Have the functions that belong to a module's shared generator draw from the current lane."""
    for name, value in list(vars(module).items()):
        if getattr(value, "__self__", None) is shared:
            setattr(module, name, _lane_function(attribute, name, value))


def _lane_function(attribute: str, name: str, real: Callable[..., Any]) -> Callable[..., Any]:
    def draw(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - those of the method
        return getattr(getattr(_now, attribute), name)(*args, **kwargs)

    draw.__name__ = draw.__qualname__ = name
    draw.__module__, draw.__doc__ = real.__module__, real.__doc__
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


def _sleep(seconds: float, /) -> None:
    if seconds < 0:
        raise ValueError("sleep length must be non-negative")
    _now.clock_ns += int(seconds * 1e9)


def _install_clocks() -> None:
    def span_ns() -> int:
        return _tick() - EPOCH_NS

    replaced: dict[str, Callable[..., Any]] = {"time": _seconds, "time_ns": _tick, "sleep": _sleep}
    replaced |= dict.fromkeys(_SECONDS, lambda: span_ns() / 1e9)
    replaced |= {f"{name}_ns": span_ns for name in _SECONDS}
    replaced["clock_gettime"] = lambda _clock: _seconds()
    replaced["clock_gettime_ns"] = lambda _clock: _tick()
    for name in ("localtime", "gmtime", "ctime"):
        replaced[name] = _at_lane_time(getattr(time, name))
    strftime, asctime, local = time.strftime, time.asctime, replaced["localtime"]
    replaced["strftime"] = lambda form, t=None: strftime(form, local() if t is None else t)
    replaced["asctime"] = lambda t=None: asctime(local() if t is None else t)
    vars(time).update(replaced)


def _at_lane_time(function: Callable[[float], Any]) -> Callable[..., Any]:
    """Wrap a function of seconds so that their default is the lane's clock."""

    def wrapped(seconds: float | None = None) -> Any:  # noqa: ANN401 - whatever it returns
        return function(_seconds() if seconds is None else seconds)

    return wrapped


def _install_dates() -> None:
    real_datetime, real_date = datetime.datetime, datetime.date

    class LaneDatetime(real_datetime):  # type: ignore[misc, valid-type]
        @classmethod
        def now(cls, tz: datetime.tzinfo | None = None) -> Any:  # noqa: ANN401 - of cls
            return cls.fromtimestamp(_seconds(), tz)

        @classmethod
        def today(cls) -> Any:  # noqa: ANN401 - of cls
            return cls.fromtimestamp(_seconds())

        @classmethod
        def utcnow(cls) -> Any:  # noqa: ANN401 - of cls
            return cls.fromtimestamp(_seconds(), datetime.timezone.utc).replace(tzinfo=None)  # noqa: UP017 - of the class that is being replaced

    class LaneDate(real_date):  # type: ignore[misc, valid-type]
        @classmethod
        def today(cls) -> Any:  # noqa: ANN401 - of cls
            return cls.fromtimestamp(_seconds())

    for replaced, real in ((LaneDatetime, real_datetime), (LaneDate, real_date)):
        replaced.__name__ = replaced.__qualname__ = real.__name__
        replaced.__module__ = real.__module__
        setattr(datetime, real.__name__, replaced)
