"""Environments. Importing this package registers ``gco/<Game>-v5`` with Gymnasium."""

from __future__ import annotations

import gymnasium

from gco_agent.games.registry import every_game


def register() -> None:
    """Make every game of `gco_agent.games` known to ``gymnasium.make``; harmless when repeated."""
    for spec in every_game().values():
        if spec.env_id not in gymnasium.registry:
            gymnasium.register(
                id=spec.env_id,
                entry_point="gco_agent.envs.objects:make_object_env",
                kwargs={"game": spec.name},
            )


register()
