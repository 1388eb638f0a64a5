"""Several optimizers in turn: the next takes over when the one at work is on a plateau."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from gco_agent.optimizers.base import Optimizer, PastIteration, Proposal, Request

PLATEAU = 3
"""Iterations in a row without an accepted candidate after which the next optimizer has its turn."""


@runtime_checkable
class TakesTurns(Protocol):
    """An optimizer that is made of others."""

    def next_optimizer(self, attempts: Sequence[PastIteration]) -> Optimizer:
        """The one that proposes after ``attempts``."""


class OptimizerSequence:
    """An optimizer that is made of others; whose turn it is follows from the run's history alone.

    Attributes:
        name: The names of its members, joined by commas.
        members: Who takes turns; after the last the first has its turn again.
    """

    def __init__(self, members: Sequence[Optimizer]) -> None:
        self.members = tuple(members)
        self.name = ",".join(member.name for member in self.members)

    def propose(self, request: Request) -> Proposal:
        """The proposal of the member whose turn it is."""
        return self.next_optimizer(request.attempts).propose(request)

    def next_optimizer(self, attempts: Sequence[PastIteration]) -> Optimizer:
        """The member that proposes after ``attempts``."""
        names = [member.name for member in self.members]
        turn, idle = 0, 0
        for _, of_one in itertools.groupby(attempts, key=lambda attempt: attempt.iteration):
            attempt = list(of_one)[-1]  # candidates of one iteration; all were turned down, or one
            if attempt.optimizer not in names:
                continue  # the start, a report, a rollback, or another optimizer in between
            turn = names.index(attempt.optimizer)
            idle = 0 if attempt.verdict == "accepted" else idle + 1
            if idle >= PLATEAU:
                turn, idle = (turn + 1) % len(names), 0
        return self.members[turn]


class TuneBetween:
    """An optimizer whose accepted candidates have their constants tuned before it goes on.

    Attributes:
        name: Of the optimizer.
        members: The optimizer, and the tuner.
    """

    def __init__(self, optimizer: Optimizer, tuner: Optimizer) -> None:
        self.name = optimizer.name
        self.members = (optimizer, tuner)

    def propose(self, request: Request) -> Proposal:
        """The proposal of the one whose turn it is."""
        return self.next_optimizer(request.attempts).propose(request)

    def next_optimizer(self, attempts: Sequence[PastIteration]) -> Optimizer:
        """The tuner after an accepted candidate of somebody else, or else the optimizer."""
        optimizer, tuner = self.members
        last = attempts[-1] if attempts else None
        is_new = last is not None and last.verdict == "accepted" and last.optimizer != tuner.name
        return tuner if is_new else optimizer


def next_optimizer(optimizer: Optimizer, attempts: Sequence[PastIteration]) -> Optimizer:
    """``optimizer`` itself, or the one of its members whose turn it is."""
    if isinstance(optimizer, TakesTurns):
        return next_optimizer(optimizer.next_optimizer(attempts), attempts)
    return optimizer
