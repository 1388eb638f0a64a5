"""Edits of policy text: one function replaced, parts merged into a whole, diffs applied.

LibCST reads the text, so that everything outside of an edit stays byte for byte, comments included.
Names and parameters are looked up in Python's own syntax tree.
"""

from __future__ import annotations

import ast
import builtins
import contextlib
import re
import textwrap
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import libcst as cst

from gco_agent.core.errors import ContractViolation, EditRejected
from gco_agent.policy.contract import (
    ENTRY,
    POLICY_CLASS,
    FunctionNode,
    binding_decorators,
    component_nodes,
    policy_class,
    required_parameters,
)
from gco_agent.policy.header import replace_docstring
from gco_agent.policy.source import PolicySource, check_characters, parse, read_tree

Statement: TypeAlias = cst.SimpleStatementLine | cst.BaseCompoundStatement
_Import: TypeAlias = ast.Import | ast.ImportFrom
_BLANK = cst.EmptyLine(indent=False)
_ELISION = re.compile(r"#\s*(?:\.{3}|…)")
"""A comment that stands for code that was left out: ``# ... existing code ...``."""


@dataclass(frozen=True, slots=True)
class Component:
    """A function of a policy that may be rewritten.

    Attributes:
        name: Unique among the components of the policy.
        text: Its exact text: the comments directly above it, decorators, body, and comments below
            that are indented as the body is; no line end after the last row.
        dedented: ``text`` at the left margin; the insides of string literals stay as they are.
        signature: ``def name(parameters) -> annotation`` on one line.
    """

    name: str
    text: str
    dedented: str
    signature: str


def components(source: PolicySource) -> tuple[Component, ...]:
    """Return the methods of ``Policy``, or the module's functions without such a class.

    In the order of the file. A name that is defined more than once (a property and its setter) is
    left out, since an edit could not say which it means.

    Raises:
        ContractViolation: The text is not Python.
    """
    module = read_tree(source.text)
    owner = _owner(module)
    found = []
    for name, function in _functions(module).items():
        node = function.with_changes(leading_lines=_attached(function))
        dedented = _code(module, node)
        signature = _signature(_function_in(dedented))
        if owner is not None and isinstance(owner.body, cst.IndentedBlock):
            block = owner.body.with_changes(body=[node], header=cst.TrailingWhitespace(), footer=())
            whole = _code(module, cst.ClassDef(cst.Name(POLICY_CLASS), block))
            text = whole.partition("\n")[2]
        else:
            text = dedented
        found.append(Component(name, _without_end(text), _without_end(dedented), signature))
    return tuple(found)


def replace_component(source: PolicySource, name: str, new_text: str) -> PolicySource:
    """Put ``new_text`` in the place of the component ``name``; every other byte stays.

    The new text may stand at any indentation, and below imports, which the module gets if it lacks
    them. It takes the indentation and the line ends of the file.

    Returns:
        The policy with the new text; not checked against the contract otherwise.

    Raises:
        ContractViolation: ``source`` itself is not Python.
        EditRejected: There is no such component; or ``new_text`` is not exactly one function with
            the same name and parameters (annotations and defaults may differ, but none that had
            a default may lose it).
    """
    module = read_tree(source.text)
    functions = _functions(module)
    if name not in functions:
        known = ", ".join(functions) or "none"
        raise EditRejected(f"the policy has no component {name}; its components are: {known}")
    try:
        check_characters(new_text.replace("\r\n", "\n"))
        part = _read_part(new_text)
        rest = [node for node in part.body if not isinstance(parsed(node), _Import)]
        if [n.name.value for n in rest if isinstance(n, cst.FunctionDef)] != [name] or rest[1:]:
            raise EditRejected(
                f"the new text must be one function {name} and nothing else but imports; helpers "
                "can be nested in the function"
            )
        return _written(_merged(module, part), source)
    except ContractViolation as error:
        raise EditRejected(f"{name} does not fit into the policy: {error}") from None


