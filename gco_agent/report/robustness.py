"""Measure what a policy scores under conditions that differ from those of its score.

A policy that memorized one trajectory scores as before without sticky actions, and fails under
other conditions.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from gco_agent.core.records import Evaluation, PlayProtocol
from gco_agent.core.statistics import Gain, confidence_interval, paired_gain
from gco_agent.envs.atari import switches_of
from gco_agent.evaluation.judge import Judge, Watcher
from gco_agent.evaluation.workers import WorkerPool
from gco_agent.jail import JailLevel
from gco_agent.policy.source import PolicySource

_FRAME_SKIPS = (3, 5)
_NOOP_FRAMES = 30
_NOISE_PX = (1.0, 2.0)
_NOISE_SHARES = (0.01, 0.05)
_DROPOUTS = (0.05, 0.2)
_STICKY = 0.25
_MOST_SWITCHES = 3
"""Maximum of modes, and of difficulties, beyond the first."""


@dataclass(frozen=True, slots=True)
class Line:
    """The result of a policy under one condition.

    Attributes:
        evaluation: The episodes, on the same seeds under every condition.
        change: Difference to the first condition, paired by seed; None for the first, and if
            either has no score.
    """

    name: str
    evaluation: Evaluation
    change: Gain | None

    @property
    def interval(self) -> tuple[float, float] | None:
        """The 95 % interval of the mean return."""
        return confidence_interval(self.evaluation.returns) if self.evaluation.is_valid else None


def conditions(rules: PlayProtocol) -> dict[str, PlayProtocol]:
    """Return the conditions of a card: the rules themselves, and variations of one thing each."""
    found: dict[str, dict[str, float]] = {f"as scored (sticky {rules.sticky:g})": {}}
    if not rules.has_objects:
        found[f"sticky {_STICKY:g}"] = {"sticky": _STICKY}
        found |= {f"numbers off by {s:.0%} (sd)": {"noise_share": s} for s in _NOISE_SHARES}
        found |= {f"the observation before, in {d:.0%}": {"dropout": d} for d in _DROPOUTS}
    else:
        modes, difficulties = (v[1 : _MOST_SWITCHES + 1] for v in switches_of(rules.env_id))
        n_frames = rules.max_steps * rules.frame_skip
        found |= {f"sticky {s:g}": {"sticky": s} for s in (0.0, _STICKY) if s != rules.sticky}
        found[f"no-op start, up to {_NOOP_FRAMES} frames"] = {"noop_frames": _NOOP_FRAMES}
        found |= {
            f"frame skip {skip}": {"frame_skip": skip, "max_steps": max(1, n_frames // skip)}
            for skip in _FRAME_SKIPS
            if skip != rules.frame_skip
        }
        found |= {f"ALE difficulty {value}": {"difficulty": value} for value in difficulties}
        found |= {f"ALE mode {value}": {"mode": value} for value in modes}
        found |= {f"places off by {px:g} px (sd)": {"noise_px": px} for px in _NOISE_PX}
        found |= {f"objects missed {d:.0%}": {"dropout": d} for d in _DROPOUTS}
    return {name: replace(rules, **changes) for name, changes in found.items()}  # type: ignore[arg-type]


def measure(
    source: PolicySource,
    found: Mapping[str, PlayProtocol],
    seeds: Sequence[int],
    pool: WorkerPool,
    require: JailLevel = JailLevel.NONE,
    *,
    watch: Watcher | None = None,
) -> Iterator[Line]:
    """Play a policy under each condition on the same seeds, and yield the results."""
    first: Evaluation | None = None
    for number, (name, rules) in enumerate(found.items()):

        def progress(done: int, _: int, before: int = number * len(seeds)) -> None:
            if watch is not None:
                watch(before + done, len(found) * len(seeds))

        played = Judge(pool, rules, require).evaluate(source, seeds, progress)
        is_comparable = first is not None and first.is_valid and played.is_valid
        change = paired_gain(played.returns, first.returns) if first and is_comparable else None
        first = first or played
        yield Line(name, played, change)
