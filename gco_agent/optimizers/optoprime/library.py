"""The only door to opto (trace-opt): imported when it is needed, silently, without its clients.

trace-opt 0.1.3.8 imports litellm and openai at the top of modules that never use them here. litellm
takes ten seconds, and the network, to be imported; so two empty modules stand in for them while
opto is imported, whether they are installed or not. Neither they nor xgboost need to be there.
And each of its eighty operators asks `inspect.stack` for its caller's variables when it is
defined, which looks through all modules of the process for every frame: ten seconds and more
where thousands are loaded. So only the two frames that it reads are looked up.
"""

from __future__ import annotations

import contextlib
import functools
import inspect
import io
import re
import sys
import types
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata
from typing import Any

from gco_agent.core.errors import UsageError

VERSION = "0.1.3.8"
_UNUSED = ("litellm", "openai", "autogen")


@dataclass(frozen=True, slots=True)
class Library:
    """What is used of opto; its objects have no types.

    Attributes:
        graph: The registry of all nodes of the process.
        node: Makes a node of a value.
        parameter: Class of what may be changed.
        message: Class of what a call returned.
        optimizer: Class OptoPrime.
        propagator: Makes a propagator whose time grows with the edges of the graph.
    """

    graph: Any
    node: Any
    parameter: Any
    message: Any
    optimizer: Any
    propagator: Any


@functools.cache
def load_library() -> Library:
    """Import opto.

    Raises:
        UsageError: It is not installed, or in another version.
    """
    try:
        found = metadata.version("trace-opt")
    except metadata.PackageNotFoundError:
        raise _missing("it is not installed") from None
    if found != VERSION:
        raise _missing(f"version {found} is installed")
    with (
        _stand_ins(),
        _short_stacks(),
        warnings.catch_warnings(),
        contextlib.redirect_stdout(io.StringIO()),
    ):
        warnings.simplefilter("ignore")
        try:
            from opto.optimizers import OptoPrime
            from opto.trace.nodes import GRAPH, MessageNode, Node, ParameterNode
            from opto.trace.propagators import GraphPropagator, TraceGraph
        except ImportError as error:
            raise _missing(f"it cannot be imported: {error}") from error
    return Library(
        GRAPH, Node, ParameterNode, MessageNode, OptoPrime, _propagator(GraphPropagator, TraceGraph)
    )


def _missing(why: str) -> UsageError:
    return UsageError(
        f"optoprime needs trace-opt {VERSION}, and {why}: pip install 'gco-agent[trace]', or, "
        f"without the clients that it drags in, pip install --no-deps trace-opt=={VERSION} graphviz"
    )


@contextlib.contextmanager
def _stand_ins() -> Iterator[None]:
    """Empty modules in the place of libraries that opto imports and never calls here."""
    absent = [name for name in _UNUSED if name not in sys.modules]
    for name in absent:
        module = types.ModuleType(name)
        module.OpenAI = object  # type: ignore[attr-defined]  # an annotation names it
        sys.modules[name] = module
    try:
        yield
    finally:
        for name in absent:
            del sys.modules[name]


@contextlib.contextmanager
def _short_stacks() -> Iterator[None]:
    """`inspect.stack` gives the caller and the caller's caller, and of them the frame alone."""
    real = inspect.stack

    def stack(context: int = 1) -> list[types.SimpleNamespace]:
        del context
        return [types.SimpleNamespace(frame=sys._getframe(depth)) for depth in (1, 2)]  # noqa: SLF001

    inspect.stack = stack  # type: ignore[assignment]
    try:
        yield
    finally:
        inspect.stack = real


def _propagator(base: Any, trace_graph: Any) -> Any:  # noqa: ANN401 - opto has no types
    """A propagator that collects the same nodes as opto's own, each once.

    Opto's merges a list of nodes into another at every edge, which takes time that grows with the
    cube of the number of calls (400 steps: seconds; 2,000: minutes). Here one collection is shared
    by all nodes of a backward pass.
    """
    collection = _collection(trace_graph)

    class Propagator(base):  # type: ignore[misc]
        """Passes one collection from a node to its parents."""

        def init_feedback(self, node: Any, feedback: Any) -> Any:  # noqa: ANN401
            self.collected = collection(feedback)
            self.collected.put(node)
            return self.collected

        def _propagate(self, child: Any) -> dict[Any, Any]:  # noqa: ANN401
            for parent in child.parents:
                self.collected.put(parent)
            return dict.fromkeys(child.parents, self.collected)

        def aggregate(self, feedback: dict[Any, Any]) -> Any:  # noqa: ANN401
            if not feedback:
                return trace_graph(graph=[], user_feedback=None)
            return self.collected.in_order()

    return Propagator


def _collection(base: Any) -> Any:  # noqa: ANN401
    class Collection(base):  # type: ignore[misc]
        """All nodes that a backward pass has reached."""

        def __init__(self, feedback: str) -> None:
            super().__init__(graph=[], user_feedback=feedback)
            self.nodes: dict[int, Any] = {}

        def put(self, node: Any) -> None:  # noqa: ANN401
            self.nodes.setdefault(id(node), node)

        def empty(self) -> bool:
            return False

        def __add__(self, other: Any) -> Any:  # noqa: ANN401
            assert other is self or not other.graph, "one backward pass at a time"
            return self

        def __radd__(self, other: Any) -> Any:  # noqa: ANN401
            return self

        def in_order(self) -> Any:  # noqa: ANN401
            # by name among equals, as the order of opto's own traversal differs from run to run
            nodes = sorted(self.nodes.values(), key=lambda n: (n.level, _numbered(n.name)))
            self.graph = [(node.level, node) for node in nodes]
            return self

    return Collection


def _numbered(name: str) -> list[tuple[int, str]]:
    """A key that sorts names by the numbers in them: "obs_step9_:0" before "obs_step10_:0"."""
    parts = re.split(r"(\d+)", name)
    return [(int(part) if part.isdigit() else -1, part) for part in parts]
