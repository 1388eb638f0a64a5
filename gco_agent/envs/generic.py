"""What goes wrong in code of the user's own, told by its file and line instead of a traceback."""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import sys
import traceback
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any, NoReturn

import gymnasium
import numpy as np
import numpy.typing as npt
from gymnasium import spaces
from gymnasium.error import DependencyNotInstalled
from gymnasium.error import Error as GymnasiumError

from gco_agent.core.errors import GcoError, UsageError


def import_users(name: str) -> ModuleType:
    """The module called ``name``, imported.

    Raises:
        UsageError: There is none, or something in it fails, in whatever way.
    """
    try:
        with told_by_line():
            return importlib.import_module(name)
    except GcoError:
        raise
    except Exception as error:  # a ValueError if the name is empty
        raise UsageError(f"the module {name} cannot be imported: {error}") from error


def require_own_name(path: Path) -> None:
    """See that importing the name of the file ``path`` gives that file.

    Raises:
        UsageError: Another module has the name, or no module can have it.
    """
    name = path.stem
    if "." in name:
        raise UsageError(f"{path.name} cannot be imported with a dot in its name: rename the file")
    known = sys.modules.get(name)
    found = getattr(known, "__spec__", None) if known else importlib.util.find_spec(name)
    where = getattr(known, "__file__", None) or (found.origin if found else None)
    if where is None or not Path(where).is_file() or not path.samefile(where):
        whose = f" ({where})" if where else ""
        raise UsageError(
            f"the name {name} is taken by another Python module{whose}, so {path.name} cannot be "
            "imported: rename the file"
        )


@contextlib.contextmanager
def told_by_line() -> Iterator[None]:
    """Around code of the user's own; raises as `tell_by_line`."""
    try:
        yield
    except BaseException as error:  # noqa: BLE001 - raised again, one way or the other
        tell_by_line(error)


def tell_by_line(error: BaseException) -> NoReturn:
    """Raise what was raised in code of the user's own as a message with the line at fault.

    What no line of theirs is at fault for is raised as it is: that a module is not there, for one.

    Raises:
        UsageError: A line is at fault.
    """
    if isinstance(error, GcoError | KeyboardInterrupt | GeneratorExit):
        raise error
    if isinstance(error, SyntaxError):
        where = f"{Path(error.filename or '?').name}, line {error.lineno}"
        raise UsageError(f"{where}: {error.msg}") from error
    where = _line_at_fault(error)
    if not where:
        raise error
    # of SystemExit, too, which would end the command without a word
    raise UsageError(f"{where}: {type(error).__name__}: {error}") from error


def _line_at_fault(error: BaseException) -> str:
    """The last line that is neither Python's, nor a package's, nor ours: "g.py, line 3"."""
    ours = str(Path(__file__).parents[1])
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        is_installed = "site-packages" in frame.filename or "dist-packages" in frame.filename
        is_pythons = frame.filename.startswith(("<", sys.base_prefix + "/lib/python"))
        if not is_installed and not is_pythons and not frame.filename.startswith(ours):
            return f"{Path(frame.filename).name}, line {frame.lineno}"
    return ""


Action = int | tuple[float, ...]

EXTRAS = {"box2d": ("box2d", "swig"), "mujoco": ("mujoco",), "minigrid": ("minigrid", "babyai")}
"""Extra of this package to words that tell it is missing."""
_REGISTERING = {"minigrid": ("MiniGrid", "BabyAI")}
"""Module whose import makes ids known to Gymnasium to how these begin."""
_PICTURES = "rgb_array"
_MOST_NUMBERS = 4_096


