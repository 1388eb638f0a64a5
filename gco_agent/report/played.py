"""The episodes that an iteration keeps as evidence, read back; pure text to records."""

from __future__ import annotations

from dataclasses import dataclass

from gco_agent.core.codec import readable
from gco_agent.evaluation.evidence import parse_evidence

FILE = "evaluation.json"


@dataclass(frozen=True, slots=True)
class Played:
    """One seed, played by a candidate and, in a race, by the policy it was raced against.

    Attributes:
        seed: What went into ``env.reset``.
        episode_return: The candidate's.
        n_steps: Steps it played.
        outcome: Why its episode ended.
        detail: For a failure, what happened.
        parent_return: The other policy's, or None.
    """

    seed: int
    episode_return: float
    n_steps: int
    outcome: str
    detail: str = ""
    parent_return: float | None = None

    @property
    def difference(self) -> float | None:
        """Candidate minus parent."""
        return None if self.parent_return is None else self.episode_return - self.parent_return


def parse_played(text: str | None, where: str) -> tuple[Played, ...]:
    """The seeds of an ``evaluation.json``; none where there is no such file.

    Args:
        text: What it holds.
        where: Which iteration, for the message.

    Raises:
        StoreError: It is of another schema, or garbled.
    """
    if text is None:
        return ()
    evidence = parse_evidence(text, f"{FILE} of {where}")
    with readable(f"{FILE} of {where}"):
        # the first is the candidate, the second its parent
        mine, *others = evidence.policies.values()
        returns = {e.seed: e.episode_return for e in (others[0] if others else ())}
        return tuple(
            Played(
                e.seed, e.episode_return, e.n_steps, e.outcome.value, e.detail, returns.get(e.seed)
            )
            for e in mine
        )
