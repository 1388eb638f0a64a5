"""Optimizers that are made of others."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import fields

from gco_agent.optimizers.base import (
    Capabilities,
    Optimizer,
    PastIteration,
    Proposal,
    Request,
)

PLATEAU = 3
"""Iterations in a row without an accepted candidate after which the next optimizer takes over."""


class _Composite(Optimizer):
    """An optimizer whose members propose; which one follows from the run's history alone."""

    def __init__(self, name: str, members: Sequence[Optimizer]) -> None:
        self.name, self.members = name, tuple(members)
        of_members = [member.capabilities for member in self.members]
        self.capabilities = Capabilities(
            **{
                each.name: any(getattr(c, each.name) for c in of_members)
                for each in fields(Capabilities)
            }
        )

    def propose(self, request: Request) -> Proposal:
        """Return the proposal of the member whose turn it is."""
        return self.next_optimizer(request.attempts).propose(request)


class OptimizerSequence(_Composite):
    """Takes the next optimizer when the present one is on a plateau, and the first after the last.

    Attributes:
        name: The names of its members, joined by commas.
        members: The optimizers that take turns.
    """

    def __init__(self, members: Sequence[Optimizer]) -> None:
        super().__init__(",".join(member.name for member in members), members)

    def next_optimizer(self, attempts: Sequence[PastIteration]) -> Optimizer:
        """Return the member that proposes after ``attempts``."""
        names = [member.name for member in self.members]
        turn, idle = 0, 0
        for _, group in itertools.groupby(attempts, key=lambda attempt: attempt.iteration):
            attempt = list(group)[-1]  # of an iteration at most the last candidate was accepted
            if attempt.optimizer not in names:
                continue  # the start, a report, a rollback, or another optimizer
            turn = names.index(attempt.optimizer)
            idle = 0 if attempt.verdict == "accepted" else idle + 1
            if idle >= PLATEAU:
                turn, idle = (turn + 1) % len(names), 0
        return self.members[turn].next_optimizer(attempts)


class TuneBetween(_Composite):
    """Tunes the constants of every accepted candidate before the optimizer goes on.

    Attributes:
        name: Name of the optimizer.
        members: The optimizer and the tuner.
    """

    def __init__(self, optimizer: Optimizer, tuner: Optimizer) -> None:
        super().__init__(optimizer.name, (optimizer, tuner))

    def next_optimizer(self, attempts: Sequence[PastIteration]) -> Optimizer:
        """Return the tuner after an accepted candidate of the optimizer, else the optimizer."""
        optimizer, tuner = self.members
        last = attempts[-1] if attempts else None
        is_new = last is not None and last.verdict == "accepted" and last.optimizer != tuner.name
        return tuner if is_new else optimizer.next_optimizer(attempts)
