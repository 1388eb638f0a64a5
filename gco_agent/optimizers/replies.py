"""Replies: whole files, parts or diffs; bare, in fenced blocks among words, or in JSON.

A reply is text of a model or a person, in any form. `parse_reply` finds the code and the words in
it, `policy.edit` makes a policy of the code, and `_finish` checks it.
"""

from __future__ import annotations

import ast
import contextlib
import itertools
import json
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from gco_agent.core.errors import (
    BudgetSpent,
    ContractViolation,
    EditRejected,
    ModelTimedOut,
    PolicyTooLarge,
    ReplyRefused,
    ReplyTruncated,
)
from gco_agent.core.records import Usage
from gco_agent.llm.asking import Patience, Spending, ask
from gco_agent.llm.base import Completion, LanguageModel, ModelRequest
from gco_agent.optimizers.base import Request, Unusable
from gco_agent.policy.contract import check_policy
from gco_agent.policy.edit import (
    apply_diff,
    complete_policy,
    components,
    is_diff,
    is_python,
    is_same_code,
)
from gco_agent.policy.source import PolicySource, docstring_of, format_policy, replace_docstring

LONGEST_S = 900.0
"""Wall time of a request, with its tries: a long answer streams for minutes."""
_SHORTEST_S = 5.0
"""With less time than this left nothing is asked."""
MAX_CHARACTERS = 1_000_000
_REASON_CHARACTERS = 4_000
_SUMMARY_CHARACTERS = 200
_MOST_STARTS, _MOST_OBJECTS, _MOST_BLOCKS, _MOST_CLOSINGS = 20, 5, 50, 10
"""Places in a reply that are tried, at most: a hostile one would take hours."""

_SUMMARY = re.compile(r"^\W{0,8}summary\W{0,6}[:：]\W{0,4}(.+)$", re.IGNORECASE | re.MULTILINE)
_THINKING = re.compile(r"^[ \t]*<(think|thinking)>.*?(?:</\1>|\Z)", re.DOTALL | re.MULTILINE)
_END_OF_THINKING = re.compile(r"\A.*^[^\n]*</think(?:ing)?>", re.DOTALL | re.MULTILINE)
"""Some servers leave out the tag that begins it."""
_FENCE = re.compile(r"^[ \t]{0,12}(`{3,}|~{3,})[ \t]*+([\w+.-]*+)[^\n`]*+$", re.MULTILINE)
_FENCE_IN_ROW = re.compile(r"(?<=[^`\s])[ \t]*+(`{3,}[\w+.-]{0,20})[ \t]*$", re.MULTILINE)
_CODE_START = re.compile(
    r'^(?:"{3}|\'{3}|@|import |from \w|class \w|def \w|[A-Z_]+ = )', re.MULTILINE
)
_WHOLE = re.compile(r"^(?:class Policy\b|def act\((?!self\b))", re.MULTILINE)
_DIFF_START = re.compile(r"^(?:--- |@@|diff |\*\*\* |<{5,9} ?SEARCH)", re.MULTILINE)
_JSON_START = re.compile(r"^[^\S\n]*\{", re.MULTILINE)
_JSON_OF_POLICY = re.compile(r'\s*+(?:```json\s*+)?\{.*"(?:suggestion|code|policy)"\s*:', re.DOTALL)
_WHOLE_KEYS = ("policy", "code", "source", "file", "module", "content")
_SUGGESTION_KEYS = ("suggestion", "suggestions", "components", "functions")
_REASON_KEYS = ("reason", "reasoning", "diagnosis", "change", "explanation", "answer")
_PYTHON = frozenset(("", "python", "py", "python3", "text", "plaintext", "code"))
_OTHER = re.compile("ask|bash|sh|shell|console|zsh|json|yaml|toml|ini|html|css|js|xml|csv")
_DIFF = frozenset(("diff", "patch", "udiff"))
_JSON = frozenset(("", "json", "jsonc", "json5"))


@dataclass(frozen=True, slots=True)
class Reply:
    """A reply that holds a candidate.

    Attributes:
        source: The whole policy: formatted, within the contract, and not the parent again.
        reason: The author's other remarks; may be empty.
        form: How the code came: "whole file", "parts", "diff", "JSON".
    """

    source: PolicySource
    summary: str
    reason: str
    form: str
    usage: Usage | None = None


