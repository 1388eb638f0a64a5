"""Which rows of a text a function occupies, and how rows move sideways.

A row is a line, counted from 1 as Python counts them.
"""

from __future__ import annotations

import ast
import bisect
import builtins
import operator
import re
import tokenize
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Self, TypeAlias

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
from gco_agent.policy.source import (
    PolicySource,
    check_characters,
    is_header_comment,
    parse,
    split_lines,
)

_NO_STATEMENT = frozenset(
    (tokenize.COMMENT, tokenize.NL, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER)
)
_FSTRING_START = getattr(tokenize, "FSTRING_START", None)  # from Python 3.12; before, a STRING
_FSTRING_END = getattr(tokenize, "FSTRING_END", None)


class Span(NamedTuple):
    """Rows from ``first`` to ``last``, both included."""

    first: int
    last: int


@dataclass(frozen=True, slots=True)
class Layout:
    """A text in rows, and what the tokenizer says of them.

    Attributes:
        lines: The rows, with their line ends.
        comments: Rows that are nothing but a comment; without ``#!`` and encoding.
        in_strings: Rows that begin inside a string literal, whose white space is data.
        statements: Rows of each simple statement, or of the head of a compound one, in order.
    """

    lines: list[str]
    comments: frozenset[int]
    in_strings: frozenset[int]
    statements: list[Span]

    @classmethod
    def of(cls, text: str, *, is_whole: bool = True) -> Self:
        """Read ``text``; of a text that is not Python, as far as the tokenizer gets.

        The header comments of a file are looked for only if it ``is_whole``.
        """
        lines = split_lines(text)
        comments: set[int] = set()
        in_strings: set[int] = set()
        statements: list[Span] = []
        f_strings: list[int] = []
        start: int | None = None
        try:
            # One more line end, as without any at the end Python 3.11 may leave out a NEWLINE.
            for token in tokenize.generate_tokens(iter(split_lines(text + "\n")).__next__):
                (row, _), (end, _) = token.start, token.end
                if token.type == tokenize.COMMENT and lines[row - 1].lstrip(" \t\f")[:1] == "#":
                    comments.add(row)
                elif token.type == tokenize.STRING:
                    in_strings.update(range(row + 1, end + 1))
                elif token.type == _FSTRING_START:
                    f_strings.append(row)
                elif token.type == _FSTRING_END:
                    in_strings.update(range(f_strings.pop() + 1, end + 1))
                if start is None and token.type not in _NO_STATEMENT:
                    start = row
                if start is not None and token.type == tokenize.NEWLINE:
                    statements.append(Span(start, min(row, len(lines))))
                    start = None
        except (tokenize.TokenError, SyntaxError, UnicodeEncodeError):
            pass  # the parser says it better; half a surrogate pair, Python 3.12 does not read
        if is_whole:
            comments -= {row for row in comments if is_header_comment(lines[row - 1], row)}
        return cls(lines, frozenset(comments), frozenset(in_strings), statements)

    def span(self, node: FunctionNode) -> Span:
        """The rows of a function: its decorators, its comments, its body.

        Its comments are those directly above it, at its own indentation and with no empty row
        between, and those directly below it that are indented deeper than it is.
        """
        heads = [node.lineno, *(decorator.lineno for decorator in node.decorator_list)]
        first = self._statement(min(heads)).first
        margin = self.margin(first)
        while self._is_attached(first - 1, margin):
            first -= 1
        end = node.end_lineno or node.lineno
        last = row = max(end, self._statement(end).last)
        while row < len(self.lines):
            row += 1
            if row in self.comments:
                inner = self.margin(row)
                if inner == margin or not inner.startswith(margin):
                    break
                last = row
            elif self.lines[row - 1].strip():
                break
        return Span(first, last)

    def margin(self, row: int) -> str:
        """The white space that ``row`` begins with."""
        line = self.lines[row - 1]
        return line[: len(line) - len(line.lstrip(" \t\f"))]

    def text(self, span: Span) -> str:
        """The rows of ``span`` as they are, without the line end of the last."""
        return "".join(self.lines[span.first - 1 : span.last]).removesuffix("\n").removesuffix("\r")

    def shifted(self, span: Span, old: str, new: str) -> list[str]:
        """The rows of ``span`` with the margin ``new`` in place of ``old``.

        Rows inside of string literals stay as they are, as do empty ones and any that hang out
        to the left of ``old``.
        """
        rows = []
        for row in range(span.first, span.last + 1):
            line = self.lines[row - 1]
            moves = row not in self.in_strings and line.startswith(old) and line.strip()
            rows.append(new + line[len(old) :] if moves else line)
        return rows

    def _statement(self, row: int) -> Span:
        """The statement that ``row`` is in, white space that a backslash joins to it included."""
        after = bisect.bisect_right(self.statements, row, key=operator.attrgetter("first"))
        return self.statements[after - 1]

    def _is_attached(self, row: int, margin: str) -> bool:
        return row in self.comments and self.margin(row) == margin


