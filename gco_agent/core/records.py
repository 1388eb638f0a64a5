"""Frozen records that all packages share.

Nothing here opens a file, draws a random number or imports more than the standard library.
"""

from __future__ import annotations

import base64
import binascii
import dataclasses
import enum
import hashlib
import math
import statistics
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeAlias


class Outcome(enum.Enum):
    """Why an episode stopped."""

    GAME_OVER = "game-over"
    """The environment ended it (terminated)."""
    TRUNCATED = "horizon"  # as 0.1 stored it; see `word`
    """The step limit of the protocol ended it (truncated)."""
    POLICY_RAISED = "policy-raised"
    """The policy raised, at import, at construction or in ``act``."""
    BAD_ACTION = "bad-action"
    """``act`` returned something that is no action of the environment."""
    TIMED_OUT = "timed-out"
    """``act`` used more than the step's deadline."""
    DIED = "died"
    """The policy's process ended: memory limit, forbidden system call, ``os._exit``."""

    @property
    def is_scored(self) -> bool:
        """Whether the return of such an episode may enter an average."""
        return self in (Outcome.GAME_OVER, Outcome.TRUNCATED)

    @property
    def word(self) -> str:
        """How the outcome is called wherever it is shown."""
        return "truncated" if self is Outcome.TRUNCATED else self.value


class Verdict(enum.StrEnum):
    """Outcome of an iteration, or of one of its candidates."""

    INITIAL = "initial"
    ACCEPTED = "accepted"
    REJECTED = "rejected"
    INCONCLUSIVE = "inconclusive"
    """Ahead of its parent, by too little to tell with the pairs that were played."""
    FAILED = "failed"
    """There was no candidate, or it could not be scored."""
    ROLLED_BACK = "rolled-back"
    """The policy of an earlier commit is the run's policy again."""
    REPORTED = "reported"
    """The same policy, with its score on the report seeds."""
    BY_HAND = "by hand"

    @property
    def is_kept(self) -> bool:
        """Whether the commit's own policy is the one its facts were measured on."""
        return not self.is_turned_down

    @property
    def gives_policy(self) -> bool:
        """Whether the commit put its policy in force; a report measures one that is in force."""
        return self in (Verdict.INITIAL, Verdict.ACCEPTED, Verdict.ROLLED_BACK)

    @property
    def is_turned_down(self) -> bool:
        """Whether the run's policy stays as it was."""
        return self in (Verdict.REJECTED, Verdict.INCONCLUSIVE, Verdict.FAILED)

    @property
    def is_trial(self) -> bool:
        """Whether an optimizer proposed something in the iteration, or tried to."""
        return self is Verdict.ACCEPTED or self.is_turned_down


@dataclass(frozen=True, slots=True)
class EpisodeResult:
    """The result of one episode.

    Attributes:
        episode_return: Undiscounted sum of rewards; of a failed episode, up to the failure.
        n_steps: Steps played, a policy call each; the call that failed is not among them.
        detail: For a failure, what happened, in one or a few lines fit to be shown.
        digest: Hash of the actions played, so that two machines can compare.
        actions: The actions themselves, from `action_record.pack_actions`; empty where the episode
            was read back from a record. Not compared.
        jail: Level of the jail that it was played in; empty where that is not known, as of a policy
            that did not load. Not compared either.
        cpu_seconds: Processor time that the policy used; not compared.
        slowest_step_seconds: Of that, what its slowest step took; not compared.
    """

    seed: int
    episode_return: float
    n_steps: int
    outcome: Outcome
    detail: str = ""
    digest: str = ""
    actions: str = field(default="", compare=False, repr=False)
    jail: str = field(default="", compare=False)
    cpu_seconds: float = field(default=0.0, compare=False)
    slowest_step_seconds: float = field(default=0.0, compare=False)


