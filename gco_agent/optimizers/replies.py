"""The forms that code comes in within a reply: fenced blocks, JSON objects, escaped text."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from gco_agent.core.errors import ContractViolation, EditRejected, PolicyError, PolicyTooLarge
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

_FENCE = re.compile(r"^[ \t]{0,12}(`{3,}|~{3,})[ \t]*([\w+.-]*)[^\n`]*$", re.MULTILINE)
_OPENING = re.compile(r"^[^\S\n]*\{", re.MULTILINE)
_MOST_OBJECTS = 5


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block: the word behind its fence, and its contents."""

    language: str
    text: str


def fenced_blocks(text: str) -> tuple[list[Block], str, bool]:
    """The fenced blocks, the text outside of them, and whether the last is not closed."""
    blocks: list[Block] = []
    rest: list[str] = []
    opened: re.Match[str] | None = None
    end = 0
    for fence in _FENCE.finditer(text):
        if opened is None:
            opened = fence
            rest.append(text[end : fence.start()])
        elif fence[1].startswith(opened[1]) and not fence[2]:
            inner = text[opened.end() + 1 : fence.start()]
            blocks.append(Block(opened[2].lower(), inner))
            opened, end = None, fence.end()
    if opened is None:
        rest.append(text[end:])
    return blocks, "".join(rest).strip(), opened is not None


def json_objects(text: str) -> Iterator[dict[str, Any]]:
    """The objects that begin at the first braces of a text, read as JSON or else as Python."""
    decoder = json.JSONDecoder(strict=False)  # raw line ends in strings are no harm
    starts = [match.start() for match in _OPENING.finditer(text)][:_MOST_OBJECTS]
    for start in starts:
        try:
            value, _ = decoder.raw_decode(text[start:].lstrip())
        except (ValueError, RecursionError):
            try:
                value = ast.literal_eval(text[start:].strip())
            except (ValueError, SyntaxError, RecursionError, MemoryError, TypeError):
                continue
        if isinstance(value, dict):
            yield {str(key).lower(): part for key, part in value.items()}


def unescaped(text: str) -> str:
    r"""Code that was escaped once too often: one row with ``\n`` where rows should end."""
    if text.count("\n") > text.count("\\n"):
        return text
    for escaped, meant in (("\\n", "\n"), ("\\t", "\t"), ('\\"', '"'), ("\\'", "'")):
        text = text.replace(escaped, meant)
    return text


KINDS: Mapping[str, str] = {
    "empty": "nothing came back",
    "too long": "more text than a policy and its reasons can need",
    "too large": "a policy of more bytes than a policy file may have",
    "declined": "the reply says that nothing is to be changed",
    "no code": "words, and no code that could be a policy or a part of one",
    "cut off": "the reply ends in the middle of the code",
    "not Python": "the code has a syntax error",
    "does not fit": "a part that is not of this policy: another name, other parameters, other rows",
    "contract": "a whole policy that breaks the contract of a policy file",
    "no change": "the policy that was to be improved, again",
}
"""The ways in which a reply can be of no use, and what each means."""

MAX_CHARACTERS = 1_000_000
_REASON_CHARACTERS = 4_000
_SUMMARY_CHARACTERS = 200
_MOST_STARTS = 20
_SUMMARY = re.compile(r"^\W{0,8}summary\W{0,6}[:：]\W{0,4}(.+)$", re.IGNORECASE | re.MULTILINE)
_CODE_START = re.compile(
    r'^(?:"{3}|\'{3}|@|import |from \w|class \w|def \w|[A-Z_]+ = )', re.MULTILINE
)
_SHAPED = re.compile(r"^(?:[-*+#>|]|\d+[.)]|[ \t])", re.MULTILINE)
_WHOLE_KEYS = ("policy", "code", "source", "file", "module")
_SUGGESTION_KEYS = ("suggestion", "suggestions", "components", "functions")
_REASON_KEYS = ("reason", "reasoning", "diagnosis", "explanation", "answer")
_PYTHON = frozenset(("", "python", "py", "python3", "text"))
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
    """Read a reply as a candidate; the same text gives the same candidate.

    Args:
        text: Whatever came back.
        parent: The policy that it was asked to improve.

    Raises:
        Unusable: There is no candidate in it; `kind` says which of `KINDS` it is.
    """
    if text is None or not text.strip():
        raise Unusable("The reply is empty.", kind="empty")
    if len(text) > MAX_CHARACTERS:
        raise Unusable(
            f"The reply has {len(text):,} characters; at most {MAX_CHARACTERS:,} are read. Give "
            "the policy file once, and nothing else that long.",
            kind="too long",
        )
    text = text.replace("\r\n", "\n")
    fields = _find_json(text)
    if fields is not None:
        return read_fields(fields, parent)
    code, rest, form = _find_code(text, parent)
    found = _SUMMARY.search(rest)
    reason = (rest[: found.start()] + rest[found.end() :]) if found else rest
    return make_reply(code, parent, summary=found[1] if found else "", reason=reason, form=form)


def make_reply(
    code: str | PolicySource, parent: PolicySource, *, summary: str, reason: str, form: str = ""
) -> Reply:
    """A candidate from its parts, as a tool call gives them.

    Args:
        code: A whole policy, parts of ``parent``, or a diff against it, in a fence or not; or the
            policy, where it is put together already.
        parent: The policy that is to be improved.
        summary: What is new; made up from what changed if it is empty.
        reason: What the author says besides.
        form: How the code came, if that is known.

    Raises:
        Unusable: No candidate can be made of it.
    """
    if isinstance(code, str):
        if not code.strip():
            raise Unusable("There is no code in the reply.", kind="no code")
        form = form or ("diff" if is_diff(code) and not is_python(code) else "")
        source, how = _read_code(code, parent)
        form = form or how
    else:
        source = code
    source = _finished(source, parent)
    words = " ".join(summary.split()).strip(" *_`\"'") or _what_changed(source, parent)
    return Reply(source, words[:_SUMMARY_CHARACTERS], _unwrapped(reason)[:_REASON_CHARACTERS], form)


