"""Any Gymnasium environment as policies play it, and errors in the user's own code.

What a user's code prints goes to stderr: stdout is for results.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import math
import os
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

from gco_agent.core.errors import GcoError, UsageError, how_to_install

Action = int | tuple[float, ...]

EXTRAS = {"box2d": ("box2d", "swig"), "mujoco": ("mujoco",), "minigrid": ("minigrid", "babyai")}
"""Extra of this package to the words by which a missing library is recognized."""
_REGISTERING = {"minigrid": ("MiniGrid", "BabyAI")}
"""Module that registers the ids with these prefixes."""
_MOST_NUMBERS = 4_096
_PICTURE_DIMENSIONS = 3
_HUGE = 1e30
_RETURNS = {
    "reset": (
        "has to return two values, the observation and a dict (info); that is Gymnasium's "
        "interface since 0.26"
    ),
    "step": (
        "has to return five values: observation, reward, terminated, truncated, info; "
        "the `done` of older versions is `terminated`, and `truncated` if a time limit ended it"
    ),
}


class GymnasiumEnvironment:
    """Play a Gymnasium environment; see `gco_agent.envs.environment.Environment`.

    Attributes:
        reward_threshold: Mean return from which it counts as solved, or None.
    """

    has_objects = False

    def __init__(self, env_id: str, *, is_seen: bool = False) -> None:
        self._env, self._env_id = _make(env_id, "rgb_array" if is_seen else None), env_id
        self._obs: object = None
        try:
            self._read_spaces()
        except BaseException:
            self.close()
            raise

    def _read_spaces(self) -> None:
        space = self._space = self._env.action_space
        self.n_actions = self.n_floats = self._first = 0
        if isinstance(space, spaces.Discrete):
            self.n_actions, self._first = int(space.n), int(space.start)
        elif isinstance(space, spaces.Box) and len(space.shape) == 1:
            self.n_floats = int(space.shape[0])
        else:
            raise UsageError(
                f"{self._env_id} has the action space {space}; a policy plays one integer "
                "(Discrete) or a list of numbers (a Box of one dimension)"
            )
        if isinstance(self.observation_space, spaces.Text):
            raise UsageError(f"{self._env_id} has text as observations; policies play by numbers")
        self.bounds = (
            (tuple(space.low.tolist()), tuple(space.high.tolist()))
            if isinstance(space, spaces.Box)
            else ((), ())
        )
        known = self._env.spec
        self.max_steps: int | None = known.max_episode_steps if known else None
        self.reward_threshold: float | None = known.reward_threshold if known else None

    @property
    def action_names(self) -> tuple[str, ...]:
        """The indices of the actions; Gymnasium has no names."""
        return tuple(map(str, range(self.n_actions)))

    @property
    def n_numbers(self) -> int:
        """Numbers in an observation, flattened; 0 if it has none or too many to name."""
        return _count(self.observation_space)

    @property
    def observation_space(self) -> gymnasium.Space[Any]:
        """Gymnasium's space of the observations."""
        return self._env.observation_space

    @property
    def raw_observation(self) -> object:
        """The observation as the environment returned it."""
        return self._obs

    def begin(self, seed: int) -> tuple[object, int]:
        """Start an episode; return the first observation, and 0 lives."""
        try:
            with stdout_to_stderr():
                returned: Any = self._env.reset(seed=seed)
            obs, info = returned
            if not isinstance(returned, tuple) or not isinstance(info, dict):
                raise TypeError("reset returned no info")  # noqa: TRY301 - explained below
        except BaseException as error:  # noqa: BLE001 - explained and raised again
            self._fail("reset", error)
        self._obs = obs
        return self.observe()

    def advance(self, action: Action) -> tuple[float, bool, bool]:
        """Play one step; return reward, terminated, truncated."""
        given: Any = action
        if isinstance(action, tuple):
            given = np.array(action, dtype=self._space.dtype)
        elif self._first:
            given = action + self._first
        stdout, sys.stdout = sys.stdout, sys.stderr
        try:
            obs, reward, terminated, truncated, _ = self._env.step(given)
        except BaseException as error:  # noqa: BLE001 - explained and raised again
            self._fail("step", error)
        finally:
            sys.stdout = stdout
        self._obs = obs
        if reward.__class__ is not float or not math.isfinite(reward):
            reward = self._checked_reward(reward, action)
        return reward, bool(terminated), bool(truncated)

    def observe(self) -> tuple[object, int]:
        """Return what the policy sees now, and 0 lives."""
        obs = self._obs
        if obs.__class__ is np.ndarray and not obs.dtype.hasobject:
            return obs, 0
        try:
            return _sendable(obs), 0
        except TypeError as error:
            raise UsageError(
                f"{self._where('step')}: the observation {error}, which policies cannot be sent; "
                f"return one of the observation space, {self.observation_space}"
            ) from None

    def complaint(self, action: Action) -> str:
        """Return why ``action`` is out of bounds; "" if it is not."""
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
        """Return the rendered picture, if the environment was made to be seen."""
        with user_code():
            shown: Any = self._env.render()
        if not isinstance(shown, np.ndarray) or shown.ndim != _PICTURE_DIMENSIONS:
            raise UsageError(f"{self._env_id} draws no pictures, so it cannot be seen")
        return shown.astype(np.uint8)

    def close(self) -> None:
        """Close the environment; errors in its ``close`` do not matter any more."""
        with contextlib.suppress(Exception), stdout_to_stderr():
            self._env.close()

    def _checked_reward(self, reward: Any, action: Action) -> float:  # noqa: ANN401
        try:
            number = float(reward.item() if isinstance(reward, np.ndarray) else reward)
        except (TypeError, ValueError):
            raise UsageError(
                f"{self._where('step')}: the reward is {reward!r}; step has to return one number"
            ) from None
        is_huge = isinstance(action, tuple) and max(map(abs, action), default=0.0) > _HUGE
        if not (math.isfinite(number) or is_huge):
            raise UsageError(
                f"{self._where('step')}: the environment {self._env_id} returned the reward "
                f"{number}; rewards have to be finite numbers"
            )
        return number

    def _where(self, method: str) -> str:
        code = getattr(getattr(self._env.unwrapped, method, None), "__code__", None)
        if code is None:
            return self._env_id
        return f"{Path(code.co_filename).name}, line {code.co_firstlineno}"

    def _fail(self, method: str, error: BaseException) -> NoReturn:
        if isinstance(error, GcoError | KeyboardInterrupt | GeneratorExit):
            raise error
        where, words = _line_at_fault(error), str(error)
        if where:
            raise UsageError(f"{where}: {type(error).__name__}: {error}") from error
        if isinstance(error, TypeError) and "'seed'" in words:
            words = "reset takes no seed; define it as reset(self, *, seed=None, options=None)"
        elif isinstance(error, TypeError | ValueError) and (
            "unpack" in words or "no info" in words
        ):
            words = f"{method} {_RETURNS[method]}"
        else:
            words = f"{method} of {self._env_id} failed: {type(error).__name__}: {error}"
        raise UsageError(f"{self._where(method)}: {words}") from error


