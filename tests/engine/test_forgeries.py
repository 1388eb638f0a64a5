"""Commits that somebody edited, one field each: `verify` notices every one of them."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from gco_agent.core.errors import GcoError, ProposalError
from gco_agent.core.events import silent
from gco_agent.core.records import Verdict
from gco_agent.core.seeds import Stream
from gco_agent.core.text import format_score
from gco_agent.evaluation.judge import Judge, Race
from gco_agent.evaluation.workers import WorkerPool
from gco_agent.loop.budget import Budget
from gco_agent.loop.recording import ACTIONS, EPISODES, recall_episodes
from gco_agent.loop.train import report, start_run, train
from gco_agent.loop.verify import Answer, Verifier, read_claims
from gco_agent.policy.source import PolicySource, replace_docstring
from gco_agent.store.config import RunConfig
from gco_agent.store.entries import Facts, RunRef, format_message, headline
from gco_agent.store.evidence import format_evidence
from gco_agent.store.git import GitRepo
from gco_agent.store.run import Runs
from gco_agent.store.view import RunView
from tests.engine.policies import FOLLOW, HIDE, RULES, failing
from tests.engine.test_train import Scripted
from tests.store.samples import git

REF = RunRef("breakout", "forged")
CONFIG = RunConfig("breakout", RULES, optimizer="scripted")
POLICY = "policies/breakout.py"


@dataclass
class Forger:
    """A run whose last commit can be replaced by another."""

    project: Path
    runs: Runs
    verifier: Verifier

    def view(self) -> RunView:
        return self.runs.view(REF)

    def reset(self, commit: str) -> None:
        git(self.project, "update-ref", str(REF), commit)

    def replace(self, message: Callable[[str], str], files: dict[str, str]) -> None:
        """Make the tip again with another message and other files."""
        tip = self.view().tip
        words = git(self.project, "log", "-1", "--format=%B", tip)
        parents = git(self.project, "log", "-1", "--format=%P", tip).split()
        tree = git(self.project, "rev-parse", f"{tip}^{{tree}}")
        if files:
            env_index = self.project / "forger-index"
            self._git(env_index, "read-tree", tree)
            for path, text in files.items():
                blob = self._git(None, "hash-object", "-w", "--stdin", stdin=text)
                self._git(
                    env_index, "update-index", "--add", "--cacheinfo", f"100644,{blob},{path}"
                )
            tree = self._git(env_index, "write-tree")
        arguments = [argument for parent in parents for argument in ("-p", parent)]
        commit = self._git(None, "commit-tree", tree, *arguments, stdin=message(words))
        self.reset(commit)

    def _git(self, index: Path | None, *arguments: str, stdin: str = "") -> str:
        env = {**os.environ, **({"GIT_INDEX_FILE": str(index)} if index else {})}
        done = subprocess.run(
            ["git", *arguments], cwd=self.project, env=env, input=stdin, text=True,
            capture_output=True, check=True,
        )  # fmt: skip
        return done.stdout.strip()

    def answers(self) -> list[Answer]:
        view = self.view()
        return [self.verifier.verify(claim, (RULES,)).answer for claim in read_claims(view)]

    def is_noticed(self) -> bool:
        try:
            return Answer.DIFFERS in self.answers()
        except GcoError:
            return True


@pytest.fixture(scope="module")
def forger(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Forger]:
    folder = tmp_path_factory.mktemp("forged")
    with pytest.MonkeyPatch.context() as patch:
        (folder / ".gitconfig").write_text("[user]\n\tname = T\n\temail = t@example.org\n")
        patch.setenv("HOME", str(folder))
        patch.setenv("XDG_STATE_HOME", str(tmp_path_factory.getbasetemp() / "state"))
        patch.setenv("GIT_CONFIG_NOSYSTEM", "1")
        git(folder, "init", "--quiet", "project")
        project = folder / "project"
        runs = Runs(GitRepo(project / ".git", project / ".git", project))
        with WorkerPool(0) as pool:
            judge = Judge(pool, RULES)
            start_run(
                runs, REF, CONFIG, judge, switch=False, progress=silent,
                initial=PolicySource(HIDE), first_seed=0,
            )  # fmt: skip
            with runs.open(REF) as run:
                train(run, Scripted(FOLLOW, HIDE), judge, CONFIG, Budget(iterations=2))
                report(run, judge, CONFIG, Budget(report_episodes=4), silent)
            yield Forger(project, runs, Verifier(pool))


@pytest.fixture
def at(forger: Forger) -> Iterator[Callable[[str], Forger]]:
    """Go to an iteration, as if it were the last."""
    tip = forger.view().tip

    def go(rev: str) -> Forger:
        forger.reset(tip)
        forger.reset(forger.view().step(rev).commit)
        return forger

    yield go
    forger.reset(tip)


def test_the_run_itself_holds(forger: Forger) -> None:
    assert set(forger.answers()) == {Answer.HOLDS}


def trailer(word: str, value: str) -> Callable[[str], str]:
    def edit(message: str) -> str:
        edited, n = re.subn(rf"^Gco-{word}: .*$", f"Gco-{word}: {value}", message, flags=re.M)
        assert n == 1, message
        return edited

    return edit


def words(old: str, new: str) -> Callable[[str], str]:
    def edit(message: str) -> str:
        edited, n = re.subn(old, new, message, count=1)
        assert n == 1, message
        return edited

    return edit


ACCEPTED = [
    trailer("Run", "gco/breakout/other"),
    trailer("Iteration", "7"),
    trailer("Outcome", "rejected"),
    trailer("Return-Mean", "20.5"),
    trailer("Return-SE", "0.123"),
    trailer("Episodes", "17"),
    trailer("Gain", "9"),
    trailer("Gain-SE", "0.123"),
    trailer("Pairs", "3"),
    trailer("Seeds", "selection 0:4"),
    trailer("Seeds", "report 0:8"),
    trailer("Seeds", "feedback 0:8"),
    trailer("Steps", "7"),
    trailer("Frames", "7"),
    trailer("Loc", "1"),
    trailer("Cyclomatic", "1"),
    trailer("Nested-If", "7"),
    trailer("Digest", "0" * 16),
    trailer("Schema", "99"),
    words(r"return \S+", "return 500"),
    words(r"\(\+[\d.]+\)", "(+486)"),
    words(r"accepted", "rejected"),
    words(r"mean\s+return\s+is\s+\S+", "mean return is 500.00,"),
    words(r"one-sided\s+p\s+=\s+\S+;", "one-sided p = 1e-9;"),
    words(r"parent's\s+\S+", "parent's -99.00"),
    trailer("Seconds", "0.1234"),
    trailer("Jail", "strong-and-proven"),
    trailer("Cpu-Ms-Mean", "1e-06"),
    trailer("Signature", "0" * 64),
    words(r"\nGco-Signature: .*", ""),
    words(r"(: [^\n]*)", r"\1, the best policy there is"),
    words(r"\n\n", "\n\nThis policy is optimal.\n\n"),
]


@pytest.mark.parametrize("edit", ACCEPTED)
def test_an_edited_message_is_noticed(
    at: Callable[[str], Forger], edit: Callable[[str], str]
) -> None:
    forger = at("1")
    forger.replace(edit, {})
    assert forger.is_noticed()


def evidence(edit: Callable[[dict[str, Any]], object], name: str = EPISODES):
    def files(view: RunView, iteration: int) -> dict[str, str]:
        path = f"iterations/{iteration:04d}/{name}"
        data = json.loads(view.read(path) or "")
        edit(data)
        return {path: json.dumps(data)}

    return files


def second(data: dict[str, Any]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = list(data["policies"].values())[1]
    return found


def policy(text: str):
    return lambda view, iteration: {POLICY: text}


def other_docstring(view: RunView, iteration: int) -> dict[str, str]:
    stated = "P.\n\nEnvironment: gco/Breakout-v5\nMean return: 21.00 ± 0.00 (8 episodes)\n"
    return {POLICY: replace_docstring(PolicySource(view.policy()), stated).text}


FILES = [
    policy(HIDE),
    policy(FOLLOW.replace("return 1", "return 0")),
    policy(FOLLOW.replace("Breakout: follow", "Breakout: pursue")),
    other_docstring,
    evidence(lambda d: d["policies"][next(iter(d["policies"]))][0].update({"return": 21.0})),
    evidence(lambda d: d["policies"][next(iter(d["policies"]))][2].update({"steps": 1})),
    evidence(lambda d: d["policies"][next(iter(d["policies"]))].pop()),
    evidence(lambda d: second(d)[0].update({"return": -21.0})),
    evidence(lambda d: second(d)[3].update({"outcome": "died"})),
    evidence(lambda d: second(d)[1].update({"digest": "0" * 16})),
    evidence(lambda d: d["policies"].update({"f" * 64: second(d)})),
    evidence(lambda d: d.update(protocol="other rules")),
    evidence(lambda d: d.update(schema=9)),
    evidence(lambda d: d["actions"].update({next(iter(d["actions"])): "no record"}), ACTIONS),
]


@pytest.mark.parametrize("forge", FILES)
def test_an_edited_file_is_noticed(at: Callable[[str], Forger], forge) -> None:
    forger = at("1")
    forger.replace(lambda message: message, forge(forger.view(), 1))
    assert forger.is_noticed()


@pytest.mark.parametrize(
    ("iteration", "edit"),
    [
        ("0", trailer("Return-Mean", "500")),
        ("0", trailer("Loc", "2")),
        ("2", trailer("Gain", "9")),
        ("2", trailer("Outcome", "accepted")),
        ("2", words(r"mean\s+return\s+is\s+\S+", "mean return is 500.00,")),
        ("2", words(r"return \S+ ", "return 500 ")),
        ("3", trailer("Return-Mean", "500")),
        ("3", trailer("Seeds", "report 0:8")),
        ("3", words(r"return \S+:", "return 500:")),
        ("2", trailer("Seconds", "0.1234")),
        ("2", words(r"\n\n", "\n\nThis policy is optimal.\n\n")),
        ("3", words(r"\n\n", "\n\nThis policy is optimal.\n\n")),
    ],
)
def test_so_are_the_other_kinds_of_commits(
    at: Callable[[str], Forger], iteration: str, edit: Callable[[str], str]
) -> None:
    forger = at(iteration)
    forger.replace(edit, {})
    assert forger.is_noticed()


@pytest.mark.parametrize("iteration", ["2", "3"])
def test_a_policy_that_changes_where_none_may_is_noticed(
    at: Callable[[str], Forger], iteration: str
) -> None:
    forger = at(iteration)
    forger.replace(lambda message: message, {POLICY: FOLLOW.replace("return 1", "return 0")})
    assert forger.is_noticed()


def test_a_commit_by_hand_is_a_policy_without_a_claim(at: Callable[[str], Forger]) -> None:
    forger = at("1")
    tip = forger.view().tip
    tree = forger._git(None, "rev-parse", f"{tip}^{{tree}}")
    index = forger.project / "hand-index"
    forger._git(index, "read-tree", tree)
    blob = forger._git(None, "hash-object", "-w", "--stdin", stdin=HIDE + "\n# mine\n")
    forger._git(index, "update-index", "--cacheinfo", f"100644,{blob},{POLICY}")
    tree = forger._git(index, "write-tree")
    forger.reset(forger._git(None, "commit-tree", tree, "-p", tip, stdin="Better, believe me\n"))
    assert forger.answers()[-1] is Answer.DIFFERS


def test_forged_evidence_is_not_taken_over(at: Callable[[str], Forger]) -> None:
    """A judge takes over what it is given only if this user's machine wrote it."""
    forger = at("1")
    believed = Judge(WorkerPool(0), RULES)
    recall_episodes(forger.view(), believed)
    source = PolicySource(forger.view().policy())
    assert believed.cached(source).episodes
    forger.replace(lambda message: message, FILES[4](forger.view(), 1))
    judge = Judge(WorkerPool(0), RULES)
    recall_episodes(forger.view(), judge)
    assert judge.cached(source).episodes == ()


