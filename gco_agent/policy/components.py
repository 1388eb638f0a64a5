"""The functions of a policy that may be rewritten: found, and replaced one at a time.

A replacement changes the rows of its function and not one byte besides.
"""

from __future__ import annotations

import ast
import re
from collections import Counter
from dataclasses import dataclass

from gco_agent.errors import ContractViolation, EditRejected
from gco_agent.policy.contract import (
    FunctionNode,
    binding_decorators,
    component_nodes,
    required_parameters,
)
from gco_agent.policy.layout import Layout, Span
from gco_agent.policy.source import PolicySource, check_characters, parse

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