def _finished(source: PolicySource, parent: PolicySource) -> PolicySource:
    """Formatted, checked, with a docstring, and something else than the parent.

    Raises:
        Unusable: It breaks the contract, or is the parent.
    """
    try:
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
            "The policy in the reply does what the present one does, to the letter. Change "
            "something in it.",
            kind="no change",
        )
    return source


def _unwrapped(words: str) -> str:
    """Paragraphs on one line each, to be wrapped anew; lists, tables and code keep their rows."""
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


def _find_code(text: str, parent: PolicySource) -> tuple[PolicySource, str, str]:
    """The policy in a reply of words and code, the words, and how the code came.

    Raises:
        Unusable: There is none.
    """
    blocks, rest, is_cut = fenced_blocks(text)
    if is_cut:
        raise Unusable(
            "The last code block is not closed, so the reply was probably cut off. Give the code "
            "again, whole, with fewer words around it.",
            kind="cut off",
        )
    diffs = [
        b for b in blocks if b.language in _DIFF or (is_diff(b.text) and not is_python(b.text))
    ]
    if diffs:
        source = parent
        for block in diffs:
            source = _patched(source, block.text)
        return source, rest, "diff"
    blocks = [block for block in blocks if block.language.lower() in _PYTHON and block.text.strip()]
    if blocks:
        source, form = _from_blocks(blocks, parent)
        return source, rest, form
    return _from_bare_text(text, parent)


def _from_blocks(blocks: list[Block], parent: PolicySource) -> tuple[PolicySource, str]:
    """The policy that the blocks of code make up.

    Blocks that quote the parent are passed over. Of several whole policies the last counts, as
    what came before it was thinking aloud; parts are put into the parent one after the other.

    Raises:
        Unusable: They make up none.
    """
    present = {component.text.strip() for component in components(parent)}
    quoted = (parent.text.strip(), format_policy(parent.text).strip())
    texts = [block.text for block in blocks]
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
    """The policy in a text without fences.

    Raises:
        Unusable: There is none.
    """
    if is_diff(text) and not is_python(text):
        marks = (text.find(mark) for mark in ("--- ", "@@", "*** Begin", "<<<<<"))
        start = min((at for at in marks if at >= 0), default=0)
        return _patched(parent, text), text[:start].strip(), "diff"
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
    """The policy that one piece of code stands for, and how it came.

    Raises:
        Unusable: It stands for none.
    """
    blocks, _, _ = fenced_blocks(text)
    if len(blocks) == 1 and not is_python(text):
        text = blocks[0].text
    if is_diff(text) and not is_python(text):
        return _patched(parent, text), "diff"
    if not is_python(text) and is_python(unescaped(text)):
        text = unescaped(text)
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


def _too_large(error: PolicyTooLarge) -> Unusable:
    return Unusable(
        f"The policy is too large: {error}. Compute what is repeated in it instead of listing it.",
        kind="too large",
    )


def _stands_alone(text: str) -> bool:
    """Whether the code has an entry point of its own at the top level."""
    try:
        check_policy(PolicySource(text))
    except ContractViolation:
        return (
            is_python(text)
            and bool(re.search(r"^class Policy\b", text, re.MULTILINE))
            and ("def act(" in text)
        )
    return True


# -- JSON -----------------------------------------------------------------------------------------


def _find_json(text: str) -> dict[str, Any] | None:
    """The JSON object of a reply that answers with one, or None.

    Raises:
        Unusable: There is the beginning of one, and not its end.
    """
    blocks, _, _ = fenced_blocks(text)
    wrapped = [block.text for block in blocks if block.language in _JSON]
    for candidate in wrapped if wrapped or blocks else [text]:
        for fields in json_objects(candidate):
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


def read_fields(fields: Mapping[str, Any], parent: PolicySource) -> Reply:
    """A candidate from the fields of a JSON object: a tool's input, or OptoPrime's answer.

    Raises:
        Unusable: None of them holds code that fits.
    """
    reason = "\n\n".join(str(fields[key]) for key in _REASON_KEYS if fields.get(key))
    summary = str(fields.get("summary") or "")
    for key in _WHOLE_KEYS:
        code = fields.get(key)
        if isinstance(code, str) and code.strip():
            return make_reply(code, parent, summary=summary, reason=reason, form="JSON")
    source, n_parts = parent, 0
    for code in _suggested(fields):
        source, _ = _read_code(code, source)
        n_parts += 1
    if not n_parts:
        raise Unusable(
            "The JSON of the reply holds no code: `suggestion` must map the names of components to "
            "their new text.",
            kind="no code",
        )
    return make_reply(source, parent, summary=summary, reason=reason, form="JSON")


def _suggested(fields: Mapping[str, Any]) -> Iterator[str]:
    """The pieces of code that a suggestion holds, whatever it calls them."""
    for key in _SUGGESTION_KEYS:
        value = fields.get(key)
        if isinstance(value, str):
            value = [value]
        if isinstance(value, dict):
            value = list(value.values())
        for part in value if isinstance(value, list) else ():
            if isinstance(part, dict):
                part = next((part[k] for k in _WHOLE_KEYS if k in part), None)  # noqa: PLW2901
            if isinstance(part, str) and part.strip():
                yield part