# -- claims without what they could be checked by --------------------------------------------------

SCORE = ("Return-Mean", "Return-SE", "Episodes", "Gain", "Gain-SE", "Pairs", "Seeds", "Digest")


def without(*trailers: str) -> Callable[[str], str]:
    """Remove trailers, the signature too, as a stranger's commit has none that counts."""
    names = "|".join((*trailers, "Signature"))
    return lambda message: re.sub(rf"^Gco-(?:{names}): .*\n?", "", message, flags=re.M)


def unscored(message: str) -> str:
    message = without(*SCORE, "Loc", "Cyclomatic", "Nested-If")(message)
    return re.sub(r", return [^:\n]*", "", message, count=1)


def unsigned(view: RunView, iteration: int) -> dict[str, str]:
    """Return the evidence of a commit's own policy, as a stranger has it."""

    def edit(data: dict[str, Any]) -> None:
        del data["hmac-sha256"]
        data["policies"] = dict([next(iter(data["policies"].items()))])

    files: dict[str, str] = evidence(edit)(view, iteration)
    return files


@pytest.mark.parametrize("iteration", ["0", "1", "3"])
def test_a_commit_that_claims_no_score_does_not_hold(
    at: Callable[[str], Forger], iteration: str
) -> None:
    """Its subject or its docstring could say any number."""
    forger = at(iteration)
    forger.replace(unscored, unsigned(forger.view(), int(iteration)))
    assert forger.answers()[-1] is Answer.DIFFERS


