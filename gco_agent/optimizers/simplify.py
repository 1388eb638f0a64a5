"""Simplify any policy: the same play in less text.

A removal stays if the policy then takes every action as before, over whole episodes on several
feedback seeds, and does not fail where it did not before when objects go missing. What is left is
tried once more, for removals that change actions and do not seem to cost any return: the judge's
race then shows whether all of them together lose less than a margin.
"""

from __future__ import annotations

import bisect
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from gco_agent.core.errors import ProposalError
from gco_agent.core.seeds import trial_seeds
from gco_agent.core.statistics import Aim, loss_margin
from gco_agent.optimizers.base import Capabilities, Optimizer, Proposal, Request, Tools
from gco_agent.optimizers.trials import ActionRecord, Trials, fails_already, trials_of
from gco_agent.policy.removals import Kind, Removal, removals, without
from gco_agent.policy.source import PolicySource, Size, format_policy, size_of

_SCREEN_STEPS = 300
"""Steps after which most removals that matter have changed an action."""
_PROOF_SEEDS, _PROOF_SHARE, _FEWEST = 8, 0.15, 2
"""Seeds on which actions have to be the same; fewer, if recording them takes too much."""
_GAP_SEEDS, _GAP_STEPS = 3, 1_000
_EXACT_SHARE, _LOSSY_SHARE = 0.6, 0.8
_LOSSY_SCREEN = (3, _PROOF_SEEDS)
"""Episodes after which a removal that changes actions may be given up."""
_NOTHING = PolicySource("")


@dataclass(frozen=True, slots=True)
class Removed:
    """One thing that is gone: in a few words, the line where it stood, and if no action changed."""

    what: str
    line: int
    is_exact: bool


@dataclass(frozen=True, slots=True)
class Simplified:
    """The result of simplifying a policy.

    Attributes:
        n_episodes: Episodes in which every action was the same, for the exact removals.
        is_cut: The budget was used up before all removals had been tried.
    """

    source: PolicySource
    exact: PolicySource
    removed: tuple[Removed, ...]
    before: Size
    after: Size
    n_episodes: int
    n_actions: int
    is_cut: bool = False

    def kept(self, *, with_lossy: bool) -> tuple[Removed, ...]:
        """Return what is gone, with or without the removals that change actions."""
        return tuple(r for r in self.removed if r.is_exact or with_lossy)


def simplify_policy(
    source: PolicySource, trials: Trials, seeds: range, *, exact_only: bool = False
) -> Simplified:
    """Remove from ``source`` what its play does not need.

    Args:
        trials: Plays whole episodes by its protocol, within its budget.
    """
    original = PolicySource(format_policy(source.text))
    work = _Simplifier(original, trials, seeds)
    work.record()
    work.remove_exact()
    exact = work.source
    if not exact_only:
        work.remove_lossy()
    return Simplified(
        work.source,
        exact,
        tuple(work.removed),
        size_of(original),
        size_of(work.source),
        len(work.recorded),
        sum(record.n_steps for record in work.recorded),
        work.is_cut,
    )


