"""Objects of an Atari game, read from the console's RAM by OCAtari's functions.

OCAtari's RAM modules are loaded without its environment, and fed lists of ints where they can be:
two to ten times as fast as arrays. tests/ale/test_extraction.py compares every frame with
OCAtari's own environment.
"""

from __future__ import annotations

import ast
import copy
import functools
import hashlib
import importlib.util
import itertools
import sys
import types
from collections.abc import Callable, Sequence
from enum import Enum
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from gco_agent.core.errors import GcoError
from gco_agent.core.observation import Row

RamState = npt.NDArray[np.uint8]
"""The console's RAM, shape (128,)."""
Rows = dict[str, list[Row]]
"""Category to its objects."""
SavedObjects = tuple[list[tuple[str, dict[str, Any]] | None], dict[str, Any]]
"""Class and attributes of every object, None for an empty slot; and module globals."""

MAX_STEP_PX = 40
"""A larger displacement in one step is a slot that now holds another object, or a wrap around the
screen (Freeway's cars: 150 px), and is reported as no movement."""

_PACKAGE = "_gco_ocatari"
_WRAPS_UINT8 = frozenset({"assault", "enduro", "hero", "yarsrevenge"})
"""Modules that rely on uint8 arithmetic wrapping around, and so get the array itself."""
_KEEPS_GLOBALS = frozenset(
    (
        *("adventure", "assault", "atlantis", "boxing", "carnival", "hero"),
        *("mspacman", "pacman", "pitfall", "pooyan", "qbert", "riverraid"),
    )
)
"""Modules that keep state in module globals. Each extractor loads its own copy, so that two
environments of a process do not disturb each other, and each episode starts from the globals as
they were loaded."""
_KEPT = "kept row"
"""Attribute in which an object that does not move caches its row."""
_ABSENT = frozenset({"NoObject", "NoObjectPlayer", "NoneType"})
"""Classes of an empty slot; Asteroids has its own for a lost ship."""
_PLAIN = (bool, int, float, str, tuple, list, dict, set, type(None))

_HERE = Path(__file__).parent
_OBSERVING = (
    *(_HERE / f"{name}.py" for name in ("objects", "extraction", "ram_readers")),
    _HERE.parent / "core" / "observation.py",
)
_copies = itertools.count(1)


class ObjectExtractor:
    """Read the objects of one running game from its RAM, once a step.

    Args:
        module: Name of OCAtari's module: "pong", "spaceinvaders".
        hud: Also read displays: scores, lives.
        raw: Keep OCAtari's velocities: from (0, 0) in the first observation, and from one object to
            another where a slot is used again.
    """

    def __init__(
        self, module: str, *, hud: bool = False, raw: bool = False, unseen: Sequence[str] = ()
    ) -> None:
        self._module = _load(module)
        self._unseen = _ABSENT.union(unseen)
        self._hud = hud
        self._raw = raw
        self._most_px = 10**6 if raw else MAX_STEP_PX
        self._as_array = module in _WRAPS_UINT8
        self._keeps_globals = module in _KEEPS_GLOBALS
        self._first_globals = self._save_globals()
        self._objects: list[Any] = []

    @property
    def categories(self) -> tuple[str, ...]:
        """The categories that can be observed, as OCAtari lists them."""
        name = "MAX_NB_OBJECTS_HUD" if self._hud else "MAX_NB_OBJECTS"
        return tuple(c for c in getattr(self._module, name, ()) if c not in self._unseen)

    def reset(self, ram: RamState) -> Rows:
        """Return the first objects of an episode; nothing moves yet."""
        vars(self._module).update(copy.deepcopy(self._first_globals))
        things = self._module._init_objects_ram(self._hud)  # noqa: SLF001 - its public face
        # Enduro's and Assault's displays begin as classes, which OCAtari 2.2.1 then fails on
        self._objects = [thing() if isinstance(thing, type) else thing for thing in things]
        self._detect(ram)
        if not self._raw:
            self._save_positions()  # else they fly in from (0, 0)
        return self._rows()

    def step(self, ram: RamState) -> Rows:
        """Return the objects after one more step, in OCAtari's order."""
        self._detect(ram)
        return self._rows()

    def _detect(self, ram: RamState) -> None:
        self._save_positions()
        detect = self._module._detect_objects_ram  # noqa: SLF001
        if self._as_array:
            with np.errstate(over="ignore"):  # wrapping around is meant
                detect(self._objects, ram, self._hud)
        else:
            detect(self._objects, ram.tolist(), self._hud)

    def _save_positions(self) -> None:
        """Do what OCAtari does before each step: `GameObject._save_prev` of visible objects."""
        for thing in self._objects:
            if thing.__class__.__name__ in _ABSENT or not thing._visible:  # noqa: SLF001
                continue
            thing._prev_xy = thing._xy  # noqa: SLF001

    def _rows(self) -> Rows:
        """Return the rows of visible objects; bypasses OCAtari's slow properties."""
        rows: Rows = {}
        most = self._most_px
        for thing in self._objects:
            kind = thing.__class__
            category = kind.__name__
            if category in self._unseen or not thing._visible:  # noqa: SLF001
                continue
            state = thing.__dict__
            here, rgb = state["_xy"], state["_rgb"]
            kept = state.get(_KEPT)
            if (
                kept is not None
                and here is kept[0] is state["_prev_xy"]
                and rgb is kept[1]
                and state["wh"] is kept[2]
                and state["_orientation"] is kept[3]
                and "_value" not in state
            ):
                row = kept[4]
            else:
                row = _row_of(state, most)
                if here is state["_prev_xy"]:
                    state[_KEPT] = (here, rgb, state["wh"], state["_orientation"], row)
            members = rows.get(category)
            if members is None:
                rows[category] = [row]
            else:
                members.append(row)
        return rows

    def save(self) -> SavedObjects:
        """Return all that the next step depends on, as plain data."""
        things = [None if o is None else (type(o).__name__, _lasting(o)) for o in self._objects]
        return things, self._save_globals()

    def restore(self, saved: SavedObjects) -> None:
        """Continue from `save`, of this extractor or another one of the same game."""
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