def complete_policy(parent: PolicySource, text: str) -> PolicySource:
    """Return the policy that ``text`` stands for: all of one, or parts of ``parent`` rewritten.

    Args:
        parent: What ``text`` was written for.
        text: Python, at any indentation: a whole policy; or components, helpers, constants and
            imports; or a class ``Policy`` with some of the methods. A whole policy that uses
            constants, imports or helpers of ``parent`` without repeating them gets them.

    Returns:
        The policy, not yet checked against the contract, nor formatted.

    Raises:
        ContractViolation: The text is not Python, or a character or its size is refused.
        EditRejected: The parts do not fit: none of them is of ``parent``, a component has other
            parameters or an elided body, or there is a statement that is not a definition.
    """
    check_characters(text.replace("\r\n", "\n"))
    part, base = _read_part(text), read_tree(parent.text)
    tree, parent_tree = ast.parse(part.code), ast.parse(parent.text)
    _refuse_elided(part, base)
    is_elided = any(_ELISION.match(line.strip()) for line in part.code.split("\n"))
    if is_elided or not _is_whole(tree, parent_tree):
        return _written(_merged(base, part), parent)
    lacking = _unknown_names(tree) & _bound_at_top(base).keys()
    return PolicySource(_with_borrowed(part, base, lacking).code if lacking else part.code)


def is_python(text: str) -> bool:
    """Return whether ``text`` could be a policy or a part of one, as far as syntax goes."""
    try:
        check_characters(text)  # at first: a reply may be many times as long as a policy
        _part_text(text)
    except ContractViolation:
        return False
    return True


def is_same_code(one: PolicySource, other: PolicySource) -> bool:
    """Return whether two policies differ in comments, layout and module docstring at most.

    Raises:
        ContractViolation: One of them is not Python.
    """
    texts = [ast.unparse(parse(replace_docstring(source, "").text)) for source in (one, other)]
    return texts[0] == texts[1]


# Reading


def _part_text(text: str) -> tuple[str, bool]:
    """Return Python that holds ``text``, and whether that is the body of an ``if`` in it.

    Raises:
        ContractViolation: The text is not Python, at whatever indentation.
    """
    text = text.replace("\r\n", "\n").strip("\n") + "\n"
    rows = [row for row in text.split("\n") if row.strip() and not row.lstrip().startswith("#")]
    margins = [_margin(row) for row in rows]
    candidates = [f"if 1:\n{text}" if any(margins[:1]) else text]
    if text.startswith(("@", "#")):  # `strip()` may have taken the margin of the first row
        candidates += [f"if 1:\n{margin}{text}" for margin in margins[1:2] if margin]
    for candidate in candidates:
        with contextlib.suppress(ContractViolation):
            parse(candidate)
            return candidate, candidate is not text
    parse(textwrap.dedent(text))  # raises, with the row of the text
    return textwrap.dedent(text), False


def _read_part(text: str) -> cst.Module:
    found, is_wrapped = _part_text(text)
    module = read_tree(found)
    if not is_wrapped:
        return module
    wrapper = module.body[0]
    assert isinstance(wrapper, cst.If), wrapper
    inner = [part for part in wrapper.body.body if isinstance(part, Statement)]
    # read anew, so that the indentation of its blocks is known without the margin
    return read_tree(module.with_changes(body=[*inner, *module.body[1:]]).code)


def _margin(row: str) -> str:
    return row[: len(row) - len(row.lstrip(" \t"))]


def _owner(module: cst.Module) -> cst.ClassDef | None:
    """Return the class ``Policy``, the last as Python sees it."""
    classes = [node for node in module.body if isinstance(node, cst.ClassDef)]
    return next((node for node in classes[::-1] if node.name.value == POLICY_CLASS), None)


def _body(node: cst.Module | cst.ClassDef) -> Sequence[Statement]:
    if isinstance(node, cst.Module):
        return node.body
    return [part for part in node.body.body if isinstance(part, Statement)]


def _functions(module: cst.Module) -> dict[str, cst.FunctionDef]:
    body = _body(_owner(module) or module)
    functions = [node for node in body if isinstance(node, cst.FunctionDef)]
    times = Counter(node.name.value for node in functions)
    return {node.name.value: node for node in functions if times[node.name.value] == 1}


def _code(module: cst.Module, *nodes: Statement) -> str:
    """Return the code of statements at the left margin."""
    return module.with_changes(header=(), footer=(), body=nodes).code