def _make(env_id: str, render_mode: str | None = None) -> gymnasium.Env[Any, Any]:
    register_for(env_id)
    options: dict[str, Any] = {} if render_mode is None else {"render_mode": render_mode}
    try:
        with user_code():
            return gymnasium.make(env_id, disable_env_checker=True, **options)
    except TypeError as error:
        if render_mode is None:
            raise UsageError(f"{env_id} cannot be made: {error}") from error
        raise UsageError(f"{env_id} draws no pictures, so it cannot be seen: {error}") from error
    except DependencyNotInstalled as error:
        raise UsageError(_what_is_missing(env_id, str(error))) from error
    except (GymnasiumError, ImportError) as error:
        raise UsageError(f"{env_id} cannot be made: {error}") from error


def register_for(env_id: str) -> None:
    """Import the library that registers ``env_id``, if it is not Gymnasium itself."""
    for module, prefixes in _REGISTERING.items():
        if env_id.startswith(prefixes):
            if importlib.util.find_spec(module) is None:
                raise UsageError(_what_is_missing(env_id, module))
            with stdout_to_stderr():
                importlib.import_module(module)


def _what_is_missing(env_id: str, words: str) -> str:
    for extra, signs in EXTRAS.items():
        if any(sign in words.lower() for sign in signs):
            return f"{env_id} needs a library: {how_to_install(extra)}"
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


