"""One writer a run: an advisory lock that the kernel releases when its holder dies.

The lock is a file beside the repository's objects that is opened and locked, never deleted:
deleting it would let two processes hold "the" lock on two files of the same name.
"""

from __future__ import annotations

import errno
import logging
import os
import sys
import weakref
from pathlib import Path
from typing import Self

from gco_agent.core.errors import RunBusy, StoreError

_log = logging.getLogger(__name__)

if sys.platform == "win32":  # pragma: no cover - no Windows machine runs the tests
    import msvcrt

    def _try_lock(descriptor: int) -> None:
        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
else:
    import fcntl

    def _try_lock(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


_HELD_ELSEWHERE = frozenset({errno.EWOULDBLOCK, errno.EACCES, errno.EDEADLK})
_NOT_SUPPORTED = frozenset({errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS, errno.EINVAL})


class RunLock:
    """The right to advance one run, until `release` or the death of the process.

    Where the file system knows no locks, it is granted with a warning: two writers then still
    cannot overwrite each other, because refs move by compare-and-swap.
    """

    def __init__(self, path: Path, run: str) -> None:
        self._descriptor: int | None = None
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        except OSError as error:
            raise StoreError(
                f"cannot open the lock of run {run}, {path}: {error.strerror}"
            ) from error
        try:
            self._acquire(descriptor, path, run)
        except BaseException:
            os.close(descriptor)
            raise
        self._descriptor = descriptor
        _held.add(self)

    @staticmethod
    def _acquire(descriptor: int, path: Path, run: str) -> None:
        try:
            _try_lock(descriptor)
        except OSError as error:
            if error.errno in _HELD_ELSEWHERE:
                raise RunBusy(
                    f"run {run} is being advanced by {_holder(descriptor)}; "
                    "wait for it or stop it, then run the command again"
                ) from None
            if error.errno not in _NOT_SUPPORTED:
                raise StoreError(f"cannot lock {path}: {error.strerror}") from error
            _log.warning("%s: this file system has no locks; do not advance a run twice", path)
        try:
            os.ftruncate(descriptor, 0)
            os.write(descriptor, f"{os.getpid()}\n".encode())
        except OSError:
            _log.debug("could not note the process id in %s", path)  # only a message wants it

    def release(self) -> None:
        """Let others advance the run; a second call does nothing."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.release()


_held: weakref.WeakSet[RunLock] = weakref.WeakSet()


def _forget_after_fork() -> None:
    """Close what a forked worker inherits, or it would hold the run after its parent has died."""
    for lock in list(_held):
        lock.release()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_after_fork)


def _holder(descriptor: int) -> str:
    text = os.read(descriptor, 32).decode("ascii", "replace").strip()
    return f"process {text}" if text.isdigit() else "another process"
