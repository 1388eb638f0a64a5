"""Prompts and replies as files: any chat, coding agent or person can be the optimizer.

The folder of a run, ``gco-exchange/RUN``, holds a prompt for each request and the reply to it:

    0007-prompt.md          0007-reply.md
    0007-repair-prompt.md   0007-repair-reply.md     if the first reply could not be used
    0007-2-prompt.md        0007-2-reply.md          where several candidates are asked for

A reply that exists already is used at once, so an interrupted command resumes; but one that is
older than its prompt answers another, and is renamed. ``gco-exchange`` has its own ``.gitignore``,
so git never sees any of this. An existing prompt is used again only if this user's machine wrote
it: another may come with a clone, and say anything.

With an `AnswerCommand`, a program of the user's writes the replies: any agent's command line.
"""

from __future__ import annotations

import codecs
import contextlib
import hashlib
import os
import shlex
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from gco_agent.core.errors import BudgetSpent, FileRefused, ModelError, UsageError
from gco_agent.core.events import Searching
from gco_agent.core.files import new_file, read_file, write_file
from gco_agent.core.text import clean_line
from gco_agent.optimizers.base import (
    PROMPT_FILE,
    QUESTIONS_FILE,
    REPLY_FILE,
    Capabilities,
    Optimizer,
    Proposal,
    Request,
    Tools,
    Unusable,
)
from gco_agent.optimizers.prompts import HEADING, TEXTS, compose_prompt
from gco_agent.optimizers.replies import MAX_CHARACTERS, parse_reply
from gco_agent.store.evidence import authenticate, is_authentic

FOLDER = "gco-exchange"
_POLL_S = 0.25
_SETTLING_S = 0.75
"""A reply that has not changed for so long is complete."""
_TRIES, _WAIT_S = 3, 10.0
"""How often an answering command that fails is started, and the seconds before the second try."""
_END_S = 5.0
"""Seconds for an answering command to end, before it is killed."""
_LAST_CHARACTERS = 300


class PromptFiles:
    """A prompt and the files beside it.

    Args:
        folder: Folder of the run; no symbolic link is followed below the one that `FOLDER` is in.
        stem: Begin of the file names: "0007", "0007-repair", "0007-2".
    """

    def __init__(self, folder: Path, stem: str) -> None:
        self.root = folder.parent.parent
        self.prompt = folder / f"{stem}-prompt.md"
        self.reply = folder / f"{stem}-reply.md"
        self.questions = folder / f"{stem}-{QUESTIONS_FILE}"
        self.log = folder / f"{stem}-answer.log"  # output of an answering command
        self.code = folder / f"{stem}-prompt.hmac"

    def compose(self, request: Request) -> str:
        """Return the prompt of ``request`` as Markdown; one that was written before is reused."""
        written = self.read_prompt(request)
        if written is not None:
            return written
        how = TEXTS["exchange"].format(reply=self.reply.relative_to(self.root).as_posix())
        return f"{_head(request)}\n\n{compose_prompt(request, how).markdown}"

    def read_prompt(self, request: Request) -> str | None:
        """Return the prompt that was written here for this very request, or None."""
        text = self._text()
        is_ours = text.startswith(_head(request)) and is_authentic(text, self._text(self.code))
        return text if is_ours else None

    def write_prompt(self, text: str) -> Path | None:
        """Write the prompt.

        Returns:
            The new path of a reply to another prompt of that name: ``0007-reply.old.md``.
        """
        aside = None
        try:
            write_file(
                self.prompt.parent.parent / ".gitignore", "*\n", root=self.root, parents=True
            )
            is_new = self._text().partition("\n")[0] != text.partition("\n")[0]
            if is_new:
                self.questions.unlink(missing_ok=True)
            if is_new and self.reply.exists():
                aside = self.reply.replace(self.reply.with_suffix(".old.md"))
            self._write(text)
        except OSError as error:
            raise UsageError(f"cannot write {self.prompt}: {error.strerror}") from error
        return aside

    def answer(self, request: Request, prompt: str, reply: str) -> str | None:
        """Add the answers to the questions in a reply to the prompt, and await the next reply.

        Returns:
            The prompt; None if the reply has no questions, or too many were asked.
        """
        answers = request.answer(reply, prompt.count(f"\n{HEADING}"))
        if answers is None:
            return None
        asked = "\n\n".join([*self.questions_asked().values(), reply, ""])
        write_file(self.questions, asked, root=self.root)
        prompt = f"{prompt.rstrip()}\n\n{answers}\n"
        self._write(prompt)
        self.reply.unlink(missing_ok=True)
        return prompt

    def questions_asked(self) -> dict[str, str]:
        """Return the evidence of the replies that were questions."""
        try:
            return {QUESTIONS_FILE: read_file(self.questions, root=self.root).decode("utf-8")}
        except (OSError, FileRefused, UnicodeDecodeError):
            return {}

    def read_reply(self) -> str:
        """Return the text of the reply."""
        return read_reply(self.reply, self.root)

    def is_written_for(self, tip: str) -> bool:
        """Return whether the prompt, if there is one, is of the run with last commit ``tip``."""
        return _after(tip) in (self._text() or _after(tip)).partition("\n")[0]

    def _write(self, prompt: str) -> None:
        write_file(self.prompt, prompt, root=self.root, parents=True)
        write_file(self.code, authenticate(prompt), root=self.root)

    def _text(self, path: Path | None = None) -> str:
        try:
            return read_file(path or self.prompt, root=self.root).decode("utf-8", "replace")
        except OSError:
            return ""


