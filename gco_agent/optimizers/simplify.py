"""The same play in less text, for any policy.

A removal stays if the policy then takes every action as before, over whole episodes on several
feedback seeds, and does not fail where it did not before when objects go missing. What is left is
tried once more, for removals that change actions and cost no return: those have to show by paired
episodes that they lose less than a margin, together and against the policy as it was.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from gco_agent.core.errors import ProposalError
from gco_agent.core.events import Searching
from gco_agent.core.statistics import ALPHA, Aim, Gain, loss_margin, no_worse_p_value, paired_gain
from gco_agent.optimizers.base import Capabilities, Optimizer, Proposal, Request, Tools
from gco_agent.optimizers.trials import Recording, Trials, seeds_of, trials_of
from gco_agent.policy import PolicySource, format_policy
from gco_agent.policy.complexity import Size, size_of
from gco_agent.policy.removals import Kind, Removal, removals, without

_LOOK_STEPS = 300
"""Steps after which most removals that matter have shown it."""
_PROOF_SEEDS, _PROOF_SHARE = 8, 0.15
_FEWEST = 2
_HOLE_SEEDS, _HOLE_STEPS = 3, 1_000
_EXACT_SHARE, _LOSSY_SHARE = 0.6, 0.8
_SCREEN = (3, _PROOF_SEEDS)
"""Episodes after which a removal that changes actions is looked at."""
_GATE_SEEDS = 16


@dataclass(frozen=True, slots=True)
class Removed:
    """One thing that is gone.

    Attributes:
        what: In a few words.
        line: Where it stood when it was removed.
        is_exact: No action changed.
    """

    what: str
    line: int
    is_exact: bool


@dataclass(frozen=True, slots=True)
class Simplified:
    """What simplifying came to.

    Attributes:
        source: The smaller policy, formatted.
        exact: The policy with the exact removals alone.
        removed: What is gone from ``source``, in the order in which it went.
        before: Size of the policy as it was, formatted.
        after: Size of ``source``.
        n_episodes: Episodes in which every action was the same, for the exact removals.
        n_actions: Actions in those.
        gain: Of ``source`` over the policy as it was; None if every removal is exact.
        margin: What ``gain`` was tested against.
        is_cut: The purse was empty before all removals had been tried.
    """

    source: PolicySource
    exact: PolicySource
    removed: tuple[Removed, ...]
    before: Size
    after: Size
    n_episodes: int
    n_actions: int
    gain: Gain | None = None
    margin: float = 0.0
    is_cut: bool = False

    def kept(self, *, with_lossy: bool) -> tuple[Removed, ...]:
        """What is gone, those that change actions included or not."""
        return tuple(r for r in self.removed if r.is_exact or with_lossy)


Teller = Callable[[str, float], None]
_Fails = Callable[[Sequence[Sequence[Removal]]], list[bool]]
"""For each group of removals whether it makes the policy another one."""
_NOTHING = PolicySource("")


def simplify_policy(
    source: PolicySource,
    trials: Trials,
    seeds: range,
    *,
    exact_only: bool = False,
    tell: Teller = lambda _what, _done: None,
) -> Simplified:
    """Take away from ``source`` what its play does not need.

    Args:
        source: Anybody's policy; it plays in the jail.
        trials: Who plays, and for how much; whole episodes by their protocol.
        seeds: Feedback seeds.
        exact_only: Leave alone whatever changes an action.
        tell: Told how things stand.

    Raises:
        ContractViolation: The text is not Python.
        ProposalError: The policy fails as it is.
    """
    formatted = PolicySource(format_policy(source.text))
    work = _Simplifier(formatted, trials, seeds, tell)
    work.record()
    work.take_exact()
    exact, gain, margin = work.source, None, 0.0
    if not exact_only:
        gain, margin = work.take_lossy()
    return Simplified(
        work.source,
        exact,
        tuple(work.removed),
        size_of(formatted),
        size_of(work.source),
        len(work.recorded),
        sum(recording.n_steps for recording in work.recorded),
        gain,
        margin,
        work.is_cut,
    )


class _Simplifier:
    """The simplification of one policy; ``source`` is always one that has been proved."""

    def __init__(self, source: PolicySource, trials: Trials, seeds: range, tell: Teller) -> None:
        self.source, self.original = source, source
        self.removed: list[Removed] = []
        self.recorded: list[Recording] = []
        self.is_cut = False
        self._trials, self._tell_purse = trials, tell
        self._proof, rest = seeds[:_PROOF_SEEDS], seeds[_PROOF_SEEDS:]
        self._gate, rest = rest[:_GATE_SEEDS], rest[_GATE_SEEDS:]
        self._holes, self._survives_holes = rest[:_HOLE_SEEDS], False
        self._horizon = trials.protocol.max_steps
        self._refused: set[str] = set()

    def record(self) -> None:
        """Play the policy as it is: the actions that count as the same.

        Raises:
            ProposalError: It fails.
        """
        purse = self._trials.purse
        size = self._trials.pool.n_workers
        for first in range(0, len(self._proof), size):
            self._tell("record")
            if len(self.recorded) >= _FEWEST and not purse.share(_PROOF_SHARE):
                break
            batch = self._proof[first : first + size]
            self.recorded += self._trials.record(self.source.text, batch, self._horizon)
        for played in self.recorded:
            if not played.is_whole:
                raise ProposalError(
                    f"the policy fails as it is (feedback seed {played.seed}, step "
                    f"{played.n_steps}); mend it first: `gco-agent eval` shows where it fails"
                )
        self._survives_holes = self._trials.survives_holes(
            self.source.text, self._holes, _HOLE_STEPS
        )

    # Removals that change no action

    def take_exact(self) -> None:
        """Remove in rounds, as every removal may make room for others."""
        while self._has_steps(_EXACT_SHARE):
            found = self._smaller()
            fresh = [r for r in found if r.key not in self._refused]
            texts = [found[removal].text for removal in fresh]
            self._tell("try removals")
            alike = self._trials.acts_the_same(texts, self.recorded[:1], _LOOK_STEPS)
            chosen: list[Removal] = []
            for removal, same in zip(fresh, alike, strict=True):
                if same and not any(removal.meets(other) for other in chosen):
                    chosen.append(removal)
            taken = self._prove(chosen)
            if not taken:
                return
            self._accept(taken)

    def _prove(self, offered: Sequence[Removal]) -> list[Removal]:
        """As many of ``offered`` as change nothing together, less those found to be at fault."""
        chosen = list(offered)
        while chosen and self._has_steps(_EXACT_SHARE):
            self._tell("prove removals")
            fails = self._failing(chosen)
            if fails is None:
                return chosen
            alone = fails([[removal] for removal in chosen])
            at_fault = [removal for removal, bad in zip(chosen, alone, strict=True) if bad]
            self._refused.update(removal.key for removal in at_fault)
            if not at_fault:  # only together; the next round may see it go
                at_fault = [_first_bad(chosen, fails)]
            chosen = [removal for removal in chosen if removal not in at_fault]
        return []

    def _failing(self, chosen: Sequence[Removal]) -> _Fails | None:
        """What shows that the policy is another one without ``chosen``; None if it is not.

        That is an action which differs, tried again up to there; or missing objects.
        """
        smaller = without(self.source, chosen)
        if smaller is None:
            return lambda groups: [without(self.source, group) is None for group in groups]
        is_sure = all(removal.kind is Kind.UNUSED for removal in chosen)
        wanted = self.recorded[:1] if is_sure else self.recorded
        found = self._trials.retraced(smaller.text, wanted, self._horizon)
        broken = [f for f in found if not f.is_whole]
        if broken:
            first = min(broken, key=lambda f: f.n_steps)
            recording = [r for r in self.recorded if r.seed == first.seed]

            def differ(groups: Sequence[Sequence[Removal]]) -> list[bool]:
                texts = [(without(self.source, group) or _NOTHING).text for group in groups]
                same = self._trials.acts_the_same(texts, recording, first.n_steps + 1)
                return [not is_same for is_same in same]

            return differ
        if self._is_as_robust(smaller):
            return None
        return lambda groups: [
            not self._is_as_robust(without(self.source, group) or _NOTHING) for group in groups
        ]

    def _is_as_robust(self, smaller: PolicySource) -> bool:
        """Whether it survives missing objects, if the policy as it was does."""
        if not self._survives_holes:
            return True
        return self._trials.survives_holes(smaller.text, self._holes, _HOLE_STEPS)

    def _accept(self, taken: Sequence[Removal]) -> None:
        smaller = without(self.source, taken)
        assert smaller is not None, taken
        self.source = smaller
        self.removed += [Removed(r.what, r.line, is_exact=True) for r in taken]

    # Removals that change actions and lose nothing

    def take_lossy(self) -> tuple[Gain | None, float]:
        """Remove what costs no return, the longest first; the gain of it all, and the margin."""
        exact, n_exact = self.source, len(self.removed)
        if not self._has_steps(_LOSSY_SHARE):
            return None, 0.0
        base = [recording.total for recording in self.recorded]
        margin = loss_margin(base)
        refused: set[str] = set()
        # returns that are all zero would let everything go
        while margin and self._take_one(base, margin, refused):
            pass
        if len(self.removed) == n_exact:
            return None, 0.0
        gain = self._gain_of_all()
        if gain is not None and no_worse_p_value(gain, margin) <= ALPHA:
            return gain, margin
        self.source = exact
        del self.removed[n_exact:]
        return None, 0.0

    def _take_one(self, base: Sequence[float], margin: float, refused: set[str]) -> bool:
        """Take the first removal of rows that passes the screen; whether there was one."""
        least = size_of(self.source).sloc
        found = self._smaller()
        for removal, smaller in found.items():
            if removal.key in refused or size_of(smaller).sloc >= least:
                continue
            if not self._has_steps(_LOSSY_SHARE):
                return False
            refused.add(removal.key)
            self._tell("try removals that change actions")
            if self._passes(smaller, base, margin):
                self.source = smaller
                self.removed.append(Removed(removal.what, removal.line, is_exact=False))
                return True
        return False

    def _passes(self, smaller: PolicySource, base: Sequence[float], margin: float) -> bool:
        """Whether it is not seen to lose, first on a few seeds and then on all of the screen."""
        played: list[float] = []
        for n_seeds in _SCREEN:
            seeds = [recording.seed for recording in self.recorded[len(played) : n_seeds]]
            more = self._returns(smaller, seeds)
            if more is None:
                return False
            played += more
            gain = statistics.fmean(played) - statistics.fmean(base[: len(played)])
            if gain < -margin / 4:
                return False
        return self._is_as_robust(smaller)

    def _gain_of_all(self) -> Gain | None:
        self._tell("compare")
        mine = self._returns(self.source, self._gate)
        theirs = self._returns(self.original, self._gate)
        return paired_gain(mine, theirs) if mine and theirs else None

    def _returns(self, source: PolicySource, seeds: Sequence[int]) -> list[float] | None:
        """Returns on ``seeds``; None if an episode failed."""
        episodes = self._trials.play_apart(source.text, seeds, self._horizon)
        if not all(episode.outcome.is_scored for episode in episodes):
            return None
        return [episode.episode_return for episode in episodes]

    # Both

    def _smaller(self) -> dict[Removal, PolicySource]:
        """The removals that leave a policy, and a smaller one, with what they leave."""
        size, found = size_of(self.source), {}
        for removal in removals(self.source):
            text = without(self.source, [removal])
            if text is not None and size_of(text) < size:
                found[removal] = text
        return found

    def _has_steps(self, share: float) -> bool:
        has_steps = self._trials.purse.share(share)
        self.is_cut = self.is_cut or not has_steps
        return has_steps

    def _tell(self, what: str) -> None:
        purse = self._trials.purse
        self._tell_purse(what, min(1.0, purse.used / purse.n_steps))


def _first_bad(chosen: Sequence[Removal], fails: _Fails) -> Removal:
    """The first that makes those before it and itself fail together, as all of them do."""
    least, most = 1, len(chosen)
    while least < most:
        half = (least + most) // 2
        if fails([chosen[:half]])[0]:
            most = half
        else:
            least = half + 1
    return chosen[least - 1]


class SimplifyOptimizer(Optimizer):
    """Proposes the run's policy in less text; the race asks whether it is no worse."""

    name = "simplify"
    capabilities = Capabilities(one_candidate=True, may_tie=True)

    def __init__(self, tools: Tools) -> None:
        self._tools = tools

    @classmethod
    def create(cls, tools: Tools) -> SimplifyOptimizer:
        """Create the optimizer with the pool and the jail level of the command."""
        return cls(tools)

    def propose(self, request: Request) -> Proposal:
        """Simplify within the purse of a slice.

        Raises:
            ProposalError: Nothing could be removed, or the policy fails as it is.
        """
        trials = trials_of(request, self._tools)

        def tell(what: str, done: float) -> None:
            request.progress(Searching(f"simplify: {what}", done, trials.purse.used, ""))

        found = simplify_policy(request.parent, trials, seeds_of(request.iteration), tell=tell)
        if not found.removed:
            raise ProposalError(f"nothing was found that the policy could do without{cut(found)}")
        return Proposal(
            found.source,
            f"simplify: {lines(found)}",
            reason_for(found, trials.purse.used),
            n_steps=trials.purse.used,
            aim=Aim.NO_WORSE,
        )


