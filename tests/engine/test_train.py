"""The whole loop: a scripted optimizer, real play, a real repository."""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import json
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from gco_agent.core.errors import BudgetSpent, ProposalError, UsageError
from gco_agent.core.events import Committed, Event, Playing, Racing, silent
from gco_agent.core.records import EpisodeResult, Evaluation, Outcome, Verdict
from gco_agent.core.seeds import Stream, parse_seed_range
from gco_agent.core.statistics import INTERIM_ANALYSES, Gain
from gco_agent.core.statistics import Verdict as RaceVerdict
from gco_agent.envs.environment import make_protocol
from gco_agent.evaluation.judge import BaselinePolicy, Judge, Race, Stop
from gco_agent.evaluation.workers import WorkerPool
from gco_agent.loop import recording
from gco_agent.loop.budget import Budget
from gco_agent.loop.candidate import describe_race, describe_result
from gco_agent.loop.selection import race_steps, selection_seed
from gco_agent.loop.train import advance, report, require_room, start_run, train
from gco_agent.optimizers.base import Capabilities, Optimizer, Proposal, Request, Tools
from gco_agent.optimizers.registry import make_optimizer
from gco_agent.policy.source import PolicySource, docstring_of
from gco_agent.store.config import RunConfig, parse_config
from gco_agent.store.entries import Facts, RunRef
from gco_agent.store.git import GitRepo
from gco_agent.store.run import Runs
from gco_agent.store.view import RunView, Step, frames_of
from tests.conftest import Once
from tests.engine.policies import FOLLOW, HIDE, RULES, STILL, failing
from tests.store.samples import commit_file, git

REF = RunRef("breakout", "20260131-1f0c")
CONFIG = RunConfig("breakout", RULES, optimizer="scripted")


class Scripted(Optimizer):
    """Proposes what it was told to, in that order; an error is raised, and a text is proposed."""

    name = "scripted"

    def __init__(self, *script: str | Exception) -> None:
        self.script = iter(script)
        self.requests: list[Request] = []

    def propose(self, request: Request) -> Proposal:
        self.requests.append(request)
        told = next(self.script)
        if isinstance(told, Exception):
            raise told
        n = len(self.requests)
        notes = f"{request.recall('notes.txt') or ''}{request.iteration} "
        return Proposal(PolicySource(told), f"edit {n}", f"Reason {n}.", {"notes.txt": notes}, 100)


def begin(folder: Path, patch: pytest.MonkeyPatch) -> Path:
    """Make a repository with a commit, and a home without anybody's own configuration."""
    for name in [name for name in os.environ if name.startswith(("GIT_", "XDG_"))]:
        patch.delenv(name)
    (folder / "home").mkdir()
    (folder / "home/.gitconfig").write_text(
        "[user]\n\tname = Test\n\temail = test@example.org\n[init]\n\tdefaultBranch = main\n"
    )
    patch.setenv("HOME", str(folder / "home"))
    patch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    git(folder, "init", "--quiet", "project")
    commit_file(folder / "project", "README.md", "A project.\n", "Begin")
    return folder / "project"


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    return begin(tmp_path, monkeypatch)


@pytest.fixture
def runs(project: Path) -> Runs:
    return runs_of(project)


def runs_of(project: Path) -> Runs:
    return Runs(GitRepo(project / ".git", project / ".git", project))


@pytest.fixture
def judge() -> Iterator[Judge]:
    with WorkerPool(0) as pool:
        yield Judge(pool, RULES)


@pytest.fixture
def events() -> list[Event]:
    return []


@pytest.fixture
def started(once: Once, project: Path, runs: Runs, judge: Judge) -> Runs:
    """A run with nothing but its initial policy, copied from one that is made once."""

    def fill(folder: Path) -> None:
        with pytest.MonkeyPatch.context() as patch:
            made = runs_of(begin(folder, patch))
            start_run(made, REF, CONFIG, Judge(judge.pool, RULES), switch=True, progress=silent)

    shutil.rmtree(project)
    shutil.copytree(once("started", fill), project.parent, dirs_exist_ok=True)
    recording.recall_episodes(runs.view(REF), judge)
    return runs


