"""OCAtari's own RAM extraction, without OCAtari's environment.

The only module that loads ocatari. `import ocatari` costs about 1.5 s and 150 MB (cv2, pygame,
matplotlib), and its environment fetches two RGB frames a step that nobody looks at; the functions
that read objects from the console's 128 bytes of RAM need none of it. So the files of
``ocatari.ram`` are loaded under a package name of our own, and are fed lists of ints, which is
2.5 to 10 times faster than numpy scalars and gives the same objects.
Checked frame by frame against OCAtari's environment: tests/ale/test_extraction.py.
"""

from __future__ import annotations

import copy
import importlib.util
import itertools
import sys
import types
from collections.abc import Callable, Mapping, Sequence
from enum import Enum
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from gco_agent.errors import GcoError
from gco_agent.observation import Row

RamState = npt.NDArray[np.uint8]
"""The console's RAM, shape (128,)."""
SavedObjects = tuple[list[tuple[str, dict[str, Any]] | None], dict[str, Any]]
"""Class and attributes of every object, None for an empty slot; and module globals."""

MAX_STEP_PX = 40
"""A larger displacement in one step is a slot re-used for another object, or a wrap round the
screen, and is reported as no movement (Freeway's cars: 150 px in one step)."""

_PACKAGE = "_gco_ocatari"
_WRAPS_UINT8 = frozenset({"assault", "enduro", "hero", "yarsrevenge"})
"""Modules that rely on uint8 arithmetic wrapping round and so get the array itself."""
_KEEPS_GLOBALS = frozenset(
    (
        *("adventure", "assault", "atlantis", "boxing", "carnival", "hero"),
        *("mspacman", "pacman", "pitfall", "pooyan", "qbert", "riverraid"),
    )
)
"""Modules that remember things between frames in module globals: each extractor has its own copy
of these, or two environments of one process would corrupt each other, and begins each episode with
the globals as they were loaded, or an episode would depend on the one before."""
_REMEMBERED_WALLS = 4096
_PLAIN = (bool, int, float, str, tuple, list, dict, set, type(None))

_copies = itertools.count(1)


class ObjectExtractor:
    """The objects of one running game, read from its RAM once a step.

    Args:
        module: Name of OCAtari's module: "pong", "spaceinvaders".
        hud: Also read what the game writes for the player: scores, lives.
        raw: Leave velocities as OCAtari has them: from (0, 0) in the first observation, and from
            one thing to another where a slot is used again.
    """

    def __init__(self, module: str, *, hud: bool = False, raw: bool = False) -> None:
        self._module = _load(module)
        self._hud = hud
        self._raw = raw
        self._most_px = 10**6 if raw else MAX_STEP_PX
        self._as_array = module in _WRAPS_UINT8
        self._keeps_globals = module in _KEEPS_GLOBALS
        self._first_globals = self._save_globals()
        self._objects: list[Any] = []

    @property
    def categories(self) -> tuple[str, ...]:
        """The categories that the game can have on the screen, as OCAtari lists them."""
        name = "MAX_NB_OBJECTS_HUD" if self._hud else "MAX_NB_OBJECTS"
        return tuple(getattr(self._module, name, ()))

    def reset(self, ram: RamState) -> dict[str, list[Row]]:
        """Forget the last episode and read the first objects of a new one; nothing moves yet."""
        vars(self._module).update(copy.deepcopy(self._first_globals))
        things = self._module._init_objects_ram(self._hud)  # noqa: SLF001 - its public face
        # Enduro's and Assault's displays begin as classes, which OCAtari 2.2.1 then fails on
        self._objects = [thing() if isinstance(thing, type) else thing for thing in things]
        self.read(ram)
        for thing in self._objects:
            if thing and not self._raw:
                thing._prev_xy = thing._xy  # noqa: SLF001 - else they fly in from (0, 0)
        return self._rows()

    def step(self, ram: RamState) -> dict[str, list[Row]]:
        """The objects after one more step: category to rows, in OCAtari's order."""
        self.read(ram)
        return self._rows()

    def read(self, ram: RamState) -> None:
        """Bring the objects up to ``ram``, without making rows of them."""
        for thing in self._objects:
            if thing:
                thing._prev_xy = thing._xy  # noqa: SLF001 - as GameObject._save_prev
        detect = self._module._detect_objects_ram  # noqa: SLF001
        if self._as_array:
            with np.errstate(over="ignore"):  # wrapping round is meant
                detect(self._objects, ram, self._hud)
        else:
            detect(self._objects, ram.tolist(), self._hud)

    @property
    def objects(self) -> Sequence[Any]:
        """OCAtari's own objects as they stand; they change with the next step."""
        return self._objects

    def _rows(self) -> dict[str, list[Row]]:
        rows: dict[str, list[Row]] = {}
        most = self._most_px
        for thing in self._objects:
            if not thing:
                continue
            x, y = thing._xy  # noqa: SLF001 - the properties cost five times as much
            before = thing._prev_xy  # noqa: SLF001
            dx = dy = 0
            if before is not None:
                dx, dy = x - before[0], y - before[1]
                if not (-most <= dx <= most and -most <= dy <= most):
                    dx = dy = 0
            w, h = thing.wh
            facing = thing._orientation  # noqa: SLF001
            row = (
                int(x),
                int(y),
                int(w),
                int(h),
                int(dx),
                int(dy),
                getattr(thing, "_value", None),
                tuple(thing._rgb),  # noqa: SLF001
                facing.name if isinstance(facing, Enum) else facing,
            )
            category = thing.__class__.__name__
            members = rows.get(category)
            if members is None:
                rows[category] = [row]
            else:
                members.append(row)
        return rows

    def save(self) -> SavedObjects:
        """Everything that the next step depends on, as plain data that pickles."""
        things = [None if o is None else (type(o).__name__, dict(vars(o))) for o in self._objects]
        return things, self._save_globals()

    def restore(self, saved: SavedObjects) -> None:
        """Go on from where `save` was called, in this extractor or another of the same game."""
        things, kept = saved
        self._objects = []
        for thing in things:
            if thing is None:
                self._objects.append(None)
                continue
            category, state = thing
            kind: type[Any] = getattr(self._module, category)
            twin = object.__new__(kind)
            twin.__dict__.update(state)
            self._objects.append(twin)
        vars(self._module).update(copy.deepcopy(kept))

    def _save_globals(self) -> dict[str, Any]:
        if not self._keeps_globals:
            return {}
        return {
            name: copy.deepcopy(value)
            for name, value in vars(self._module).items()
            if not name.startswith("__") and isinstance(value, _PLAIN)
        }