def _without_end(text: str) -> str:
    return text.removesuffix("\n").removesuffix("\r")


def parsed(node: Statement) -> ast.stmt:
    """Return the first statement of ``node`` in Python's own tree."""
    return ast.parse(_code(cst.Module(()), node)).body[0]


def _function_in(code: str) -> FunctionNode:
    (node,) = ast.parse(code).body
    assert isinstance(node, FunctionNode), node
    return node


def _signature(node: FunctionNode) -> str:
    keyword = "async def" if isinstance(node, ast.AsyncFunctionDef) else "def"
    returns = f" -> {ast.unparse(node.returns)}" if node.returns else ""
    return f"{keyword} {node.name}({ast.unparse(node.args)}){returns}"


def _attached(node: Statement) -> list[cst.EmptyLine]:
    """Return the comments directly above a statement, at its own indentation."""
    lines = list(node.leading_lines)
    first = len(lines)
    while (
        first and (line := lines[first - 1]).comment and line.indent and not line.whitespace.value
    ):
        first -= 1
    return lines[first:]


def _in_place_of(old: Statement, new: Statement) -> Statement:
    """Return ``new`` with its own comments below the lines that are not attached to ``old``."""
    detached = old.leading_lines[: len(old.leading_lines) - len(_attached(old))]
    changed: Statement = new.with_changes(leading_lines=[*detached, *_attached(new)])
    return changed


def _written(module: cst.Module, parent: PolicySource) -> PolicySource:
    r"""Return the text of a module, with ``\r\n`` within strings too if ``parent`` has that."""
    text = module.code
    if parent.text.count("\n") == parent.text.count("\r\n") > 0:
        text = text.replace("\r\n", "\n").replace("\n", "\r\n")
    return PolicySource(text)


# One function


def _replaced(module: cst.Module, old: cst.CSTNode, new: cst.CSTNode) -> cst.Module:
    changed = module.deep_replace(old, new)
    assert isinstance(changed, cst.Module), changed
    return changed


def _check_same_interface(old: FunctionNode, new: FunctionNode) -> None:
    if _parameters(old) != _parameters(new):
        raise EditRejected(
            f"{old.name} must keep its parameters ({ast.unparse(old.args)}), "
            f"but the new text has ({ast.unparse(new.args)})"
        )
    if lost := set(required_parameters(new)) - set(required_parameters(old)):
        raise EditRejected(
            f"{old.name}: its callers may rely on the default of {', '.join(sorted(lost))}; keep it"
        )
    if _kind(old) != _kind(new):
        raise EditRejected(f"{old.name} must stay {_kind(old)}, but the new text is {_kind(new)}")


def _parameters(node: FunctionNode) -> list[list[str]]:
    args = node.args
    groups = (args.posonlyargs, args.args, [args.vararg], args.kwonlyargs, [args.kwarg])
    return [[arg.arg for arg in group if arg] for group in groups]


def _kind(node: FunctionNode) -> str:
    words = sorted(binding_decorators(node))
    if isinstance(node, ast.AsyncFunctionDef):
        words.append("async")
    return f"a function that is {' and '.join(words)}" if words else "a plain function"


# Parts


def _refuse_elided(part: cst.Module, base: cst.Module) -> None:
    """Refuse functions whose body was left out or cut short with a ``...``.

    Raises:
        EditRejected: There is one, and the policy's function of that name has a body.
    """
    present = {name: _code(base, node) for name, node in _functions(base).items()}
    for name, function in _functions(part).items():
        code = _code(part, function.with_changes(leading_lines=()))
        comments = [row.strip() for row in code.split("\n") if _ELISION.match(row.strip())]
        is_cut = any(comment not in present.get(name, "") for comment in comments)
        if is_cut or (_is_empty(code) and not _is_empty(present.get(name, code))):
            raise EditRejected(
                f"the body of {name} is left out (`...`); give the whole function, or leave the "
                "function out to keep it as it is"
            )


def _is_empty(code: str) -> bool:
    """Return whether the body of a function is only ``...``, a docstring aside."""
    body = _function_in(code).body
    if len(body) > 1 and ast.get_docstring(_function_in(code)) is not None:
        body = body[1:]
    match body:
        case [ast.Expr(value=ast.Constant(value=value))]:
            return value is ...
    return False


