"""Atari games as Gymnasium environments whose observations are objects."""

from __future__ import annotations

import math
import pickle
import re
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal, SupportsFloat

import ale_py
import gymnasium
import numpy as np
import numpy.typing as npt
from gymnasium.utils import RecordConstructorArgs
from gymnasium.wrappers import OrderEnforcing, PassiveEnvChecker, TimeLimit

from gco_agent.core.errors import UsageError
from gco_agent.core.observation import ObjectBox, Observation, build_observation
from gco_agent.envs.extraction import RamState, Rows
from gco_agent.envs.ram_readers import make_extractor

ale_py.ALEInterface.setLoggerMode(ale_py.LoggerMode.Error)  # no banner

ActionBounds = tuple[tuple[float, ...], tuple[float, ...]]
"""Least and largest value of each number of an action."""
Screen = npt.NDArray[np.uint8]
"""RGB, shape (210, 160, 3); a few games have other heights."""

_TRANSPARENT = (OrderEnforcing, PassiveEnvChecker, TimeLimit)
"""Wrappers that ignore the seed: a start may be restored below them."""
_REMEMBERED_STARTS = 1024
_REMEMBERED_STEPS = 64


class ObjectSpace(gymnasium.Space[Observation]):
    """All observations of objects: category to a sequence of `ObjectBox`.

    Any category may occur or be missing. Samples have one to three boxes in each of ``categories``,
    anywhere on a screen of 160 x 210 pixels.
    """

    def __init__(self, categories: tuple[str, ...] = (), seed: int | None = None) -> None:
        super().__init__(shape=None, dtype=None, seed=seed)
        self.categories = categories

    @property
    def is_np_flattenable(self) -> bool:
        """Return False: the number of objects varies."""
        return False

    def sample(self, mask: object = None, probability: object = None) -> Observation:
        """Return a random observation."""
        if mask is not None or probability is not None:
            raise ValueError("an ObjectSpace takes neither a mask nor probabilities")
        draw = self.np_random.integers
        boxes = {
            category: [
                ObjectBox(*draw((0, 0, 1, 1), (160, 210, 16, 16)).tolist()) for _ in range(n)
            ]
            for category, n in zip(
                self.categories, draw(1, 4, len(self.categories)).tolist(), strict=True
            )
        }
        return Observation(boxes, lives=int(draw(6)))

    def contains(self, x: object) -> bool:
        """Return whether ``x`` is an observation of objects."""
        return isinstance(x, Observation) and all(
            isinstance(box, ObjectBox) for members in x.values() for box in members
        )

    def __repr__(self) -> str:
        return f"ObjectSpace({', '.join(self.categories)})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ObjectSpace) and self.categories == other.categories

    def __hash__(self) -> int:
        return hash(self.categories)


@dataclass(frozen=True, slots=True)
class Rules:
    """Rules that ALE does not know.

    Attributes:
        fires: FIRE is pressed at the start and after the loss of a life, in a step that the policy
            does not see.
        restarts: Above 0, an episode on seed s starts after (s modulo this) + 1 further resets.
        is_completed: Observe also what OCAtari lacks.
    """

    one_life: bool = False
    fires: bool = False
    restarts: int = 0
    is_completed: bool = True
    unseen: tuple[str, ...] = ()


_USUAL_RULES = Rules()


