"""From a name to a game's specification, and from the rules of play to an environment."""

from __future__ import annotations

import contextlib
import difflib
import importlib.util
import random
import re
import sys
from collections.abc import Sequence
from dataclasses import replace
from importlib import metadata
from pathlib import Path
from typing import Any, Protocol

import gymnasium
import numpy as np
import numpy.typing as npt
from gymnasium.envs.registration import EnvSpec

from gco_agent.core.errors import UsageError
from gco_agent.core.observation import Row
from gco_agent.core.records import PlayProtocol
from gco_agent.envs import atari
from gco_agent.envs.extraction import Rows, digest_of
from gco_agent.envs.gymnasium_env import (
    Action,
    GymnasiumEnvironment,
    import_users,
    register_for,
    require_own_name,
)
from gco_agent.games.registry import (
    documented,
    find_game,
    imports_code,
    likeness,
    nearest_game,
    why_not_played,
)
from gco_agent.games.spec import SOLVED, Control, Field, GameSpec, Score, random_policy
from gco_agent.policy.source import PolicySource, environment_of

KNOWN: dict[str, GameSpec] = {}
"""Specifications that a program made, by the id of their environment; see `local`."""
_LONGEST = 27_000
_MOST_FIELDS = 400
_LIBRARIES = {"box2d": "box2d", "mujoco": "mujoco", "minigrid": "minigrid"}
"""Part of an entry point to the package whose version affects the numbers."""
_WORD = re.compile(r"[A-Z]+(?=[A-Z][a-z])|[A-Z]?[a-z]+|[A-Z]+|\d+x\d+|\d+")


class Environment(Protocol):
    """A game as it is played: one episode after the other, each decided by its seed.

    Advancing and observing are apart, since playing several environments side by side is faster
    if all of them advance before any is observed: emulators push Python out of the caches.
    """

    @property
    def has_objects(self) -> bool:
        """Whether it is observed as objects (category to rows) or as Gymnasium's values."""

    @property
    def n_actions(self) -> int:
        """Actions are the integers below this; 0 if they are numbers."""

    @property
    def n_floats(self) -> int:
        """Numbers in an action; 0 if it is an integer."""

    @property
    def bounds(self) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """Least and largest value of each number of an action."""

    @property
    def action_names(self) -> tuple[str, ...]:
        """Names of integer actions, in order."""

    def begin(self, seed: int) -> tuple[Any, int]:
        """Start an episode; return the first observation, as the jail sends it, and the lives."""

    def advance(self, action: Any) -> tuple[float, bool, bool]:  # noqa: ANN401
        """Play one step; return reward, terminated, truncated."""

    def observe(self) -> tuple[Any, int]:
        """Return the observation and the lives left; call it once after each `advance`."""

    def complaint(self, action: Action) -> str:
        """Return why ``action`` is invalid; "" if it is valid."""

    def picture(self) -> npt.NDArray[np.uint8]:
        """Return an RGB picture of the screen."""

    def close(self) -> None:
        """Release its resources."""


def named_environment(source: PolicySource) -> str | None:
    """Return the environment that a policy names in its docstring; nothing is imported.

    Raises:
        UsageError: It names code, which would run outside the jail.
    """
    name = environment_of(source)
    if name is not None and imports_code(name):
        raise UsageError(
            f"the policy's docstring says `Environment: {name}`, which is code, and a policy is "
            "not believed about what to load and run outside the jail. If you know that code and "
            f"trust it, name it yourself: --env {name} (in Python: game={name!r})"
        )
    return name


def find_spec(name: str) -> GameSpec:
    """Return the game of that name, Gymnasium id, ``module:id``, or file with a ``SPEC``.

    The latter two run code outside any jail, so such a name has to come from a person.
    """
    if name in KNOWN:
        return KNOWN[name]
    if name.endswith(".py"):
        return load_spec(Path(name))
    if ":" in name:
        return _of_module(name)
    try:
        return find_game(name)
    except UsageError as error:
        register_for(name)
        env_id = _registered(name)
        if env_id is None:
            raise UsageError(_with_nearest_id(name, str(error))) from None
        return _describe(env_id)


