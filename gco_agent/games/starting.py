"""The policy to start from where nobody wrote one: it acts at random."""

from __future__ import annotations

from collections.abc import Sequence

_LARGEST = 1.0e3
"""Bound that is used where an action has none."""


def random_policy(
    title: str, env_id: str, n_actions: int, low: Sequence[float] = (), high: Sequence[float] = ()
) -> str:
    """Text of a policy that draws its actions, and keeps the contract.

    Args:
        title: As people write it.
        env_id: For the docstring.
        n_actions: How many actions there are; 0 where an action is made of numbers.
        low: Least value of each of these.
        high: Largest value.
    """
    lines = [f'"""{title}: act at random.', "", f"Environment: {env_id}", '"""', ""]
    lines += ["import random", ""]
    if n_actions:
        lines.append(f"N_ACTIONS = {n_actions}")
        choice, kind = "random.randrange(N_ACTIONS)", "the index of the action"
    else:
        lines += [f"LOW = {[_finite(x) for x in low]}", f"HIGH = {[_finite(x) for x in high]}"]
        choice = "[random.uniform(low, high) for low, high in zip(LOW, HIGH)]"
        kind = "the numbers of the action"
    lines += ["", "", "class Policy:", '    """One instance plays one episode."""', ""]
    lines += ["    def select_action(self, obs):", '        """The action for obs."""']
    lines += [f"        return {choice}", "", "    def act(self, obs):"]
    lines += [f'        """Return {kind} to play."""', "        return self.select_action(obs)", ""]
    return "\n".join(lines)


def _finite(bound: float) -> float:
    """A bound that numbers can be drawn up to, to seven digits as float32 holds them."""
    return float(f"{max(-_LARGEST, min(_LARGEST, bound)):.7g}")