class ObjectObservation(gymnasium.Wrapper[Observation, int, Any, Any], RecordConstructorArgs):
    """Observe an ALE environment as objects, category to a list of `ObjectBox`.

    Args:
        env: An ALE environment with discrete actions, of any ``obs_type`` ("ram" is the cheapest),
            with or without other wrappers around it.
        hud: Also observe scores and other displays that OCAtari reads.

    Raises:
        UsageError: ``env`` is not an ALE environment, or its actions are continuous.

    ``reset(seed=...)`` gives ALE's start for that seed, but loads the ROM (110 to 180 ms) only once
    for each seed in a process, unless a wrapper below may use the seed. Besides Gymnasium's
    methods it has those of `gco_agent.envs.environment.Environment`, which are faster.
    Measured: tests/ale/test_objects.py.
    """

    has_objects = True
    n_floats = 0
    bounds: ActionBounds = ((), ())

    def __init__(
        self, env: gymnasium.Env[Any, Any], *, hud: bool = False, rules: Rules = _USUAL_RULES
    ) -> None:
        unusual: dict[str, Any] = {} if rules == _USUAL_RULES else {"rules": rules}
        RecordConstructorArgs.__init__(self, hud=hud, **unusual)
        gymnasium.Wrapper.__init__(self, env)
        base = env.unwrapped
        if not isinstance(base, ale_py.AtariEnv):
            raise UsageError(
                f"{type(base).__name__} is not an ALE environment; wrap one made by "
                'gymnasium.make("ALE/Pong-v5", obs_type="ram")'
            )
        if not isinstance(env.action_space, gymnasium.spaces.Discrete):
            raise UsageError("the actions are continuous; make the environment without that")
        self._base = base
        self._ale = base.ale
        self._game: str = base._game  # noqa: SLF001
        self._extractor = make_extractor(
            self._game, hud=hud, is_completed=rules.is_completed, unseen=rules.unseen
        )
        self._rules = rules
        self._has_rules = rules.one_life or rules.fires
        self._lives = 0
        self._ram = np.zeros(128, np.uint8)
        self._repeat: float = self._ale.getFloat("repeat_action_probability")
        skip = base._frameskip  # noqa: SLF001 - a pair if random
        is_plain = isinstance(skip, int) and base.render_mode != "human"
        self._frames = range(skip) if is_plain else range(0)
        self._buttons = tuple(base._action_set)  # noqa: SLF001
        self._is_at_start = False
        self._begun: deque[tuple[int, int]] = deque([(0, 0)], maxlen=_REMEMBERED_STEPS)
        self._may_restore_starts = _is_transparent(env)
        self._start_key = (
            self._game,
            base._game_mode,  # noqa: SLF001
            base._game_difficulty,  # noqa: SLF001
            self._repeat,
        )
        self.observation_space = ObjectSpace(self._extractor.categories)

    @property
    def categories(self) -> tuple[str, ...]:
        """The categories that can be observed."""
        return self._extractor.categories

    @property
    def n_actions(self) -> int:
        """Size of the action space."""
        return len(self._buttons)

    @property
    def action_names(self) -> tuple[str, ...]:
        """Names of the actions in the order of their indices: NOOP, FIRE, RIGHT..."""
        return tuple(action.name for action in self._buttons)

    @property
    def switches(self) -> tuple[list[int], list[int]]:
        """The game's modes and difficulties."""
        return list(self._ale.getAvailableModes()), list(self._ale.getAvailableDifficulties())

    @property
    def ram(self) -> RamState:
        """The console's 128 bytes."""
        ram: RamState = self._ale.getRAM()
        return ram

    def picture(self) -> Screen:
        """Return the screen; no render mode is needed."""
        screen: Screen = self._ale.getScreenRGB()
        return screen

    def complaint(self, action: object) -> str:
        """Return "": the jail has checked that the action is in range."""
        del action
        return ""

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observation, dict[str, Any]]:
        """Start an episode; nothing moves in the first observation."""
        info = self._start(seed, options)
        rows = self._extractor.reset(self._ale.getRAM())
        return build_observation(rows, self._ale.lives()), info

    def step(self, action: int) -> tuple[Observation, SupportsFloat, bool, bool, dict[str, Any]]:
        """Play one step of ``frame_skip`` frames."""
        _, reward, terminated, truncated, info = self._play(self.env.step, int(action))
        rows = self._extractor.step(self._ale.getRAM())
        return build_observation(rows, self._ale.lives()), reward, terminated, truncated, info

    def begin(self, seed: int | None = None) -> tuple[Rows, int]:
        """Start an episode; return its objects as plain rows, and the lives left."""
        self._start(seed, None)
        return self._extractor.reset(self._ale.getRAM()), self._ale.lives()

    def advance(self, action: int) -> tuple[float, bool, bool]:
        """Play one step, past all wrappers below; return reward, terminated, truncated."""
        if self._has_rules or not self._frames:
            _, reward, terminated, truncated, _ = self._play(self._base.step, action)
        else:  # as the base's step does, without its observation and info
            self._is_at_start = False
            self._begun.append((self._ale.getFrameNumber(), action))
            act, button = self._ale.act, self._buttons[action]
            reward = 0.0
            for _ in self._frames:
                reward += act(button)
            terminated = self._ale.game_over(with_truncation=False)
            truncated = self._ale.game_truncated()
        return reward, terminated, truncated

    def observe(self) -> tuple[Rows, int]:
        """Return the rows and the lives left; call it once after each `advance`."""
        self._ale.getRAM(self._ram)
        return self._extractor.step(self._ram), self._ale.lives()

    def step_rows(self, action: int) -> tuple[Rows, int, float, bool, bool]:
        """Return rows, lives left, reward, terminated, truncated of one step."""
        ended = self.advance(action)
        return *self.observe(), *ended

    def _play(self, step: Callable[[int], tuple[Any, ...]], action: int) -> tuple[Any, ...]:
        self._is_at_start = False
        self._begun.append((self._ale.getFrameNumber(), action))
        result = step(action)
        if self._has_rules:
            return self._by_the_rules(step, result)
        return result

    def _by_the_rules(
        self, step: Callable[[int], tuple[Any, ...]], result: tuple[Any, ...]
    ) -> tuple[Any, ...]:
        obs, reward, terminated, truncated, info = result
        lives = self._ale.lives()
        is_lost, self._lives = lives < self._lives, lives
        if is_lost and self._rules.one_life:
            return obs, reward, True, truncated, info
        if is_lost and self._rules.fires and not (terminated or truncated):
            obs, more, terminated, truncated, info = self._fire(step)
            reward = reward + more
        return obs, reward, terminated, truncated, info

    def _fire(self, step: Callable[[int], tuple[Any, ...]]) -> tuple[Any, ...]:
        fire = self.action_names.index("FIRE")
        self._begun.append((self._ale.getFrameNumber(), fire))
        return step(fire)

    def save(self) -> bytes:
        """Return the state between two steps, for `restore`; about 20 KB."""
        state = self._ale.cloneState(include_rng=True).serialize()
        held: int | None = None
        if not self._is_at_start:
            held = held_action(state, self._repeat, self._ale.getFrameNumber(), self._begun)
        return pickle.dumps((state, held, self._extractor.save()))

    def restore(self, saved: bytes) -> None:
        """Continue exactly from a state of `save`, of the same game, settings and machine.

        Args:
            saved: Never bytes from elsewhere: they are unpickled.
        """
        state, held, objects = pickle.loads(saved)  # noqa: S301 - our own bytes
        moment = ale_py.ALEState(state)
        if held is None:  # Q*bert's first frame after a reset differs
            self._ale.reset_game()
        else:
            self._ale.restoreState(moment)
            action = self._buttons[held]
            for _ in range(n_priming_frames(self._repeat)):
                self._ale.act(action)
        self._ale.restoreState(moment)
        self._forget_steps(held)
        self._extractor.restore(objects)

    def _start(self, seed: int | None, options: dict[str, Any] | None) -> dict[str, Any]:
        is_known = self._may_restore_starts and seed is not None
        key = (*self._start_key, seed)
        start = _starts.get(key) if is_known else None
        _, info = self.env.reset(seed=seed if start is None else None, options=options)
        if start is not None:
            seeds = self._base.seed_game(seed)
            self._ale.restoreState(ale_py.ALEState(start))
            info = {**info, **self._base._get_info(), "seeds": seeds}  # noqa: SLF001
        elif is_known:
            if len(_starts) >= _REMEMBERED_STARTS:
                del _starts[next(iter(_starts))]
            _starts[key] = self._ale.cloneState(include_rng=True).serialize()
        for _ in range(1 + (seed or 0) % self._rules.restarts if self._rules.restarts else 0):
            _, info = self.env.reset()
        self._forget_steps(None)
        if self._rules.fires:
            info = self._fire(self.env.step)[4]
            self._is_at_start = False
        return info

    def _forget_steps(self, held: int | None) -> None:
        """``held``: the action that the console holds; None right after a reset."""
        self._is_at_start = held is None
        self._begun.clear()
        self._begun.append((self._ale.getFrameNumber() - 1, held or 0))
        self._lives = self._ale.lives()


