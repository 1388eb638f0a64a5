"""Policies of numbers: each action wanted by a weighted sum, written as readable Python.

With choices among actions the one that is wanted most is played; where an action is made of
numbers, each is a weighted sum, cut to its range.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Family = Literal["linear", "magnitudes", "products"]
"""What sums are made of: the numbers; also how large they are; also products of two of them."""

FAMILIES: tuple[Family, ...] = ("linear", "magnitudes", "products")
_MOST_FOR = {"linear": 10**6, "magnitudes": 6, "products": 4}
_MOST_NAMED = 24
"""Most numbers of an observation that get their own names in the text."""
_DIGITS = 4


@dataclass(frozen=True, slots=True)
class Task:
    """What a program has to know of its environment.

    Attributes:
        is_vector: The observation is one array of them; else they are picked out of it.
        scale: How far each number of an observation is spread in random play, above 0.
    """

    title: str
    env_id: str
    names: tuple[str, ...]
    is_vector: bool
    actions: tuple[str, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]
    scale: tuple[float, ...]

    @property
    def n_sums(self) -> int:
        """Sums in a program: one less than actions, since only differences count."""
        return len(self.actions) - 1 if self.actions else len(self.low)

    def families(self) -> tuple[Family, ...]:
        """Return the families that this many numbers allow, the simplest first."""
        return tuple(f for f in FAMILIES if len(self.names) <= _MOST_FOR[f])


Term = tuple[int, ...]
"""Indices of factors; (i, -1) is the magnitude of number i; () is 1."""


def terms(task: Task, family: Family) -> list[Term]:
    """Return what the sums of a family are made of; the constant comes last."""
    found: list[Term] = [(i,) for i in range(len(task.names))]
    if family == "magnitudes":
        found += [(i, -1) for i in range(len(task.names))]
    if family == "products":
        pairs = itertools.combinations_with_replacement(range(len(task.names)), 2)
        found += [(i, j) for i, j in pairs]
    return [*found, ()]


@dataclass(frozen=True, slots=True)
class VectorProgram:
    """A policy as weights, in units in which every term is about 1 in random play.

    Attributes:
        weights: Of the terms of the first sum, then of the next.
    """

    family: Family
    weights: tuple[float, ...]


def size(task: Task, family: Family) -> int:
    """Return how many weights a program of ``family`` has."""
    return task.n_sums * len(terms(task, family))


def raw_weights(task: Task, program: VectorProgram) -> list[list[float]]:
    """Return the weights of each sum in the units of the observation, to four digits."""
    parts = terms(task, program.family)
    rows = []
    for number in range(task.n_sums):
        reach = 1.0 if task.actions else (task.high[number] - task.low[number]) / 2
        row = []
        for index, term in enumerate(parts):
            unit = 1.0
            for i in term:
                unit *= task.scale[i] if i >= 0 else 1.0
            weight = program.weights[number * len(parts) + index] * reach / unit
            row.append(float(f"{weight:.{_DIGITS}g}"))
        rows.append(row)
    return rows


def headline(task: Task, program: VectorProgram) -> str:
    """Return the program in a few words: what weighs most."""
    parts = terms(task, program.family)[:-1]
    strength = [
        sum(abs(program.weights[k * (len(parts) + 1) + i]) for k in range(task.n_sums))
        for i in range(len(parts))
    ]
    order = sorted(range(len(parts)), key=lambda i: -strength[i])
    names = [_term_words(task, parts[i]) for i in order if strength[i] > 0][:3]
    verb = "weigh" if task.actions else "steer by"
    return f"{verb} {', '.join(names)}" if names else "play one action"


def _term_words(task: Task, term: Term) -> str:
    if term[1:] == (-1,):
        return f"size of {task.names[term[0]]}"
    return " x ".join(task.names[i] for i in term)


def render(task: Task, program: VectorProgram) -> str:
    """Return the text of a policy that does what ``program`` says; it keeps the contract."""
    rows = raw_weights(task, program)
    named = len(task.names) <= _MOST_NAMED and task.is_vector
    if program.family == "linear" and not named:
        sums = _table(rows)
    else:
        sums = _formulas(task, program.family, rows, named=named)
    parts = [_head(task, program)]
    if not task.actions:
        parts.append(f"LOW = {task.low!r}\nHIGH = {task.high!r}\n")
    if not (named or task.is_vector):
        parts.append(_NUMBERS)
    given = "map(float, obs)" if task.is_vector else "numbers(obs)"
    head = 'class Policy:\n    """One instance plays one episode."""\n'
    return "\n".join([*parts, *sums.constants, "", head, sums.method, _act(task, given, sums)])


@dataclass(frozen=True, slots=True)
class _Sums:
    """The method that weighs, and the constants that it uses."""

    method: str
    constants: tuple[str, ...]
    spread: bool


_NUMBERS = '''
def numbers(obs):
    """Every number in an observation, keys in the order of the alphabet, text left out."""
    if isinstance(obs, str):
        return []
    if isinstance(obs, dict):
        return [n for key in sorted(obs) for n in numbers(obs[key])]
    if isinstance(obs, (int, float)) or getattr(obs, "ndim", None) == 0:
        return [float(obs)]
    return [n for part in obs for n in numbers(part)]
'''


def _head(task: Task, program: VectorProgram) -> str:
    what = headline(task, program)
    return f'"""{task.title}: {what}.\n\nEnvironment: {task.env_id}\n"""\n'


def _doc(task: Task) -> str:
    if not task.actions:
        return "Each number of the action, before it is cut to its range."
    if len(task.actions) == 2:  # noqa: PLR2004 - a sum decides between two
        return f"Above 0 for {task.actions[1]}, else {task.actions[0]}."
    return "How much each action is wanted, in the order of their indices."


def _formulas(task: Task, family: Family, rows: list[list[float]], *, named: bool) -> _Sums:
    names = [name if name.isidentifier() else f"n{i}" for i, name in enumerate(task.names)]
    parts = terms(task, family)
    sums = [_sum(names, parts, row) for row in rows]
    lines = [f"    def weigh(self, {', '.join(names) if named else '*given'}):"]
    lines.append(f'        """{_doc(task)}"""')
    if not named:
        lines.append(f"        {', '.join(names)}, = given")
    if len(sums) == 1:
        lines.append(f"        return {sums[0]}")
    else:
        first = ["0.0"] if task.actions else []
        lines.append("        return (")
        lines += [f"            {text}," for text in (*first, *sums)]
        lines.append("        )")
    return _Sums("\n".join([*lines, ""]), (), spread=True)


def _sum(names: Sequence[str], parts: Sequence[Term], row: Sequence[float]) -> str:
    text = ""
    for term, weight in zip(parts, row, strict=True):
        if not weight:
            continue
        words = " * ".join(names[i] for i in term)
        if term[1:] == (-1,):
            words = f"abs({names[term[0]]})"
        piece = f"{abs(weight)!r} * {words}" if words else f"{abs(weight)!r}"
        sign = "-" if weight < 0 else "+"
        text += f" {sign} {piece}" if text else f"{'-' if weight < 0 else ''}{piece}"
    return text or "0.0"


def _table(rows: list[list[float]]) -> _Sums:
    lines = ["# one row of weights a sum; the last weight stands alone", "WEIGHTS = ("]
    lines += [f"    {tuple(row)!r}," for row in rows]
    lines.append(")\n")
    method = (
        "    def weigh(self, given):\n"
        '        """The sums of the rows of WEIGHTS, for the numbers of an observation."""\n'
        "        given = [*given, 1.0]\n"
        "        return [sum(w * x for w, x in zip(row, given)) for row in WEIGHTS]\n"
    )
    return _Sums(method, ("\n".join(lines),), spread=False)


def _act(task: Task, given: str, sums: _Sums) -> str:
    call = f"self.weigh({'*' if sums.spread else ''}{given})"
    what = "the index of the action" if task.actions else "the numbers of the action"
    lines = ["    def act(self, obs):", f'        """Return {what} to play."""']
    single = task.n_sums == 1
    if task.actions and single:
        value = call if sums.spread else f"{call}[0]"
        lines.append(f"        return 1 if {value} > 0 else 0")
    elif task.actions:
        wanted = call if sums.spread else f"[0.0, *{call}]"
        lines += [f"        wanted = {wanted}", "        return wanted.index(max(wanted))"]
    else:
        wanted = f"({call},)" if single and sums.spread else call
        lines.append(f"        wanted = {wanted}")
        lines.append("        return [")
        lines.append(
            "            min(high, max(low, x)) for x, low, high in zip(wanted, LOW, HIGH)"
        )
        lines.append("        ]")
    return "\n".join([*lines, ""])