@pytest.fixture
def fresh(runs: Runs, judge: Judge, events: list[Event]) -> Runs:
    """The same, started here and now, so that ``judge`` has counted its steps."""
    start_run(runs, REF, CONFIG, judge, switch=True, progress=events.append)
    return runs


def test_a_run_from_end_to_end(
    project: Path, fresh: Runs, judge: Judge, events: list[Event]
) -> None:
    optimizer = Scripted(
        FOLLOW,
        HIDE,
        failing("raise ValueError('lost the ball')", 85),
        ProposalError("nothing comes to mind"),
        "import os\n" + STILL,
    )
    with fresh.open(REF) as run:
        spent = train(run, optimizer, judge, CONFIG, Budget(iterations=5), events.append)
        evaluation = report(run, judge, CONFIG, Budget(report_episodes=4), events.append)
    assert spent.limit == "5 iterations"

    view = fresh.view(REF)
    history = view.history()
    facts = [step.facts for step in history if step.facts is not None]
    assert [f.verdict for f in facts] == [
        Verdict.INITIAL,
        Verdict.ACCEPTED,
        Verdict.REJECTED,
        Verdict.FAILED,
        Verdict.FAILED,
        Verdict.FAILED,
        Verdict.REPORTED,
    ]
    assert [f.iteration for f in facts] == list(range(7))
    assert all(f.protocol == RULES.stamp for f in facts)
    assert [f.optimizer for f in facts] == [None, *["scripted"] * 5, None]

    check_numbers(facts, judge, evaluation)
    check_tree(project, history)
    check_checkout(project, view)
    check_events(events, history)
    # what the optimizer was told
    last = optimizer.requests[-1]
    assert [(a.iteration, a.verdict) for a in last.attempts] == [
        *((0, "initial"), (1, "accepted"), (2, "rejected"), (3, "failed"), (4, "failed"))
    ]
    assert last.evaluation.episodes == ()  # nobody asked for feedback; races are not shown
    assert last.iteration == 5


def check_numbers(facts: list[Facts], judge: Judge, evaluation: Evaluation) -> None:
    initial, accepted, rejected, failed, *_, reported = facts
    assert initial.return_mean is not None
    assert accepted.return_mean is not None
    assert accepted.gain is not None
    assert accepted.gain > 0
    assert accepted.pairs in INTERIM_ANALYSES
    assert rejected.gain is not None
    assert rejected.gain < 0
    assert (failed.gain, failed.return_mean) == (None, None)
    assert reported.return_mean == evaluation.mean_return
    assert reported.seeds == "report 0:4"
    frames = [f.frames or 0 for f in facts]
    assert frames == sorted(frames)
    proposed = 4 * 100  # of search, for the proposals that were made, judged or not
    assert frames[-1] == 4 * (judge.n_steps + proposed + evaluation.n_steps)
    assert frames[4:6] == [frames[3], frames[3] + 4 * 100]


def check_tree(project: Path, history: Sequence[Step]) -> None:
    """The line keeps its tree where nothing was accepted; the rejected are parents of a merge."""
    trees = [git(project, "rev-parse", f"{step.commit}^{{tree}}") for step in history]
    assert trees[1] == trees[2] == trees[3] == trees[4] == trees[5]
    assert len(set(trees)) == 3
    side = git(project, "show", f"{history[2].commit}^2:policies/breakout.py")
    assert "hide from the ball" in side
    broken = git(project, "log", "-1", "--format=%B", f"{history[3].commit}^2")
    assert "The candidate failed in an episode" in broken
    assert "ValueError: lost the ball" in broken
    assert "nothing comes to mind" in git(project, "log", "-1", "--format=%B", history[4].commit)
    assert "import os" in git(project, "log", "-1", "--format=%B", history[5].commit)
    assert git(project, "show", f"{history[4].commit}^2:iterations/0004/error.txt") == (
        "nothing comes to mind"
    )


def check_checkout(project: Path, view: RunView) -> None:
    """What is checked out is the tip, and its docstring says what it was measured at."""
    text = (project / "policies/breakout.py").read_text()
    assert text == view.policy()
    told = docstring_of(PolicySource(text)) or ""
    assert told == docstring_of(PolicySource(FOLLOW))  # what was raced, byte for byte
    assert git(project, "status", "--porcelain") == ""
    assert git(project, "fsck", "--strict") == ""
    assert parse_config((project / "run.toml").read_text()) == CONFIG
    evidence = json.loads((project / "iterations/0001/evaluation.json").read_text())
    assert (evidence["schema"], evidence["protocol"]) == (2, RULES.stamp)
    assert len(evidence["policies"]) == 2