class PlainEnvironment:
    """One environment; a seed decides an episode.

    Args:
        env_id: A Gymnasium id, or ``module:id``.
        is_seen: Whether `picture` is wanted.

    Attributes:
        n_actions: Size of the action space; 0 where actions are numbers.
        n_floats: Numbers in an action; 0 where it is an integer.
        max_steps: Steps after which Gymnasium cuts an episode; None if it never does.
        reward_threshold: Mean return from which it counts as solved; None if nobody says.

    Raises:
        UsageError: It is not known, cannot be made, or has other spaces than a policy can use.
    """

    def __init__(self, env_id: str, *, is_seen: bool = False) -> None:
        self._env, self._env_id = _make(env_id, _PICTURES if is_seen else None), env_id
        space = self._env.action_space
        self.n_actions = self.n_floats = 0
        self._first = 0
        if isinstance(space, spaces.Discrete):
            self.n_actions, self._first = int(space.n), int(space.start)
        elif isinstance(space, spaces.Box) and len(space.shape) == 1:
            self.n_floats = int(space.shape[0])
        else:
            raise UsageError(
                f"{env_id} has the action space {space}; a policy plays one integer (Discrete) or "
                "a list of numbers (a Box of one dimension)"
            )
        self._space = space
        known = self._env.spec
        self.max_steps: int | None = known.max_episode_steps if known else None
        self.reward_threshold: float | None = known.reward_threshold if known else None

    @property
    def n_numbers(self) -> int:
        """Numbers in an observation, flattened; 0 if it has none or too many to name."""
        return _count(self._env.observation_space)

    @property
    def observation_space(self) -> gymnasium.Space[Any]:
        """As Gymnasium has it."""
        return self._env.observation_space

    @property
    def bounds(self) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """Least and largest value of each number of an action; empty where it is an integer."""
        if not isinstance(self._space, spaces.Box):
            return (), ()
        return tuple(self._space.low.tolist()), tuple(self._space.high.tolist())

    def reset(self, seed: int) -> object:
        """Start the episode that ``seed`` decides; the first observation."""
        with told_by_line():
            obs, _ = self._env.reset(seed=seed)
        return _plain(obs)

    def step(self, action: Action) -> tuple[object, float, bool, bool]:
        """Play one step: observation, reward, terminated, truncated.

        Raises:
            UsageError: Code of the user's own fails.
        """
        given: Any = action
        if isinstance(action, tuple):
            given = np.array(action, dtype=self._space.dtype)
        elif self._first:
            given = action + self._first
        try:
            obs, reward, terminated, truncated, _ = self._env.step(given)
        except Exception as error:  # noqa: BLE001 - raised again; a context would cost each step
            tell_by_line(error)
        return _plain(obs), float(reward), bool(terminated), bool(truncated)

    def complaint(self, action: Action) -> str:
        """Why ``action`` is none of this environment; "" if it is one."""
        if not isinstance(action, tuple) or not isinstance(self._space, spaces.Box):
            return ""
        given = np.array(action, dtype=self._space.dtype)
        for index in np.flatnonzero((given < self._space.low) | (given > self._space.high)):
            low, high = self._space.low[index], self._space.high[index]
            return (
                f"act returned {action[index]:g} as number {index} of the action; it has to be "
                f"from {low:g} to {high:g}"
            )
        return ""

    def picture(self) -> npt.NDArray[np.uint8]:
        """What it shows now, in colour; only if it was made to be seen.

        Raises:
            UsageError: It draws no pictures.
        """
        shown: Any = self._env.render()
        dimensions = 3
        if not isinstance(shown, np.ndarray) or shown.ndim != dimensions:
            raise UsageError(f"{self._env_id} draws no pictures, so it cannot be seen")
        return shown.astype(np.uint8)

    def close(self) -> None:
        """Let go of it."""
        self._env.close()


def _make(env_id: str, render_mode: str | None = None) -> gymnasium.Env[Any, Any]:
    register_for(env_id)
    options: dict[str, Any] = {} if render_mode is None else {"render_mode": render_mode}
    try:
        with told_by_line():
            return gymnasium.make(env_id, disable_env_checker=True, **options)
    except TypeError as error:
        if render_mode is None:
            raise
        raise UsageError(f"{env_id} draws no pictures, so it cannot be seen: {error}") from error
    except DependencyNotInstalled as error:
        raise UsageError(_what_is_missing(env_id, str(error))) from error
    except (GymnasiumError, ImportError) as error:
        raise UsageError(f"{env_id} cannot be made: {error}") from error


def register_for(env_id: str) -> None:
    """Import what makes ``env_id`` known to Gymnasium, where that is not Gymnasium itself.

    Raises:
        UsageError: It is not installed.
    """
    for module, beginnings in _REGISTERING.items():
        if env_id.startswith(beginnings):
            if importlib.util.find_spec(module) is None:
                raise UsageError(_what_is_missing(env_id, module))
            importlib.import_module(module)


def _what_is_missing(env_id: str, words: str) -> str:
    for extra, signs in EXTRAS.items():
        if any(sign in words.lower() for sign in signs):
            return f"{env_id} needs a library: pip install 'gco-agent[{extra}]'"
    return f"{env_id} needs a library that is not installed: {words}"


def _count(space: gymnasium.Space[Any]) -> int:
    if isinstance(space, spaces.Discrete):
        return 1
    if isinstance(space, spaces.Box | spaces.MultiBinary | spaces.MultiDiscrete):
        return int(np.prod(space.shape or (1,)))
    if isinstance(space, spaces.Dict):
        total = sum(_count(part) for part in space.spaces.values())
        return total if total <= _MOST_NUMBERS else 0
    return 0


def _plain(obs: object) -> object:
    """An observation as it crosses to the policy: arrays stay, what holds arrays gets lists."""
    if isinstance(obs, np.ndarray):
        return obs
    return _listed(obs)


def _listed(obs: Any) -> object:  # noqa: ANN401 - whatever an environment gives
    if isinstance(obs, np.ndarray | np.generic):
        return obs.tolist()
    if isinstance(obs, dict):
        return {str(key): _listed(value) for key, value in obs.items()}
    if isinstance(obs, tuple | list):
        return tuple(_listed(value) for value in obs)
    return obs
