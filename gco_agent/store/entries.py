"""What a commit of a run says, as records, and its message as text.

A message is a subject for people, a body with the reason, and a last paragraph of trailers with the
measured facts. Only the last paragraph is parsed, so nothing in a body can pass for a fact.
"""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass, field, fields
from datetime import date
from typing import Self, SupportsFloat, SupportsIndex

from gco_agent.core.codec import require_schema
from gco_agent.core.errors import StoreError, UsageError
from gco_agent.core.records import Verdict
from gco_agent.core.text import WIDTH, clean_line, format_points, shorten, wrap_body

_RESULT = re.compile(r"^Iteration \d+ (?:candidate|[a-z]+)[^:]{0,80}: ")
SCHEMA = 1
"""Version of the trailers. Raised only when an older reader would misread a newer message."""

LONGEST_SUBJECT = 300
"""Characters of a subject that are kept; of them the first line of a message has 72."""
_CODE_BLOCK = "```"
_LARGEST = 2**63 - 1
BRANCH_NAMESPACE = "gco"
_REFS_HEADS = "refs/heads/"
_NAME = re.compile(r"(?!.*\.\.)[a-z0-9][a-z0-9._-]{0,99}(?<!\.)(?<!\.lock)")
_STEM = re.compile(r"((?:[^-]|--)*)-([^-].*)")
_NAME_RULE = "lower-case letters, digits, '.', '_' and '-', the first a letter or digit"


@dataclass(frozen=True, slots=True, order=True)
class RunRef:
    """Name of a run: the branch ``gco/<game>/<run_id>``.

    Attributes:
        game: Short name of the game; also names the policy file, ``policies/<game>.py``.
        run_id: Chosen by the user, or ``yyyymmdd-xxxx`` from `new_run_id`.
    """

    game: str
    run_id: str

    def __post_init__(self) -> None:
        for what, name in (("game", self.game), ("run", self.run_id)):
            if not _NAME.fullmatch(name):
                raise UsageError(f"{name!r} cannot name a {what}: use {_NAME_RULE}")

    def __str__(self) -> str:
        """Return the full ref name, as git's plumbing wants it."""
        return _REFS_HEADS + self.branch

    @property
    def branch(self) -> str:
        """Branch name, as people type it."""
        return f"{BRANCH_NAMESPACE}/{self.game}/{self.run_id}"

    @property
    def stem(self) -> str:
        """Prefix of files that belong to the run, unique to it: "pong-first".

        A "-" of the game is doubled, so that game "a-b" run "c" and game "a" run "b-c" differ.
        """
        return f"{self.game.replace('-', '--')}-{self.run_id}"

    @classmethod
    def parse(cls, text: str) -> Self:
        """Parse a branch name, or a full ref name."""
        match text.removeprefix(_REFS_HEADS).split("/"):
            case [namespace, game, run_id] if namespace == BRANCH_NAMESPACE:
                return cls(game, run_id)
        raise UsageError(
            f"{text!r} does not name a run: expected {BRANCH_NAMESPACE}/<game>/<run>, "
            f"such as {BRANCH_NAMESPACE}/pong/20260131-1f0c"
        )

    @classmethod
    def parse_stem(cls, stem: str) -> Self:
        """Return the run with this `stem`."""
        match = _STEM.fullmatch(stem)
        return cls(match[1].replace("--", "-"), match[2]) if match else cls("", stem)


def new_run_id(*, today: date, entropy: str) -> str:
    """Compose a run id that sorts by day; `entropy` keeps two runs of a day apart."""
    return f"{today:%Y%m%d}-{entropy}"


