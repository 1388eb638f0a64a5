"""The same objects as OCAtari's functions find, for the games where lists of ints will not do.

Each shortcut is put into a module of OCAtari's that `extraction` has loaded: Breakout's wall, where
displays are read too, and Enduro as OCAtari alone sees it. All else is read by `readers`. That
nothing else comes out is checked frame by frame against OCAtari's environment
(tests/ale/test_extraction.py).
"""

from __future__ import annotations

import copy
import hashlib
import importlib.util
import itertools
import sys
import types
from collections.abc import Callable, Sequence
from enum import Enum
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import numpy.typing as npt

from gco_agent.core.errors import GcoError
from gco_agent.core.observation import Row

Detect = Callable[[list[Any], Sequence[int], bool], object]
"""As OCAtari's ``_detect_objects_ram``: brings a list of objects up to the RAM."""

_FIRST_CAR, _N_CARS = 1, 7
_NOBODY = 1000
"""What it costs OCAtari to match a car with an empty slot; a car costs its distance in pixels."""


def take_shortcuts(module: ModuleType, name: str) -> None:
    """Put the shortcuts of a game, if there are any, into its module."""
    if name == "breakout":
        vars(module)["_calculate_blocks"] = _decode_lists(module)
    elif name == "enduro":
        vars(module)["_detect_objects_ram"] = _drive_without_numpy(module)


def _decode_lists(module: ModuleType) -> Callable[[Sequence[int]], object]:
    """Breakout's decoder of the wall wants an array; here it is given a list."""
    decode: Callable[[npt.NDArray[np.uint8]], object] = module._calculate_blocks  # noqa: SLF001

    def calculate_blocks(ram: Sequence[int]) -> object:
        return decode(np.array(ram, np.uint8))

    return calculate_blocks


def _drive_without_numpy(module: ModuleType) -> Detect:
    """Enduro's places are sums of bytes, some of them signed, which OCAtari leaves to numpy.

    It then matches the cars to those of the step before at the least total distance, by scipy.
    Where every car has a nearest one of its own, that is the answer.
    """
    real: Detect = module._detect_objects_ram  # noqa: SLF001 - its public face

    def detect(objects: list[Any], ram: Sequence[int], hud: bool = False) -> None:  # noqa: FBT001, FBT002
        if hud:
            with np.errstate(over="ignore"):  # wrapping round is meant
                real(objects, np.array(ram, np.uint8), hud)  # type: ignore[arg-type]
            return
        steering = ram[46] - 256 if ram[46] & 128 else ram[46]
        x = 77 + ((255 - ram[46]) >> 1) + 2 if steering < 0 else 77 - (steering >> 1)
        objects[0].xy = x, (89 + ram[52]) % 256
        cars = []
        for number in range(_N_CARS):
            lane = ram[27 + number]
            if not lane:
                continue
            near = (ram[59] >> 3) * (0.9**number)
            y = 150 - int(1.2 * ((18 - number) * number) + near)
            if not lane & 16:
                x = 87
            elif lane & 1:
                x = int((2192 + 7 * y) / 30) + steering
            else:
                x = int((6498 - 23 * y) / 60 + steering)
            cars.append((x, y, 16, 10))
        if not _match_nearest(objects, cars, module):
            module.match_objects(objects, cars, _FIRST_CAR, _N_CARS, module.Car)

    return detect


def _match_nearest(
    objects: list[Any], cars: Sequence[tuple[int, int, int, int]], module: ModuleType
) -> bool:
    """Move each car that was there to the nearest place; false, and nothing done, if unclear.

    It is clear if each place has one nearest car, and no car has two places: then no other way to
    match them has a total as low.
    """
    slots = objects[_FIRST_CAR : _FIRST_CAR + _N_CARS]
    if not any(slots):
        return False
    chosen: dict[int, tuple[int, int, int, int]] = {}
    for car in cars:
        costs = [
            abs(thing._xy[0] - car[0]) + abs(thing._xy[1] - car[1]) if thing else _NOBODY  # noqa: SLF001
            for thing in slots
        ]
        least = min(costs)
        slot = costs.index(least)
        if costs.count(least) > 1 or slot in chosen or least >= _NOBODY:
            return False
        chosen[slot] = car
    for slot, thing in enumerate(slots):
        if slot in chosen:
            thing.xywh = chosen[slot]
        elif thing:
            objects[_FIRST_CAR + slot] = module.NoObject()
    return True