def load_spec(path: Path) -> GameSpec:
    """Load the ``SPEC`` of a file, whose folder becomes importable."""
    if not path.is_file():
        raise UsageError(f"there is no file {path}")
    make_importable(path.parent)
    require_own_name(path)
    return _of_module(path.stem)


def make_importable(folder: Path) -> None:
    """Make the modules in ``folder`` importable, also in worker processes started later."""
    where = str(folder.resolve())
    if where not in sys.path:
        sys.path.append(where)


def _of_module(name: str) -> GameSpec:
    """Return the ``SPEC`` of a module, or a description of what ``module:id`` registers."""
    module_name, _, env_id = name.partition(":")
    module = import_users(module_name)
    spec = getattr(module, "SPEC", None)
    if isinstance(spec, GameSpec) and env_id in ("", spec.env_id, spec.env_id.partition(":")[2]):
        return spec.in_module(module_name)
    if not env_id:
        raise UsageError(f"{module_name} has no SPEC = GameSpec(...)")
    if env_id not in gymnasium.registry and callable(make := getattr(module, env_id, None)):
        gymnasium.register(env_id, entry_point=lambda **_: make())
    if env_id not in gymnasium.registry:
        raise UsageError(f"the module {module_name} registers no environment {env_id}")
    return _describe(name)


def _registered(name: str) -> str | None:
    """Return Gymnasium's id for ``name``; letter case and version may be left out."""
    if name in gymnasium.registry:
        return name
    wanted = name.lower()
    found = [
        env_id
        for env_id in gymnasium.registry
        if wanted in (env_id.lower(), re.sub(r"-v\d+$", "", env_id.lower()))
    ]
    return max(found, key=lambda i: int((re.findall(r"-v(\d+)$", i) or [0])[0]), default=None)


def _with_nearest_id(name: str, refusal: str) -> str:
    """Return the refusal of an unknown name, with the Gymnasium id that may be meant."""
    if why_not_played(name):
        return refusal
    known = {env_id.lower(): env_id for env_id in gymnasium.registry if "/" not in env_id}
    near = difflib.get_close_matches(name.lower(), known, n=1, cutoff=0.7)
    if not near:
        return f"{refusal} Any id of Gymnasium will do too, such as CartPole-v1."
    env_id = known[near[0]]
    if likeness(name, env_id) > likeness(name, nearest_game(name)):
        return (
            f"no game or environment is called {name!r}. Did you mean {env_id}? `gco-agent games` "
            "lists the games of Atari; any id of Gymnasium will do too."
        )
    return refusal


def _describe(env_id: str) -> GameSpec:
    """Make a specification from Gymnasium and its documentation."""
    base = re.sub(r"-v\d+$", "", env_id.rpartition(":")[2].rpartition("/")[2])
    known = documented().get(base)
    spec = GameSpec(
        name="_".join(_WORD.findall(base)).lower() or base.lower(),
        title=base,
        env_id=env_id,
        goal=known.goal if known else "Make the sum of rewards large.",
        module=env_id.partition(":")[0] if ":" in env_id else "",
        most_a_step=known.most_a_step if known else None,
        least=known.least if known else None,
    )
    with contextlib.closing(GymnasiumEnvironment(env_id)) as env:
        if known and env.n_actions:
            spec = replace(spec, actions=known.actions)
        if known and len(known.fields) == env.n_numbers:
            spec = replace(spec, fields=known.fields)
        if known and env.n_floats:
            spec = replace(spec, controls=_controls(env, known.controls))
        if (solved := env.reward_threshold) is not None:
            spec = replace(spec, scores=(Score(SOLVED, solved, "Gymnasium's reward_threshold"),))
        return _filled(spec, env)


def complete_spec(spec: GameSpec) -> GameSpec:
    """Fill what the specification leaves open with what its environment says."""
    is_complete = (spec.actions or spec.controls) and (spec.fields or spec.seen)
    if spec.has_objects or is_complete:
        return spec
    with contextlib.closing(GymnasiumEnvironment(spec.env_id)) as env:
        return _filled(spec, env)


