"""What a race came to, in sentences for commits, for whoever proposes, and for the terminal."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from gco_agent.core.codec import readable
from gco_agent.core.errors import UsageError
from gco_agent.core.events import Committed, Progress
from gco_agent.core.records import Evaluation, Usage
from gco_agent.core.seeds import Stream
from gco_agent.core.statistics import Gain, no_worse_p_value
from gco_agent.evaluation.judge import Judge, Race, behaviour
from gco_agent.jail.limits import weakest_jail
from gco_agent.llm import Exchange, Spending, parse_exchanges
from gco_agent.loop import proposals as tries
from gco_agent.loop.budget import Budget
from gco_agent.loop.proposals import ProposalRecord
from gco_agent.optimizers.base import CANDIDATES_OWN, EXCHANGE_FILE
from gco_agent.policy import PolicySource
from gco_agent.policy.complexity import measure
from gco_agent.policy.header import with_measured_header
from gco_agent.store.entries import Entry, Facts, Verdict, headline
from gco_agent.store.run import Run
from gco_agent.store.view import RunView, Step, evidence_folder


def describe_race(race: Race) -> str:
    """What the race came to, in sentences."""
    n = len(race.child.episodes)
    if race.gain is None:
        return _failure(race)
    text = (
        f"On {n} selection seeds the candidate's mean return is {race.child.mean_return:.2f}, its "
        f"parent's {race.parent.mean_return:.2f}: a gain of {_points(race.gain)} a pair "
        f"({_test(race, race.gain)}; {_asked(race, n)})."
    )
    return text + (" The time was up before the race was decided." if race.cut_short else "")


def _points(gain: Gain) -> str:
    error = f" ± {gain.standard_error:.2f}" if gain.standard_error is not None else ""
    return f"{gain.mean:+.2f}{error}"


def _test(race: Race, gain: Gain) -> str:
    """What was tested, and its p value."""
    if race.margin is None:
        return f"one-sided p = {gain.p_value:.2g}"
    over = ""
    if race.anchor is not None:
        gain = race.anchor.gain
        over = f"{_points(gain)} over the last policy that had to be better, "
    p_value = no_worse_p_value(gain, race.margin)
    return f"{over}one-sided p = {p_value:.2g} for a loss of {race.margin:.2f} or more"


def _asked(race: Race, n: int) -> str:
    if not race.asked:
        return f"after {n} pairs none is accepted"
    return f"at most {race.asked:.2g} is asked for after {n} pairs"


def _failure(race: Race) -> str:
    """Who failed and how; where it was the parent, how the candidate did beside it."""
    broken = (race.child.failures or race.parent.failures)[0]
    who = "The candidate" if race.child.failures else "The parent"
    told = (
        f"{who} failed in an episode (seed {broken.seed}, step {broken.n_steps}, "
        f"{broken.outcome.value}):\n\n"
        + "\n".join(f"    {line}" for line in broken.detail.splitlines())
    )
    if race.child.failures:
        return told
    n, n_finished = len(race.child.episodes), len(race.parent.episodes) - len(race.parent.failures)
    told += f"\n\nThe candidate finished all {n}, its parent {n_finished}"
    if race.shared is None:
        return f"{told}."
    return f"{told}: on these the candidate's gain is {_points(race.shared)} a pair."


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


EPISODES = "evaluation.json"
"""The file of an iteration that holds its episodes."""
ACTIONS = "actions.json"
"""The file that holds the actions of its candidate, seed to `action_record`. Not those of the
parent, which is the candidate of an earlier iteration: evidence should stay small."""


ERROR_FILE = "error.txt"


@dataclass(frozen=True, slots=True)
class Judged:
    """A try and its race.

    Attributes:
        tried: What was proposed, or why nothing was.
        race: Against the parent; None if there was nothing to race.
    """

    tried: ProposalRecord
    race: Race | None

    @property
    def is_scored(self) -> bool:
        """Whether the candidate played all its episodes to an end that counts."""
        return self.race is not None and self.race.child.is_valid

    @property
    def is_won(self) -> bool:
        """Whether the candidate may take its parent's place."""
        return self.race is not None and self.race.verdict.is_won

    @property
    def gain(self) -> Gain | None:
        """What the race says of it; None without a race, or if an episode failed."""
        return self.race.gain if self.race else None

    @property
    def rank(self) -> float:
        """The higher, the better; to compare candidates of one iteration that were scored.

        By what the gain is surely above rather than by its mean, which favours those that are
        compared on few seeds, or vary most.
        """
        assert self.race is not None, self.what
        gain = self.race.gain or self.race.shared
        if gain is not None:
            return gain.lower_bound
        mean = self.race.child.mean_return  # the parent finished no episode
        return float("-inf") if mean is None else mean

    @property
    def error(self) -> str:
        """What went wrong, for the author; of a candidate that only lost, how it did."""
        return self.tried.error if self.race is None else describe_race(self.race)

    @property
    def what(self) -> str:
        """The edit in a few words."""
        return self.tried.proposal.summary if self.tried.proposal else "no candidate"