class _Simplifier:
    """The simplification of one policy; ``source`` is the smallest that was proved so far."""

    def __init__(self, source: PolicySource, trials: Trials, seeds: range) -> None:
        self.source, self.original = source, source
        self.removed: list[Removed] = []
        self.recorded: list[ActionRecord] = []
        self.is_cut = False
        self._trials, self._horizon = trials, trials.protocol.max_steps
        self._proof, rest = seeds[:_PROOF_SEEDS], seeds[_PROOF_SEEDS:]
        self._gaps, self._survives_gaps = rest[:_GAP_SEEDS], False
        self._refused: set[str] = set()

    def record(self) -> None:
        """Play the policy as it is: the actions that count as the same."""
        size = self._trials.pool.n_workers
        for first in range(0, len(self._proof), size):
            self._trials.tell("simplify: record")
            if len(self.recorded) >= _FEWEST and not self._trials.budget.share(_PROOF_SHARE):
                break
            batch = self._proof[first : first + size]
            self.recorded += self._trials.record(self.source.text, batch, self._horizon)
        for played in self.recorded:
            if not played.is_whole:
                raise fails_already(played.seed, played.n_steps, "an episode cannot be scored")
        self._survives_gaps = self._trials.survives_gaps(self.source.text, self._gaps, _GAP_STEPS)

    def remove_exact(self) -> None:
        """Remove what changes no action, in rounds, as every removal may allow others."""
        while self._has_steps(_EXACT_SHARE):
            found = self._smaller()
            fresh = [r for r in found if r.key not in self._refused]
            self._trials.tell("simplify: try removals")
            texts = [found[removal].text for removal in fresh]
            alike = self._trials.acts_the_same(texts, self.recorded[:1], _SCREEN_STEPS)
            offered: list[Removal] = []
            for removal, same in zip(fresh, alike, strict=True):
                if same and not any(removal.meets(other) for other in offered):
                    offered.append(removal)
            proved = self._prove(offered)
            if not proved:
                return
            self.source = without(self.source, proved) or self.source
            self.removed += [Removed(r.what, r.line, is_exact=True) for r in proved]

    def _prove(self, offered: Sequence[Removal]) -> list[Removal]:
        """Return as many of ``offered`` as change nothing together; refuse the others."""
        chosen = list(offered)
        while chosen and self._has_steps(_EXACT_SHARE):
            self._trials.tell("simplify: prove removals")
            smaller = without(self.source, chosen) or _NOTHING
            is_sure = all(removal.kind is Kind.UNUSED for removal in chosen)
            expected = self.recorded[:1] if is_sure else self.recorded
            (found,) = self._trials.retrace([smaller.text], expected, self._horizon)
            broken = {f.n_steps: e for e, f in zip(expected, found, strict=True) if not f.is_whole}
            at = min(broken, default=None)
            if at is None and self._is_as_robust(smaller):
                return chosen
            where = None if at is None else (broken[at], at + 1)
            alone = self._differs([[removal] for removal in chosen], where)
            at_fault = [removal for removal, bad in zip(chosen, alone, strict=True) if bad]
            self._refused.update(removal.key for removal in at_fault)
            if not at_fault:  # only together; the next round may remove it
                n = bisect.bisect_left(
                    range(1, len(chosen)),
                    1,
                    key=lambda n: self._differs([chosen[:n]], where)[0],
                )
                at_fault = [chosen[n]]
            chosen = [removal for removal in chosen if removal not in at_fault]
        return []

    def _differs(
        self, groups: Sequence[Sequence[Removal]], where: tuple[ActionRecord, int] | None
    ) -> list[bool]:
        """Return for each group of removals whether the policy is another one without it.

        Args:
            where: An episode and the number of its steps to compare; None for missing objects.
        """
        sources = [without(self.source, group) or _NOTHING for group in groups]
        if where is None:
            return [not self._is_as_robust(source) for source in sources]
        recorded, n_steps = where
        texts = [source.text for source in sources]
        return [not same for same in self._trials.acts_the_same(texts, [recorded], n_steps)]

    def _is_as_robust(self, smaller: PolicySource) -> bool:
        """Return whether it survives missing objects, if the policy as it was does."""
        return not self._survives_gaps or self._trials.survives_gaps(
            smaller.text, self._gaps, _GAP_STEPS
        )

    def remove_lossy(self) -> None:
        """Remove lines that do not seem to cost any return, the longest first."""
        base = [record.total for record in self.recorded]
        margin = loss_margin(base)
        refused: set[str] = set()
        # returns that are all zero would let everything go
        while margin and self._remove_one(base, margin, refused):
            pass

    def _remove_one(self, base: Sequence[float], margin: float, refused: set[str]) -> bool:
        """Remove the first lines that pass the screen; return whether there were any."""
        least = size_of(self.source).sloc
        for removal, smaller in self._smaller().items():
            if removal.key in refused or size_of(smaller).sloc >= least:
                continue
            if not self._has_steps(_LOSSY_SHARE):
                return False
            refused.add(removal.key)
            self._trials.tell("simplify: try removals that change actions")
            if self._passes(smaller, base, margin):
                self.source = smaller
                self.removed.append(Removed(removal.what, removal.line, is_exact=False))
                return True
        return False

    def _passes(self, smaller: PolicySource, base: Sequence[float], margin: float) -> bool:
        """Return whether it does not seem to lose, on a few seeds and then on all of the screen."""
        returns: list[float] = []
        for n_seeds in _LOSSY_SCREEN:
            seeds = [record.seed for record in self.recorded[len(returns) : n_seeds]]
            (played,) = self._trials.play([smaller.text], seeds, self._horizon)
            if not all(episode.outcome.is_scored for episode in played):
                return False
            returns += [episode.episode_return for episode in played]
            if statistics.fmean(returns) - statistics.fmean(base[: len(returns)]) < -margin / 4:
                return False
        return self._is_as_robust(smaller)

    def _smaller(self) -> dict[Removal, PolicySource]:
        """Return the removals that leave a smaller policy, with what they leave."""
        size = size_of(self.source)
        found = ((removal, without(self.source, [removal])) for removal in removals(self.source))
        return {removal: left for removal, left in found if left and size_of(left) < size}

    def _has_steps(self, share: float) -> bool:
        has_steps = self._trials.budget.share(share)
        self.is_cut = self.is_cut or not has_steps
        return has_steps


class SimplifyOptimizer(Optimizer):
    """Proposes the run's policy in less text; the race shows whether it is no worse."""

    name = "simplify"
    capabilities = Capabilities(one_candidate=True, may_tie=True)

    def __init__(self, tools: Tools, seconds: float | None = None) -> None:
        self._tools, self._seconds = tools, seconds

    @classmethod
    def create(cls, tools: Tools) -> SimplifyOptimizer:
        """Create the optimizer with the pool and the jail level of the command."""
        return cls(tools)

    def propose(self, request: Request) -> Proposal:
        """Simplify within a slice; without lossy removals, if the last race was lost."""
        trials = trials_of(request, self._tools, self._seconds)
        last = request.attempts[-1] if request.attempts else None
        found = simplify_policy(
            request.parent,
            trials,
            trial_seeds(request.iteration),
            exact_only=last is not None and last.optimizer == self.name and not last.gave_policy,
        )
        if not found.removed:
            more = "; not all was tried within the steps allowed" if found.is_cut else ""
            raise ProposalError(f"nothing was found that the policy could do without{more}")
        gone = "\n".join(
            f"- {removed.what}{'' if removed.is_exact else ' (changes actions)'}"
            for removed in found.removed
        )
        return Proposal(
            found.source,
            f"simplify: {found.before.sloc} lines of code to {found.after.sloc}",
            f"Removed what the policy does not need:\n\n{gone}\n\nWith the removals that change no "
            f"action, all {found.n_actions:,} actions in {found.n_episodes} episodes are the same. "
            f"{trials.budget.used:,} steps played.",
            n_steps=trials.budget.used,
            aim=Aim.NO_WORSE,
        )
