"""Baselines: PPO of stable-baselines3 on a game's rules, and what was measured of simple methods.

A network is not a policy file, so PPO makes no run. Its result is one JSON file on a branch
``gco-baseline/<game>/<name>``. The only module that imports stable_baselines3 and torch, lazily.
"""

from __future__ import annotations

import contextlib
import itertools
import math
import statistics
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from gco_agent.core.codec import dumps, loads
from gco_agent.core.errors import GcoError, StoreError, UsageError
from gco_agent.core.events import Playing, Progress, Searching
from gco_agent.core.records import PlayProtocol, Verdict
from gco_agent.core.seeds import HIGHEST_SEED, MOST_EPISODES, STREAM_LENGTH, Stream
from gco_agent.core.text import format_score
from gco_agent.envs.learning import make_learning_env
from gco_agent.games.spec import Score
from gco_agent.store.entries import RunRef
from gco_agent.store.evidence import is_signed, sign
from gco_agent.store.run import Runs
from gco_agent.store.view import RunView, frames_of

if TYPE_CHECKING:
    from stable_baselines3 import PPO
    from stable_baselines3.common.vec_env import VecEnv

    from gco_agent.store.git import GitRepo

_SCHEMA = 1
_FILE = "baseline.json"
_PREFIX = "refs/heads/gco-baseline/"
_METHODS = ("best-of-n", "random-search")
"""Optimizers whose runs are baselines."""
_STACKED, _PIXEL_ENVS = 4, 8
_PIXELS: dict[str, Any] = {
    "n_steps": 128, "batch_size": 256, "n_epochs": 4, "ent_coef": 0.01, "vf_coef": 0.5,
    "learning_rate": lambda left: 2.5e-4 * left, "clip_range": lambda left: 0.1 * left,
}  # fmt: skip
"""Of RL Baselines3 Zoo for Atari games; for vectors, the defaults of stable-baselines3."""
_VECTOR_STEPS = 2_048
_MOST_FRAMES = 10**10
_SAID = {
    True: (" here", "as this run's report: same rules, same report seeds"),
    False: ("", "as its branch says: this machine did not sign it"),
}
"""Where a score was measured, and how, by whether its commit is signed."""
_SHOWN_EVERY = 64
_MOST_POINTS = 200


@dataclass(frozen=True, slots=True)
class Baseline:
    """A measured baseline.

    Attributes:
        seed: Seed of its networks and their random choices.
        returns: Of whole games on the first report seeds.
        curve: Frames, and the mean return of the last 100 episodes of training by then.
    """

    game: str
    name: str
    method: str
    seed: int
    protocol: str
    frames: int
    returns: tuple[float, ...]
    curve: tuple[tuple[int, float], ...]
    versions: tuple[tuple[str, str], ...]
    seconds: float
    schema: int = _SCHEMA

    @property
    def branch(self) -> str:
        """Branch that holds it."""
        return _branch(self.game, self.name)

    @property
    def mean_return(self) -> float:
        """Mean return on report seeds."""
        return statistics.fmean(self.returns)

    @property
    def standard_error(self) -> float | None:
        """Standard error of that mean; None for one episode."""
        n = len(self.returns)
        return statistics.stdev(self.returns) / math.sqrt(n) if n > 1 else None


def _branch(game: str, name: str) -> str:
    return f"gco-baseline/{game}/{name}"


def list_baselines(repo: GitRepo) -> list[Baseline]:
    """Return the baselines of a repository that have no run."""
    return [_read(repo, ref) for ref in sorted(repo.refs(_PREFIX))]


def _read(repo: GitRepo, ref: str) -> Baseline:
    branch = ref.removeprefix("refs/heads/")
    text = repo.read_file(ref, _FILE)
    found = loads(Baseline, text or b"", f"{_FILE} of {branch}")
    is_sound = found.branch == branch and found.schema == _SCHEMA
    if not is_sound or not 0 < len(found.returns) <= MOST_EPISODES or len(found.curve) > 10**4:
        raise StoreError(f"{branch} is not a baseline that this version reads: delete the branch")
    RunRef(found.game, found.name)
    return found