@dataclass(frozen=True, slots=True)
class Facts:
    """What was measured, as the trailers of a commit carry it. None: not measured.

    Values are stored as the trailers can express them: floats are rounded to 10 significant digits,
    NaN and infinities become None, text is put on one clean line. So parsing a formatted record
    gives an equal one.

    Attributes:
        iteration: From 0 for the initial policy.
        gain: Mean difference of returns to the parent, paired by seed, in points.
        pairs: Seeds both the candidate and its parent played.
        seeds: Which seeds, as "selection 0:16".
        protocol: Rules of play; numbers under different protocols are not compared.
        frames: Emulator frames the run has used so far.
        cyclomatic: Sum of the cyclomatic complexity of its functions.
        digest: Hash of the actions played, for `gco-agent verify`.
        jail: Level of the jail they were played in. Not part of the protocol: a policy that attacks
            nothing plays the same in every jail.
    """

    run: str
    iteration: int
    verdict: Verdict
    _: KW_ONLY
    optimizer: str | None = None
    return_mean: float | None = None
    return_se: float | None = None
    episodes: int | None = None
    gain: float | None = None
    gain_se: float | None = None
    pairs: int | None = None
    seeds: str | None = None
    protocol: str | None = None
    steps: int | None = None
    frames: int | None = None
    seconds: float | None = None
    loc: int | None = None
    cyclomatic: int | None = None
    nested_if: int | None = None
    tokens_in: int | None = None
    tokens_out: int | None = None
    usd: float | None = None
    digest: str | None = None
    cpu_ms_mean: float | None = None
    jail: str | None = None
    schema: int = SCHEMA

    def __post_init__(self) -> None:
        for name, kind in _KINDS.items():
            value: object = getattr(self, name)
            if kind == "float" and isinstance(value, SupportsFloat):
                number = float(f"{float(value):.10g}")
                value = number if math.isfinite(number) else None
            elif kind == "int" and isinstance(value, SupportsIndex):
                value = operator.index(value)
            elif kind == "str" and value is not None:
                value = clean_line(str(value)) or None
            object.__setattr__(self, name, value)


