"""Prompts and replies as files: any chat, coding agent or person can be the optimizer.

The folder of a run, ``gco-exchange/RUN``, holds a prompt for each request and the reply to it:

    0007-prompt.md          0007-reply.md
    0007-repair-prompt.md   0007-repair-reply.md     if the first reply could not be used
    0007-2-prompt.md        0007-2-reply.md          where several candidates are asked for

A reply that exists already is taken at once, so an interrupted command resumes; but one that was
there before its prompt was written answers something else, and is renamed. ``gco-exchange`` has a
``.gitignore`` of its own, so git never sees any of this.
"""

from __future__ import annotations

import codecs
import hashlib
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from gco_agent.core.errors import BudgetSpent, UsageError
from gco_agent.core.events import Searching
from gco_agent.core.files import read_file, write_file
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
_SETTLING_S = 0.75
"""A reply that has not changed for so long is complete."""
_HOW = """\
If you can write files, write this whole answer to `{reply}` in the project's folder and change
nothing else: no file of the project, and not the policy itself. Otherwise reply with it."""


@dataclass(frozen=True, slots=True)
class Letter:
    """One prompt and the place of its reply.

    Attributes:
        folder: Folder of the run; no symbolic link is followed below the one that `FOLDER` is in.
        stem: Begin of the file names: "0007", "0007-repair", "0007-2".
    """

    folder: Path
    stem: str

    @property
    def prompt(self) -> Path:
        """Path of the prompt."""
        return self.folder / f"{self.stem}-prompt.md"

    @property
    def reply(self) -> Path:
        """Path of the reply."""
        return self.folder / f"{self.stem}-reply.md"

    @property
    def root(self) -> Path:
        """The folder that `FOLDER` is in."""
        return self.folder.parent.parent

    def compose(self, request: Request) -> str:
        """Return the prompt of ``request`` as Markdown; one that was written before is reused."""
        written = self.read_prompt(request)
        if written is not None:
            return written
        how = _HOW.format(reply=self.reply.relative_to(self.root).as_posix())
        return f"{_head(request)}\n\n{compose_prompt(request, how).markdown}"

    def read_prompt(self, request: Request) -> str | None:
        """Return the prompt that was written for this very request, or None."""
        text = self._text()
        return text if text.startswith(_head(request)) else None

    def write_prompt(self, text: str) -> Path | None:
        """Write the prompt.

        Returns:
            The new path of a reply to another prompt of that name: ``0007-reply.old.md``.

        Raises:
            FileRefused: There is a symbolic link on the way.
            UsageError: The file cannot be written.
        """
        aside = None
        try:
            write_file(self.folder.parent / ".gitignore", "*\n", root=self.root, parents=True)
            if self._text().partition("\n")[0] != text.partition("\n")[0] and self.reply.exists():
                aside = self.reply.replace(self.reply.with_suffix(".old.md"))
            write_file(self.prompt, text, root=self.root, parents=True)
        except OSError as error:
            raise UsageError(f"cannot write {self.prompt}: {error.strerror}") from error
        return aside

    def read_reply(self) -> str:
        """Return the text of the reply; raises as `read_reply`."""
        return read_reply(self.reply, self.root)

    def is_written_for(self, tip: str) -> bool:
        """Return whether the prompt, if there is one, is of the run with last commit ``tip``."""
        return _after(tip) in (self._text() or _after(tip)).partition("\n")[0]

    def _text(self) -> str:
        try:
            return read_file(self.prompt, root=self.root).decode("utf-8", "replace")
        except OSError:
            return ""


def letter_for(folder: Path, request: Request) -> Letter:
    """Return the files of a request."""
    stem = f"{request.iteration:04d}"
    if request.repair is not None:
        stem += "-repair"
    elif request.number > 1:
        stem += f"-{request.number}"
    return Letter(folder, stem)


