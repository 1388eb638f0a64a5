"""A policy as an object, for a person's own loop.

The one place that runs policy code in this process. The judge never does: there a policy runs in
the jail.
"""

from __future__ import annotations

import importlib.abc
import importlib.util
import itertools
import re
import sys
import traceback
import types
from importlib.machinery import ModuleSpec
from pathlib import Path
from typing import Any, Protocol, cast

from gco_agent.errors import PolicyError, UsageError
from gco_agent.policy.contract import ENTRY, POLICY_CLASS, check_policy
from gco_agent.policy.source import PolicySource, quiet

_numbers = itertools.count(1)


class LoadedPolicy(Protocol):
    """What a loop calls."""

    def act(self, obs: Any, /) -> Any:  # noqa: ANN401 - of the environment's own types
        """The action for ``obs``."""


class _FunctionPolicy:
    """A module-level ``act`` as a policy."""

    def __init__(self, module: types.ModuleType) -> None:
        self.act = getattr(module, ENTRY)


class _TextLoader(importlib.abc.InspectLoader):
    """Executes a text as a module; tracebacks and ``inspect`` find their lines through it."""

    def __init__(self, source: PolicySource, origin: str) -> None:
        self._text, self._origin = source.text.replace("\r\n", "\n"), origin

    def get_source(self, fullname: str) -> str:  # noqa: ARG002 - the loader has one module
        return self._text

    def get_code(self, fullname: str) -> types.CodeType:  # noqa: ARG002 - the same
        with quiet():
            return self.source_to_code(self._text, self._origin)


def load_policy(
    source: PolicySource | str | Path, *, origin: str | None = None, name: str | None = None
) -> LoadedPolicy:
    """Run a policy in this process, without a jail, and give a fresh one to play an episode with.

    Only for policies that you have read. A second episode wants a second call, as a policy may
    keep what it saw.

    Args:
        source: A path, or the text itself.
        origin: What tracebacks call the text, such as ``policies/pong.py@a1b2c3d``; of a path,
            the path.
        name: What the module is called in ``sys.modules``, where it stays; unique if not given.

    Raises:
        ContractViolation: The text breaks the contract; nothing was run.
        PolicyError: The file cannot be read, or the policy raised while it was loaded (with file
            and line).
        UsageError: A module called ``name`` is loaded already.
    """
    if not isinstance(source, PolicySource):
        origin = origin or str(source)
        source = PolicySource.from_file(source)
    origin = origin or f"policy@{source.digest[:9]}"
    check_policy(source)
    name = name or _unique_name(origin)
    if name in sys.modules:
        raise UsageError(f"a module called {name} is loaded already; choose another name")
    loader = _TextLoader(source, origin)
    spec = ModuleSpec(name, loader, origin=origin)
    spec.has_location = True
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses look their module up while it runs
    try:
        loader.exec_module(module)
        make = getattr(module, POLICY_CLASS, None)
        return cast(LoadedPolicy, make()) if isinstance(make, type) else _FunctionPolicy(module)
    except (Exception, SystemExit) as exc:
        del sys.modules[name]
        raise PolicyError(_describe(exc, origin)) from exc
    except BaseException:
        del sys.modules[name]
        raise


def _unique_name(origin: str) -> str:
    stem = re.sub(r"\W+", "_", Path(origin).name.partition(".")[0])
    return next(name for n in _numbers if (name := f"gco_policy_{stem}_{n}") not in sys.modules)


def _describe(exc: BaseException, origin: str) -> str:
    """``file:line: Type: message``, the line being the innermost one of the policy."""
    frames = traceback.walk_tb(exc.__traceback__)
    lines = [number for frame, number in frames if frame.f_code.co_filename == origin]
    place = f"{origin}:{lines[-1]}" if lines else origin
    what = traceback.format_exception_only(exc)[-1].strip()
    return f"{place}: the policy raised while it was loaded: {what}"