def _sendable(obs: Any) -> object:  # noqa: ANN401 - anything
    if isinstance(obs, np.ndarray):
        if obs.dtype.hasobject:
            raise TypeError("holds an array of Python objects")
        return np.asarray(obs)
    if isinstance(obs, dict):
        return {key: _sendable(value) for key, value in obs.items()}
    if isinstance(obs, tuple | list):
        parts = map(_sendable, obs)
        return tuple(parts) if isinstance(obs, tuple) else [*parts]
    if obs is None or isinstance(obs, int | float | str | bytes | np.generic):
        return obs
    raise TypeError(f"holds an object of the class {type(obs).__name__}")


@contextlib.contextmanager
def stdout_to_stderr() -> Iterator[None]:
    """Redirect stdout to stderr, also of C code and of child processes."""
    sys.stdout.flush()
    with contextlib.redirect_stdout(sys.stderr):
        try:
            kept = os.dup(1)
        except OSError:  # stdout is closed
            yield
            return
        try:
            os.dup2(2, 1)
            yield
        finally:
            os.dup2(kept, 1)
            os.close(kept)


@contextlib.contextmanager
def user_code() -> Iterator[None]:
    """Run code of the user's own: its errors name file and line, and it prints to stderr.

    Errors that no line of the user's is to blame for are raised as they are.
    """
    try:
        with stdout_to_stderr():
            yield
    except (GcoError, KeyboardInterrupt, GeneratorExit):
        raise
    except SyntaxError as error:
        where = f"{Path(error.filename or '?').name}, line {error.lineno}"
        raise UsageError(f"{where}: {error.msg}") from error
    except BaseException as error:
        where = _line_at_fault(error)
        if not where and not isinstance(error, SystemExit):
            raise
        raise UsageError(
            f"{where or 'the environment'}: {type(error).__name__}: {error}{_hint(error)}"
        ) from error


def import_users(name: str) -> ModuleType:
    """Import the module called ``name``."""
    try:
        with user_code():
            return importlib.import_module(name)
    except GcoError:
        raise
    except Exception as error:  # a ValueError if the name is empty
        raise UsageError(f"the module {name} cannot be imported: {error}") from error


def require_own_name(path: Path) -> None:
    """Check that importing the name of the file ``path`` gives that file."""
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


def _frame_at_fault(error: BaseException) -> traceback.FrameSummary | None:
    """Return the last frame of the traceback that is the user's own."""
    ours = str(Path(__file__).parents[1])
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        is_installed = "site-packages" in frame.filename or "dist-packages" in frame.filename
        is_pythons = frame.filename.startswith(("<", sys.base_prefix + "/lib/python"))
        if not is_installed and not is_pythons and not frame.filename.startswith(ours):
            return frame
    return None


def _line_at_fault(error: BaseException) -> str:
    frame = _frame_at_fault(error)
    return f"{Path(frame.filename).name}, line {frame.lineno}" if frame is not None else ""


def _hint(error: BaseException) -> str:
    """Return how to name a file of a package, if that is what is wrong."""
    frame = _frame_at_fault(error)
    if frame is None or "relative import" not in str(error):
        return ""
    names, folder = [Path(frame.filename).stem], Path(frame.filename).parent
    while (folder / "__init__.py").is_file():
        names.insert(0, folder.name)
        folder = folder.parent
    if len(names) == 1:
        return ""
    return f". The file belongs to a package: name it {'.'.join(names)}:ID, in the folder {folder}"
