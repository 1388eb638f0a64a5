"""Prompts and replies as files: any chat, coding agent or person is the optimizer.

The folder of a run holds, per iteration, a prompt and the place of its reply:

    0007-prompt.md          0007-reply.md
    0007-repair-prompt.md   0007-repair-reply.md     if the first reply was of no use
    0007-2-prompt.md        0007-2-reply.md          where several candidates are asked for

A reply that is there already is taken at once, so a command that was ended goes on where it was;
but one that was there before its prompt was written answers something else, and is put aside.
The folder above it has a ``.gitignore`` of its own: git never sees any of this.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from gco_agent.core.errors import BudgetSpent, UsageError
from gco_agent.core.events import Searching
from gco_agent.optimizers.base import (
    PROMPT_FILE,
    REPLY_FILE,
    Capabilities,
    Optimizer,
    Proposal,
    Request,
    Tools,
    Unusable,
)
from gco_agent.optimizers.prompts import compose_prompt
from gco_agent.optimizers.replies import MAX_CHARACTERS, parse_reply

FOLDER = "gco-exchange"
_POLL_S = 0.25
_WAITING = "answer awaited in"
_SETTLING_S = 0.75
"""A reply that has not changed for so long is taken to be whole."""

_HOW = """\
If you can write files, write this whole answer to `{reply}` in the project's folder and change
nothing else: no file of the project, and not the policy itself. Otherwise reply with it."""


@dataclass(frozen=True, slots=True)
class Letter:
    """One prompt and the place of its reply.

    Attributes:
        folder: Folder of the run.
        stem: Beginning of the file names: "0007", "0007-repair", "0007-2".
    """

    folder: Path
    stem: str

    @property
    def prompt(self) -> Path:
        """Where the prompt is."""
        return self.folder / f"{self.stem}-prompt.md"

    @property
    def reply(self) -> Path:
        """Where the reply is looked for."""
        return self.folder / f"{self.stem}-reply.md"

    @property
    def reply_name(self) -> str:
        """The reply's path from the folder that the run's is in, which means the same anywhere."""
        return f"{FOLDER}/{self.folder.name}/{self.reply.name}"

    def read_prompt(self, request: Request) -> str | None:
        """The prompt that was written for this very request; None if there is none."""
        text = _read(self.prompt)
        return text if text is not None and text.startswith(_head(request)) else None

    def write_prompt(self, text: str) -> Path | None:
        """Write the prompt, and see that git passes the folder by.

        Returns:
            Where a reply to another prompt of that name went: ``0007-reply.old.md``.

        Raises:
            UsageError: The folder cannot be written.
        """
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            ignore = self.folder.parent / ".gitignore"
            if not ignore.exists():
                ignore.write_text("*\n", "utf-8")
            aside = None
            if self.reply.exists() and _first_line(_read(self.prompt)) != _first_line(text):
                aside = self.reply.replace(self.reply.with_suffix(".old.md"))
            self.prompt.write_text(text, "utf-8", "backslashreplace")
        except OSError as error:
            raise UsageError(f"cannot write {self.prompt}: {error.strerror}") from error
        return aside

    def is_written_for(self, tip: str) -> bool:
        """Whether the prompt is of the run whose last commit is ``tip``, or there is none."""
        text = _read(self.prompt)
        return text is None or _after(tip) in _first_line(text)


def letter_for(folder: Path, request: Request) -> Letter:
    """The files that belong to a request."""
    stem = f"{request.iteration:04d}"
    if request.repair is not None:
        stem += "-repair"
    elif request.number > 1:
        stem += f"-{request.number}"
    return Letter(folder, stem)


def newest_letter(folder: Path, iteration: int) -> Letter:
    """Of an iteration, the files of the newest reply; of the first prompt where there is none."""
    first = Letter(folder, f"{iteration:04d}")
    letters = [first, Letter(folder, f"{first.stem}-repair")]
    return max(letters, key=lambda letter: _stamp(letter.reply) or (0, 0))


def compose_letter(letter: Letter, request: Request) -> str:
    """The prompt of a request as one Markdown text that needs nothing besides.

    One that was written before for the same request is taken over, so that nothing is played
    twice.
    """
    known = letter.read_prompt(request)
    if known is not None:
        return known
    prompt = compose_prompt(request, _HOW.format(reply=letter.reply_name))
    return f"{_head(request)}\n\n{prompt.markdown}"


class ExchangeOptimizer(Optimizer):
    """Writes the prompt to a file, waits for the reply's file, and takes what is in it.

    Args:
        folder: Of the run.
        tell: Told where the prompt is and where the reply is awaited.
        reply: A reply that is at hand already, instead of a file's.
    """

    name = "exchange"
    capabilities = Capabilities(repairs=True, may_tie=True)

    def __init__(self, folder: Path, tell: Callable[[str], None], reply: str | None = None) -> None:
        self._folder, self._tell, self._reply = folder, tell, reply
        self.capabilities = Capabilities(repairs=reply is None, may_tie=True)

    @classmethod
    def create(cls, tools: Tools) -> ExchangeOptimizer:
        """Create the optimizer with the folder of the command.

        Raises:
            UsageError: The command has no folder for prompts.
        """
        if tools.folder is None:
            raise UsageError("exchange needs a folder for its prompts, and none was given")
        return cls(tools.folder, tools.tell, tools.reply)

    def propose(self, request: Request) -> Proposal:
        """The candidate in the reply.

        Raises:
            Unusable: There is none in it.
            BudgetSpent: The time was up before there was a reply.
            UsageError: The prompt cannot be written, or the reply not be read.
        """
        letter = letter_for(self._folder, request)
        if self._reply is not None:
            prompt, text = letter.read_prompt(request), self._reply
        else:
            prompt = compose_letter(letter, request)
            if aside := letter.write_prompt(prompt):
                self._tell(f"An answer to another prompt was there; it is now {aside}")
            text = self._wait(letter, request)
        files = {REPLY_FILE: text}
        if prompt is not None:
            files[PROMPT_FILE] = prompt
        try:
            reply = parse_reply(text, request.parent)
        except Unusable as error:
            error.files = files
            raise
        return Proposal(reply.source, reply.summary, reply.reason or reply.form, files)

    def _wait(self, letter: Letter, request: Request) -> str:
        """The text of the reply, as soon as it is whole."""
        where = letter.reply
        if _stamp(where) is None:
            why = (request.repair or "").strip().partition("\n")[0]
            self._tell(
                (f"The answer was of no use: {why}\n" if why else "")
                + f"The prompt is in {letter.prompt}\n"
                f"Write the answer to  {where}\n"
                "and this command goes on by itself. Ctrl-C loses nothing: an answer that is\n"
                "there later is taken by the next `gco-agent step --optimizer exchange`."
            )
        before, since = None, time.perf_counter()
        while True:
            now, stamp = time.perf_counter(), _stamp(where)
            if stamp != before:
                before, since = stamp, now
            elif stamp is not None and now - since >= _SETTLING_S:
                return read_reply(where)
            if stamp is None and now >= request.deadline:
                raise BudgetSpent(f"the time; no answer was in {where}")
            request.progress(Searching(_WAITING, None, 0, "", letter.reply_name))
            time.sleep(_POLL_S)


def _head(request: Request) -> str:
    """First line of a prompt: what it was written for."""
    parent = request.parent.digest[:12]
    after = _after(request.tip)
    repair = rival = ""
    if request.repair is not None:
        failed = f"{request.repair}\0{request.tried}"
        repair = f", repair of {hashlib.sha256(failed.encode()).hexdigest()[:8]}"
    elif request.number > 1:
        rival = f", candidate {request.number}"
    return (
        f"<!-- gco-agent: {request.config.game}, iteration {request.iteration}, "
        f"policy {parent}{after}{repair}{rival} -->"
    )


def _after(tip: str) -> str:
    return f" at {tip[:12]}" if tip else ""


def _first_line(text: str | None) -> str:
    return (text or "").partition("\n")[0]


def _stamp(path: Path) -> tuple[int, int] | None:
    """Changes whenever the file does; None as long as there is nothing in it."""
    try:
        found = path.stat()
    except OSError:
        return None
    return (found.st_mtime_ns, found.st_size) if found.st_size else None


def _read(path: Path) -> str | None:
    try:
        return path.read_text("utf-8")
    except (OSError, UnicodeDecodeError):
        return None


def read_reply(path: Path) -> str:
    """The text of a reply; a few bytes that are not UTF-8 are no reason to lose it.

    Raises:
        UsageError: It cannot be read.
    """
    try:
        with path.open("rb") as file:
            return file.read(4 * MAX_CHARACTERS + 4).decode("utf-8-sig", "replace")
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}") from error