def _is_transparent(env: gymnasium.Env[Any, Any]) -> bool:
    while isinstance(env, gymnasium.Wrapper):
        if type(env) not in _TRANSPARENT:
            return False
        env = env.env
    return True


_starts: dict[tuple[object, ...], bytes] = {}
"""States after a reset, by game, settings and seed; the oldest is dropped first."""


def make_object_env(
    game: str,
    *,
    hud: bool = False,
    rules: Rules = _USUAL_RULES,
    render_mode: Literal["human", "rgb_array"] | None = None,
    **settings: Any,  # noqa: ANN401 - those of ale_py.AtariEnv
) -> ObjectObservation:
    """Make an ALE game that is observed as objects; the entry point of ``gco/<Game>-v5``.

    Args:
        game: Name of the ROM in snake case: "pong", "space_invaders".
        settings: Of ``ale_py.AtariEnv``. The defaults are those of ``ALE/<Game>-v5`` (Machado et
            al. 2018, arXiv:1709.06009).
    """
    settings = {"obs_type": "ram", "max_num_frames_per_episode": 108_000, **settings}
    env = ale_py.AtariEnv(game, render_mode=render_mode, **settings)
    return ObjectObservation(env, hud=hud, rules=rules)


_GENERATOR = re.compile(rb"\d+(?: \d+){624}")
"""A Mersenne Twister in an emulator state: 624 words and how many are used, after its length in
bytes. That of sticky actions is the last one."""
_LENGTH_BYTES = 4
_N_EARLIER = 128
_PERIOD, _MATRIX = 227, 0x9908B0DF
_HIGHEST_BIT, _ALL_BITS = 1 << 31, (1 << 32) - 1
_LEAST_PRIMING = 12
_LEFT_OVER = 1e-9


