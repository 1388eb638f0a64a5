"""Small policies and observations for the tests of the jail."""

from __future__ import annotations

from gco_agent.core.observation import Row
from gco_agent.jail import Jail, ObjectRows, PolicyFailure

BALL: Row = (70, 80, 2, 4, 1, -1, None, (236, 236, 236), None)
ROWS: dict[str, list[Row]] = {
    "Ball": [BALL],
    "Player": [(140, 100, 4, 16, 0, 2, None, (92, 186, 92), None)],
    "PlayerScore": [(36, 1, 12, 20, 0, 0, 3, None, "left")],
}
STILL = "def act(obs):\n    return 0\n"
COUNTING = """
class Policy:
    def __init__(self):
        self.n = 0

    def act(self, obs):
        self.n += 1
        return self.n
"""


def policy(body: str, imports: str = "") -> str:
    """A policy whose ``act`` is ``body``."""
    lines = "\n".join("        " + line for line in body.strip().split("\n"))
    return f"{imports}\n\nclass Policy:\n    def act(self, obs):\n{lines}\n"


def answer(source: str, *, lives: int = 3, n_actions: int = 6) -> int | PolicyFailure:
    """What a policy does in its first step."""
    with Jail(source, n_actions=n_actions) as jail:
        jail.reset(0, 0)
        [action] = jail.act([(0, ObjectRows(ROWS, lives))])
    assert isinstance(action, int | PolicyFailure)
    return action
