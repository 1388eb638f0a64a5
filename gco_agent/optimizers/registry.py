"""Optimizers by name: those of this package, and those that others install.

Another package offers an optimizer by an entry point of the group ``gco_agent.optimizers``, whose
object is called with `Tools` and returns an `Optimizer`. Nothing is imported before it is asked
for.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points

from gco_agent.errors import UsageError
from gco_agent.optimizers.base import Optimizer, Tools

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


def make_optimizer(name: str, tools: Tools) -> Optimizer:
    """The optimizer called ``name``, or one that relays several: "reflect,search".

    Raises:
        UsageError: There is none of that name, or what it needs is not installed.
    """
    names = [part.strip() for part in name.split(",")]
    made = [_find(part)(tools) for part in names]
    if len(made) == 1:
        return made[0]
    from gco_agent.optimizers.relay import Relay

    return Relay(made)


def tuned_between(optimizer: Optimizer, tools: Tools, seconds: float) -> Optimizer:
    """``optimizer``, with the constants of what it gets accepted tuned for ``seconds`` each."""
    from gco_agent.optimizers.relay import TuneBetween
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
    found = _installed().get(name)
    if found is None:
        there_are = ", ".join(optimizer_names())
        raise UsageError(f"no optimizer is called {name!r}; there is: {there_are}")
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
