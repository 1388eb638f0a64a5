"""What a jail allows, how strong it is, and how a policy fails in it."""

from __future__ import annotations

import enum
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # workers import this module, and nothing of gco_agent that they do not need
    from gco_agent.core.records import EpisodeResult, Outcome


class JailLevel(enum.IntEnum):
    """How much of the seal the worker's own self-test proved; higher is stronger."""

    NONE = 0
    """A separate process and nothing else: for tests in which an attack has to succeed."""
    BASIC = 1
    """Stops accidents, not attackers."""
    MEDIUM = 2
    """The kernel refuses files, sockets and processes; there is no system-call filter."""
    STRONG = 3
    """The kernel refuses every system call that a policy does not need."""

    @property
    def word(self) -> str:
        """Name in commands and records, like ``strong``."""
        return self.name.lower()

    @classmethod
    def parse(cls, word: str) -> JailLevel:
        """Parse a level."""
        for level in cls:
            if level.word == word.lower():
                return level
        raise ValueError(f"no jail level {word!r}; there are {', '.join(v.word for v in cls)}")


def read_level(word: str) -> JailLevel:
    """Parse a recorded jail level; unknown names map to NONE."""
    try:
        return JailLevel.parse(word)
    except ValueError:
        return JailLevel.NONE


def weakest_jail(episodes: Iterable[EpisodeResult]) -> str:
    """Return the word of the weakest level that any episode was played at; "" if there is none.

    A scored episode without a level counts as NONE. A policy that did not load has no level.
    """
    told = [e for e in episodes if e.jail or e.outcome.is_scored]
    return min(read_level(e.jail) for e in told).word if told else ""


class Layer(enum.IntFlag):
    """Layers of the seal; a jail has all that the system offers."""

    PRIVILEGES = 1
    """no_new_privs, another user id when root, no capabilities, not dumpable, no new code."""
    LANDLOCK = 2
    """No file, no TCP port, no signal and no abstract socket outside."""
    RLIMITS = 4
    """Memory, files, processes, output and processor time."""
    SECCOMP = 8
    """An allow-list of system calls."""
    AUDIT = 16
    """Python's audit hook: for clear messages, not for safety."""
    CHANCE = 32
    """Random numbers follow from the episode, clocks from its steps: for repeatable scores."""

    KERNEL = PRIVILEGES | LANDLOCK | RLIMITS | SECCOMP
    ALL = KERNEL | AUDIT | CHANCE


@dataclass(frozen=True, slots=True)
class JailLimits:
    """What a policy may use. Seconds are processor time; time asleep counts like it.

    Attributes:
        step_seconds: One call of ``act``; calls for several lanes have it together.
        slow_seconds: By how much the calls of ``act`` of an episode may be behind a pace of a
            fiftieth of a second each. An episode that is slower fails alone, as timed out.
        start_seconds: Loading the policy; and constructing it at each reset.
        memory_bytes: Memory beyond that of the interpreter, for all lanes together.
        output_bytes: Kept of the policy's prints; the rest is dropped.
        source_bytes: Longest policy, in UTF-8.
        total_seconds: The whole life of a worker, a backstop.
        layers: Layers of the seal; fewer than all only in tests.
    """

    step_seconds: float = 1.0
    slow_seconds: float = 5.0
    episode_seconds: float = 240.0
    start_seconds: float = 10.0
    memory_bytes: int = 512 * 1024 * 1024
    output_bytes: int = 64 * 1024
    source_bytes: int = 256 * 1024
    total_seconds: int = 6 * 60 * 60
    layers: Layer = Layer.ALL


@dataclass(frozen=True, slots=True)
class JailReport:
    """The seal of a worker, as its self-test found it before the policy arrived.

    Attributes:
        layers: Layer to "on", with details, or "off: " and the reason.
        probes: Forbidden act to "refused (EPERM)" or "POSSIBLE".
    """

    level: JailLevel
    layers: tuple[tuple[str, str], ...] = ()
    probes: tuple[tuple[str, str], ...] = ()

    @property
    def line(self) -> str:
        """Describe the seal in one line."""
        on = [name + state[2:] for name, state in self.layers if state.startswith("on")]
        off = [f"{name} ({state[5:]})" for name, state in self.layers if state.startswith("off: ")]
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
    """A policy raised, returned no action, took too long, or its process ended.

    Attributes:
        outcome: POLICY_RAISED, BAD_ACTION, TIMED_OUT or DIED.
        detail: What happened, escaped and cut.
        lane: The lane that failed, or None if the whole process is lost.
    """

    def __init__(self, outcome: Outcome, detail: str, *, lane: int | None = None) -> None:
        super().__init__(f"{outcome.value}: {detail}")
        self.outcome, self.detail, self.lane = outcome, detail, lane
