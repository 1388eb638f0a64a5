"""The search as an optimizer: slices on the real emulator, with a small purse."""

from __future__ import annotations

import contextlib
import hashlib
import json
import time
from collections.abc import Mapping

import pytest

from gco_agent.core.errors import ProposalError, StoreError
from gco_agent.core.events import Event, Searching
from gco_agent.core.records import Evaluation, PlayProtocol
from gco_agent.core.seeds import HIGHEST_SEED, Stream
from gco_agent.envs.atari import default_protocol
from gco_agent.evaluation.workers import WorkerPool
from gco_agent.optimizers.base import PastIteration, Proposal, Request
from gco_agent.optimizers.cma import StepBudget
from gco_agent.optimizers.search.arena import TOP, Arena
from gco_agent.optimizers.search.evolve import distinct, mark
from gco_agent.optimizers.search.memory import read_program, read_world
from gco_agent.optimizers.search.optimizer import STATE_FILE, SearchOptimizer
from gco_agent.optimizers.search.play import names_of
from gco_agent.optimizers.search.prune import prune
from gco_agent.optimizers.search.tuning import TuningRun, tune
from gco_agent.policy import PolicySource, check_policy, format_policy
from gco_agent.store.config import RunConfig
from tests.search.strategies import PONG, programs
from tests.search.test_grammar import simple

PURSE = 1_500


@pytest.fixture(scope="module")
def pool():
    with WorkerPool(2) as workers:
        yield workers


def arena(pool: WorkerPool, n_steps: int = 10**6) -> Arena:
    made = Arena(
        pool,
        PlayProtocol("default", "gco/Pong-v5"),
        PONG,
        Stream.FEEDBACK.seeds(0, 100),
        "Pong",
        "gco/Pong-v5",
    )
    made.purse = StepBudget(n_steps, float("inf"))
    return made


def request(
    iteration: int,
    files: Mapping[str, str],
    verdicts: Mapping[int, str] | None = None,
    events: list[Event] | None = None,
    *,
    seed: int = 0,
    seconds: float = 600,
) -> Request:
    config = RunConfig("pong", default_protocol("pong"), seed=seed, slice_steps=PURSE)
    return Request(
        PolicySource("x = 1\n"),
        Evaluation((), ""),
        iteration,
        config,
        [PastIteration(i, verdict, "", None) for i, verdict in (verdicts or {}).items()],
        files.get,
        time.perf_counter() + seconds,
        (events if events is not None else []).append,
    )


def run(pool: WorkerPool, n: int, *, seed: int = 0) -> list[Proposal]:
    """``n`` slices, each by an optimizer that knows nothing but what the last one left."""
    made: list[Proposal] = []
    for iteration in range(1, n + 1):
        files = made[-1].files if made else {}
        made.append(SearchOptimizer(pool).propose(request(iteration, files, seed=seed)))
    return made


def test_slices_repeat_to_the_letter_from_what_they_left(pool):
    first, again = run(pool, 2), run(pool, 2)
    assert [p.source for p in first] == [p.source for p in again]
    assert [p.files for p in first] == [p.files for p in again]


def test_another_seed_is_another_search(pool):
    assert run(pool, 1)[0].files != run(pool, 1, seed=1)[0].files


def test_proposals_are_formatted_policies_that_differ(pool):
    made = run(pool, 4)  # screen, tune, tune, evolve
    assert len({p.source.text for p in made}) == 4
    for proposal in made:
        check_policy(proposal.source)
        assert format_policy(proposal.source.text) == proposal.source.text
        assert proposal.n_steps >= 1
        assert proposal.summary
    assert made[0].summary in made[0].source.text  # the first says what it does as a whole


def test_the_purse_binds(pool):
    # what finds out how the game works comes on top, and so does what is under way when it is empty
    assert all(proposal.n_steps < PURSE + 15_000 for proposal in run(pool, 2))


def test_the_deadline_binds_and_still_gives_a_proposal(pool):
    made = SearchOptimizer(pool).propose(request(1, {}, seconds=0))
    assert made.n_steps < 15_000


def test_progress_is_told(pool):
    events: list[Event] = []
    SearchOptimizer(pool).propose(request(1, {}, events=events))
    told = [event for event in events if isinstance(event, Searching)]
    assert told
    assert told[-1].n_steps > 0
    assert {event.activity for event in told} == {"screen"}


def test_the_judge_s_word_makes_the_champion(pool):
    first = SearchOptimizer(pool).propose(request(1, {}))
    second = SearchOptimizer(pool).propose(request(2, first.files, {1: "accepted"}))
    state = json.loads(second.files[STATE_FILE])
    assert state["proposed"][state["champion"]] == 1


def with_state(pool, text: str) -> Proposal:
    return SearchOptimizer(pool).propose(request(4, {STATE_FILE: text}, seconds=0))


@pytest.fixture(scope="module")
def first_state(pool) -> str:
    return SearchOptimizer(pool).propose(request(1, {})).files[STATE_FILE]


@pytest.mark.parametrize(
    "damaged",
    [
        "",
        "{",
        "[]",
        "7",
        '{"schema": 7}',
        '{"schema": 2}',
        '{"schema": 2, "world": {}}',
        "[" * 9_999,
    ],
)
def test_state_that_cannot_be_read_is_told(pool, damaged):
    with pytest.raises(StoreError, match=r"search\.json cannot be read"):
        with_state(pool, damaged)


