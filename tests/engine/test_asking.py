"""Asking an optimizer: the repair turn, several candidates, what it cost, and a killed command."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence

import pytest

from gco_agent.core import codec
from gco_agent.core.errors import KeyRefused, ModelError, ProposalError, StoreError
from gco_agent.core.records import EpisodeResult, Evaluation, Outcome, Usage, Verdict
from gco_agent.core.seeds import Stream
from gco_agent.core.statistics import Gain
from gco_agent.core.statistics import Verdict as RaceVerdict
from gco_agent.evaluation.judge import Judge, Race
from gco_agent.evaluation.workers import WorkerPool
from gco_agent.games.registry import find_game
from gco_agent.llm.asking import ask
from gco_agent.llm.base import ModelRequest, ScriptedModel, parse_exchanges
from gco_agent.llm.prices import Price
from gco_agent.loop import recording as accounts
from gco_agent.loop.budget import Budget
from gco_agent.loop.candidate import Candidate, StoredCandidate, store_candidate
from gco_agent.loop.replay import record_run
from gco_agent.loop.session import JOURNAL
from gco_agent.loop.train import train
from gco_agent.optimizers.base import Capabilities, Optimizer, Proposal, Request, Tools, Unusable
from gco_agent.optimizers.registry import PLATEAU, OptimizerSequence, make_optimizer
from gco_agent.optimizers.replies import parse_reply
from gco_agent.optimizers.vectors.optimizer import VectorSearch
from gco_agent.policy.source import PolicySource
from gco_agent.store.config import RunConfig
from gco_agent.store.run import Run, Runs
from tests.engine.policies import FOLLOW, HIDE, RULES, STILL, failing
from tests.engine.test_train import REF, Scripted, events, project, runs, started

__all__ = ["events", "project", "runs", "started"]  # fixtures

CONFIG = RunConfig("breakout", RULES, optimizer="scripted")
PRICE = Price(3.0, 15.0, 3.75, 0.3)
USUAL = [PolicySource(text) for text in (FOLLOW, HIDE, find_game("breakout").initial_policy())]
_played: dict[str, Evaluation] = {}


@pytest.fixture
def judge() -> Iterator[Judge]:
    """Recall what the tests before have played: they race the same policies on the same seeds."""
    with WorkerPool(0) as pool:
        judge = Judge(pool, RULES)
        for digest, episodes in _played.items():
            judge.import_episodes(digest, episodes)
        yield judge
        _played.update({source.digest: judge.cached(source) for source in USUAL})


class Mending(Scripted):
    """Takes an error back."""

    capabilities = Capabilities(repairs=True)


class Asking(Optimizer):
    """Asks a scripted model for a policy."""

    name = "asking"
    capabilities = Capabilities(repairs=True)

    def __init__(self, *script: str | Exception) -> None:
        self.model = ScriptedModel(script, price=PRICE)

    def propose(self, request: Request) -> Proposal:
        assert request.budget is not None
        words = f"{request.repair or 'Improve it.'}\n{request.parent.text}"
        answer = ask(self.model, ModelRequest("You.", "", words, max_tokens=500), request.budget)
        reply = parse_reply(answer.text, request.parent)
        return Proposal(reply.source, reply.summary, reply.reason)


def advance(started: Runs, judge: Judge, optimizer: Optimizer, n: int = 1, **config: int) -> None:
    from dataclasses import replace

    with started.open(REF) as run:
        train(run, optimizer, judge, replace(CONFIG, **config), Budget(iterations=n))  # type: ignore[arg-type]


def block(text: str) -> str:
    return f"Summary: another\n\nWords.\n\n```python\n{text}```\n"


@pytest.mark.parametrize(
    ("first", "said", "tried"),
    [
        (
            failing("raise ValueError('lost the ball')"),
            "ValueError: lost the ball",
            "lost the ball",
        ),
        ("import os\n" + STILL, "may not import os", "import os"),
        (
            Unusable("no code at all", kind="no code", files={"reply.md": "Well..."}),
            "no code at all",
            "Well...",
        ),
    ],
)
def test_a_failure_is_answered_with_one_more_request(
    started: Runs, judge: Judge, first: str | Exception, said: str, tried: str
) -> None:
    optimizer = Mending(first, FOLLOW)
    advance(started, judge, optimizer)
    _, second = optimizer.requests
    assert said in (second.repair or "")
    assert tried in (second.tried or "")
    view = started.view(REF)
    step = view.history()[-1]
    assert step.verdict is Verdict.ACCEPTED
    (beside,) = step.candidates
    assert beside.verdict is Verdict.FAILED
    assert said in beside.body
    kept = json.loads(view.read("iterations/0001/proposal.json", beside.commit) or "")
    assert kept.get("kind", "") == {"no code at all": "no code"}.get(said, kept.get("kind", ""))


def test_there_is_one_repair_and_only_for_those_who_can(started: Runs, judge: Judge) -> None:
    wrong = failing("raise ValueError('lost the ball')")
    optimizer = Mending(wrong, wrong, HIDE)
    advance(started, judge, optimizer, 2)
    assert len(optimizer.requests) == 3
    assert optimizer.requests[-1].repair is None
    first, second = started.view(REF).history()[1:]
    assert [c.verdict for c in first.candidates] == [Verdict.FAILED, Verdict.FAILED]
    assert second.verdict is Verdict.REJECTED
    plain = Scripted(ProposalError("nothing comes to mind"))
    advance(started, judge, plain)
    assert len(plain.requests) == 1


def test_several_candidates_are_raced_and_the_best_is_taken(started: Runs, judge: Judge) -> None:
    optimizer = Scripted(HIDE, FOLLOW, "import os\n" + STILL)
    advance(started, judge, optimizer, candidates=3)
    assert [len(r.siblings) for r in optimizer.requests] == [0, 1, 2]
    view = started.view(REF)
    step = view.history()[-1]
    assert step.verdict is Verdict.ACCEPTED
    assert "follow the ball" in view.policy()
    assert [c.verdict for c in step.candidates] == [Verdict.REJECTED, Verdict.FAILED]
    assert step.facts is not None
    assert step.facts.gain is not None
    # what the last left is what the next finds
    following = Scripted(HIDE)
    advance(started, judge, following)
    assert following.requests[0].recall("notes.txt") == "1 "
    attempts = following.requests[0].attempts
    assert [a.iteration for a in attempts] == [0, 1]


def test_of_several_candidates_that_win_one_is_taken_and_the_others_are_kept_beside(
    started: Runs, judge: Judge
) -> None:
    winners = [FOLLOW.replace(".cx >", f".cx + {lead} >") for lead in (0.5, 1, 1.5)]
    optimizer = Scripted(*winners)
    advance(started, judge, optimizer, candidates=3)
    view = started.view(REF)
    step = view.history()[-1]
    assert step.verdict is Verdict.ACCEPTED
    assert [c.verdict for c in step.candidates] == [Verdict.REJECTED, Verdict.REJECTED]
    words = [" ".join(candidate.body.split()) for candidate in step.candidates]
    assert any("It won its race, as did a better candidate" in text for text in words)
    assert "a better candidate" not in step.body
    recording = record_run(view)
    assert len(recording.iterations[0].tries) == 3


def racing(monkeypatch: pytest.MonkeyPatch, told: Mapping[str, tuple[float, float, bool]]) -> None:
    """Races that go as they are told to: words of the policy to gain, its error, and who wins."""

    def race(child: PolicySource) -> Race:
        seeds = Stream.SELECTION.seeds(0, 16)
        mine, theirs = (
            Evaluation(tuple(EpisodeResult(s, r, 9, Outcome.GAME_OVER) for s in seeds), RULES.stamp)
            for r in (1.0, 0.0)
        )
        gain, error, is_won = next(v for words, v in told.items() if words in child.text)
        verdict = RaceVerdict.BETTER if is_won else RaceVerdict.NOT_BETTER
        return Race(mine, theirs, Gain(gain, error, 16, 0.01), verdict, critical_p=0.03)

    def race_all(
        judge: Judge, entrants: list[tuple[PolicySource, object]], *_: object, **__: object
    ):
        return [race(child) for child, _ in entrants]

    monkeypatch.setattr(Judge, "race_all", race_all)


def test_the_best_of_several_winners_is_taken_whatever_the_losers_say(
    started: Runs, judge: Judge, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A loser has the highest mean; of the winners the one whose gain is surely higher is taken."""
    told = {"hide": (73.0, 60.0, False), "stand": (12.0, 6.0, True), "follow": (10.0, 0.2, True)}
    racing(monkeypatch, told)
    advance(started, judge, Scripted(HIDE, STILL, FOLLOW), candidates=3)
    view = started.view(REF)
    step = view.history()[-1]
    assert step.verdict is Verdict.ACCEPTED
    assert "follow the ball" in view.policy()
    assert [c.verdict for c in step.candidates] == [Verdict.REJECTED, Verdict.REJECTED]
    loser, winner = (" ".join(candidate.body.split()) for candidate in step.candidates)
    assert "It won its race, as did a better candidate: edit 3." in winner
    assert "It won its race" not in loser
    assert "Iteration 1 candidate, return" in step.candidates[1].subject


