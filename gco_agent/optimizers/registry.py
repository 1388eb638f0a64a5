"""Optimizers by name: built in, installed as entry points, in a Python file, or taking turns.

An entry point of the group ``gco_agent.optimizers`` names a subclass of `Optimizer`, or a function
that takes `Tools` and returns an instance. A file holds either of these (the function is called
``make``), or an instance. Nothing is imported before it is used.
"""

from __future__ import annotations

import difflib
import functools
import importlib.util
import itertools
import sys
from collections.abc import Sequence
from dataclasses import fields, replace
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from types import ModuleType
from typing import Any

from gco_agent.core.errors import UsageError
from gco_agent.core.records import Verdict
from gco_agent.optimizers.base import (
    Capabilities,
    Optimizer,
    PastIteration,
    Proposal,
    Request,
    Tools,
)
from gco_agent.store.config import split_optimizers

GROUP = "gco_agent.optimizers"
_BUILT_IN = {
    "search": f"{GROUP}.search.optimizer:SearchOptimizer",
    "optoprime": f"{GROUP}.optoprime:OptoPrimeOptimizer",
    "reflect": f"{GROUP}.reflect:ReflectOptimizer",
    "exchange": f"{GROUP}.exchange:ExchangeOptimizer",
    "tune": f"{GROUP}.tune:TuneOptimizer",
    "simplify": f"{GROUP}.simplify:SimplifyOptimizer",
    "best-of-n": f"{GROUP}.search.optimizer:BestOfN",
    "random-search": f"{GROUP}.tune:RandomSearch",
}
PLATEAU = 3
"""Iterations in a row without an accepted candidate after which the next optimizer takes over."""


def make_optimizer(name: str, tools: Tools, *, files_in: Path | None = None) -> Optimizer:
    """Create the optimizer called ``name``, or several that take turns: "reflect,search".

    Args:
        name: A name, or a path that ends with ``.py``.
        files_in: Folder that paths are relative to; by default, files are refused, since
            ``run.toml`` may come from a stranger.
    """
    made = []
    for part in split_optimizers(name):
        value = _find(part, files_in)
        optimizer = _create(part, value, tools)
        if optimizer.capabilities.uses_model and (others := tools.open_models[1:]):
            further = [_create(part, value, replace(tools, open_models=[each])) for each in others]
            optimizer = ModelTurns([optimizer, *further])
        made.append(optimizer)
    return made[0] if len(made) == 1 else OptimizerSequence(made)


def capabilities_of(name: str, *, files_in: Path | None = None) -> list[Capabilities | None]:
    """Return the declared capabilities of each optimizer in "reflect,search".

    None stands for an optimizer that only a function of its package creates.
    """
    found = (_find(part, files_in) for part in split_optimizers(name))
    return [getattr(value, "capabilities", None) for value in found]


def tuned_between(optimizer: Optimizer, tools: Tools, seconds: float) -> Optimizer:
    """Return ``optimizer`` with the constants of accepted candidates tuned for ``seconds`` each."""
    from gco_agent.optimizers.tune import TuneOptimizer

    return TuneBetween(optimizer, TuneOptimizer(tools, seconds))


def optimizer_names() -> list[str]:
    """Return the names of all installed optimizers, the built-in ones first."""
    return [*_BUILT_IN, *sorted(set(_installed()) - set(_BUILT_IN))]


# Turns


class _Composite(Optimizer):
    """An optimizer that chooses one of its members to propose, by the run's history alone."""

    def __init__(self, name: str, members: Sequence[Optimizer]) -> None:
        self.name, self.members = name, tuple(members)
        each = [member.capabilities for member in self.members]
        names = [field.name for field in fields(Capabilities)]
        self.capabilities = Capabilities(**{n: any(getattr(c, n) for c in each) for n in names})

    def propose(self, request: Request) -> Proposal:
        """Return the proposal of the member whose turn it is."""
        return self.next_optimizer(request.attempts).propose(request)


