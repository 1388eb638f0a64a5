"""Parse replies: whole files, parts or diffs; bare, in fenced blocks among words, or in JSON."""

from __future__ import annotations

import ast
import itertools
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from gco_agent.core.errors import ContractViolation, EditRejected, PolicyError, PolicyTooLarge
from gco_agent.llm import Completion
from gco_agent.optimizers.base import Unusable
from gco_agent.policy import (
    PolicySource,
    check_policy,
    docstring_of,
    format_policy,
    replace_docstring,
)
from gco_agent.policy.edit import (
    apply_diff,
    complete_policy,
    components,
    is_diff,
    is_python,
    is_same_code,
)

KINDS: Mapping[str, str] = {
    "empty": "nothing came back",
    "too long": "more text than a policy and its reasons can need",
    "too large": "a policy of more bytes than a policy file may have",
    "declined": "the reply says that nothing is to be changed",
    "no code": "words, and no code that could be a policy or a part of one",
    "cut off": "the reply ends in the middle of the code",
    "not Python": "the code has a syntax error",
    "does not fit": "a part that is not of this policy (another name, other rows), or left out",
    "contract": "a whole policy that breaks the contract of a policy file",
    "no change": "the policy that was to be improved again, or with code that is never used",
}
"""The ways in which a reply can be of no use, and what each means."""

MAX_CHARACTERS = 1_000_000
_REASON_CHARACTERS = 4_000
_SUMMARY_CHARACTERS = 200
_MOST_STARTS = 20
_MOST_OBJECTS = 5
_MOST_BLOCKS = 50
_MOST_CLOSINGS = 10
_SUMMARY = re.compile(r"^\W{0,8}summary\W{0,6}[:：]\W{0,4}(.+)$", re.IGNORECASE | re.MULTILINE)
_THINKING = re.compile(r"^[ \t]*<(think|thinking)>.*?(?:</\1>|\Z)", re.DOTALL | re.MULTILINE)
_END_OF_THINKING = re.compile(r"\A.*^[^\n]*</think(?:ing)?>", re.DOTALL | re.MULTILINE)
"""Some servers leave out the tag that begins it."""
_FENCE = re.compile(r"^[ \t]{0,12}(`{3,}|~{3,})[ \t]*([\w+.-]*)[^\n`]*$", re.MULTILINE)
_FENCE_INFO = re.compile(r"[\w+.-]{0,20}")
_OBJECT = re.compile(r"^[^\S\n]*\{", re.MULTILINE)
_CODE_START = re.compile(
    r'^(?:"{3}|\'{3}|@|import |from \w|class \w|def \w|[A-Z_]+ = )', re.MULTILINE
)
_DIFF_START = re.compile(r"^(?:--- |@@|diff |\*\*\* |<{5,9} ?SEARCH)", re.MULTILINE)
_SHAPED = re.compile(r"^(?:[-*+#>|]|\d+[.)]|[ \t])", re.MULTILINE)
_LEFT_OUT = re.compile(
    r"\.{3}|…|\b(?:unchanged|existing|omitted|same as|as before|rest of)\b", re.IGNORECASE
)
_WHOLE_KEYS = ("policy", "code", "source", "file", "module", "content")
_SUGGESTION_KEYS = ("suggestion", "suggestions", "components", "functions")
_REASON_KEYS = ("reason", "reasoning", "diagnosis", "change", "explanation", "answer")
_PYTHON = frozenset(("", "python", "py", "python3", "text", "plaintext", "code"))
_OTHER = frozenset(
    [
        "bash",
        "sh",
        "shell",
        "console",
        "zsh",
        "json",
        "yaml",
        "toml",
        "ini",
        "html",
        "css",
        "js",
        "xml",
        "csv",
    ]
)
_DIFF = frozenset(("diff", "patch", "udiff"))
_JSON = frozenset(("", "json", "jsonc", "json5"))


@dataclass(frozen=True, slots=True)
class Reply:
    """A reply that holds a candidate.

    Attributes:
        source: The whole policy: formatted, within the contract, and not the parent again.
        summary: What is new in it, in a few words.
        reason: What the author says besides; may be empty.
        form: How the code came: "whole file", "parts", "diff", "JSON".
    """

    source: PolicySource
    summary: str
    reason: str
    form: str