def _is_whole(tree: ast.Module, parent: ast.Module) -> bool:
    """Return whether a text is a whole policy: it acts without the rest of the parent."""
    owner = policy_class(tree)
    names = {node.name for node in component_nodes(tree)}
    others = {node.name for node in component_nodes(parent)} - names
    if ENTRY not in names:
        return False
    if owner is None:
        act = next(node for node in component_nodes(tree) if node.name == ENTRY)
        is_method = [arg.arg for arg in act.args.args[:1]] == ["self"]
        return not is_method and not (_unknown_names(tree) & others)
    attributes = (node for node in ast.walk(owner) if isinstance(node, ast.Attribute))
    used = {node.attr for node in attributes if ast.unparse(node.value) == "self"}
    return not used & others


def _unknown_names(*nodes: ast.AST) -> set[str]:
    """Return the names that are read and nowhere bound, builtins aside."""
    read: set[str] = set()
    bound: set[str] = set(dir(builtins))
    for inner in (inner for node in nodes for inner in ast.walk(node)):
        match inner:
            case ast.Name(id=name, ctx=ast.Load()):
                read.add(name)
            case ast.Name(id=name) | ast.arg(arg=name):
                bound.add(name)
            case ast.alias(name=name, asname=other):
                bound.add(other or name.partition(".")[0])
            case (
                ast.FunctionDef(name=str(name))
                | ast.AsyncFunctionDef(name=str(name))
                | ast.ClassDef(name=str(name))
                | ast.ExceptHandler(name=str(name))
                | ast.MatchAs(name=str(name))
                | ast.MatchStar(name=str(name))
            ):
                bound.add(name)
    return read - bound


def names_of(statement: ast.stmt) -> list[str]:
    """Return the names that a definition, an import or an assignment binds."""
    match statement:
        case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
            return [name]
        case ast.Import(names=aliases) | ast.ImportFrom(names=aliases):
            return [alias.asname or alias.name.partition(".")[0] for alias in aliases]
        case ast.Assign(targets=targets):
            return [n.id for t in targets for n in ast.walk(t) if isinstance(n, ast.Name)]
        case ast.AnnAssign(target=ast.Name(id=name)):
            return [name]
    return []


def _bound_at_top(module: cst.Module) -> dict[str, Statement]:
    return {name: node for node in module.body for name in names_of(parsed(node))}


def _with_borrowed(part: cst.Module, base: cst.Module, lacking: set[str]) -> cst.Module:
    """Return ``part`` with the definitions of ``base`` that it uses, and those that these use."""
    top, known = _bound_at_top(base), set(_bound_at_top(part))
    needed: set[Statement] = set()
    wanted = set(lacking)
    while wanted:
        node = top[wanted.pop()]
        if node not in needed and not set(names_of(parsed(node))) <= known:
            needed.add(node)
            wanted |= (_unknown_names(parsed(node)) & top.keys()) - known
    for node in base.body:
        if node in needed:
            part = _placed(part, node)
    return part


def _merged(base: cst.Module, part: cst.Module) -> cst.Module:
    """Return ``base`` with every definition of ``part``."""
    functions = list(_functions(base))
    replaceable = {*functions, *_bound_at_top(base)}
    has_effect = False
    given = _definitions(part)
    for node, is_inner in given:
        before, statement = base, parsed(node)
        base = _put(base, node, is_inner=is_inner)
        if not isinstance(statement, _Import):
            has_effect |= bool(replaceable.intersection(names_of(statement)))
            is_function = isinstance(statement, FunctionNode)
            has_effect |= is_inner and not is_function and base.code != before.code
    if not has_effect:
        names = [name for node, _ in given for name in names_of(parsed(node))]
        raise EditRejected(
            f"the text defines {', '.join(names) or 'nothing'}, and the policy has nothing of that "
            f"name; its components are: {', '.join(functions)}. Keep their names, or give the "
            "whole file"
        )
    return base