def worse(message: str) -> str:
    """Say "accepted" of iteration 2, which lost its race."""
    message = without()(message).replace("Gco-Outcome: rejected", "Gco-Outcome: accepted")
    return message.replace("Iteration 2 candidate", "Iteration 2 accepted")


def accept_the_loser(forger: Forger, edit: Callable[[str], str], files: dict[str, str]) -> None:
    forger.reset(forger.view().step("2").candidates[0].commit)
    forger.replace(lambda message: edit(worse(message)), files)


def losers(forger: Forger, name: str = EPISODES, **changes: Any) -> dict[str, str]:
    """Return an edited file of the candidate that lost; no signature holds of it."""
    candidate = forger.view().step("2").candidates[0]
    path = f"iterations/0002/{name}"
    data = json.loads(forger.view().read(path, candidate.commit) or "")
    return {path: json.dumps({**data, **changes, "hmac-sha256": ""})}


def test_an_acceptance_without_a_gain_is_raced(at: Callable[[str], Forger]) -> None:
    forger = at("2")

    def edit(message: str) -> str:
        message = without("Gain", "Gain-SE", "Pairs")(message)
        return re.sub(r" \([-+][\d.]+\)", "", message, count=1)

    data = json.loads(losers(forger)[f"iterations/0002/{EPISODES}"])
    own = dict([next(iter(data["policies"].items()))])
    accept_the_loser(forger, edit, losers(forger, policies=own))
    assert forger.answers()[-1] is Answer.DIFFERS