def ask_for_reply(
    model: LanguageModel, asked: ModelRequest, request: Request, patience: Patience
) -> Reply:
    """Ask ``model`` within the time and the budget of ``request``, and read its answer.

    Where it asks questions instead, it gets the answers and is asked again.

    Raises:
        Unusable: The answer holds no candidate, or there is none; with its usage.
        BudgetSpent: There is no time for it, or the time was up before an answer came.
    """
    answer, n_asked = _ask(model, asked, request, patience), 0
    while answer.tool_input is None and (told := request.answer(answer.text, n_asked)):
        asked, n_asked = replace(asked, user=f"{asked.user}\n\n{told}"), n_asked + 1
        answer = _ask(model, asked, request, patience)
    try:
        return replace(read_completion(answer, request.parent), usage=answer.usage)
    except Unusable as error:
        error.usage = answer.usage
        raise


def _ask(
    model: LanguageModel, asked: ModelRequest, request: Request, patience: Patience
) -> Completion:
    """Ask ``model`` once; raises as `ask_for_reply`."""
    left_s = request.deadline - time.perf_counter()
    if left_s < _SHORTEST_S:
        raise BudgetSpent("the time that a language model needs to answer")
    asked = replace(asked, seconds=min(left_s, LONGEST_S))
    try:
        return ask(model, asked, request.budget or Spending(), patience)
    except ModelTimedOut as error:
        if left_s < LONGEST_S:
            raise BudgetSpent(f"the time: {error.what}") from error
        raise
    except ReplyTruncated as error:
        text = f"{error}. Think and write less: the whole reply must fit."
        raise Unusable(text, kind="cut off", usage=error.usage) from error
    except ReplyRefused as error:
        raise Unusable(str(error), kind="declined", usage=error.usage) from error


def parse_reply(text: str | None, parent: PolicySource) -> Reply:
    """Return the candidate in the text of a reply; the same text gives the same candidate."""
    text = text or ""
    _require_length(text)
    text = text.removeprefix("\ufeff").replace("\r\n", "\n")
    if not text.strip():
        raise Unusable("The reply is empty.", kind="empty")
    text = _END_OF_THINKING.sub("", _THINKING.sub("", text))
    if not text.strip():
        raise Unusable("The reply ends before its thinking does.", kind="cut off")
    fields = _find_json(text)
    if fields is not None:
        return read_fields(fields, parent)
    source, form, words = _find_code(text, parent)
    found = _SUMMARY.search(words)
    reason = (words[: found.start()] + words[found.end() :]) if found else words
    return _finish(source, parent, found[1] if found else "", reason, form)


def read_completion(completion: Completion, parent: PolicySource) -> Reply:
    """Return the candidate in a model's answer: in the call of its tool, or else in its text."""
    if completion.tool_input is None:
        return parse_reply(completion.text, parent)
    try:
        return read_fields(completion.tool_input, parent)
    except Unusable as error:
        if error.kind != "no code" or not completion.text.strip():
            raise
    return parse_reply(completion.text, parent)


def read_fields(fields: Mapping[str, Any], parent: PolicySource) -> Reply:
    """Return the candidate in a JSON object: a tool's input, or OptoPrime's answer."""
    reasons = (fields.get(key) for key in _REASON_KEYS)
    reason = "\n\n".join(text for text in reasons if isinstance(text, str) and text)
    summary = fields.get("summary")
    whole = next(filter(None, (_code_of(fields.get(key)) for key in _WHOLE_KEYS)), "")
    if whole:
        source, form = read_code(whole, parent)
    else:
        source, form, parts = parent, "JSON", list(_suggested(fields))
        for part in parts:
            source, _ = read_code(part, source)
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


@contextlib.contextmanager
def _explaining(what: str, problem: str, kind: str) -> Iterator[None]:
    """Turn errors of editing and checking a policy into `Unusable`.

    Args:
        what: What is edited or checked, as the subject of a sentence.
        problem: The rest of the sentence, for a `ContractViolation`.
    """
    try:
        yield
    except PolicyTooLarge as error:
        advice = "Compute what is repeated in it instead of listing it."
        text = f"The policy is too large: {error}. {advice}"
        raise Unusable(text, kind="too large") from None
    except ContractViolation as error:
        raise Unusable(f"{what} {problem}: {error}", kind=kind) from None
    except EditRejected as error:
        text = f"{what} does not fit the policy: {error}"
        raise Unusable(text, kind="does not fit") from None


# The finished candidate


def _finish(
    source: PolicySource, parent: PolicySource, summary: str, reason: str, form: str
) -> Reply:
    """Format and check a candidate, and put its words in order."""
    with _explaining("The policy", "breaks the contract", "contract"):
        if docstring_of(source) is None and docstring_of(parent) is not None:
            source = replace_docstring(source, docstring_of(parent) or "")
        source = PolicySource(format_policy(source.text))
        check_policy(source)
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
    return Reply(source, words[:_SUMMARY_CHARACTERS], reason.strip()[:_REASON_CHARACTERS], form)


