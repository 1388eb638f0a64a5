"""The search as an optimizer: slices on the real emulator, with a small purse."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Mapping
from typing import cast

import pytest

from gco_agent.core.errors import StoreError
from gco_agent.core.events import Event, Searching
from gco_agent.core.records import Evaluation, PlayProtocol
from gco_agent.core.seeds import HIGHEST_SEED, Stream
from gco_agent.envs.atari import default_protocol
from gco_agent.evaluation.workers import WorkerPool
from gco_agent.optimizers.base import PastIteration, Proposal, Request
from gco_agent.optimizers.cma import StepBudget
from gco_agent.optimizers.search.evolve import TOP, Arena, Member, keep, prune, race, tune, unlike
from gco_agent.optimizers.search.genome import (
    Constant,
    GoTo,
    Intercept,
    Pick,
    Rule,
    Rules,
    constants,
)
from gco_agent.optimizers.search.optimizer import STATE_FILE, SearchOptimizer, compare, read_state
from gco_agent.optimizers.search.play import Played, names_of
from gco_agent.optimizers.search.world import Sightings
from gco_agent.policy.contract import check_policy
from gco_agent.policy.source import PolicySource, format_policy
from gco_agent.store.config import RunConfig
from tests.search.strategies import PONG, programs
from tests.search.test_grammar import by_rules, planned, simple, worth

PURSE = 1_500


@pytest.fixture(scope="module")
def pool():
    with WorkerPool(2) as workers:
        yield workers


def arena(pool: WorkerPool, n_steps: int = 10**6) -> Arena:
    seeds = Stream.FEEDBACK.seeds(0, 100)
    protocol = PlayProtocol("default", "gco/Pong-v5")
    made = Arena(pool, protocol, PONG, seeds, ("Pong", "gco/Pong-v5"))
    made.budget = StepBudget(n_steps, float("inf"))
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


@pytest.fixture(scope="module")
def made(pool) -> list[Proposal]:
    return run(pool, 4)  # screen, tune, tune, evolve


def test_slices_repeat_to_the_letter_on_any_number_of_workers(made):
    with WorkerPool(0) as here:
        again = run(here, 2)
    for first, second in zip(made, again, strict=False):
        assert first.source == second.source
        assert first.files == second.files
        assert (first.reason, first.n_steps) == (second.reason, second.n_steps)


def test_another_seed_is_another_search(pool, made):
    assert made[0].files != run(pool, 1, seed=1)[0].files


def test_proposals_are_formatted_policies_that_differ(made):
    assert len({p.source.text for p in made}) == 4
    for proposal in made:
        check_policy(proposal.source)
        assert format_policy(proposal.source.text) == proposal.source.text
        assert proposal.summary
    assert made[0].summary in made[0].source.text  # the first says what it does as a whole
    assert all("The actions move Player on y." in p.reason for p in made)
    assert all("- The actions move Player on y." in p.source.text for p in made)


def test_the_purse_binds(made):
    # what finds out how the game works comes on top, and so does what is under way when it is empty
    assert all(1 <= proposal.n_steps < PURSE + 20_000 for proposal in made)


def test_the_deadline_binds_and_still_gives_a_proposal_and_progress_is_told(pool):
    events: list[Event] = []
    made = SearchOptimizer(pool).propose(request(1, {}, events=events, seconds=0))
    assert made.n_steps < 15_000
    told = [event for event in events if isinstance(event, Searching)]
    assert told
    assert told[-1].n_steps > 0
    assert {event.activity for event in told} == {"screen"}


def test_the_judge_s_word_makes_the_champion(pool, first_state):
    files = {STATE_FILE: first_state}
    second = SearchOptimizer(pool).propose(request(2, files, {1: "accepted"}, seconds=0))
    state = json.loads(second.files[STATE_FILE])
    assert state["proposed"][state["champion"]] == 1


def with_state(pool, text: str) -> Proposal:
    return SearchOptimizer(pool).propose(request(4, {STATE_FILE: text}, seconds=0))


@pytest.fixture(scope="module")
def first_state(made: list[Proposal]) -> str:
    return made[0].files[STATE_FILE]


@pytest.mark.parametrize(
    "damaged",
    [
        "",
        "{",
        "[]",
        "7",
        '{"schema": 7}',
        '{"schema": 5}',
        '{"schema": 5, "world": {}}',
        "[" * 9_999,
    ],
)
def test_state_that_cannot_be_read_is_told(pool, damaged):
    with pytest.raises(StoreError, match=r"search\.json cannot be read"):
        with_state(pool, damaged)


EVIL: tuple[object, ...] = ('"]; x #\nimport os\n', float("nan"), 1e9, [[]])


def places(data: object):
    """Every place in JSON data at which another value could stand: container and key."""
    parts = data.items() if isinstance(data, dict) else enumerate(data)  # type: ignore[arg-type]
    for key, value in list(parts):
        yield data, key
        if isinstance(value, dict | list):
            yield from places(value)


def test_no_text_of_a_branch_is_run(pool, first_state, tmp_path):
    """The branch of a run may be anybody's; its search plays outside the jail."""
    canary = tmp_path / "it-ran"
    evil = f"open({str(canary)!r}, 'w')\nclass Policy:\n    def act(self, obs):\n        return 0\n"
    names = names_of(default_protocol("pong"))
    data = json.loads(first_state)
    tried = 0
    for container, key in list(places(data)):
        before = container[key]
        for value in (evil, *EVIL):
            container[key] = value
            with contextlib.suppress(StoreError, RecursionError):
                state = read_state(json.dumps(data), names)
                assert state is None or not any(
                    text in arena(pool).text(m.program)
                    for m in state.members()
                    for text in ("import os", "open(", '"]; x')
                )
                tried += 1
        container[key] = before
    assert tried
    data["archive"][0]["program"]["fire"] = [{"kind": "missing", "category": evil}]
    with pytest.raises(StoreError, match="no such categories"):
        with_state(pool, json.dumps(data))
    assert not canary.exists()


