"""Optimizers by name: those of this package, and those that others install.

Another package offers an optimizer by an entry point of the group ``gco_agent.optimizers``, whose
object is called with `Tools` and returns an `Optimizer`. Nothing is imported before it is asked
for.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points

from gco_agent.core.errors import UsageError
from gco_agent.optimizers.base import Optimizer, Tools
from gco_agent.store.config import split_optimizers

GROUP = "gco_agent.optimizers"
_BUILT_IN = {
    "search": f"{__name__}:make_search",
    "optoprime": f"{GROUP}.optoprime:make",
    "reflect": f"{GROUP}.reflect:make",
    "exchange": f"{GROUP}.exchange:make",
    "tune": f"{GROUP}.tune:make",
    "simplify": f"{GROUP}.simplify:make",
}
"""Name to the factory, as an entry point has it."""
_ASKING = ("optoprime", "reflect")


def make_optimizer(name: str, tools: Tools) -> Optimizer:
    """The optimizer called ``name``, or one that relays several: "reflect,search".

    Raises:
        UsageError: There is none of that name, or what it needs is not installed.
    """
    made = [_find(part)(tools) for part in split_optimizers(name)]
    if len(made) == 1:
        return made[0]
    from gco_agent.optimizers.sequence import OptimizerSequence

    return OptimizerSequence(made)


def known(name: str) -> tuple[str, ...]:
    """The names in "reflect,search", each of an optimizer that there is; nothing is imported.

    Raises:
        UsageError: There is none of that name; says which may be meant.
    """
    names, there_are = split_optimizers(name), optimizer_names()
    for each in names:
        if each not in there_are:
            near = difflib.get_close_matches(each, there_are, n=1)
            hint = f" Did you mean {near[0]}?" if near else ""
            raise UsageError(
                f"no optimizer is called {each!r}.{hint} There is: {', '.join(there_are)}"
            )
    return names


def needs_a_model(name: str) -> bool:
    """Whether an optimizer of this package works with a language model; of others nobody knows."""
    return name in _ASKING


def may_ask_a_model(name: str) -> bool:
    """Whether an optimizer may ask a language model, as those that others install may."""
    return name in _ASKING or name not in _BUILT_IN


def tuned_between(optimizer: Optimizer, tools: Tools, seconds: float) -> Optimizer:
    """``optimizer``, with the constants of what it gets accepted tuned for ``seconds`` each."""
    from gco_agent.optimizers.sequence import TuneBetween
    from gco_agent.optimizers.tune import TuneOptimizer

    return TuneBetween(optimizer, TuneOptimizer(tools, seconds))


def optimizer_names() -> list[str]:
    """Names of all optimizers that can be asked for here, those of this package first."""
    return [*_BUILT_IN, *sorted(set(_installed()) - set(_BUILT_IN))]


def make_search(tools: Tools) -> Optimizer:
    """The embedded program search."""
    from gco_agent.optimizers.search.optimizer import SearchOptimizer

    return SearchOptimizer(tools.pool)


def _find(name: str) -> Callable[[Tools], Optimizer]:
    """The factory of the optimizer ``name``; those of this package cannot be replaced.

    Raises:
        UsageError: There is none, or it cannot be loaded.
    """
    if name in _BUILT_IN:
        module, _, attribute = _BUILT_IN[name].partition(":")
        built_in: Callable[[Tools], Optimizer] = getattr(import_module(module), attribute)
        return built_in
    known(name)
    found = _installed()[name]
    try:
        factory: Callable[[Tools], Optimizer] = found.load()
    except (ImportError, AttributeError) as error:
        package = found.dist.name if found.dist else "an installed package"
        raise UsageError(
            f"the optimizer {name!r} of {package} cannot be loaded ({found.value}): {error}"
        ) from error
    return factory


def _installed() -> dict[str, EntryPoint]:
    return {point.name: point for point in entry_points(group=GROUP)}
