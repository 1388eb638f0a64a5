"""A run as a recording, and the recording played back: the same run again, without its optimizers.

The answers of optimizers are taken from the recording; everything else is done again: every text is
checked, every candidate plays its races, every iteration is committed. A recording holds the
`Outcome` of each iteration to compare with.

The tree of every commit is the same to the byte if the run has the same name. Of the messages only
Gco-Seconds differs; ids differ, as commits have dates and authors.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from importlib import resources

from gco_agent.core import codec
from gco_agent.core.errors import GcoError, PolicyError, ProposalError, UsageError
from gco_agent.core.events import Progress, silent
from gco_agent.core.records import PlayProtocol, Verdict
from gco_agent.core.seeds import MOST_EPISODES, STREAM_LENGTH, Stream, parse_seed_range
from gco_agent.evaluation.judge import Judge
from gco_agent.loop.budget import Budget
from gco_agent.loop.candidate import FILE as PROPOSAL_FILE
from gco_agent.loop.candidate import Candidate, StoredCandidate, is_cut_short
from gco_agent.loop.recording import ACTIONS, EPISODES, ERROR_FILE
from gco_agent.loop.selection import Editing
from gco_agent.loop.train import advance, report, start_run
from gco_agent.optimizers.base import (
    Capabilities,
    Optimizer,
    PastIteration,
    Proposal,
    Request,
    Unusable,
)
from gco_agent.policy.source import PolicySource, replace_docstring
from gco_agent.store.config import FILE, RunConfig, parse_config
from gco_agent.store.entries import RunRef
from gco_agent.store.git import checked_path
from gco_agent.store.run import Runs
from gco_agent.store.view import RunView, Step, evidence_folder

SCHEMA = 1
_DERIVED = frozenset({PROPOSAL_FILE, EPISODES, ACTIONS, ERROR_FILE})
"""Evidence that replaying creates again."""
_PROPOSED = [verdict for verdict in Verdict if verdict.is_trial]


@dataclass(frozen=True, slots=True)
class Outcome:
    """The result of an iteration.

    Attributes:
        policy: Digest of the policy that is the run's afterwards, without its docstring.
    """

    verdict: str
    return_mean: float | None
    gain: float | None
    digest: str | None
    policy: str


@dataclass(frozen=True, slots=True)
class RecordedIteration:
    """The answers of an iteration, and its result.

    Attributes:
        tries: The answers, in the order in which they were asked for; none for a report.
        most_pairs: Pairs after which the machine cut a race; 0 if it did not.
    """

    iteration: int
    tries: tuple[StoredCandidate, ...]
    episodes: int
    outcome: Outcome
    first_seed: int = 0
    most_pairs: int = 0


@dataclass(frozen=True, slots=True)
class Recording:
    """A run that can be played back; `gco_agent.core.codec` reads and writes it.

    Attributes:
        iterations: In order, from 1, without gaps.
        left_out: Why the run is not recorded to its end; empty if it is.
        first_seed: Index in the selection stream of the initial evaluation.
    """

    schema: int
    run: str
    config: str
    initial: str
    initial_outcome: Outcome
    iterations: tuple[RecordedIteration, ...]
    left_out: str = ""
    first_seed: int = 0

    @property
    def settings(self) -> RunConfig:
        """Configuration of the run."""
        return parse_config(self.config)

    @property
    def outcomes(self) -> tuple[Outcome, ...]:
        """The results of the initial policy and of each iteration."""
        return (self.initial_outcome, *(each.outcome for each in self.iterations))

    @property
    def n_iterations(self) -> int:
        """Iterations in which an optimizer was asked; a report is none."""
        return sum(not each.episodes for each in self.iterations)


@dataclass(frozen=True, slots=True)
class Replayed:
    """An iteration that was played back."""

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
    """Read a run from its commits, as far as it can be played back."""
    config = view.read(FILE)
    if config is None:
        raise UsageError(f"{view.ref.branch} has no {FILE}: its rules of play are not known")
    initial, *rest = view.history()
    iterations: list[RecordedIteration] = []
    left_out = ""
    for step in rest:
        if step.verdict not in (*_PROPOSED, Verdict.REPORTED):
            what = (
                "was made by hand"
                if step.verdict is Verdict.BY_HAND
                else "went back to an earlier policy"
            )
            left_out = f"the commit {step.commit[:9]} {what}; what follows it is left out"
            break
        iterations.append(_record_step(view, step))
    return Recording(
        SCHEMA,
        view.ref.branch,
        config,
        view.policy(initial.commit),
        _outcome(view, initial),
        tuple(iterations),
        left_out,
        _first_seed(initial),
    )


def _record_step(view: RunView, step: Step) -> RecordedIteration:
    assert step.facts is not None
    number, outcome = step.facts.iteration, _outcome(view, step)
    if step.verdict is Verdict.REPORTED:
        return RecordedIteration(number, (), step.facts.episodes or 0, outcome)
    commits = [step, *step.candidates] if step.verdict is Verdict.ACCEPTED else step.candidates
    tries = sorted((_record_candidate(view, c, number) for c in commits), key=lambda t: t.number)
    first_seed = max(map(_first_seed, commits), default=0)
    cut = [c.facts.pairs or 0 for c in commits if c.facts and is_cut_short(c.body)]
    return RecordedIteration(number, tuple(tries), 0, outcome, first_seed, max(cut, default=0))


def _record_candidate(view: RunView, step: Step, iteration: int) -> StoredCandidate:
    folder = evidence_folder(iteration)
    text = view.read(folder + PROPOSAL_FILE, step.commit)
    if text is None:
        raise UsageError(
            f"iteration {iteration} ({step.commit[:9]}) does not say what was proposed in it: it "
            "was made by a version of gco-agent that did not record that"
        )
    names = [name for name in view.evidence_names(step.commit, iteration) if name not in _DERIVED]
    files = {name: view.read(folder + name, step.commit) or "" for name in names}
    what = f"{PROPOSAL_FILE} of commit {step.commit[:9]}"
    return replace(codec.loads(StoredCandidate, text, what), files=files)


def _first_seed(step: Step) -> int:
    """Return the index of a commit's first seed in the selection stream; 0 without seeds."""
    seeds = step.facts.seeds if step.facts else None
    return parse_seed_range(seeds).start - Stream.SELECTION.value if seeds else 0