def parse_reply(text: str | None, parent: PolicySource) -> Reply:
    """Return the candidate in the text of a reply; the same text gives the same candidate.

    Args:
        text: The reply.
        parent: The policy that it was asked to improve.

    Raises:
        Unusable: There is no candidate in it; `kind` is one of `KINDS`.
    """
    _require_length(text or "")
    text = (text or "").removeprefix("\ufeff").replace("\r\n", "\n")
    if not text.strip():
        raise Unusable("The reply is empty.", kind="empty")
    text = _END_OF_THINKING.sub("", _THINKING.sub("", text))
    if not text.strip():
        raise Unusable("The reply ends before its thinking does.", kind="cut off")
    fields = _find_json(text)
    if fields is not None:
        return read_fields(fields, parent)
    code, rest, form = _find_code(text, parent)
    found = _SUMMARY.search(rest)
    reason = (rest[: found.start()] + rest[found.end() :]) if found else rest
    return _finish(code, parent, found[1] if found else "", reason, form)


def read_completion(completion: Completion, parent: PolicySource) -> Reply:
    """Return the candidate in a model's answer: in the call of its tool, or else in its text.

    Raises:
        Unusable: As `parse_reply`.
    """
    if completion.tool_input is None:
        return parse_reply(completion.text, parent)
    try:
        return read_fields(completion.tool_input, parent)
    except Unusable as error:
        if error.kind != "no code" or not completion.text.strip():
            raise
    return parse_reply(completion.text, parent)


def read_fields(fields: Mapping[str, Any], parent: PolicySource) -> Reply:
    """Return the candidate in a JSON object: a tool's input, or OptoPrime's answer.

    Raises:
        Unusable: As `parse_reply`.
    """
    reasons = (fields.get(key) for key in _REASON_KEYS)
    reason = "\n\n".join(text for text in reasons if isinstance(text, str) and text)
    summary = fields.get("summary")
    whole = next(filter(None, (_code_of(fields.get(key)) for key in _WHOLE_KEYS)), "")
    form = "JSON"
    if whole:
        source, form = _read_code(whole, parent)
    else:
        source = parent
        for part in (parts := list(_suggested(fields))):
            source, _ = _read_code(part, source)
        if not parts:
            raise Unusable(
                "There is no code in the fields of the reply: the whole policy belongs into "
                "`policy`, or the new text of each component into `suggestion`.",
                kind="no code",
            )
    return _finish(source, parent, summary if isinstance(summary, str) else "", reason, form)


def _require_length(text: str) -> None:
    if len(text) > MAX_CHARACTERS:
        raise Unusable(
            f"The reply has {len(text):,} characters; at most {MAX_CHARACTERS:,} are read. Give "
            "the policy file once, and nothing else that long.",
            kind="too long",
        )


# -- the finished candidate -----------------------------------------------------------------------


def _finish(
    source: PolicySource, parent: PolicySource, summary: str, reason: str, form: str
) -> Reply:
    """Format and check a candidate, and put its words in order."""
    try:
        _require_whole(source, parent)
        if docstring_of(source) is None and docstring_of(parent) is not None:
            source = replace_docstring(source, docstring_of(parent) or "")
        source = PolicySource(format_policy(source.text))
        check_policy(source)
    except PolicyTooLarge as error:
        raise _too_large(error) from None
    except PolicyError as error:
        raise Unusable(f"The policy breaks the contract: {error}", kind="contract") from None
    if is_same_code(source, parent):
        raise Unusable(
            "The code in the reply is that of the present policy. Change something in it.",
            kind="no change",
        )
    if unused := _unused_additions(source, parent):
        raise Unusable(
            f"The reply only adds {', '.join(unused)}, which nothing uses. Replace or call what "
            "`class Policy` has, under the names that it has.",
            kind="no change",
        )
    words = " ".join(summary.split()).strip(" *_`\"'") or _what_changed(source, parent)
    return Reply(source, words[:_SUMMARY_CHARACTERS], _unwrapped(reason)[:_REASON_CHARACTERS], form)


def _require_whole(source: PolicySource, parent: PolicySource) -> None:
    """Refuse functions whose body is left out, where the parent has one."""
    before = {c.name: c.dedented for c in components(parent)}
    for component in components(source):
        earlier = before.get(component.name, "")
        if _is_left_out(component.dedented) and not _is_left_out(earlier):
            raise Unusable(
                f"The body of {component.name} is left out. Give every function whole.",
                kind="does not fit",
            )


