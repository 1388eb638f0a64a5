"""From the candidates of an iteration to its commits, and back: what a run's commits hold."""

from __future__ import annotations

import contextlib
import json
import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from gco_agent.core import codec
from gco_agent.core.errors import GcoError, UsageError
from gco_agent.core.events import Committed
from gco_agent.core.records import Evaluation, Usage, Verdict
from gco_agent.core.seeds import format_seeds
from gco_agent.core.statistics import Gain
from gco_agent.core.statistics import Verdict as RaceVerdict
from gco_agent.evaluation.judge import Judge, Race
from gco_agent.jail.limits import weakest_jail
from gco_agent.llm.asking import Spending
from gco_agent.llm.base import Exchange, parse_exchanges
from gco_agent.loop.budget import Budget
from gco_agent.loop.candidate import (
    FILE,
    Candidate,
    StoredCandidate,
    describe_result,
    describe_verdict,
    store_candidate,
    total_usage,
)
from gco_agent.optimizers.base import CANDIDATES_OWN, EXCHANGE_FILE
from gco_agent.policy.source import PolicySource, measure
from gco_agent.store.entries import Entry, Facts, headline
from gco_agent.store.evidence import format_evidence, parse_evidence
from gco_agent.store.run import Run
from gco_agent.store.view import EPISODES_FILE, RunView, Step, evidence_folder

EPISODES = EPISODES_FILE
ACTIONS = "actions.json"
"""Evidence file with the actions of its candidate by seed. Those of the parent, which is the
candidate of an earlier iteration, are left out: evidence should stay small."""
ERROR_FILE = "error.txt"
_EDITED = "It edits an inconclusive candidate, not the policy in force.\n\n"


