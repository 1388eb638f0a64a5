"""A run with failures, repairs and rivals, recorded and made again."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from gco_agent.core.errors import UsageError
from gco_agent.core.events import silent
from gco_agent.evaluation.judge import Judge, Race
from gco_agent.evaluation.workers import WorkerPool
from gco_agent.loop.budget import Budget
from gco_agent.loop.replay import (
    RecordedOptimizer,
    format_recording,
    is_part,
    parse_recording,
    play_back,
    record_run,
)
from gco_agent.loop.selection import Archive
from gco_agent.loop.session import compose_request
from gco_agent.loop.train import report, start_run, train
from gco_agent.loop.verify import Answer, Verifier, read_claims
from gco_agent.store.entries import RunRef
from gco_agent.store.git import GitRepo
from gco_agent.store.run import Runs
from tests.engine.policies import FOLLOW, HIDE, RULES, STILL, failing
from tests.engine.test_asking import CONFIG, Asking, Mending, block
from tests.engine.test_train import REF, Scripted, events, judge, project, runs, started
from tests.optimizers.requests import bare_request
from tests.store.samples import commit_file, git

__all__ = ["events", "judge", "project", "runs", "started"]  # fixtures


def test_a_run_is_made_again_to_the_byte(
    project: Path, started: Runs, judge: Judge, tmp_path: Path
) -> None:
    wrong = failing("raise ValueError('lost the ball')")
    with started.open(REF) as run:
        train(run, Asking("Well.", block(FOLLOW)), judge, CONFIG, Budget(iterations=1))
        rivals = replace(CONFIG, candidates=2)
        train(run, Mending(HIDE, "import os\n" + STILL), judge, rivals, Budget(iterations=1))
        train(run, Mending(wrong, wrong), judge, CONFIG, Budget(iterations=1))
        report(run, judge, CONFIG, Budget(report_episodes=2), lambda _: None)
    recording = record_run(started.view(REF))
    assert [len(each.tries) for each in recording.iterations] == [2, 2, 2, 0]
    assert [each.episodes for each in recording.iterations] == [0, 0, 0, 2]
    kept = {name for each in recording.iterations for one in each.tries for name in one.files}
    assert kept.isdisjoint({"evaluation.json", "actions.json", "proposal.json", "error.txt"})
    assert parse_recording(format_recording(recording)) == recording

    git(tmp_path, "init", "--quiet", "other")
    other = tmp_path / "other"
    commit_file(other, "README.md", "A project.\n", "Begin")
    fresh = Judge(judge.pool, RULES)
    again = Runs(GitRepo(other / ".git", other / ".git", other))
    replayed = play_back(recording, again, REF, fresh)
    assert [each.iteration for each in replayed] == [0, 1, 2, 3, 4]
    assert all(each.is_same for each in replayed)
    here, there = (runs.view(REF).history() for runs in (started, again))
    for one, two in zip(here, there, strict=True):
        assert one.facts is not None
        assert two.facts is not None
        mine, theirs = (
            replace(facts, seconds=None, cpu_ms_mean=None) for facts in (one.facts, two.facts)
        )
        assert mine == theirs
        pairs = [(one, two), *zip(one.candidates, two.candidates, strict=True)]
        for this, that in pairs:
            trees = (
                git(place, "rev-parse", f"{commit}^{{tree}}")
                for place, commit in ((project, this.commit), (other, that.commit))
            )
            assert len(set(trees)) == 1


class Hurried(Judge):
    """Cuts every race short."""

    def race_all(self, *args: Any, **kwargs: Any) -> list[Race]:
        return super().race_all(*args, **{**kwargs, "most_pairs": 2})


def test_a_replay_that_was_interrupted_is_continued(
    project: Path, started: Runs, judge: Judge, tmp_path: Path
) -> None:
    with started.open(REF) as run:
        train(run, Asking(block(FOLLOW), block(HIDE)), judge, CONFIG, Budget(iterations=2))
    recording = record_run(started.view(REF))
    git(tmp_path, "init", "--quiet", "other")
    other = tmp_path / "other"
    commit_file(other, "README.md", "A project.\n", "Begin")
    again = Runs(GitRepo(other / ".git", other / ".git", other))
    first = replace(recording, iterations=recording.iterations[:1])
    play_back(first, again, REF, Judge(judge.pool, RULES))
    rules = recording.settings.protocol
    assert is_part(again.view(REF), recording, rules)
    assert not is_part(again.view(REF), first, rules)  # nothing is left to play
    elsewhere = replace(rules, versions=(*rules.versions, ("rom", "another")))
    assert not is_part(again.view(REF), recording, elsewhere)
    done = again.view(REF).tip
    replayed = play_back(recording, again, REF, Judge(judge.pool, RULES))
    assert [each.iteration for each in replayed] == [0, 1, 2]
    assert all(each.is_same for each in replayed)
    assert replayed[1].commit == done
    trees = {git(p, "rev-parse", f"{REF.branch}^{{tree}}") for p in (project, other)}
    assert len(trees) == 1


def test_after_three_failures_an_inconclusive_candidate_is_edited(
    runs: Runs, project: Path
) -> None:
    """It is raced against the policy in force; the run holds, and is made again the same."""
    chase = FOLLOW.replace("follow", "chase")
    optimizer = Scripted(FOLLOW, HIDE, STILL, chase, HIDE)
    with WorkerPool(0) as pool:
        judge = Hurried(pool, RULES)
        start_run(runs, REF, CONFIG, judge, switch=False, progress=silent)
        with runs.open(REF) as run:
            train(run, optimizer, judge, CONFIG, Budget(iterations=3))
            told = compose_request(Archive(run), judge, CONFIG, Budget()).feedback().text
            train(run, optimizer, judge, CONFIG, Budget(iterations=2))
        history = runs.view(REF).history()
        initial, follow = runs.view(REF).policy(history[0].commit), history[1].candidates[0]
        assert [each.parent.text for each in optimizer.requests] == [
            *[initial] * 3, runs.view(REF).policy(follow.commit), initial,
        ]  # fmt: skip
        assert "the inconclusive candidate of iteration 1: a gain of +" in told
        edited = history[4].candidates[0]
        assert edited.parents[0] == history[3].commit
        assert "It edits an inconclusive candidate" in edited.body
        claims = read_claims(runs.view(REF))
        verifier = Verifier(pool)
        answers = [verifier.verify(claim, (RULES,)).answer for claim in claims]
        assert answers == [Answer.HOLDS] * 6
        recording = parse_recording(format_recording(record_run(runs.view(REF))))
        assert [each.most_pairs for each in recording.iterations] == [2] * 5
        again = RunRef("breakout", "again")
        replayed = play_back(recording, runs, again, Judge(pool, RULES))
    assert all(each.is_same for each in replayed)
    assert runs.view(again).history()[4].candidates[0].body == edited.body


def test_a_commit_by_hand_ends_the_recording(project: Path, started: Runs, judge: Judge) -> None:
    commit_file(project, "policies/breakout.py", FOLLOW, "By hand")
    recording = record_run(started.view(REF))
    assert recording.iterations == ()
    assert "was made by hand" in recording.left_out


def test_what_is_not_in_the_recording_is_said() -> None:
    optimizer = RecordedOptimizer(())
    with pytest.raises(Exception, match="iteration 7 is not in the recording"):
        optimizer.propose(bare_request())


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"schema": 99}'])
def test_other_texts_are_no_recordings(text: str) -> None:
    with pytest.raises(UsageError, match="recording"):
        parse_recording(text)


def test_a_recording_with_a_path_outside_is_refused(started: Runs, judge: Judge) -> None:
    with started.open(REF) as run:
        train(run, Asking(block(FOLLOW)), judge, CONFIG, Budget(iterations=1))
    data = json.loads(format_recording(record_run(started.view(REF))))
    for path in ("../../pwn.txt", "/pwn.txt", "a/../../../x", ".git/config"):
        data["iterations"][0]["tries"][0]["files"][path] = "x"
        with pytest.raises(UsageError, match="is not a path"):
            parse_recording(json.dumps(data))
        del data["iterations"][0]["tries"][0]["files"][path]
    parse_recording(json.dumps(data))
    for name, value in (("episodes", 10**9), ("episodes", -1), ("first_seed", -1)):
        unbounded = {**data, "iterations": [{**data["iterations"][0], name: value}]}
        with pytest.raises(UsageError, match=name):
            parse_recording(json.dumps(unbounded))
    with pytest.raises(UsageError, match="first_seed"):
        parse_recording(json.dumps({**data, "first_seed": 10**12}))