_FENCE = re.compile(r"^ {0,3}(`{3,}|~{3,})([^\n`]*)$", re.MULTILINE)
_CODE = re.compile(r"""\s*(@|\"{3}|'{3}|(async|def|class|import|from)\b)""")


@dataclass(frozen=True, slots=True)
class Component:
    """A function of a policy that may be rewritten.

    Attributes:
        name: Unique among the components of the policy.
        text: The exact text of its rows: the comments directly above it, decorators, body, and
            comments below that are indented as the body is; no line end after the last row.
        signature: ``def name(parameters) -> annotation`` on one line.
    """

    name: str
    text: str
    signature: str

    @property
    def dedented(self) -> str:
        """``text`` moved to the left margin; the insides of string literals stay as they are."""
        layout = Layout.of(self.text, is_whole=False)
        whole = Span(1, len(layout.lines))
        return "".join(layout.shifted(whole, layout.margin(1), ""))


def components(source: PolicySource) -> tuple[Component, ...]:
    """The methods of ``Policy``, or the module's functions if there is no such class.

    In the order of the file. A name that is defined more than once (a property and its setter)
    is none of them, since an edit could not say which it means.

    Raises:
        ContractViolation: The text is not Python.
    """
    layout = Layout.of(source.text)
    return tuple(_component(node, layout) for node in _nodes(parse(source.text)).values())


def replace_component(source: PolicySource, name: str, new_text: str) -> PolicySource:
    """Put ``new_text`` in the place of the component ``name``; every other byte stays.

    The new text may stand at any indentation, may be in a Markdown code block, and may repeat
    imports that the module has at its top (they are dropped). It is moved to the indentation of
    the old, without touching what is inside of string literals, and gets the file's line ends.

    Returns:
        The policy with the new text; not checked against the contract otherwise.

    Raises:
        ContractViolation: ``source`` itself is not Python.
        EditRejected: There is no such component; or ``new_text`` is not exactly one function with
            the same name and parameters (annotations and defaults may differ, but none that had
            a default may lose it); or it does not fit into its place.
    """
    layout, tree = Layout.of(source.text), parse(source.text)
    nodes = _nodes(tree)
    if name not in nodes:
        known = ", ".join(nodes) or "none"
        raise EditRejected(f"the policy has no component {name}; its components are: {known}")
    old_span = layout.span(nodes[name])
    old_text = layout.text(old_span)
    if new_text == old_text:
        return source
    rows = _fitting_rows(new_text, nodes[name], tree, layout.margin(old_span.first))
    newline = "\r\n" if "\r\n" in "".join(layout.lines[:1]) else "\n"
    new_rows = "".join(rows).removesuffix("\n").replace("\n", newline)
    last = layout.lines[old_span.last - 1]
    end = last[len(last.rstrip("\r\n")) :]
    before, after = layout.lines[: old_span.first - 1], layout.lines[old_span.last :]
    try:
        changed = PolicySource("".join([*before, new_rows, end, *after]))
        _check_neighbours(source, changed, name)
    except ContractViolation as exc:
        raise EditRejected(f"{name} does not fit into the policy: {exc}") from None
    return changed


def strip_fences(text: str) -> str:
    """The contents of the one Markdown code block in ``text``; text without any, as it is.

    Text that begins as code does is taken for code, whatever its docstrings quote.

    Raises:
        EditRejected: The block is not closed (the reply was cut off), or there are several.
    """
    if _CODE.match(text):
        return text
    blocks: list[str] = []
    opened: re.Match[str] | None = None
    for fence in _FENCE.finditer(text):
        if opened is None:
            opened = fence
        elif fence[1].startswith(opened[1]) and not fence[2].strip():
            blocks.append(text[opened.end() + 1 : fence.start()])
            opened = None
    if opened is not None:
        raise EditRejected("the code block is not closed: the reply was probably cut off")
    if len(blocks) > 1:
        raise EditRejected(f"there are {len(blocks)} code blocks; give the code in one")
    return blocks[0] if blocks else text