def files_for(folder: Path, request: Request) -> PromptFiles:
    """Return the files of a request."""
    stem = f"{request.iteration:04d}"
    if request.repair is not None:
        stem += "-repair"
    elif request.number > 1:
        stem += f"-{request.number}"
    return PromptFiles(folder, stem)


def newest_files(folder: Path, iteration: int) -> PromptFiles:
    """Return the files of an iteration's newest reply; of its first prompt if there is none."""
    found = [PromptFiles(folder, f"{iteration:04d}{part}") for part in ("", "-repair")]
    return max(found, key=lambda paths: _stamp(paths.reply) or (0, 0))


def read_reply(path: Path, root: Path | None = None) -> str:
    """Return the text of the reply in a file."""
    try:
        data = read_file(path, root=root, limit_bytes=4 * MAX_CHARACTERS)
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}") from error
    return decode_reply(data, str(path))


def decode_reply(data: bytes, name: str) -> str:
    """Decode a reply: UTF-8, or UTF-16 with a byte order mark."""
    is_16 = data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    try:
        return data.decode("utf-16" if is_16 else "utf-8-sig")
    except UnicodeDecodeError as error:
        raise UsageError(
            f"{name} is not UTF-8 text (byte 0x{data[error.start]:02x} at {error.start:,}): save "
            "it as UTF-8"
        ) from None


@dataclass(frozen=True, slots=True)
class AnswerCommand:
    """A command of the user's that answers prompts: any agent's command line, without a shell.

    The words ``{prompt}`` and ``{reply}`` in it are replaced by the paths of the two files. Without
    the first the prompt is its standard input; without the second its standard output is the reply,
    unless it writes the file. Other output goes to `PromptFiles.log`.
    """

    words: tuple[str, ...]
    folder: Path
    timeout_s: float = 3_600.0

    @classmethod
    def parse(cls, text: str, folder: Path | None = None) -> AnswerCommand:
        """Split a command line as a shell would, and find its program."""
        try:
            words = tuple(shlex.split(text))
        except ValueError as error:
            raise UsageError(f"the answering command {text!r} cannot be read: {error}") from error
        folder = (folder or Path.cwd()).absolute()
        program = words[0] if words else ""
        if not (shutil.which(program) or ("/" in program and shutil.which(folder / program))):
            raise UsageError(f"the answering command has no program that can be run: {program!r}")
        return cls(words, folder)

    def answer(self, paths: PromptFiles, request: Request) -> None:
        """Have the reply of ``paths`` written; a command that fails is tried again."""
        for attempt in range(1, _TRIES + 1):
            problem = self._try(paths, request)
            if problem is None:
                return
            if _stamp(paths.reply) is not None:  # it may be a part of one
                paths.reply.replace(paths.reply.with_suffix(".old.md"))
            wait_s = _WAIT_S * attempt
            if attempt == _TRIES or time.perf_counter() + wait_s >= request.deadline:
                break
            request.progress(Searching(f"the answering command {problem}", None, 0, ""))
            time.sleep(wait_s)
        raise ModelError(
            f"the answering command {problem}",
            advice=f"{paths.log} has what it printed. Nothing is lost; the next step asks again",
        )

    def _try(self, paths: PromptFiles, request: Request) -> str | None:
        """Run the command once; return the error, None if there is a reply."""
        words = [
            word.replace("{prompt}", str(paths.prompt)).replace("{reply}", str(paths.reply))
            for word in self.words
        ]
        named = [name for name in ("{prompt}", "{reply}") if any(name in w for w in self.words)]
        with (
            new_file(paths.log, root=paths.root, sync=False) as log,
            tempfile.TemporaryFile() as printed,
            paths.prompt.open("rb") as prompt,
        ):
            try:
                process = subprocess.Popen(  # noqa: S603 - the user's own command
                    words,
                    cwd=self.folder,
                    stdin=subprocess.DEVNULL if "{prompt}" in named else prompt,
                    stdout=log if "{reply}" in named else printed,
                    stderr=log,
                    start_new_session=True,
                )
            except OSError as error:
                return f"cannot be started: {error.strerror}"
            problem = self._await(process, request)
            printed.seek(0)
            text = printed.read(4 * MAX_CHARACTERS + 1)
            if problem is None and _stamp(paths.reply) is None and text.strip():
                write_file(paths.reply, text, root=paths.root)
            else:
                log.write(text)
        if problem is None and _stamp(paths.reply) is None:
            problem = "wrote no answer"
        return problem and problem + _last_line(paths)

    def _await(self, process: subprocess.Popen[bytes], request: Request) -> str | None:
        """Wait until the command has ended; return the error, if any."""
        begun = time.perf_counter()
        try:
            while process.poll() is None:
                now = time.perf_counter()
                if now >= request.deadline:
                    raise BudgetSpent("the time; the answering command had not ended")
                if now - begun >= self.timeout_s:
                    return f"took more than {self.timeout_s:,.0f} s"
                request.progress(Searching("answer awaited", None, 0, "", self.words[0]))
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(_POLL_S)
        finally:
            _end(process)
        status = process.returncode
        if status < 0:
            return f"was ended by {signal.Signals(-status).name}"
        return f"ended with exit status {status}" if status else None