def _definitions(part: cst.Module) -> list[tuple[Statement, bool]]:
    """Return what a text defines, and whether each is of the class Policy; docstrings left out.

    Raises:
        EditRejected: A statement is not a definition, or the policy's class has another name.
    """
    kept: list[tuple[Statement, bool]] = []
    owner = _owner(part)
    has_entry = owner is not None or ENTRY in _functions(part)
    found = [(node, False) for node in part.body if node is not owner]
    found += [(node, True) for node in _body(owner)] if owner else []
    for node, is_inner in found:
        statement = parsed(node)
        match statement:
            case ast.Expr(value=ast.Constant()) | ast.Pass():
                continue
            case ast.If() if "__name__" in ast.unparse(statement.test):
                continue
            case ast.ClassDef(name=name) if not has_entry and f"def {ENTRY}(" in _code(part, node):
                raise EditRejected(
                    f"the class {name} has a method {ENTRY}, but nothing uses it: the class of a "
                    f"policy is called {POLICY_CLASS}; rename it"
                )
        if not isinstance(
            statement, FunctionNode | ast.ClassDef | _Import | ast.Assign | ast.AnnAssign
        ):
            row = part.code.split(_code(part, node.with_changes(leading_lines=())))[0].count("\n")
            raise EditRejected(
                f"line {row + 1}: {ast.unparse(statement).splitlines()[0][:60]!r} is not a "
                "definition; a part of a policy is functions, constants and imports"
            )
        kept.append((node, is_inner))
    return kept


def _put(base: cst.Module, node: Statement, *, is_inner: bool) -> cst.Module:
    """Return ``base`` with one definition, in the place of its namesake or where it belongs."""
    statement, owner = parsed(node), _owner(base)
    if isinstance(node, cst.FunctionDef) and (old := _functions(base).get(node.name.value)):
        node = _with_self(old, node)
        _check_same_interface(*(_function_in(_code(base, one)) for one in (old, node)))
        return _replaced(base, old, _in_place_of(old, node))
    place: cst.Module | cst.ClassDef = base
    if is_inner or (_is_method(statement) and owner is not None):
        if owner is None:
            raise EditRejected("there is a class Policy in the text, and none in the policy")
        place = owner
    is_import, names = isinstance(statement, _Import), names_of(statement)
    for other in _body(place):
        present = parsed(other)
        if is_import and ast.unparse(present) == ast.unparse(statement):
            return base
        if not is_import and names and names_of(present) == names:
            return _replaced(base, other, _in_place_of(other, node))
    return _placed(base, node) if isinstance(place, cst.Module) else _in_class(base, place, node)


def _is_method(node: ast.stmt) -> bool:
    if not isinstance(node, FunctionNode):
        return False
    first = [arg.arg for arg in (*node.args.posonlyargs, *node.args.args)][:1]
    return first == ["self"] or bool(binding_decorators(node))


def _with_self(old: cst.FunctionDef, new: cst.FunctionDef) -> cst.FunctionDef:
    """Return a method that was written without ``self`` with the one of its namesake."""
    before, after = ([p.name.value for p in node.params.params] for node in (old, new))
    if before == ["self", *after] and after[:1] != ["self"]:
        params = [cst.Param(cst.Name("self")), *new.params.params]
        return new.with_changes(params=new.params.with_changes(params=params))
    return new


def _in_class(base: cst.Module, owner: cst.ClassDef, node: Statement) -> cst.Module:
    """Put a new method at the end of the class, a new constant at its beginning."""
    body, at = list(_body(owner)), 0
    if isinstance(node, cst.FunctionDef):
        at = len(body)
        node = node.with_changes(leading_lines=[_BLANK, *_attached(node)])
    elif isinstance(first := parsed(body[0]), ast.Expr) and isinstance(first.value, ast.Constant):
        at = 1
    body.insert(at, node)
    return _replaced(base, owner.body, owner.body.with_changes(body=body))


