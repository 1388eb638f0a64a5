"""Game-playing policies that improve by rewriting their own code.

The names in ``__init__.pyi`` load what they need when they are first used, so that importing the
package costs nothing. ``import gco_agent.envs`` makes ``gymnasium.make("gco/Pong-v5")`` work.
"""

from __future__ import annotations

import functools


@functools.cache
def _homes() -> dict[str, str]:
    """Return the public names, and the module that defines each."""
    import ast
    from importlib import resources

    stub = ast.parse(resources.files("gco_agent").joinpath("__init__.pyi").read_text("utf-8"))
    imports = (node for node in stub.body if isinstance(node, ast.ImportFrom))
    return {alias.name: node.module or "" for node in imports for alias in node.names}


def __getattr__(name: str) -> object:
    if name == "__version__":
        from importlib.metadata import version

        return version("gco-agent")
    if name == "__all__":
        return sorted({"__version__", *_homes()})
    if name.startswith("__") or name not in _homes():
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_homes()[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), "__version__", *_homes()})
