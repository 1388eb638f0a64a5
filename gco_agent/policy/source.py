"""Policy text as a value: which text is accepted, its tree, format, size and docstring.

A `PolicySource` reads the same everywhere: strict UTF-8, no encoding cookie that says otherwise,
no control or reordering characters, one kind of line end, bounded in size. Text is never run here.
"""

from __future__ import annotations

import ast
import difflib
import hashlib
import itertools
import re
import tokenize
import unicodedata
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Self, TypeAlias

from gco_agent.core.errors import ContractViolation, PolicyError, PolicyTooLarge
from gco_agent.core.records import Evaluation, PlayProtocol
from gco_agent.core.text import clean_line, format_score

FunctionNode: TypeAlias = ast.FunctionDef | ast.AsyncFunctionDef

MAX_BYTES = 256 * 1024
"""Largest policy, in bytes of UTF-8."""
MAX_DEPTH = 150
"""Deepest syntax tree. The deepest in the standard library and numpy has 46 levels (measured over
794 files); black needs seconds, and the compiler gives up, on trees far beyond that."""
PYTHON = (3, 11)
"""The oldest Python that a policy has to run on."""

_BOM = b"\xef\xbb\xbf"
_COOKIE = re.compile(r"[ \t\f]*#.*?coding[:=][ \t]*([-\w.]+)")  # PEP 263
_UTF8 = re.compile(r"utf[-_]?8|utf[-_]8[-_].*", re.IGNORECASE)
_BLANK_OR_COMMENT = re.compile(r"[ \t\f]*(#.*)?\r?\n?")
_WINDOW = 72  # characters of an offending line that a message shows
_MOST_PASSES = 4


@dataclass(frozen=True, slots=True)
class PolicySource:
    """The text of a policy file; valid as text, not yet known to be Python.

    Attributes:
        text: As in the file, line ends included.

    Raises:
        ContractViolation: Larger than `MAX_BYTES`; a control character, a lone surrogate, a lone
            carriage return or a character that reorders the text; a cookie that is not UTF-8.
    """

    text: str

    def __post_init__(self) -> None:
        check_characters(self.text)
        _check_cookie(self.text)

    def __str__(self) -> str:
        return self.text

    @property
    def digest(self) -> str:
        """SHA-256 of the exact text in UTF-8, 64 hexadecimal digits: the policy's identity."""
        return hashlib.sha256(self.text.encode()).hexdigest()

    @classmethod
    def from_bytes(cls, data: bytes, origin: str = "policy") -> Self:
        """Decode strictly; a leading byte order mark is dropped, as it is not part of the text.

        ``origin`` says in messages where the bytes are from.
        """
        try:
            return cls(data.removeprefix(_BOM).decode())
        except UnicodeDecodeError as exc:
            line = data.count(b"\n", 0, exc.start) + 1
            why = f"line {line}: byte 0x{data[exc.start]:02x} is not UTF-8; save the file as UTF-8"
            raise ContractViolation(f"{origin}: {why}", line=line) from None
        except ContractViolation as exc:
            raise ContractViolation(f"{origin}: {exc}", line=exc.line) from None

    @classmethod
    def from_file(cls, path: str | Path) -> Self:
        """Read the file at ``path``."""
        try:
            with Path(path).open("rb") as file:
                data = file.read(MAX_BYTES + len(_BOM) + 1)
        except OSError as exc:
            raise PolicyError(f"cannot read the policy {path}: {exc.strerror}") from exc
        if len(data) > MAX_BYTES + len(_BOM):
            raise PolicyTooLarge(f"{path}: the file has more than {MAX_BYTES:,} bytes")
        return cls.from_bytes(data, str(path))


_REFUSED_CHARACTERS = {
    "[\ud800-\udfff]": "half of a surrogate pair, which UTF-8 cannot hold; remove it",
    "\0": "a NUL character; remove it",
    r"\r(?!\n)": "a carriage return without a line feed; use one kind of line end, \\n or \\r\\n",
    "[\x01-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]": (
        "a control character; remove it, or write it as an escape such as \\x1b"
    ),
    "[\u202a-\u202e\u2066-\u2069]": (
        "a character that reorders text, so that readers see other code than runs; remove it"
    ),
}


