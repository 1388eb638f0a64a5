"""The worker's self-test: try what the seal forbids, with raw system calls, and say what happened.

Runs inside the jail, after the seal and before the policy's text arrives. Raw calls, because an
audit hook would answer for a kernel layer that is missing; attempts, because a return code of the
sealing proves nothing.
"""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Callable

from gco_agent.jail import kernel
from gco_agent.jail.limits import JailLevel

POSSIBLE = "POSSIBLE"
_AT_FDCWD = -100
_O_DIRECTORY = 0o200000 if kernel.MACHINE != "aarch64" else 0o40000
_AF_INET, _SOCK_STREAM = 2, 1
_SIGCHLD = 17
_PROT_READ_EXEC, _MAP_PRIVATE_ANONYMOUS = 5, 0x22

_NEEDED_FOR_MEDIUM = ("open", "socket", "fork")


def run() -> dict[str, str]:
    """What was tried, and "refused (why)" or "POSSIBLE"."""
    if not kernel.IS_LINUX or not kernel.MACHINE:
        return {}
    room = bytes(512)
    tries: dict[str, Callable[[], object]] = {
        "open": lambda: os.close(kernel.syscall("openat", _AT_FDCWD, b"/", _O_DIRECTORY, 0)),
        "stat": lambda: kernel.syscall("newfstatat", _AT_FDCWD, b"/", room, 0),
        "socket": lambda: os.close(kernel.syscall("socket", _AF_INET, _SOCK_STREAM, 0)),
        "fork": _fork,
        "signal": lambda: kernel.syscall("kill", os.getppid(), 0),
        "new code": lambda: kernel.syscall(
            "mmap", 0, 4096, _PROT_READ_EXEC, _MAP_PRIVATE_ANONYMOUS, -1, 0
        ),
        "other calls": lambda: kernel.syscall("uname", room),
    }
    return {name: _attempt(attempt) for name, attempt in tries.items()}


def level(probes: dict[str, str], *, is_filtered: bool) -> JailLevel:
    """What the results amount to."""
    possible = {name for name, result in probes.items() if result == POSSIBLE}
    if probes and is_filtered and not possible:
        return JailLevel.STRONG
    if probes and not possible.intersection(_NEEDED_FOR_MEDIUM):
        return JailLevel.MEDIUM
    return JailLevel.BASIC


def _attempt(attempt: Callable[[], object]) -> str:
    try:
        attempt()
    except OSError as error:
        return f"refused ({errno.errorcode.get(error.errno or 0, str(error))})"
    return POSSIBLE


def _fork() -> int:
    pid = kernel.syscall("clone", _SIGCHLD, 0, 0, 0, 0)
    if pid == 0:
        kernel.exit_now()
    with contextlib.suppress(OSError):
        os.waitpid(pid, 0)
    return pid
