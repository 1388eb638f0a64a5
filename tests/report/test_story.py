"""A run read back: trials, episodes, differences, axes, packed details."""

from __future__ import annotations

import base64
import gzip
import itertools
import json
import random
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gco_agent.cli.context import CliContext
from gco_agent.cli.run import config_of
from gco_agent.cli.run import run as run_command
from gco_agent.core.errors import StoreError
from gco_agent.core.records import Verdict
from gco_agent.core.text import count_changes, difference
from gco_agent.envs.environment import find_spec, make_protocol
from gco_agent.evaluation.workers import WorkerPool
from gco_agent.report.failing import lay_out, trace_failures
from gco_agent.report.figures import lineage, thinned
from gco_agent.report.page import CHUNK, pack
from gco_agent.report.summary import AXES, half_interval, positions, read_report
from gco_agent.store.config import RunConfig
from gco_agent.store.entries import Facts
from gco_agent.store.view import OptimizerStats, Played, Step, optimizer_stats, parse_played
from tests.report.samples import HOSTILE, REF, evaluation, policy

LINES = st.lists(st.sampled_from(["a", "b", "", " c", "-d", "+e", "@f", HOSTILE]), max_size=12)


def test_trials_are_one_for_each_text_that_was_tried(view):
    trials = view.trials()
    assert [trial.iteration for trial in trials] == list(range(21))
    assert {trial.verdict for trial in trials} == {"initial", "accepted", "rejected", "failed"}
    assert [t.commit for t in trials if t.in_force] == [view.standing.commit]
    for trial in trials:
        assert trial.is_kept == (trial.verdict in ("initial", "accepted"))
        assert (trial.commit == trial.line_commit) == trial.is_kept
        assert trial.body


def test_a_trial_descends_from_the_policy_in_force_before_it(view):
    trials = view.trials()
    assert trials[0].parents == ()
    standing = trials[0]
    for trial in trials[1:]:
        assert trial.parents == (standing.commit,)
        standing = trial if trial.is_kept else standing


def test_details_are_the_texts_on_both_sides_and_the_seeds(view):
    trials = view.trials()
    for trial, details in zip(trials, view.details(trials), strict=True):
        assert details.after is not None
        assert details.after.startswith(policy(trial.iteration or 0)[:200])
        assert len(details.played) == 8
        if trial.iteration:
            assert details.before == view.policy(trial.parents[0])
            assert all(p.parent_return is not None for p in details.played)
        else:
            assert details.before == ""
            assert details.played[0].difference is None


def test_evidence_and_iterations_are_found(view):
    trials = view.trials()
    (seventh,) = view.trials_of("7")
    assert view.evidence_names(seventh.commit, 7) == ["evaluation.json"]
    (fourth,) = view.trials_of("4")
    assert view.evidence_names(fourth.commit, 4) == ["evaluation.json", "feedback.md"]
    told = [details.feedback for details in view.details(trials)]
    assert [i for i, text in enumerate(told) if text] == [4]
    assert HOSTILE in (told[4] or "")
    with pytest.raises(StoreError, match="not 99"):
        view.trials_of("99")


def test_many_files_of_which_some_are_missing(view):
    wanted = [(view.tip, "policies/pong.py"), (view.tip, "no such"), (view.tip, "policies")] * 3
    texts = list(view.repo.read_files(wanted))
    assert texts == [view.policy(), None, None] * 3
    assert list(view.repo.read_files([])) == []


def test_a_report_counts_and_names(view, runs):
    report = read_report(view)
    assert report.n_tried == 20
    counts = [report.count(v) for v in (Verdict.ACCEPTED, Verdict.REJECTED, Verdict.FAILED)]
    assert sum(counts) == 20
    assert all(r.source and r.played for r in report.references)
    drawn = [label for label, _ in report.drawn_references]
    assert drawn == ["random -20.7", "Kuang et al. 12.0", "human 14.6", "PPO 15.2"]
    assert len(report.references) == 6
    assert report.command.startswith("gco-agent run pong --optimizer search --seed 0 ")
    assert "--iterations 20 " in report.command
    assert report.facts_now is not None
    assert next(iter(report.samples)) == "iteration 0, initial"


def test_what_each_optimizer_earned_adds_up_to_the_run(view):
    report = read_report(view)
    assert [row.optimizer for row in report.optimizers] == ["search", "tune"]
    search, tune = report.optimizers
    assert (search.iterations, tune.iterations) == (17, 3)
    assert search.accepted + tune.accepted == report.count(Verdict.ACCEPTED)
    assert search.candidates + tune.candidates == 20
    assert tune.tokens == 3 * 2000
    assert tune.usd == pytest.approx(0.06)
    assert tune.seconds == pytest.approx(3 * 30.5)
    accepted = [t for t in report.trials if t.verdict == "accepted"]
    gains = sum(t.facts.gain for t in accepted if t.facts and t.facts.gain)
    assert search.gain + tune.gain == pytest.approx(gains)


