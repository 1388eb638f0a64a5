"""The episodes that an iteration keeps as evidence, read back; pure text to records."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from gco_agent.core.codec import readable
from gco_agent.core.errors import StoreError

FILE = "evaluation.json"
_SCHEMA = 1


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
    with readable(f"{FILE} of {where}"):
        data = json.loads(text)
        if data.get("schema") != _SCHEMA:
            raise StoreError(
                f"{FILE} of {where} has schema {data.get('schema')!r}, and this version of "
                f"gco-agent reads schema {_SCHEMA}: use the version that wrote it, or the newest"
            )
        # the first is the candidate, the second its parent, unless they play alike
        mine, *others = data["policies"].values()
        returns = {int(e["seed"]): float(e["return"]) for e in (others[0] if others else ())}
        return tuple(_played(e, returns) for e in mine)


def _played(episode: Mapping[str, Any], others: Mapping[int, float]) -> Played:
    seed, gained = int(episode["seed"]), float(episode["return"])
    if not math.isfinite(gained) or not math.isfinite(others.get(seed, 0.0)):
        raise ValueError("no return of any episode")
    return Played(
        seed,
        gained,
        int(episode["steps"]),
        str(episode["outcome"]),
        str(episode.get("detail", "")),
        others.get(seed),
    )