def _filled(spec: GameSpec, env: GymnasiumEnvironment) -> GameSpec:
    fields, seen = (spec.fields, spec.seen) if spec.fields or spec.seen else _unnamed(env)
    return replace(
        spec,
        fields=fields,
        seen=seen,
        actions=spec.actions or dict.fromkeys(env.action_names, ""),
        controls=spec.controls or _controls(env, ()),
    )


def _controls(env: Environment, known: Sequence[Control]) -> tuple[Control, ...]:
    """Return the numbers of an action with their bounds; none if it is an integer."""
    low, high = env.bounds
    meanings = [control.meaning for control in known] if len(known) == len(low) else [""] * len(low)
    return tuple(Control(a, b, word) for a, b, word in zip(low, high, meanings, strict=True))


def _unnamed(env: GymnasiumEnvironment) -> tuple[tuple[Field, ...], str]:
    """Return numbered fields of a vector; or none, and what an observation is."""
    shape = getattr(env.observation_space, "shape", None)
    if shape is not None and len(shape) == 1 and env.n_numbers <= _MOST_FIELDS:
        return tuple(Field(f"obs[{number}]") for number in range(env.n_numbers)), ""
    return (), f"of the Gymnasium space {env.observation_space}"


def spec_of(protocol: PlayProtocol) -> GameSpec:
    """Return the specification of the game of ``protocol``; raises as `find_spec`."""
    return find_spec(protocol.env_id)


def make_protocol(
    name: str, game: str, max_steps: int | None = None, objects: str | None = None
) -> PlayProtocol:
    """Return the rules called ``name`` for anything that `find_spec` finds.

    Args:
        name: "default"; for Atari games also the others of `atari.PROTOCOLS`.
        max_steps: Steps after which an episode is truncated, unless Gymnasium's limit is lower.
    """
    spec = find_spec(game)
    if spec.has_objects:
        return atari.make_protocol(name, spec.env_id, max_steps, objects)
    spec.require_rules(name, objects)
    with contextlib.closing(GymnasiumEnvironment(spec.env_id)) as env:
        limit = min(max_steps or _LONGEST, env.max_steps or _LONGEST)
    return PlayProtocol(
        "default",
        spec.env_id,
        frame_skip=1,
        sticky=0.0,
        max_steps=limit,
        versions=_versions(spec.env_id),
    )


def _versions(env_id: str) -> tuple[tuple[str, str], ...]:
    """Return the versions that decide the numbers of a Gymnasium environment."""
    entry = gymnasium.spec(env_id.rpartition(":")[2]).entry_point
    home = str(entry) if isinstance(entry, str) else getattr(entry, "__module__", "") or ""
    libraries = [package for part, package in _LIBRARIES.items() if part in str(entry)]
    versions = [(package, metadata.version(package)) for package in ["gymnasium", *libraries[:1]]]
    if ":" in env_id:
        names = dict.fromkeys((env_id.partition(":")[0], home.partition(":")[0]))
        specs = [importlib.util.find_spec(name) for name in names if name]
        files = [Path(spec.origin) for spec in specs if spec is not None and spec.origin]
        if texts := [path.read_bytes() for path in files if path.is_file()]:
            versions.append(("module", digest_of(b"\0".join(texts))))
    return tuple(versions)


def open_environment(protocol: PlayProtocol, *, is_seen: bool = False) -> Environment:
    """Make the environment that ``protocol`` describes.

    Raises:
        GcoError: The versions installed here differ from those of the protocol.
    """
    env: Environment
    if protocol.has_objects:
        env = atari.open_environment(protocol)
    else:
        if ":" in protocol.env_id:
            _of_module(protocol.env_id)
        else:
            register_for(protocol.env_id)
        atari.require_versions(protocol, _versions(protocol.env_id))
        env = GymnasiumEnvironment(protocol.env_id, is_seen=is_seen)
    if protocol.is_disturbed or (protocol.sticky and not protocol.has_objects):
        return DisturbedEnvironment(env, protocol)
    return env