@pytest.mark.parametrize(
    ("part", "evil"),
    [
        ("action_names", ["NOOP\nimport os", "FIRE", "RIGHT", "LEFT", "RIGHTFIRE", "LEFTFIRE"]),
        ("player", 'Player"] or __import__("os")["'),
        ("player_index", "0]; import os #"),
        ("player_index", -1),
        ("axes", ["z"]),
        ("signs", [["1", 0]] * 6),
        ("signs", [[0, 0]]),
        ("ranges", {"Ball": ["a", 1, 1, 1]}),
        ("ranges", {"B\nall": [1.0, 1.0, 1.0, 1.0]}),
        ("most", {"Ball": 1.5}),
        ("places", {"x\ny": {"n": 1, "sum_x": 1.0, "sum_y": 1.0}}),
    ],
)
def test_no_world_is_read_that_the_environment_is_not(first_state, part, evil):
    data = json.loads(first_state)
    data["world"][part] = evil
    with pytest.raises(StoreError, match=r"search\.json cannot be read"):
        read_state(json.dumps(data), names_of(default_protocol("pong")))


@pytest.mark.parametrize("schema", [1, 2, 3])
def test_a_run_of_an_earlier_version_begins_its_search_anew(schema):
    text = json.dumps({"schema": schema, "world": {}, "population": []})
    assert read_state(text, names_of(default_protocol("pong"))) is None


@pytest.mark.parametrize("seed", [99_500, HIGHEST_SEED])
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


def test_nothing_is_proposed_twice(made):
    proposed = json.loads(made[-1].files[STATE_FILE])["proposed"]
    assert set(proposed.values()) == {1, 2, 3, 4}, "one proposed again would have a later number"


def test_a_line_that_is_stale_begins_again(pool, first_state):
    events: list[Event] = []
    files = {STATE_FILE: first_state}
    made = SearchOptimizer(pool).propose(request(30, files, events=events, seconds=0))
    assert {e.activity for e in events if isinstance(e, Searching)} == {"screen"}
    state = json.loads(made.files[STATE_FILE])
    assert state["screened"] == 30
    events.clear()
    SearchOptimizer(pool).propose(request(31, made.files, events=events, seconds=0))
    assert "screen" not in {e.activity for e in events if isinstance(e, Searching)}


def test_better_programs_rate_higher_and_win_the_race(pool):
    place = arena(pool)
    meet = Rule("y", Pick("Ball", "nearest"), (), Intercept(None, None))
    good, bad = Member(by_rules(meet)), Member(simple(40, 2))
    for level in range(TOP + 1):
        place.rate([good, bad], level)
    assert good.ratings[TOP] > bad.ratings[TOP]
    assert (good.n, good.mean) == (3, round(good.ratings[TOP], 4))
    assert good.cell.startswith("Ball y")
    used = place.budget.used
    place.rate([good, bad], TOP)
    assert place.budget.used == used
    assert race(place, [bad, good]) is good


def played(total: float, n_steps: int, n_lost: int, lives: int = 3, *, is_over=False) -> Played:
    counts = (total, 1, lives, n_lost, n_steps, n_steps, is_over, 0)
    return Played(*counts, (0.0, 0.0), None, Sightings())