@dataclass
class IterationRecorder:
    """Make the commits of one iteration."""

    run: str
    iteration: int
    judge: Judge
    frames_before: int = 0
    optimizer: str | None = None
    n_steps: int = 0
    begun: float = field(default_factory=time.perf_counter)

    def __post_init__(self) -> None:
        self._judged_before = self.judge.n_steps

    @property
    def steps_used(self) -> int:
        """Steps of the iteration until now."""
        return self.n_steps + self.judge.n_steps - self._judged_before

    def initial(
        self, source: PolicySource, evaluation: Evaluation, top_files: Mapping[str, str]
    ) -> Entry:
        """Compose iteration 0: the policy a run starts from."""
        facts = self._facts(Verdict.INITIAL, source, evaluation)
        body = "The policy that this run starts from."
        files = _evidence([(source, evaluation)])
        return Entry(headline(facts), body, facts, source.text, files, dict(top_files))

    def reported(self, source: PolicySource, evaluation: Evaluation) -> Entry:
        """Compose the commit of a report: the policy as it is, with its score."""
        facts = self._facts(Verdict.REPORTED, source, evaluation)
        body = (
            "The policy did not change. This is its score on seeds that neither the optimizer nor "
            "the selection has seen."
        )
        files = _evidence([(source, evaluation)])
        return Entry(headline(facts, "the score on report seeds"), body, facts, None, files)

    def conclude(
        self,
        run: Run,
        parent: PolicySource,
        candidates: Sequence[Candidate],
        best: Candidate,
        *,
        is_accepted: bool,
    ) -> Committed:
        """Commit an iteration.

        Args:
            is_accepted: It is the run's next policy; the others are kept beside the line.
        """
        taken = best if is_accepted else None
        entries = [self._entry(n, each, parent, taken) for n, each in enumerate(candidates)]
        if is_accepted:
            place = next(n for n, each in enumerate(candidates) if each is best)
            entry = _with_usage(entries.pop(place), total_usage(candidates))
            memory = _memory(candidates[-1])
            entry = replace(entry, files={**memory, **entry.files})
            commit = run.commit(entry, entries)
        else:
            entry = self._turned_down(best, candidates)
            commit = run.commit(entry, entries)
        return committed_event(run.standing.facts, entry, commit, best.gain, best.summary)

    def _entry(
        self, number: int, candidate: Candidate, parent: PolicySource, taken: Candidate | None
    ) -> Entry:
        """Compose the commit of one candidate; ``number`` counts from 0."""
        race, proposal = candidate.race, candidate.proposal
        stored = store_candidate(candidate, number=number)
        files = {**candidate.files, FILE: codec.dumps(stored, indent=1) + "\n"}
        if proposal is None or race is None:
            facts = self._facts(Verdict.FAILED, None, None, candidate)
            files[ERROR_FILE] = candidate.error + "\n"
            policy = proposal.source.text if proposal else None
            body = f"{proposal.reason}\n\n{candidate.error}" if proposal else candidate.error
            subject = headline(facts, candidate.summary, side=True)
            return Entry(subject, body, facts, policy, files)
        is_taken = candidate is taken
        verdict = Verdict.ACCEPTED if is_taken else _turned_down_as(race)
        facts = self._raced(verdict, proposal.source, race, candidate)
        edited = _EDITED if candidate.edited else ""
        body = f"{proposal.reason}\n\n{edited}{describe_result(race)}"
        if candidate.is_won and taken is not None and not is_taken:
            body += f" It won its race, as did a better candidate: {taken.summary}."
        files |= _evidence(_played_in(race, proposal.source, parent))
        subject = headline(facts, proposal.summary, side=not is_taken)
        return Entry(subject, body, facts, proposal.source.text, files)

    def _turned_down(self, best: Candidate, candidates: Sequence[Candidate]) -> Entry:
        """Compose the line's commit where no candidate was accepted."""
        race, proposal = best.race, best.proposal
        if race is None or proposal is None:
            facts = self._facts(Verdict.FAILED, None, None)
        else:
            facts = self._raced(_turned_down_as(race), proposal.source, race)
        told = [each.result for each in candidates]
        if len(candidates) > 1:
            told = [f"{number}. {text}" for number, text in enumerate(told, start=1)]
        entry = Entry(headline(facts, best.summary), "\n\n".join(told), facts)
        return _with_usage(entry, total_usage(candidates))

    def _raced(
        self, verdict: Verdict, source: PolicySource, race: Race, candidate: Candidate | None = None
    ) -> Facts:
        facts = self._facts(verdict, source, race.child, candidate)
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
        candidate: Candidate | None = None,
    ) -> Facts:
        n_steps = self.steps_used
        facts = Facts(
            self.run,
            self.iteration,
            verdict,
            optimizer=candidate.optimizer if candidate else self.optimizer,
            protocol=evaluation.protocol if evaluation else self.judge.protocol.stamp,
            steps=n_steps,
            frames=self.frames_before + n_steps * self.judge.protocol.frame_skip,
            seconds=round(time.perf_counter() - self.begun, 1),
            **_usage_facts(candidate.usage if candidate else None),
        )
        if evaluation is not None:
            seeds = [episode.seed for episode in evaluation.episodes]
            facts = replace(
                facts,
                return_mean=evaluation.mean_return,
                return_se=evaluation.standard_error,
                episodes=len(seeds),
                seeds=format_seeds(range(seeds[0], seeds[-1] + 1)),
                digest=evaluation.digest,
                cpu_ms_mean=_cpu_ms_mean(evaluation),
                jail=weakest_jail(evaluation.episodes),
            )
        if source is not None:
            size = measure(source.text)
            facts = replace(
                facts, loc=size.loc, cyclomatic=size.cyclomatic, nested_if=size.nested_if
            )
        return facts


def _cpu_ms_mean(evaluation: Evaluation) -> float | None:
    """Return the mean milliseconds a step, over episodes whose processor time was measured."""
    timed = [episode for episode in evaluation.episodes if episode.cpu_seconds]
    n_steps = sum(episode.n_steps for episode in timed)
    return float(f"{1000 * sum(e.cpu_seconds for e in timed) / n_steps:.3g}") if n_steps else None


def _turned_down_as(race: Race) -> Verdict:
    if not race.child.is_valid:
        return Verdict.FAILED
    is_open = race.verdict is RaceVerdict.INCONCLUSIVE
    return Verdict.INCONCLUSIVE if is_open else Verdict.REJECTED


def _usage_facts(usage: Usage | None) -> dict[str, Any]:
    if usage is None:
        return {}
    return {"tokens_in": usage.tokens_in, "tokens_out": usage.output_tokens, "usd": usage.usd}


def _with_usage(entry: Entry, usage: Usage | None) -> Entry:
    """Return the line's commit with what the whole iteration used."""
    return replace(entry, facts=replace(entry.facts, **_usage_facts(usage)))


def _evidence(evaluations: Sequence[tuple[PolicySource, Evaluation]]) -> dict[str, str]:
    """Return the evidence files of evaluations, that of the commit's own policy first."""
    source, own = evaluations[0]
    actions = {str(e.seed): e.actions for e in own.episodes if e.actions}
    record = {"schema": 1, "policy": source.digest, "actions": actions}
    return {EPISODES: format_evidence(evaluations), ACTIONS: json.dumps(record, indent=1) + "\n"}


