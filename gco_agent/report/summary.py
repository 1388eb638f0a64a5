"""The content of a report on one run: trials, positions on the axes, published scores, samples."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from gco_agent.core.errors import UsageError
from gco_agent.core.records import Verdict
from gco_agent.core.statistics import FEWEST_FOR_INTERVAL, half_width
from gco_agent.core.text import format_points, format_score
from gco_agent.envs.environment import spec_of
from gco_agent.games.spec import Score
from gco_agent.loop.checks import require_trusted
from gco_agent.report.baselines import measured_here
from gco_agent.store.config import RunConfig
from gco_agent.store.entries import Facts
from gco_agent.store.view import OptimizerStats, Played, RunView, Trial, optimizer_stats

AXES = {
    "iteration": "iteration",
    "hours": "wall time of the iterations, hours",
    "frames": "frames, millions",
    "usd": "price of language models, US dollars",
}
"""Axes of the curves: key and title."""

Position = dict[str, float]
"""A value for each of `AXES`, by key."""

Bounds = tuple[float, float]
_ANY: Bounds = (-math.inf, math.inf)
_OPTIONS = ("candidates", "horizon", "hints", "trace_tokens", "max_tokens", "model", "effort")
"""Settings of a run that its command states where they are not the usual ones."""


class Point(NamedTuple):
    """A measured trial: its index, mean return, and the ends of the 95 % interval.

    The interval has no width where there are too few episodes for one.
    """

    trial: int
    mean: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class RunReport:
    """The content of a report on one run.

    Attributes:
        samples: Episodes of the initial policy, the last accepted one, and the last report.
        bounds: Least and greatest return of an episode; infinite where that is not known.
    """

    branch: str
    title: str
    commit: str
    config: RunConfig
    trials: list[Trial]
    positions: list[Position]
    references: tuple[Score, ...]
    optimizers: list[OptimizerStats]
    samples: dict[str, tuple[Played, ...]]
    policy: str
    path: str
    bounds: Bounds = _ANY

    @property
    def n_tried(self) -> int:
        """Iterations in which an optimizer was asked."""
        return len({trial.line_commit for trial in self.trials if trial.verdict.is_trial})

    @property
    def headline(self) -> str:
        """The result in a line: the score of the policy in force, and where it began."""
        now, first = self.facts_now, self.trials[0].facts
        if now is None or now.return_mean is None or first is None or first.return_mean is None:
            return ""
        where = "on report seeds" if now.verdict is Verdict.REPORTED else "in races"
        score = format_score(now.return_mean, now.return_se)
        return f"{score} points an episode {where}, from {format_points(first.return_mean)}"

    @property
    def facts_now(self) -> Facts | None:
        """Measured facts of the policy in force."""
        return next((trial.facts for trial in self.trials if trial.in_force), None)

    def count(self, verdict: str) -> int:
        """Return how many trials have this verdict."""
        return sum(trial.verdict == verdict for trial in self.trials)

    def points(self, *verdicts: Verdict) -> list[Point]:
        """Return the trials of these verdicts that have a mean return."""
        return [
            Point(i, trial.facts.return_mean, *_ends(trial.facts, self.bounds))
            for i, trial in enumerate(self.trials)
            if trial.verdict in verdicts and trial.facts and trial.facts.return_mean is not None
        ]

    def score_in_words(self, facts: Facts | None) -> str:
        """Format a score, with its interval within what the game allows."""
        return score_in_words(facts, self.bounds)

    @property
    def drawn_references(self) -> list[tuple[str, float]]:
        """Label and value of the published scores that a learning curve has, the lowest first.

        Of the paper's two scores it has the better one, and of PPO's the one that had sticky
        actions if the run has them.
        """
        scores = sorted(self.references, key=lambda score: score.value)
        paper = [score.label for score in scores if score.label.startswith("Kuang")]
        hidden = {*paper[:-1], "PPO" if self.config.protocol.sticky else "PPO, sticky"}
        return [
            (f"{score.label.partition(',')[0]} {format_points(score.value)}", score.value)
            for score in scores
            if score.label not in hidden
        ]

    @property
    def protocols(self) -> list[tuple[str, str]]:
        """The protocol stamps of its numbers, each once, with a label."""
        facts = [trial.facts for trial in self.trials if trial.facts and trial.facts.protocol]
        stamps = list(dict.fromkeys(str(each.protocol) for each in facts))
        if len(stamps) == 1:
            return [("protocol", stamps[0])]
        reported = {each.protocol for each in facts if each.verdict is Verdict.REPORTED}
        return [
            ("protocol of report" if stamp in reported else "protocol of races", stamp)
            for stamp in stamps
        ]

    @property
    def command(self) -> str:
        """The command that starts a run like this one."""
        config, rules = self.config, self.config.protocol
        usual = RunConfig(config.game, rules)
        others = [f" --protocol {rules.name}"] if rules.name != "default" else []
        others += [
            f" --{name.replace('_', '-')} {value}"
            for name in _OPTIONS
            if (value := getattr(config, name)) != getattr(usual, name)
        ]
        if rules.has_objects and (rules.objects != "completed" or rules.name != "default"):
            others.append(f" --objects {rules.objects}")
        return (
            f"gco-agent run {config.game if rules.has_objects else rules.env_id} "
            f"--optimizer {config.optimizer} --seed {config.seed} "
            f"--slice-steps {config.slice_steps} --max-steps {rules.max_steps}{''.join(others)} "
            f"--iterations {max(1, self.n_tried)} --time 24h"
        )


def read_report(view: RunView) -> RunReport:
    """Read everything that a report shows of a run."""
    config, trials = view.config(), view.trials()
    try:
        require_trusted(view.repo, config.protocol, view.ref.branch)
        spec = spec_of(config.protocol)
        title, references = spec.title, spec.scores
        least, most = spec.least, spec.most_in(config.protocol.max_steps)
    except UsageError:  # its module is not trusted, or its package not installed here
        title, references, least, most = config.protocol.env_id, (), None, None
    return RunReport(
        view.ref.branch,
        title,
        view.tip,
        config,
        trials,
        positions(trials),
        (*references, *measured_here(view, config.protocol.stamp)),
        optimizer_stats(view.history()),
        _samples(view, trials),
        view.policy(),
        view.policy_path,
        (-math.inf if least is None else least, math.inf if most is None else most),
    )


def positions(trials: Sequence[Trial]) -> list[Position]:
    """Return what the run had used at the end of each trial's iteration.

    The candidates of one iteration have one position; its cost is counted once.
    """
    used = dict.fromkeys(AXES, 0.0)
    counted: dict[str, tuple[float, float]] = {}
    found: list[Position] = []
    for trial in trials:
        facts = trial.facts
        if facts is not None:
            seconds, usd = facts.seconds or 0.0, facts.usd or 0.0
            before_s, before_usd = counted.get(trial.line_commit, (0.0, 0.0))
            used["hours"] += max(0.0, seconds - before_s) / 3600
            used["usd"] += max(0.0, usd - before_usd)
            used["frames"] = max(used["frames"], (facts.frames or 0) / 1e6)
            if facts.verdict is not Verdict.REPORTED:  # a score is not an iteration
                used["iteration"] = float(facts.iteration)
            counted[trial.line_commit] = max(seconds, before_s), max(usd, before_usd)
        found.append(dict(used))
    return found


def half_interval(facts: Facts | None) -> float | None:
    """Return half of Student's 95 % interval of a mean return; None below five episodes."""
    if facts is None or facts.return_se is None or (facts.episodes or 0) < FEWEST_FOR_INTERVAL:
        return None
    assert facts.episodes is not None
    return half_width(facts.return_se, facts.episodes)


