"""One run as the report shows it: trials, positions on the axes, reference scores, samples."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from gco_agent.core.errors import UsageError
from gco_agent.core.formatting import format_points
from gco_agent.core.records import PlayProtocol
from gco_agent.report.curves import Position, half_interval, positions
from gco_agent.store.config import RunConfig
from gco_agent.store.entries import Facts, Verdict
from gco_agent.store.view import OptimizerStats, Played, RunView, Trial, optimizer_stats

_WORDS = {
    "random": "random play",
    "LLM code, multi-step": "Kuang et al., multi-step",
    "LLM code, one-step": "Kuang et al., one-step",
    "PPO, sticky": "PPO, sticky actions",
}
_PAPER = "LLM code"


@dataclass(frozen=True, slots=True)
class Reference:
    """A published score, for scale.

    Attributes:
        name: Player or method.
        value: Mean return.
        source: Where it is reported.
        played: Rules of play, in a few words.
        is_drawn: Whether it is a line of the learning curve, too.
    """

    name: str
    value: float
    source: str
    played: str = ""
    is_drawn: bool = True

    @property
    def short_name(self) -> str:
        """Label in a drawing."""
        return self.name.partition(",")[0]


@dataclass(frozen=True, slots=True)
class Sample:
    """The returns of one policy, for a drawing seed by seed."""

    name: str
    played: tuple[Played, ...]


@dataclass(frozen=True, slots=True)
class RunReport:
    """The content of a report on one run.

    Attributes:
        branch: Name of the run.
        title: Title of the game.
        commit: Its last commit.
        config: Its settings.
        trials: Oldest first.
        positions: Positions of the trials along the axes.
        references: Published scores.
        optimizers: Totals of each optimizer.
        samples: Returns seed by seed: of the initial policy, the last accepted one, the report.
        policy: Text of the policy in force.
        path: Path of the policy file.
    """

    branch: str
    title: str
    commit: str
    config: RunConfig
    trials: list[Trial]
    positions: list[Position]
    references: tuple[Reference, ...]
    optimizers: list[OptimizerStats]
    samples: tuple[Sample, ...]
    policy: str
    path: str

    @property
    def n_iterations(self) -> int:
        """Number of the last iteration."""
        return max((t.iteration or 0 for t in self.trials), default=0)

    def count(self, verdict: Verdict) -> int:
        """Return how many trials have this verdict."""
        return sum(trial.verdict is verdict for trial in self.trials)

    @property
    def reported(self) -> Facts | None:
        """The facts of the last report, if that policy is still in force."""
        last = next((trial for trial in reversed(self.trials) if trial.is_kept), None)
        return last.facts if last and last.verdict is Verdict.REPORTED else None

    @property
    def facts_now(self) -> Facts | None:
        """What was measured for the policy in force."""
        return next((trial.facts for trial in self.trials if trial.in_force), None)

    @property
    def protocols(self) -> list[str]:
        """Protocol stamps of its numbers, without duplicates."""
        stamps = [t.facts.protocol for t in self.trials if t.facts and t.facts.protocol]
        return list(dict.fromkeys(stamps))

    @property
    def command(self) -> str:
        """The command that starts a run like this one."""
        config, rules = self.config, self.config.protocol
        game = config.game if rules.has_objects else rules.env_id
        others = [
            f" --{word} {value}"
            for word, value, usual in (
                ("protocol", rules.name, "default"),
                ("candidates", config.candidates, 1),
                ("horizon", config.horizon, 0),
                ("hints", config.hints, "interface"),
                ("trace-tokens", config.trace_tokens, 6_000),
                ("max-tokens", config.max_tokens, 32_000),
                ("model", config.model, ""),
                ("effort", config.effort, ""),
            )
            if value != usual
        ]
        if rules.has_objects and (rules.objects != "completed" or rules.name != "default"):
            others.append(f" --objects {rules.objects}")
        return (
            f"gco-agent run {game} --optimizer {config.optimizer} --seed {config.seed} "
            f"--slice-steps {config.slice_steps} --max-steps {rules.max_steps}{''.join(others)} "
            f"--iterations {max(1, self.n_tried)} --time 24h"
        )

    @property
    def n_tried(self) -> int:
        """Iterations that proposed something, or tried to."""
        return len({trial.line_commit for trial in self.trials if trial.verdict.is_trial})


def read_report(view: RunView) -> RunReport:
    """Read everything that a report shows of a run.

    Raises:
        UsageError: Its configuration is missing or cannot be read.
        StoreError: A commit of it is of another schema, or garbled.
    """
    config, trials = view.config(), view.trials()
    title, references = _references(config.protocol)
    return RunReport(
        view.ref.branch,
        title,
        view.tip,
        config,
        trials,
        positions(trials),
        references,
        optimizer_stats(view.history()),
        _samples(view, trials),
        view.policy(),
        view.policy_path,
    )


def score_in_words(facts: Facts | None) -> str:
    """Format a mean return and its interval: "6.05, 95 % interval 4.41 to 7.69 (30 episodes)"."""
    if facts is None or facts.return_mean is None:
        return "not measured"
    told = format_points(facts.return_mean)
    half = half_interval(facts)
    if half is not None:
        decimals = len(told.partition(".")[2])
        low, high = facts.return_mean - half, facts.return_mean + half
        told += f", 95 % interval {low:.{decimals}f} to {high:.{decimals}f}"
    return told + (f" ({facts.episodes} episodes, {facts.seeds})" if facts.episodes else "")


def _references(protocol: PlayProtocol) -> tuple[str, tuple[Reference, ...]]:
    """Return the title of the game and its published scores.

    Of the paper's two scores only the better is drawn, and of PPO's the one with sticky actions if
    the run has those.
    """
    from gco_agent.envs.environment import spec_of

    try:
        spec = spec_of(protocol)
    except UsageError:  # its package is not installed here
        return protocol.env_id, ()
    paper = [score for score in spec.scores if score.label.startswith(_PAPER)]
    best = max(paper, key=lambda score: score.value, default=None)
    hidden = {score.label for score in paper if score is not best}
    hidden.add("PPO" if protocol.sticky else "PPO, sticky")
    return spec.title, tuple(
        Reference(
            _WORDS.get(score.label, score.label),
            score.value,
            score.source,
            score.played,
            score.label not in hidden,
        )
        for score in spec.scores
    )


def _samples(view: RunView, trials: Sequence[Trial]) -> tuple[Sample, ...]:
    """Return the episodes of the initial policy, the last accepted one and the last report."""
    wanted = (Verdict.ACCEPTED, Verdict.REPORTED)
    last = [[t for t in trials if t.verdict is verdict][-1:] for verdict in wanted]
    chosen = [*trials[:1], *last[0], *last[1]]
    samples = (
        Sample(f"iteration {trial.iteration}, {trial.verdict}", details.played)
        for trial, details in zip(chosen, view.details(chosen), strict=True)
    )
    return tuple(sample for sample in samples if sample.played)