def measured_here(view: RunView, protocol: str) -> Iterator[Score]:
    """Yield the scores of a repository's baselines that play the game of a run by its rules.

    Unreadable ones are left out. Scores of branches that this machine did not sign are marked as
    such.
    """
    runs = Runs(view.repo)
    with contextlib.suppress(GcoError):
        for each in list_baselines(view.repo):
            if (each.game, each.protocol) == (view.ref.game, protocol):
                [commit] = view.repo.commits("--no-walk", f"refs/heads/{each.branch}")
                is_own = is_signed(commit.message, (), view.repo.read_file(commit.id, _FILE))
                where, how = _SAID[is_own]
                label = f"{each.name}{where}, {each.frames:,} frames, seed {each.seed}"
                yield Score(label, each.mean_return, each.branch, how)
    for ref in runs.list():
        if ref.game == view.ref.game and ref != view.ref:
            with contextlib.suppress(GcoError):
                other = runs.view(ref)
                config, facts = other.config(), other.standing.facts
                is_reported = facts is not None and facts.verdict is Verdict.REPORTED
                if config.optimizer not in _METHODS or not is_reported:
                    continue
                if facts and facts.return_mean is not None and facts.protocol == protocol:
                    used = f"{frames_of(other.history()):,} frames, seed {config.seed}"
                    where, how = _SAID[other.is_signed(other.standing)]
                    label = f"{ref.run_id}{where}, {used}"
                    yield Score(label, facts.return_mean, ref.branch, how)


def save_baseline(repo: GitRepo, baseline: Baseline) -> str:
    """Commit a baseline on its own branch, and return the commit's id."""
    score = format_score(baseline.mean_return, baseline.standard_error)
    n = len(baseline.returns)
    message = (
        f"{baseline.game}, {baseline.method}: mean return {score}\n\n"
        f"{n} episodes on report seeds, after {baseline.frames:,} frames.\n"
    )
    content = dumps(baseline, indent=1).encode()
    commit = repo.write_commit([], None, {_FILE: content}, sign(message, (), content))
    ref = f"refs/heads/{baseline.branch}"
    repo.move_ref(ref, commit, expected=None, reason="gco-agent baseline")
    return commit


# -- PPO -------------------------------------------------------------------------------------------


def require_ppo(repo: GitRepo, game: str, name: str) -> None:
    """Check that PPO can be trained, and its result stored under this name."""
    repo.require_identity()
    ref = RunRef(game, name)  # which refuses what names no branch
    branch = _branch(ref.game, ref.run_id)
    if repo.ref(f"refs/heads/{branch}") is not None:
        raise UsageError(
            f"there is a baseline {branch} already: choose another --name, or delete it with "
            f"`git branch -D {branch}`"
        )
    import stable_baselines3  # noqa: F401


