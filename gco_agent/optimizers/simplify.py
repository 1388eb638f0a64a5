"""The optimizer that proposes the run's policy in less text."""

from __future__ import annotations

from gco_agent.errors import ProposalError
from gco_agent.optimizers.base import Proposal, Request, Tools
from gco_agent.optimizers.simplifier import Simplified, simplify_policy
from gco_agent.optimizers.trials import seeds_of, trials_of
from gco_agent.progress import Searching
from gco_agent.statistics import Aim, no_worse_p_value


class SimplifyOptimizer:
    """Proposes the run's policy in less text; the race asks whether it is no worse."""

    name = "simplify"
    one_candidate = True

    def __init__(self, tools: Tools) -> None:
        self._tools = tools

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


def make(tools: Tools) -> SimplifyOptimizer:
    """The optimizer, for the registry."""
    return SimplifyOptimizer(tools)