def environment_spec(protocol: PlayProtocol) -> EnvSpec:
    """Return from what Gymnasium makes the environment without gco-agent."""
    if protocol.has_objects:
        return atari.emulator_spec(protocol)
    spec_of(protocol)  # imports the module that registers the id
    return gymnasium.spec(protocol.env_id.rpartition(":")[2])


def initial_policy(protocol: PlayProtocol) -> str:
    """Return the text of the policy that a run under ``protocol`` starts from."""
    spec = spec_of(protocol)
    with contextlib.closing(open_environment(protocol)) as env:
        if spec.has_objects:
            return spec.initial_policy(env.action_names)
        return spec.start or random_policy(spec.title, protocol.env_id, env.n_actions, *env.bounds)


_NOOP = 0


class DisturbedEnvironment:
    """Play an environment as its protocol disturbs it; see `Environment`.

    What happens depends on the episode's seed alone, so that an episode can be played again.

    Sticky actions are the emulator's where there is one, and this class's elsewhere.
    """

    def __init__(self, env: Environment, rules: PlayProtocol) -> None:
        self._env, self._rules = env, rules
        self._sticky = 0.0 if env.has_objects else rules.sticky
        self._chance = random.Random()  # noqa: S311 - seeded in `begin`
        self._last: Action | None = None
        self._seen: object = None
        self._moved: dict[tuple[str, int], tuple[int, int]] = {}

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - of the environment
        return getattr(self._env, name)

    def begin(self, seed: int) -> tuple[Any, int]:
        """Start an episode, with some frames of doing nothing if the protocol has them."""
        seen, lives = self._env.begin(seed)
        self._chance.seed(f"disturbed {seed}")
        self._last, self._moved = None, {}
        if self._rules.noop_frames:
            most = max(1, self._rules.noop_frames // self._rules.frame_skip)
            for _ in range(self._chance.randint(1, most)):
                self._env.advance(_NOOP)
                seen, lives = self._env.observe()
        self._seen = self._moved_rows(seen) if self._env.has_objects else self._noisy(seen)
        return self._seen, lives

    def advance(self, action: Action) -> tuple[float, bool, bool]:
        """Play one step, of the previous action where that one sticks."""
        if self._last is not None and self._chance.random() < self._sticky:
            action = self._last
        self._last = action
        return self._env.advance(action)

    def observe(self) -> tuple[Any, int]:
        """Return the disturbed observation, and the lives left."""
        seen, lives = self._env.observe()
        if self._env.has_objects:
            return self._moved_rows(seen), lives
        if self._chance.random() >= self._rules.dropout:
            self._seen = self._noisy(seen)
        return self._seen, lives

    def _moved_rows(self, rows: Rows) -> Rows:
        if not (self._rules.noise_px or self._rules.dropout):
            return rows
        seen: Rows = {}
        moved: dict[tuple[str, int], tuple[int, int]] = {}
        for category, members in rows.items():
            left = []
            for number, row in enumerate(members):
                key = category, number
                moved[key] = self._offset()
                if self._chance.random() >= self._rules.dropout:
                    left.append(_displace(row, moved[key], self._moved.get(key, moved[key])))
            if left:
                seen[category] = left
        self._moved = moved
        return seen

    def _offset(self) -> tuple[int, int]:
        noise = self._rules.noise_px
        if not noise:
            return 0, 0
        return round(self._chance.gauss(0, noise)), round(self._chance.gauss(0, noise))

    def _noisy(self, obs: object) -> object:
        if not self._rules.noise_share or not isinstance(obs, np.ndarray):
            return obs
        factors = [1 + self._chance.gauss(0, self._rules.noise_share) for _ in range(obs.size)]
        return (obs * np.reshape(factors, obs.shape)).astype(obs.dtype)


def _displace(row: Row, now: tuple[int, int], before: tuple[int, int]) -> Row:
    """Move a row; its velocity is the difference of two moved places."""
    x, y, w, h, dx, dy, *rest = row
    moved = (x + now[0], y + now[1], w, h, dx + now[0] - before[0], dy + now[1] - before[1])
    return (*moved, *rest)  # type: ignore[return-value]
