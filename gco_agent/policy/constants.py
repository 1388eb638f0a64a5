"""The numbers of a policy that can be tuned: found by how they are used, and written back.

A number that is calculated with or compared by order is a quantity; an action, an index or a flag
is a label. Only quantities are tuned. Signs are no part of the numbers, and a zero stays zero.
"""

from __future__ import annotations

import ast
import enum
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from gco_agent.policy.contract import component_nodes, policy_class
from gco_agent.policy.source import FunctionNode, PolicySource, Positions, parse

_ACTION_LIKE = 17
"""Integers up to this may be actions (the full action set of the ALE has 18)."""
_GEOMETRY = 20
"""Equal numbers from here on are treated as one place on the screen, wherever they stand."""
_STRUCTURAL = (0.5, 1.0, 2.0)
"""Halves, units and doubles are part of a formula."""
_SMALLEST_INTEGER = 3
_LARGE, _LARGEST = 4.0, 1e9
_FLOOR = 0.05
"""A number with decimals keeps at least this share of what it was."""
_DECIMAL = re.compile(r"[0-9][0-9_]*|[0-9_]*\.[0-9_]*(?:[eE][-+]?[0-9]+)?|[0-9_]+[eE][-+]?[0-9]+")
_ARITHMETIC = frozenset(
    ("min", "max", "abs", "sum", "pow", "float", "divmod", "hypot", "sqrt", "clip", "copysign")
)
_DEPTH = 3
"""Calls of the policy's own functions that a number is followed through."""


@dataclass(frozen=True, slots=True)
class TunableConstant:
    """A quantity of a policy.

    Attributes:
        name: Of the module or class constant; for a number in a function, the function's name and
            the number: "act 152".
        value: Its magnitude, above 0; a sign is in the text before it.
        places: Where it stands, as indices of the text; equal numbers that move together have
            several.
        sign: -1 if a minus sign stands before it in all its places, else 1.
    """

    name: str
    value: float
    is_integer: bool
    is_named: bool
    line: int
    places: tuple[tuple[int, int], ...]
    sign: int

    @property
    def scale(self) -> float:
        """A typical change: an eighth of a large number, half of a small one."""
        usual = max(0.12 * self.value, 1.5 if self.value >= _LARGE else 0.4)
        return max(1.0, usual) if self.is_integer else min(0.5 * self.value, usual)

    def fitted(self, value: float) -> float:
        """Return the nearest allowed value: above zero, an integer if it is one, of four digits."""
        if self.is_integer:
            return float(max(1, round(value)))
        if value == self.value:
            return value
        return float(f"{max(value, _FLOOR * self.value):.4g}")


def tunable_constants(source: PolicySource) -> tuple[TunableConstant, ...]:
    """Return the quantities of a policy: named ones first, then in the order of the file."""
    found = list(_Finder(source.text).all())
    named = {c.value: c for c in found if c.is_named}
    tied: dict[tuple[str, float], TunableConstant] = {}
    for constant in found:
        everywhere = constant.value >= _GEOMETRY
        owner = named.get(constant.value, constant) if everywhere else constant
        key = ("" if everywhere else owner.name, owner.value)
        known = tied.get(key, constant)
        tied[key] = replace(
            owner,
            places=tuple(sorted({*known.places, *constant.places})),
            is_integer=owner.is_integer and known.is_integer,
            line=min(constant.line, known.line),
            sign=max(constant.sign, known.sign),
        )
    return tuple(sorted(tied.values(), key=lambda c: (not c.is_named, c.places)))


def with_constants(
    source: PolicySource, constants: Sequence[TunableConstant], values: Sequence[float]
) -> PolicySource:
    """Return ``source`` with a value for each of its constants; all other bytes stay."""
    text = source.text
    changes = [
        (place, repr(int(fitted) if constant.is_integer else fitted))
        for constant, value in zip(constants, values, strict=True)
        if (fitted := constant.fitted(value)) != constant.value
        for place in constant.places
    ]
    for (start, end), new in sorted(changes, reverse=True):
        text = text[:start] + new + text[end:]
    return PolicySource(text)


class _Role(enum.IntEnum):
    """What a number is used as; the higher role prevails."""

    UNKNOWN = 0
    QUANTITY = 1
    LABEL = 2