def check_characters(text: str) -> None:
    """Check the characters and the size of a policy or of a part of one."""
    for pattern, message in _REFUSED_CHARACTERS.items():
        if found := re.search(pattern, text):
            line = text.count("\n", 0, found.start()) + 1
            raise ContractViolation(f"line {line}: {message}", line=line)
    n_bytes = len(text.encode())
    if n_bytes > MAX_BYTES:
        raise PolicyTooLarge(f"the policy has {n_bytes:,} bytes; at most {MAX_BYTES:,} are allowed")


def _check_cookie(text: str) -> None:
    for number, line in enumerate(text.split("\n", 2)[:2], start=1):
        cookie = _COOKIE.match(line)
        if cookie and not _UTF8.fullmatch(cookie[1]):
            raise ContractViolation(
                f"line {number}: the encoding {cookie[1]!r} is declared; a policy is UTF-8, "
                "so remove the comment",
                line=number,
            )
        if cookie or not _BLANK_OR_COMMENT.fullmatch(line):
            return


def is_header_comment(line: str, number: int) -> bool:
    """Return whether ``line`` (``number`` from 1) is a ``#!`` line or an encoding cookie."""
    return (number == 1 and line.startswith("#!")) or (
        number in (1, 2) and bool(_COOKIE.match(line))
    )


def split_lines(text: str) -> list[str]:
    """Split ``text`` into lines as Python counts them, each with its line end."""
    *whole, last = text.split("\n")
    lines = [line + "\n" for line in whole]
    return [*lines, last] if last else lines


# Syntax


