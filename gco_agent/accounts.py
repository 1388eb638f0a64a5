"""From what happened in an iteration to the commit that says so."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace

from gco_agent.complexity import measure
from gco_agent.judge import Judge, Race
from gco_agent.optimizers.base import Proposal
from gco_agent.policy import PolicySource
from gco_agent.progress import Committed, Progress
from gco_agent.records import Evaluation
from gco_agent.seeds import Stream
from gco_agent.statistics import ALPHA, Gain
from gco_agent.store.entries import Entry, Facts, Verdict, headline
from gco_agent.store.run import Run

_EPISODES = "evaluation.json"


@dataclass(frozen=True, slots=True)
class Rejection:
    """The two messages of an iteration that was turned down: beside the line, and on it."""

    candidate: Entry
    line: Entry


@dataclass
class Book:
    """The accounts of one iteration.

    Attributes:
        run: Branch of the run.
        iteration: Its number.
        judge: Whose steps are counted from now on.
        begun: `time.perf_counter` value at its start.
        frames_before: Emulator frames that the run had used.
        optimizer: Who proposes.
        n_steps: Steps that the optimizer played.
    """

    run: str
    iteration: int
    judge: Judge
    begun: float
    frames_before: int
    optimizer: str | None = None
    n_steps: int = 0

    def __post_init__(self) -> None:
        self._judged_before = self.judge.n_steps

    def initial(
        self, source: PolicySource, evaluation: Evaluation, top_files: Mapping[str, str]
    ) -> Entry:
        """Iteration 0: the policy a run starts from."""
        label = Stream.SELECTION.label(0, len(evaluation.episodes))
        facts = self._facts(Verdict.INITIAL, source, evaluation, seeds=label)
        body = "The policy that this run starts from."
        files = self.evidence([(source, evaluation)])
        return Entry(headline(facts), body, facts, source.text, files, dict(top_files))

    def accepted(
        self, source: PolicySource, proposal: Proposal, race: Race, files: Mapping[str, str],
        seeds: str,
    ) -> Entry:  # fmt: skip
        """The next policy of the run."""
        facts = self._raced(Verdict.ACCEPTED, source, race, seeds)
        body = f"{proposal.reason}\n\n{describe_race(race)}"
        return Entry(headline(facts, proposal.summary), body, facts, source.text, files)

    def rejected(
        self, source: PolicySource, proposal: Proposal, race: Race, files: Mapping[str, str],
        seeds: str,
    ) -> Rejection:  # fmt: skip
        """A candidate that was not better, or could not be scored."""
        verdict = Verdict.REJECTED if race.child.is_valid else Verdict.FAILED
        facts = self._raced(verdict, source, race, seeds)
        body = f"{proposal.reason}\n\n{describe_race(race)}"
        subject = headline(facts, proposal.summary, side=True)
        candidate = Entry(subject, body, facts, source.text, files)
        # the line's commit has the policy that stays, and tells what the candidate came to
        line = Entry(headline(facts, proposal.summary), describe_race(race), facts)
        return Rejection(candidate, line)

    def failure(self, error: str) -> Rejection:
        """An iteration without a candidate; what went wrong is kept."""
        facts = self._facts(Verdict.FAILED, None, None)
        line = Entry(headline(facts, "no candidate"), error, facts)
        candidate = Entry(
            headline(facts, "no candidate", side=True),
            error,
            facts,
            files={"error.txt": error + "\n"},
        )
        return Rejection(candidate, line)

    def reported(self, source: PolicySource, evaluation: Evaluation, seeds: str) -> Entry:
        """The same policy with its report score."""
        facts = self._facts(Verdict.REPORTED, source, evaluation, seeds=seeds)
        body = (
            "The policy did not change; its docstring now says what it scores on seeds that "
            "neither the optimizer nor the selection has seen."
        )
        files = self.evidence([(source, evaluation)])
        return Entry(headline(facts, "the score on report seeds"), body, facts, source.text, files)

    def tell(
        self, progress: Progress, run: Run, entry: Entry | Rejection, gain: Gain | None, what: str
    ) -> Committed:
        """Commit ``entry`` to ``run``, and tell ``progress`` of it."""
        if isinstance(entry, Rejection):
            facts = entry.line.facts
            commit = run.reject([entry.candidate], entry.line)
        else:
            facts = entry.facts
            write = run.report if facts.verdict is Verdict.REPORTED else run.accept
            commit = write(entry)
        event = self.committed(facts, gain, what, commit, run.standing.facts)
        if isinstance(entry, Rejection):
            event = replace(event, why=describe_verdict(facts, entry.line.body))
        progress(event)
        return event

    def committed(
        self, facts: Facts, gain: Gain | None, what: str, commit: str, standing: Facts | None = None
    ) -> Committed:
        """The event that an iteration is on the branch."""
        now = standing or facts
        return Committed(
            iteration=facts.iteration,
            verdict=facts.verdict.value,
            return_mean=now.return_mean,
            return_se=now.return_se,
            gain=gain,
            what=what,
            seconds=facts.seconds or 0.0,
            commit=commit,
            frames=facts.frames,
            usd=facts.usd,
            tokens=sum_known(facts.tokens_in, facts.tokens_out),
        )

    def evidence(self, evaluations: list[tuple[PolicySource, Evaluation]]) -> dict[str, str]:
        """The file that `recall_episodes` reads."""
        data = self.judge.episodes_to_json(evaluations)
        return {_EPISODES: json.dumps(data, indent=1) + "\n"}

    def _raced(self, verdict: Verdict, source: PolicySource, race: Race, seeds: str) -> Facts:
        facts = self._facts(verdict, source, race.child, seeds=seeds)
        gain = race.gain
        if gain is None:
            return facts
        return replace(facts, gain=gain.mean, gain_se=gain.standard_error, pairs=gain.n_pairs)

    def _facts(
        self,
        verdict: Verdict,
        source: PolicySource | None,
        evaluation: Evaluation | None,
        *,
        seeds: str | None = None,
    ) -> Facts:
        n_steps = self.n_steps + self.judge.n_steps - self._judged_before
        facts = Facts(
            self.run,
            self.iteration,
            verdict,
            optimizer=self.optimizer,
            protocol=self.judge.protocol.stamp,
            steps=n_steps,
            frames=self.frames_before + n_steps * self.judge.protocol.frame_skip,
            seconds=round(time.perf_counter() - self.begun, 1),
        )
        if evaluation is not None:
            facts = replace(
                facts,
                return_mean=evaluation.mean_return,
                return_se=evaluation.standard_error,
                episodes=len(evaluation.episodes),
                seeds=seeds,
                digest=evaluation.digest,
            )
        if source is not None:
            size = measure(source.text)
            facts = replace(
                facts, loc=size.loc, cyclomatic=size.cyclomatic, nested_if=size.nested_if
            )
        return facts


def describe_race(race: Race) -> str:
    """What the race came to, in sentences."""
    n = len(race.child.episodes)
    if race.gain is None:
        broken = (race.child.failures or race.parent.failures)[0]
        who = "The candidate" if race.child.failures else "The parent"
        return (
            f"{who} failed in an episode (seed {broken.seed}, step {broken.n_steps}, "
            f"{broken.outcome.value}):\n\n"
            + "\n".join(f"    {line}" for line in broken.detail.splitlines())
        )
    gain = race.gain
    error = f" ± {gain.standard_error:.2f}" if gain.standard_error is not None else ""
    text = (
        f"On {n} selection seeds the candidate's mean return is {race.child.mean_return:.2f}, its "
        f"parent's {race.parent.mean_return:.2f}: a gain of {gain.mean:+.2f}{error} a pair "
        f"(one-sided p = {gain.p_value:.2g}; {ALPHA:g} over all looks is asked for)."
    )
    return text + (" The time was up before the race was decided." if race.cut_short else "")


def describe_verdict(facts: Facts, body: str) -> str:
    """What decided against a candidate, in a few words.

    Args:
        facts: Of the iteration.
        body: Of its commit's message: a failure is told there, its last line last.
    """
    if facts.gain is not None:
        error = f" ± {facts.gain_se:.2f}" if facts.gain_se is not None else ""
        return f"a gain of {facts.gain:+.2f}{error} after {facts.pairs} pairs was not enough"
    if facts.verdict is not Verdict.FAILED:
        return ""
    told = body.partition("\n\nTurned down, and kept beside the line:")[0]
    lines = [line.strip() for line in told.splitlines() if line.strip()]
    return lines[-1] if lines else ""


def sum_known(*numbers: int | None) -> int | None:
    """The sum of those that are known; None if none is."""
    known = [number for number in numbers if number is not None]
    return sum(known) if known else None


def frames_used(run: Run) -> int:
    """Emulator frames that the run has used so far."""
    told = (step.facts.frames for step in run.history() if step.facts is not None)
    return max((frames for frames in told if frames is not None), default=0)


def recall_episodes(run: Run, judge: Judge) -> None:
    """Give ``judge`` every episode that the run's iterations recorded."""
    for step in run.history():
        text = run.evidence(step, _EPISODES)
        if text is not None:
            judge.remember(json.loads(text))
