"""Game-playing policies that improve by rewriting their own code.

The names below load what they need when they are first used, so that importing the package costs
nothing. ``import gco_agent.envs`` makes ``gymnasium.make("gco/Pong-v5")`` work.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gco_agent.api import evaluate
    from gco_agent.core.errors import GcoError
    from gco_agent.core.observation import ObjectBox, Observation
    from gco_agent.core.records import EpisodeResult, Evaluation, Outcome
    from gco_agent.envs.objects import ObjectObservation
    from gco_agent.policy import PolicySource, check_policy, load_policy
    from gco_agent.store.view import read_policy

    __version__: str

__all__ = [
    "EpisodeResult",
    "Evaluation",
    "GcoError",
    "ObjectBox",
    "ObjectObservation",
    "Observation",
    "Outcome",
    "PolicySource",
    "__version__",
    "check_policy",
    "evaluate",
    "load_policy",
    "read_policy",
]

_HOMES = {
    "EpisodeResult": "gco_agent.core.records",
    "Evaluation": "gco_agent.core.records",
    "GcoError": "gco_agent.core.errors",
    "ObjectBox": "gco_agent.core.observation",
    "ObjectObservation": "gco_agent.envs.objects",
    "Observation": "gco_agent.core.observation",
    "Outcome": "gco_agent.core.records",
    "PolicySource": "gco_agent.policy",
    "check_policy": "gco_agent.policy",
    "evaluate": "gco_agent.api",
    "load_policy": "gco_agent.policy",
    "read_policy": "gco_agent.store.view",
}


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