def _root() -> Path:
    spec = importlib.util.find_spec("ocatari")
    if spec is None or spec.origin is None:
        raise GcoError("ocatari is not installed: `pip install ocatari==2.2.1`")
    return Path(spec.origin).parent


def _load(module: str) -> types.ModuleType:
    """OCAtari's RAM module of a game; a copy of its own where the module keeps state."""
    _make_packages()
    path = _root() / "ram" / f"{module}.py"
    if not path.is_file():
        raise GcoError(f"ocatari has no RAM extraction called {module!r} (looked for {path.name})")
    name = f"{_PACKAGE}.ram.{module}"
    if module in _KEEPS_GLOBALS:
        name = f"{name}_{next(_copies)}"
    elif name in sys.modules:
        return sys.modules[name]
    loaded = _load_file(name, path)
    if module == "breakout":
        vars(loaded)["_calculate_blocks"] = _remember_walls(loaded)
    return loaded


def _load_file(name: str, path: Path) -> types.ModuleType:
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise GcoError(f"{path} cannot be loaded")
    loaded = importlib.util.module_from_spec(spec)
    sys.modules[name] = loaded  # the modules look themselves up there
    spec.loader.exec_module(loaded)
    return loaded


def _make_packages() -> None:
    """Packages with OCAtari's files in them and none of its ``__init__`` run."""
    if f"{_PACKAGE}.vision.utils" in sys.modules:
        return
    root = _root()
    for name, folder in (("", root), (".ram", root / "ram"), (".vision", root / "vision")):
        package = types.ModuleType(_PACKAGE + name)
        package.__path__ = [str(folder)]
        sys.modules[_PACKAGE + name] = package
    utils = types.ModuleType(f"{_PACKAGE}.vision.utils")
    vars(utils)["match_objects"] = _match_objects
    sys.modules[utils.__name__] = utils


def _match_objects(*args: object) -> object:
    """OCAtari's matching of boxes to objects; its module (cv2, skimage, scipy) loads when used."""
    name = f"{_PACKAGE}.vision._utils"
    real = sys.modules.get(name) or _load_file(name, _root() / "vision" / "utils.py")
    match: Callable[..., object] = real.match_objects
    return match(*args)


def _remember_walls(module: types.ModuleType) -> Callable[[Sequence[int]], list[list[Any]]]:
    """Breakout's wall is a function of 36 bytes: decode each wall once, with OCAtari's own code.

    Its decoder goes by way of strings and numpy and would take a third of a step.
    """
    decode: Callable[[RamState], list[list[Any]]] = module._calculate_blocks  # noqa: SLF001
    block = module.Block
    walls: dict[bytes, list[list[Mapping[str, Any]]]] = {}

    def calculate_blocks(ram: Sequence[int]) -> list[list[Any]]:
        key = bytes(ram[:36])
        wall = walls.get(key)
        if wall is None:
            if len(walls) >= _REMEMBERED_WALLS:
                walls.clear()
            rows = decode(np.frombuffer(key, np.uint8))
            wall = walls[key] = [[dict(vars(brick)) for brick in row] for row in rows]
        fresh = []
        for row in wall:
            bricks = []
            for state in row:
                brick = object.__new__(block)
                brick.__dict__.update(state)
                bricks.append(brick)
            fresh.append(bricks)
        return fresh

    return calculate_blocks
