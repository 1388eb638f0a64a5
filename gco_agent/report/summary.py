"""One run as the report tells it: its trials, what they came to, and how to see it again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from gco_agent.core.errors import UsageError
from gco_agent.core.formatting import format_points
from gco_agent.core.records import PlayProtocol
from gco_agent.report.curves import Position, half_interval, positions
from gco_agent.report.earned import Earned, earned_by_optimizer
from gco_agent.report.played import Played
from gco_agent.report.story import Trial, read_details, read_trials
from gco_agent.store.config import FILE, RunConfig, parse_config
from gco_agent.store.entries import Facts, Verdict
from gco_agent.store.view import RunView

_WORDS = {
    "random": "random play",
    "LLM code, multi-step": "Kuang et al., multi-step",
    "LLM code, one-step": "Kuang et al., one-step",
    "PPO, sticky": "PPO, sticky actions",
}
_PAPER = "LLM code"


@dataclass(frozen=True, slots=True)
class Reference:
    """A score that somebody reports, for scale.

    Attributes:
        name: Whose.
        value: Mean return.
        source: Where it is reported.
        played: By which rules, in a few words.
        is_drawn: Whether it is a line of the learning curve, too.
    """

    name: str
    value: float
    source: str
    played: str = ""
    is_drawn: bool = True

    @property
    def short_name(self) -> str:
        """For a label in a drawing."""
        return self.name.partition(",")[0]


@dataclass(frozen=True, slots=True)
class Sample:
    """The returns of one policy, for a drawing seed by seed."""

    name: str
    played: tuple[Played, ...]


@dataclass(frozen=True, slots=True)
class RunReport:
    """Everything that is told of one run.

    Attributes:
        branch: Its name.
        title: Of the game, as people write it.
        commit: Its last.
        config: What it was started with.
        trials: Oldest first.
        positions: Of the trials, along the axes.
        references: Scores for scale.
        earned: What each optimizer tried, gained and used.
        samples: Returns seed by seed: of the initial policy, the one in force, the report.
        policy: Text of the policy in force.
        path: Of the policy file.
    """

    branch: str
    title: str
    commit: str
    config: RunConfig
    trials: list[Trial]
    positions: list[Position]
    references: tuple[Reference, ...]
    earned: list[Earned]
    samples: tuple[Sample, ...]
    policy: str
    path: str

    @property
    def n_iterations(self) -> int:
        """Number of the last iteration."""
        return max((t.iteration or 0 for t in self.trials), default=0)

    def count(self, verdict: Verdict) -> int:
        """How many trials came to ``verdict``."""
        return sum(trial.verdict == verdict.value for trial in self.trials)

    @property
    def reported(self) -> Facts | None:
        """The facts of the last report, if that policy is still in force."""
        for trial in reversed(self.trials):
            if trial.is_kept:
                return trial.facts if trial.verdict == Verdict.REPORTED.value else None
        return None

    @property
    def facts_now(self) -> Facts | None:
        """What was measured of the policy in force."""
        return next((trial.facts for trial in self.trials if trial.in_force), None)

    @property
    def protocols(self) -> list[str]:
        """The rules of play that its numbers are of, without doubles."""
        stamps = [t.facts.protocol for t in self.trials if t.facts and t.facts.protocol]
        return list(dict.fromkeys(stamps))

    @property
    def command(self) -> str:
        """What starts a run like this one again."""
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
        told = (Verdict.ACCEPTED, Verdict.REJECTED, Verdict.FAILED)
        return len({t.line_commit for t in self.trials if t.verdict in {v.value for v in told}})


def read_report(view: RunView) -> RunReport:
    """Read a run whole.

    Raises:
        UsageError: Its configuration is missing or cannot be read.
        StoreError: A commit of it is of another schema, or garbled.
    """
    text = view.read(FILE)
    if text is None:
        raise UsageError(f"{view.ref.branch} has no {FILE}, so nobody knows how it is played")
    config = parse_config(text)
    trials = read_trials(view)
    title, references = _references(config.protocol)
    return RunReport(
        view.ref.branch,
        title,
        view.tip,
        config,
        trials,
        positions(trials),
        references,
        earned_by_optimizer(view.history()),
        _samples(view, trials),
        view.policy(),
        view.policy_path,
    )


def score_in_words(facts: Facts | None) -> str:
    """A mean return and its 95 % interval: "6.05, 95 % interval 4.41 to 7.69 (30 episodes)"."""
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
    """The title of what is played, and what others score in it.

    Of the scores of one kind only one is drawn: the better of the paper's two, and of PPO the one
    with sticky actions if the run has such.
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
    """Returns of the initial policy, of the last accepted one and of the last report."""
    first = trials[:1]
    accepted = [t for t in trials if t.verdict == Verdict.ACCEPTED.value][-1:]
    reported = [t for t in trials if t.verdict == Verdict.REPORTED.value][-1:]
    chosen = [*first, *accepted, *reported]
    named = [
        Sample(f"iteration {trial.iteration}, {trial.verdict}", details.played)
        for trial, details in zip(chosen, read_details(view, chosen), strict=True)
    ]
    return tuple(sample for sample in named if sample.played)