def best_of(judged: Sequence[Judged]) -> Judged:
    """The best of those that won; or of those that were scored; or the last."""
    for some in ([j for j in judged if j.is_won], [j for j in judged if j.is_scored]):
        if some:
            return max(some, key=lambda each: each.rank)  # the first of equals
    return judged[-1]


@dataclass
class IterationRecorder:
    """The accounts of one iteration.

    Attributes:
        run: Branch of the run.
        iteration: Its number.
        judge: Whose steps are counted from now on.
        begun: `time.perf_counter` value at its start.
        frames_before: Emulator frames that the run had used.
        optimizer: Who proposes.
        n_steps: Steps that the optimizer played, or others for it before.
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

    def conclude(
        self, progress: Progress, run: Run, parent: PolicySource, judged: Sequence[Judged]
    ) -> Committed:
        """Commit an iteration, and tell ``progress`` of it.

        The best of the candidates that won is the run's next policy; the others, those that won
        too among them, are kept beside the line, each with its evidence.
        """
        best = best_of(judged)
        entries = {id(each): self._entry(n, each, parent, best) for n, each in enumerate(judged)}
        others = [entries[id(each)] for each in judged if each is not best]
        if best.is_won:
            entry = self._with_total(entries[id(best)], judged)
            memory = _memory(judged[-1].tried)
            commit = run.accept(replace(entry, files={**memory, **entry.files}), rejected=others)
        else:
            entry = self._line(best, judged)
            commit = run.reject([entries[id(each)] for each in judged], entry)
        event = self.committed(entry.facts, best.gain, best.what, commit, run.standing.facts)
        if not best.is_won:
            event = replace(event, why=describe_verdict(entry.facts, entry.body))
        progress(event)
        return event

    def _entry(self, number: int, judged: Judged, parent: PolicySource, best: Judged) -> Entry:
        """The commit of one candidate, or of a try without one, the ``number``-th from 0."""
        tried, race, proposal = judged.tried, judged.race, judged.tried.proposal
        data = {"number": number, **tries.proposal_record_to_json(tried, with_files=False)}
        files = {**tried.files, tries.FILE: json.dumps(data, indent=1) + "\n"}
        if proposal is None or race is None:
            facts = self._facts(Verdict.FAILED, None, None, tried=tried)
            subject = headline(facts, judged.what, side=True)
            files[ERROR_FILE] = tried.error + "\n"
            policy = proposal.source.text if proposal else None
            body = f"{proposal.reason}\n\n{tried.error}" if proposal else tried.error
            return Entry(subject, body, facts, policy, files)
        verdict = Verdict.REJECTED if race.child.is_valid else Verdict.FAILED
        is_taken = judged.is_won and judged is best
        if is_taken:
            verdict = Verdict.ACCEPTED
        label = Stream.SELECTION.label(0, len(race.child.episodes))
        source = proposal.source
        files |= self.evidence(_played_in(race, source, parent))
        if race.child.is_valid:
            origin = f"{self.run}, iteration {self.iteration}"
            source = with_measured_header(
                source, self.judge.protocol, race.child, seeds=label, origin=origin
            )
        facts = self._raced(verdict, source, race, label, tried=tried)
        subject = headline(facts, proposal.summary, side=not is_taken)
        body = f"{proposal.reason}\n\n{describe_race(race)}"
        if judged.is_won and not is_taken:
            body += f" It won its race, as did a better candidate: {best.what}."
        return Entry(subject, body, facts, source.text, files)

    def _line(self, best: Judged, judged: Sequence[Judged]) -> Entry:
        """The line's commit where all were turned down: the policy stays, and they are told of."""
        race, proposal = best.race, best.tried.proposal
        if race is None or proposal is None:
            facts = self._facts(Verdict.FAILED, None, None)
        else:
            label = Stream.SELECTION.label(0, len(race.child.episodes))
            verdict = Verdict.REJECTED if race.child.is_valid else Verdict.FAILED
            facts = self._raced(verdict, proposal.source, race, label)
        told = [each.error for each in judged]
        if len(judged) > 1:
            told = [f"{number}. {text}" for number, text in enumerate(told, start=1)]
        entry = Entry(headline(facts, best.what), "\n\n".join(told), facts)
        return self._with_total(entry, judged)

    def _with_total(self, entry: Entry, judged: Sequence[Judged]) -> Entry:
        """The line's commit carries what the whole iteration used."""
        usage = tries.total_usage(each.tried for each in judged)
        return replace(entry, facts=_with_usage(entry.facts, usage))

    def reported(self, source: PolicySource, evaluation: Evaluation, seeds: str) -> Entry:
        """The same policy with its report score."""
        facts = self._facts(Verdict.REPORTED, source, evaluation, seeds=seeds)
        body = (
            "The policy did not change; its docstring now says what it scores on seeds that "
            "neither the optimizer nor the selection has seen."
        )
        files = self.evidence([(source, evaluation)])
        return Entry(headline(facts, "the score on report seeds"), body, facts, source.text, files)

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
        """The file that `recall_episodes` reads, and the actions for `verification`."""
        data = self.judge.episodes_to_json(evaluations)
        source, own = evaluations[0]
        actions = {str(e.seed): e.actions for e in own.episodes if e.actions}
        record = {"schema": 1, "policy": behaviour(source), "actions": actions}
        return {
            EPISODES: json.dumps(data, indent=1) + "\n",
            ACTIONS: json.dumps(record, indent=1) + "\n",
        }

    def _raced(
        self, verdict: Verdict, source: PolicySource, race: Race, seeds: str,
        tried: ProposalRecord | None = None,
    ) -> Facts:  # fmt: skip
        facts = self._facts(verdict, source, race.child, seeds=seeds, tried=tried)
        facts = replace(facts, jail=weakest_jail((*race.child.episodes, *race.parent.episodes)))
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
        tried: ProposalRecord | None = None,
    ) -> Facts:
        n_steps = self.n_steps + self.judge.n_steps - self._judged_before
        facts = Facts(
            self.run,
            self.iteration,
            verdict,
            optimizer=tried.optimizer if tried else self.optimizer,
            protocol=self.judge.protocol.stamp,
            steps=n_steps,
            frames=self.frames_before + n_steps * self.judge.protocol.frame_skip,
            seconds=round(time.perf_counter() - self.begun, 1),
        )
        if tried is not None:
            facts = _with_usage(facts, tried.usage)
        if evaluation is not None:
            facts = replace(
                facts,
                return_mean=evaluation.mean_return,
                return_se=evaluation.standard_error,
                episodes=len(evaluation.episodes),
                seeds=seeds,
                digest=evaluation.digest,
                jail=weakest_jail(evaluation.episodes),
            )
        if source is not None:
            size = measure(source.text)
            facts = replace(
                facts, loc=size.loc, cyclomatic=size.cyclomatic, nested_if=size.nested_if
            )
        return facts