@contextmanager
def quiet() -> Iterator[None]:
    """Silence warnings about odd but valid text (``x is 1``)."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def parse(text: str) -> ast.Module:
    """Parse ``text``."""
    with quiet(), translate_errors(text):
        tree = ast.parse(text, feature_version=PYTHON)
    stack: list[tuple[ast.AST, int]] = [(tree, 0)]
    while stack:
        node, depth = stack.pop()
        if depth > MAX_DEPTH:
            raise _too_deep(getattr(node, "lineno", None))
        if isinstance(node, ast.Assign):  # a = b = c = ... is flat here, and nested for black
            depth += len(node.targets)
        stack.extend((child, depth + 1) for child in ast.iter_child_nodes(node))
    return tree


@contextmanager
def translate_errors(text: str) -> Iterator[None]:
    """Turn errors of the parser or the compiler into a `ContractViolation`."""
    try:
        yield
    except SyntaxError as exc:
        raise ContractViolation(_describe(exc, text), line=exc.lineno) from None
    except (RecursionError, MemoryError):  # the parser's stack is bounded; it reports either
        raise _too_deep(None) from None
    except (ValueError, OverflowError, SystemError) as exc:
        raise ContractViolation(f"Python cannot compile this text: {exc}") from None


def _too_deep(line: int | None) -> ContractViolation:
    place = f"line {line}: " if line else ""
    return ContractViolation(
        f"{place}nested too deeply (more than {MAX_DEPTH} levels); "
        "use a table, a loop or more functions",
        line=line,
    )


def _describe(exc: SyntaxError, text: str) -> str:
    """Return what is wrong, with the offending part of the line and a caret below it."""
    lines = split_lines(text)
    if exc.lineno is None or not 1 <= exc.lineno <= len(lines):
        return f"line {exc.lineno or len(lines)}: {exc.msg}; the text is not Python"
    line = lines[exc.lineno - 1].rstrip("\r\n")
    offset = min(max((exc.offset or 1) - 1, 0), len(line))
    start = max(0, offset - _WINDOW // 2) if len(line) > _WINDOW else 0
    shown = line[start : start + _WINDOW]
    indent = len(shown) - len(shown.lstrip())
    printable = "".join(c if c.isprintable() else " " for c in shown[indent:])
    caret = " " * max(0, offset - start - indent)
    return f"line {exc.lineno}: {exc.msg}\n    {printable}\n    {caret}^"


class Positions:
    """Translates lines and columns of a syntax tree (bytes of UTF-8) into indices of the text."""

    def __init__(self, text: str) -> None:
        self._lines = split_lines(text)
        self._starts = list(itertools.accumulate(map(len, self._lines), initial=0))

    def span(self, node: ast.expr) -> tuple[int, int]:
        """Return the indices of the first character of ``node`` and of the one after its last."""
        assert node.end_lineno is not None, node
        assert node.end_col_offset is not None, node
        places = (node.lineno, node.col_offset), (node.end_lineno, node.end_col_offset)
        start, end = (
            self._starts[line - 1] + len(self._lines[line - 1].encode()[:column].decode())
            for line, column in places
        )
        return start, end


def format_policy(text: str) -> str:
    r"""Format ``text`` with black (line length 88, for Python 3.11) and ``\n`` line ends.

    Policies are formatted before they are judged or committed, so that an edit of white space alone
    is no edit. Formatting twice changes nothing.
    """
    from black import Mode, format_str
    from black.mode import TargetVersion
    from black.parsing import InvalidInput

    mode = Mode(target_versions={TargetVersion.PY311})
    text = PolicySource(text).text.replace("\r\n", "\n")
    parse(text)  # for our messages, and for the limit on nesting
    for _ in range(_MOST_PASSES):  # black says itself that rare texts need a second pass
        try:
            with quiet():
                formatted = format_str(text, mode=mode)
        except (InvalidInput, RecursionError) as exc:
            raise ContractViolation(f"black cannot format the policy: {exc}") from None
        if formatted == text:
            return formatted
        text = formatted
    raise ContractViolation(
        "black formats this policy differently each time; simplify its longest statement"
    )


# Size

_NO_STATEMENT = frozenset(
    (tokenize.COMMENT, tokenize.NL, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER)
)


@dataclass(frozen=True, slots=True)
class Complexity:
    """The size of a policy, in five numbers.

    Attributes:
        loc: Lines of the file, empty ones and comments included.
        sloc: Lines with code on them: no empty lines, comments or docstrings.
        cyclomatic: Sum over all functions of their cyclomatic complexity, which is 1 and one more
            for each branch, loop, boolean operator, handler and comprehension. Code outside of
            functions is not counted.
        nested_if: Deepest chain of ``if`` statements within one another in one function (or at
            the top level). An ``elif`` is as deep as its ``if``; a loop in between adds nothing.
        functions: Functions, methods and nested functions; no lambdas.

    Source: McCabe 1976, section 2 (doi:10.1109/TSE.1976.233837), as radon counts it.
    """

    loc: int
    sloc: int
    cyclomatic: int
    nested_if: int
    functions: int


@dataclass(frozen=True, slots=True, order=True)
class Size:
    """How much there is to read: rows of code first, then nodes of the syntax tree."""

    sloc: int
    nodes: int


def measure(text: str) -> Complexity:
    """Return the size and the complexity of a policy."""
    from radon.visitors import ComplexityVisitor

    tree = parse(text)
    functions = [n for n in ast.walk(tree) if isinstance(n, FunctionNode)]
    # One function at a time, as radon's rows for classes repeat what their methods have, and its
    # rows for functions leave out the classes in them.
    cyclomatic = sum(ComplexityVisitor.from_ast(n).functions[0].complexity for n in functions)
    return Complexity(
        loc=len(split_lines(text)),
        sloc=_count_code(text, tree),
        cyclomatic=cyclomatic,
        nested_if=_deepest_if(tree, 0),
        functions=len(functions),
    )


def size_of(source: PolicySource) -> Size:
    """Return the size of a policy, docstrings not counted as rows."""
    tree = parse(source.text)
    return Size(_count_code(source.text, tree), sum(1 for _ in ast.walk(tree)))


def _count_code(text: str, tree: ast.Module) -> int:
    """Count the rows of statements, less the empty ones and those of docstrings.

    As ``radon.raw`` counts (the tests compare them), which itself needs time in the square of the
    longest statement: 60,000 rows of a table never end.
    """
    lines = split_lines(text)
    rows: set[int] = set()
    start = 0
    for token in tokenize.generate_tokens(iter(split_lines(text + "\n")).__next__):
        if token.type not in _NO_STATEMENT and not start:
            start = token.start[0]
        if token.type == tokenize.NEWLINE:
            rows.update(range(start, min(token.start[0], len(lines)) + 1))
            start = 0
    for node in ast.walk(tree):
        match node:
            case ast.Expr(value=ast.Constant(value=str()), lineno=first, end_lineno=int(last)):
                rows.difference_update(range(first, last + 1))
    return sum(bool(lines[row - 1].strip()) for row in rows)


def _deepest_if(node: ast.AST, depth: int) -> int:
    """Return the depth of the innermost ``if`` in ``node``, which is within ``depth`` others."""
    if not isinstance(node, ast.If):
        inner = 0 if isinstance(node, (FunctionNode, ast.Lambda, ast.ClassDef)) else depth
        return max((_deepest_if(child, inner) for child in ast.iter_child_nodes(node)), default=0)
    # An elif is an If alone in the orelse, at the column of its if.
    is_elif = [part.col_offset for part in node.orelse if isinstance(part, ast.If)] == [
        node.col_offset
    ]
    deepest = max(_deepest_if(child, depth + 1) for child in node.body)
    others = (_deepest_if(child, depth + (not is_elif)) for child in node.orelse)
    return max(depth + 1, deepest, *others)


# The docstring, with the facts that are measured

_CLOSING_QUOTES = re.compile(r'"""|"\Z')  # what would end the literal too early
_ENVIRONMENT = re.compile(r"^[ \t]*Environment:[ \t]*(\S+)", re.MULTILINE)
_FACT = re.compile(r"(?:Environment|Mean return|Measured|Run) ?:.*")
_LIKE_A_SCORE = re.compile(r"\W*mean[\s_-]*returns?(\W+)\d.*", re.IGNORECASE)
"""Lines that read like a measurement, in any paragraph."""
_STATED = re.compile(r"^[ \t]*(Environment|Mean return|Measured): (.+)$", re.MULTILINE)
_SCORE = re.compile(r"-?\d+(?:\.\d+)?(?:e[-+]\d+)?")