def _lasting(thing: object) -> dict[str, Any]:
    return {name: value for name, value in vars(thing).items() if name != _KEPT}


def _row_of(state: dict[str, Any], most: int) -> Row:
    """Return the row of an object with these attributes; ``most``: the largest displacement."""
    x, y = here = state["_xy"]
    before = state["_prev_xy"]
    dx = dy = 0
    if before is not None and before is not here:
        dx, dy = x - before[0], y - before[1]
        if not (-most <= dx <= most and -most <= dy <= most):
            dx = dy = 0
    w, h = state["wh"]
    rgb, facing = state["_rgb"], state["_orientation"]
    return (
        x if x.__class__ is int else int(x),
        y if y.__class__ is int else int(y),
        w if w.__class__ is int else int(w),
        h if h.__class__ is int else int(h),
        dx if dx.__class__ is int else int(dx),
        dy if dy.__class__ is int else int(dy),
        state.get("_value"),
        rgb if rgb.__class__ is tuple else tuple(rgb),
        facing._name_ if isinstance(facing, Enum) else facing,
    )


@functools.cache
def observation_digest(module: str) -> str:
    """Return a hash of the code that reads a game's objects, without comments."""
    names = (f"{module}.py", "game_objects.py", "_helper_methods.py")
    theirs = [(_root() / "ram" / name).read_bytes() for name in names]
    ours = [essence(path.read_text("utf-8")).encode() for path in _OBSERVING]
    return digest_of(b"\0".join([*theirs, *ours]))


def essence(text: str) -> str:
    """Return Python source without docstrings, comment lines and blank lines."""
    lines = text.splitlines()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            for number in range(node.lineno - 1, node.end_lineno or node.lineno):
                lines[number] = ""
    return "\n".join(line for line in lines if line.strip() and line.lstrip()[0] != "#")


def digest_of(data: bytes) -> str:
    """Return a short hash for the versions of a protocol."""
    return hashlib.sha256(data).hexdigest()[:12]


def _root() -> Path:
    spec = importlib.util.find_spec("ocatari")
    if spec is None or spec.origin is None:
        raise GcoError("ocatari is not installed: `pip install ocatari==2.2.1`")
    return Path(spec.origin).parent


def _load(module: str) -> types.ModuleType:
    """Return OCAtari's RAM module of a game; a fresh copy if the module keeps state."""
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
        vars(loaded)["_calculate_blocks"] = _decode_lists(loaded)
    return loaded


def _decode_lists(breakout: types.ModuleType) -> Callable[[Sequence[int]], object]:
    """Return Breakout's decoder of the wall for lists; OCAtari's takes arrays only."""
    decode: Callable[[RamState], object] = breakout._calculate_blocks  # noqa: SLF001

    def calculate_blocks(ram: Sequence[int]) -> object:
        return decode(np.array(ram, np.uint8))

    return calculate_blocks


def _load_file(name: str, path: Path) -> types.ModuleType:
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise GcoError(f"{path} cannot be loaded")
    loaded = importlib.util.module_from_spec(spec)
    sys.modules[name] = loaded  # the modules look themselves up there
    spec.loader.exec_module(loaded)
    return loaded


def _make_packages() -> None:
    """Create packages over OCAtari's folders without running its ``__init__`` (1.5 s, 150 MB)."""
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
    """Call OCAtari's matching of boxes to objects, whose imports (cv2, skimage) are slow."""
    name = f"{_PACKAGE}.vision._utils"
    real = sys.modules.get(name) or _load_file(name, _root() / "vision" / "utils.py")
    match: Callable[..., object] = real.match_objects
    return match(*args)
