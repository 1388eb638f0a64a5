"""One episode, moment by moment: the same episode that the judge scores on that seed."""

from __future__ import annotations

import hashlib
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass

from gco_agent.envs.atari import open_environment
from gco_agent.envs.extraction import RamState
from gco_agent.envs.objects import Screen
from gco_agent.jail import Jail, JailLevel, JailLimits, PolicyFailure
from gco_agent.observation import Row
from gco_agent.records import EpisodeResult, Outcome, PlayProtocol


@dataclass(frozen=True, slots=True)
class Moment:
    """What there is between two steps, and what the policy makes of it.

    Attributes:
        seed: Of the episode.
        step: Steps played before.
        frame: The screen, 210 x 160 pixels.
        ram: The console's 128 bytes.
        rows: The objects that the policy sees on it.
        lives: Lives left.
        total: Sum of rewards so far.
        action: Name of the action that the policy chooses now; "" at the end.
        action_index: Its index into the minimal action set; -1 at the end.
        result: What the episode came to, at its end.
    """

    seed: int
    step: int
    frame: Screen
    ram: RamState
    rows: Mapping[str, Sequence[Row]]
    lives: int
    total: float
    action: str = ""
    action_index: int = -1
    result: EpisodeResult | None = None


def film(
    source: str,
    protocol: PlayProtocol,
    seed: int,
    *,
    require: JailLevel = JailLevel.NONE,
    limits: JailLimits | None = None,
) -> Generator[Moment, None, None]:
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
    env = open_environment(protocol)
    names = env.action_names
    rows, lives = env.reset_rows(seed)
    total, actions = 0.0, bytearray()
    frame = env.screen

    def at_end(outcome: Outcome, detail: str = "") -> Moment:
        digest = hashlib.sha256(actions).hexdigest()[:16]
        result = EpisodeResult(seed, total, len(actions), outcome, detail, digest)
        return Moment(seed, len(actions), frame, env.ram, rows, lives, total, result=result)

    jail = Jail(source, n_actions=len(names), limits=limits, require=require)
    try:
        jail.start()
        jail.reset(0)
        while True:
            (answer,) = jail.act([(0, lives, rows)])
            if isinstance(answer, PolicyFailure):
                raise answer
            yield Moment(
                seed, len(actions), frame, env.ram, rows, lives, total, names[answer], answer
            )
            rows, lives, reward, terminated, truncated = env.step_rows(answer)
            total += reward
            actions.append(answer)
            frame = env.screen
            if terminated or truncated or len(actions) >= protocol.max_steps:
                yield at_end(Outcome.GAME_OVER if terminated else Outcome.HORIZON)
                return
    except PolicyFailure as failure:
        yield at_end(failure.outcome, failure.detail)
    finally:
        jail.close()
        env.close()