def test_an_acceptance_without_a_proposal_is_noticed(at: Callable[[str], Forger]) -> None:
    """The record of the proposal says what the candidate had to show."""
    forger = at("2")
    files = losers(forger) | losers(forger, "proposal.json", policy=None)
    accept_the_loser(forger, lambda message: message, files)
    assert forger.answers()[-1] is Answer.DIFFERS


def test_an_acceptance_that_says_it_is_old_does_not_hold(at: Callable[[str], Forger]) -> None:
    forger = at("2")
    accept_the_loser(forger, lambda message: message, losers(forger, schema=1))
    assert forger.answers()[-1] is Answer.INCOMPARABLE


def test_a_report_on_chosen_seeds_is_noticed(at: Callable[[str], Forger]) -> None:
    """Among a hundred million report seeds some are lucky."""
    forger = at("3")
    facts = forger.view().history()[-1].facts
    assert facts is not None
    source = PolicySource(forger.view().policy())
    with WorkerPool(0) as pool:
        played = Judge(pool, RULES).evaluate(source, Stream.REPORT.seeds(6, 10))
    chosen = replace(
        facts,
        return_mean=played.mean_return,
        return_se=played.standard_error,
        seeds="report 6:10",
        digest=played.digest,
    )
    text = format_message(headline(chosen, "the score on report seeds"), "", chosen)
    files = {f"iterations/0003/{EPISODES}": format_evidence([(source, played)])}
    data = json.loads(files[f"iterations/0003/{EPISODES}"])
    files[f"iterations/0003/{EPISODES}"] = json.dumps({**data, "hmac-sha256": ""})
    files[f"iterations/0003/{ACTIONS}"] = json.dumps({"actions": {}})
    forger.replace(lambda message: text, files)
    assert forger.answers()[-1] is Answer.DIFFERS


