"""Policy text as a value: which text is accepted, its syntax tree, its format.

A `PolicySource` reads the same for everybody: strict UTF-8, no encoding cookie that says otherwise,
no control or reordering characters, one kind of line end, bounded in size.
"""

from __future__ import annotations

import ast
import hashlib
import itertools
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self

from gco_agent.core.errors import ContractViolation, PolicyError, PolicyTooLarge

if TYPE_CHECKING:
    import libcst as cst

MAX_BYTES = 256 * 1024
"""Largest policy, in bytes of UTF-8."""
MAX_DEPTH = 150
"""Deepest syntax tree. The deepest in the standard library and numpy has 46 levels (measured over
794 files); black needs seconds, and the compiler gives up, on trees far beyond that."""
PYTHON = (3, 11)
"""The oldest Python that a policy has to run on."""

_COOKIE = re.compile(r"[ \t\f]*#.*?coding[:=][ \t]*([-\w.]+)")  # PEP 263
_BLANK_OR_COMMENT = re.compile(r"[ \t\f]*(#.*)?\r?\n?")
_WINDOW = 72  # characters of an offending line that a message shows


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
        _refuse_foreign_cookie(self.text)

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

        Raises:
            ContractViolation: Not UTF-8, or no text that a `PolicySource` may hold.
        """
        try:
            return cls(data.removeprefix(b"\xef\xbb\xbf").decode("utf-8", errors="strict"))
        except UnicodeDecodeError as exc:
            line = data.count(b"\n", 0, exc.start) + 1
            raise ContractViolation(
                f"{origin}: line {line}: byte 0x{data[exc.start]:02x} is not UTF-8; "
                "save the file as UTF-8",
                line=line,
            ) from None
        except ContractViolation as exc:
            raise ContractViolation(f"{origin}: {exc}", line=exc.line) from None

    @classmethod
    def from_file(cls, path: str | Path) -> Self:
        """Read the file at ``path``.

        Raises:
            PolicyError: The file cannot be read.
            ContractViolation: As `from_bytes`.
        """
        try:
            with Path(path).open("rb") as file:
                data = file.read(MAX_BYTES + 4)  # a mark of three bytes, and one byte too many
        except OSError as exc:
            raise PolicyError(f"cannot read the policy {path}: {exc.strerror}") from exc
        if len(data) == MAX_BYTES + 4:
            raise PolicyTooLarge(f"{path}: the file has more than {MAX_BYTES:,} bytes")
        return cls.from_bytes(data, str(path))


_REFUSED_CHARACTERS = (
    (re.compile("[\ud800-\udfff]"), "half of a surrogate pair, which UTF-8 cannot hold; remove it"),
    (re.compile("\0"), "a NUL character; remove it"),
    (
        re.compile(r"\r(?!\n)"),
        "a carriage return without a line feed; use one kind of line end, \\n or \\r\\n",
    ),
    (
        re.compile("[\x01-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]"),
        "a control character; remove it, or write it as an escape such as \\x1b",
    ),
    (
        re.compile("[\u202a-\u202e\u2066-\u2069]"),
        "a character that reorders text, so that readers see other code than runs; remove it",
    ),
)


def check_characters(text: str) -> None:
    """Check the characters and the size of a policy or of a part of one.

    Raises:
        ContractViolation: Too large, or with a character that is refused.
    """
    for pattern, message in _REFUSED_CHARACTERS:
        if found := pattern.search(text):
            line = text.count("\n", 0, found.start()) + 1
            raise ContractViolation(f"line {line}: {message}", line=line)
    n_bytes = len(text.encode())
    if n_bytes > MAX_BYTES:
        raise PolicyTooLarge(f"the policy has {n_bytes:,} bytes; at most {MAX_BYTES:,} are allowed")


def _refuse_foreign_cookie(text: str) -> None:
    for number, line in enumerate(text.split("\n", 2)[:2], start=1):
        if cookie := _COOKIE.match(line):
            name = cookie[1].lower().replace("_", "-")
            if name not in ("utf-8", "utf8") and not name.startswith("utf-8-"):
                raise ContractViolation(
                    f"line {number}: the encoding {cookie[1]!r} is declared; a policy is UTF-8, "
                    "so remove the comment",
                    line=number,
                )
            return
        if not _BLANK_OR_COMMENT.fullmatch(line):
            return


def is_header_comment(line: str, number: int) -> bool:
    """Whether ``line`` (``number`` from 1) is a ``#!`` line or an encoding cookie."""
    return (number == 1 and line.startswith("#!")) or (
        number in (1, 2) and bool(_COOKIE.match(line))
    )


def split_lines(text: str) -> list[str]:
    """Split ``text`` into lines as Python counts them, each with its line end."""
    *whole, last = text.split("\n")
    lines = [line + "\n" for line in whole]
    return [*lines, last] if last else lines


@contextmanager
def quiet() -> Iterator[None]:
    """Silence warnings about odd but valid text (``x is 1``)."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def parse(text: str) -> ast.Module:
    """Parse ``text``; nothing is run.

    Raises:
        ContractViolation: Not Python `PYTHON`, or nested deeper than `MAX_DEPTH`.
    """
    with quiet(), refusing_bad_syntax(text):
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
def refusing_bad_syntax(text: str) -> Iterator[None]:
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
    """What is wrong, with the offending part of the line and a caret below it."""
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

    def span(self, node: ast.expr | ast.stmt) -> tuple[int, int]:
        """Return the indices of the first character of ``node`` and of the one after its last."""
        assert node.end_lineno is not None, node
        assert node.end_col_offset is not None, node
        return (
            self._index(node.lineno, node.col_offset),
            self._index(node.end_lineno, node.end_col_offset),
        )

    def _index(self, line: int, column: int) -> int:
        return self._starts[line - 1] + len(self._lines[line - 1].encode()[:column].decode())


def read_tree(text: str) -> cst.Module:
    """Parse ``text`` into a tree that keeps every byte; comments right above go with a statement.

    Raises:
        ContractViolation: As `parse`; or a line is continued by a backslash where LibCST loses it.
    """
    import libcst as cst

    parse(text)  # for our messages, and for the limit on nesting
    try:
        module = cst.parse_module(text)
        is_kept = module.code == text
    except (cst.ParserSyntaxError, RecursionError):
        is_kept = False
    if not is_kept:
        raise ContractViolation(
            "the layout of the text cannot be read; remove backslashes at the end of lines"
        )
    if not module.body:
        return module
    header, first = list(module.header), len(module.header)
    while first and (comment := header[first - 1].comment):
        if is_header_comment(comment.value, first):
            break
        first -= 1
    statement = module.body[0]
    leading = (*header[first:], *statement.leading_lines)
    return module.with_changes(
        header=header[:first],
        body=[statement.with_changes(leading_lines=leading), *module.body[1:]],
    )


_MOST_PASSES = 4


def format_policy(text: str) -> str:
    r"""Format ``text`` with black (line length 88, for Python 3.11) and ``\n`` line ends.

    Policies are formatted before they are judged or committed, so that an edit of white space alone
    is no edit. Formatting twice changes nothing.

    Raises:
        ContractViolation: The text is not Python, or black cannot read it.
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