def _unused_additions(source: PolicySource, parent: PolicySource) -> list[str]:
    """Return the new names of ``source`` if the parent's code is otherwise unchanged."""
    known = {name for body in _bodies(ast.parse(parent.text)) for name in _defined(body)}
    tree, added = ast.parse(source.text), []
    for body in _bodies(tree):
        new = [n for n in _defined(body) if n not in known and not n.endswith("__")]
        added += new
        body[:] = [row for row in body if not set(_defined([row])) & set(new)]
        if not body and body is not tree.body:
            return []
    rest = PolicySource(ast.unparse(tree))
    return added if added and is_same_code(rest, parent) else []


def _bodies(tree: ast.Module) -> list[list[ast.stmt]]:
    """Return the statements of a module, and those of its classes."""
    return [tree.body, *(row.body for row in tree.body if isinstance(row, ast.ClassDef))]


def _defined(body: Sequence[ast.stmt]) -> Iterator[str]:
    """Yield the names of functions, classes and constants that statements define."""
    for row in body:
        if isinstance(row, ast.FunctionDef | ast.ClassDef):
            yield row.name
        elif isinstance(row, ast.Assign):
            yield from (target.id for target in row.targets if isinstance(target, ast.Name))


def _what_changed(source: PolicySource, parent: PolicySource) -> str:
    before = {c.name: c.text for c in components(parent)}
    after = {c.name: c.text for c in components(source)}
    changed = [name for name, text in after.items() if before.get(name, text) != text]
    added = [name for name in after if name not in before]
    parts = [f"rewrites {', '.join(changed)}"] if changed else []
    parts += [f"adds {', '.join(added)}"] if added else []
    return "; ".join(parts) or "other constants"


