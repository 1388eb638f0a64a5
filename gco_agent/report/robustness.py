"""The robustness card of a policy: what it scores where things are not quite as it knows them.

A policy that learned one trajectory by heart scores as ever at sticky 0 and falls apart elsewhere.
The only module that draws with matplotlib, lazily.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from gco_agent.core.records import Evaluation, PlayProtocol
from gco_agent.core.statistics import Gain, confidence_interval, paired_gain
from gco_agent.envs.atari import switches_of
from gco_agent.evaluation.judge import Judge, Watcher
from gco_agent.evaluation.workers import WorkerPool
from gco_agent.jail import JailLevel
from gco_agent.policy import PolicySource
from gco_agent.report.static import require_picture, save_figure

_FRAME_SKIPS = (3, 5)
_NOOP_FRAMES = 30
_NOISE_PX = (1.0, 2.0)
_NOISE_SHARES = (0.01, 0.05)
_DROPOUTS = (0.05, 0.2)
_STICKY = 0.25
_MOST_SWITCHES = 3
"""Of modes, and of difficulties, beyond the first."""


@dataclass(frozen=True, slots=True)
class Condition:
    """One way to play: a name that people read, and the rules."""

    name: str
    rules: PlayProtocol


@dataclass(frozen=True, slots=True)
class Line:
    """What a policy came to under one condition.

    Attributes:
        condition: Which.
        evaluation: The episodes, on the same seeds under every condition.
        change: Against the first condition, paired by seed; None if either is not valid, and of
            the first.
    """

    condition: Condition
    evaluation: Evaluation
    change: Gain | None

    @property
    def interval(self) -> tuple[float, float] | None:
        """The 95 % interval of the mean return."""
        return confidence_interval(self.evaluation.returns) if self.evaluation.is_valid else None


def conditions(rules: PlayProtocol) -> list[Condition]:
    """What a card has: the rules as they are, and variations of one thing each.

    An episode is cut after the same number of frames under each of them.
    """
    if not rules.has_objects:
        return _plain_conditions(rules)
    modes, difficulties = switches_of(rules.env_id)
    found = [Condition(f"as scored (sticky {rules.sticky:g})", rules)]
    found += [
        Condition(f"sticky {sticky:g}", replace(rules, sticky=sticky))
        for sticky in (0.0, _STICKY)
        if sticky != rules.sticky
    ]
    found.append(
        Condition(
            f"no-op start, up to {_NOOP_FRAMES} frames", replace(rules, noop_frames=_NOOP_FRAMES)
        )
    )
    for skip in _FRAME_SKIPS:
        if skip != rules.frame_skip:
            most = max(1, rules.max_steps * rules.frame_skip // skip)
            cut = replace(rules, frame_skip=skip, max_steps=most)
            found.append(Condition(f"frame skip {skip}", cut))
    for value in difficulties[1 : _MOST_SWITCHES + 1]:
        found.append(Condition(f"ALE difficulty {value}", replace(rules, difficulty=value)))
    for value in modes[1 : _MOST_SWITCHES + 1]:
        found.append(Condition(f"ALE mode {value}", replace(rules, mode=value)))
    for noise in _NOISE_PX:
        found.append(Condition(f"places off by {noise:g} px (sd)", replace(rules, noise_px=noise)))
    for dropout in _DROPOUTS:
        found.append(Condition(f"objects missed {dropout:.0%}", replace(rules, dropout=dropout)))
    return found


def _plain_conditions(rules: PlayProtocol) -> list[Condition]:
    """Of an environment without a console: its actions stick, its numbers are off or late."""
    return [
        Condition(f"as scored (sticky {rules.sticky:g})", rules),
        Condition(f"sticky {_STICKY:g}", replace(rules, sticky=_STICKY)),
        *(
            Condition(f"numbers off by {share:.0%} (sd)", replace(rules, noise_share=share))
            for share in _NOISE_SHARES
        ),
        *(
            Condition(f"the observation before, in {dropout:.0%}", replace(rules, dropout=dropout))
            for dropout in _DROPOUTS
        ),
    ]


def measure(
    source: PolicySource,
    found: Sequence[Condition],
    seeds: Sequence[int],
    pool: WorkerPool,
    require: JailLevel = JailLevel.NONE,
    *,
    watch: Watcher | None = None,
) -> Iterator[Line]:
    """Play a policy under each condition on the same seeds, and yield what it came to.

    Args:
        source: The policy.
        found: From `conditions`; the first is what the others are compared with.
        seeds: An episode each, under every condition.
        pool: Who plays.
        require: The jail must be at least this good.
        watch: Called with the episodes played so far, over all conditions, and how many there are.
    """
    first: Evaluation | None = None
    n_all = len(found) * len(seeds)
    for number, condition in enumerate(found):
        before = number * len(seeds)

        def told(done: int, _: int, before: int = before) -> None:
            if watch is not None:
                watch(before + done, n_all)

        played = Judge(pool, condition.rules, require).evaluate(source, seeds, told)
        change = None
        if first is not None and first.is_valid and played.is_valid:
            change = paired_gain(played.returns, first.returns)
        first = first or played
        yield Line(condition, played, change)


def draw(lines: Sequence[Line], title: str, path: Path) -> None:
    """Draw the card: a row a condition, with the mean, its interval, and each episode.

    Raises:
        UsageError: As `require_picture`, or the file cannot be written.
    """
    require_picture(path)
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 0.9 + 0.34 * len(lines)), layout="constrained")
    axes = figure.add_subplot()
    scored = [(row, line) for row, line in enumerate(lines) if line.evaluation.is_valid]
    for row, line in scored:
        _draw_line(axes, row, line)
    if (first := lines[0].evaluation.mean_return) is not None:
        axes.axvline(first, color="0.6", linewidth=1, zorder=0)
    for row, line in enumerate(lines):
        if not line.evaluation.is_valid:
            axes.text(0.01, row, "no score: the policy failed", va="center", fontsize=9,
                      transform=axes.get_yaxis_transform(), color="#b3261e")  # fmt: skip
    axes.set_yticks(range(len(lines)), [line.condition.name for line in lines])
    axes.set_ylim(len(lines) - 0.5, -0.5)
    axes.set_xlabel("return, points an episode: mean, 95 % interval, and every episode")
    axes.set_title(title, fontsize=10, loc="left", parse_math=False)
    axes.grid(axis="x", color="0.9")
    axes.spines[["top", "right", "left"]].set_visible(False)
    save_figure(figure, path)


def _draw_line(axes: Any, row: int, line: Line) -> None:  # noqa: ANN401 - matplotlib has it so
    mean, colour = line.evaluation.mean_return, "#0b5fcc" if row == 0 else "#3b4754"
    returns = line.evaluation.returns
    axes.plot(returns, [row] * len(returns), "|", color=colour, alpha=0.35, markersize=9)
    if line.interval is not None:
        axes.plot(line.interval, [row, row], color=colour, linewidth=2, solid_capstyle="round")
    axes.plot([mean], [row], "o", color=colour, markersize=6)
