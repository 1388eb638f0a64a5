"""A claim is played again: it holds, differs at a certain step, or cannot be compared."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from gco_agent.core.errors import GcoError, ProposalError, StoreError, UsageError
from gco_agent.core.events import silent
from gco_agent.core.records import (
    EpisodeResult,
    Outcome,
    PlayProtocol,
    Verdict,
    digest_actions,
    pack_actions,
    unpack_actions,
)
from gco_agent.evaluation.judge import Judge
from gco_agent.evaluation.workers import WorkerPool
from gco_agent.loop.budget import Budget
from gco_agent.loop.recording import ACTIONS, EPISODES
from gco_agent.loop.train import report, start_run, train
from gco_agent.loop.verify import (
    Answer,
    Claim,
    Difference,
    Verifier,
    differing_parts,
    first_difference,
    read_claims,
)
from gco_agent.policy.source import PolicySource
from gco_agent.store.config import RunConfig
from gco_agent.store.entries import RunRef
from gco_agent.store.git import GitRepo
from gco_agent.store.run import Runs
from gco_agent.store.view import RunView
from tests.engine.policies import FOLLOW, HIDE, RULES, failing
from tests.engine.test_train import Scripted
from tests.store.samples import git

REF = RunRef("breakout", "claims")
SHORT = replace(RULES, max_steps=120)
RACED = replace(SHORT, max_steps=90)
BOTH = (RACED, SHORT)
EPISODE = EpisodeResult(7, -2.0, 4, Outcome.TRUNCATED, "", digest_actions(b"\0\1\1\2"))


@pytest.fixture(scope="module")
def view(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunView]:
    """A run: initial, better, worse, raising, no candidate, rolled back, reported."""
    folder = tmp_path_factory.mktemp("claims")
    with pytest.MonkeyPatch.context() as patch:
        (folder / ".gitconfig").write_text("[user]\n\tname = T\n\temail = t@example.org\n")
        patch.setenv("HOME", str(folder))
        patch.setenv("GIT_CONFIG_NOSYSTEM", "1")
        git(folder, "init", "--quiet", "project")
        project = folder / "project"
        runs = Runs(GitRepo(project / ".git", project / ".git", project))
        config = RunConfig("breakout", SHORT, selection_steps=90, optimizer="scripted")
        optimizer = Scripted(FOLLOW, HIDE, failing("raise ValueError", 50), ProposalError("no"))
        with WorkerPool(0) as pool:
            judge = Judge(pool, config.selection_protocol)
            start_run(runs, REF, config, judge, switch=False, progress=silent)
            with runs.open(REF) as run:
                train(run, optimizer, judge, config, Budget(iterations=4))
                run.rollback("0")
                report(run, judge, config, Budget(report_episodes=2), silent)
        yield runs.view(REF)


@pytest.fixture(scope="module")
def verifier() -> Verifier:
    """Play each episode once for all tests."""
    return Verifier(WorkerPool(0))


@pytest.fixture
def accepted(view: RunView) -> Claim:
    [claim] = read_claims(view, "1")
    return claim


def test_every_claim_of_a_run_holds(view: RunView, verifier: Verifier) -> None:
    claims = read_claims(view)
    assert [(c.facts.iteration, c.facts.verdict) for c in claims] == [
        (0, Verdict.INITIAL),
        (1, Verdict.ACCEPTED),
        (2, Verdict.REJECTED),
        (3, Verdict.FAILED),
        (5, Verdict.ROLLED_BACK),
        (6, Verdict.REPORTED),
    ]
    # all episodes of the initial policy reach the limit, so whole games are raced from then on
    assert [c.facts.protocol for c in claims[:3]] == [RACED.stamp, SHORT.stamp, SHORT.stamp]
    found = [verifier.verify(claim, BOTH) for claim in claims]
    assert [(one.answer, one.differences, one.first) for one in found] == [
        (Answer.HOLDS, (), None)
    ] * 6
    assert [c.parent is not None for c in claims] == [False, True, True, False, False, False]
    assert claims[2].source.text != view.policy(
        view.step("2").commit
    )  # a candidate's own, not the line's
    assert [bool(c.episodes) for c in claims] == [True, True, True, True, False, True]
    assert all(unpack_actions(e.actions) for c in claims for e in c.episodes)
    assert claims[1].made_in == found[1].played_in
    assert set(found[1].played_in) == {"jail", "python", "machine"}
    assert claims[-1].facts.jail == found[-1].played_in["jail"]


def test_evidence_stays_small(view: RunView) -> None:
    step = view.step("1")
    record = json.loads(view.evidence(step, ACTIONS) or "")
    evaluation = json.loads(view.evidence(step, EPISODES) or "")
    assert len(evaluation["policies"]) == 2
    assert record["policy"] == next(iter(evaluation["policies"]))
    assert len(record["actions"]) == step.facts.episodes  # type: ignore[union-attr]
    assert len(json.dumps(record["actions"])) < 90 * len(record["actions"]) + 100


def test_no_claim_is_said_to_be_none(view: RunView) -> None:
    with pytest.raises(UsageError, match="4 claims no score"):
        read_claims(view, "4")
    assert [c.facts.iteration for c in read_claims(view, "2")] == [2]


@pytest.mark.parametrize(
    ("field", "value"),
    [("return_mean", 20.5), ("return_se", 0.25), ("gain", 9.0), ("digest", "0" * 16), ("pairs", 3)],
)
def test_a_number_that_was_edited_differs(
    accepted: Claim, verifier: Verifier, field: str, value: object
) -> None:
    real = getattr(accepted.facts, field)
    changed: dict[str, Any] = {field: value}
    forged = replace(accepted, facts=replace(accepted.facts, **changed))
    found = verifier.verify(forged, BOTH)
    assert found.answer is Answer.DIFFERS
    assert found.differences == (Difference(field.replace("_", " "), value, real),)
    assert found.first is None


def test_a_gain_over_nobody_differs(accepted: Claim, verifier: Verifier) -> None:
    found = verifier.verify(replace(accepted, parent=None), BOTH)
    assert found.answer is Answer.DIFFERS
    assert found.differences[0] == Difference("gain", accepted.facts.gain, None)


def test_another_policy_differs_at_a_seed_and_a_step(accepted: Claim, verifier: Verifier) -> None:
    source = PolicySource(_at_step_33(accepted.source.text))
    found = verifier.verify(replace(accepted, source=source), BOTH)
    assert found.answer is Answer.DIFFERS
    first = found.first
    assert first is not None
    assert (first.what, first.seed, first.step) == ("action", accepted.episodes[0].seed, 33)
    assert first.claimed == unpack_actions(accepted.episodes[0].actions)[33]
    assert first.here == 1
    assert "digest" in [d.what for d in found.differences]


def _at_step_33(text: str) -> str:
    return text + (
        "\n\n_real = Policy.act\n\n\ndef _act(self, obs):\n"
        "    self.n = getattr(self, 'n', -1) + 1\n"
        "    action = _real(self, obs)\n    return 1 if self.n == 33 else action\n\n\n"
        "Policy.act = _act\n"
    )


def test_another_emulator_cannot_be_compared_and_nothing_is_played(
    accepted: Claim, verifier: Verifier
) -> None:
    claimed = (
        (accepted.facts.protocol or "").replace("sticky=0.25", "sticky=0").replace("0.12", "0.1")
    )
    facts = replace(accepted.facts, protocol=claimed)
    found = verifier.verify(replace(accepted, facts=facts), BOTH)
    assert found.answer is Answer.INCOMPARABLE
    assert found.played is None
    assert [d.what for d in found.differences] == ["sticky", "ale-py"]
    assert (found.differences[0].claimed, found.differences[0].here) == ("0", "0.25")


def test_an_episode_of_the_evidence_that_was_edited_differs(
    accepted: Claim, verifier: Verifier
) -> None:
    episodes = list(accepted.episodes)
    episodes[2] = replace(episodes[2], episode_return=5.0)
    found = verifier.verify(replace(accepted, episodes=tuple(episodes)), BOTH)
    assert (found.answer, found.differences) == (Answer.DIFFERS, ())
    real = accepted.episodes[2].episode_return
    assert found.first == Difference("return", 5.0, real, episodes[2].seed)


def test_the_first_difference_of_episodes() -> None:
    packed = replace(EPISODE, actions=pack_actions(b"\0\1\1\2"))
    played = replace(
        EPISODE, digest=digest_actions(b"\0\1\3"), n_steps=3, actions=pack_actions(b"\0\1\3")
    )
    other = replace(EPISODE, seed=8)
    assert first_difference([packed], [EPISODE]) is None
    assert first_difference([packed, packed], [packed, played]) == Difference("action", 1, 3, 7, 2)
    shorter = replace(played, digest=digest_actions(b"\0\1"), actions=pack_actions(b"\0\1"))
    assert first_difference([packed], [shorter]) == Difference("action", 1, None, 7, 2)
    assert first_difference([EPISODE], [played]) == Difference(
        "actions", EPISODE.digest, played.digest, 7
    )
    forged = replace(packed, digest="f" * 16)
    found = first_difference([forged], [packed])
    assert found is not None
    assert "its own actions" in found.what
    assert first_difference([EPISODE], [other]) == Difference("seed", 7, 8, 7)
    assert first_difference([EPISODE], [replace(EPISODE, n_steps=9)]) == Difference(
        "steps", 4, 9, 7
    )
    died = replace(EPISODE, outcome=Outcome.DIED)
    assert first_difference([EPISODE], [died]) == Difference("outcome", "horizon", "died", 7)
    assert first_difference([EPISODE, other], [EPISODE]) == Difference("episodes", 2, 1)


def test_parts_of_a_protocol() -> None:
    here = PlayProtocol("default", "gco/Pong-v5", versions=(("rom", "a"), ("ale-py", "1"))).stamp
    assert differing_parts(here, here) == []
    claimed = here.replace("default", "reference").replace("rom=a", "rom=b") + " extra=1"
    assert differing_parts(claimed, here) == [
        Difference("protocol", "reference", "default"),
        Difference("rom", "b", "a"),
        Difference("extra", "1", None),
    ]
    assert [d.what for d in differing_parts("", here)][:2] == ["protocol", "environment"]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        (EPISODES, "{"),
        (EPISODES, "[]"),
        (EPISODES, '{"policies": {"x": [{"seed": 1}]}}'),
        (ACTIONS, '{"actions": {"1": "no record"}}'),
        (ACTIONS, '{"actions": 3}'),
    ],
)
def test_a_record_that_cannot_be_read_is_an_error_for_people(
    view: RunView, monkeypatch: pytest.MonkeyPatch, name: str, text: str
) -> None:
    real = RunView.read

    def read(self: RunView, path: str, rev: str | None = None) -> str | None:
        return text if path.endswith(name) else real(self, path, rev)

    monkeypatch.setattr(RunView, "read", read)
    with pytest.raises(StoreError, match=r"cannot be read .* was it edited"):
        read_claims(view, "1")


def test_a_jail_that_is_not_good_enough_plays_nothing(
    accepted: Claim, monkeypatch: pytest.MonkeyPatch
) -> None:
    from gco_agent.jail import host, process
    from gco_agent.jail.limits import JailLevel, Layer

    strong = process.WorkerProcess
    weak = int(Layer.RLIMITS)
    monkeypatch.setattr(host, "WorkerProcess", lambda order: strong(order._replace(layers=weak)))
    with pytest.raises(GcoError, match="jail level strong is required"):
        Verifier(WorkerPool(0), JailLevel.STRONG).verify(accepted, BOTH)
