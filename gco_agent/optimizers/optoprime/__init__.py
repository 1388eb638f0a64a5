"""OptoPrime of Trace (trace-opt 0.1.3.8) as an optimizer of policies.

* `library`    the only door to opto: a lazy and silent import
* `graph`      recorded calls become Trace's graph, components its parameters
* `optimizer`  the request, the answer, and what is made of it

After Cheng et al. 2024 (arXiv:2406.16218), as Kuang et al. 2025 (arXiv:2508.19506) use it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gco_agent.optimizers.base import Tools
    from gco_agent.optimizers.optoprime.optimizer import OptoPrimeOptimizer


def make(tools: Tools) -> OptoPrimeOptimizer:
    """The optimizer, with the language model that the command was set up with.

    Raises:
        UsageError: There is no language model, or no trace-opt.
    """
    from gco_agent.core.errors import UsageError
    from gco_agent.optimizers.optoprime.library import load_library
    from gco_agent.optimizers.optoprime.optimizer import OptoPrimeOptimizer

    load_library()
    if tools.open_model is None:
        raise UsageError("optoprime asks a language model, and this command was set up without one")
    return OptoPrimeOptimizer(tools.open_model())