def lines(found: Simplified) -> str:
    """Lines before and after."""
    return f"{found.before.sloc} lines of code to {found.after.sloc}"


def cut(found: Simplified) -> str:
    """That there may be more, if the purse was empty."""
    return "; not all was tried within the steps allowed" if found.is_cut else ""


def evidence(found: Simplified) -> list[str]:
    """On what grounds things were removed, in sentences."""
    same = "With the removals that change no action, all" if found.gain else "All"
    sentences = [f"{same} {found.n_actions:,} actions in {found.n_episodes} episodes are the same."]
    if found.gain is not None:
        gain = found.gain
        p_value = no_worse_p_value(gain, found.margin)
        sentences.append(
            f"With all of them the mean return changes by {gain.mean:+.2f} ± "
            f"{gain.standard_error or 0.0:.2f} over {gain.n_pairs} pairs of episodes (one-sided "
            f"p = {p_value:.2g} for a loss of {found.margin:.2f} or more)."
        )
    return sentences


def reason_for(found: Simplified, n_steps: int) -> str:
    """What is gone and on what grounds, in a list and a paragraph."""
    gone = "\n".join(
        f"- {removed.what}{'' if removed.is_exact else ' (judged by its returns)'}"
        for removed in found.removed
    )
    told = " ".join(evidence(found))
    return f"Removed what the policy does without:\n\n{gone}\n\n{told} {n_steps:,} steps played."