def _nodes(tree: ast.Module) -> dict[str, FunctionNode]:
    nodes = component_nodes(tree)
    times = Counter(node.name for node in nodes)
    return {node.name: node for node in nodes if times[node.name] == 1}


def _component(node: FunctionNode, layout: Layout) -> Component:
    span = layout.span(node)
    return Component(
        name=node.name,
        text=layout.text(span),
        signature=_signature(node),
    )


def _signature(node: FunctionNode) -> str:
    keyword = "async def" if isinstance(node, ast.AsyncFunctionDef) else "def"
    returns = f" -> {ast.unparse(node.returns)}" if node.returns else ""
    return f"{keyword} {node.name}({ast.unparse(node.args)}){returns}"


def _fitting_rows(new_text: str, old: FunctionNode, module: ast.Module, margin: str) -> list[str]:
    """The rows of the one function in ``new_text``, moved to ``margin``."""
    text = strip_fences(new_text).replace("\r\n", "\n").rstrip()
    layout = _unstripped(Layout.of(text, is_whole=False), margin)
    own_margin = layout.margin(layout.statements[0].first) if layout.statements else ""
    flat = "".join(layout.shifted(Span(1, len(layout.lines)), own_margin, ""))
    try:
        check_characters(text)
        body = parse(flat).body
    except ContractViolation as exc:
        raise EditRejected(f"the new text of {old.name} is not Python: {exc}") from None
    node = _only_function(body, old.name, module)
    _check_same_interface(old, node)
    span = Layout.of(flat, is_whole=False).span(node)
    return layout.shifted(span, own_margin, margin)


def _unstripped(layout: Layout, margin: str) -> Layout:
    """Give the first row its margin back where ``strip()`` took it off an indented function."""
    first = "".join(layout.lines[:1])
    if not margin or not first.startswith(("@", "#", "def ", "async ")):
        return layout
    # Had the text stood at the left, a decorator's or comment's def would have no indentation,
    # and the body of a def could have as much as `margin`, but no more.
    expected = margin if first[0] in "@#" else (margin + " ", margin + "\t")
    others = [
        line
        for row, line in enumerate(layout.lines[1:], start=2)
        if row not in layout.in_strings and line.strip()
    ]
    if others and all(line.startswith(expected) for line in others):
        return Layout.of(margin + "".join(layout.lines), is_whole=False)
    return layout


def _only_function(body: list[ast.stmt], name: str, module: ast.Module) -> FunctionNode:
    known = _imported(module.body)
    rest: list[ast.stmt] = []
    for statement in body:
        if not isinstance(statement, ast.Import | ast.ImportFrom):
            rest.append(statement)
        elif missing := _imported([statement]) - known:
            modules = ", ".join(sorted(text for text, _ in missing))
            raise EditRejected(
                f"the new text of {name} imports {modules}, which the module does not; put the "
                "import into the function, or give the whole module with the import at its top"
            )
    functions = [node for node in rest if isinstance(node, FunctionNode)]
    if len(functions) == len(rest) == 1:
        if functions[0].name != name:
            raise EditRejected(
                f"the new text defines {functions[0].name}, not {name}; keep the name"
            )
        return functions[0]
    if not rest:
        found = "nothing"
    elif len(functions) == len(rest):
        found = f"{len(functions)} functions ({', '.join(node.name for node in functions)})"
    else:
        other = next(node for node in rest if not isinstance(node, FunctionNode))
        kind = f"class {other.name}" if isinstance(other, ast.ClassDef) else "other statements"
        found = f"{kind} (line {other.lineno})"
    raise EditRejected(
        f"the new text of {name} must be one function of that name, but it holds {found}; "
        "helpers can be nested in the function"
    )