class _Finder:
    def __init__(self, text: str) -> None:
        self._text, self._tree, self._positions = text, parse(text), Positions(text)
        self._parents = {
            child: node for node in ast.walk(self._tree) for child in ast.iter_child_nodes(node)
        }
        self._functions = {n.name: n for n in ast.walk(self._tree) if isinstance(n, FunctionNode)}

    def all(self) -> Iterator[TunableConstant]:
        """Yield every quantity once for each place, named ones first."""
        owner = policy_class(self._tree)
        named: set[ast.AST] = set()
        for body in (self._tree.body, owner.body if owner else []):
            for name, node in _named_numbers(body):
                named.add(node)
                yield from self._constant(node, self._role_of_name(name), name)
        for function in component_nodes(self._tree):
            for part in ast.walk(function):
                if isinstance(part, ast.Constant) and part not in named and _is_number(part):
                    yield from self._constant(part, self._role(part, _DEPTH), "", function.name)

    def _constant(
        self, node: ast.Constant, role: _Role, name: str, function: str = ""
    ) -> Iterator[TunableConstant]:
        """Yield the constant if it is a quantity; one without a name is in ``function``."""
        value, place = node.value, self._positions.span(node)
        assert isinstance(value, int | float), value
        written, is_integer = self._text[slice(*place)], isinstance(value, int)
        is_structural = value in _STRUCTURAL or (is_integer and value < _SMALLEST_INTEGER)
        may_be_action = is_integer and value <= _ACTION_LIKE
        if (
            not 0 < value < _LARGEST
            or not _DECIMAL.fullmatch(written)
            or (not name and is_structural)
            or role is _Role.LABEL
            or (role is _Role.UNKNOWN and may_be_action)
        ):
            return
        parent = self._parents[node]
        is_negative = isinstance(parent, ast.UnaryOp) and isinstance(parent.op, ast.USub)
        yield TunableConstant(
            name or f"{function} {written}",
            float(value),
            is_integer,
            bool(name),
            node.lineno,
            (place,),
            -1 if is_negative else 1,
        )

    def _role_of_name(self, name: str) -> _Role:
        """Return the role of a name of the module or the class over all its uses."""
        roles = []
        for node in ast.walk(self._tree):
            match node:
                case ast.Name(id=found, ctx=ast.Load()) if found == name:
                    roles.append(self._role(node, _DEPTH))
                case ast.Attribute(attr=found, ctx=ast.Load()) if found == name:
                    roles.append(self._role(node, _DEPTH))
                case ast.Name(id=found) | ast.Attribute(attr=found) if found == name:
                    if not isinstance(self._owner(node), ast.Module | ast.ClassDef):
                        return _Role.LABEL  # a counter or a state, not a constant
        return max(roles, default=_Role.LABEL)

    def _owner(self, node: ast.AST) -> ast.AST:
        while not isinstance(node, FunctionNode | ast.ClassDef | ast.Module | ast.Lambda):
            node = self._parents[node]
        return node

    def _role(self, node: ast.AST, depth: int) -> _Role:
        """Return the role of ``node`` in the expression or statement around it."""
        parent = self._parents[node]
        match parent:
            case ast.UnaryOp(op=ast.USub() | ast.UAdd()) | ast.Tuple() | ast.Starred():
                return self._role(parent, depth)
            case ast.IfExp(test=test) if test is not node:
                return self._role(parent, depth)
            case ast.BinOp() | ast.Compare() | ast.AugAssign():
                return _Role.QUANTITY if _is_calculated_with(node, parent) else _Role.LABEL
            case ast.Call() if parent.func is not node:
                return self._role_of_argument(parent, node, depth)
            case ast.keyword():
                return self._role_of_argument(self._parents[parent], parent, depth)
            case ast.Return() | ast.Assign() | ast.AnnAssign() | ast.arguments():
                return _Role.UNKNOWN
        return _Role.LABEL

    def _role_of_argument(self, call: ast.AST, argument: ast.AST, depth: int) -> _Role:
        """Return the role of the parameter, if the function is one of the policy's own."""
        if not isinstance(call, ast.Call):
            return _Role.LABEL
        name = getattr(call.func, "attr", getattr(call.func, "id", ""))
        if name in _ARITHMETIC:
            return _Role.QUANTITY
        function = self._functions.get(name)
        if function is None or depth == 0:
            return _Role.LABEL
        parameters = [a.arg for a in (*function.args.posonlyargs, *function.args.args)]
        if parameters[:1] == ["self"]:
            parameters = parameters[1:]
        if isinstance(argument, ast.keyword):
            wanted = argument.arg
        else:
            index = call.args.index(argument)  # type: ignore[arg-type]
            wanted = parameters[index] if index < len(parameters) else None
        roles = [
            self._role(node, depth - 1)
            for node in ast.walk(function)
            if isinstance(node, ast.Name) and node.id == wanted and isinstance(node.ctx, ast.Load)
        ]
        return max(roles, default=_Role.LABEL)


def _named_numbers(body: Sequence[ast.stmt]) -> Iterator[tuple[str, ast.Constant]]:
    """Yield the names of ``body`` that are bound once, to a number, and the number."""
    pairs: list[tuple[ast.expr, ast.expr]] = []
    for statement in body:
        match statement:
            case ast.Assign(targets=[ast.Tuple(elts=names)], value=ast.Tuple(elts=values)):
                if len(names) == len(values):
                    pairs += zip(names, values, strict=True)
            case ast.Assign(targets=[name], value=value):
                pairs.append((name, value))
            case ast.AnnAssign(target=name, value=ast.expr() as value):
                pairs.append((name, value))
    targets = [name.id for name, _ in pairs if isinstance(name, ast.Name)]
    for name, value in pairs:
        if isinstance(value, ast.UnaryOp) and isinstance(value.op, ast.USub | ast.UAdd):
            value = value.operand  # noqa: PLW2901 - the number without its sign
        is_number = isinstance(value, ast.Constant) and _is_number(value)
        if is_number and isinstance(name, ast.Name) and targets.count(name.id) == 1:
            yield name.id, value  # type: ignore[misc]


def _is_number(node: ast.Constant) -> bool:
    return isinstance(node.value, int | float) and not isinstance(node.value, bool)


def _is_calculated_with(node: ast.AST, parent: ast.AST) -> bool:
    """Return whether the operation ``parent`` uses ``node`` as a quantity."""
    match parent:
        case ast.BinOp(left=ast.Constant(value=str())):  # text is formatted or repeated
            return False
        case ast.BinOp(op=ast.Pow(), right=right):
            return right is not node
        case ast.Compare(ops=ops):
            return all(isinstance(op, ast.Lt | ast.LtE | ast.Gt | ast.GtE) for op in ops)
    return True