def _placed(module: cst.Module, node: Statement) -> cst.Module:
    """Put a new import, constant or helper at the top level, before what could use it."""
    before: tuple[type[ast.stmt], ...] = (ast.Import, ast.ImportFrom)
    statement = parsed(node)
    if not isinstance(statement, _Import):
        before += (ast.Assign, ast.AnnAssign)
    lines = _attached(node)
    if isinstance(statement, FunctionNode | ast.ClassDef):
        before += (ast.FunctionDef, ast.AsyncFunctionDef)
        lines = [_BLANK, *lines]
    at = 0
    for at, other in enumerate([*module.body, None]):
        if other is None:
            break
        present = parsed(other)
        is_docstring = at == 0 and isinstance(present, ast.Expr)
        if not (is_docstring or isinstance(present, before)):
            break
    body = [*module.body[:at], node.with_changes(leading_lines=lines), *module.body[at:]]
    return module.with_changes(body=body)


# Diffs

_HEAD = re.compile(r"^@@(?: -(\d+)(?:,(\d+))? \+\d+(?:,\d+)? @@)?\s*(.*?)\s*(?:@@)?$")
_FILE = re.compile(
    r"^(?:--- |\+\+\+ |diff |index |new file|old mode|new mode|"
    r"\*\*\* (?:Begin Patch|End Patch|End of File))"
)
_OTHER_PATCH = re.compile(r"^\*\*\* (?:Add|Delete|Move) \w+")
_UPDATE = "*** Update File:"
_SEARCH = re.compile(r"^<{5,9} ?SEARCH\b", re.MULTILINE)
_BLOCK_ENDS = {"-": (re.compile(r"^={5,9}\s*$"), "+"), "+": (re.compile(r"^>{5,9} ?REPLACE"), "")}
"""What ends the rows of a SEARCH/REPLACE block that get this sign, and the sign after it."""
_SHOWN = 3


@dataclass(frozen=True, slots=True)
class Hunk:
    """One place of a diff.

    Attributes:
        number: Which one of the diff it is, from 1.
        row: Row of the policy that it names, from 1, or None.
        anchor: A row of the policy that it says to be below, or "".
        lines: Sign (" ", "-" or "+") and text of its rows.
    """

    number: int
    row: int | None
    anchor: str
    lines: tuple[tuple[str, str], ...]

    @property
    def old(self) -> list[str]:
        """The rows that must be there."""
        return [text for sign, text in self.lines if sign != "+"]


def is_diff(text: str) -> bool:
    """Return whether ``text`` has a hunk, of a unified diff, a patch or a SEARCH/REPLACE block."""
    if _SEARCH.search(text):
        return True
    rows = text.splitlines()
    starts = [n for n, row in enumerate(rows) if _HEAD.match(row) or row.startswith(_UPDATE)]
    return any(
        row[:1] in ("+", "-") and not _FILE.match(row)
        for start in starts[:1]
        for row in rows[start + 1 :]
    )


def apply_diff(source: PolicySource, text: str) -> PolicySource:
    """Return ``source`` with the changes of a diff.

    Reads unified diffs, ``*** Begin Patch`` and SEARCH/REPLACE blocks. Line numbers only choose
    between equal places. Where the rows are not found to the letter, white space is ignored, and
    the new rows are indented as the old ones are.

    Raises:
        EditRejected: There is no hunk, or the rows of one are not in the policy, or the result is
            not Python.
        ContractViolation: The result has characters or a size that a policy may not have.
    """
    hunks = parse_hunks(text)
    if not hunks:
        raise EditRejected("there is no hunk in the diff: each begins with a row @@ ... @@")
    rows = source.text.split("\n")
    shift = 0
    for hunk in hunks:
        at = _find(rows, hunk, shift)
        new = _new_rows(hunk, rows[at : at + len(hunk.old)])
        rows[at : at + len(hunk.old)] = new
        shift += len(new) - len(hunk.old)
    result = PolicySource("\n".join(rows))
    if is_python(source.text):
        try:
            parse(result.text)
        except ContractViolation as error:
            raise EditRejected(f"the policy is not Python with the diff: {error}") from None
    return result


def parse_hunks(text: str) -> list[Hunk]:
    """Return the hunks of a diff; rows without a sign count as rows that stay.

    Raises:
        EditRejected: The patch adds, deletes or moves files, or a block has no end.
    """
    found: list[Hunk] = []
    head: re.Match[str] | None = None
    lines: list[tuple[str, str]] = []
    for line in [*_unified(text), "--- "]:
        next_head = _HEAD.match(line)
        if next_head or _FILE.match(line):
            if head and any(sign != " " for sign, _ in lines):
                found.append(_hunk(len(found) + 1, head, lines))
            head, lines = next_head, []
        elif not line.startswith("\\"):
            lines.append((line[:1], line[1:]) if line[:1] in ("+", "-", " ") else (" ", line))
    return found