def train_ppo(
    rules: PlayProtocol, frames: int, seed: int, episodes: int, progress: Progress
) -> tuple[int, list[float], list[tuple[int, float]]]:
    """Train PPO on feedback seeds, and play report seeds with it.

    An Atari game is seen as 84 x 84 grey pixels, four pictures at a time, and rewards are clipped
    to their sign while it learns. Other environments are seen as vectors.

    Args:
        frames: Frames to learn from at most; whole rollouts are played.

    Returns:
        The frames that were used, the returns, and the learning curve.
    """
    import torch
    from stable_baselines3 import PPO

    n_envs = _PIXEL_ENVS if rules.has_objects else 1
    rollout = n_envs * (_PIXELS["n_steps"] if rules.has_objects else _VECTOR_STEPS)
    least = rollout * rules.frame_skip
    if not least <= frames <= _MOST_FRAMES:
        raise UsageError(f"PPO learns from {least:,} to {_MOST_FRAMES:,} frames, not {frames:,}")
    n_steps = frames // least * rollout
    seeds = [
        itertools.cycle(
            range(Stream.FEEDBACK.value + i, Stream.FEEDBACK.value + STREAM_LENGTH, n_envs)
        )
        for i in range(n_envs)
    ]
    env = _vector_env(rules, seeds, is_training=True)
    kind, settings = ("CnnPolicy", _PIXELS) if rules.has_objects else ("MlpPolicy", {})
    model = PPO(kind, env, seed=seed % HIGHEST_SEED, device="cpu", **settings)
    curve: list[tuple[int, float]] = []
    every = max(1, n_steps // rollout // _MOST_POINTS)

    def told(*_: object) -> bool:
        done, recent = model.num_timesteps, [e["r"] for e in model.ep_info_buffer or ()]
        if model.num_timesteps // n_envs % _SHOWN_EVERY == 0:
            best = f"mean return {statistics.fmean(recent):.4g}" if recent else ""
            progress(Searching("train PPO", done / n_steps, done, best))
        if recent and done % (every * rollout) == 0:
            curve.append((done * rules.frame_skip, statistics.fmean(recent)))
        return True

    n_threads = torch.get_num_threads()
    if not rules.has_objects:
        torch.set_num_threads(1)  # faster for networks this small
    try:
        with contextlib.closing(env):
            model.learn(n_steps, callback=told)
    finally:
        torch.set_num_threads(n_threads)
    return n_steps * rules.frame_skip, _play(model, rules, episodes, progress), curve


def _vector_env(
    rules: PlayProtocol, seeds: Sequence[Iterator[int]], *, is_training: bool = False
) -> VecEnv:
    from stable_baselines3.common.atari_wrappers import ClipRewardEnv
    from stable_baselines3.common.monitor import Monitor
    from stable_baselines3.common.vec_env import DummyVecEnv, VecFrameStack

    def make(mine: Iterator[int]) -> Any:  # noqa: ANN401 - an environment
        env: Any = Monitor(make_learning_env(rules, mine))
        return ClipRewardEnv(env) if is_training and rules.has_objects else env

    env = DummyVecEnv([partial(make, mine) for mine in seeds])
    return VecFrameStack(env, _STACKED) if rules.has_objects else env


def _play(model: PPO, rules: PlayProtocol, episodes: int, progress: Progress) -> list[float]:
    """Play whole games on report seeds; actions are drawn in Atari games, as is usual."""
    import torch

    seeds = Stream.REPORT.seeds(0, episodes)
    returns: list[float] = []
    total, n_steps = 0.0, 0
    env = _vector_env(rules, [itertools.chain(seeds, itertools.repeat(seeds[0]))])
    with contextlib.closing(env):
        seen: Any = env.reset()
        torch.manual_seed(seeds[0])
        while len(returns) < episodes:
            action, _ = model.predict(seen, deterministic=not rules.has_objects)
            seen, rewards, dones, _ = env.step(action)
            total, n_steps = total + float(rewards[0]), n_steps + 1
            if dones[0]:
                returns.append(total)
                total = 0.0
                torch.manual_seed(seeds[len(returns) % episodes])
                progress(Playing("report seeds", len(returns), episodes, n_steps))
    return returns


def measure_ppo(  # noqa: PLR0913 - what is stored of it
    repo: GitRepo, game: str, name: str, rules: PlayProtocol, *, frames: int, seed: int,
    episodes: int, progress: Progress,
) -> tuple[Baseline, str]:  # fmt: skip
    """Train and score PPO, and store the result; return it and its commit."""
    require_ppo(repo, game, name)
    begun = time.perf_counter()
    used, returns, curve = train_ppo(rules, frames, seed, episodes, progress)
    baseline = Baseline(
        game, name, "ppo", seed, rules.stamp, used, tuple(returns), tuple(curve),
        tuple((each, version(each)) for each in ("stable-baselines3", "torch")),
        round(time.perf_counter() - begun, 1),
    )  # fmt: skip
    return baseline, save_baseline(repo, baseline)
