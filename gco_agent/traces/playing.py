"""The two kinds of environment as a trace needs them: made of objects, or of anything else."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from gco_agent.calls import Plain, Shown
from gco_agent.envs.opening import open_environment, spec_of
from gco_agent.envs.plain import Action, PlainEnvironment
from gco_agent.jail.limits import PolicyFailure
from gco_agent.jail.recording import Recording, RecordingJail
from gco_agent.observation import ObjectBox, Row, build_observation
from gco_agent.records import EpisodeResult, PlayProtocol
from gco_agent.rollout import Lane, Rollout, ask, ask_recorded, make_jail

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
    """One episode, and a jail that plays it with parts recorded.

    Args:
        task: The policy, one seed and the rules.

    Attributes:
        lane: The episode.
        seen: What the policy sees now.
        jail: Where it plays.
    """

    def __init__(self, task: Rollout) -> None:
        env, self._names = _environment(task.protocol)
        [seed] = task.seeds
        self.lane = Lane(0, seed, env)
        self.seen = Seen()
        self.jail = make_jail(RecordingJail, task, env)

    def begin(self) -> None:
        """Start the episode."""
        self.lane.begin()
        self.seen = self._look()

    def ask(self, *, recorded: bool) -> tuple[Any, Recording | None]:
        """What the policy answers to what it sees, and its calls if they are wanted."""
        if recorded:
            return ask_recorded(self.jail, self.lane)
        return ask(self.jail, [self.lane])[0], None

    def play(self, answer: Action | PolicyFailure, max_steps: int) -> EpisodeResult | None:
        """Play what it answered and look at what comes of it; the result if that is the end."""
        result = self.lane.play(answer, max_steps)
        if result is None:
            self.lane.look()
            self.seen = self._look()
        return result

    def name_of(self, action: Action) -> str:
        """What the environment calls an action; numbers stand for themselves."""
        if isinstance(action, int):
            return self._names[action]
        return " ".join(f"{number:.3g}" for number in action)

    def _look(self) -> Seen:
        if isinstance(self.lane.env, PlainEnvironment):
            return Seen(values=values_of(self.lane.seen))
        return Seen(self.lane.seen, lives=self.lane.lives)


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
