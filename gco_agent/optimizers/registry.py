"""Optimizers by name: built in, installed as entry points, or in a Python file.

An entry point of the group ``gco_agent.optimizers`` names a subclass of `Optimizer`, or a function
that takes `Tools` and returns an instance. A file holds either of these (the function is called
``make``), or an instance. Nothing is imported before it is used.
"""

from __future__ import annotations

import difflib
import functools
import importlib.util
import sys
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from types import ModuleType

from gco_agent.core.errors import UsageError
from gco_agent.optimizers.base import Capabilities, Optimizer, Tools
from gco_agent.store.config import split_optimizers

GROUP = "gco_agent.optimizers"
_BUILT_IN = {
    "search": f"{GROUP}.search.optimizer:SearchOptimizer",
    "optoprime": f"{GROUP}.optoprime:OptoPrimeOptimizer",
    "reflect": f"{GROUP}.reflect:ReflectOptimizer",
    "exchange": f"{GROUP}.exchange:ExchangeOptimizer",
    "tune": f"{GROUP}.tune:TuneOptimizer",
    "simplify": f"{GROUP}.simplify:SimplifyOptimizer",
}
"""Name to class, in the syntax of entry points."""


def make_optimizer(name: str, tools: Tools, *, files_in: Path | None = None) -> Optimizer:
    """Create the optimizer called ``name``, or several that take turns: "reflect,search".

    Args:
        name: A name, or a path that ends with ``.py``.
        tools: What the optimizer may use.
        files_in: Folder that paths are relative to; by default, files are refused, since
            ``run.toml`` may come from a stranger.

    Raises:
        UsageError: There is no such optimizer, or it cannot be loaded.
    """
    from gco_agent.optimizers.sequence import OptimizerSequence

    made = [_create(part, tools, files_in) for part in split_optimizers(name)]
    return made[0] if len(made) == 1 else OptimizerSequence(made)


def capabilities_of(name: str, *, files_in: Path | None = None) -> list[Capabilities | None]:
    """Return the declared capabilities of each optimizer in "reflect,search".

    None stands for an optimizer that only a function of its package creates.

    Raises:
        UsageError: As `make_optimizer`.
    """
    return [_find(part, files_in).capabilities for part in split_optimizers(name)]


def tuned_between(optimizer: Optimizer, tools: Tools, seconds: float) -> Optimizer:
    """Return ``optimizer`` with the constants of accepted candidates tuned for ``seconds`` each."""
    from gco_agent.optimizers.sequence import TuneBetween
    from gco_agent.optimizers.tune import TuneOptimizer

    return TuneBetween(optimizer, TuneOptimizer(tools, seconds))


def optimizer_names() -> list[str]:
    """Return the names of all installed optimizers, the built-in ones first."""
    return [*_BUILT_IN, *sorted(set(_installed()) - set(_BUILT_IN))]


def _create(name: str, tools: Tools, files_in: Path | None) -> Optimizer:
    made = _find(name, files_in).create(tools)
    if not isinstance(made, Optimizer):
        raise UsageError(
            f"the optimizer {name!r} is of type {type(made).__name__}: make it a subclass of "
            "gco_agent.optimizers.base.Optimizer"
        )
    return made


@dataclass(frozen=True, slots=True)
class _Source:
    """How to create an optimizer, and its capabilities where they are declared."""

    create: Callable[[Tools], object]
    capabilities: Capabilities | None = None


def _source(value: object) -> _Source:
    if isinstance(value, Optimizer):
        return _Source(lambda _: value, value.capabilities)
    if isinstance(value, type) and issubclass(value, Optimizer):
        return _Source(value.create, value.capabilities)
    if callable(value):
        return _Source(value)
    raise UsageError(f"{value!r} is not an optimizer, or a function that creates one")


def _find(name: str, files_in: Path | None) -> _Source:
    if name.endswith(".py"):
        if files_in is None:
            raise UsageError(
                f"run.toml names the optimizer file {name}, which is only loaded if you name it "
                f"yourself: --optimizer {name}"
            )
        return _in_module(_load_file(files_in / name), name)
    if name in _BUILT_IN:
        module, _, attribute = _BUILT_IN[name].partition(":")
        return _source(getattr(import_module(module), attribute))
    point = _installed().get(name)
    if point is None:
        near = difflib.get_close_matches(name, optimizer_names(), n=1)
        hint = f" Did you mean {near[0]}?" if near else ""
        raise UsageError(
            f"no optimizer is called {name!r}.{hint} Available: {', '.join(optimizer_names())}, "
            "or a Python file"
        )
    try:
        return _source(point.load())
    except (ImportError, AttributeError) as error:
        package = point.dist.name if point.dist else "an installed package"
        raise UsageError(
            f"the optimizer {name!r} of {package} cannot be loaded ({point.value}): {error}"
        ) from error


@functools.cache
def _load_file(path: Path) -> ModuleType:
    """Import a Python file under a name of its own, so that it can be pickled for workers."""
    name = f"gco_optimizer_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None or not path.is_file():
        raise UsageError(f"there is no optimizer file {path}")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        del sys.modules[name]
        raise UsageError(f"{path} cannot be loaded: {type(error).__name__}: {error}") from error
    return module


def _in_module(module: ModuleType, name: str) -> _Source:
    """Return the optimizer of a file: its ``make``, its instance, or its only subclass."""
    if callable(make := getattr(module, "make", None)):
        return _source(make)
    values = list(vars(module).values())
    found: list[object] = [value for value in values if isinstance(value, Optimizer)]
    found = found or [
        value
        for value in values
        if isinstance(value, type)
        and issubclass(value, Optimizer)
        and value.__module__ == module.__name__
    ]
    if len(found) != 1:
        raise UsageError(
            f"{name} has {len(found) or 'no'} optimizers: define one subclass of "
            "gco_agent.optimizers.base.Optimizer, or a function make(tools) that returns one"
        )
    return _source(found[0])


def _installed() -> dict[str, EntryPoint]:
    return {point.name: point for point in entry_points(group=GROUP)}
