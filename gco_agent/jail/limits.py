"""What a jail allows, how strong it turned out to be, and how a policy fails in it."""

from __future__ import annotations

import enum
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # workers import this module, and of our own only what they need
    from gco_agent.core.records import EpisodeResult, Outcome


class JailLevel(enum.IntEnum):
    """How much of the seal was proved by the worker's own self-test; higher is stronger."""

    NONE = 0
    """A process of its own and nothing else: for tests that must see an attack succeed."""
    BASIC = 1
    """Stops accidents, not attackers."""
    MEDIUM = 2
    """The kernel refuses files, sockets and processes, but there is no system-call filter."""
    STRONG = 3
    """The kernel refuses every system call that a policy does not need."""

    @property
    def word(self) -> str:
        """The name that people type and read: ``strong``."""
        return self.name.lower()

    @classmethod
    def parse(cls, word: str) -> JailLevel:
        """The level called ``word``.

        Raises:
            ValueError: There is none; the message lists those there are.
        """
        for level in cls:
            if level.word == word.lower():
                return level
        raise ValueError(f"no jail level {word!r}; there are {', '.join(v.word for v in cls)}")


def read_level(word: str) -> JailLevel:
    """The level that a record names; nothing is proved by one that names none that is known."""
    try:
        return JailLevel.parse(word)
    except ValueError:
        return JailLevel.NONE


def weakest_jail(episodes: Iterable[EpisodeResult]) -> str:
    """Word of the weakest level that any of these was played in; empty if none was played.

    An episode that is scored and does not tell its level counts as played in none; a policy that
    did not load has no level and proves nothing.
    """
    told = [e for e in episodes if e.jail or e.outcome.is_scored]
    return min(read_level(e.jail) for e in told).word if told else ""


class Layer(enum.IntFlag):
    """One layer of the seal each; a jail is sealed with all that the system offers."""

    PRIVILEGES = 1
    """no_new_privs, another user id when root, no capabilities, not dumpable, no new code."""
    LANDLOCK = 2
    """No file, no TCP port, no signal and no abstract socket outside."""
    RLIMITS = 4
    """Memory, files, processes, output and processor time."""
    SECCOMP = 8
    """An allow-list of system calls."""
    AUDIT = 16
    """Python's own events: for clear messages, not for safety."""
    PINS = 32
    """Clocks and chance are the same in every episode: for repeatable scores, not for safety."""

    KERNEL = PRIVILEGES | LANDLOCK | RLIMITS | SECCOMP
    ALL = KERNEL | AUDIT | PINS


@dataclass(frozen=True, slots=True)
class JailLimits:
    """What a policy may use.

    Attributes:
        step_seconds: Processor time of one call of ``act`` for all lanes; on a busy machine the
            clock on the wall may show more.
        slow_seconds: Processor time, in the whole life of the worker, of those calls that take more
            than a twentieth of a second.
        start_seconds: Processor time to load the policy, and to construct it at each reset.
        memory_bytes: Memory beyond that of the interpreter, for all lanes together.
        output_bytes: What is kept of the policy's prints; the rest is dropped.
        source_bytes: Longest policy text, in UTF-8.
        total_seconds: Processor time of the worker in its whole life: a backstop.
        with_numpy: Have numpy in the jail even if the policy's text does not mention it, because
            observations are arrays.
        layers: What to seal with. Everything, except in tests that take layers away.
    """

    step_seconds: float = 1.0
    slow_seconds: float = 60.0
    start_seconds: float = 10.0
    memory_bytes: int = 512 * 1024 * 1024
    output_bytes: int = 64 * 1024
    source_bytes: int = 256 * 1024
    total_seconds: int = 6 * 60 * 60
    with_numpy: bool = False
    layers: Layer = Layer.ALL


@dataclass(frozen=True, slots=True)
class JailReport:
    """What seals a worker, as it found out itself before it saw the policy.

    Attributes:
        level: What that amounts to.
        layers: Layer to what it is: "on", with details, or "off: " and the reason.
        probes: Forbidden act to what became of it when the worker tried: "refused (EPERM)" or
            "POSSIBLE".
    """

    level: JailLevel
    layers: tuple[tuple[str, str], ...] = ()
    probes: tuple[tuple[str, str], ...] = ()

    @property
    def line(self) -> str:
        """One line for people."""
        on = [
            name + state.removeprefix("on") for name, state in self.layers if state.startswith("on")
        ]
        off = [
            f"{name} ({state.removeprefix('off: ')})"
            for name, state in self.layers
            if not state.startswith("on")
        ]
        possible = [name for name, result in self.probes if result == "POSSIBLE"]
        parts = [f"jail: {self.level.word}", "on: " + (", ".join(on) or "nothing")]
        if off:
            parts.append("off: " + ", ".join(off))
        if possible:
            parts.append("still possible: " + ", ".join(possible))
        if self.level <= JailLevel.BASIC:
            parts.append("this stops accidents, not attackers")
        return "; ".join(parts)


class PolicyFailure(Exception):  # noqa: N818 - data on its way to records.Outcome, not an error
    """A policy raised, answered with nonsense, took too long, or took its process down.

    Attributes:
        outcome: POLICY_RAISED, BAD_ACTION, TIMED_OUT or DIED.
        detail: What happened, fit to be shown: escaped and cut.
        lane: The lane it happened in, or None where the whole process is lost.
    """

    def __init__(self, outcome: Outcome, detail: str, *, lane: int | None = None) -> None:
        super().__init__(f"{outcome.value}: {detail}")
        self.outcome, self.detail, self.lane = outcome, detail, lane