def test_a_rollback_to_a_policy_that_never_was_is_noticed(at: Callable[[str], Forger]) -> None:
    forger = at("1")
    facts = forger.view().history()[-1].facts
    assert facts is not None
    back = replace(
        facts, verdict=Verdict.ROLLED_BACK, gain=None, gain_se=None, pairs=None, optimizer=None
    )
    text = format_message(headline(back, "to iteration 0"), "", back)
    forger.replace(lambda message: text, unsigned(forger.view(), 1))
    assert forger.answers()[-1] is Answer.DIFFERS


def test_a_real_rollback_holds(at: Callable[[str], Forger]) -> None:
    forger = at("3")
    with forger.runs.open(REF) as run:
        run.rollback("0")
    assert set(forger.answers()) == {Answer.HOLDS}


def test_the_evidence_cannot_ask_for_more_episodes(at: Callable[[str], Forger]) -> None:
    forger = at("1")

    def more(data: dict[str, Any]) -> None:
        second(data).extend([{**second(data)[0], "seed": 10**30}] * 1_000)

    forger.replace(without(), evidence(more)(forger.view(), 1))
    assert forger.answers()[-1] is Answer.DIFFERS


class Hurried(Judge):
    """Cuts every race short."""

    def race_all(self, *args: Any, **kwargs: Any) -> list[Race]:
        return super().race_all(*args, **{**kwargs, "most_pairs": 2})


def test_a_race_that_was_cut_short_is_repeated(at: Callable[[str], Forger]) -> None:
    """Its words are checked as those of any other race."""
    forger = at("1")
    other = FOLLOW.replace(".cx >", ".cx + 2 >")
    with forger.runs.open(REF) as run, WorkerPool(0) as pool:
        train(run, Scripted(other), Hurried(pool, RULES), CONFIG, Budget(iterations=1))
    [claim] = read_claims(forger.view(), "2")
    assert "The time was up before" in claim.text
    assert forger.verifier.verify(claim, (RULES,)).answer is Answer.HOLDS
    forged = replace(claim, text=words(r"mean return is \S+", "mean return is 500.00,")(claim.text))
    assert forger.verifier.verify(forged, (RULES,)).answer is Answer.DIFFERS


# -- further kinds ---------------------------------------------------------------------------------


def docstring_of_score(score: str) -> Callable[[RunView, int], dict[str, str]]:
    def files(view: RunView, iteration: int) -> dict[str, str]:
        facts = view.history()[-1].facts
        assert facts is not None
        mean = format_score(facts.return_mean, facts.return_se, least=2).split()[0]
        stated = f"P.\n\nEnvironment: gco/Breakout-v5\nMean return: {mean} {score}\n"
        return {POLICY: replace_docstring(PolicySource(view.policy()), stated).text}

    return files


