"""Edits of policy text: parts merged into a whole, diffs applied.

LibCST reads the text, so that everything outside of an edit stays byte for byte, comments included.
Names and parameters are looked up in Python's own syntax tree.
"""

from __future__ import annotations

import ast
import builtins
import contextlib
import copy
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
    binding_decorators,
    component_nodes,
    policy_class,
    required_parameters,
    unbound_names,
)
from gco_agent.policy.source import (
    FunctionNode,
    PolicySource,
    check_characters,
    is_header_comment,
    parse,
    replace_docstring,
)

Statement: TypeAlias = cst.SimpleStatementLine | cst.BaseCompoundStatement
_BLANK = cst.EmptyLine(indent=False)
_REMARK = re.compile(
    r"^[^#\n]*+#.*\b(?:unchanged|existing|omitted|same as|as before|rest of)\b",
    re.IGNORECASE | re.MULTILINE,
)
"""A comment in a function without a body that stands for code of before."""
_ELISION = re.compile(r"[ \t]*(#\s*(?:\.{3}|…).*)")
"""A comment that stands for code that was left out: ``# ... existing code ...``."""


@dataclass(frozen=True, slots=True)
class Component:
    """A function of a policy that may be rewritten.

    Attributes:
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
    """
    module = read_tree(source.text)
    owner = _owner(module)
    found = []
    for name, function in _functions(module).items():
        node = function.with_changes(leading_lines=_attached(function))
        text = dedented = module.code_for_node(node)
        if owner is not None and isinstance(owner.body, cst.IndentedBlock):
            block = owner.body.with_changes(body=[node], header=cst.TrailingWhitespace(), footer=())
            text = module.code_for_node(cst.ClassDef(cst.Name(POLICY_CLASS), block))
            text = text.partition("\n")[2]
        text, dedented = (code.removesuffix("\n").removesuffix("\r") for code in (text, dedented))
        found.append(Component(name, text, dedented, _signature(_function_in(function))))
    return tuple(found)


def complete_policy(parent: PolicySource, text: str) -> PolicySource:
    """Return the policy that ``text`` stands for: all of one, or parts of ``parent`` rewritten.

    Every byte of ``parent`` that ``text`` does not redefine stays.

    Args:
        text: Python, at any indentation: a whole policy; or components, helpers, constants and
            imports; or a class ``Policy`` with some of the methods. A whole policy that uses
            constants, imports or helpers of ``parent`` without repeating them gets them.

    Returns:
        The policy, not yet checked against the contract, nor formatted.

    Raises:
        EditRejected: The parts do not fit: none of them is of ``parent``, a component has other
            parameters or an elided body, or there is a statement that is not a definition.
    """
    check_characters(text.replace("\r\n", "\n"))
    part, base = _read_part(text), read_tree(parent.text)
    _refuse_elided(part, base)
    if _elisions(part.code) or not _is_whole(ast.parse(part.code), ast.parse(parent.text)):
        code = _merged(base, part).code
        if parent.text.count("\n") == parent.text.count("\r\n") > 0:  # within strings too
            code = code.replace("\r\n", "\n").replace("\n", "\r\n")
        return PolicySource(code)
    return PolicySource(_with_borrowed(part, base).code)


def is_python(text: str) -> bool:
    """Return whether ``text`` could be a policy or a part of one, as far as syntax goes."""
    with contextlib.suppress(ContractViolation):
        check_characters(text)  # at first: a reply may be many times as long as a policy
        _part_text(text)
        return True
    return False


def is_same_code(one: PolicySource, other: PolicySource) -> bool:
    """Return whether two policies differ in comments, layout and module docstring at most."""
    texts = [ast.unparse(parse(replace_docstring(source, "").text)) for source in (one, other)]
    return texts[0] == texts[1]


# Reading


def read_tree(text: str) -> cst.Module:
    """Parse ``text`` into a tree of every byte; comments right above go with a statement."""
    parse(text)  # for our messages, and for the limit on nesting
    module = None
    with contextlib.suppress(cst.ParserSyntaxError, RecursionError):
        module = cst.parse_module(text)
    if module is None or module.code != text:
        raise ContractViolation(
            "the layout of the text cannot be read; remove backslashes at the end of lines"
        )
    if not module.body:
        return module
    header, first = module.header, len(module.header)
    while first and (comment := header[first - 1].comment):
        if is_header_comment(comment.value, first):
            break
        first -= 1
    statement, *rest = module.body
    statement = statement.with_changes(leading_lines=[*header[first:], *statement.leading_lines])
    return module.with_changes(header=header[:first], body=[statement, *rest])