def test_two_winners_of_a_killed_command_are_not_asked_for_again(
    started: Runs, judge: Judge, monkeypatch: pytest.MonkeyPatch
) -> None:
    racing(monkeypatch, {"hide": (5.0, 1.0, True), "follow": (4.0, 0.1, True)})

    def killed(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(accounts.IterationRecorder, "conclude", killed)
        with pytest.raises(KeyboardInterrupt):
            advance(started, judge, Asking(block(HIDE), block(FOLLOW)), candidates=2)
    advance(started, judge, Asking(), candidates=2)
    step = started.view(REF).history()[-1]
    assert (step.verdict, len(step.candidates)) == (Verdict.ACCEPTED, 1)
    assert "follow the ball" in started.view(REF).policy()


def test_who_repeats_a_candidate_is_asked_no_further(started: Runs, judge: Judge) -> None:
    optimizer = Scripted(HIDE, HIDE, FOLLOW)
    advance(started, judge, optimizer, candidates=3)
    assert len(optimizer.requests) == 2
    step = started.view(REF).history()[-1]
    assert [c.verdict for c in step.candidates] == [Verdict.REJECTED, Verdict.FAILED]
    told = " ".join(step.candidates[1].body.split())
    assert "the text of an earlier candidate of this iteration again" in told
    # only one of them had a chance
    told = " ".join(step.candidates[0].body.split())
    assert "at most 0.002 is asked for after 4 pairs" in told


class Alone(Scripted):
    """Has one candidate an iteration."""

    capabilities = Capabilities(one_candidate=True)


def test_who_has_one_candidate_is_asked_once(started: Runs, judge: Judge) -> None:
    optimizer = Alone(FOLLOW)
    advance(started, judge, optimizer, candidates=3)
    assert len(optimizer.requests) == 1
    tools = Tools(judge.pool)
    for name in ("search", "tune", "simplify"):
        assert make_optimizer(name, tools).capabilities.one_candidate
    assert VectorSearch(judge.pool).capabilities.one_candidate


def test_an_iteration_whose_candidates_all_lose_tells_of_each(started: Runs, judge: Judge) -> None:
    advance(started, judge, Scripted(FOLLOW))
    optimizer = Scripted(HIDE, STILL)
    advance(started, judge, optimizer, candidates=2)
    step = started.view(REF).history()[-1]
    assert step.verdict is Verdict.REJECTED
    assert len(step.candidates) == 2
    assert "1. On " in step.body
    assert "2. On " in step.body
    following = Scripted(HIDE)
    advance(started, judge, following)
    told = [(a.iteration, a.verdict, a.source is not None) for a in following.requests[0].attempts]
    assert told == [
        *((0, "initial", True), (1, "accepted", True)),
        *((2, "rejected", True), (2, "rejected", True)),
    ]
    assert "hide from the ball" in (following.requests[0].attempts[2].source or "")
    for attempt in following.requests[0].attempts[2:]:
        assert attempt.race
        for candidate, in_force in attempt.race:
            assert in_force is not None
            assert candidate.seed == in_force.seed
        gain = sum(a.episode_return - b.episode_return for a, b in attempt.race if b)
        assert gain / len(attempt.race) == pytest.approx(attempt.gain)
    assert not any(attempt.race for attempt in following.requests[0].attempts[:2])


def usage_of(started: Runs) -> list[tuple[int | None, int | None, float | None]]:
    facts = [step.facts for step in started.view(REF).history()]
    return [(f.tokens_in, f.tokens_out, f.usd) for f in facts if f is not None]


def test_tokens_and_dollars_are_on_the_line_and_the_exchange_in_the_iteration(
    started: Runs, judge: Judge
) -> None:
    optimizer = Asking("Sorry, I have no code.", block(FOLLOW), block(HIDE))
    advance(started, judge, optimizer, 2)
    view = started.view(REF)
    _, first, second = view.history()
    total = Usage()
    for step in (first, second):
        commits = [*step.candidates, *([step] if step.verdict is Verdict.ACCEPTED else [])]
        used = Usage()
        for commit in commits:
            text = view.read(f"iterations/{step.iteration:04d}/exchange.json", commit.commit)
            for exchange in parse_exchanges(text or ""):
                used += exchange.usage
        assert step.facts is not None
        assert step.facts.tokens_in == used.tokens_in > 0
        assert step.facts.tokens_out == used.output_tokens > 0
        assert step.facts.usd == pytest.approx(used.usd)
        total += used
    with started.open(REF) as run:
        spending = accounts.open_spending(run, Budget(usd=1.0, tokens=10**6))
    assert spending.spent.total_tokens == total.total_tokens
    assert spending.spent.usd == pytest.approx(total.usd)
    assert "Sorry" in (view.read("iterations/0001/reply.md", first.candidates[0].commit) or "")
    assert "There is no code" in (view.read("iterations/0001/prompt.md", first.commit) or "")


def test_a_cap_in_dollars_ends_the_run_before_it_is_passed(started: Runs, judge: Judge) -> None:
    optimizer = Asking(*[block(HIDE)] * 50)
    with started.open(REF) as run:
        spent = train(run, optimizer, judge, CONFIG, Budget(usd=0.03))
    assert "$0.03" in spent.limit
    n = len(optimizer.model.requests)
    assert 1 <= n < 50
    assert started.view(REF).last_iteration == n
    total = sum(usd or 0 for _, _, usd in usage_of(started))
    assert 0 < total <= 0.03


def test_a_key_that_is_refused_ends_the_command_and_leaves_the_run(
    started: Runs, judge: Judge
) -> None:
    before = started.view(REF).tip
    with pytest.raises(KeyRefused):
        advance(started, judge, Asking(KeyRefused("no such key")))
    assert started.view(REF).tip == before


def test_what_a_broken_answer_cost_is_committed_before_the_command_ends(
    started: Runs, judge: Judge
) -> None:
    broken = ModelError("it broke", usage=Usage(100, output_tokens=7, usd=0.25), text="def ac")
    with pytest.raises(ModelError, match="it broke"):
        advance(started, judge, Asking(broken))
    assert usage_of(started)[-1] == (100, 7, 0.25)
    step = started.view(REF).history()[-1]
    assert step.verdict is Verdict.FAILED
    # in the repair turn as well
    with pytest.raises(ModelError, match="it broke"):
        advance(started, judge, Asking("no code", broken))
    assert len(started.view(REF).history()[-1].candidates) == 2


def test_a_reply_is_not_paid_for_twice_when_the_command_is_killed(
    started: Runs, judge: Judge, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(judge, "race_all", killed)
        with pytest.raises(KeyboardInterrupt):
            advance(started, judge, Asking(block(FOLLOW)))
    assert started.view(REF).last_iteration == 0
    unasked = Asking()
    advance(started, judge, unasked)
    assert unasked.model.requests == []
    assert started.view(REF).history()[-1].verdict is Verdict.ACCEPTED
    assert (usage_of(started)[-1][0] or 0) > 0
    with started.open(REF) as run:
        assert run.set_aside(JOURNAL) is None
        run.put_aside(JOURNAL, '{"iteration": 2')
    fresh = Asking(block(HIDE))
    advance(started, judge, fresh)
    assert len(fresh.model.requests) == 1


KEY = "sk-ant-" + "REDACTED0123456789"


def test_no_key_is_kept_whoever_wrote_it(
    started: Runs, judge: Judge, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the prompt, the reply, the code, the reason, and what is beside the run until then."""
    journals: list[str] = []
    keeping = Run.put_aside

    def watched(self: Run, name: str, text: str | None) -> None:
        journals.append(text or "")
        keeping(self, name, text)

    monkeypatch.setattr(Run, "put_aside", watched)
    told = f"I saw {KEY}.\n\n" + block(f"{FOLLOW}\n\n# {KEY}\n")
    advance(started, judge, Asking(told))
    view = started.view(REF)
    step = view.history()[-1]
    assert step.verdict is Verdict.ACCEPTED
    names = view.evidence_names(step.commit, 1)
    assert {"prompt.md", "reply.md", "proposal.json"} <= set(names)
    kept = {name: view.evidence(step, name) or "" for name in names}
    kept |= {
        "message": step.subject + step.body,
        "policy": view.policy(),
        "journal": "".join(journals),
    }
    assert "[key removed]" in kept["reply.md"]
    assert "[key removed]" in kept["journal"]
    assert [name for name, text in kept.items() if KEY in text] == []


def test_a_full_disk_beside_the_run_costs_no_iteration(
    started: Runs, judge: Judge, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def full(self: Run, name: str, text: str | None) -> None:
        raise StoreError(f"cannot write {name}: No space left on device")

    monkeypatch.setattr(Run, "put_aside", full)
    advance(started, judge, Asking(block(FOLLOW)))
    assert started.view(REF).history()[-1].verdict is Verdict.ACCEPTED
    assert "No space left on device; what was asked is paid for again" in caplog.text


def test_a_try_is_read_as_it_was_written(started: Runs, judge: Judge) -> None:
    proposal = Proposal(PolicySource(FOLLOW), "s", "r", {"a.txt": "x"}, 7, Usage(1, usd=None))
    used = proposal.usage
    good = Candidate("reflect", proposal, "", "", {"a.txt": "x"}, used, 7, is_repair=True)
    bad = Candidate("search", None, "nothing", "no code", {"b.txt": "y"})
    for each in (good, bad):
        text = codec.dumps(store_candidate(each, with_files=True))
        assert codec.loads(StoredCandidate, text, "a test").restore() == each
    assert store_candidate(good).restore(good.files) == good


def names(turns: Sequence[str], n_candidates: int = 1) -> list[str]:
    """Whose turn it is after each of ``turns``: "a+" is an accepted candidate of a."""
    from gco_agent.optimizers.base import PastIteration

    class Named(Optimizer):
        def __init__(self, name: str) -> None:
            self.name = name

        def propose(self, request: Request) -> Proposal:
            return Proposal(PolicySource(STILL), self.name, "")

    relay = OptimizerSequence([Named("a"), Named("b")])
    assert relay.name == "a,b"
    attempts: list[PastIteration] = []
    found = [relay.next_optimizer(attempts).name]
    for number, turn in enumerate(turns):
        verdict = "accepted" if turn.endswith("+") else "rejected"
        attempt = PastIteration(number, verdict, "", None, turn.rstrip("+"))
        attempts += [attempt] * (n_candidates if verdict == "rejected" else 1)
        found.append(relay.next_optimizer(attempts).name)
    return found


def test_the_next_takes_over_on_a_plateau() -> None:
    assert PLATEAU == 3
    assert names(["a", "a", "a", "b", "b+", "b", "b", "b"]) == [*"aaabbbbba"]
    assert names(["a", "a", "a+", "a", "a", "x", "a"]) == [*"aaaaaaab"]
    # iterations count, however many candidates they had
    assert names(["a", "a", "a", "b", "b+", "b", "b", "b"], 3) == [*"aaabbbbba"]