def _is_left_out(text: str) -> bool:
    """Return whether a function consists of ``...``, or of a comment about code left out."""
    tree = ast.parse(text) if text and is_python(text) else None
    if tree is None or not tree.body or not isinstance(tree.body[0], ast.FunctionDef):
        return False
    body = [row for row in tree.body[0].body if not _is_constant(row, str)]
    if body and all(_is_constant(row, type(...)) or _is_unwritten(row) for row in body):
        return True
    comments = (row.partition("#")[2] for row in text.split("\n"))
    return all(isinstance(row, ast.Pass) for row in body) and any(map(_LEFT_OUT.search, comments))


def _is_constant(row: ast.stmt, kind: type) -> bool:
    return (
        isinstance(row, ast.Expr)
        and isinstance(row.value, ast.Constant)
        and isinstance(row.value.value, kind)
    )


def _is_unwritten(row: ast.stmt) -> bool:
    return isinstance(row, ast.Raise) and "NotImplementedError" in ast.unparse(row)


def _unused_additions(source: PolicySource, parent: PolicySource) -> list[str]:
    """Return the new names of ``source``, if the parent's code is all there is besides them."""
    known = set(_defined(ast.parse(parent.text)))
    tree = ast.parse(source.text)
    added = [name for name in _defined(tree) if name not in known and not name.endswith("__")]
    classes = [node for node in tree.body if isinstance(node, ast.ClassDef)]
    holders: list[ast.Module | ast.ClassDef] = [tree, *classes]
    for holder in holders:
        holder.body = [row for row in holder.body if not set(_names(row)) & set(added)]
    if not all(node.body for node in classes):
        return []
    rest = PolicySource(ast.unparse(tree))
    return added if added and is_same_code(rest, parent) else []


def _defined(tree: ast.Module) -> Iterator[str]:
    for row in tree.body:
        yield from _names(row)
        if isinstance(row, ast.ClassDef):
            yield from itertools.chain.from_iterable(map(_names, row.body))


def _names(row: ast.stmt) -> list[str]:
    """Return the names that a statement only defines."""
    if isinstance(row, ast.FunctionDef | ast.ClassDef):
        return [row.name]
    if isinstance(row, ast.Assign):
        return [target.id for target in row.targets if isinstance(target, ast.Name)]
    return []


def _unwrapped(words: str) -> str:
    """Join the lines of paragraphs; lists, tables and code keep theirs."""
    paragraphs = re.split(r"\n[ \t]*\n", words.strip())
    joined = (text if _SHAPED.search(text) else " ".join(text.split("\n")) for text in paragraphs)
    return "\n\n".join(text.rstrip() for text in joined)


def _what_changed(source: PolicySource, parent: PolicySource) -> str:
    before = {c.name: c.text for c in components(parent)}
    after = {c.name: c.text for c in components(source)}
    changed = [name for name, text in after.items() if name in before and before[name] != text]
    added = [name for name in after if name not in before]
    parts = [f"rewrites {', '.join(changed)}"] if changed else []
    parts += [f"adds {', '.join(added)}"] if added else []
    return "; ".join(parts) or "other constants"


# -- code -----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block: the word behind its fence, and its contents."""

    language: str
    text: str

    @property
    def is_diff(self) -> bool:
        """Whether it holds changes instead of code."""
        return self.language in _DIFF or _is_diff(self.text)

    @property
    def is_code(self) -> bool:
        """Whether it holds, or is said to hold, Python."""
        if not self.text.strip() or self.language in _OTHER:
            return False
        return self.language in _PYTHON or is_python(self.text)


def fenced_blocks(text: str) -> tuple[list[Block], str, bool]:
    """Return the fenced blocks, the text outside of them, and whether the last is not closed.

    A fence within a string of the code does not end its block.
    """
    blocks: list[Block] = []
    rest: list[str] = []
    fences = list(_FENCE.finditer(text))
    at = end = 0
    while at < len(fences):
        opened = fences[at]
        rest.append(text[end : opened.start()])
        following = range(at + 1, len(fences))
        ends = (n for n in following if fences[n][1].startswith(opened[1]) and not fences[n][2])
        closing = _closing(text, opened, fences, ends, is_long=len(blocks) > _MOST_BLOCKS)
        if closing is None:
            return blocks, "".join(rest).strip(), True
        inner = text[opened.end() + 1 : fences[closing].start()]
        blocks.append(Block(opened[2].lower(), inner))
        at, end = closing + 1, fences[closing].end()
    rest.append(text[end:])
    return blocks, "".join(rest).strip(), False