def _part_text(text: str) -> tuple[str, bool]:
    """Return Python that holds ``text``, and whether that is the body of an ``if`` in it."""
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
    wrapper, *rest = module.body
    assert isinstance(wrapper, cst.If), wrapper
    # read anew, so that the indentation of its blocks is known without the margin
    return read_tree(module.with_changes(body=[*statements(wrapper.body), *rest]).code)


def _margin(row: str) -> str:
    return row[: len(row) - len(row.lstrip(" \t"))]


def statements(suite: cst.BaseSuite) -> list[Statement]:
    """Return the statements of a block; small ones behind its colon as lines of their own."""
    if isinstance(suite, cst.IndentedBlock):
        return [node for node in suite.body if isinstance(node, Statement)]
    small = (node for node in suite.body if isinstance(node, cst.BaseSmallStatement))
    return [cst.SimpleStatementLine([node]) for node in small]


def parsed(node: cst.CSTNode) -> ast.stmt:
    """Return the first statement of ``node`` in Python's own tree."""
    return ast.parse(cst.Module(()).code_for_node(node)).body[0]


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


def _owner(module: cst.Module) -> cst.ClassDef | None:
    """Return the class ``Policy``, the last as Python sees it."""
    classes = [node for node in module.body if isinstance(node, cst.ClassDef)]
    return next((node for node in classes[::-1] if node.name.value == POLICY_CLASS), None)


def _functions(module: cst.Module) -> dict[str, cst.FunctionDef]:
    owner = _owner(module)
    body = statements(owner.body) if owner else module.body
    functions = [node for node in body if isinstance(node, cst.FunctionDef)]
    times = Counter(node.name.value for node in functions)
    return {node.name.value: node for node in functions if times[node.name.value] == 1}


def _function_in(node: cst.FunctionDef) -> FunctionNode:
    function = parsed(node)
    assert isinstance(function, FunctionNode), function
    return function


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


def _is_import(node: ast.stmt) -> bool:
    return isinstance(node, ast.Import | ast.ImportFrom)


def _elisions(code: str) -> list[str]:
    """Return the comments in ``code`` that stand for code that was left out."""
    return [found[1] for row in code.split("\n") if (found := _ELISION.match(row))]


def _bound_at_top(module: cst.Module) -> dict[str, Statement]:
    return {name: node for node in module.body for name in names_of(parsed(node))}


def _unknown_names(node: ast.AST) -> set[str]:
    return {name.id for name in unbound_names(node)}.difference(dir(builtins))


# Merging


def _refuse_elided(part: cst.Module, base: cst.Module) -> None:
    """Refuse functions whose body was left out or cut short with a ``...``."""
    present = _functions(base)
    for name, function in _functions(part).items():
        old = present.get(name)
        comments = _elisions(part.code_for_node(function.with_changes(leading_lines=())))
        before = base.code_for_node(old) if old else ""
        is_cut = any(comment.strip() not in before for comment in comments)
        if is_cut or (old and _is_empty(function) and not _is_empty(old)):
            raise EditRejected(
                f"the body of {name} is left out (`...`); give the whole function, or leave the "
                "function out to keep it as it is"
            )


def _is_empty(function: cst.FunctionDef) -> bool:
    """Return whether a function, its docstring aside, has no body: ``...``, or only a remark."""
    node = _function_in(function)
    body = [row for row in node.body if row is node.body[-1] or not _is_text(row)]
    match body:
        case [ast.Expr(value=ast.Constant(value=value))]:
            return value is ...
        case [ast.Raise() as row]:
            return "NotImplementedError" in ast.unparse(row)
        case [ast.Pass()]:
            return _REMARK.search(cst.Module(()).code_for_node(function)) is not None
    return False