class OptimizerSequence(_Composite):
    """Takes the next optimizer at a plateau, and after the last one the first again."""

    def __init__(self, members: Sequence[Optimizer]) -> None:
        super().__init__(",".join(member.name for member in members), members)

    def next_optimizer(self, attempts: Sequence[PastIteration]) -> Optimizer:
        """Return the member that proposes after ``attempts``."""
        names = [member.name for member in self.members]
        turn, idle = 0, 0
        for _, group in itertools.groupby(attempts, key=lambda attempt: attempt.iteration):
            attempt = list(group)[-1]  # of an iteration at most the last candidate was accepted
            if attempt.optimizer not in names:
                continue  # the start, a report, a rollback, or another optimizer
            turn = names.index(attempt.optimizer)
            idle = 0 if attempt.verdict == Verdict.ACCEPTED else idle + 1
            if idle >= PLATEAU:
                turn, idle = (turn + 1) % len(names), 0
        return self.members[turn].next_optimizer(attempts)


class ModelTurns(_Composite):
    """Changes the language model from iteration to iteration, in the order of `--model a,b`."""

    def __init__(self, members: Sequence[Optimizer]) -> None:
        super().__init__(members[0].name, members)

    def next_optimizer(self, attempts: Sequence[PastIteration]) -> Optimizer:
        """Return the member after the one that proposed last."""
        n = len({each.iteration for each in attempts if each.optimizer == self.name})
        return self.members[n % len(self.members)].next_optimizer(attempts)


class TuneBetween(_Composite):
    """Tunes the constants of every accepted candidate before the optimizer continues."""

    def __init__(self, optimizer: Optimizer, tuner: Optimizer) -> None:
        super().__init__(optimizer.name, (optimizer, tuner))

    def next_optimizer(self, attempts: Sequence[PastIteration]) -> Optimizer:
        """Return the tuner after an accepted candidate of the optimizer, else the optimizer."""
        optimizer, tuner = self.members
        last = attempts[-1] if attempts else None
        is_new = (
            last is not None and last.verdict == Verdict.ACCEPTED and last.optimizer != tuner.name
        )
        return tuner if is_new else optimizer.next_optimizer(attempts)


# Loading


def _find(name: str, files_in: Path | None) -> Any:  # noqa: ANN401 - a stranger's value
    """Return an optimizer, its class, or a function that creates it."""
    if name.endswith(".py"):
        if files_in is None:
            raise UsageError(
                f"run.toml names the optimizer file {name}, which is only loaded if you name it "
                f"yourself: --optimizer {name}"
            )
        return _in_module(_load_file(files_in / name), name)
    point = _installed().get(name)
    if point is None:
        near = difflib.get_close_matches(name, optimizer_names(), n=1)
        hint = f" Did you mean {near[0]}?" if near else ""
        raise UsageError(
            f"no optimizer is called {name!r}.{hint} Available: {', '.join(optimizer_names())}, "
            "or a Python file"
        )
    try:
        return point.load()
    except (ImportError, AttributeError) as error:
        package = point.dist.name if point.dist else "an installed package"
        raise UsageError(
            f"the optimizer {name!r} of {package} cannot be loaded ({point.value}): {error}"
        ) from error


def _create(name: str, value: Any, tools: Tools) -> Optimizer:  # noqa: ANN401 - a stranger's value
    if isinstance(value, type) and issubclass(value, Optimizer):
        value = value.create(tools)
    elif callable(value) and not isinstance(value, Optimizer):
        value = value(tools)
    if not isinstance(value, Optimizer):
        raise UsageError(
            f"the optimizer {name!r} is of type {type(value).__name__}: make it a subclass of "
            "gco_agent.optimizers.base.Optimizer"
        )
    return value


@functools.cache
def _load_file(path: Path) -> ModuleType:
    """Import a Python file under a unique name, so that it can be pickled for workers."""
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


def _in_module(module: ModuleType, name: str) -> object:
    """Return the optimizer of a file: its ``make``, its instance, or its only subclass."""
    if callable(make := getattr(module, "make", None)):
        return make
    values = list(vars(module).values())
    classes = [v for v in values if isinstance(v, type) and v.__module__ == module.__name__]
    found: list[object] = [value for value in values if isinstance(value, Optimizer)]
    found = found or [each for each in classes if issubclass(each, Optimizer)]
    if len(found) != 1:
        raise UsageError(
            f"{name} has {len(found) or 'no'} optimizers: define one subclass of "
            "gco_agent.optimizers.base.Optimizer, or a function make(tools) that returns one"
        )
    return found[0]


def _installed() -> dict[str, EntryPoint]:
    """Return all optimizers; no package can take the place of a built-in one."""
    built_in = {name: EntryPoint(name, value, GROUP) for name, value in _BUILT_IN.items()}
    return {**{point.name: point for point in entry_points(group=GROUP)}, **built_in}