def _imported(body: list[ast.stmt]) -> set[tuple[str, str]]:
    """Pairs of what is imported, and the name it gets, by the statements of ``body``."""
    found = set()
    for node in body:
        if isinstance(node, ast.Import):
            found |= {(alias.name, alias.asname or alias.name) for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            origin = "." * node.level + (node.module or "")
            found |= {(f"{origin}.{a.name}", a.asname or a.name) for a in node.names}
    return found


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


def _parameters(node: FunctionNode) -> list[tuple[str, str]]:
    args = node.args
    return [
        *(("positional-only", a.arg) for a in args.posonlyargs),
        *(("positional", a.arg) for a in args.args),
        *(("*", a.arg) for a in (args.vararg,) if a),
        *(("keyword", a.arg) for a in args.kwonlyargs),
        *(("**", a.arg) for a in (args.kwarg,) if a),
    ]


def _kind(node: FunctionNode) -> str:
    words = sorted(binding_decorators(node))
    if isinstance(node, ast.AsyncFunctionDef):
        words.append("async")
    return f"a function that is {' and '.join(words)}" if words else "a plain function"


def _check_neighbours(before: PolicySource, after: PolicySource, name: str) -> None:
    """Make sure that the edit gave what it says, whatever its text did to those around it."""
    old, new = components(before), components(after)
    kept = [(c.name, c.text) for c in old if c.name != name]
    if kept != [(c.name, c.text) for c in new if c.name != name] or len(old) != len(new):
        raise ContractViolation("it would change other components as well")


_Definition: TypeAlias = FunctionNode | ast.ClassDef
_Preamble: TypeAlias = ast.Import | ast.ImportFrom | ast.Assign | ast.AnnAssign


def complete_policy(parent: PolicySource, text: str) -> PolicySource:
    """The policy that ``text`` stands for: all of one, or parts of ``parent`` rewritten.

    Args:
        parent: What ``text`` was written for.
        text: Python, at any indentation: a whole policy; or components, helpers, constants and
            imports; or a class ``Policy`` with some of the methods. A whole policy that uses
            constants, imports or helpers of ``parent`` without repeating them gets them.

    Returns:
        The policy, not yet checked against the contract, nor formatted.

    Raises:
        ContractViolation: The text is not Python, or no policy may hold it.
        EditRejected: The parts do not fit: none of them is of ``parent``, a component has other
            parameters, or there is a statement that is no definition.
    """
    source = PolicySource(_flat(text).strip("\n") + "\n")
    tree = parse(source.text)
    if not _is_whole(tree, parse(parent.text)):
        return _merged(parent, source, tree)
    lacking = _unknown_names(tree) & set(_bound_at_top(parse(parent.text)))
    if not lacking:
        return source
    return _with_borrowed(source, parent, lacking)


def is_python(text: str) -> bool:
    """Whether ``text`` could be a policy or a part of one, as far as syntax goes."""
    try:
        check_characters(text)  # at first: a reply may be many times as long as a policy
        parse(PolicySource(_flat(text)).text)
    except ContractViolation:
        return False
    return True


def is_same_code(one: PolicySource, other: PolicySource) -> bool:
    """Whether two policies differ in comments, layout and module docstring at most.

    Raises:
        ContractViolation: One of them is not Python.
    """
    texts = [ast.unparse(parse(replace_docstring(source, "").text)) for source in (one, other)]
    return texts[0] == texts[1]


def _flat(text: str) -> str:
    """``text`` moved to the left margin, without touching the insides of string literals."""
    layout = Layout.of(text, is_whole=False)
    margin = layout.margin(layout.statements[0].first) if layout.statements else ""
    return "".join(layout.shifted(Span(1, len(layout.lines)), margin, "")) if margin else text


def _is_whole(tree: ast.Module, parent: ast.Module) -> bool:
    """Whether a text stands for all of a policy: it can act without what the parent has."""
    owner = policy_class(tree)
    names = {node.name for node in component_nodes(tree)}
    if ENTRY not in names:
        return False
    if owner is None:
        act = next(node for node in component_nodes(tree) if node.name == ENTRY)
        is_method = [arg.arg for arg in act.args.args[:1]] == ["self"]
        others = {node.name for node in component_nodes(parent)} - names
        return not is_method and not (_unknown_names(tree) & others)
    used = {
        node.attr
        for node in ast.walk(owner)
        if isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and node.value.id == "self"
    }
    missing = {node.name for node in component_nodes(parent)} - names
    return not used & missing


def _unknown_names(tree: ast.Module) -> set[str]:
    """Names that the text reads and nowhere binds, builtins aside."""
    read: set[str] = set()
    bound: set[str] = set(dir(builtins))
    for node in ast.walk(tree):
        match node:
            case ast.Name(id=name, ctx=ast.Load()):
                read.add(name)
            case ast.Name(id=name) | ast.arg(arg=name):
                bound.add(name)
            case ast.alias(name=name, asname=other):
                bound.add(other or name.partition(".")[0])
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
                bound.add(name)
            case ast.ClassDef(name=name) | ast.ExceptHandler(name=str(name)):
                bound.add(name)
            case ast.MatchAs(name=str(name)) | ast.MatchStar(name=str(name)):
                bound.add(name)
    return read - bound


def _bound_at_top(tree: ast.Module) -> dict[str, ast.stmt]:
    """Names that the statements at the top level bind, each with its statement."""
    found: dict[str, ast.stmt] = {}
    for statement in tree.body:
        for name in _names_of(statement):
            found[name] = statement
    return found


def _names_of(statement: ast.stmt) -> list[str]:
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


def _with_borrowed(source: PolicySource, parent: PolicySource, lacking: set[str]) -> PolicySource:
    """``source`` with the definitions of ``parent`` that it uses, and those that these use."""
    top = _bound_at_top(parse(parent.text))
    known = set(_bound_at_top(parse(source.text)))
    needed: list[ast.stmt] = []
    wanted = set(lacking)
    while wanted:
        statement = top[wanted.pop()]
        if statement in needed or set(_names_of(statement)) <= known:
            continue
        needed.append(statement)
        inner = ast.Module([statement], [])
        wanted |= (_unknown_names(inner) & set(top)) - known
    layout = Layout.of(parent.text)
    for statement in sorted(needed, key=lambda node: node.lineno):
        source = _placed(source, statement, _text_of(layout, statement))
    return source


def _merged(parent: PolicySource, source: PolicySource, tree: ast.Module) -> PolicySource:
    """``parent`` with every definition of ``source``."""
    known = [node.name for node in component_nodes(parse(parent.text))]
    replaceable = {*known, *_bound_at_top(parse(parent.text))}
    result, layout = parent, Layout.of(source.text)
    has_effect = False
    for statement, in_class in _statements(tree):
        text = _text_of(layout, statement)
        before = result
        result = _put(result, statement, text, in_class=in_class)
        is_known = bool(replaceable.intersection(_names_of(statement)))
        has_effect |= is_known and not isinstance(statement, ast.Import | ast.ImportFrom)
        has_effect |= in_class and result != before and not isinstance(statement, FunctionNode)
    if not has_effect:
        given = [name for statement, _ in _statements(tree) for name in _names_of(statement)]
        raise EditRejected(
            f"the text defines {', '.join(given) or 'nothing'}, and the policy has nothing of that "
            f"name; its components are: {', '.join(known)}. Keep their names, or give the whole "
            "file"
        )
    return result


def _statements(tree: ast.Module) -> list[tuple[ast.stmt, bool]]:
    """What a text defines, and whether each is of the class Policy; docstrings are left out.

    Raises:
        EditRejected: There is a statement that is no definition.
    """
    found: list[tuple[ast.stmt, bool]] = []
    for statement in tree.body:
        if isinstance(statement, ast.ClassDef) and statement.name == POLICY_CLASS:
            found += [(inner, True) for inner in statement.body]
        else:
            found.append((statement, False))
    kept: list[tuple[ast.stmt, bool]] = []
    for statement, in_class in found:
        match statement:
            case ast.Expr(value=ast.Constant()) | ast.Pass():
                continue
            case ast.If() if "__name__" in ast.unparse(statement.test):
                continue
        if not isinstance(statement, FunctionNode | ast.ClassDef | _Preamble):
            raise EditRejected(
                f"line {statement.lineno}: {ast.unparse(statement).splitlines()[0][:60]!r} is no "
                "definition; a part of a policy is functions, constants and imports"
            )
        kept.append((statement, in_class))
    return kept


def _put(source: PolicySource, node: ast.stmt, text: str, *, in_class: bool) -> PolicySource:
    """``source`` with one definition: in the place of its namesake, or where it belongs."""
    tree = parse(source.text)
    owner = policy_class(tree)
    if isinstance(node, FunctionNode):
        for old in component_nodes(tree):
            if old.name == node.name:
                return replace_component(source, node.name, _with_self(old, node, text))
    body: Sequence[ast.stmt] = tree.body
    if in_class or (_is_method(node) and owner is not None):
        if owner is None:
            raise EditRejected("there is a class Policy in the text, and none in the policy")
        body = owner.body
    names = _names_of(node)
    is_import = isinstance(node, ast.Import | ast.ImportFrom)
    if is_import and ast.unparse(node) in {ast.unparse(statement) for statement in body}:
        return source
    for old_statement in body:
        if not is_import and names and _names_of(old_statement) == names:
            layout = Layout.of(source.text)
            return _replaced(layout, _span(layout, old_statement), text)
    if body is not tree.body and owner is not None:
        return _added_to_class(source, owner, node, text)
    return _placed(source, node, text)


def _is_method(node: ast.stmt) -> bool:
    if not isinstance(node, FunctionNode):
        return False
    first = [arg.arg for arg in (*node.args.posonlyargs, *node.args.args)][:1]
    return first == ["self"] or bool(binding_decorators(node))


def _with_self(old: FunctionNode, new: FunctionNode, text: str) -> str:
    """Give a function that was written without ``self`` the one that its namesake has."""
    before = [arg.arg for arg in old.args.args]
    after = [arg.arg for arg in new.args.args]
    if before == ["self", *after] and after[:1] != ["self"]:
        head = f"def {new.name}("
        return text.replace(head, f"{head}self, " if after else f"{head}self", 1)
    return text


def _added_to_class(
    source: PolicySource, owner: ast.ClassDef, node: ast.stmt, text: str
) -> PolicySource:
    """A new method at the end of the class; a new constant at its beginning."""
    layout = Layout.of(source.text)
    margin = layout.margin(owner.body[0].lineno)
    moved = _indented(text, margin)
    if isinstance(node, FunctionNode):
        row = max(_span(layout, statement).last for statement in owner.body)
        return _inserted(layout, row, f"\n{moved}")
    has_docstring = ast.get_docstring(owner) is not None
    row = (
        (owner.body[0].end_lineno or 0) if has_docstring else _span(layout, owner.body[0]).first - 1
    )
    return _inserted(layout, row, moved)


def _placed(source: PolicySource, node: ast.stmt, text: str) -> PolicySource:
    """A new import, constant or helper at the top level, before whatever could use it."""
    tree, layout = parse(source.text), Layout.of(source.text)
    row = 0
    for statement in tree.body:
        is_docstring = statement is tree.body[0] and isinstance(statement, ast.Expr)
        comes_before = is_docstring or isinstance(statement, ast.Import | ast.ImportFrom)
        if not isinstance(node, ast.Import | ast.ImportFrom):
            comes_before |= isinstance(statement, _Preamble)
        if isinstance(node, FunctionNode | ast.ClassDef):
            comes_before |= isinstance(statement, FunctionNode)
        if not comes_before:
            break
        row = _span(layout, statement).last
    return _inserted(layout, row, f"\n{text}\n" if isinstance(node, _Definition) else text)


def _inserted(layout: Layout, row: int, text: str) -> PolicySource:
    """``text`` after ``row`` of the source."""
    before, after = "".join(layout.lines[:row]), "".join(layout.lines[row:])
    join = "" if not before or before.endswith("\n") else "\n"
    return PolicySource(f"{before}{join}{text}\n{after}")


def _replaced(layout: Layout, span: Span, text: str) -> PolicySource:
    margin = layout.margin(span.first)
    before, after = layout.lines[: span.first - 1], layout.lines[span.last :]
    return PolicySource("".join([*before, _indented(text, margin), "\n", *after]))


def _indented(text: str, margin: str) -> str:
    layout = Layout.of(text, is_whole=False)
    own = layout.margin(layout.statements[0].first) if layout.statements else ""
    return "".join(layout.shifted(Span(1, len(layout.lines)), own, margin))


def _span(layout: Layout, node: ast.stmt) -> Span:
    """The rows of a statement, with the comments that belong to it."""
    if isinstance(node, FunctionNode):
        return layout.span(node)
    decorators = node.decorator_list if isinstance(node, ast.ClassDef) else []
    first = min([node.lineno, *(decorator.lineno for decorator in decorators)])
    margin = layout.margin(first)
    while first - 1 in layout.comments and layout.margin(first - 1) == margin:
        first -= 1
    return Span(first, node.end_lineno or node.lineno)


def _text_of(layout: Layout, node: ast.stmt) -> str:
    return layout.text(_span(layout, node))


_HUNK = re.compile(r"^@@(?: -(\d+)(?:,(\d+))? \+\d+(?:,\d+)? @@)?.*$")
_FILE = re.compile(r"^(?:--- |\+\+\+ |diff |index |new file|old mode|new mode)")
_SHOWN = 3


@dataclass(frozen=True, slots=True)
class Hunk:
    """One place of a diff.

    Attributes:
        number: Which one of the diff it is, from 1.
        row: Where it says that it is, from 1; None if it does not say.
        old: The rows that must be there, without line ends.
        new: The rows that take their place.
    """

    number: int
    row: int | None
    old: tuple[str, ...]
    new: tuple[str, ...]


def is_diff(text: str) -> bool:
    """Whether ``text`` has a hunk of a unified diff that changes something."""
    rows = text.splitlines()
    starts = [n for n, row in enumerate(rows) if _HUNK.match(row)]
    return any(
        row[:1] in ("+", "-") and not _FILE.match(row)
        for start in starts[:1]
        for row in rows[start + 1 :]
    )


def apply_diff(source: PolicySource, text: str) -> PolicySource:
    """``source`` with the changes of a unified diff.

    Line numbers only help to choose between equal places. Where the rows are found nowhere to the
    letter, white space at their ends is not looked at, and then none at all.

    Raises:
        EditRejected: There is no hunk, or the rows of one are nowhere in the policy.
        ContractViolation: The result is no text that a policy may be.
    """
    hunks = parse_hunks(text)
    if not hunks:
        raise EditRejected("there is no hunk in the diff: each begins with a row @@ ... @@")
    rows = source.text.split("\n")
    shift = 0
    for hunk in hunks:
        at = _find(rows, hunk, shift)
        rows[at : at + len(hunk.old)] = hunk.new
        shift += len(hunk.new) - len(hunk.old)
    return PolicySource("\n".join(rows))


def parse_hunks(text: str) -> list[Hunk]:
    """The hunks of a unified diff; rows without a sign count as rows that stay."""
    found: list[Hunk] = []
    row: int | None = None
    old: list[str] | None = None
    new: list[str] = []
    has_rows = True

    def close() -> None:
        nonlocal old, new
        if old is not None and old != new:
            while old and new and old[-1] == new[-1] == "":
                old, new = old[:-1], new[:-1]  # empty rows below a diff are hardly part of it
            # of an insertion a diff gives the row before it, of all else the first row
            at = row - 1 if row and has_rows and not old else row
            found.append(Hunk(len(found) + 1, at, tuple(old), tuple(new)))
        old, new = None, []

    for line in text.replace("\r\n", "\n").split("\n"):
        head = _HUNK.match(line)
        if head or _FILE.match(line):
            close()
            if head:
                row, old = int(head[1]) if head[1] else None, []
                has_rows = head[2] != "0"
        elif old is not None and not line.startswith("\\"):
            sign, rest = (line[:1], line[1:]) if line[:1] in ("+", "-", " ") else ("", line)
            if sign != "+":
                old.append(rest)
            if sign != "-":
                new.append(rest)
    close()
    return found


def _find(rows: Sequence[str], hunk: Hunk, shift: int) -> int:
    """Index of the row that a hunk begins at.

    Raises:
        EditRejected: It fits nowhere, or fits in several places and does not say where.
    """
    expected = (hunk.row or 1) - 1 + shift
    if not hunk.old:
        return min(max(0, expected + 1 if hunk.row else 0), len(rows))
    readings: tuple[Callable[[str], str], ...] = (str, str.rstrip, _without_space)
    for reading in readings:
        wanted = [reading(row) for row in hunk.old]
        text = [reading(row) for row in rows]
        last = len(rows) - len(wanted)
        places = [at for at in range(last + 1) if text[at : at + len(wanted)] == wanted]
        if len(places) > 1 and hunk.row is None:
            raise EditRejected(
                f"hunk {hunk.number} of the diff fits in {len(places)} places; give more rows "
                "around the change"
            )
        if places:
            return min(places, key=lambda at: abs(at - expected))
    shown = "\n".join(f"    {row}" for row in hunk.old[:_SHOWN])
    raise EditRejected(
        f"hunk {hunk.number} of the diff does not fit: the policy has nowhere the rows\n{shown}"
    )


def _without_space(row: str) -> str:
    return "".join(row.split())
