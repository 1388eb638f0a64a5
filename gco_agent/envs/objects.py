"""Which action the console still holds: the one thing that no saved state contains.

Sticky actions repeat, with some probability and frame by frame, whatever action the console holds,
and a new action is held only from the first frame that does not repeat. So after a step of four
frames at probability 0.25 the console still holds an older action once in 256 times. The draws of
the frames played are in the saved state, since it has the generator's words in it, and they say
which action it was.

Source: Matsumoto and Nishimura 1998, "Mersenne Twister", doi:10.1145/272991.272995.
"""

from __future__ import annotations

import math
import pickle
import re
from collections import OrderedDict, deque
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
from gco_agent.core.observation import ObjectBox, Observation, Row, build_observation
from gco_agent.envs.extraction import RamState
from gco_agent.envs.supplements import make_extractor

_GENERATOR = re.compile(rb"\d+(?: \d+){624}")
"""A Mersenne Twister in an emulator state: 624 words, then how many of them are used; its length in
bytes stands before it. The sticky actions' is the last."""
_LENGTH_BYTES = 4
_N_EARLIER = 128
_PERIOD, _MATRIX = 227, 0x9908B0DF
_HIGHEST_BIT, _ALL_BITS = 1 << 31, (1 << 32) - 1
_LEAST_PRIMING = 12
_LEFT_OVER = 1e-9


