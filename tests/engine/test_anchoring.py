"""What a simpler candidate is held to, along the line of a run."""

from __future__ import annotations

from typing import Any

import pytest

from gco_agent.core.records import EpisodeResult, Evaluation, Outcome
from gco_agent.core.seeds import Stream
from gco_agent.core.statistics import Aim, Gain, Verdict
from gco_agent.evaluation.judge import AcceptanceCriterion, Judge, Race
from gco_agent.loop.budget import Budget
from gco_agent.loop.candidate import Candidate
from gco_agent.loop.selection import LINE, Archive
from gco_agent.loop.train import train
from gco_agent.optimizers.base import Optimizer, Proposal, Request
from gco_agent.policy.source import PolicySource
from gco_agent.store.run import Runs
from tests.engine.policies import RULES
from tests.engine.test_train import CONFIG, REF, events, judge, project, runs, started

__all__ = ["events", "judge", "project", "runs", "started"]  # fixtures


class Numbered(Optimizer):
    """Proposes policies that are told apart by a number, for one aim or the other."""

    name = "numbered"

    def __init__(self, *aims: Aim) -> None:
        self.aims = list(aims)

    def propose(self, request: Request) -> Proposal:
        return Proposal(policy(request.iteration), "edit", "Reason.", aim=self.aims.pop(0))


def policy(number: int) -> PolicySource:
    return PolicySource(f'"""P."""\n\nN = {number}\n\n\ndef act(obs):\n    return 0\n')


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> list[AcceptanceCriterion]:
    """The terms of the races, which every candidate wins."""
    seen: list[AcceptanceCriterion] = []

    def race_all(
        judge: Judge, entrants: list[tuple[object, AcceptanceCriterion]], parent: object, **_: Any
    ) -> list[Race]:
        seen.extend(terms for _, terms in entrants)
        episodes = tuple(
            EpisodeResult(seed, 1.0, 9, Outcome.GAME_OVER) for seed in Stream.SELECTION.seeds(0, 8)
        )
        played = Evaluation(episodes, RULES.stamp)
        return [Race(played, played, Gain(1.0, 0.1, 8, 0.001), Verdict.BETTER)] * len(entrants)

    monkeypatch.setattr(Judge, "race_all", race_all)
    return seen


def number_of(source: PolicySource | None) -> str | None:
    return None if source is None else source.text.partition("N = ")[2].partition("\n")[0]


def test_a_row_of_simpler_ones_is_held_to_where_it_began(
    started: Runs, judge: Judge, seen: list[AcceptanceCriterion]
) -> None:
    better, simpler = Aim.BETTER, Aim.NO_WORSE
    with started.open(REF) as run:
        optimizer = Numbered(better, simpler, simpler, simpler, better, simpler)
        train(run, optimizer, judge, CONFIG, Budget(iterations=6))
        assert [number_of(terms.baseline) for terms in seen] == [None, None, "1", "1", None, None]
        assert [terms.aim for terms in seen] == [better, simpler, simpler, simpler, better, simpler]
        assert number_of(Archive(run).baseline) == "5"
        run.rollback("3")  # a simpler one again, made when 1 was what counted
        assert number_of(Archive(run).baseline) == "1"
        run.rollback("1")
        assert Archive(run).baseline is None


def test_only_candidates_that_are_raced_are_rivals(started: Runs) -> None:
    made = Proposal(policy(1), "s", "r")
    tries = [
        Candidate("o", made),
        Candidate("o", None, "none", "no code"),
        Candidate("o", made, "again", "repeated"),
    ]
    with started.open(REF) as run:
        assert LINE.criterion(Archive(run), tries).n_rivals == 1
        assert LINE.criterion(Archive(run), [*tries, Candidate("o", made)]).n_rivals == 2
        assert LINE.criterion(Archive(run), tries[1:2]).n_rivals == 1
