"""A run as a recording, and the recording played back: the same run again, asking nobody.

What optimizers answered is taken from the recording; everything else is done again: every text is
checked, every candidate plays its races, every iteration is committed. So a recording proves
itself: `Outcome` says what each iteration came to when it was made.

The tree of every commit is the same to the byte if the run has the same name. Of the messages only
Gco-Seconds differs; ids differ, as commits have dates and authors.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from importlib import resources
from typing import Any

from gco_agent.core.codec import readable
from gco_agent.core.errors import ProposalError, UsageError
from gco_agent.core.events import Progress, silent
from gco_agent.core.records import PlayProtocol
from gco_agent.evaluation.judge import Judge, behaviour
from gco_agent.loop import proposals as records
from gco_agent.loop import recording as accounts
from gco_agent.loop.budget import Budget
from gco_agent.loop.measuring import report, start_run
from gco_agent.loop.proposals import (
    ProposalRecord,
    proposal_record_from_json,
    proposal_record_to_json,
)
from gco_agent.loop.train import advance
from gco_agent.optimizers.base import (
    Capabilities,
    Optimizer,
    PastIteration,
    Proposal,
    Request,
    Unusable,
)
from gco_agent.policy import PolicySource
from gco_agent.store.config import FILE, RunConfig, format_config, parse_config
from gco_agent.store.entries import RunRef, Verdict
from gco_agent.store.run import Runs
from gco_agent.store.view import RunView, Step, evidence_folder

SCHEMA = 1
_DERIVED = frozenset({records.FILE, accounts.EPISODES, accounts.ACTIONS, accounts.ERROR_FILE})
"""Evidence that comes out of the iteration again."""
_PROPOSED = (Verdict.ACCEPTED, Verdict.REJECTED, Verdict.FAILED)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What an iteration came to.

    Attributes:
        verdict: As the commit says it.
        return_mean: Of the candidate, in points an episode; None if it has none.
        gain: Over its parent, in points an episode.
        digest: Hash of the actions played.
        policy: Digest of the policy that is the run's afterwards, its docstring left out.
    """

    verdict: str
    return_mean: float | None
    gain: float | None
    digest: str | None
    policy: str


@dataclass(frozen=True, slots=True)
class RecordedIteration:
    """What was answered in an iteration, and what came of it.

    Attributes:
        iteration: Its number.
        tries: The answers, in the order in which they were asked for; none for a report.
        episodes: Of a report: how many were played.
        outcome: What it came to.
    """

    iteration: int
    tries: tuple[ProposalRecord, ...]
    episodes: int
    outcome: Outcome


@dataclass(frozen=True, slots=True)
class Recording:
    """A run that can be played back.

    Attributes:
        run: Its branch.
        config: As it was started.
        initial: Text of the policy that it started from.
        initial_outcome: What that scored.
        iterations: In order, from 1, without gaps.
        left_out: Why the run is not recorded to its end; empty if it is.
    """

    run: str
    config: RunConfig
    initial: str
    initial_outcome: Outcome
    iterations: tuple[RecordedIteration, ...]
    left_out: str = ""


@dataclass(frozen=True, slots=True)
class Replayed:
    """An iteration that was played back.

    Attributes:
        iteration: Its number; 0 is the initial policy.
        recorded: What it came to when it was recorded.
        now: What it came to this time.
        commit: Its commit.
    """

    iteration: int
    recorded: Outcome
    now: Outcome
    commit: str

    @property
    def is_same(self) -> bool:
        """Whether nothing differs."""
        return self.recorded == self.now


# -- recording ------------------------------------------------------------------------------------


def record_run(view: RunView) -> Recording:
    """Read a run from its commits, as far as it can be played back.

    Raises:
        UsageError: Its configuration, or what was proposed in it, is not among its commits.
    """
    config = view.read(FILE)
    if config is None:
        raise UsageError(f"{view.ref.branch} has no {FILE}, so nobody knows how it is played")
    initial, *rest = view.history()
    iterations: list[RecordedIteration] = []
    left_out = ""
    for step in rest:
        if step.verdict not in (*_PROPOSED, Verdict.REPORTED):
            what = "was made by hand" if step.verdict is None else "went back to an earlier policy"
            left_out = f"the commit {step.commit[:9]} {what}; what follows it is left out"
            break
        iterations.append(_record_step(view, step))
    return Recording(
        view.ref.branch,
        parse_config(config),
        view.policy(initial.commit),
        _outcome(view, initial),
        tuple(iterations),
        left_out,
    )


def _record_step(view: RunView, step: Step) -> RecordedIteration:
    assert step.facts is not None
    number, is_report = step.facts.iteration, step.verdict is Verdict.REPORTED
    commits = [step, *step.candidates] if step.verdict is Verdict.ACCEPTED else step.candidates
    found = [] if is_report else [_record_try(view, commit, number) for commit in commits]
    tries = tuple(each for _, each in sorted(found, key=lambda pair: pair[0]))
    episodes = (step.facts.episodes or 0) if is_report else 0
    return RecordedIteration(number, tries, episodes, _outcome(view, step))


def _record_try(view: RunView, step: Step, iteration: int) -> tuple[int, ProposalRecord]:
    """The place of a try in its iteration, and the try."""
    folder = evidence_folder(iteration)
    text = view.read(folder + records.FILE, step.commit)
    if text is None:
        raise UsageError(
            f"iteration {iteration} ({step.commit[:9]}) does not say what was proposed in it: it "
            "was made by a version of gco-agent that did not record that"
        )
    names = [name for name in view.evidence_names(step.commit, iteration) if name not in _DERIVED]
    files = {name: view.read(folder + name, step.commit) or "" for name in names}
    with readable(f"{records.FILE} of commit {step.commit[:9]}"):
        data = json.loads(text)
        return int(data.get("number", 0)), proposal_record_from_json(data, files)