# Code


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block: the word behind its fence, and its contents."""

    language: str
    text: str

    @property
    def is_diff(self) -> bool:
        """Whether it is a diff."""
        return self.language in _DIFF or _is_diff(self.text)

    @property
    def is_code(self) -> bool:
        """Whether it holds, or claims to hold, Python."""
        if not self.text.strip() or _OTHER.fullmatch(self.language):
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
        opened, at = fences[at], at + 1
        rest.append(text[end : opened.start()])
        closing = _closing(text, fences, at - 1, many=len(blocks) >= _MOST_BLOCKS)
        if closing is None:
            return blocks, "".join(rest).strip(), True
        closed, at = fences[closing], closing + 1
        blocks.append(Block(opened[2].lower(), text[opened.end() + 1 : closed.start()]))
        end = closed.end()
    rest.append(text[end:])
    return blocks, "".join(rest).strip(), False


def _closing(text: str, fences: Sequence[re.Match[str]], at: int, *, many: bool) -> int | None:
    """Return which fence closes a block: the first, unless the code only ends at a later one.

    Args:
        many: Always take the first, since there are many blocks.
    """
    opened, following = fences[at], range(at + 1, len(fences))
    ends = (n for n in following if fences[n][1].startswith(opened[1]) and not fences[n][2])
    found = list(itertools.islice(ends, 1 + _MOST_CLOSINGS))
    if not found or many or _OTHER.fullmatch(opened[2].lower()):
        return next(iter(found), None)
    inner = (n for n in (found[0], *found[:0:-1]))
    begin = opened.end() + 1
    return next((n for n in inner if is_python(text[begin : fences[n].start()])), found[0])


def _find_code(text: str, parent: PolicySource) -> tuple[PolicySource, str, str]:
    """Return the policy in a reply of words and code, how the code came, and the words."""
    blocks, words, is_cut = fenced_blocks(text)
    if is_cut or not any(block.is_code or block.is_diff for block in blocks):
        # fences that share a row with words or code
        other = fenced_blocks(_FENCE_IN_ROW.sub(r"\n\1", text))
        if not other[2] and any(is_python(b.text) or b.is_diff for b in other[0]):
            blocks, words, is_cut = other
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
        return source, "diff", words
    if code := [block.text for block in blocks if block.is_code]:
        return *_from_blocks(code, parent), words
    return _from_bare_text(text, parent)


def _from_blocks(texts: list[str], parent: PolicySource) -> tuple[PolicySource, str]:
    """Return the policy that the blocks of code make up.

    Blocks that quote the parent are passed over. Of several whole policies the last counts, as
    what came before it was thinking aloud; parts are put into the parent one after the other.
    """
    quoted = {component.text.strip() for component in components(parent)}
    quoted |= {parent.text.strip(), format_policy(parent.text).strip()}
    fresh = [text for text in texts if text.strip() not in quoted] or texts
    if wholes := [text for text in fresh if _stands_alone(text)]:
        return read_code(wholes[-1], parent)
    parts = [text for text in fresh if is_python(text)]
    if not parts:  # say what is wrong with the longest
        return read_code(max(fresh, key=len), parent)
    source = parent
    for text in parts:
        source, _ = read_code(text, source)
    return source, "parts"


def _from_bare_text(text: str, parent: PolicySource) -> tuple[PolicySource, str, str]:
    """Return the policy in a text without fences, how the code came, and the words."""
    if _is_diff(text):
        begin = _DIFF_START.search(text)
        return _patched(parent, text), "diff", text[: begin.start()].strip() if begin else ""
    starts = [match.start() for match in _CODE_START.finditer(text)]
    for start in starts[:_MOST_STARTS]:
        if is_python(text[start:]):
            return *read_code(text[start:], parent), text[:start].strip()
    if re.search(r"\bTERMINATE\b", text) and not starts:
        raise Unusable("The reply says TERMINATE: it changes nothing.", kind="declined")
    if starts and re.search(r"^[ \t]*(?:def|class) \w+", text, re.MULTILINE):
        return *read_code(text[starts[0] :], parent), text[: starts[0]].strip()  # names the error
    raise Unusable(
        "There is no code in the reply. Give the whole policy file in one fenced block that begins "
        "with ```python.",
        kind="no code",
    )


def read_code(text: str, parent: PolicySource) -> tuple[PolicySource, str]:
    """Return the policy that one piece of code stands for, and how it came."""
    _require_length(text)
    if not is_python(text):
        blocks, _, _ = fenced_blocks(text)
        text = blocks[0].text if len(blocks) == 1 else text
    if _is_diff(text):
        return _patched(parent, text), "diff"
    if not is_python(text) and is_python(unescaped := _unescaped(text)):
        text = unescaped
    with _explaining("The code", "is not Python", "not Python"):
        source = complete_policy(parent, text)
    return source, "whole file" if _stands_alone(text) else "parts"


def _patched(source: PolicySource, text: str) -> PolicySource:
    with _explaining("The diff", "does not fit the policy", "does not fit"):
        return apply_diff(source, text)


def _is_diff(text: str) -> bool:
    return is_diff(text) and not is_python(text)


def _stands_alone(text: str) -> bool:
    """Return whether the code has its own entry point at the top level."""
    return _WHOLE.search(text) is not None and "def act(" in text and is_python(text)


def _unescaped(text: str) -> str:
    r"""Return code that was escaped once too often: one row with ``\n`` where rows should end."""
    if text.count("\n") > text.count("\\n"):
        return text
    for escaped, meant in (("\\n", "\n"), ("\\t", "\t"), ('\\"', '"'), ("\\'", "'")):
        text = text.replace(escaped, meant)
    return text


# JSON


def _find_json(text: str) -> dict[str, Any] | None:
    """Return the JSON object of a reply that answers with one, or None."""
    blocks, _, _ = fenced_blocks(text)
    wrapped = [block.text for block in blocks if block.language in _JSON]
    for candidate in wrapped if wrapped or blocks else [text]:
        for fields in _json_objects(candidate):
            if set(fields) & {*_SUGGESTION_KEYS, *_WHOLE_KEYS}:
                return fields
    if _JSON_OF_POLICY.match(text):
        raise Unusable(
            "The JSON of the reply does not end, or its quotes are wrong: it was probably cut off. "
            "Give the code again, whole, in a fenced block.",
            kind="cut off",
        )
    return None


def _json_objects(text: str) -> Iterator[dict[str, Any]]:
    """Yield the objects that begin at the first braces of a text, in JSON or else in Python."""
    decoder = json.JSONDecoder(strict=False)  # line ends in strings do no harm
    for start in [match.start() for match in _JSON_START.finditer(text)][:_MOST_OBJECTS]:
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
    """Yield the pieces of code of a suggestion, under any names."""
    for key in _SUGGESTION_KEYS:
        value = fields.get(key)
        if isinstance(value, dict):
            value = list(value.values())
        yield from filter(None, map(_code_of, value if isinstance(value, list) else [value]))


def _code_of(value: object) -> str:
    """Return code given as a text, a list of rows, or an object around one of these."""
    if isinstance(value, dict):
        value = next((value[key] for key in _WHOLE_KEYS if key in value), None)
    if isinstance(value, list) and all(isinstance(row, str) for row in value):
        value = "\n".join(value)
    return value if isinstance(value, str) and value.strip() else ""
