"""The contract of a policy file, with a message for each way to break it; and its loading.

The checks read the syntax tree. They give clear messages early and without a process; they are not
the safety boundary, which is the jail (an attribute of an allowed module leads to ``os``).
"""

from __future__ import annotations

import ast
import itertools
import linecache
import re
import sys
import tomllib
import traceback
import types
from collections.abc import Iterator, Sequence
from importlib import resources
from pathlib import Path
from typing import Any, NamedTuple, Protocol, cast

from gco_agent.core.errors import ContractViolation, PolicyError
from gco_agent.policy.source import FunctionNode, PolicySource, parse, quiet, translate_errors

POLICY_CLASS = "Policy"
ENTRY = "act"

_NUMBERS = ("math", "cmath", "random", "statistics", "fractions", "decimal", "numbers", "numpy")
_CONTAINERS = ("collections", "array", "heapq", "bisect", "itertools", "functools", "operator")
_RECORDS = ("dataclasses", "enum", "typing", "abc", "types", "copy", "__future__")
_TEXT = ("string", "re", "json")
ALLOWED_IMPORTS = frozenset((*_NUMBERS, *_CONTAINERS, *_RECORDS, *_TEXT))
"""Top-level modules that a policy may import, submodules included. random is among them as the jail
seeds it, json as constants are often written in it. No clock (results would not repeat); no files,
processes, threads or network (the jail has none); nothing outside of the standard library but numpy
(the file must run anywhere).
"""

_TEXTS: dict[str, dict[str, str]] = tomllib.loads(
    resources.files("gco_agent.policy").joinpath("contract.toml").read_text("utf-8")
)
IMPORT_HINTS = _TEXTS["imports"]
"""What to do instead, for modules that are often tried."""
FORBIDDEN_NAMES = _TEXTS["names"]
"""Built-in names that a policy may not use, and what to do instead. A name that the policy itself
binds anywhere (a parameter called ``input``) is its own and is left alone."""

_MOST_FINDINGS = 5
_NO_IMPORT = "a policy may not import"
_SCOPES = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda, ast.ClassDef)


class Finding(NamedTuple):
    """One breach of the contract.

    Attributes:
        line: Line of the policy, from 1; 0 where something is missing from all of it.
        message: What is wrong and what to do, without the line.
    """

    line: int
    message: str


def check_policy(source: PolicySource) -> None:
    """Check the text against the contract, without running any of it.

    Raises:
        ContractViolation: Not Python; or with up to five findings, a line of the message each, in
            the order of the file, and ``line`` that of the first.
    """
    tree = parse(source.text)
    findings = sorted({*_entry_findings(tree), *_import_findings(tree), *_name_findings(tree)})
    if findings:
        lines = [f"line {f.line}: {f.message}" if f.line else f.message for f in findings]
        if len(lines) > _MOST_FINDINGS:
            lines[_MOST_FINDINGS:] = [f"and {len(lines) - _MOST_FINDINGS} more like these"]
        if any(f.message.startswith(_NO_IMPORT) for f in findings):
            lines.append("the modules it may import: " + ", ".join(sorted(ALLOWED_IMPORTS)))
        raise ContractViolation("\n".join(lines), line=findings[0].line or None)
    # The rest of the syntax (a return outside of a function) only the compiler knows.
    with quiet(), translate_errors(source.text):
        compile(_InlineFinally().visit(tree), "policy", "exec", dont_inherit=True)


class _InlineFinally(ast.NodeTransformer):
    """Put the body of each ``finally`` after its ``try``: same syntax errors, linear to compile.

    CPython compiles such a body once for every way out of the ``try``, so that ninety nested
    ones in 10 KB of text exhaust the memory (measured: CPython 3.11.7, 4 GB).
    """

    def visit_Try(self, node: ast.Try) -> list[ast.stmt]:
        self.generic_visit(node)
        after, node.finalbody = node.finalbody, []
        return [node, *after] if node.handlers else [*node.body, *after]

    def visit_TryStar(self, node: ast.TryStar) -> list[ast.stmt]:
        self.generic_visit(node)
        after, node.finalbody = node.finalbody, []
        return [node, *after]


def policy_class(tree: ast.Module) -> ast.ClassDef | None:
    """Return the ``class Policy`` at the top level, the last as Python sees it."""
    found = [n for n in tree.body if isinstance(n, ast.ClassDef) and n.name == POLICY_CLASS]
    return found[-1] if found else None


