"""The same play in less text: what goes, what stays, and on what grounds."""

from __future__ import annotations

from dataclasses import replace

import pytest

from gco_agent.core.errors import ProposalError
from gco_agent.core.events import Event, Searching
from gco_agent.core.records import Evaluation, PlayProtocol
from gco_agent.core.seeds import trial_seeds
from gco_agent.core.statistics import Aim
from gco_agent.evaluation.workers import WorkerPool
from gco_agent.jail.limits import JailLevel
from gco_agent.optimizers.base import PastIteration, Request, Tools
from gco_agent.optimizers.cma import StepBudget
from gco_agent.optimizers.registry import make_optimizer
from gco_agent.optimizers.simplify import Simplified, simplify_policy
from gco_agent.optimizers.trials import Trials
from gco_agent.policy.source import PolicySource, format_policy
from gco_agent.store.config import RunConfig
from tests.engine.pong_policies import RULES, failing

SHORT = replace(RULES, max_steps=90)
SHORTER = replace(RULES, max_steps=45)
"""Before the first point."""

BLOATED = '''"""Pong: follow the ball.

Environment: gco/Pong-v5
"""

import math

UNUSED = 7
SLACK = 0


class Policy:
    """One instance plays one episode."""

    def __init__(self):
        self.count = 0

    def select_action(self, obs):
        """Go where the ball is."""
        self.count += 1
        if len(obs["Ball"]) > 5:
            # never
            return 1
        if not obs["Ball"] or not obs["Player"]:
            return 0
        gap = obs["Ball"][0].cy - obs["Player"][0].cy + SLACK
        return 2 if gap < 0 else 3

    def act(self, obs):
        """Return the index of the action to play."""
        return self.select_action(obs)
'''
LEAN = '''"""Pong: follow the ball.

Environment: gco/Pong-v5
"""


class Policy:
    """One instance plays one episode."""

    def select_action(self, obs):
        """Go where the ball is."""
        if not obs["Ball"] or not obs["Player"]:
            return 0
        gap = obs["Ball"][0].cy - obs["Player"][0].cy
        return 2 if gap < 0 else 3

    def act(self, obs):
        """Return the index of the action to play."""
        return self.select_action(obs)
'''


def simplified(
    text: str,
    *,
    exact_only: bool = True,
    n_steps: int = 60_000,
    rules: PlayProtocol = SHORT,
) -> Simplified:
    trials = Trials(WorkerPool(0), rules, JailLevel.NONE, StepBudget(n_steps, float("inf")))
    return simplify_policy(PolicySource(text), trials, trial_seeds(1), exact_only=exact_only)


@pytest.fixture(scope="module")
def lean() -> Simplified:
    return simplified(BLOATED, rules=SHORTER)


def test_what_never_runs_or_does_not_matter_goes_and_the_rest_stays(lean: Simplified) -> None:
    assert lean.source.text == LEAN
    assert lean.exact == lean.source
    assert (lean.before.sloc, lean.after.sloc) == (16, 8)
    assert lean.n_actions == 45 * lean.n_episodes
    assert lean.n_episodes == 8
    assert all(removed.is_exact for removed in lean.removed)
    assert "if len(obs" in " ".join(removed.what for removed in lean.removed)


def test_a_guard_that_objects_may_go_missing_stays_though_it_never_ran() -> None:
    # the paddle is there in every step, but for the holes
    text = LEAN.replace(
        'not obs["Ball"] or not obs["Player"]', 'not obs["Player"] or not obs["Ball"]'
    )
    assert 'not obs["Player"]' in simplified(text, rules=SHORTER).source.text


def test_with_little_to_spend_what_is_proved_is_kept_and_the_rest_is_left() -> None:
    found = simplified(BLOATED, n_steps=900)
    assert found.is_cut
    assert found.n_episodes == 2
    assert found.after <= found.before


def test_a_policy_that_fails_is_not_simplified() -> None:
    with pytest.raises(ProposalError, match=r"fails as it is .*step 50"):
        simplified(failing("raise ValueError", 51))


IDLE = '''"""Pong: stand still, and press a button that does nothing now and then."""


class Policy:
    n = 0

    def act(self, obs):
        self.n += 1
        if self.n % 7 == 0:
            return 1
        return 0
'''


def test_what_changes_actions_goes_only_if_nothing_is_lost() -> None:
    exact = simplified(IDLE)
    assert (exact.source.text, exact.removed) == (IDLE, ())
    found = simplified(IDLE, exact_only=False)
    assert found.exact.text == IDLE
    assert "% 7" not in found.source.text
    assert [removed.is_exact for removed in found.removed] == [False] * len(found.removed)
    assert found.kept(with_lossy=False) == ()


def test_returns_that_are_all_zero_say_nothing_of_a_loss() -> None:
    trials = Trials(
        WorkerPool(0), replace(RULES, max_steps=20), JailLevel.NONE, StepBudget(9_000, float("inf"))
    )
    found = simplify_policy(PolicySource(IDLE), trials, trial_seeds(1))
    assert found.source.text == IDLE


# The optimizer


def request(text: str, n_steps: int = 30_000) -> Request:
    config = RunConfig("pong", SHORT, optimizer="simplify", slice_steps=n_steps, slice_seconds=600)
    return Request(
        parent=PolicySource(text),
        evaluation=Evaluation((), SHORT.stamp),
        iteration=1,
        config=config,
        attempts=(),
        recall=lambda name: None,
        deadline=float("inf"),
    )


def test_a_proposal_is_to_be_no_worse_and_says_what_went() -> None:
    events: list[Event] = []
    optimizer = make_optimizer("simplify", Tools(WorkerPool(0)))
    text = LEAN.replace("class Policy", "import math\n\n\nclass Policy")
    proposal = optimizer.propose(replace(request(text), progress=events.append))
    assert proposal.aim is Aim.NO_WORSE
    assert proposal.summary.startswith("simplify: 9 lines of code to 8")
    assert "- import math\n" in proposal.reason
    assert "actions in" in proposal.reason
    assert proposal.source.text == format_policy(proposal.source.text)
    assert proposal.n_steps > 0
    assert any(
        isinstance(event, Searching) and event.activity == "simplify: prove removals"
        for event in events
    )


def test_after_a_lost_race_only_exact_removals_are_proposed() -> None:
    optimizer = make_optimizer("simplify", Tools(WorkerPool(0)))
    asked = request(IDLE, 60_000)
    assert "changes actions" in optimizer.propose(asked).reason
    lost = PastIteration(1, "rejected", "simplify", -1.0, "simplify")
    with pytest.raises(ProposalError, match="could do without"):
        optimizer.propose(replace(asked, attempts=[lost]))


def test_nothing_to_remove_is_no_proposal() -> None:
    smallest = "def act(obs):\n    return 0\n"
    optimizer = make_optimizer("simplify", Tools(WorkerPool(0)))
    with pytest.raises(ProposalError, match="nothing was found that the policy could do without"):
        optimizer.propose(request(smallest, 1_000))
