"""Hundreds of faults over a run of many iterations, and not a token unaccounted for.

The real SDK talks over loopback to a server that fails in every way it knows; the run is real, on
a real repository. The server writes down what it said that each answer used.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from gco_agent.core.errors import BudgetSpent, ModelError
from gco_agent.core.records import Usage, Verdict
from gco_agent.evaluation.judge import Judge
from gco_agent.llm.anthropic import AnthropicModel
from gco_agent.llm.asking import Patience
from gco_agent.llm.base import Exchange
from gco_agent.llm.prices import Price, priced
from gco_agent.loop import recording as accounts
from gco_agent.loop.budget import Budget
from gco_agent.loop.train import train
from gco_agent.optimizers.reflect import TOOL, ReflectOptimizer
from gco_agent.store.config import RunConfig
from gco_agent.store.entries import Facts
from gco_agent.store.run import Runs
from gco_agent.store.view import Step
from tests.engine.policies import FOLLOW, HIDE, RULES, STILL
from tests.engine.test_train import REF, events, judge, project, runs, started
from tests.messages_server import (
    Ending,
    MessagesServer,
    Received,
    Reply,
    error_event,
    message,
    status,
)
from tests.store.samples import git

__all__ = ["events", "judge", "project", "runs", "started"]  # fixtures

N_NIGHTLY, N_FAULTS = 50, 500
PRICE = Price(3.0, 15.0, 3.75, 0.3)
KEY = "sk-ant-api03-" + "Ab0_-9zZ" * 8
CONFIG = RunConfig("breakout", RULES, optimizer="reflect", max_tokens=2_000)
STATED = {"input_tokens": 900, "output_tokens": 300, "cache_read_input_tokens": 1_000}
IMPATIENT = Patience(tries=30, sleep=lambda _: None)
POLICIES = (FOLLOW, HIDE, STILL)
WORDS = "Let me think about the ball. " * 10


def handed_in(policy: str) -> Reply:
    """A policy in the call of the tool, as it should be."""
    fields = {"diagnosis": "It moves.", "change": "Other.", "summary": "other", "policy": policy}
    return message(tool=(TOOL.name, fields), usage=STATED)


def cut(n_events: int, ending: Ending) -> Reply:
    return message(WORDS, usage=STATED, n_events=n_events, ending=ending)


def broken(*events: tuple[str, object]) -> Reply:
    whole = message(WORDS, usage=STATED)
    return whole.but(events=[*whole.events[:4], *events])


FAULTS: dict[str, Reply] = {
    "429": status(429, headers={"retry-after": "1000000000"}),
    "500": status(500),
    "529": status(529),
    "no status": Reply(0),
    "reset at once": cut(1, Ending.RESET),
    "reset later": cut(6, Ending.RESET),
    "half a chunk": cut(5, Ending.CHUNK),
    "clean end at once": cut(1, Ending.CLEAN),
    "clean end later": cut(7, Ending.CLEAN),
    "overloaded in the middle": broken(error_event("overloaded_error")),
    "rate limit in the middle": broken(error_event("rate_limit_error")),
    "no JSON in the middle": broken(("content_block_delta", "{{{")),
    "drops": message(WORDS, usage=STATED, drip=1e-6),
    "malformed input": message(tool=(TOOL.name, '{"policy": clas'), usage=STATED),
    "truncated input": message(tool=(TOOL.name, '{"po'), stop="max_tokens", usage=STATED),
    "no policy": handed_in(""),
    "no Python": handed_in("class Policy:\n    def act(self, obs:"),
    "forbidden": handed_in("import os\n" + FOLLOW),
    "refusal": message("I cannot help with that.", stop="refusal", usage=STATED),
    "unknown end": message(WORDS, stop="a_new_reason", usage=STATED),
    "bad key": status(401),
    "paused": message(WORDS, stop="pause_turn", usage=STATED),
    "a web page": Reply(raw=b"<html>Log in</html>", headers={"content-type": "text/html"}),
}
USELESS = ("malformed input", "truncated input", "no policy", "no Python", "forbidden", "refusal")
"""A whole answer, paid for, of no use; the optimizer is asked once more."""
FATAL = ("bad key", "unknown end", "a web page")
"""These end the command, which is then given again."""
PASSING = tuple(name for name in FAULTS if name not in USELESS + FATAL)


@dataclass
class Saboteur:
    """Answers with faults, and now and then with a policy; keeps the books.

    Attributes:
        injected: How often each fault was served.
        stated: What the answers said that they used.
    """

    chance: random.Random = field(default_factory=lambda: random.Random(20261124))
    injected: Counter[str] = field(default_factory=Counter)
    stated: Usage = field(default_factory=Usage)
    n_good: int = 0

    def __call__(self, received: Received) -> Reply:
        assert KEY in received.headers["authorization"]
        assert KEY not in str(received.body)
        reply = self._choose()
        self.stated += told_by(reply)
        return reply

    def _choose(self) -> Reply:
        kinds, weights = (PASSING, USELESS, FATAL, ()), (91, 4, 1, 4)
        (kind,) = self.chance.choices(kinds, weights)
        if not kind:
            self.n_good += 1
            return handed_in(POLICIES[self.n_good % 3])
        name = self.chance.choice(kind)
        self.injected[name] += 1
        return FAULTS[name]


def told_by(reply: Reply) -> Usage:
    """What an answer says of its use, up to where it breaks off."""
    usage = Usage()
    for _, data in reply.events[: reply.n_events]:
        if isinstance(data, dict) and data.get("type") == "message_start":
            usage = of(data["message"]["usage"])
        if isinstance(data, dict) and data.get("type") == "message_delta":
            usage = of(data["usage"])
    return priced(usage, PRICE)


def of(used: dict[str, int]) -> Usage:
    return Usage(
        used["input_tokens"],
        cache_read_tokens=used["cache_read_input_tokens"],
        output_tokens=used["output_tokens"],
    )


@pytest.fixture
def saboteur() -> Saboteur:
    return Saboteur()


@pytest.fixture
def optimizer(saboteur: Saboteur) -> Iterator[ReflectOptimizer]:
    with MessagesServer(saboteur) as server:
        yield ReflectOptimizer(AnthropicModel("m", PRICE, KEY, server.url), IMPATIENT)


@pytest.mark.parametrize("n", [4, pytest.param(N_NIGHTLY, marks=pytest.mark.nightly)])
def test_no_token_is_lost_over_hundreds_of_faults(
    project: Path,
    started: Runs,
    judge: Judge,
    saboteur: Saboteur,
    optimizer: ReflectOptimizer,
    n: int,
) -> None:
    n_stops = run_on(started, judge, optimizer, n)
    assert saboteur.injected.total() >= 5 * n
    assert n_stops >= saboteur.injected["bad key"] + saboteur.injected["unknown end"]
    if n == N_NIGHTLY:
        assert saboteur.injected.total() >= N_FAULTS
        assert set(saboteur.injected) == set(FAULTS)
        assert saboteur.injected["bad key"] > 0

    view = started.view(REF)
    history = view.history()
    facts = [step.facts for step in history if step.facts is not None]
    assert [f.iteration for f in facts] == list(range(n + 1))
    assert {f.verdict for f in facts[1:]} <= {Verdict.ACCEPTED, Verdict.REJECTED, Verdict.FAILED}
    check_books(facts, saboteur, [accounts.read_exchanges(view, [step]) for step in history[1:]])
    check_reasons(history)
    check_repository(project, n)
    check_that_the_cap_binds(started, judge, optimizer, saboteur)
    assert started.view(REF).last_iteration == n


def run_on(started: Runs, judge: Judge, optimizer: ReflectOptimizer, n: int) -> int:
    """Give the command again and again until all iterations are done; how often it was ended."""
    n_stops = 0
    while (done := started.view(REF).last_iteration) < n:
        with started.open(REF) as run:
            try:
                train(run, optimizer, judge, CONFIG, Budget(iterations=n - done))
            except ModelError:
                n_stops += 1
    return n_stops


def check_books(facts: list[Facts], saboteur: Saboteur, exchanges: list[list[Exchange]]) -> None:
    """Trailers, evidence and the server agree on every token and on every dollar."""
    for told, kept in zip(facts[1:], exchanges, strict=True):
        used = sum((e.usage for e in kept), Usage())
        assert (told.tokens_in, told.tokens_out) == (used.tokens_in, used.output_tokens)
        assert told.usd == pytest.approx(used.usd, rel=1e-9)
    total = sum((e.usage for kept in exchanges for e in kept), Usage())
    assert replace(total, usd=None) == replace(saboteur.stated, usd=None)
    assert total.usd == pytest.approx(saboteur.stated.usd)
    n_cut = sum(n for name, n in saboteur.injected.items() if is_open(name))
    at_risk = [e.at_risk for kept in exchanges for e in kept]
    assert sum(risk.output_tokens for risk in at_risk) == n_cut * CONFIG.max_tokens - sum(
        n for name, n in saboteur.injected.items() if is_open(name) and name != "no status"
    )


def is_open(name: str) -> bool:
    """Whether an answer broke off before it said what it used in all."""
    return name == "no status" or name.startswith(("reset", "half", "clean")) or "middle" in name


def check_reasons(history: list[Step]) -> None:
    """Whatever is no candidate has a reason that a person can read."""
    for step in history:
        for candidate in step.candidates:
            assert candidate.body.strip()
            assert KEY not in candidate.body


def check_repository(project: Path, n: int) -> None:
    """The branch is whole, the work tree clean, and the key is in no object of the repository."""
    assert git(project, "fsck", "--strict") == ""
    assert git(project, "status", "--porcelain") == ""
    listed = git(project, "cat-file", "--batch-check", "--batch-all-objects")
    blobs = [line.split()[0] for line in listed.splitlines()]
    assert len(blobs) > 4 * n
    found = git(project, "log", "--all", "-m", "-p", "-S", KEY[:24], "--format=%H")
    assert found == ""


def check_that_the_cap_binds(
    started: Runs, judge: Judge, optimizer: ReflectOptimizer, saboteur: Saboteur
) -> None:
    """A new command counts what was spent, and what may have been, by all commands before it."""
    before = saboteur.stated
    with started.open(REF) as run:
        spending = accounts.open_spending(run, Budget())
        assert spending.spent.total_tokens == before.total_tokens
        cap = (spending.spent + spending.at_risk).usd
        assert cap is not None
        spent = train(run, optimizer, judge, CONFIG, Budget(usd=cap + 0.001))
    assert isinstance(spent, BudgetSpent)
    assert spent.limit.startswith(f"${cap + 0.001:.2f} (${cap:.4f} spent")
    assert saboteur.stated == before