def _played_in(
    race: Race, source: PolicySource, parent: PolicySource
) -> list[tuple[PolicySource, Evaluation]]:
    """Return every policy that a race played, the candidate first."""
    played = [(source, race.child), (parent, race.parent)]
    if race.baseline is not None:
        played.append((race.baseline.source, race.baseline.evaluation))
    return played


def _memory(candidate: Candidate) -> dict[str, str]:
    """Return the files that the optimizer wants to find again."""
    return {name: text for name, text in candidate.files.items() if name not in CANDIDATES_OWN}


def committed_event(
    standing: Facts | None, entry: Entry, commit: str, gain: Gain | None, what: str
) -> Committed:
    """Return the event that an iteration is on the branch."""
    facts = entry.facts
    standing = standing or facts
    tokens = [n for n in (facts.tokens_in, facts.tokens_out) if n is not None]
    return Committed(
        iteration=facts.iteration,
        verdict=facts.verdict.value,
        return_mean=standing.return_mean,
        return_se=standing.return_se,
        gain=gain,
        what=what,
        seconds=facts.seconds or 0.0,
        commit=commit,
        why="" if facts.verdict.is_kept else describe_verdict(facts, entry.body),
        frames=facts.frames,
        usd=facts.usd,
        tokens=sum(tokens) if tokens else None,
    )


def committed_events(view: RunView) -> list[Committed]:
    """Return the steps of a run as the events of the process that made them."""
    standing: Facts | None = None
    events = []
    for step in view.history():
        facts = step.facts
        if facts is None:
            continue
        if facts.verdict.is_kept or standing is None:
            standing = facts
        gain = None
        if facts.gain is not None:
            gain = Gain(facts.gain, facts.gain_se, facts.pairs or 0, math.nan)
        entry = Entry(step.subject, step.body, facts)
        events.append(committed_event(standing, entry, step.commit, gain, step.summary))
    return events


# -- reading back ---------------------------------------------------------------------------------


def open_spending(run: RunView, budget: Budget) -> Spending:
    """Return the account of language models, read from the run once a command."""
    if budget.spending is None:
        paid = [step for step in run.history() if step.facts and step.facts.tokens_in is not None]
        spent, at_risk = Usage(), Usage()
        for facts in filter(None, (step.facts for step in paid)):
            tokens_in, tokens_out = facts.tokens_in or 0, facts.tokens_out or 0
            spent += Usage(tokens_in, output_tokens=tokens_out, usd=facts.usd)
        for exchange in read_exchanges(run, paid):
            at_risk += exchange.at_risk
        budget.spending = Spending(budget.usd, budget.tokens, spent=spent, at_risk=at_risk)
    return budget.spending


def proposal_steps(run: RunView) -> int:
    """Return the steps that the proposals of the latest iteration took; 0 before the first."""
    for step in reversed(run.history()):
        texts = [run.evidence(step, FILE, candidate=n) for n in range(len(step.candidates) or 1)]
        with contextlib.suppress(GcoError):  # written by another version
            if stored := [codec.loads(StoredCandidate, text, FILE) for text in texts if text]:
                return sum(one.steps for one in stored)
    return 0


def read_exchanges(run: RunView, steps: Sequence[Step]) -> list[Exchange]:
    """Read every exchange that is kept with some iterations and their candidates, all at once."""
    wanted: list[tuple[str, str]] = []
    for step in steps:
        if step.facts is None:
            continue
        path = evidence_folder(step.facts.iteration) + EXCHANGE_FILE
        wanted += [(candidate.commit, path) for candidate in step.candidates]
        if step.facts.verdict.is_kept:
            wanted.append((step.commit, path))
    found: list[Exchange] = []
    for text in run.repo.read_files(wanted):
        # written by a newer version, it cannot be read; what was paid stands in the trailers
        with contextlib.suppress(UsageError):
            found += parse_exchanges(text) if text else ()
    return found


def recall_episodes(run: RunView, judge: Judge) -> None:
    """Give ``judge`` the episodes on record that this user's machine played."""
    steps = run.history()
    for step, text in zip(steps, run.evidence_of_all(steps, EPISODES), strict=True):
        if text is None:
            continue
        evidence = parse_evidence(text, f"{EPISODES} of commit {step.commit[:9]}")
        if evidence.is_authentic:
            for digest, episodes in evidence.policies.items():
                judge.import_episodes(digest, Evaluation(episodes, evidence.protocol))