@dataclass(frozen=True, slots=True)
class Evaluation:
    """The episodes of one policy over a list of seeds, under one protocol.

    Attributes:
        protocol: The rules they were played by, as `PlayProtocol.stamp` writes them.
    """

    episodes: tuple[EpisodeResult, ...]
    protocol: str

    @property
    def is_valid(self) -> bool:
        """Whether there is an episode, and every one may be scored."""
        return bool(self.episodes) and all(e.outcome.is_scored for e in self.episodes)

    @property
    def failures(self) -> tuple[EpisodeResult, ...]:
        """The episodes that may not be scored."""
        return tuple(e for e in self.episodes if not e.outcome.is_scored)

    @property
    def returns(self) -> tuple[float, ...]:
        """The return of every episode, in the order of the seeds."""
        return tuple(e.episode_return for e in self.episodes)

    @property
    def mean_return(self) -> float | None:
        """Mean return, or None when any episode failed: a failure is not a score of zero."""
        return statistics.fmean(self.returns) if self.is_valid else None

    @property
    def standard_error(self) -> float | None:
        """Standard error of the mean (sample deviation / sqrt n); None below two episodes."""
        if not self.is_valid or len(self.episodes) == 1:
            return None
        return statistics.stdev(self.returns) / math.sqrt(len(self.episodes))

    @property
    def digest(self) -> str:
        """Hash of all actions played, in the order of the seeds."""
        joined = " ".join(f"{e.seed}:{e.digest}" for e in self.episodes)
        return hashlib.sha256(joined.encode()).hexdigest()[:16]

    @property
    def n_steps(self) -> int:
        """Steps played, over all episodes."""
        return sum(e.n_steps for e in self.episodes)


OBJECTS = ("completed", "ocatari", "paper")
"""What may be observed of an Atari game."""


@dataclass(frozen=True, slots=True)
class PlayProtocol:
    """The rules that a score depends on; only scores under equal rules are compared.

    Attributes:
        frame_skip: Emulator frames a step.
        sticky: Probability that a frame repeats the previous action (Machado et al. 2018, section
            5.2, arXiv:1709.06009).
        max_steps: Steps after which an episode is truncated.
        actions: "minimal", those that the game uses, or "all", the console's 18.
        objects: "completed"; "ocatari" for the objects of OCAtari alone; "paper" for those that
            the paper's authors show to a policy.
        one_life: The loss of a life ends an episode.
        fires: FIRE is pressed for the policy at the start and after the loss of a life.
        restarts: If above 0, a seed selects one of this many games in a row (modulo), for an
            emulator without randomness.
        versions: Names and versions of everything else that affects the numbers: ale-py, the ROM's
            hash, ...
        noop_frames: An episode begins with up to this many no-op frames (Mnih et al. 2015,
            doi:10.1038/nature14236); their number depends on the seed.
        noise_px: Standard deviation of noise on the position of every object, in pixels.
        noise_share: Standard deviation of noise on the numbers of an array, as a share of each.
        dropout: Probability that an object is not seen in a step; without objects, that the
            previous observation is seen again.
    """

    name: str
    env_id: str
    frame_skip: int = 4
    sticky: float = 0.25
    max_steps: int = 27_000
    actions: str = "minimal"
    objects: str = "completed"
    one_life: bool = False
    fires: bool = False
    restarts: int = 0
    versions: tuple[tuple[str, str], ...] = ()
    mode: int = 0
    difficulty: int = 0
    noop_frames: int = 0
    noise_px: float = 0.0
    noise_share: float = 0.0
    dropout: float = 0.0

    @property
    def stamp(self) -> str:
        """All of it on one line; equal stamps mean comparable scores."""
        always = [f"{name}={_plain(getattr(self, name))}" for name in _IN_EVERY_STAMP]
        versions = [f"{name}={version}" for name, version in self.versions]
        return " ".join([self.name, self.env_id, *always, *self.unusual, *versions])

    @property
    def unusual(self) -> list[str]:
        """The rules that differ from the default, as ``name=value``."""
        elsewhere = {"name", "env_id", "versions", *_IN_EVERY_STAMP}
        return [
            f"{part.name}={_plain(getattr(self, part.name))}"
            for part in dataclasses.fields(self)
            if part.name not in elsewhere and getattr(self, part.name) != part.default
        ]

    @property
    def has_objects(self) -> bool:
        """Whether it is an Atari game, observed as objects."""
        return self.env_id.startswith("gco/")

    @property
    def is_disturbed(self) -> bool:
        """Whether the policy's observations differ from what the environment returns."""
        return bool(self.noop_frames or self.noise_px or self.noise_share or self.dropout)


_IN_EVERY_STAMP = ("frame_skip", "sticky", "max_steps")


