"""The games whose objects are read from RAM by hand; see `base`."""

from __future__ import annotations

from gco_agent.envs.readers.asterix import AsterixReader
from gco_agent.envs.readers.base import Reader
from gco_agent.envs.readers.breakout import BreakoutReader
from gco_agent.envs.readers.freeway import FreewayReader
from gco_agent.envs.readers.pong import PongReader
from gco_agent.envs.readers.qbert import QbertReader
from gco_agent.envs.readers.seaquest import SeaquestReader
from gco_agent.envs.readers.space_invaders import SpaceInvadersReader

READERS: dict[str, type[Reader]] = {
    reader.MODULE: reader
    for reader in (
        AsterixReader,
        BreakoutReader,
        FreewayReader,
        PongReader,
        QbertReader,
        SeaquestReader,
        SpaceInvadersReader,
    )
}
"""By the name of OCAtari's module."""