def check_events(events: list[Event], history: Sequence[Step]) -> None:
    committed = [event for event in events if isinstance(event, Committed)]
    assert [event.commit for event in committed] == [step.commit for step in history]
    assert committed[2].return_mean == committed[1].return_mean
    assert any(isinstance(event, Racing) and event.n_pairs == 4 for event in events)
    played = [event for event in events if isinstance(event, Playing)]
    for what, n in (("initial policy", 10), ("report seeds", 4)):
        ours = [event for event in played if event.what == what]
        assert [event.n_done for event in ours][:: len(ours) - 1] == [0, n]
        assert ours[0].n_steps == 0 < ours[-1].n_steps
    rejected = committed[2]
    assert "was not enough" in rejected.why
    assert rejected.frames == history[2].facts.frames  # type: ignore[union-attr]


def test_a_resumed_run_knows_what_was_played(started: Runs, judge: Judge) -> None:
    with started.open(REF) as run:
        train(run, Scripted(FOLLOW, HIDE), judge, CONFIG, Budget(iterations=2))
    fresh = Judge(judge.pool, RULES)
    optimizer = Scripted(HIDE)
    with started.open(REF) as run:
        recording.recall_episodes(run, fresh)
        assert fresh.cached(PolicySource(run.policy())) == judge.cached(PolicySource(run.policy()))
        train(run, optimizer, fresh, CONFIG, Budget(iterations=1))
        assert run.last_iteration == 3
    (request,) = optimizer.requests
    assert request.recall("notes.txt") == "1 2 "
    assert request.recall("nothing.txt") is None


def test_every_iteration_is_raced_on_seeds_of_its_own(started: Runs, judge: Judge) -> None:
    with started.open(REF) as run:
        train(run, Scripted(FOLLOW, HIDE, HIDE), judge, CONFIG, Budget(iterations=3))
    told = [step.facts.seeds for step in started.view(REF).history() if step.facts]
    ranges = [parse_seed_range(seeds or "") for seeds in told]
    assert all(seeds.start in Stream.SELECTION.seeds(0, 100_000_000) for seeds in ranges)
    assert sum(len(seeds) for seeds in ranges) == len({seed for r in ranges for seed in r})


def test_a_killed_iteration_is_raced_on_the_same_seeds_again(project: Path, started: Runs) -> None:
    with started.open(REF) as run:
        first, second = (selection_seed(CONFIG, n, run) for n in (1, 2))
        assert selection_seed(CONFIG, 1, run) == first != second
    with started.open(REF) as run:
        assert selection_seed(CONFIG, 1, run) == first
    assert "selection.key" not in git(project, "ls-files")


def test_races_follow_from_the_seed_only_where_the_policy_cannot_know_it(
    started: Runs, judge: Judge
) -> None:
    def raced(optimizer: Optimizer) -> str:
        with started.open(REF) as run:
            advance(run, optimizer, judge, CONFIG, Budget(iterations=1))
            facts = run.history()[-1].facts
            return (facts and facts.seeds) or ""

    class Repeatable(Scripted):
        capabilities = Capabilities(is_repeatable=True)

    first = selection_seed(CONFIG, 1)
    assert raced(Repeatable(HIDE)).startswith(f"selection {first}:")
    assert selection_seed(dataclasses.replace(CONFIG, seed=7), 1) != first
    assert not raced(Scripted(HIDE)).startswith(f"selection {selection_seed(CONFIG, 2)}:")


def test_a_secret_that_came_with_the_folder_of_a_repository_is_not_used(
    project: Path, started: Runs
) -> None:
    """Its author would know the seeds, and could leave an answer that was fitted to them."""
    with started.open(REF) as run:
        first, folder = selection_seed(CONFIG, 1, run), project / ".git/gco-agent"
        run.put_aside("other", "kept")
        for name in ("selection.key", "other"):
            path = folder / f"{REF.stem}.{name}"
            path.write_text(path.read_text() + "!")
        assert run.set_aside("other") is None
        assert selection_seed(CONFIG, 1, run) == first
        (folder / f"{REF.stem}.selection.key").write_text("known to a stranger")
        assert selection_seed(CONFIG, 1, run) == first