def _outcome(view: RunView, step: Step) -> Outcome:
    facts = step.facts
    assert facts is not None
    digest = behaviour(PolicySource(view.policy(step.commit)))
    return Outcome(facts.verdict.value, facts.return_mean, facts.gain, facts.digest, digest)


def format_recording(recording: Recording) -> str:
    """Write a recording as JSON; `parse_recording` gives it back."""
    data = {
        "schema": SCHEMA,
        "run": recording.run,
        "config": format_config(recording.config),
        "initial": recording.initial,
        "initial_outcome": asdict(recording.initial_outcome),
        "iterations": [
            {
                "iteration": each.iteration,
                "tries": [proposal_record_to_json(one, with_files=True) for one in each.tries],
                "episodes": each.episodes,
                "outcome": asdict(each.outcome),
            }
            for each in recording.iterations
        ],
        "left_out": recording.left_out,
    }
    return json.dumps(data, indent=1, ensure_ascii=False) + "\n"


def parse_recording(text: str) -> Recording:
    """Read a recording.

    Raises:
        UsageError: It is none, or of a newer schema.
    """
    try:
        data: Mapping[str, Any] = json.loads(text)
        if data["schema"] != SCHEMA:
            raise UsageError(
                f"the recording has schema {data['schema']!r}, and this version of gco-agent reads "
                f"{SCHEMA}: install the version that wrote it, or the newest one"
            )
        iterations = tuple(
            RecordedIteration(
                int(each["iteration"]),
                tuple(proposal_record_from_json(one) for one in each["tries"]),
                int(each["episodes"]),
                Outcome(**each["outcome"]),
            )
            for each in data["iterations"]
        )
        return Recording(
            str(data["run"]),
            parse_config(data["config"]),
            str(data["initial"]),
            Outcome(**data["initial_outcome"]),
            iterations,
            str(data["left_out"]),
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UsageError(f"this is no recording of a run: {error!r}") from error


def demo() -> Recording:
    """The recorded run that comes with the package."""
    place = resources.files("gco_agent.loop").joinpath("demo", "demo.json")
    return parse_recording(place.read_text("utf-8"))


# -- playing back ---------------------------------------------------------------------------------


def play_back(
    recording: Recording,
    runs: Runs,
    ref: RunRef,
    judge: Judge,
    *,
    switch: bool = False,
    progress: Progress = silent,
) -> list[Replayed]:
    """Make the recorded run again, as the run ``ref``.

    Args:
        recording: What was answered.
        runs: Of the repository to make it in.
        ref: Its name there.
        judge: Plays by the rules of the recording's races.
        switch: Check the run's branch out.
        progress: Told how things stand.

    Returns:
        What every iteration came to, beside what it came to when it was recorded.
    """
    config = replace(recording.config, protocol=_as_played(recording.config, judge))
    source = PolicySource(recording.initial)
    start_run(runs, ref, config, judge, switch=switch, progress=progress, initial=source)
    optimizer = RecordedOptimizer(recording.iterations)
    compared = []
    with runs.open(ref) as run:
        first = run.history()[0]
        compared.append(Replayed(0, recording.initial_outcome, _outcome(run, first), first.commit))
        for each in recording.iterations:
            if each.episodes:
                report(run, judge, config, Budget(report_episodes=each.episodes), progress)
            else:
                n = max(1, sum(not one.is_repair for one in each.tries))
                asked = replace(config, candidates=n)
                advance(run, optimizer, judge, asked, Budget(), progress)
            step = run.history()[-1]
            compared.append(
                Replayed(each.iteration, each.outcome, _outcome(run, step), step.commit)
            )
    return compared


def _as_played(config: RunConfig, judge: Judge) -> PlayProtocol:
    """The recorded rules with the versions that the judge plays with."""
    return replace(config.protocol, versions=judge.protocol.versions)


class RecordedOptimizer(Optimizer):
    """Answers every request as the recording has it; whose name it bears is recorded too."""

    name = "replay"

    def __init__(self, iterations: Sequence[RecordedIteration]) -> None:
        self._tries = {each.iteration: each.tries for each in iterations}

    def next_optimizer(self, attempts: Sequence[PastIteration]) -> Optimizer:
        """Who proposes in the iteration after ``attempts``."""
        following = max(attempt.iteration for attempt in attempts) + 1
        return _Answers(self._tries.get(following, ()))

    def propose(self, request: Request) -> Proposal:
        """The first answer of the recorded iteration."""
        return self.next_optimizer(request.attempts).propose(request)


class _Answers(Optimizer):
    """The answers of one iteration, one after the other."""

    def __init__(self, tries: Sequence[ProposalRecord]) -> None:
        self.name = tries[0].optimizer if tries else RecordedOptimizer.name
        self.capabilities = Capabilities(repairs=any(each.is_repair for each in tries))
        self._left = list(tries)

    def propose(self, request: Request) -> Proposal:
        """The next answer.

        Raises:
            Unusable: It held no candidate when it was recorded.
            ProposalError: There is none.
        """
        if not self._left:
            raise ProposalError(f"iteration {request.iteration} is not in the recording")
        tried = self._left.pop(0)
        if tried.proposal is not None:
            return tried.proposal
        raise Unusable(
            tried.error,
            kind=tried.kind,
            files=tried.files,
            usage=tried.usage,
            n_steps=tried.n_steps,
        )