@pytest.mark.parametrize("place", ["text", "champion", "proposed", "world", "program"])
def test_no_text_of_a_branch_is_run(pool, first_state, tmp_path, place):
    """The branch of a run may be anybody's; its search plays outside the jail."""
    canary = tmp_path / "it-ran"
    evil = f"open({str(canary)!r}, 'w')\nclass Policy:\n    def act(self, obs):\n        return 0\n"
    state = json.loads(first_state)
    state["slices"] = 3
    if place == "text":
        for member in state["population"]:
            member["text"] = evil
    elif place == "champion":
        state["champion"] = evil
    elif place == "proposed":
        state["proposed"] = {evil: 1}
    elif place == "world":
        state["world"]["action_names"][0] = f"NOOP\n    pass\n{evil}"
    else:
        for member in state["population"]:
            member["program"]["dead_zone"]["value"] = evil
    with contextlib.suppress(StoreError):
        with_state(pool, json.dumps(state))
    assert not canary.exists()


def test_a_state_of_the_first_schema_is_gone_on_with(pool, first_state):
    state = {**json.loads(first_state), "schema": 1, "slices": 3, "champion": "class Policy: ..."}
    state["proposed"] = {"class Policy: ...": 1}
    made = with_state(pool, json.dumps(state))
    assert set(json.loads(made.files[STATE_FILE])["proposed"].values()) == {4}


@pytest.mark.parametrize("seed", [99_500, 4_294_968, HIGHEST_SEED])
def test_no_seed_of_a_run_leads_out_of_the_feedback_stream(pool, monkeypatch, seed):
    played: list[int] = []
    real = pool.map

    def watch(function, tasks):
        tasks = list(tasks)
        played.extend(task.seed for task in tasks if hasattr(task, "seed"))
        return real(function, tasks)

    monkeypatch.setattr(pool, "map", watch)
    first = SearchOptimizer(pool).propose(request(1, {}, seed=seed, seconds=0))
    state = json.loads(first.files[STATE_FILE])
    SearchOptimizer(pool).propose(request(10**6, first.files, seed=seed, seconds=0))
    assert state["tunings"] == 0
    stream = Stream.FEEDBACK.seeds(0, 100_000_000)
    assert played
    assert all(seed in stream for seed in played)


def test_nothing_is_proposed_twice(pool):
    first = SearchOptimizer(pool).propose(request(1, {}))
    state = json.loads(first.files[STATE_FILE])
    names = names_of(default_protocol("pong"))
    world = read_world(state["world"], names)
    state["proposed"] = {
        mark(read_program(member["program"], names), world): 1 for member in state["population"]
    }
    state["slices"] = 3  # evolution, which has no time for anything new
    with pytest.raises(ProposalError, match="proposed before"):
        SearchOptimizer(pool).propose(request(4, {STATE_FILE: json.dumps(state)}, seconds=0))


def test_dearer_ratings_of_better_programs(pool):
    place = arena(pool)
    good = place.individual(
        next(p for p in programs(PONG, 3, 400) if "intercept the Ball" in _title(place, p))
    )
    bad = place.individual(simple(40, 2))
    for level in range(TOP + 1):
        place.rate([good, bad], level)
    assert good.level == bad.level == TOP
    assert good.ratings[TOP] > bad.ratings[TOP]
    used = place.purse.used
    place.rate([good, bad], TOP)
    assert place.purse.used == used


def _title(place: Arena, program) -> str:
    return place.individual(program).text.partition("\n")[0]


def test_distinct_keeps_one_of_those_that_rate_the_same(pool):
    place = arena(pool)
    members = [place.individual(simple(place_)) for place_ in (50, 90, 130, 170)]
    for member, rating in zip(members, (1.0, 1.0, 3.0, 2.0), strict=True):
        member.ratings = {0: rating}
    assert [m.ratings[0] for m in distinct(members)] == [3.0, 2.0]  # of one niche only two


def test_pruning_changes_no_action(pool):
    place = arena(pool)
    for program in programs(PONG, 21, 4):
        member = place.individual(program)
        pruned = prune(place, member)
        assert len(pruned.text) <= len(member.text)
        played = place.returns_of_many([member.text, pruned.text], place.seeds[:2], 500)
        assert [e.actions for e in played[0]] == [e.actions for e in played[1]]


def test_tuning_moves_constants_and_counts_generations(pool):
    place = arena(pool, n_steps=9_000)
    arm = TuningRun(place.individual(simple(150, 3)))
    n_generations = tune(place, [arm], range(1000, 2000), rng_seed=5)
    assert n_generations >= 1
    assert arm.mean is not None
    assert arm.mean != arm.leader.program
    assert arm.score > float("-inf")
    assert len(arm.spread or []) == 3


def test_the_programs_of_a_seed_stay_what_they_were() -> None:
    """A change that is not meant to change the search changes none of its programs."""
    config = RunConfig("pong", default_protocol("pong"), seed=3, slice_steps=1_500)
    asked = Request(
        PolicySource("x = 1\n"),
        Evaluation((), ""),
        1,
        config,
        [],
        dict[str, str]().get,
        time.perf_counter() + 600,
    )
    with WorkerPool(0) as here:
        made = SearchOptimizer(here).propose(asked)
    told = made.source.text + made.summary + str(made.n_steps)
    assert hashlib.sha256(told.encode()).hexdigest()[:16] == "b950eac53150f81b"