@pytest.mark.parametrize("score", ["± 0.01 (4 episodes)", "± 0.00 (1000 episodes, report 0:1000)"])
def test_error_and_episodes_of_a_docstring_are_compared(
    at: Callable[[str], Forger], score: str
) -> None:
    forger = at("1")
    forger.replace(without(), docstring_of_score(score)(forger.view(), 1))
    [claim] = read_claims(forger.view(), "1")
    assert "score in the docstring" in {fault.what for fault in claim.faults}


def test_a_signed_message_does_not_fit_another_policy_or_other_evidence(
    at: Callable[[str], Forger],
) -> None:
    forger = at("1")
    assert all(forger.view().is_signed(step) for step in forger.view().history())
    for files in (policy(FOLLOW + "\n\nOTHER = 1\n"), evidence(lambda data: data.update(x=1))):
        forger = at("1")
        forger.replace(lambda message: message, files(forger.view(), 1))
        assert not forger.view().is_signed(forger.view().step("1"))


def test_a_winner_is_not_turned_down_for_a_rival_that_is_not_there(
    at: Callable[[str], Forger],
) -> None:
    forger = at("1")
    [claim] = read_claims(forger.view(), "1")
    lost = replace(
        claim,
        facts=replace(claim.facts, verdict=Verdict.REJECTED),
        text=claim.text + " It won its race, as did a better candidate: another.",
    )
    for has_rival, answer in ((False, Answer.DIFFERS), (True, Answer.HOLDS)):
        verified = forger.verifier.verify(replace(lost, has_rival=has_rival), (RULES,))
        assert verified.answer is answer


def test_a_race_against_a_parent_that_failed_is_repeated(at: Callable[[str], Forger]) -> None:
    """Without a gain, too, its verdict and its sentences follow from the episodes."""
    forger = at("0")
    forger.replace(without(), {POLICY: failing("raise ValueError(obs)", 60)})
    with forger.runs.open(REF) as run, WorkerPool(0) as pool:
        train(run, Scripted(HIDE), Judge(pool, RULES), CONFIG, Budget(iterations=1))
    raced, *_ = read_claims(forger.view(), "1")
    assert raced.parent is not None
    assert raced.facts.gain is None
    assert forger.verifier.verify(raced, (RULES,)).answer is Answer.HOLDS
    flipped = {Verdict.ACCEPTED: Verdict.REJECTED, Verdict.REJECTED: Verdict.ACCEPTED}
    forged = replace(raced, facts=replace(raced.facts, verdict=flipped[raced.facts.verdict]))
    assert forger.verifier.verify(forged, (RULES,)).answer is Answer.DIFFERS
    forged = replace(raced, text=raced.text.replace("finished all", "ran all"))
    assert forger.verifier.verify(forged, (RULES,)).answer is Answer.DIFFERS


class CountedPool(WorkerPool):
    """Counts what it plays."""

    n_tasks = 0

    def imap(
        self, function: Any, tasks: Iterable[Any], *limits: Any, **named: Any
    ) -> Iterator[Any]:
        for result in super().imap(function, tasks, *limits, **named):
            self.n_tasks += 1
            yield result


def test_a_part_of_a_claim_is_played(at: Callable[[str], Forger]) -> None:
    """The rest of its numbers follows from its evidence, which has to agree where it is played."""
    forger = at("1")
    with CountedPool(0) as pool:
        verifier = Verifier(pool, episodes=2)
        [claim] = read_claims(forger.view(), "1")
        found = verifier.verify(claim, (RULES,))
        assert (found.answer, found.differences) == (Answer.PART_HOLDS, ())
        assert found.played is not None
        assert len(found.played.episodes) == 2
        first, second, *rest = claim.episodes
        for episodes in (
            (replace(first, episode_return=21.0), second, *rest),
            (first, second, *(replace(episode, episode_return=21.0) for episode in rest)),
        ):
            forged = replace(claim, episodes=episodes)
            assert verifier.verify(forged, (RULES,)).answer is Answer.DIFFERS
        assert pool.n_tasks == 2  # one for each policy, whatever was forged
        lost = replace(claim, facts=replace(claim.facts, verdict=Verdict.REJECTED))
        assert verifier.verify(lost, (RULES,)).answer is Answer.DIFFERS