def _hunk(number: int, head: re.Match[str], lines: list[tuple[str, str]]) -> Hunk:
    while lines[-1] == (" ", ""):
        lines.pop()  # empty rows below a diff are hardly part of it
    row = int(head[1]) if head[1] else None
    if row and head[2] != "0" and all(sign == "+" for sign, _ in lines):
        row -= 1  # of an insertion a diff gives the row before it, of all else the first row
    return Hunk(number, row, "" if row is not None else head[3], tuple(lines))


def _unified(text: str) -> Iterator[str]:
    """Yield the rows of a unified diff for those of a patch or of SEARCH/REPLACE blocks."""
    sign = ""
    for line in text.replace("\r\n", "\n").split("\n"):
        if sign:
            end, following = _BLOCK_ENDS[sign]
            if end.match(line):
                sign = following
                yield from [] if sign else ["--- "]  # what follows the block is no part of it
            else:
                yield sign + line
        elif _SEARCH.match(line) or line.startswith(_UPDATE):
            sign = "" if line.startswith(_UPDATE) else "-"
            yield "@@"
        elif other := _OTHER_PATCH.match(line):
            raise EditRejected(f"the patch says {other[0]}: only *** Update File can be applied")
        else:
            yield line
    if sign:
        raise EditRejected("a SEARCH/REPLACE block has no end (`>>>>>>> REPLACE`)")


def _find(rows: Sequence[str], hunk: Hunk, shift: int) -> int:
    """Return the index of the row that a hunk begins at.

    Raises:
        EditRejected: It fits nowhere, or fits in several places and does not say where.
    """
    old = hunk.old
    anchors = [n for n, row in enumerate(rows) if hunk.anchor and row.strip() == hunk.anchor]
    expected = (hunk.row or 1) - 1 + shift
    if not old:
        at = anchors[0] + 1 if anchors else expected + 1 if hunk.row else 0
        return min(max(0, at), len(rows))
    for reading in (str, str.rstrip, _without_space):
        wanted, text = [reading(row) for row in old], [reading(row) for row in rows]
        last = len(rows) - len(wanted)
        places = [at for at in range(last + 1) if text[at : at + len(wanted)] == wanted]
        if anchors:
            places = [at for at in places if at > anchors[0]][:1] or places
        if len(places) > 1 and hunk.row is None:
            raise EditRejected(
                f"hunk {hunk.number} of the diff fits in {len(places)} places; give more rows "
                "around the change"
            )
        if places:
            return min(places, key=lambda at: abs(at - expected))
    shown = "\n".join(f"    {row}" for row in old[:_SHOWN])
    raise EditRejected(
        f"hunk {hunk.number} of the diff does not fit: these rows are not in the policy\n{shown}"
    )


def _new_rows(hunk: Hunk, present: list[str]) -> list[str]:
    """Return the rows that a hunk leaves: those that stay as they are, new ones indented alike.

    Raises:
        EditRejected: The rows are indented otherwise than the policy, and not all alike.
    """
    pairs = [
        (_margin(wanted), _margin(row))
        for wanted, row in zip(hunk.old, present, strict=True)
        if row.strip()
    ]
    taken, given = pairs[0] if pairs else ("", "")
    while taken and taken[-1:] == given[-1:]:
        taken, given = taken[:-1], given[:-1]
    new, rest = [], iter(present)
    is_alike = all(m.startswith(taken) and given + m[len(taken) :] == row for m, row in pairs)
    for sign, text in hunk.lines:
        if sign != "+":
            row = next(rest)
            new += [row] if sign == " " else []
        elif not text.strip():
            new.append(text)
        elif is_alike and text.startswith(taken):
            new.append(given + text[len(taken) :])
        else:
            raise EditRejected(
                f"hunk {hunk.number} of the diff is indented otherwise than the policy; indent its "
                "rows as the policy does"
            )
    return new


def _without_space(row: str) -> str:
    return "".join(row.split())