def _plain(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


@dataclass(frozen=True, slots=True)
class Usage:
    """What exchanges with a language model used; usages add up.

    Attributes:
        input_tokens: Read at full price: neither from the cache nor written to it.
        cache_write_tokens: Read, and written to the server's cache.
        cache_read_tokens: Read from the cache.
        output_tokens: Written by the model, its thinking included.
        thinking_tokens: Of the output, what was thinking.
        usd: Price in US dollars; None where the price of the tokens is not known.
    """

    input_tokens: int = 0
    cache_write_tokens: int = 0
    cache_read_tokens: int = 0
    output_tokens: int = 0
    thinking_tokens: int = 0
    usd: float | None = 0.0

    def __post_init__(self) -> None:
        read = (self.input_tokens, self.cache_write_tokens, self.cache_read_tokens)
        if min(*read, self.output_tokens, self.thinking_tokens, self.usd or 0.0) < 0:
            raise ValueError("a usage is negative")

    def __add__(self, other: Usage) -> Usage:
        """Add both; an unknown price makes the sum unknown."""
        known = self.usd is not None and other.usd is not None
        return Usage(
            self.input_tokens + other.input_tokens,
            self.cache_write_tokens + other.cache_write_tokens,
            self.cache_read_tokens + other.cache_read_tokens,
            self.output_tokens + other.output_tokens,
            self.thinking_tokens + other.thinking_tokens,
            (self.usd or 0.0) + (other.usd or 0.0) if known else None,
        )

    @property
    def tokens_in(self) -> int:
        """All tokens that were sent, cached or not."""
        return self.input_tokens + self.cache_write_tokens + self.cache_read_tokens

    @property
    def total_tokens(self) -> int:
        """All tokens, sent and received."""
        return self.tokens_in + self.output_tokens


_LONGEST = 1 << 22
"""Most steps that a record of actions may have."""


def digest_actions(actions: bytes | bytearray) -> str:
    """Return a hash of the actions, one byte each."""
    return hashlib.sha256(actions).hexdigest()[:16]


def pack_actions(actions: bytes | bytearray) -> str:
    """Compress the actions, one byte each, to text without quotes or backslashes."""
    return base64.b85encode(zlib.compress(actions, 9)).decode("ascii")


def unpack_actions(text: str) -> bytes:
    """Return the actions that `pack_actions` compressed; the text is not trusted."""
    try:
        packed = base64.b85decode(text.encode("ascii"))
        stream = zlib.decompressobj()
        actions = stream.decompress(packed, _LONGEST)
    except (UnicodeEncodeError, ValueError, binascii.Error, zlib.error) as error:
        raise ValueError(f"not a record of actions: {error}") from None
    if not stream.eof or stream.unused_data:
        raise ValueError("not a record of actions: cut off, or too long")
    return actions


def first_different_step(one: bytes, other: bytes) -> int | None:
    """Return the first step, from 0, at which two episodes differ, or None.

    Where one is the beginning of the other that is the step after its last.
    """
    if one == other:
        return None
    pairs = enumerate(zip(one, other, strict=False))
    return next((step for step, (a, b) in pairs if a != b), min(len(one), len(other)))


class Shown(str):
    """What stands for a value that is not plain: "obs", "<Target object>", "... 12 more".

    Text to be shown as it is, where a `str` that a policy made is shown in quotes.
    """

    __slots__ = ()

    def __repr__(self) -> str:
        return str(self)


Plain: TypeAlias = "bool | int | float | str | tuple[Plain, ...] | dict[str, Plain] | None"
"""A recorded value: numbers, short texts, and tuples and dictionaries of those."""


@dataclass(frozen=True, slots=True)
class ComponentCall:
    """One call of a function of the policy.

    Attributes:
        name: Of the function; of a method of ``Policy`` without the class.
        inputs: Parameter to value, in order, without ``self``.
        output: What it returned; None if it raised.
        lines: Lines of the policy that ran in it, from 1, in ascending order; those of helpers
            without a record of their own included.
        depth: 0 for ``act``, 1 for what ``act`` called.
        error: Type and message of the exception that left it, or None.
    """

    name: str
    inputs: Mapping[str, Plain]
    output: Plain
    lines: tuple[int, ...]
    depth: int
    error: str | None = None