def docstring_of(source: PolicySource) -> str | None:
    """Return the module docstring, not cleaned, or None."""
    node = _docstring_node(source)
    return None if node is None else str(node.value)


def replace_docstring(source: PolicySource, new: str) -> PolicySource:
    r"""Give the module the docstring ``new`` and leave every other byte alone.

    A new one becomes the first statement, below a ``#!`` line or an encoding cookie. Quotes at the
    end, backslashes and unprintable characters are escaped, so that `docstring_of` returns ``new``.
    """
    node = _docstring_node(source)
    lines = split_lines(source.text)
    newline = "\r\n" if lines and lines[0].endswith("\r\n") else "\n"
    body = _CLOSING_QUOTES.sub(lambda found: found[0].replace('"', r"\""), _escaped(new))
    literal = f'"""{body}"""'.replace("\n", newline)
    if node is not None:
        start, end = Positions(source.text).span(node)
        return PolicySource(source.text[:start] + literal + source.text[end:])
    header = [n for n, line in enumerate(lines[:2], start=1) if is_header_comment(line, n)]
    n_header = max(header, default=0)
    before, after = "".join(lines[:n_header]), "".join(lines[n_header:])
    if before and not before.endswith("\n"):
        before += newline
    gap = newline if after.strip() else ""
    return PolicySource(f"{before}{literal}{newline}{gap}{after}")


def environment_of(source: PolicySource) -> str | None:
    """Return the id in the line ``Environment: <id>`` of the docstring, or None."""
    found = _ENVIRONMENT.search(docstring_of(source) or "")
    return found[1].rstrip(".,;:") or None if found else None


def _docstring_node(source: PolicySource) -> ast.Constant | None:
    match parse(source.text).body:
        case [ast.Expr(value=ast.Constant(value=str()) as node), *_]:
            return node
    return None


def _escaped(value: str) -> str:
    return "".join(
        c if c in "\n\t" or (c.isprintable() and c != "\\") else c.encode("unicode_escape").decode()
        for c in value
    )


@dataclass(frozen=True, slots=True)
class Claim:
    """The score that a docstring states; `gco-agent eval` measures whether it is true."""

    score: str
    mean: float
    rules: str


def claim_of(source: PolicySource) -> Claim | None:
    """Return the score that the docstring of a policy states, or None."""
    stated = dict(_STATED.findall(docstring_of(source) or ""))
    mean = _SCORE.match(stated.get("Mean return", ""))
    if mean is None:
        return None
    rules = f"{stated.get('Environment', '')}, {stated.get('Measured', '')}"
    return Claim(stated["Mean return"], float(mean[0]), rules)


def describe_rules(protocol: PlayProtocol) -> str:
    """Return the rules of play as written in a docstring."""
    return (
        f"{protocol.name} protocol, frame skip {protocol.frame_skip}, sticky {protocol.sticky:g}, "
        f"{protocol.max_steps} steps at most" + "".join(f", {rule}" for rule in protocol.unusual)
    )