def _interval(facts: Facts, bounds: Bounds) -> tuple[float, float] | None:
    """Return the 95 % interval of a mean return, cut to what the game allows, or None."""
    if facts.return_mean is None or (half := half_interval(facts)) is None:
        return None
    return max(facts.return_mean - half, bounds[0]), min(facts.return_mean + half, bounds[1])


def _ends(facts: Facts, bounds: Bounds) -> tuple[float, float]:
    return _interval(facts, bounds) or (facts.return_mean or 0.0,) * 2


def with_error(facts: Facts | None) -> tuple[str, str]:
    """Format the mean return and the gain, each with its standard error; "" for none."""
    if facts is None:
        return "", ""
    gain = "" if facts.gain is None else format_score(facts.gain, facts.gain_se, "+")
    return format_score(facts.return_mean, facts.return_se), gain


def score_in_words(facts: Facts | None, bounds: Bounds = _ANY) -> str:
    """Format a score: "6.05, 95 % interval 4.41 to 7.69 (30 episodes, report 0:30)"."""
    if facts is None or facts.return_mean is None:
        return "not measured"
    score = format_points(facts.return_mean)
    if half_interval(facts) == 0:
        score += ", the same in every episode"
    elif (ends := _interval(facts, bounds)) is not None:
        decimals = len(score.partition(".")[2])
        score += f", 95 % interval {ends[0]:.{decimals}f} to {ends[1]:.{decimals}f}"
    return score + (f" ({facts.episodes} episodes, {facts.seeds})" if facts.episodes else "")


def _samples(view: RunView, trials: Sequence[Trial]) -> dict[str, tuple[Played, ...]]:
    """Return the episodes of the initial policy, the last accepted one and the last report."""
    wanted = (Verdict.ACCEPTED, Verdict.REPORTED)
    last = [trial for v in wanted for trial in [t for t in trials if t.verdict is v][-1:]]
    chosen = [*trials[:1], *last]
    return {
        (
            "report seeds, policy in force"
            if trial.verdict is Verdict.REPORTED
            else f"iteration {trial.iteration}, {trial.verdict}"
        ): details.played
        for trial, details in zip(chosen, view.details(chosen), strict=True)
        if details.played
    }