def component_nodes(tree: ast.Module) -> list[FunctionNode]:
    """Return the methods of ``Policy``, or the module's functions without such a class."""
    return [n for n in (policy_class(tree) or tree).body if isinstance(n, FunctionNode)]


def _entry_findings(tree: ast.Module) -> Iterator[Finding]:
    owner = policy_class(tree)
    yield from _repeated(tree.body)
    if owner is not None:
        yield from _repeated(owner.body)
        yield from _construction_findings(owner)
    entries = [node for node in component_nodes(tree) if node.name == ENTRY]
    if entries:
        yield from _act_findings(entries[-1], in_class=owner is not None)
    elif owner is not None:
        yield Finding(owner.lineno, "class Policy defines no act; add `def act(self, obs):` to it")
    else:
        yield Finding(
            0,
            "there is no policy here: the module needs `class Policy` with `def act(self, obs):`, "
            "or a function `def act(obs):`, at its top level",
        )


def _repeated(body: Sequence[ast.stmt]) -> Iterator[Finding]:
    """Yield definitions that replace an earlier one of the same name, without a decorator."""
    lines: dict[str, int] = {}
    for node in body:
        if isinstance(node, FunctionNode | ast.ClassDef):
            if node.name in lines and not node.decorator_list:
                yield Finding(
                    node.lineno,
                    f"{node.name} is defined a second time (first in line {lines[node.name]}); "
                    "keep one of them",
                )
            lines[node.name] = node.lineno


def _construction_findings(owner: ast.ClassDef) -> Iterator[Finding]:
    """Yield why ``Policy()`` cannot be called without arguments."""
    advice = "it is made without any, once an episode; give each a default"
    for node in owner.body:
        if isinstance(node, FunctionNode) and node.name in ("__init__", "__new__"):
            if isinstance(node, ast.AsyncFunctionDef):
                yield Finding(node.lineno, f"Policy.{node.name} is async; use a plain def")
            if needed := required_parameters(node)[1:]:
                names = ", ".join(needed)
                yield Finding(node.lineno, f"Policy.{node.name} needs {names}, but {advice}")
    if any("dataclass" in ast.unparse(decorator) for decorator in owner.decorator_list):
        for node in owner.body:
            if isinstance(node, ast.AnnAssign) and node.value is None:
                annotation, field = ast.unparse(node.annotation), ast.unparse(node.target)
                if "ClassVar" not in annotation:
                    yield Finding(node.lineno, f"the dataclass Policy needs {field}, but {advice}")


def _act_findings(act: FunctionNode, *, in_class: bool) -> Iterator[Finding]:
    """Yield why ``act(obs)`` cannot be called with one argument, or returns no action."""
    wanted = "def act(self, obs):" if in_class else "def act(obs):"
    decorators = binding_decorators(act)
    if isinstance(act, ast.AsyncFunctionDef):
        yield Finding(act.lineno, f"act is async and would return a coroutine; write `{wanted}`")
    elif any(isinstance(node, ast.Yield | ast.YieldFrom) for node in _own_nodes(act)):
        yield Finding(act.lineno, "act has a yield and would return a generator; return an action")
    if "property" in decorators:
        yield Finding(act.lineno, f"act is a property; write `{wanted}` without the decorator")
        return
    n_given = 2 if in_class and "staticmethod" not in decorators else 1
    args, needed = act.args, required_parameters(act)
    positional = [arg.arg for arg in (*args.posonlyargs, *args.args)]
    fits = len(needed) <= n_given and set(needed) <= set(positional)
    if not fits or not (args.vararg or len(positional) >= n_given):
        yield Finding(
            act.lineno,
            f"act takes ({ast.unparse(args)}), but it is called with the observation and nothing "
            f"else; write `{wanted}`",
        )


def binding_decorators(function: FunctionNode) -> set[str]:
    """Return those of its decorators that change how a method is called."""
    names = {ast.unparse(decorator).rpartition(".")[2] for decorator in function.decorator_list}
    return names & {"staticmethod", "classmethod", "property", "cached_property", "setter"}


def required_parameters(function: FunctionNode) -> list[str]:
    """Return the names of the parameters without a default, ``self`` included."""
    args = function.args
    positional = [a.arg for a in (*args.posonlyargs, *args.args)]
    needed = positional[: len(positional) - len(args.defaults)]
    keywords = zip(args.kwonlyargs, args.kw_defaults, strict=True)
    return needed + [a.arg for a, default in keywords if default is None]