def newest_letter(folder: Path, iteration: int) -> Letter:
    """Return the files of an iteration's newest reply; of its first prompt if there is none."""
    letters = [Letter(folder, f"{iteration:04d}{part}") for part in ("", "-repair")]
    return max(letters, key=lambda letter: _stamp(letter.reply) or (0, 0))


def read_reply(path: Path, root: Path | None = None) -> str:
    """Return the text of the reply in a file.

    Args:
        path: The file.
        root: As of `gco_agent.core.files.read_file`.

    Raises:
        FileRefused: It is too long, or there is a symbolic link below ``root``.
        UsageError: It cannot be read, or is not text; see `decode_reply`.
    """
    try:
        data = read_file(path, root=root, limit_bytes=4 * MAX_CHARACTERS)
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}") from error
    return decode_reply(data, str(path))


def decode_reply(data: bytes, name: str) -> str:
    """Decode a reply: UTF-8, or UTF-16 with a byte order mark.

    Raises:
        UsageError: It is neither.
    """
    is_16 = data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    try:
        return data.decode("utf-16" if is_16 else "utf-8-sig")
    except UnicodeDecodeError as error:
        raise UsageError(
            f"{name} is not UTF-8 text (byte 0x{data[error.start]:02x} at {error.start:,}): save "
            "it as UTF-8"
        ) from None


class ExchangeOptimizer(Optimizer):
    """Writes the prompt to a file, waits for the file of the reply, and reads it.

    Args:
        folder: Folder of the run.
        tell: Shows lines to the user.
        reply: A reply that is available already, instead of a file's.
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
        """Return the candidate in the reply.

        Raises:
            Unusable: There is none in it.
            BudgetSpent: The time was up before there was a reply.
            FileRefused: There is a symbolic link in the folder.
            UsageError: The prompt cannot be written, or the reply not be read.
        """
        letter = letter_for(self._folder, request)
        if self._reply is not None:
            prompt, text = letter.read_prompt(request), self._reply
        else:
            prompt = letter.compose(request)
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
        """Return the text of the reply, as soon as it is complete."""
        where = letter.reply
        if _stamp(where) is None:
            why = (request.repair or "").strip().partition("\n")[0]
            self._tell(
                (f"The answer could not be used: {why}\n" if why else "")
                + f"The prompt is in {letter.prompt}\n"
                f"Write the answer to  {where}\n"
                "and this command continues. Ctrl-C loses nothing: an answer that is there later\n"
                "is taken by the next `gco-agent step --optimizer exchange`."
            )
        shown = where.relative_to(letter.root).as_posix()
        before, since = None, time.perf_counter()
        while True:
            now, stamp = time.perf_counter(), _stamp(where)
            if stamp != before:
                before, since = stamp, now
            elif stamp is not None and now - since >= _SETTLING_S:
                return letter.read_reply()
            if stamp is None and now >= request.deadline:
                raise BudgetSpent(f"the time; no answer was in {where}")
            request.progress(Searching("answer awaited in", None, 0, "", shown))
            time.sleep(_POLL_S)


def _head(request: Request) -> str:
    """Return the first line of a prompt: the request that it was written for."""
    other = ""
    if request.repair is not None:
        failed = f"{request.repair}\0{request.tried}"
        other = f", repair of {hashlib.sha256(failed.encode()).hexdigest()[:8]}"
    elif request.number > 1:
        other = f", candidate {request.number}"
    return (
        f"<!-- gco-agent: {request.config.game}, iteration {request.iteration}, "
        f"policy {request.parent.digest[:12]}{_after(request.tip)}{other} -->"
    )


def _after(tip: str) -> str:
    return f" at {tip[:12]}" if tip else ""


def _stamp(path: Path) -> tuple[int, int] | None:
    """Return what changes whenever the file does; None as long as it is missing or empty."""
    try:
        found = path.lstat()
    except OSError:
        return None
    return (found.st_mtime_ns, found.st_size) if found.st_size else None