RamState = npt.NDArray[np.uint8]
"""The console's RAM, shape (128,)."""
SavedObjects = tuple[list[tuple[str, dict[str, Any]] | None], dict[str, Any]]
"""Class and attributes of every object, None for an empty slot; and module globals."""

MAX_STEP_PX = 40
"""A larger displacement in one step is a slot re-used for another object, or a wrap round the
screen, and is reported as no movement (Freeway's cars: 150 px in one step)."""

_PACKAGE = "_gco_ocatari"
_WRAPS_UINT8 = frozenset({"assault", "hero", "yarsrevenge"})
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
_KEPT = "kept row"
"""Attribute that an object which does not move keeps its row in."""
_ABSENT = frozenset({"NoObject", "NoObjectPlayer", "NoneType"})
"""OCAtari's classes of nothing; Asteroids has one of its own for a ship that is lost."""
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
        if not self._raw:
            self._save_positions()  # else they fly in from (0, 0)
        return self._rows()

    def step(self, ram: RamState) -> dict[str, list[Row]]:
        """The objects after one more step: category to rows, in OCAtari's order."""
        self.read(ram)
        return self._rows()

    def read(self, ram: RamState) -> None:
        """Bring the objects up to ``ram``, without making rows of them."""
        self._save_positions()
        detect = self._module._detect_objects_ram  # noqa: SLF001
        if self._as_array:
            with np.errstate(over="ignore"):  # wrapping round is meant
                detect(self._objects, ram, self._hud)
        else:
            detect(self._objects, ram.tolist(), self._hud)

    def _save_positions(self) -> None:
        """As OCAtari does before each step: `GameObject._save_prev` of all that is there."""
        for thing in self._objects:
            if thing.__class__.__name__ in _ABSENT or not thing._visible:  # noqa: SLF001
                continue
            thing._prev_xy = thing._xy  # noqa: SLF001

    def _rows(self) -> dict[str, list[Row]]:
        """Category to rows; runs for every object of every step, hence past OCAtari's properties.

        An object is there if it is neither None nor a NoObject and is visible, which is what its
        truth means.
        """
        rows: dict[str, list[Row]] = {}
        most = self._most_px
        for thing in self._objects:
            kind = thing.__class__
            category = kind.__name__
            if category in _ABSENT or not thing._visible:  # noqa: SLF001
                continue
            state = thing.__dict__
            here, rgb = state["_xy"], state["_rgb"]
            kept = state.get(_KEPT)
            # whatever is the same object as in the step before is not looked at again
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
        """Everything that the next step depends on, as plain data that pickles."""
        things = [None if o is None else (type(o).__name__, _lasting(o)) for o in self._objects]
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


def _lasting(thing: object) -> dict[str, Any]:
    """The attributes of an object, without the row that was made of it."""
    return {name: value for name, value in vars(thing).items() if name != _KEPT}


def _row_of(state: dict[str, Any], most: int) -> Row:
    """The row of an object with these attributes; past the properties, which cost five times.

    Args:
        state: Its attributes.
        most: Pixels of a displacement that is believed.
    """
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


def source_digest(module: str) -> str:
    """Hash of the code that reads a game's objects: OCAtari's files, whatever its version says."""
    folder = _root() / "ram"
    digest = hashlib.sha256()
    for name in (f"{module}.py", "game_objects.py", "_helper_methods.py"):
        digest.update((folder / name).read_bytes())
    return digest.hexdigest()[:12]


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
    take_shortcuts(loaded, module)
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
