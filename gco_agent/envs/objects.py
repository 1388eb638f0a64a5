"""Atari games seen as objects: a Gymnasium wrapper over the standard ALE environment.

The only module that imports ale_py. `ObjectObservation` takes any ALE environment; the judge and
the search use it too, so that what a score says holds in everybody's loop.
"""

from __future__ import annotations

import pickle
from collections import OrderedDict
from typing import Any, SupportsFloat

import ale_py
import gymnasium


from gco_agent.envs.extraction import ObjectExtractor
from gco_agent.errors import UsageError
from gco_agent.observation import ObjectBox, Observation, Row, build_observation

_PRIMING_FRAMES = 12
"""Frames that put the held action of sticky actions back, which no saved state contains: with
repeat probability 0.25 the chance that an older one survives is 0.25 ** 12, below 1e-7."""
_REMEMBERED_STARTS = 1024


class ObjectSpace(gymnasium.Space[Observation]):
    """All observations of objects: category to a sequence of `ObjectBox`.

    Sampling gives up to three boxes in each of ``categories``, anywhere on a 160 x 210 screen.
    """

    def __init__(self, categories: tuple[str, ...] = (), seed: int | None = None) -> None:
        super().__init__(shape=None, dtype=None, seed=seed)
        self.categories = categories

    @property
    def is_np_flattenable(self) -> bool:
        """Whether the space flattens to a box: no, the number of objects varies."""
        return False

    def sample(self, mask: None = None, probability: None = None) -> Observation:
        """A random observation; masks are not supported and are ignored."""
        rng = self.np_random
        boxes = {
            category: [
                ObjectBox(*(int(v) for v in rng.integers((0, 0, 1, 1), (160, 210, 16, 16))))
                for _ in range(int(rng.integers(1, 4)))
            ]
            for category in self.categories
        }
        return Observation(boxes, lives=int(rng.integers(0, 6)))

    def contains(self, x: Any) -> bool:
        """Whether ``x`` is an observation of objects."""
        return isinstance(x, Observation) and all(
            isinstance(category, str) and all(isinstance(box, ObjectBox) for box in members)
            for category, members in x.items()
        )

    def __repr__(self) -> str:
        return f"ObjectSpace({', '.join(self.categories)})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ObjectSpace) and self.categories == other.categories

    __hash__ = None  # type: ignore[assignment]


class ObjectObservation(gymnasium.Wrapper[Observation, int, Any, int]):
    """Observe an ALE environment as objects, category to a list of `ObjectBox`.

    Args:
        env: An ALE environment, whatever its own ``obs_type`` ("ram" is the cheapest), with or
            without other wrappers round it. Discrete actions.
        hud: Also observe scores and other displays, where OCAtari can read them.

    Raises:
        UsageError: ``env`` is not an ALE environment.

    ``reset(seed=...)`` gives the start that the ALE environment gives for that seed, to the bit,
    but loads the ROM (110 to 180 ms) only for the first use of a seed in a process.
    Measured: tests/ale/test_objects.py.
    """

    def __init__(self, env: gymnasium.Env[Any, Any], *, hud: bool = False) -> None:
        super().__init__(env)
        base = env.unwrapped
        if not isinstance(base, ale_py.AtariEnv):
            raise UsageError(
                f"{type(base).__name__} is no ALE environment; wrap one made by "
                'gymnasium.make("ALE/Pong-v5", obs_type="ram")'
            )
        self._base = base
        self._ale = base.ale
        self._game: str = base._game  # noqa: SLF001 - ale_py keeps the ROM's name there
        self._extractor = ObjectExtractor(self._game.replace("_", ""), hud=hud)
        self._frame_skip: Any = base._frameskip  # noqa: SLF001
        self._last_action = 0
        self._start_key = (
            self._game,
            base._game_mode,  # noqa: SLF001
            base._game_difficulty,  # noqa: SLF001
            self._ale.getFloat("repeat_action_probability"),
        )
        self.observation_space = ObjectSpace()

    @property
    def action_names(self) -> tuple[str, ...]:
        """What the actions are called, in the order of their indices: NOOP, FIRE, RIGHT..."""
        return tuple(action.name for action in self._base._action_set)  # noqa: SLF001

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observation, dict[str, Any]]:
        """Start an episode; the first observation has no movement in it."""
        rows, lives = self.reset_rows(seed, options)
        return build_observation(rows, lives), self._base._get_info()  # type: ignore[return-value] # noqa: SLF001

    def step(self, action: int) -> tuple[Observation, SupportsFloat, bool, bool, dict[str, Any]]:
        """Play one step of ``frame_skip`` frames."""
        _, reward, terminated, truncated, info = self.env.step(action)
        self._last_action = int(action)
        rows = self._extractor.step(self._ale.getRAM())
        return build_observation(rows, info["lives"]), reward, terminated, truncated, info

    def reset_rows(
        self, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[dict[str, list[Row]], int]:
        """As `reset`, but the objects as plain rows, and the lives left."""
        start = None if seed is None else _starts.get((*self._start_key, seed))
        self.env.reset(seed=None if start else seed, options=options)
        if start is not None:
            self._base.seed_game(seed)
            self._ale.restoreState(ale_py.ALEState(start))
        elif seed is not None:
            _starts.put((*self._start_key, seed), self._ale.cloneState(include_rng=True).serialize())
        self._last_action = 0
        return self._extractor.reset(self._ale.getRAM()), self._ale.lives()

    def step_rows(self, action: int) -> tuple[dict[str, list[Row]], int, float, bool, bool]:
        """As `step`, past all wrappers below: rows, lives left, reward, terminated, truncated."""
        _, reward, terminated, truncated, info = self._base.step(action)
        self._last_action = action
        rows = self._extractor.step(self._ale.getRAM())
        return rows, info["lives"], float(reward), terminated, truncated

    def save(self) -> bytes:
        """The moment between two steps, from which `restore` goes on exactly; about 20 KB."""
        state = self._ale.cloneState(include_rng=True).serialize()
        return pickle.dumps((state, self._last_action, self._extractor.save()))

    def restore(self, saved: bytes) -> None:
        """Go on from a moment that `save` gave, in this process or another of this machine.

        Args:
            saved: From `save` of the same game and settings. Never bytes from elsewhere: pickle.
        """
        state, self._last_action, objects = pickle.loads(saved)  # noqa: S301 - our own bytes
        self._ale.restoreState(ale_py.ALEState(state))
        held = self._base._action_set[self._last_action]  # noqa: SLF001
        for _ in range(_PRIMING_FRAMES):
            self._ale.act(held)
        self._ale.restoreState(ale_py.ALEState(state))
        self._extractor.restore(objects)


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
    frameskip: int = 4,
    repeat_action_probability: float = 0.25,
    max_num_frames_per_episode: int = 108_000,
    full_action_space: bool = False,
    render_mode: str | None = None,
) -> ObjectObservation:
    """An ALE game observed as objects; the entry point of ``gco/<Game>-v5``.

    Args:
        game: Name of the ROM in snake case: "pong", "space_invaders".

    The defaults are those of ``ALE/<Game>-v5`` (Machado et al. 2018, arXiv:1709.06009).
    """
    base = ale_py.AtariEnv(
        game,
        obs_type="ram",
        frameskip=frameskip,
        repeat_action_probability=repeat_action_probability,
        max_num_frames_per_episode=max_num_frames_per_episode,
        full_action_space=full_action_space,
        render_mode=render_mode,  # type: ignore[arg-type]
    )
    return ObjectObservation(base, hud=hud)