def held_action(state: bytes, repeat: float, frame: int, begun: Sequence[tuple[int, int]]) -> int:
    """The action held at the moment that ``state`` was saved at.

    Args:
        state: From ``cloneState(include_rng=True).serialize()`` of ale-py 0.11 or 0.12.
        repeat: The probability to repeat.
        frame: Frames played when it was saved, as ``getFrameNumber`` counts.
        begun: The last steps, oldest first: frames played before the step, and its action.

    Returns:
        The action of the last frame that did not repeat; where no draw tells, of the oldest step
        that could be meant.
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
    """Frames of one action after which that action is held: all but surely (1 in 10**9)."""
    if not 0 < repeat < 1:
        return _LEAST_PRIMING
    return max(_LEAST_PRIMING, math.ceil(math.log(_LEFT_OVER) / math.log(repeat)))


def _draws(state: bytes) -> Iterator[float]:
    """The draws of the latest frames, each in [0, 1), the last one first."""
    begin = max((found.start() for found in _GENERATOR.finditer(state)), default=None)
    if begin is None:
        return
    length = int.from_bytes(state[begin - _LENGTH_BYTES : begin], "little")
    *words, used = (int(word) for word in state[begin : begin + length].split())
    # two words a frame: one for this player, then one for the other
    for index in range(used - 2, -_N_EARLIER, -2):
        yield _temper(words[index] if index >= 0 else _word_before(words, index)) / 2**32


def _word_before(words: Sequence[int], index: int) -> int:
    """A word that the generator had before it made ``words`` of those, counted from the end."""
    here, below = _untwist(words, index), _untwist(words, index - 1)
    return here & _HIGHEST_BIT | below & ~_HIGHEST_BIT


def _untwist(words: Sequence[int], index: int) -> int:
    """The highest bit of the word before at ``index``, and the other bits of the one after it."""
    twisted = words[index] ^ words[index - _PERIOD]
    if twisted & _HIGHEST_BIT:
        return ((twisted ^ _MATRIX) << 1 | 1) & _ALL_BITS
    return twisted << 1


def _temper(word: int) -> int:
    """The output of the generator for one word of its state."""
    word ^= word >> 11
    word ^= (word << 7) & 0x9D2C5680
    word ^= (word << 15) & 0xEFC60000
    return word ^ (word >> 18)


_WIDTH_PX, _HEIGHT_PX = 160, 210
_LARGEST_PX = 16
_MOST_OF_A_CATEGORY = 3
_MOST_LIVES = 5


class ObjectSpace(gymnasium.Space[Observation]):
    """All observations of objects: category to a sequence of `ObjectBox`.

    Sampling gives one to three boxes in each of ``categories``, anywhere on a screen of 160 x 210
    pixels. Any category may be in an observation, and any may be missing.

    Attributes:
        categories: Those that are known to occur.
    """

    def __init__(self, categories: tuple[str, ...] = (), seed: int | None = None) -> None:
        super().__init__(shape=None, dtype=None, seed=seed)
        self.categories = categories

    @property
    def is_np_flattenable(self) -> bool:
        """Whether the space flattens to a box: no, the number of objects varies."""
        return False

    def sample(self, mask: object = None, probability: object = None) -> Observation:
        """A random observation.

        Raises:
            ValueError: A mask or probabilities are given, which mean nothing here.
        """
        if mask is not None or probability is not None:
            raise ValueError("an ObjectSpace takes neither a mask nor probabilities")
        counts = self.np_random.integers(1, _MOST_OF_A_CATEGORY + 1, len(self.categories))
        boxes = {
            category: [self._sample_box() for _ in range(count)]
            for category, count in zip(self.categories, counts, strict=True)
        }
        return Observation(boxes, lives=int(self.np_random.integers(_MOST_LIVES + 1)))

    def _sample_box(self) -> ObjectBox:
        least, most = (0, 0, 1, 1), (_WIDTH_PX, _HEIGHT_PX, _LARGEST_PX, _LARGEST_PX)
        x, y, w, h = self.np_random.integers(least, most).tolist()
        return ObjectBox(x, y, w, h)

    def contains(self, x: object) -> bool:
        """Whether ``x`` is an observation of objects."""
        return isinstance(x, Observation) and all(
            isinstance(box, ObjectBox) for members in x.values() for box in members
        )

    def __repr__(self) -> str:
        return f"ObjectSpace({', '.join(self.categories)})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ObjectSpace) and self.categories == other.categories

    def __hash__(self) -> int:
        return hash(self.categories)


ale_py.ALEInterface.setLoggerMode(ale_py.LoggerMode.Error)  # or each process prints a banner

Screen = npt.NDArray[np.uint8]
"""A picture, shape (210, 160, 3), red green blue; a few games have other heights."""

_TRANSPARENT = (OrderEnforcing, PassiveEnvChecker, TimeLimit)
"""Wrappers that do nothing of their own with a seed: a start may be restored below them."""
_REMEMBERED_STARTS = 1024
_REMEMBERED_STEPS = 64


@dataclass(frozen=True, slots=True)
class Rules:
    """Rules that some protocols play by and ALE does not know.

    Attributes:
        one_life: The loss of a life ends the episode.
        fires: FIRE is pressed at the start and after the loss of a life, in a step of its own that
            the policy does not see.
        restarts: Above 0, an episode on seed s begins after (s modulo this) + 1 further resets:
            one of so many games in a row.
        is_completed: Objects and fields that OCAtari lacks are observed too.
        unseen: Categories that are left out of observations.
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
        env: An ALE environment with discrete actions, whatever its own ``obs_type`` ("ram" is the
            cheapest), with or without other wrappers round it.
        hud: Also observe scores and other displays, where OCAtari can read them.
        rules: Others than ALE's own.

    Raises:
        UsageError: ``env`` is no ALE environment, or its actions are continuous.

    ``reset(seed=...)`` gives the start that the ALE environment gives for that seed, to the bit,
    but loads the ROM (110 to 180 ms) only for the first use of a seed in a process. Where wrappers
    below may use the seed for something of their own, they get it and the ROM is always loaded.
    Measured: tests/ale/test_objects.py.
    """

    def __init__(
        self, env: gymnasium.Env[Any, Any], *, hud: bool = False, rules: Rules = _USUAL_RULES
    ) -> None:
        unusual: dict[str, Any] = {} if rules == _USUAL_RULES else {"rules": rules}
        RecordConstructorArgs.__init__(self, hud=hud, **unusual)
        gymnasium.Wrapper.__init__(self, env)
        base = env.unwrapped
        if not isinstance(base, ale_py.AtariEnv):
            raise UsageError(
                f"{type(base).__name__} is no ALE environment; wrap one made by "
                'gymnasium.make("ALE/Pong-v5", obs_type="ram")'
            )
        if not isinstance(env.action_space, gymnasium.spaces.Discrete):
            raise UsageError("the actions are continuous; make the environment without that")
        self._base = base
        self._ale = base.ale
        self._game: str = base._game  # noqa: SLF001 - ale_py keeps the ROM's name there
        self._extractor = make_extractor(
            self._game, hud=hud, is_completed=rules.is_completed, unseen=rules.unseen
        )
        self._rules = rules
        self._has_rules = rules.one_life or rules.fires
        self._lives = 0
        self._ram = np.zeros(128, np.uint8)
        self._repeat: float = self._ale.getFloat("repeat_action_probability")
        skip = base._frameskip  # noqa: SLF001 - a pair where it is drawn anew for each step
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
        """The categories that can be in an observation."""
        return self._extractor.categories

    @property
    def action_names(self) -> tuple[str, ...]:
        """What the actions are called, in the order of their indices: NOOP, FIRE, RIGHT..."""
        return tuple(action.name for action in self._base._action_set)  # noqa: SLF001

    @property
    def switches(self) -> tuple[list[int], list[int]]:
        """The modes and the difficulties that ALE knows of the game."""
        return list(self._ale.getAvailableModes()), list(self._ale.getAvailableDifficulties())

    @property
    def ram(self) -> RamState:
        """The console's 128 bytes, as they are now."""
        ram: RamState = self._ale.getRAM()
        return ram

    @property
    def screen(self) -> Screen:
        """What the console shows now, in colour; the environment need not have a render mode."""
        screen: Screen = self._ale.getScreenRGB()
        return screen

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observation, dict[str, Any]]:
        """Start an episode; the first observation has no movement in it."""
        info = self._start(seed, options)
        rows = self._extractor.reset(self._ale.getRAM())
        return build_observation(rows, self._ale.lives()), info

    def step(self, action: int) -> tuple[Observation, SupportsFloat, bool, bool, dict[str, Any]]:
        """Play one step of ``frame_skip`` frames."""
        _, reward, terminated, truncated, info = self._play(self.env.step, int(action))
        rows = self._extractor.step(self._ale.getRAM())
        return build_observation(rows, self._ale.lives()), reward, terminated, truncated, info

    def reset_rows(
        self, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[dict[str, list[Row]], int]:
        """As `reset`, but the objects as plain rows, and the lives left."""
        self._start(seed, options)
        return self._extractor.reset(self._ale.getRAM()), self._ale.lives()

    def step_rows(self, action: int) -> tuple[dict[str, list[Row]], int, float, bool, bool]:
        """As `step`, past all wrappers below: rows, lives left, reward, terminated, truncated."""
        ended = self.advance(action)
        return *self.observe(), *ended

    def advance(self, action: int) -> tuple[float, bool, bool]:
        """The emulator's part of `step_rows`: reward, terminated, truncated.

        Once for each `observe`; who plays several games side by side is faster if all of them
        advance before all are observed: the emulator and Python push each other out of the caches.
        """
        if self._has_rules or not self._frames:
            _, reward, terminated, truncated, _ = self._play(self._base.step, action)
        else:  # what that does, without an observation and a dictionary that nobody looks at
            self._is_at_start = False
            self._begun.append((self._ale.getFrameNumber(), action))
            act, button = self._ale.act, self._buttons[action]
            reward = 0.0
            for _ in self._frames:
                reward += act(button)
            terminated = self._ale.game_over(with_truncation=False)
            truncated = self._ale.game_truncated()
        return reward, terminated, truncated

    def observe(self) -> tuple[dict[str, list[Row]], int]:
        """The rest of `step_rows`: rows and lives left."""
        self._ale.getRAM(self._ram)
        return self._extractor.step(self._ram), self._ale.lives()

    def _play(self, step: Callable[[int], tuple[Any, ...]], action: int) -> tuple[Any, ...]:
        """A step by the rules; what ``step`` gives."""
        self._is_at_start = False
        self._begun.append((self._ale.getFrameNumber(), action))
        result = step(action)
        if self._has_rules:
            return self._by_the_rules(step, result)
        return result

    def _by_the_rules(
        self, step: Callable[[int], tuple[Any, ...]], result: tuple[Any, ...]
    ) -> tuple[Any, ...]:
        """What comes of the loss of a life."""
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
        """The moment between two steps, from which `restore` goes on exactly; about 20 KB."""
        state = self._ale.cloneState(include_rng=True).serialize()
        held: int | None = None
        if not self._is_at_start:
            held = held_action(state, self._repeat, self._ale.getFrameNumber(), self._begun)
        return pickle.dumps((state, held, self._extractor.save()))

    def restore(self, saved: bytes) -> None:
        """Go on from a moment that `save` gave, in this process or another of this machine.

        Args:
            saved: From `save` of the same game and settings. Never bytes from elsewhere: pickle.
        """
        state, held, objects = pickle.loads(saved)  # noqa: S301 - our own bytes
        moment = ale_py.ALEState(state)
        if held is None:  # Q*bert's first frame is another after a reset than amid an episode
            self._ale.reset_game()
        else:
            self._ale.restoreState(moment)
            action = self._base._action_set[held]  # noqa: SLF001
            for _ in range(n_priming_frames(self._repeat)):
                self._ale.act(action)
        self._ale.restoreState(moment)
        self._begin(held)
        self._extractor.restore(objects)

    def _start(self, seed: int | None, options: dict[str, Any] | None) -> dict[str, Any]:
        """Reset the environment below; what it says of the start."""
        is_known = self._may_restore_starts and seed is not None
        key = (*self._start_key, seed)
        start = _starts.get(key) if is_known else None
        _, info = self.env.reset(seed=seed if start is None else None, options=options)
        if start is not None:
            seeds = self._base.seed_game(seed)
            self._ale.restoreState(ale_py.ALEState(start))
            info = {**info, **self._base._get_info(), "seeds": seeds}  # noqa: SLF001
        elif is_known:
            _starts.put(key, self._ale.cloneState(include_rng=True).serialize())
        for _ in range(1 + (seed or 0) % self._rules.restarts if self._rules.restarts else 0):
            _, info = self.env.reset()
        self._begin(None)
        if self._rules.fires:
            info = self._fire(self.env.step)[4]
            self._is_at_start = False
        return info

    def _begin(self, held: int | None) -> None:
        """Forget the steps before; ``held`` is what the console holds, None right after a reset."""
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


class _Starts:
    """Post-reset states by game, settings and seed; the oldest go first."""

    def __init__(self) -> None:
        self._states: OrderedDict[tuple[object, ...], bytes] = OrderedDict()

    def get(self, key: tuple[object, ...]) -> bytes | None:
        return self._states.get(key)

    def put(self, key: tuple[object, ...], state: bytes) -> None:
        self._states[key] = state
        while len(self._states) > _REMEMBERED_STARTS:
            self._states.popitem(last=False)


_starts = _Starts()


def make_object_env(
    game: str,
    *,
    hud: bool = False,
    rules: Rules = _USUAL_RULES,
    render_mode: Literal["human", "rgb_array"] | None = None,
    **settings: Any,  # noqa: ANN401 - those of ale_py.AtariEnv
) -> ObjectObservation:
    """An ALE game observed as objects; the entry point of ``gco/<Game>-v5``.

    Args:
        game: Name of the ROM in snake case: "pong", "space_invaders".
        hud: As `ObjectObservation`.
        rules: As `ObjectObservation`.
        render_mode: As of any Gymnasium environment.
        settings: Of ``ale_py.AtariEnv``, such as ``frameskip`` and ``repeat_action_probability``.
            The defaults are those of ``ALE/<Game>-v5`` (Machado et al. 2018, arXiv:1709.06009).
    """
    settings = {"obs_type": "ram", "max_num_frames_per_episode": 108_000, **settings}
    env = ale_py.AtariEnv(game, render_mode=render_mode, **settings)
    return ObjectObservation(env, hud=hud, rules=rules)
