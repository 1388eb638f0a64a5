"""Game-playing policies that improve by rewriting their own code.

The names below load what they need when they are first used, so that importing the package costs
nothing. ``import gco_agent.envs`` makes ``gymnasium.make("gco/Pong-v5")`` work.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gco_agent.api import (
        Iteration,
        Run,
        compare,
        dashboard,
        evaluate,
        open_run,
        run,
        train_ppo,
        write_report,
    )
    from gco_agent.core.errors import GcoError
    from gco_agent.core.events import Committed, Event, Playing, Racing, Searching
    from gco_agent.core.observation import ObjectBox, Observation
    from gco_agent.core.records import EpisodeResult, Evaluation, Outcome, PlayProtocol
    from gco_agent.core.seeds import Stream
    from gco_agent.envs.environment import make_protocol
    from gco_agent.envs.objects import ObjectObservation
    from gco_agent.games.spec import GameSpec
    from gco_agent.optimizers.base import Capabilities, Optimizer, Proposal, Request
    from gco_agent.policy.contract import check_policy, load_policy
    from gco_agent.policy.source import PolicySource
    from gco_agent.store.view import read_policy

    __version__: str

_NAMES = {
    "gco_agent.api": (
        "Iteration",
        "Run",
        "compare",
        "dashboard",
        "evaluate",
        "open_run",
        "run",
        "train_ppo",
        "write_report",
    ),
    "gco_agent.core.errors": ("GcoError",),
    "gco_agent.core.events": ("Committed", "Event", "Playing", "Racing", "Searching"),
    "gco_agent.core.observation": ("ObjectBox", "Observation"),
    "gco_agent.core.records": ("EpisodeResult", "Evaluation", "Outcome", "PlayProtocol"),
    "gco_agent.core.seeds": ("Stream",),
    "gco_agent.envs.environment": ("make_protocol",),
    "gco_agent.envs.objects": ("ObjectObservation",),
    "gco_agent.games.spec": ("GameSpec",),
    "gco_agent.optimizers.base": ("Capabilities", "Optimizer", "Proposal", "Request"),
    "gco_agent.policy.contract": ("check_policy", "load_policy"),
    "gco_agent.policy.source": ("PolicySource",),
    "gco_agent.store.view": ("read_policy",),
}
_HOMES = {name: module for module, names in _NAMES.items() for name in names}

__all__ = [
    "Capabilities",
    "Committed",
    "EpisodeResult",
    "Evaluation",
    "Event",
    "GameSpec",
    "GcoError",
    "Iteration",
    "ObjectBox",
    "ObjectObservation",
    "Observation",
    "Optimizer",
    "Outcome",
    "PlayProtocol",
    "Playing",
    "PolicySource",
    "Proposal",
    "Racing",
    "Request",
    "Run",
    "Searching",
    "Stream",
    "__version__",
    "check_policy",
    "compare",
    "dashboard",
    "evaluate",
    "load_policy",
    "make_protocol",
    "open_run",
    "read_policy",
    "run",
    "train_ppo",
    "write_report",
]


def __getattr__(name: str) -> object:
    if name == "__version__":
        from importlib.metadata import version

        return version("gco-agent")
    if name in _HOMES:
        from importlib import import_module

        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
