"""The header of a policy: the module docstring, with the facts that are measured."""

from __future__ import annotations

import ast
import re
import unicodedata
from dataclasses import dataclass

from gco_agent.core.errors import PolicyError
from gco_agent.core.formatting import format_score
from gco_agent.core.records import Evaluation, PlayProtocol
from gco_agent.core.text import clean_line
from gco_agent.policy.source import (
    PolicySource,
    Positions,
    format_policy,
    is_header_comment,
    parse,
    split_lines,
)

_CLOSING_QUOTES = re.compile(r'"""|"\Z')  # what would end the literal too early
_ENVIRONMENT = re.compile(r"^[ \t]*Environment:[ \t]*(\S+)", re.MULTILINE)


def docstring_of(source: PolicySource) -> str | None:
    """Return the module docstring, not cleaned, or None.

    Raises:
        ContractViolation: The text is not Python.
    """
    node = _docstring_node(source)
    return None if node is None else str(node.value)


def replace_docstring(source: PolicySource, new: str) -> PolicySource:
    r"""Give the module the docstring ``new`` and leave every other byte alone.

    A new one becomes the first statement, below a ``#!`` line or an encoding cookie. Quotes at the
    end, backslashes and unprintable characters are escaped, so that `docstring_of` returns ``new``.

    Raises:
        ContractViolation: The text is not Python, or becomes too large.
    """
    node = _docstring_node(source)
    lines = split_lines(source.text)
    newline = "\r\n" if lines and lines[0].endswith("\r\n") else "\n"
    literal = _literal(new).replace("\n", newline)
    if node is not None:
        start, end = Positions(source.text).span(node)
        return PolicySource(source.text[:start] + literal + source.text[end:])
    n_header = max((n for n in (1, 2) if _is_header(lines, n)), default=0)
    before, after = "".join(lines[:n_header]), "".join(lines[n_header:])
    if before and not before.endswith("\n"):
        before += newline
    gap = newline if after.strip() else ""
    return PolicySource(f"{before}{literal}{newline}{gap}{after}")


def environment_of(source: PolicySource) -> str | None:
    """Return the id in the line ``Environment: <id>`` of the docstring, or None.

    Raises:
        ContractViolation: The text is not Python.
    """
    found = _ENVIRONMENT.search(docstring_of(source) or "")
    return found[1].rstrip(".,;:") or None if found else None


def _docstring_node(source: PolicySource) -> ast.Constant | None:
    match parse(source.text).body:
        case [ast.Expr(value=ast.Constant(value=str()) as node), *_]:
            return node
    return None


def _is_header(lines: list[str], number: int) -> bool:
    return number <= len(lines) and is_header_comment(lines[number - 1], number)


def _literal(value: str) -> str:
    """Return a triple-quoted literal whose value is ``value``."""
    body = _CLOSING_QUOTES.sub(lambda found: found[0].replace('"', r"\""), _escaped(value))
    return f'"""{body}"""'


def _escaped(value: str) -> str:
    return "".join(
        c if c in "\n\t" or (c.isprintable() and c != "\\") else c.encode("unicode_escape").decode()
        for c in value
    )


_OURS = re.compile(r"(?:Environment|Mean return|Measured|Run) ?:.*")
_LIKE_A_SCORE = re.compile(r"\W*mean[\s_-]*returns?\W*[:=]\W*\d.*", re.IGNORECASE)
"""What reads like a measurement in whatever paragraph it stands."""
_STATED = re.compile(r"^[ \t]*(Environment|Mean return|Measured): (.+)$", re.MULTILINE)
_SCORE = re.compile(r"-?\d+(?:\.\d+)?(?:e[-+]\d+)?")


@dataclass(frozen=True, slots=True)
class Claim:
    """The score that a docstring states; `gco-agent eval` measures whether it is true.

    Attributes:
        score: As `describe_score` writes it.
        mean: The mean return, in points.
        rules: Environment and rules of play, as they stand there.
    """

    score: str
    mean: float
    rules: str


def claim_of(source: PolicySource) -> Claim | None:
    """Return the score that the docstring of a policy states, or None.

    Raises:
        ContractViolation: The text is not Python.
    """
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
        source: The policy.
        protocol: The rules it was played by.
        evaluation: What it scored.
        seeds: Which seeds the evaluation is over: "report 0:30".
        origin: Run and iteration: "gco/pong/20261122-ab12, iteration 7".
    """
    words = _author_words(docstring_of(source) or "") or "A policy."
    lines = [
        words,
        "",
        f"Environment: {protocol.env_id}",
        f"Mean return: {describe_score(evaluation, seeds)}",
        f"Measured: {describe_rules(protocol)}",
        f"Run: {origin}",
        "",
    ]
    return PolicySource(format_policy(replace_docstring(source, "\n".join(lines)).text))


def with_environment(source: PolicySource, env_id: str) -> PolicySource:
    """Return ``source`` with a docstring that names its environment and states no score.

    A docstring that does so already stays as it is, and so does every other byte.

    Raises:
        ContractViolation: The text is not Python, or becomes too large.
    """
    docstring = docstring_of(source) or ""
    claims = [
        row for row in docstring.splitlines() if _is_fact(row) and not _ENVIRONMENT.match(row)
    ]
    if environment_of(source) == env_id and not claims:
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
    except PolicyError:  # a commit that a person made by hand may hold anything
        return text


def _author_words(docstring: str) -> str:
    """Return ``docstring`` without facts that are written here, or lines that read like them."""
    kept = [line for line in docstring.splitlines() if not _is_fact(line)]
    return re.sub(r"\n(?:[ \t]*\n)+", "\n\n", "\n".join(kept)).strip()


def _is_fact(line: str) -> bool:
    plain = clean_line(unicodedata.normalize("NFKC", line))
    return bool(_OURS.fullmatch(plain) or _LIKE_A_SCORE.fullmatch(plain))