# -- signed commits in another place ---------------------------------------------------------------


def commit_on(forger: Forger, commit: str, *parents: str) -> str:
    """Make a commit again behind other parents, its tree and its message as they are."""
    words = git(forger.project, "log", "-1", "--format=%B", commit)
    arguments = [argument for parent in parents for argument in ("-p", parent)]
    return forger._git(None, "commit-tree", f"{commit}^{{tree}}", *arguments, stdin=words)


def faults(forger: Forger) -> list[tuple[int, str]]:
    """What is wrong about the claims whatever is played, by iteration."""
    return [(c.facts.iteration, f.what) for c in read_claims(forger.view()) for f in c.faults]


def test_a_rebased_run_holds(at: Callable[[str], Forger]) -> None:
    forger = at("3")
    zero, one, two, three = forger.view().history()
    base = forger._git(None, "commit-tree", f"{zero.commit}^{{tree}}", stdin="Another base\n")
    start = commit_on(forger, zero.commit, base)
    first = commit_on(forger, one.commit, start)
    side = commit_on(forger, two.parents[1], first)
    second = commit_on(forger, two.commit, first, side)
    forger.reset(commit_on(forger, three.commit, second))
    assert not faults(forger)
    assert all(forger.view().is_signed(step) for step in forger.view().history())


def test_a_rejected_candidate_cannot_be_left_out(at: Callable[[str], Forger]) -> None:
    """Rivals share the error rate of an iteration, so their number counts."""
    forger = at("3")
    _, first, second, third = forger.view().history()
    without_it = commit_on(forger, second.commit, first.commit)
    forger.reset(commit_on(forger, third.commit, without_it))
    assert {(2, "evaluation.json"), (3, "signature")} <= {*faults(forger)}


def test_a_rejected_iteration_cannot_be_replaced_by_one_without_a_race(
    at: Callable[[str], Forger],
) -> None:
    forger = at("3")
    _, first, second, third = forger.view().history()
    assert second.facts is not None
    nothing = Facts(REF.branch, 2, Verdict.FAILED, frames=second.facts.frames)
    text = format_message(headline(nothing, "no answer"), "No answer.", nothing)
    made = forger._git(
        None, "commit-tree", f"{first.commit}^{{tree}}", "-p", first.commit, stdin=text
    )
    forger.reset(commit_on(forger, third.commit, made))
    assert (3, "signature") in faults(forger)


def test_a_failure_in_the_midst_of_a_run_cannot_be_reworded(at: Callable[[str], Forger]) -> None:
    forger = at("1")
    with forger.runs.open(REF) as run, WorkerPool(0) as pool:
        proposals = Scripted(ProposalError("nothing"), HIDE)
        train(run, proposals, Judge(pool, RULES), CONFIG, Budget(iterations=2))
    *_, failed, lost = forger.view().history()
    assert not faults(forger)
    forger.reset(failed.commit)
    forger.replace(words("nothing", "less"), {})
    side = commit_on(forger, lost.parents[1], forger.view().tip)
    forger.reset(commit_on(forger, lost.commit, forger.view().tip, side))
    assert {*faults(forger)} == {(3, "signature")}


def test_a_signed_commit_of_another_time_does_not_fit(at: Callable[[str], Forger]) -> None:
    """A run was taken back to an earlier commit, and went on otherwise."""
    forger = at("1")
    with forger.runs.open(REF) as run, WorkerPool(0) as pool:
        judge = Judge(pool, RULES)
        train(run, Scripted(ProposalError("nothing")), judge, CONFIG, Budget(iterations=1))
    other = forger.view().tip
    forger = at("3")
    forger.reset(commit_on(forger, forger.view().tip, other))
    assert (3, "signature") in faults(forger)