def _outcome(view: RunView, step: Step) -> Outcome:
    facts = step.facts
    assert facts is not None
    digest = _code_digest(PolicySource(view.policy(step.commit)))
    return Outcome(facts.verdict.value, facts.return_mean, facts.gain, facts.digest, digest)


def _code_digest(source: PolicySource) -> str:
    try:
        return replace_docstring(source, "").digest
    except PolicyError:  # a commit made by hand may hold anything
        return source.digest


def format_recording(recording: Recording) -> str:
    """Return a recording as JSON; `parse_recording` reads it."""
    return codec.dumps(recording, indent=1) + "\n"


def parse_recording(text: str) -> Recording:
    """Read a recording."""
    try:
        recording = codec.loads(Recording, text, "the recording")
        codec.require_schema(recording.schema, SCHEMA, "the recording")
        parse_config(recording.config)
        for first in (recording.first_seed, *(each.first_seed for each in recording.iterations)):
            if first not in range(STREAM_LENGTH - MOST_EPISODES):
                raise UsageError(f"its first_seed is {first}")
        for iteration in recording.iterations:
            if iteration.episodes not in range(MOST_EPISODES + 1):
                raise UsageError(f"a report of it has {iteration.episodes} episodes")
            if iteration.most_pairs not in range(MOST_EPISODES + 1):
                raise UsageError(f"its most_pairs is {iteration.most_pairs}")
            for tried in iteration.tries:
                tried.restore()
                for name in tried.files:
                    checked_path(evidence_folder(iteration.iteration) + name)
    except GcoError as error:
        raise UsageError(f"this is not a recording of a run: {error}") from error
    return recording


def demo() -> Recording:
    """Return the recorded run that comes with the package."""
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
    """Make the recorded run again, as the run ``ref``, and compare each iteration.

    Where there is such a run, it is continued.
    """
    config = recording.settings
    rules = replace(config.protocol, versions=judge.protocol.versions)  # those that are played with
    config = replace(config, protocol=rules)
    if ref not in runs.list():
        start_run(
            runs, ref, config, judge, switch=switch, progress=progress,
            initial=PolicySource(recording.initial), first_seed=recording.first_seed,
        )  # fmt: skip
    optimizer = RecordedOptimizer(recording.iterations)
    with runs.open(ref) as run:
        done = run.history()
        recorded = zip(range(len(done)), recording.outcomes, done, strict=False)
        compared = [Replayed(n, one, _outcome(run, step), step.commit) for n, one, step in recorded]
        for each in recording.iterations[len(done) - 1 :]:
            if each.episodes:
                report(run, judge, config, Budget(report_episodes=each.episodes), progress)
            else:
                n = max(1, sum(not one.is_repair for one in each.tries))
                asked = replace(config, candidates=n)
                budget = Budget(race_cpu_s=None)  # the machine's speed decides nothing
                edited = next((one.edited for one in each.tries), "")
                advance(
                    run, optimizer, judge, asked, budget, progress,
                    selection=Editing(edited), first_seed=each.first_seed,
                    most_pairs=each.most_pairs or None,
                )  # fmt: skip
            step = run.history()[-1]
            compared.append(
                Replayed(each.iteration, each.outcome, _outcome(run, step), step.commit)
            )
    return compared


def is_part(view: RunView, recording: Recording, rules: PlayProtocol) -> bool:
    """Return whether a run is a part of the recording, played back by ``rules``."""
    config, done = view.read(FILE), view.history()
    return (
        config is not None
        and parse_config(config) == replace(recording.settings, protocol=rules)
        and len(done) < len(recording.outcomes)
        and all(
            step.facts is not None and _outcome(view, step) == recorded
            for step, recorded in zip(done, recording.outcomes, strict=False)
        )
    )


class RecordedOptimizer(Optimizer):
    """Return the recorded answers, under the recorded names."""

    name = "replay"

    def __init__(self, iterations: Sequence[RecordedIteration]) -> None:
        self._tries = {each.iteration: each.tries for each in iterations}

    def next_optimizer(self, attempts: Sequence[PastIteration]) -> Optimizer:
        """Return the optimizer of the iteration after ``attempts``."""
        following = max(attempt.iteration for attempt in attempts) + 1
        return _Answers([stored.restore() for stored in self._tries.get(following, ())])

    def propose(self, request: Request) -> Proposal:
        """Return the first answer of the recorded iteration."""
        return self.next_optimizer(request.attempts).propose(request)


class _Answers(Optimizer):
    """The answers of one iteration, one after the other."""

    def __init__(self, tries: list[Candidate]) -> None:
        self.name = tries[0].optimizer if tries else RecordedOptimizer.name
        self.capabilities = Capabilities(repairs=any(each.is_repair for each in tries))
        self._left = list(tries)

    def propose(self, request: Request) -> Proposal:
        """Return the next answer."""
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
