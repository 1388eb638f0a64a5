"""The nouns of the project, as frozen records.

Nothing here opens a file, draws a random number or imports more than the standard library.
"""

from __future__ import annotations

import dataclasses
import enum
import hashlib
import math
import statistics
from dataclasses import dataclass, field


class Outcome(enum.Enum):
    """Why an episode stopped."""

    GAME_OVER = "game-over"
    """The environment ended it (terminated)."""
    HORIZON = "horizon"
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
        return self in (Outcome.GAME_OVER, Outcome.HORIZON)


@dataclass(frozen=True, slots=True)
class EpisodeResult:
    """What one episode came to.

    Attributes:
        seed: The seed given to ``env.reset``.
        episode_return: Undiscounted sum of rewards; of a failed episode, up to the failure.
        n_steps: Steps played, a policy call each; the call that failed is not among them.
        outcome: Why it ended.
        detail: For a failure, what happened, in one or a few lines fit to be shown.
        digest: Hash of the actions played, so that two machines can compare.
    """

    seed: int
    episode_return: float
    n_steps: int
    outcome: Outcome
    detail: str = ""
    digest: str = ""


@dataclass(frozen=True, slots=True)
class Evaluation:
    """The episodes of one policy over a list of seeds, under one protocol.

    Attributes:
        episodes: In the order of the seeds.
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


@dataclass(frozen=True, slots=True)
class PlayProtocol:
    """The rules of play that a score depends on; scores of different rules are not compared.

    Attributes:
        name: What people call it: "default", "reference".
        env_id: Gymnasium id of the environment that is played.
        frame_skip: Emulator frames a step.
        sticky: Probability that a frame repeats the action before (Machado et al. 2018, section
            5.2, arXiv:1709.06009).
        max_steps: Steps after which an episode is cut (truncated).
        actions: "minimal", those that the game uses, or "all", the console's 18.
        objects: "completed", or "ocatari" for OCAtari's own and no more.
        one_life: The loss of a life ends an episode.
        fires: FIRE is pressed for the policy at the start and after the loss of a life.
        restarts: Above 0: so many games in a row, told apart by the seed modulo this number, where
            the emulator has no chance in it.
        versions: What else decides the numbers, name to version: ale-py, ocatari, the ROM's hash.
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
    versions: tuple[tuple[str, str], ...] = field(default=())

    @property
    def stamp(self) -> str:
        """One line that says it all; equal stamps mean comparable scores."""
        parts = [
            self.name,
            self.env_id,
            f"frame_skip={self.frame_skip}",
            f"sticky={self.sticky:g}",
            f"max_steps={self.max_steps}",
            *self.unusual,
            *(f"{name}={version}" for name, version in self.versions),
        ]
        return " ".join(parts)

    @property
    def unusual(self) -> list[str]:
        """What few protocols change, and is written only by those."""
        names = ("actions", "objects", "one_life", "fires", "restarts")
        usual = {part.name: part.default for part in dataclasses.fields(self)}
        values = [(name, getattr(self, name)) for name in names]
        return [f"{name}={value}" for name, value in values if value != usual[name]]