def test_an_iteration_with_no_candidate_is_one_all_the_same():
    def step(verdict: Verdict, optimizer: str | None, *candidates: Step, **more) -> Step:
        facts = Facts("gco/pong/x", 1, verdict, optimizer=optimizer, **more)
        when = datetime(2026, 1, 1, tzinfo=UTC)
        return Step("c" * 40, (), when, "x", "", facts, candidates)

    steps = [
        step(Verdict.INITIAL, None, loc=9),
        step(Verdict.FAILED, "reflect", step(Verdict.FAILED, "reflect"), tokens_in=10),
        step(
            Verdict.ACCEPTED, "reflect", step(Verdict.REJECTED, "reflect", loc=3),
            loc=4, gain=1.5, tokens_in=5, tokens_out=2, usd=0.5,
        ),
        step(Verdict.ROLLED_BACK, None, loc=9),
        step(Verdict.REPORTED, None, loc=9),
    ]  # fmt: skip
    (row,) = optimizer_stats(steps)
    assert row == OptimizerStats("reflect", 2, 2, 1, 1.5, 17, 0.5)


def test_the_last_failure_is_one_that_was_played_if_there_is_one(view):
    trials = view.trials()
    failed = [trial for trial in trials if trial.verdict == "failed"]
    rules = make_protocol("default", "CartPole-v1")  # its steps are quick; it is another episode
    with WorkerPool(0) as pool:
        first, worst = trace_failures(view, trials, rules, pool)
    assert first.title.startswith(f"Iteration {failed[-1].iteration} failed: policy-raised, seed ")
    assert HOSTILE in first.text
    standing = next(t for t in reversed(trials) if t.is_kept)
    assert worst.title.startswith(f"Worst episode of iteration {standing.iteration}, accepted")


def test_traces_are_laid_out_for_people():
    text = (
        "word " * 40 + "\n\n```\nstep|Ball x,y|action\n7|10,3|LEFT\n12|100,30|NOOP\n```\n"
        "- a|b\n```\n  12 x = a | b\n```\n"
    )
    lines = lay_out(text).splitlines()
    assert max(map(len, lines)) <= 120
    at = lines.index("step  Ball x,y  action")
    assert lines[at + 1 : at + 3] == ["7     10,3      LEFT", "12    100,30    NOOP"]
    assert lines[-2:] == ["- a|b", "  12 x = a | b"]


def test_axes_grow_and_count_an_iteration_once(view):
    trials = view.trials()
    places = positions(trials)
    for before, after in itertools.pairwise(places):
        assert all(after[axis] >= before[axis] for axis in AXES)
    assert places[-1]["hours"] == pytest.approx((3.0 + 20 * 30.5) / 3600)
    assert places[-1]["usd"] == pytest.approx(20 * 0.02)
    assert places[-1]["frames"] == 6.0
    twice = [trials[1], trials[1]]  # two candidates of one iteration
    assert positions(twice)[1]["usd"] == pytest.approx(0.02)
    assert set(lineage(trials)["y"]) == {0, -1}
    assert lineage(twice)["y"] == [-1, -2]


@settings(deadline=None)  # the first example imports scipy
@given(st.floats(0, 1000), st.integers(5, 200))
def test_the_interval_of_facts_is_students(error, n):
    from scipy.stats import t

    facts = Facts("gco/pong/x", 1, Verdict.ACCEPTED, return_mean=1.0, return_se=error, episodes=n)
    assert facts.return_se is not None
    expected = t.ppf(0.975, n - 1) * facts.return_se
    assert half_interval(facts) == pytest.approx(expected, rel=1e-6, abs=1e-9)


def test_scores_in_words(view):
    report = replace(read_report(view), bounds=(-21.0, 7.5))
    facts = Facts("gco/pong/x", 1, Verdict.ACCEPTED, return_mean=6.0, return_se=0.8, episodes=8,
                  seeds="report 0:8")  # fmt: skip
    words = report.score_in_words
    assert words(facts) == "6.00, 95 % interval 4.11 to 7.50 (8 episodes, report 0:8)"
    assert words(replace(facts, episodes=4)) == "6.00 (4 episodes, report 0:8)"
    assert words(None) == "not measured"
    assert half_interval(None) is None
    assert (
        half_interval(Facts("gco/pong/x", 1, Verdict.ACCEPTED, return_se=1.0, episodes=4)) is None
    )


@given(st.lists(st.integers(), unique=True, max_size=300), st.integers(2, 100))
def test_thinning_keeps_both_ends_and_the_order(indices, most):
    found = thinned(indices, most)
    assert len(found) == min(len(indices), most)
    assert found == [i for i in indices if i in set(found)]
    assert not indices or (found[0], found[-1]) == (indices[0], indices[-1])