_KINDS = {"schema": "int"} | {f.name: str(f.type).partition(" ")[0] for f in fields(Facts)}
"""Type of each field of `Facts`, in the order of the trailers."""
_WORDS = {
    name: "Outcome" if name == "verdict" else name.title().replace("_", "-").replace("-Se", "-SE")
    for name in _KINDS
}
"""Trailer of each field, without ``Gco-``."""
_FIELDS = {word.lower(): name for name, word in _WORDS.items()}
_SIGNED = frozenset({"return_mean", "gain"})
"""Numbers that may be negative: a negative cost, say, would raise the limits of a run."""
_TRAILER_LINE = re.compile(r"gco-([a-z-]+): *(.*)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Entry:
    """A commit to be made.

    Attributes:
        subject: First line of the message, for people; `headline` composes one. A long one is cut,
            and the body begins with the whole.
        body: The optimizer's reason, or another explanation of the commit.
        policy: Its text; None leaves it as it is.
        files: Evidence, by path below ``iterations/<nnnn>/`` of the iteration in the facts.
        top_files: Files by path from the top of the tree, such as ``run.toml``.
    """

    subject: str
    body: str
    facts: Facts
    policy: str | None = None
    files: Mapping[str, str] = field(default_factory=dict)
    top_files: Mapping[str, str] = field(default_factory=dict)

    @property
    def has_changes(self) -> bool:
        """Whether the commit's tree differs from that of its parent."""
        return bool(self.policy is not None or self.files or self.top_files)


def format_message(subject: str, body: str, facts: Facts) -> str:
    """Compose a commit message. Subject and body may be anything; see `gco_agent.core.text`."""
    values = ((word, getattr(facts, name)) for name, word in _WORDS.items())
    trailers = [
        f"Gco-{word}: {f'{value:.10g}' if isinstance(value, float) else value}"
        for word, value in values
        if value is not None
    ]
    return format_plain_message(subject, body, trailers)


def format_plain_message(subject: str, body: str, trailers: list[str]) -> str:
    """Compose a commit message from a subject, a body and trailer lines that are clean already."""
    whole = shorten(clean_line(subject), LONGEST_SUBJECT) or "(no subject)"
    line = shorten(whole)
    wrapped = wrap_body(body)
    if _CODE_BLOCK in whole:
        limit = WIDTH
        while _is_repeated(line, wrapped):  # the body must not read as the subject's own rest
            limit -= 1
            line = shorten(whole, limit)
    elif line != whole or _is_repeated(line, wrapped):
        wrapped = wrap_body(f"{whole}\n\n{body}")
    return "\n\n".join(part for part in (line, wrapped, "\n".join(trailers)) if part) + "\n"


def parse_message(text: str) -> tuple[str, str, Facts | None]:
    """Parse a commit message into subject, body and facts.

    The facts are None when a person wrote the message. Lines that a person or another tool added to
    the last paragraph, such as ``Signed-off-by``, are ignored.
    """
    subject, _, rest = text.strip("\n").partition("\n")
    body, _, block = rest.strip("\n").rpartition("\n\n")
    found = {
        match[1].lower(): match[2].strip()
        for line in block.split("\n")
        if (match := _TRAILER_LINE.fullmatch(line))
    }
    facts = _parse_facts(found) if "schema" in found else None
    subject, body = clean_line(subject), wrap_body(rest if facts is None else body)
    if _is_repeated(subject, body):
        first, _, rest = body.partition("\n\n")
        subject, body = clean_line(first), wrap_body(rest)
    return subject, body, facts


def _is_repeated(subject: str, body: str) -> bool:
    """Return whether a body begins with the whole of a subject that was cut."""
    whole = clean_line(body.partition("\n\n")[0])
    return _CODE_BLOCK not in whole and shorten(whole) == subject


def headline(facts: Facts, what: str = "", *, side: bool = False) -> str:
    """Compose the subject of a commit: the iteration, its verdict, the score, the edit.

    Args:
        facts: What was measured; the number shown is the mean return, the gain in brackets.
        side: For the commit of a candidate beside the line rather than of the line.
    """
    iteration, verdict = f"Iteration {facts.iteration}", facts.verdict
    if verdict is Verdict.INITIAL:
        lead = f"Start {facts.run}"
    elif verdict is Verdict.ROLLED_BACK:
        lead, what = f"{iteration} rolled back {what}", ""
    elif side and verdict in (Verdict.REJECTED, Verdict.INCONCLUSIVE):
        lead = f"{iteration} candidate"
    else:
        lead = f"{iteration}{' candidate' if side else ''} {verdict}"
    if facts.return_mean is not None:
        lead += f", return {format_points(facts.return_mean)}"
        if facts.gain is not None:
            lead += f" ({format_points(facts.gain, '+')})"
    return shorten(clean_line(f"{lead}: {what}" if what else lead), LONGEST_SUBJECT)


def edit_of(subject: str) -> str:
    """Return what the subject of an iteration's commit says of the edit, without the result."""
    return _RESULT.sub("", subject)


def _parse_facts(found: Mapping[str, str]) -> Facts:
    """Parse facts from trailer texts by lower-case word."""
    require_schema(found["schema"], SCHEMA, "a commit of this run")
    values: dict[str, object] = {}
    for word, text in found.items():
        if (name := _FIELDS.get(word)) is None or not text:
            continue
        try:
            values[name] = _parse_value(_KINDS[name], text, is_signed=name in _SIGNED)
        except ValueError:
            raise StoreError(
                f"a commit says Gco-{_WORDS[name]}: {text!r}, which is not valid"
            ) from None
    for name in ("run", "iteration", "verdict"):
        if values.get(name) is None:
            raise StoreError(
                f"a commit has Gco-Schema but no Gco-{_WORDS[name]}: was its message edited?"
            )
    return Facts(**values)  # type: ignore[arg-type]


def _parse_value(kind: str, text: str, *, is_signed: bool) -> object:
    if kind in ("int", "float"):
        number = int(text) if kind == "int" else float(text)
        if (kind == "int" and abs(number) > _LARGEST) or (number < 0 and not is_signed):
            raise ValueError(text)
        return number
    if kind == "Verdict":
        if text == Verdict.BY_HAND:
            raise ValueError(text)
        return Verdict(text)
    return text