@pytest.mark.parametrize(
    ("budget", "limit"),
    [
        (lambda: Budget(iterations=0), "0 iterations"),
        (lambda: Budget(frames=1), "1 frames"),
    ],
)
def test_budgets_bind_before_anything_is_proposed(
    started: Runs, judge: Judge, budget: Callable[[], Budget], limit: str
) -> None:
    optimizer = Scripted()
    with started.open(REF) as run:
        spent = train(run, optimizer, judge, CONFIG, budget())
    assert isinstance(spent, BudgetSpent)
    assert spent.limit == limit
    assert optimizer.requests == []


def test_however_little_time_there_is_one_iteration_is_made(started: Runs, judge: Judge) -> None:
    with started.open(REF) as run:
        spent = train(run, Scripted(FOLLOW, HIDE), judge, CONFIG, Budget(seconds=0.001))
        assert run.last_iteration == 1
        # its race has two pairs on the slowest machine, and the seconds that every race has
        facts = run.history()[-1].facts
        assert facts is not None
        assert (facts.pairs or 0) >= 2
    assert spent.limit


def test_a_run_ends_where_its_frames_end(fresh: Runs, judge: Judge) -> None:
    used, block = judge.n_steps, 2 * 2 * RULES.max_steps
    most = used + 100 + 5 * block // 2
    optimizer = Scripted(FOLLOW, HIDE)
    with fresh.open(REF) as run:
        spent = train(run, optimizer, judge, CONFIG, Budget(frames=4 * most))
        report(run, judge, CONFIG, Budget(report_episodes=2))
        _, step, reported = run.history()
        assert spent.limit == f"{4 * most:,} frames"
        assert recording.proposal_steps(run) == 100
    # the first iteration is begun, though a usual race does not fit in; it proposes with a third
    assert [one.most_steps for one in optimizer.requests] == [(most - used) // 3]
    assert step.facts is not None
    assert (step.facts.pairs, Stop.FRAMES.value in " ".join(step.body.split())) == (4, True)
    assert 4 * most <= frames_of([step]) < 4 * (most + block)
    assert frames_of([step, reported], with_reports=False) == frames_of([step])


def test_a_crash_in_the_optimizer_leaves_the_run_as_it_was(started: Runs, judge: Judge) -> None:
    before = started.view(REF).tip
    with started.open(REF) as run, pytest.raises(ZeroDivisionError):
        train(run, Scripted(ZeroDivisionError()), judge, CONFIG, Budget(iterations=1))
    assert started.view(REF).tip == before
    with started.open(REF) as run:
        train(run, Scripted(FOLLOW), judge, CONFIG, Budget(iterations=1))
        assert run.last_iteration == 1


@pytest.mark.parametrize(
    ("lengths", "n_steps"),
    [
        ((), 150),
        ((149, 20, 30), 150),
        ((150, 20, 30, 40, 50), 150),
        ((150, 20, 30, 40), 900),
        ((700, 20, 30), 900),
    ],
)
def test_whole_games_are_raced_where_a_quarter_of_the_episodes_reach_the_limit(
    lengths: tuple[int, ...], n_steps: int
) -> None:
    config = RunConfig("breakout", replace(RULES, max_steps=900), selection_steps=150)
    assert race_steps(lengths, config) == n_steps


def evaluation_of(*returns: float, outcome: Outcome = Outcome.GAME_OVER) -> Evaluation:
    numbers = itertools.count(5)
    return Evaluation(
        tuple(EpisodeResult(next(numbers), r, 7, outcome, "Boom\nat line 3") for r in returns), "p"
    )


def test_races_in_sentences() -> None:
    lost, gain = RaceVerdict.NOT_BETTER, Gain(2.5, 0.5, 2, 0.0625)
    race = Race(evaluation_of(3, 4), evaluation_of(1, 1), gain, lost, Stop.TIME, critical_p=0.01)
    assert describe_result(race) == (
        "On 2 selection seeds the candidate's mean return is 3.50, its parent's 1.00: a gain of "
        "+2.50 ± 0.50 a pair (one-sided p = 0.062; at most 0.01 is asked for after 2 pairs). "
        "The time was up before the race was decided."
    )
    race = Race(evaluation_of(3), evaluation_of(1), Gain(2, None, 1, 0.5), lost)
    assert describe_race(race) == (
        "On 1 selection seeds the candidate's mean return is 3.00, its parent's 1.00: a gain of "
        "+2.00 a pair (one-sided p = 0.5; after 1 pairs none is accepted)."
    )
    broken = evaluation_of(1, outcome=Outcome.DIED)
    race = Race(evaluation_of(3), broken, None, RaceVerdict.BETTER)
    assert describe_race(race) == (
        "The parent failed in an episode (seed 5, step 7, died):\n\n    Boom\n    at line 3"
        "\n\nThe candidate finished all 1, its parent 0."
    )
    shared = replace(race, shared=Gain(-2.0, 0.5, 3, 0.9))
    assert describe_race(shared).endswith(
        "The candidate finished all 1, its parent 0: on these the candidate's gain is -2.00 ± 0.50 "
        "a pair."
    )
    anchor = BaselinePolicy(PolicySource(STILL), evaluation_of(1, 1), Gain(-1.0, 0.0, 2, 1.0))
    no_worse = Race(
        evaluation_of(3, 4), evaluation_of(1, 1), gain, lost, margin=2.0, critical_p=0.05
    )
    assert "(one-sided p = 0.062 for a loss of 2.00 or more; at most 0.05" in describe_race(
        replace(no_worse, gain=Gain(2.5, 0.5, 2, 0.0625))
    )
    assert (
        "(-1.00 ± 0.00 over the last policy that had to be better, one-sided p = 1 for a loss "
        "of 2.00 or more; at most 0.05 is asked for after 2 pairs)"
    ) in describe_race(replace(no_worse, baseline=anchor))


def test_optimizers_are_found_by_name(judge: Judge) -> None:
    assert make_optimizer("search", Tools(judge.pool)).name == "search"
    with pytest.raises(UsageError, match="no optimizer is called 'magic'"):
        make_optimizer("magic", Tools(judge.pool))


def test_records_of_a_run_that_play_other_rules_are_passed_by(started: Runs, judge: Judge) -> None:
    other = Judge(judge.pool, replace(RULES, max_steps=40))
    with started.open(REF) as run:
        recording.recall_episodes(run, other)
        assert not other.cached(PolicySource(run.policy())).episodes


@pytest.mark.parametrize(
    ("env_id", "optimizer", "returns", "stops"),
    [
        ("CartPole-v1", "search", [500.0] * 8, True),
        ("CartPole-v1", "search", [500.0] * 7 + [499.0], False),
        ("CartPole-v1", "search", [500.0] * 3, False),  # too few to say
        ("CartPole-v1", "simplify", [500.0] * 8, False),
        ("CartPole-v1", "exchange", [500.0] * 8, False),
        ("gco/Pong-v5", "search", [21.0] * 8, True),
        ("gco/Breakout-v5", "search", [864.0] * 8, False),  # nobody said what the most is
    ],
)
def test_a_run_that_earns_the_most_there_is_stops(env_id, optimizer, returns, stops):
    rules = make_protocol("default", env_id)
    config = RunConfig("game", rules, optimizer=optimizer)
    episodes = (EpisodeResult(n, r, 10, Outcome.GAME_OVER) for n, r in enumerate(returns))
    known = Evaluation(tuple(episodes), rules.stamp)
    with pytest.raises(BudgetSpent) if stops else contextlib.nullcontext() as caught:
        require_room(known, config, make_optimizer(optimizer, Tools(WorkerPool(0), folder=Path())))
    if stops:
        assert caught is not None
        assert caught.value.limit == (
            f"{returns[0]:g} points an episode, which is the most that can be earned"
        )


def test_an_optimizer_that_never_has_anything_to_propose_ends_a_run_with_a_limit_of_frames(
    started, judge
):
    optimizer = Scripted(*(ProposalError("nothing to tune") for _ in range(30)))
    with started.open(REF) as run:
        spent = train(run, optimizer, judge, CONFIG, Budget(frames=10**9))
        assert "in a row" in spent.limit
        assert run.last_iteration == len(optimizer.requests) == 10
        spent = train(run, optimizer, judge, CONFIG, Budget(iterations=12))  # these were asked for
        assert run.last_iteration == 22
