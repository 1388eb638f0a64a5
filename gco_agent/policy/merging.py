"""Parts of a policy put into a whole one: functions, constants, imports, part of its class.

People and models often answer with what they changed and leave the rest out. What they give takes
the place of what the policy has under the same name; what is new finds the place where it belongs.
"""

from __future__ import annotations

import ast
import builtins
from collections.abc import Sequence
from typing import TypeAlias

from gco_agent.errors import ContractViolation, EditRejected
from gco_agent.policy.components import replace_component
from gco_agent.policy.contract import (
    ENTRY,
    POLICY_CLASS,
    FunctionNode,
    binding_decorators,
    component_nodes,
    policy_class,
)
from gco_agent.policy.docstrings import replace_docstring
from gco_agent.policy.layout import Layout, Span
from gco_agent.policy.source import PolicySource, check_characters, parse

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
