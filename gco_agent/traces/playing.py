"""The two kinds of environment as a trace needs them: made of objects, or of anything else."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from gco_agent.calls import Plain, Shown
from gco_agent.envs.opening import open_environment, spec_of
from gco_agent.envs.plain import Action, PlainEnvironment
from gco_agent.jail.limits import PolicyFailure
from gco_agent.jail.recording import Recording, RecordingJail
from gco_agent.observation import ObjectBox, Row, build_observation
from gco_agent.records import Outcome, PlayProtocol
from gco_agent.rollout import Rollout

_OBSERVATION = "obs"
_MOST_NUMBERS = 400
_MOST_PARTS = 8
_MOST_TEXT = 60

Rows = Mapping[str, tuple[Row, ...]]


@dataclass(frozen=True, slots=True)
class Seen:
    """What a policy sees in one step.

    Attributes:
        objects: Category to rows, of an environment made of objects.
        values: What an observation of another kind holds, by the words to write for it.
        lives: Lives left; 0 where the game has none.
    """

    objects: Mapping[str, Any] = field(default_factory=dict)
    values: Mapping[str, Plain] = field(default_factory=dict)
    lives: int = 0

    def boxes(self) -> Mapping[str, tuple[ObjectBox, ...]]:
        """The objects as the policy reads them."""
        built = build_observation(self.objects, self.lives)
        return {name: tuple(boxes) for name, boxes in built.items()}


class Game:
    """One environment, and a jail that plays it with parts recorded.

    Args:
        task: The policy and the rules.

    Attributes:
        seen: What the policy sees now.
        jail: Where it plays.
    """

    def __init__(self, task: Rollout) -> None:
        self._env, self._names = _environment(task.protocol)
        self._obs: Any = None
        self.seen = Seen()
        n_floats, limits = 0, task.limits
        if isinstance(self._env, PlainEnvironment):
            n_floats, limits = self._env.n_floats, replace(limits, with_numpy=True)
        n_actions = 0 if n_floats else len(self._names)
        self.jail = RecordingJail(
            task.source,
            n_actions=n_actions,
            n_floats=n_floats,
            limits=limits,
            require=task.require,
        )

    def begin(self, seed: int) -> None:
        """Start the episode that ``seed`` decides."""
        if isinstance(self._env, PlainEnvironment):
            self._look(self._env.reset(seed))
        else:
            rows, lives = self._env.reset_rows(seed)
            self.seen = Seen(rows, lives=lives)

    def ask(self, *, recorded: bool) -> tuple[Any, Recording | None]:
        """What the policy answers to what it sees, and its calls if they are wanted."""
        if isinstance(self._env, PlainEnvironment):
            if recorded:
                answer, recording = self.jail.act_plain_recorded(0, self._obs)
            else:
                [answer], recording = self.jail.act_plain([(0, self._obs)]), None
            if not isinstance(answer, PolicyFailure) and (why := self._env.complaint(answer)):
                answer = PolicyFailure(Outcome.BAD_ACTION, why)
            return answer, recording
        lane = (0, self.seen.lives, self.seen.objects)
        if recorded:
            return self.jail.act_recorded(lane)
        [answer] = self.jail.act([lane])
        return answer, None

    def step(self, action: Action) -> tuple[float, bool, bool]:
        """Play one step: reward, terminated, truncated."""
        if isinstance(self._env, PlainEnvironment):
            obs, reward, terminated, truncated = self._env.step(action)
            self._look(obs)
            return reward, terminated, truncated
        assert isinstance(action, int), action
        rows, lives, reward, terminated, truncated = self._env.step_rows(action)
        self.seen = Seen(rows, lives=lives)
        return reward, terminated, truncated

    def name_of(self, action: Action) -> str:
        """What the environment calls an action; numbers stand for themselves."""
        if isinstance(action, int):
            return self._names[action]
        return " ".join(f"{number:.3g}" for number in action)

    def _look(self, obs: object) -> None:
        self._obs = obs
        self.seen = Seen(values=values_of(obs))


@functools.lru_cache(maxsize=4)
def _environment(protocol: PlayProtocol) -> tuple[Any, tuple[str, ...]]:
    """The environment, kept for the next episode, and the names of its actions."""
    env = open_environment(protocol)
    if not isinstance(env, PlainEnvironment):
        return env, tuple(env.action_names)
    names = tuple(spec_of(protocol).actions)
    if len(names) != env.n_actions:
        names = tuple(str(number) for number in range(env.n_actions))
    return env, names


def field_names(protocol: PlayProtocol) -> dict[str, str]:
    """The words for a number of an observation, as `values_of` has them, to its name."""
    fields = spec_of(protocol).fields
    named = {f"{_OBSERVATION}[{n}]": part.name for n, part in enumerate(fields)}
    return {words: name for words, name in named.items() if name != words}


def values_of(obs: object) -> dict[str, Plain]:
    """What an observation that is not made of objects holds: short, plain data, by name."""
    shape = getattr(obs, "shape", None)
    if shape is not None:
        numbers = obs.tolist() if _size(shape) <= _MOST_NUMBERS else None  # type: ignore[attr-defined]
        if len(shape) == 1 and numbers is not None:
            return {f"{_OBSERVATION}[{n}]": _short(number) for n, number in enumerate(numbers)}
        return {_OBSERVATION: Shown(f"<array {' x '.join(map(str, shape))}>")}
    if isinstance(obs, dict):
        return {f"{_OBSERVATION}[{key!r}]"[:_MOST_TEXT]: _short(part) for key, part in obs.items()}
    if isinstance(obs, tuple | list):
        shown = list(obs)[:_MOST_NUMBERS]
        return {f"{_OBSERVATION}[{n}]": _short(part) for n, part in enumerate(shown)}
    return {_OBSERVATION: _short(obs)}


def _size(shape: tuple[int, ...]) -> int:
    size = 1
    for length in shape:
        size *= length
    return size


def _short(value: Any) -> Plain:  # noqa: ANN401 - whatever an environment gives
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, str):
        return value[:_MOST_TEXT]
    if isinstance(value, tuple | list):
        flat = all(isinstance(part, bool | int | float) for part in value)
        if flat and len(value) <= _MOST_PARTS:
            return tuple(value)
        return Shown(f"<{len(value)} parts>")
    return Shown(f"<{type(value).__name__}>")