def test_a_rating_estimates_whole_games():
    place = arena(None)  # type: ignore[arg-type]
    place.usual_rate = 1 / 300
    bold, careful = played(90, 900, 3), played(60, 900, 0)
    assert place.rating([careful]) > place.rating([bold]), "it will live longer"
    assert place.rating([played(90, 900, 3, is_over=True)]) == pytest.approx(90, abs=0.1)
    assert place.rating([played(90, 900, 0, lives=0)]) == pytest.approx(90, abs=0.1)
    usual = place.rating([played(90, 900, 3)])
    assert usual == pytest.approx(90, abs=0.1), "the usual rate of losses: all lives are used up"
    endless = place.rating([played(90, 900, 0)] * 1_000)
    assert endless == pytest.approx(90 / 900 * 27_000, rel=0.02), "no game is longer than its cap"


def test_the_usual_rate_of_losses_follows_the_best_programs():
    place = arena(None)  # type: ignore[arg-type]
    assert place.learn_rate([played(0, 500, 1)]) == 1 / 500
    place.usual_rate = 1 / 100
    assert place.learn_rate([played(0, 200, 0)]) == 2 / 400


def rated(program, mean: float, cell: str = "", n: int = 3, born: int = 0) -> Member:
    return Member(program, n=n, mean=mean, cell=cell, born=born)


def test_the_archive_keeps_the_best_of_each_niche_and_behaviour():
    same = [rated(simple(50), 1.0, "a"), rated(simple(90), 1.0, "b")]
    kin = [rated(simple(130), 3.0, "a"), rated(simple(170), 2.0, "a"), rated(simple(99), 1.5, "b")]
    other = [rated(planned(worth("Ball", p)), p) for p in (0.5, -9.0)]
    kept = keep([*same, *kin, *other])
    assert [m.mean for m in kept] == [3.0, 1.5, 0.5, -9.0]
    doubted = [rated(simple(1), 5.0, "a", n=1), rated(simple(2), 4.0, "b", n=30)]
    kept = keep([*doubted, *(rated(planned(worth(c, 1)), 0.0, n=30) for c in "ABCD")])
    assert kept[0].mean == 4.0, "what was seen often comes before what was seen once"


def test_a_restart_has_places_of_its_own_and_the_champion_stays():
    old = [rated(planned(worth(f"A{i}", 1)), 10.0 + i) for i in range(20)]
    young = [rated(planned(worth(f"B{i}", 1)), 1.0 + i, born=9) for i in range(5)]
    kept = keep([*old, *young], old[0].mark, restarted=9)
    assert len(kept) == 12
    assert sum(m.born == 9 for m in kept) == 4
    assert old[0] in kept
    assert old[1] not in kept


def test_what_plays_as_the_policy_in_force_does_is_not_proposed_again(pool):
    place = arena(pool)
    own, other = simple(40, 2), Member(simple(180, 2))
    idle = Rule("y", None, (), GoTo(Constant(9, 20)))
    same = Member(by_rules(*cast(Rules, own.moves).rules, idle, dead_zone=2))
    assert unlike(place, own, [same, other]) == [other]


def test_pruning_changes_no_action(pool):
    place = arena(pool)
    for program in programs(PONG, 21, 4):
        pruned = prune(place, program)
        assert len(place.text(pruned)) <= len(place.text(program))
        played = place.episodes_of([program, pruned], place.seeds[:2], 500)
        assert [e.actions for e in played[0]] == [e.actions for e in played[1]]


def test_tuning_moves_constants_and_counts_generations(pool):
    place = arena(pool, n_steps=12_000)
    leader = Member(simple(150, 3))
    [tuned], n_generations = tune(place, leader, range(1000, 2000), rng_seed=5)
    assert n_generations >= 1
    assert tuned.program != leader.program
    assert tuned.ratings
    assert len(tuned.spread or ()) == len(constants(leader.program))


def test_a_commit_says_what_comes_goes_and_moves():
    place = arena(None)  # type: ignore[arg-type]
    before = place.text(simple(100, 8))
    assert compare(before, before) == ("", "")
    assert (
        compare(before, place.text(simple(130, 7)))[0] == "move HOME_Y 100 to 130, DEAD_ZONE 8 to 7"
    )
    summary, lines = compare(before, place.text(planned(worth("Ball", -9))))
    assert summary == "add: keep clear of Ball; drop: go to y"
    assert "\n- add: keep clear of Ball\n" in lines
    assert compare("x = 1\n", before) == ("", ""), "nothing is known of a text of another hand"