def describe_score(evaluation: Evaluation, seeds: str) -> str:
    """Return the score as written in a docstring: "6.05 ± 0.80 (30 episodes, report 0:30)"."""
    if evaluation.mean_return is None:
        return f"none: {len(evaluation.failures)} episodes failed"
    text = format_score(evaluation.mean_return, evaluation.standard_error, least=2)
    return f"{text} ({len(evaluation.episodes)} episodes, {seeds})"


def with_measured_header(
    source: PolicySource,
    protocol: PlayProtocol,
    evaluation: Evaluation,
    *,
    seeds: str,
    origin: str,
) -> PolicySource:
    """Return ``source`` with environment, score, rules and run in its docstring.

    The author's words stay; lines that read like these facts are replaced.

    Args:
        seeds: Which seeds the evaluation is over: "report 0:30".
        origin: Run and iteration: "gco/pong/20261122-ab12, iteration 7".
    """
    docstring = (
        f"{_author_words(docstring_of(source) or '') or 'A policy.'}\n\n"
        f"Environment: {protocol.env_id}\n"
        f"Mean return: {describe_score(evaluation, seeds)}\n"
        f"Measured: {describe_rules(protocol)}\n"
        f"Run: {origin}\n"
    )
    return PolicySource(format_policy(replace_docstring(source, docstring).text))


def with_environment(source: PolicySource, env_id: str) -> PolicySource:
    """Return ``source`` with a docstring that names its environment and states no score.

    A docstring that does so already stays as it is, and so does every other byte.
    """
    docstring = docstring_of(source) or ""
    facts = [row for row in docstring.splitlines() if _is_fact(row)]
    if environment_of(source) == env_id and all(map(_ENVIRONMENT.match, facts)):
        return source
    words = _author_words(docstring) or "A policy."
    return replace_docstring(source, f"{words}\n\nEnvironment: {env_id}\n")


def is_same_but_for_score(one: str, other: str) -> bool:
    """Return whether two texts of a policy differ at most in the facts of their docstrings."""
    return one == other or _without_score(one) == _without_score(other)


def _without_score(text: str) -> str:
    source = PolicySource(text)
    try:
        return replace_docstring(source, _author_words(docstring_of(source) or "")).text
    except PolicyError:  # a commit that a person made may hold anything
        return text


def _author_words(docstring: str) -> str:
    """Return ``docstring`` without facts that are written here, or lines that read like them."""
    kept = [line for line in docstring.splitlines() if not _is_fact(line)]
    return re.sub(r"\n(?:[ \t]*\n)+", "\n\n", "\n".join(kept)).strip()


def _is_fact(line: str) -> bool:
    plain = clean_line(unicodedata.normalize("NFKC", line))
    score = _LIKE_A_SCORE.fullmatch(plain)
    return bool(_FACT.fullmatch(plain) or (score and not {":", "="}.isdisjoint(score[1])))


def logic_of(source: PolicySource) -> list[str]:
    """Return the lines of a policy without docstrings and comments, in one layout."""
    try:
        tree = parse(source.text)
        for node in ast.walk(tree):
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef):
                has_docstring = ast.get_docstring(node, clean=False) is not None
                node.body = node.body[has_docstring:] or [ast.Pass()]
        return format_policy(ast.unparse(tree)).splitlines()
    except ContractViolation:
        return source.text.splitlines()


def diff_of_logic(before: PolicySource, after: PolicySource, limit: int) -> str:
    """Return a unified diff of the logic of two policies, of about ``limit`` characters at most.

    A longer one loses its context first, and then the ends of its longest hunks: something of every
    hunk is shown.
    """
    old, new = logic_of(before), logic_of(after)
    for n_context in (2, 0):
        lines = list(difflib.unified_diff(old, new, lineterm="", n=n_context))[2:]
        if sum(map(len, lines)) + len(lines) <= limit:
            return "\n".join(lines)
    starts = [number for number, line in enumerate(lines) if line.startswith("@@")]
    hunks = [lines[a:b] for a, b in itertools.pairwise([*starts, len(lines)])]
    shown: dict[int, str] = {}
    left = limit
    for n_done, number in enumerate(sorted(range(len(hunks)), key=lambda n: len(hunks[n]))):
        text, room = "\n".join(hunks[number]), left // (len(hunks) - n_done)
        if len(text) > room:
            text = f"{text[:room].rpartition(chr(10))[0]}\n... (cut)"
        shown[number] = text
        left = max(0, left - len(text))
    return "\n".join(text for _, text in sorted(shown.items()))