@given(LINES, LINES)
def test_a_difference_turns_one_text_into_the_other(before, after):
    lines = difference("\n".join(before), "\n".join(after), context=1000)
    old, new = "\n".join(before).splitlines(), "\n".join(after).splitlines()
    if old == new:
        assert lines == []
        return
    assert [line[1:] for line in lines if line[0] in " -"] == old
    assert [line[1:] for line in lines if line[0] in " +"] == new
    added, removed = count_changes(lines)
    assert len(new) - len(old) == added - removed


def test_what_is_far_from_a_change_is_left_out():
    text = [str(n) for n in range(100)]
    lines = difference("\n".join(text), "\n".join([*text[:50], "x", *text[51:]]))
    assert [line[0] for line in lines] == ["@", " ", " ", " ", "-", "+", " ", " ", " "]
    assert lines[0] == "@@ -48,7 +48,7 @@"


def test_played_seeds_are_read_back():
    first, second = parse_played(evaluation([1.0, 2.5], [3.0, 2.0]), "x")
    assert first == Played(1_100_000_000, 1.0, 900, "game-over", "", 3.0)
    assert second.difference == 0.5
    (failed,) = parse_played(evaluation([1.0], [], "KeyError: 'x'"), "x")
    assert failed == Played(1_100_000_000, 1.0, 900, "policy-raised", "KeyError: 'x'")
    assert parse_played(None, "x") == ()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (json.dumps({"schema": 3, "policies": {}}), r"cannot be read \(schema 3"),
        ("{}", "cannot be read"),
        (json.dumps({"schema": 1, "policies": {}}), "cannot be read"),
        ("[]", "cannot be read"),
        (evaluation([1.0], [])[:-9], "cannot be read"),
    ],
)
def test_evidence_of_another_kind_is_refused(text, message):
    with pytest.raises(StoreError, match=f"evaluation.json of commit abc {message}"):
        parse_played(text, "commit abc")


def unpack(chunk: str) -> list[dict[str, Any]]:
    """Return the rows of a chunk, as the page does."""
    rows: list[dict[str, Any]] = json.loads(gzip.decompress(base64.b64decode(chunk)))
    return rows


def test_details_come_back_from_little_space(view):
    trials = view.trials()
    details = list(view.details(trials))
    (chunk,), n_cut = pack(trials, iter(details), 10**9)
    assert n_cut == 0
    rows = unpack(chunk)
    assert [row["reason"] for row in rows] == [trial.body for trial in trials]
    assert [len(row["seeds"]) for row in rows] == [8] * 21
    assert any(HOSTILE in row["diff"] for row in rows)


def test_where_space_is_short_the_oldest_rejected_lose_their_differences(view):
    trials = view.trials() * 12
    chance = random.Random(0)
    details = list(view.details(trials))
    chance.shuffle(details)
    whole, _ = pack(trials, iter(details), 10**9)
    size = sum(map(len, whole))
    chunks, n_cut = pack(trials, iter(details), size - 100)
    rows = [row for chunk in chunks for row in unpack(chunk)]
    assert len(chunks) == -(-len(trials) // CHUNK)
    assert sum(map(len, chunks)) < size
    cut = [trial for trial, row in zip(trials, rows, strict=True) if row.get("cut")]
    assert n_cut == len(cut) == sum(not trial.is_kept for trial in trials[:CHUNK])
    assert not any(trial.is_kept for trial in cut)
    assert [row["reason"] for row in rows] == [trial.body for trial in trials]


def test_where_that_is_not_enough_the_others_lose_them_too(view):
    trials = view.trials()
    (chunk,), n_cut = pack(trials, view.details(trials), 10)
    assert n_cut == len(trials)
    assert all(set(row) == {"reason", "cut"} for row in unpack(chunk))


def test_the_second_run_is_another(runs):
    assert {ref.run_id for ref in runs.list()} == {REF.run_id, "second"}


@pytest.mark.parametrize(
    "options",
    [
        "pong",
        "pong --protocol reference",
        "pong --protocol reference --objects completed",
        "pong --objects ocatari --seed 3 --max-steps 1000 --slice-steps 5000",
        "pong --optimizer reflect,search --model m --effort high --max-tokens 9000 --candidates 2",
        "pong --optimizer optoprime --horizon 40 --hints paper --trace-tokens 900",
        "CartPole-v1 --hints none",
    ],
)
def test_the_command_of_a_report_starts_the_same_run(view, options):
    def config_by(command: str) -> RunConfig:
        words = command.removeprefix("gco-agent run ").split()
        given = run_command.make_context("run", words, obj=CliContext(Path())).params
        return config_of(find_spec(given["game"]), given)

    config = config_by(options)
    report = replace(read_report(view), config=config)
    assert config_by(report.command) == config
