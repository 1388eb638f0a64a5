"""Which earlier policy a simpler one is held to.

Each simpler policy may lose a margin against what it is compared with. Were that always its parent,
a row of them could lose the margin again and again. So a row is held to where it began: to the last
policy that had to show a gain, or that nothing was asked of.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

from gco_agent.core.statistics import Aim
from gco_agent.evaluation.judge import AcceptanceCriterion
from gco_agent.loop import proposals as tries
from gco_agent.loop.proposals import ProposalRecord
from gco_agent.policy import PolicySource
from gco_agent.store.entries import Verdict
from gco_agent.store.view import RunView, Step


def acceptance_criterion(run: RunView, asked: Sequence[ProposalRecord]) -> AcceptanceCriterion:
    """The terms for the candidates of one iteration, which share the chance of a mistake."""
    rivals = [each.proposal for each in asked if each.proposal is not None and not each.error]
    is_simpler = any(proposal.aim is Aim.NO_WORSE for proposal in rivals)
    anchor = baseline_policy(run) if is_simpler else None
    return AcceptanceCriterion(n_rivals=max(1, len(rivals)), anchor=anchor)


def baseline_policy(run: RunView) -> PolicySource | None:
    """The policy that the run's next must be no worse than; None if that is its present one."""
    line = [step for step in run.history() if step.verdict is None or step.verdict.is_kept]
    place = here = len(line) - 1
    while place > 0:
        step = line[place]
        if _changed_nothing(run, step) or _had_only_to_be_no_worse(run, step):
            place -= 1
        elif step.verdict is Verdict.ROLLED_BACK:
            text = run.policy(step.commit)
            twins = [n for n in range(place) if run.policy(line[n].commit) == text]
            if not twins:
                break
            place = twins[-1]
        else:
            break
    source = PolicySource(run.policy(line[place].commit))
    return None if place == here or source.text == run.policy() else source


def _changed_nothing(run: RunView, step: Step) -> bool:
    """A report changes the docstring alone; a commit made by hand may be of something else."""
    if step.verdict is None:
        return run.policy(step.commit) == run.policy(step.parents[0])
    return step.verdict is Verdict.REPORTED


def _had_only_to_be_no_worse(run: RunView, step: Step) -> bool:
    text = run.evidence(step, tries.FILE) if step.verdict is Verdict.ACCEPTED else None
    try:
        return text is not None and json.loads(text)["aim"] == Aim.NO_WORSE.name
    except (ValueError, KeyError, TypeError):
        return False  # a record that cannot be read says nothing of it