def _own_nodes(function: FunctionNode) -> Iterator[ast.AST]:
    """Yield the nodes of the body, without those of functions and classes defined in it."""
    stack: list[ast.AST] = list(function.body)
    while stack:
        node = stack.pop()
        if not isinstance(node, _SCOPES):
            yield node
            stack.extend(ast.iter_child_nodes(node))


def _import_findings(tree: ast.Module) -> Iterator[Finding]:
    for node in ast.walk(tree):
        match node:
            case ast.Import(names=names, lineno=line):
                modules = [alias.name for alias in names]
            case ast.ImportFrom(level=0, module=module, lineno=line):
                modules = [module or ""]
            case ast.ImportFrom(lineno=line):
                modules = []
                yield Finding(
                    line, "a relative import; a policy file stands alone, so put the code into it"
                )
            case _:
                continue
        for name in modules:
            root = name.partition(".")[0]
            if root not in ALLOWED_IMPORTS:
                hint = f" ({IMPORT_HINTS[root]})" if root in IMPORT_HINTS else ""
                yield Finding(line, f"{_NO_IMPORT} {name}{hint}")


def _name_findings(tree: ast.Module) -> Iterator[Finding]:
    for node in unbound_names(tree):
        if node.id in FORBIDDEN_NAMES:
            why = FORBIDDEN_NAMES[node.id]
            yield Finding(node.lineno, f"a policy may not use {node.id}: {why}")


def unbound_names(tree: ast.AST) -> list[ast.Name]:
    """Return the uses of names that ``tree`` reads and binds nowhere, builtins among them."""
    read: list[ast.Name] = []
    bound: set[str] = set()
    for node in ast.walk(tree):
        match node:
            case ast.Name(ctx=ast.Load()):
                read.append(node)
            case ast.Name(id=name) | ast.arg(arg=name) | ast.alias(asname=str(name)):
                bound.add(name)
            case ast.alias(name=name):
                bound.add(name.partition(".")[0])
            case (
                ast.FunctionDef(name=str(name))
                | ast.AsyncFunctionDef(name=str(name))
                | ast.ClassDef(name=str(name))
                | ast.ExceptHandler(name=str(name))
                | ast.MatchAs(name=str(name))
                | ast.MatchStar(name=str(name))
            ):
                bound.add(name)
    return [node for node in read if node.id not in bound]


_numbers = itertools.count(1)


class LoadedPolicy(Protocol):
    """A policy that is loaded."""

    def act(self, obs: Any, /) -> Any:  # noqa: ANN401 - of the environment's own types
        """Return the action for ``obs``."""


def load_policy(source: PolicySource | str | Path, *, origin: str | None = None) -> LoadedPolicy:
    """Load a policy in this process, without a jail, to play one episode with.

    Only for policies that you have read. Load it again for each episode, as a policy may keep what
    it saw.

    Args:
        origin: File name in tracebacks, such as ``policies/pong.py@a1b2c3d``; by default the path.

    Raises:
        ContractViolation: The text breaks the contract; nothing was run.
        PolicyError: The file cannot be read, or the policy raised while it was loaded (with file
            and line).
    """
    if not isinstance(source, PolicySource):
        origin = origin or str(source)
        source = PolicySource.from_file(source)
    origin = origin or f"policy@{source.digest[:9]}"
    check_policy(source)
    text = source.text.replace("\r\n", "\n")
    stem = re.sub(r"\W+", "_", Path(origin).name.partition(".")[0])
    module = types.ModuleType(f"gco_policy_{stem}_{next(_numbers)}")
    module.__file__ = origin
    linecache.cache[origin] = (len(text), None, text.splitlines(keepends=True), origin)
    sys.modules[module.__name__] = module  # dataclasses look their module up while it runs
    try:
        with quiet():
            code = compile(text, origin, "exec", dont_inherit=True)
        exec(code, vars(module))  # noqa: S102 - what this function is for
        make = getattr(module, POLICY_CLASS, None)
        return cast(LoadedPolicy, make() if isinstance(make, type) else module)
    except BaseException as exc:
        del sys.modules[module.__name__]
        if isinstance(exc, Exception | SystemExit):
            raise PolicyError(_describe(exc, origin)) from exc
        raise


def _describe(exc: BaseException, origin: str) -> str:
    """Return ``file:line: Type: message`` with the innermost line of the policy."""
    frames = traceback.walk_tb(exc.__traceback__)
    lines = [number for frame, number in frames if frame.f_code.co_filename == origin]
    place = f"{origin}:{lines[-1]}" if lines else origin
    what = traceback.format_exception_only(exc)[-1].strip()
    return f"{place}: the policy raised while it was loaded: {what}"