def _with_usage(facts: Facts, usage: Usage | None) -> Facts:
    if usage is None:
        return facts
    return replace(facts, tokens_in=usage.tokens_in, tokens_out=usage.output_tokens, usd=usage.usd)


def _played_in(
    race: Race, source: PolicySource, parent: PolicySource
) -> list[tuple[PolicySource, Evaluation]]:
    """Every policy that a race played, the candidate first."""
    played = [(source, race.child), (parent, race.parent)]
    if race.anchor is not None:
        played.append((race.anchor.source, race.anchor.evaluation))
    return played


def _memory(tried: ProposalRecord) -> dict[str, str]:
    """What the optimizer that was asked last wants to find again."""
    return {name: text for name, text in tried.files.items() if name not in CANDIDATES_OWN}


def sum_known(*numbers: int | None) -> int | None:
    """The sum of those that are known; None if none is."""
    known = [number for number in numbers if number is not None]
    return sum(known) if known else None


def frames_used(run: Run) -> int:
    """Emulator frames that the run has used so far."""
    told = (step.facts.frames for step in run.history() if step.facts is not None)
    return max((frames for frames in told if frames is not None), default=0)


def open_spending(run: RunView, budget: Budget) -> Spending:
    """The account of what language models may still cost, and have cost this run so far.

    Read from the run once a command; from then on the same account is kept up.
    """
    if budget.spending is None:
        budget.spending = _read_spending(run, budget)
    return budget.spending


def _read_spending(run: RunView, budget: Budget) -> Spending:
    spent, at_risk = Usage(), Usage()
    paid: list[Step] = []
    for step in run.history():
        facts = step.facts
        if facts is not None and facts.tokens_in is not None:
            paid.append(step)
            spent += Usage(facts.tokens_in, output_tokens=facts.tokens_out or 0, usd=facts.usd)
    for exchange in read_exchanges(run, paid):
        at_risk += exchange.at_risk
    return Spending(budget.usd, budget.tokens, spent=spent, at_risk=at_risk)


def read_exchanges(run: RunView, steps: Sequence[Step]) -> list[Exchange]:
    """Every exchange that is kept with some iterations, those of all their candidates.

    All are read at once: git is started a single time.
    """
    wanted: list[tuple[str, str]] = []
    for step in steps:
        if step.facts is None:
            continue
        path = evidence_folder(step.facts.iteration) + EXCHANGE_FILE
        wanted += [(candidate.commit, path) for candidate in step.candidates]
        if step.facts.verdict.is_kept:
            wanted.append((step.commit, path))
    found: list[Exchange] = []
    for text in run.read_many(wanted):
        # written by a newer version, it cannot be read; what was paid stands in the trailers
        with contextlib.suppress(UsageError):
            found += parse_exchanges(text) if text else ()
    return found


def recall_episodes(run: RunView, judge: Judge) -> None:
    """Give ``judge`` every episode that the run's iterations recorded.

    Raises:
        StoreError: A record cannot be read.
    """
    steps = run.history()
    for step, text in zip(steps, run.evidence_of_all(steps, EPISODES), strict=True):
        if text is None:
            continue
        with readable(f"{EPISODES} of commit {step.commit[:9]}"):
            data = json.loads(text)
            if data["schema"] != 1:
                raise ValueError(f"schema {data['schema']!r}, and this reads 1")
            judge.remember(data)