def _closing(
    text: str, opened: re.Match[str], fences: list[re.Match[str]], ends: Iterator[int],
    *, is_long: bool,
) -> int | None:  # fmt: skip
    """Return which fence closes a block: the first, unless the code only ends at a later one."""
    first = next(ends, None)
    if first is None or is_long or opened[2].lower() in _OTHER:
        return first
    later = list(itertools.islice(ends, _MOST_CLOSINGS))
    for n in (first, *reversed(later)):
        if is_python(text[opened.end() + 1 : fences[n].start()]):
            return n
    return first


def _with_fences_apart(text: str) -> str:
    """Return ``text`` with a line end before each fence that stands at the end of a row."""
    rows = []
    for row in text.split("\n"):
        head, fence, info = row.rstrip().rpartition("```")
        words = head.rstrip("`").rstrip()
        if fence and words and "`" not in words and _FENCE_INFO.fullmatch(info):
            row = f"{words}\n```{info}"  # noqa: PLW2901
        rows.append(row)
    return "\n".join(rows)


def _find_code(text: str, parent: PolicySource) -> tuple[PolicySource, str, str]:
    """Return the policy in a reply of words and code, the words, and how the code came."""
    blocks, rest, is_cut = fenced_blocks(text)
    if is_cut or not any(block.is_code or block.is_diff for block in blocks):
        # fences that share a row with words or code
        other = fenced_blocks(_with_fences_apart(text))
        if not other[2] and any(is_python(b.text) or b.is_diff for b in other[0]):
            blocks, rest, is_cut = other
    if is_cut:
        raise Unusable(
            "The last code block is not closed by a fence, so the reply was probably cut off. Give "
            "the code again, whole, with fewer words around it.",
            kind="cut off",
        )
    if diffs := [block for block in blocks if block.is_diff]:
        source = parent
        for block in diffs:
            source = _patched(source, block.text)
        return source, rest, "diff"
    if code := [block.text for block in blocks if block.is_code]:
        source, form = _from_blocks(code, parent)
        return source, rest, form
    return _from_bare_text(text, parent)


def _from_blocks(texts: list[str], parent: PolicySource) -> tuple[PolicySource, str]:
    """Return the policy that the blocks of code make up.

    Blocks that quote the parent are passed over. Of several whole policies the last counts, as
    what came before it was thinking aloud; parts are put into the parent one after the other.
    """
    present = {component.text.strip() for component in components(parent)}
    quoted = (parent.text.strip(), format_policy(parent.text).strip())
    fresh = [t for t in texts if t.strip() not in quoted and t.strip() not in present] or texts
    wholes = [text for text in fresh if _stands_alone(text)]
    if wholes:
        return _read_code(wholes[-1], parent)
    code = [text for text in fresh if is_python(text)]
    if not code:  # say what is wrong with the longest
        return _read_code(max(fresh, key=len), parent)
    source = parent
    for text in code:
        source, _ = _read_code(text, source)
    return source, "parts"


def _from_bare_text(text: str, parent: PolicySource) -> tuple[PolicySource, str, str]:
    """Return the policy in a text without fences, the words, and how the code came."""
    if _is_diff(text):
        begin = _DIFF_START.search(text)
        words = text[: begin.start()].strip() if begin else ""
        return _patched(parent, text), words, "diff"
    starts = [match.start() for match in _CODE_START.finditer(text)]
    for start in starts[:_MOST_STARTS]:
        if is_python(text[start:]):
            source, form = _read_code(text[start:], parent)
            return source, text[:start].strip(), form
    if re.search(r"\bTERMINATE\b", text) and not starts:
        raise Unusable("The reply says TERMINATE: it changes nothing.", kind="declined")
    if starts and re.search(r"^\s*(?:def|class) \w+", text, re.MULTILINE):
        source, form = _read_code(text[starts[0] :], parent)  # raises, with the place of the error
        return source, text[: starts[0]].strip(), form
    raise Unusable(
        "There is no code in the reply. Give the whole policy file in one fenced block that begins "
        "with ```python.",
        kind="no code",
    )


