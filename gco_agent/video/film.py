"""One episode, moment by moment: the same episode that the judge scores on that seed."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from gco_agent.envs.atari import open_environment
from gco_agent.jail import Jail, JailLevel, JailLimits, PolicyFailure
from gco_agent.observation import Row
from gco_agent.records import EpisodeResult, Outcome, PlayProtocol

Frame = npt.NDArray[np.uint8]
"""A picture, shape (height, width, 3), red green blue."""


@dataclass(frozen=True, slots=True)
class Moment:
    """What there is between two steps, and what the policy makes of it.

    Attributes:
        seed: Of the episode.
        step: Steps played before.
        frame: The screen, 210 x 160 pixels.
        rows: The objects that the policy sees on it.
        lives: Lives left.
        total: Sum of rewards so far.
        action: Name of the action that the policy chooses now; "" at the end.
        result: What the episode came to, at its end.
    """

    seed: int
    step: int
    frame: Frame
    rows: Mapping[str, Sequence[Row]]
    lives: int
    total: float
    action: str = ""
    result: EpisodeResult | None = None


def film(
    source: str,
    protocol: PlayProtocol,
    seed: int,
    *,
    require: JailLevel = JailLevel.NONE,
    limits: JailLimits | None = None,
) -> Iterator[Moment]:
    """Play an episode and yield each moment of it; the last has the result.

    The result equals what `gco_agent.rollout.play_episodes` gives, digest of the actions included.

    Args:
        source: The policy's text. It never runs in this process.
        protocol: The rules of play.
        seed: For the environment.
        require: The jail must be at least this good.
        limits: What the policy may use.

    Raises:
        JailError: The jail cannot be built, or not as good as required.
    """
    env = open_environment(protocol, render_mode="rgb_array")
    names = env.action_names
    rows, lives = env.reset_rows(seed)
    total, actions = 0.0, bytearray()
    frame: Frame = env.render()

    def at_end(outcome: Outcome, detail: str = "") -> Moment:
        digest = hashlib.sha256(actions).hexdigest()[:16]
        result = EpisodeResult(seed, total, len(actions), outcome, detail, digest)
        return Moment(seed, len(actions), frame, rows, lives, total, result=result)

    jail = Jail(source, n_actions=len(names), limits=limits, require=require)
    try:
        jail.start()
        jail.reset(0)
        while True:
            (answer,) = jail.act([(0, lives, rows)])
            if isinstance(answer, PolicyFailure):
                raise answer
            yield Moment(seed, len(actions), frame, rows, lives, total, names[answer])
            rows, lives, reward, terminated, truncated = env.step_rows(answer)
            total += reward
            actions.append(answer)
            frame = env.render()
            if terminated or truncated or len(actions) >= protocol.max_steps:
                yield at_end(Outcome.GAME_OVER if terminated else Outcome.HORIZON)
                return
    except PolicyFailure as failure:
        yield at_end(failure.outcome, failure.detail)
    finally:
        jail.close()
        env.close()