def held_action(state: bytes, repeat: float, frame: int, begun: Sequence[tuple[int, int]]) -> int:
    """Return the action that the console holds: the one thing that a saved state lacks.

    Sticky actions repeat, frame by frame, the held action, and a new one is held only from the
    first frame that does not repeat: at probability 0.25 and four frames a step, an older action is
    still held once in 256 steps. Which one follows from the draws of the frames played, since the
    state has the words of the random generator.

    Args:
        state: From ``cloneState(include_rng=True).serialize()`` of ale-py 0.11 or 0.12.
        frame: ``getFrameNumber()`` when it was saved.
        begun: The last steps, oldest first: frames played before the step, and its action.

    Returns:
        The action of the last frame that did not repeat; of the oldest step if no draw tells.

    Source: Matsumoto and Nishimura 1998, "Mersenne Twister", doi:10.1145/272991.272995.
    """
    action = begun[-1][1]
    steps = list(begun)
    for draw in _draws(state):
        frame -= 1
        while len(steps) > 1 and steps[-1][0] > frame:
            steps.pop()
        action = steps[-1][1]
        if draw >= repeat or frame <= steps[0][0]:
            break
    return action


def n_priming_frames(repeat: float) -> int:
    """Return the frames after which an action is held, except with probability 10**-9."""
    if not 0 < repeat < 1:
        return _LEAST_PRIMING
    return max(_LEAST_PRIMING, math.ceil(math.log(_LEFT_OVER) / math.log(repeat)))


def _draws(state: bytes) -> Iterator[float]:
    """Yield the draws of the latest frames, each in [0, 1), the last one first."""
    begin = max((found.start() for found in _GENERATOR.finditer(state)), default=None)
    if begin is None:
        return
    length = int.from_bytes(state[begin - _LENGTH_BYTES : begin], "little")
    *words, used = (int(word) for word in state[begin : begin + length].split())
    # two words a frame: one for this player, then one for the other
    for index in range(used - 2, -_N_EARLIER, -2):
        yield _temper(words[index] if index >= 0 else _word_before(words, index)) / 2**32


def _word_before(words: Sequence[int], index: int) -> int:
    """Return a word of the generator's state before the last twist."""
    here, below = _untwist(words, index), _untwist(words, index - 1)
    return here & _HIGHEST_BIT | below & ~_HIGHEST_BIT


def _untwist(words: Sequence[int], index: int) -> int:
    """Return the highest bit of the earlier word at ``index``, and the other bits of the next."""
    twisted = words[index] ^ words[index - _PERIOD]
    if twisted & _HIGHEST_BIT:
        return ((twisted ^ _MATRIX) << 1 | 1) & _ALL_BITS
    return twisted << 1


def _temper(word: int) -> int:
    word ^= word >> 11
    word ^= (word << 7) & 0x9D2C5680
    word ^= (word << 15) & 0xEFC60000
    return word ^ (word >> 18)