def _is_text(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


def _is_whole(tree: ast.Module, parent: ast.Module) -> bool:
    """Return whether a text is a whole policy: it acts without the rest of the parent."""
    owner = policy_class(tree)
    own = {node.name: node for node in component_nodes(tree)}
    others = {node.name for node in component_nodes(parent)} - own.keys()
    if ENTRY not in own:
        return False
    if owner is None:
        is_method = [arg.arg for arg in own[ENTRY].args.args[:1]] == ["self"]
        return not is_method and not (_unknown_names(tree) & others)
    attributes = (node for node in ast.walk(owner) if isinstance(node, ast.Attribute))
    return not others & {node.attr for node in attributes if ast.unparse(node.value) == "self"}


def _with_borrowed(part: cst.Module, base: cst.Module) -> cst.Module:
    """Return ``part`` with the definitions of ``base`` that it uses, and those that these use."""
    top, known = _bound_at_top(base), set(_bound_at_top(part))
    needed: set[Statement] = set()
    reading: list[ast.AST] = [ast.parse(part.code)]
    while reading:
        for name in (_unknown_names(reading.pop()) & top.keys()) - known:
            needed.add(top[name])
            reading.append(definition := parsed(top[name]))
            known |= set(names_of(definition))
    for node in base.body:
        if node in needed:
            part = _placed(part, node)
    return part


def _merged(base: cst.Module, part: cst.Module) -> cst.Module:
    owner, given = _owner(base), _definitions(part)
    own = [*base.body, *(statements(owner.body) if owner else ())]
    known = {name for node in own for name in names_of(parsed(node))}
    trees = [parsed(node) for node, _ in given]
    names = [name for tree in trees for name in names_of(tree)]
    if not any(known.intersection(names_of(tree)) for tree in trees if not _is_import(tree)):
        raise EditRejected(
            f"the text defines {', '.join(names) or 'nothing'}, and the policy has nothing of that "
            f"name; its components are: {', '.join(_functions(base))}. Keep their names, or give "
            "the whole file"
        )
    for node, is_inner in given:
        base = _put(base, node, is_inner=is_inner)
    return base


def _definitions(part: cst.Module) -> list[tuple[Statement, bool]]:
    """Return what a text defines, and whether each is of the class Policy; docstrings left out."""
    kept: list[tuple[Statement, bool]] = []
    owner = _owner(part)
    has_entry = owner is not None or ENTRY in _functions(part)
    found = [(node, False) for node in part.body if node is not owner]
    found += [(node, True) for node in statements(owner.body)] if owner else []
    for node, is_inner in found:
        statement, code = parsed(node), part.code_for_node(node.with_changes(leading_lines=()))
        match statement:
            case ast.Expr(value=ast.Constant()) | ast.Pass():
                continue
            case ast.If() if "__name__" in ast.unparse(statement.test):
                continue
            case ast.ClassDef(name=name) if not has_entry and f"def {ENTRY}(" in code:
                raise EditRejected(
                    f"the class {name} has a method {ENTRY}, but nothing uses it: the class of a "
                    f"policy is called {POLICY_CLASS}; rename it"
                )
        if not isinstance(
            statement,
            FunctionNode | ast.ClassDef | ast.Import | ast.ImportFrom | ast.Assign | ast.AnnAssign,
        ):
            row = part.code.split(code)[0].count("\n")
            raise EditRejected(
                f"line {row + 1}: {code.splitlines()[0][:60]!r} is not a definition; a part of a "
                "policy is functions, constants and imports"
            )
        kept.append((node, is_inner))
    return kept


def _put(base: cst.Module, node: Statement, *, is_inner: bool) -> cst.Module:
    """Return ``base`` with one definition, in the place of its namesake or where it belongs."""
    statement, owner = parsed(node), _owner(base)
    if isinstance(node, cst.FunctionDef) and (old := _functions(base).get(node.name.value)):
        node = _with_self(old, node)
        _check_same_interface(_function_in(old), _function_in(node))
        return _replaced(base, old, node)
    if owner is None and is_inner:
        raise EditRejected("there is a class Policy in the text, and none in the policy")
    in_class = owner if is_inner or _is_method(statement) else None
    is_import, names = _is_import(statement), names_of(statement)
    for other in statements(in_class.body) if in_class else base.body:
        present = parsed(other)
        if is_import and ast.unparse(present) == ast.unparse(statement):
            return base
        if not is_import and names and names_of(present) == names:
            return _replaced(base, other, node)
    return _in_class(base, in_class, node) if in_class else _placed(base, node)


def _replaced(module: cst.Module, old: Statement, new: Statement) -> cst.Module:
    """Put ``new`` with its comments below the lines that are not attached to ``old``."""
    detached = old.leading_lines[: len(old.leading_lines) - len(_attached(old))]
    new = new.with_changes(leading_lines=[*detached, *_attached(new)])
    changed = module.deep_replace(old, new)
    assert isinstance(changed, cst.Module), changed
    return changed


def _check_same_interface(old: FunctionNode, new: FunctionNode) -> None:
    if _interface(old) != _interface(new):
        raise EditRejected(
            f"{old.name} must keep its parameters and decorators: it is `{_interface(old)}`, "
            f"but the new text has `{_interface(new)}`"
        )
    if lost := set(required_parameters(new)) - set(required_parameters(old)):
        raise EditRejected(
            f"{old.name}: its callers may rely on the default of {', '.join(sorted(lost))}; keep it"
        )


def _interface(node: FunctionNode) -> str:
    """Return how a function is called, without annotations and defaults."""
    node = copy.deepcopy(node)
    args, node.returns = node.args, None
    args.defaults, args.kw_defaults = [], [None] * len(args.kwonlyargs)
    for arg in (*args.posonlyargs, *args.args, args.vararg, *args.kwonlyargs, args.kwarg):
        if arg:
            arg.annotation = None
    return " ".join([*(f"@{word}" for word in sorted(binding_decorators(node))), _signature(node)])


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
    body = statements(owner.body)
    if isinstance(node, cst.FunctionDef):
        body.append(node.with_changes(leading_lines=[_BLANK, *_attached(node)]))
    else:
        body.insert(int(_is_text(parsed(body[0]))), node)
    changed = base.deep_replace(owner.body, owner.body.with_changes(body=body))
    assert isinstance(changed, cst.Module), changed
    return changed


def _placed(module: cst.Module, node: Statement) -> cst.Module:
    """Put a new import, constant or helper at the top level, before what could use it."""
    before: tuple[type[ast.stmt], ...] = (ast.Import, ast.ImportFrom)
    statement, lines = parsed(node), _attached(node)
    if not _is_import(statement):
        before += (ast.Assign, ast.AnnAssign)
    if isinstance(statement, FunctionNode | ast.ClassDef):
        before += (ast.FunctionDef, ast.AsyncFunctionDef)
        lines = [_BLANK, *lines]
    present = [parsed(other) for other in module.body]
    at = int(bool(present) and isinstance(present[0], ast.Expr))  # below the docstring
    while at < len(present) and isinstance(present[at], before):
        at += 1
    body = [*module.body[:at], node.with_changes(leading_lines=lines), *module.body[at:]]
    return module.with_changes(body=body)


# Diffs

_HEAD = re.compile(r"^@@(?: -(\d+)(?:,(\d+))? \+\d+(?:,\d+)? @@)?(.*)$")
_FILE = re.compile(
    r"^(?:--- |\+\+\+ |diff |index |new file|old mode|new mode|"
    r"\*\*\* (?:Begin Patch|End Patch|End of File))"
)
_OTHER_PATCH = re.compile(r"^\*\*\* (?:Add File|Delete File|Move to):")
_UPDATE = "*** Update File:"
_SEARCH = re.compile(r"^<{5,9} ?SEARCH\b")
_BLOCK_ENDS = {"-": (re.compile(r"^={5,9}\s*$"), "+"), "+": (re.compile(r"^>{5,9} ?REPLACE"), "")}
"""What ends the rows of a SEARCH/REPLACE block that get this sign, and the sign after it."""
_SHOWN = 3


@dataclass(frozen=True, slots=True)
class _Hunk:
    """One place of a diff.

    Attributes:
        row: Row of the policy that it names, from 1, or None.
        anchor: A row of the policy that it says to be below, or "".
        lines: Sign (" ", "-" or "+") and text of its rows.
    """

    number: int
    row: int | None
    anchor: str
    lines: list[tuple[str, str]]

    @property
    def old(self) -> list[str]:
        """The rows that must be there."""
        return [text for sign, text in self.lines if sign != "+"]


def is_diff(text: str) -> bool:
    """Return whether ``text`` has a hunk, of a unified diff, a patch or a SEARCH/REPLACE block."""
    try:
        return bool(_hunks(text))
    except EditRejected:
        return True


def apply_diff(source: PolicySource, text: str) -> PolicySource:
    """Return ``source`` with the changes of a diff.

    Reads unified diffs, ``*** Begin Patch`` and SEARCH/REPLACE blocks. Line numbers only choose
    between equal places. Where the rows are not found to the letter, white space is ignored, and
    the new rows are indented as the old ones are.

    Raises:
        EditRejected: There is no hunk, or the rows of one are not in the policy, or the result is
            not Python.
    """
    rows = source.text.split("\n")
    hunks = _hunks(text)
    if not hunks:
        raise EditRejected("there is no hunk in the diff: each begins with a row @@ ... @@")
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


def _hunks(text: str) -> list[_Hunk]:
    """Return the hunks of a diff; rows without a sign count as rows that stay."""
    found: list[_Hunk] = []
    head: re.Match[str] | None = None
    lines: list[tuple[str, str]] = []
    for line in [*_unified(text), "--- "]:
        next_head = _HEAD.match(line)
        if next_head or _FILE.match(line):
            if head and any(sign != " " for sign, _ in lines):
                while lines[-1] == (" ", ""):
                    lines.pop()  # empty rows below a diff are not part of it
                row = int(head[1]) if head[1] else None
                if row and head[2] != "0" and all(sign == "+" for sign, _ in lines):
                    row -= 1  # of an insertion a diff gives the row before it
                anchor = "" if row is not None else head[3].strip().removesuffix("@@").strip()
                found.append(_Hunk(len(found) + 1, row, anchor, lines))
            head, lines = next_head, []
        elif not line.startswith("\\"):
            lines.append((line[:1], line[1:]) if line[:1] in ("+", "-", " ") else (" ", line))
    return found


def _unified(text: str) -> Iterator[str]:
    """Yield the rows of a unified diff for those of a patch or of SEARCH/REPLACE blocks."""
    sign = ""
    for line in text.replace("\r\n", "\n").split("\n"):
        if sign:
            end, following = _BLOCK_ENDS[sign]
            if not end.match(line):
                yield sign + line
                continue
            sign = following
            if not sign:
                yield "--- "  # what follows the block is no part of it
        elif _SEARCH.match(line) or line.startswith(_UPDATE):
            sign = "" if line.startswith(_UPDATE) else "-"
            yield "@@"
        elif other := _OTHER_PATCH.match(line):
            raise EditRejected(f"the patch says {other[0]} only *** Update File can be applied")
        else:
            yield line
    if sign:
        raise EditRejected("a SEARCH/REPLACE block has no end (`>>>>>>> REPLACE`)")


def _find(rows: Sequence[str], hunk: _Hunk, shift: int) -> int:
    """Return the index of the row that a hunk begins at."""
    old = hunk.old
    anchors = [n for n, row in enumerate(rows) if hunk.anchor and row.strip() == hunk.anchor]
    expected = (hunk.row or 1) - 1 + shift
    if not old:
        at = anchors[0] + 1 if anchors else expected + 1 if hunk.row else 0
        return min(max(0, at), len(rows))
    for reading in (str, str.rstrip, lambda row: "".join(row.split())):
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


def _new_rows(hunk: _Hunk, present: list[str]) -> list[str]:
    """Return the rows that a hunk leaves: those that stay as they are, new ones indented alike."""
    pairs = [
        (_margin(wanted), _margin(row))
        for wanted, row in zip(hunk.old, present, strict=True)
        if row.strip()
    ]
    taken, given = pairs[0] if pairs else ("", "")
    while taken and taken[-1:] == given[-1:]:
        taken, given = taken[:-1], given[:-1]
    is_alike = all(m.startswith(taken) and given + m[len(taken) :] == row for m, row in pairs)
    new, rest = [], iter(present)
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
