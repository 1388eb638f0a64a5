"""What git said when a command failed, in words for the person who ran ours."""

from __future__ import annotations

import os
import re
import signal
from dataclasses import dataclass
from pathlib import Path

from gco_agent.errors import NoIdentity, StoreError

_LOCK_EXISTS = re.compile(r"Unable to create '(.+\.lock)': File exists")
_NOTHING_LOST = "Nothing of the run was lost: it is where the last commit left it."


@dataclass(frozen=True, slots=True)
class GitResult:
    """What a git command came to."""

    status: int
    output: bytes
    errors: str

    @property
    def text(self) -> str:
        """Output as text, without the line end that closes it."""
        return self.output.decode("utf-8", "replace").removesuffix("\n")

    @property
    def names(self) -> list[str]:
        """Output of a command that was given ``-z``: its parts, as file names."""
        return [os.fsdecode(part) for part in self.output.split(b"\0") if part]


@dataclass(frozen=True, slots=True)
class _Cause:
    """A reason why git fails, by the words it uses, and what helps."""

    words: str
    what: str
    remedy: str


_CAUSES = (
    _Cause(
        r"No space left on device|[Dd]isk quota exceeded|File too large",
        "the disk is full",
        "Free space and run the command again.",
    ),
    _Cause(
        r"Read-only file system|[Pp]ermission denied|insufficient permission",
        "the repository cannot be written",
        "Make it writable and run the command again.",
    ),
    _Cause(
        r"(?:couldn't|could not|unable to|failed to|cannot) (?:write|create|close)|write error",
        "a file of the repository could not be written, which most often means a full disk",
        "Free space and run the command again.",
    ),
    _Cause(
        r"is corrupt|unable to read|bad object|object file .* is empty|inflate"
        r"|missing (?:blob|tree|commit)|not a valid object|invalid object",
        "an object of the repository is damaged or missing",
        "`git fsck --full` says which; fetch it from another clone.",
    ),
)


def is_lock_held(result: GitResult) -> bool:
    """Whether the command failed because another git process holds a lock, or left one."""
    return bool(_LOCK_EXISTS.search(result.errors))


def explain(command: str, result: GitResult, place: Path) -> StoreError:
    """Say what a failed git command means, where it failed and what to do next."""
    told = " ".join(result.errors.split()) or f"it ended with status {result.status}"
    if lock := _LOCK_EXISTS.search(result.errors):
        return StoreError(
            f"another git process is at work in {place}, or one was killed and left its lock. "
            f"If none is running, delete {lock[1]} and run the command again. {_NOTHING_LOST}"
        )
    if result.status == -getattr(signal, "SIGXFSZ", 0):
        told = "File too large"
    elif result.status < 0:
        return StoreError(
            f"git {command} was killed by signal {-result.status} in {place}. "
            f"{_NOTHING_LOST} Run the command again."
        )
    for cause in _CAUSES:
        if re.search(cause.words, told):
            return StoreError(
                f"git {command} failed in {place}: {cause.what} ({told}). "
                f"{_NOTHING_LOST} {cause.remedy}"
            )
    return StoreError(f"git {command} failed in {place}: {told}")


def explain_os(error: OSError) -> StoreError:
    """Say what it means that one of our own temporary files could not be written."""
    where = f" ({error.filename})" if error.filename else ""
    return StoreError(
        f"a temporary file could not be written{where}: {error.strerror}. {_NOTHING_LOST} "
        "Free space, or point TMPDIR to a folder that has some, and run the command again."
    )


def no_identity() -> NoIdentity:
    """Say that git does not know who commits, and how to tell it."""
    return NoIdentity(
        "git does not know who commits. Tell it, then run the command again:\n"
        '  git config --global user.name "Your Name"\n'
        '  git config --global user.email "you@example.org"'
    )


def no_repository(path: Path, result: GitResult) -> StoreError:
    """Say why no repository was found from a path."""
    if "dubious ownership" in result.errors:
        return StoreError(result.errors.strip())
    return StoreError(
        f"not a git repository: {path}, nor any folder above it. "
        "Run `git init` there, or let `gco-agent run GAME --create-repo` make one."
    )
