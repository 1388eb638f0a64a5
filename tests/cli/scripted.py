"""The command line with an optimizer that is known: ``python -m tests.cli.scripted``."""

from __future__ import annotations

import signal

from gco_agent.cli import main
from gco_agent.core.events import Searching
from gco_agent.optimizers import registry
from gco_agent.optimizers.base import Optimizer, Proposal, Request
from gco_agent.policy.source import PolicySource, format_policy

FOLLOW = '''"""Pong: keep the paddle level with the ball.

Environment: gco/Pong-v5
"""


def act(obs):
    if not obs["Ball"] or not obs["Player"]:
        return 0
    gap = obs["Ball"][0].y - obs["Player"][0].y - 6
    return 0 if abs(gap) < 3 else 3 if gap > 0 else 2
'''
IDLE = FOLLOW.replace("keep the paddle level with the ball", "wait").replace("gap > 0", "gap < 0")
RAISES = FOLLOW.replace("gap = obs", "gap = obs.no_such_thing").replace(" - 6", "")
TEXTS = {1: ("follow the [bold]ball[/bold]\x1b[31m", FOLLOW), 2: ("run from it", IDLE)}
_LAST = ("look at what is not there", RAISES)
POLE = '''"""CartPole: push towards the side that the pole leans to.

Environment: CartPole-v1
"""

UPRIGHT = 0.0


def act(obs):
    return int(obs[2] > UPRIGHT)
'''
"""It wins a race in a second, where one in Pong takes twenty, and can be improved still."""
WRONG_WAY = POLE.replace("> UPRIGHT", "< UPRIGHT")


class ScriptedOptimizer(Optimizer):
    """Proposes a better policy, then a worse one, then one that raises."""

    name = "scripted"

    def propose(self, request: Request) -> Proposal:
        request.progress(Searching("think", 0.5, 1234, "follow the [red]ball"))
        summary, text = TEXTS.get(request.iteration, _LAST)
        if request.config.game == "cart_pole":
            text = POLE if request.iteration == 1 else WRONG_WAY
        return Proposal(PolicySource(format_policy(text)), summary, f"Because {summary}.")


def install() -> None:
    """Make the optimizer known by the name "scripted"."""
    registry._BUILT_IN["scripted"] = "tests.cli.scripted:ScriptedOptimizer"


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.default_int_handler)  # may be ignored in the background
    install()
    main(prog_name="gco-agent")