def _read_code(text: str, parent: PolicySource) -> tuple[PolicySource, str]:
    """Return the policy that one piece of code stands for, and how it came."""
    _require_length(text)
    blocks, _, _ = fenced_blocks(text)
    if len(blocks) == 1 and not is_python(text):
        text = blocks[0].text
    if _is_diff(text):
        return _patched(parent, text), "diff"
    if not is_python(text) and is_python(_unescaped(text)):
        text = _unescaped(text)
    try:
        source = complete_policy(parent, text)
    except PolicyTooLarge as error:
        raise _too_large(error) from None
    except ContractViolation as error:
        raise Unusable(f"The code is not Python: {error}", kind="not Python") from None
    except EditRejected as error:
        raise Unusable(f"The code does not fit the policy: {error}.", kind="does not fit") from None
    return source, "whole file" if _stands_alone(text) else "parts"


def _patched(source: PolicySource, text: str) -> PolicySource:
    try:
        return apply_diff(source, text)
    except PolicyTooLarge as error:
        raise _too_large(error) from None
    except (EditRejected, ContractViolation) as error:
        raise Unusable(
            f"The diff does not fit the policy: {error}\nGive the whole file instead.",
            kind="does not fit",
        ) from None


def _is_diff(text: str) -> bool:
    return is_diff(text) and not is_python(text)


def _too_large(error: PolicyTooLarge) -> Unusable:
    return Unusable(
        f"The policy is too large: {error}. Compute what is repeated in it instead of listing it.",
        kind="too large",
    )


def _stands_alone(text: str) -> bool:
    """Return whether the code has an entry point of its own at the top level."""
    try:
        check_policy(PolicySource(text))
    except ContractViolation:
        return (
            is_python(text)
            and bool(re.search(r"^class Policy\b", text, re.MULTILINE))
            and ("def act(" in text)
        )
    return True


def _unescaped(text: str) -> str:
    r"""Return code that was escaped once too often: one row with ``\n`` where rows should end."""
    if text.count("\n") > text.count("\\n"):
        return text
    for escaped, meant in (("\\n", "\n"), ("\\t", "\t"), ('\\"', '"'), ("\\'", "'")):
        text = text.replace(escaped, meant)
    return text


# -- JSON -----------------------------------------------------------------------------------------


def _find_json(text: str) -> dict[str, Any] | None:
    """Return the JSON object of a reply that answers with one, or None."""
    blocks, _, _ = fenced_blocks(text)
    wrapped = [block.text for block in blocks if block.language in _JSON]
    for candidate in wrapped if wrapped or blocks else [text]:
        for fields in _json_objects(candidate):
            if set(fields) & {*_SUGGESTION_KEYS, *_WHOLE_KEYS}:
                return fields
    head = text.lstrip().removeprefix("```json").lstrip()
    if head.startswith("{") and re.search(r'"(?:suggestion|code|policy)"\s*:', head):
        raise Unusable(
            "The JSON of the reply does not end, or its quotes are wrong: it was probably cut off. "
            "Give the code again, whole, in a fenced block.",
            kind="cut off",
        )
    return None


def _json_objects(text: str) -> Iterator[dict[str, Any]]:
    """Yield the objects that begin at the first braces of a text, in JSON or else in Python."""
    decoder = json.JSONDecoder(strict=False)  # raw line ends in strings are no harm
    for start in [match.start() for match in _OBJECT.finditer(text)][:_MOST_OBJECTS]:
        try:
            value, _ = decoder.raw_decode(text[start:].lstrip())
        except (ValueError, RecursionError):
            try:
                value = ast.literal_eval(text[start:].strip())
            except (ValueError, SyntaxError, RecursionError, MemoryError, TypeError):
                continue
        if isinstance(value, dict):
            yield {str(key).lower(): part for key, part in value.items()}


def _suggested(fields: Mapping[str, Any]) -> Iterator[str]:
    """Yield the pieces of code of a suggestion, whatever their names."""
    for key in _SUGGESTION_KEYS:
        value = fields.get(key)
        if isinstance(value, dict):
            value = list(value.values())
        for part in value if isinstance(value, list) else [value]:
            if code := _code_of(part):
                yield code


def _code_of(value: object) -> str:
    """Return code given as a text, a list of rows, or an object around one of these."""
    if isinstance(value, dict):
        value = next((value[key] for key in _WHOLE_KEYS if key in value), None)
    if isinstance(value, list) and all(isinstance(row, str) for row in value):
        value = "\n".join(value)
    return value if isinstance(value, str) and value.strip() else ""