Answer: TypeAlias = AnswerCommand | Callable[[str], str]
"""What answers prompts unattended: a command, or a function from the prompt to the reply."""


def _end(process: subprocess.Popen[bytes]) -> None:
    """End a command that still runs, with the processes that it started."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        if process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, number)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(_END_S)


def _last_line(paths: PromptFiles) -> str:
    """Return the last line that the command printed, as the end of a sentence."""
    try:
        text = read_file(paths.log, root=paths.root).decode("utf-8", "replace")
    except (OSError, FileRefused):
        return ""
    lines = [line for line in text.splitlines() if line.strip()]
    return f" ({clean_line(lines[-1])[:_LAST_CHARACTERS]})" if lines else ""


class ExchangeOptimizer(Optimizer):
    """Writes the prompt to a file, waits for the file of the reply, and reads it."""

    name = "exchange"
    capabilities = Capabilities(repairs=True, may_tie=True)

    def __init__(
        self,
        folder: Path,
        tell: Callable[[str], None],
        reply: str | None = None,
        answer: Answer | None = None,
    ) -> None:
        self._folder, self._tell, self._reply, self._answer = folder, tell, reply, answer
        self.capabilities = Capabilities(repairs=reply is None, may_tie=True)

    @classmethod
    def create(cls, tools: Tools) -> ExchangeOptimizer:
        """Create the optimizer with the folder of the command."""
        if tools.folder is None:
            raise UsageError("exchange needs a folder for its prompts, and none was given")
        return cls(tools.folder, tools.tell, tools.reply, tools.answer)

    def propose(self, request: Request) -> Proposal:
        """Return the candidate in the reply."""
        paths = files_for(self._folder, request)
        if self._reply is not None:
            prompt, text = paths.read_prompt(request), self._reply
        else:
            prompt = paths.compose(request)
            if aside := paths.write_prompt(prompt):
                self._tell(f"An answer to another prompt was there; it is now {aside}")
            text = self._await_reply(paths, request, prompt)
            while (answered := paths.answer(request, prompt, text)) is not None:
                prompt = answered
                self._tell(f"Its questions are answered in {paths.prompt}")
                text = self._await_reply(paths, request, prompt)
        files = {REPLY_FILE: text}
        if prompt is not None:
            files |= {PROMPT_FILE: prompt, **paths.questions_asked()}
        try:
            reply = parse_reply(text, request.parent)
        except Unusable as error:
            error.files = files
            raise
        return Proposal(reply.source, reply.summary, reply.reason or reply.form, files)

    def _await_reply(self, paths: PromptFiles, request: Request, prompt: str) -> str:
        """Return the text of the reply, as soon as it is complete."""
        where = paths.reply
        if self._answer is not None:
            if _stamp(where) is not None:
                pass  # of a command before this one
            elif isinstance(self._answer, AnswerCommand):
                self._answer.answer(paths, request)
            else:
                write_file(where, self._answer(prompt), root=paths.root)
            return paths.read_reply()
        if _stamp(where) is None:
            why = (request.repair or "").strip().partition("\n")[0]
            self._tell(
                (f"The answer could not be used: {why}\n" if why else "")
                + f"The prompt is in {paths.prompt}\n"
                f"Write the answer to  {where}\n"
                "and this command continues. Ctrl-C loses nothing: an answer that is there later\n"
                "is taken by the next `gco-agent step --optimizer exchange`."
            )
        shown = where.relative_to(paths.root).as_posix()
        before, since = None, time.perf_counter()
        while True:
            now, stamp = time.perf_counter(), _stamp(where)
            if stamp != before:
                before, since = stamp, now
            elif stamp is not None and now - since >= _SETTLING_S:
                return paths.read_reply()
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
