"""The kernel's side of the seal, through ctypes: each function applies one layer or raises OSError.

Runs inside the jail, between the fork and the policy. Nothing is taken on trust here either:
`probes` tries afterwards what these layers forbid.
"""

from __future__ import annotations

import ctypes
import os
import struct
import sys
from pathlib import Path

from gco_agent.jail import syscalls, wire

if sys.platform != "win32":
    import resource

IS_LINUX = sys.platform == "linux"
NOBODY = 65534

_PR_SET_PDEATHSIG, _PR_SET_DUMPABLE = 1, 4
_PR_SET_NO_NEW_PRIVS, _PR_SET_MDWE = 38, 65
_SIGKILL = 9
_CAPABILITY_VERSION_3 = 0x20080522
_SECCOMP_SET_MODE_FILTER, _SECCOMP_FILTER_FLAG_TSYNC = 1, 1
_LANDLOCK_QUERY_VERSION = 1
_FILE_RIGHTS = {1: 13, 2: 14, 3: 15, 4: 15}
"""Landlock version to the number of file rights that it knows; 16 from version 5 on."""
_LANDLOCK_SIZES = ((6, 24), (4, 16), (1, 8))
"""From which version on the description of a rule set has how many bytes."""
_STACK_BYTES = 8 * 1024 * 1024
_SYSTEM = os.uname() if hasattr(os, "uname") else None
MACHINE = _SYSTEM.machine if _SYSTEM is not None else ""

_libc = ctypes.CDLL(None, use_errno=True) if IS_LINUX else None


def syscall(name: str, *arguments: int | bytes | None) -> int:
    """Make a raw system call.

    Raises:
        OSError: It failed, or this machine has no such call.
    """
    if _libc is None:
        raise OSError("Linux only")
    try:
        known = syscalls.number(name, MACHINE)
    except KeyError as error:
        raise OSError(f"not known on {MACHINE}") from error
    words = [ctypes.c_long(a) if isinstance(a, int) else a for a in arguments]
    _libc.syscall.restype = ctypes.c_long
    result = int(_libc.syscall(ctypes.c_long(known), *words))
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result


def exit_now() -> None:
    """Leave the process without any clean-up, as a fork that should not exist must."""
    os._exit(0)


def die_with(parent: int) -> str:
    """Have the kernel kill this process when the zygote ends, however it ends."""
    _prctl(_PR_SET_PDEATHSIG, _SIGKILL)
    if os.getppid() != parent:
        os._exit(0)
    return ""


def forbid_new_privileges() -> str:
    """No set-uid program, here or later, gives anything back."""
    _prctl(_PR_SET_NO_NEW_PRIVS, 1)
    return ""


def drop_user() -> str:
    """As root: become nobody."""
    if not hasattr(os, "geteuid"):
        raise OSError("no user ids on this system")
    if os.geteuid() != 0:
        return f"{os.geteuid()}"
    os.setgroups([])
    os.setgid(NOBODY) if not hasattr(os, "setresgid") else os.setresgid(NOBODY, NOBODY, NOBODY)
    os.setuid(NOBODY) if not hasattr(os, "setresuid") else os.setresuid(NOBODY, NOBODY, NOBODY)
    if os.getuid() != NOBODY or os.geteuid() != NOBODY:
        raise OSError("still root")
    return f"root to {NOBODY}"


def drop_capabilities() -> str:
    """Have none, not even one that an ordinary user was given."""
    header = struct.pack("Ii", _CAPABILITY_VERSION_3, 0)
    syscall("capset", header, bytes(24))
    return ""


def hide_memory() -> str:
    """Let no process of the same user look into this one; setuid undoes it, so do it after."""
    _prctl(_PR_SET_DUMPABLE, 0)
    return ""


def forbid_new_code() -> str:
    """Memory that could be written never becomes executable (Linux 6.3)."""
    _prctl(_PR_SET_MDWE, 1)
    return ""


def landlock() -> str:
    """A rule set without any rule: nothing of what Landlock can govern is allowed."""
    version = syscall("landlock_create_ruleset", None, 0, _LANDLOCK_QUERY_VERSION)
    files = (1 << _FILE_RIGHTS.get(version, 16)) - 1
    tcp, scopes = 0b11, 0b11
    size = next(size for since, size in _LANDLOCK_SIZES if version >= since)
    attributes = struct.pack("QQQ", files, tcp, scopes)[:size]
    rules = syscall("landlock_create_ruleset", attributes, size, 0)
    try:
        syscall("landlock_restrict_self", rules, 0)
    finally:
        os.close(rules)
    return f"version {version}"


def address_space() -> int:
    """Bytes of address space in use; ask before Landlock, which hides the file that tells."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[0])
    except OSError:
        return 1 << 30
    return pages * resource.getpagesize()


def limit(order: wire.Order, in_use: int) -> str:
    """Resource limits, read back: a limit that did not take is named."""
    if sys.platform == "win32":
        raise OSError("no resource limits on this system")
    wanted = {
        "CORE": 0,
        "FSIZE": order.output_bytes,
        "MEMLOCK": 0,
        "MSGQUEUE": 0,
        "STACK": _STACK_BYTES,
        "CPU": order.cpu_seconds,
        "AS": in_use + order.memory_bytes,
        "NPROC": 0,
        "NOFILE": 0,
    }
    failed = [name for name, value in wanted.items() if not _limit_one(name, value)]
    return "without " + " ".join(failed) if failed else ""


def seccomp() -> str:
    """Install the filter of `syscalls`; there is no way back."""
    if MACHINE not in syscalls.MACHINES:
        raise OSError(f"no table of system calls for {MACHINE}")
    program = syscalls.filter_program(MACHINE, os.getpid())
    code = ctypes.create_string_buffer(program, len(program))
    description = struct.pack("HxxxxxxQ", len(program) // 8, ctypes.addressof(code))
    syscall("seccomp", _SECCOMP_SET_MODE_FILTER, _SECCOMP_FILTER_FLAG_TSYNC, description)
    return f"{len(program) // 8} instructions"


def _limit_one(name: str, value: int) -> bool:
    kind = getattr(resource, f"RLIMIT_{name}", None)
    if kind is None:
        return False
    try:
        hard = resource.getrlimit(kind)[1]
        if hard != resource.RLIM_INFINITY:
            value = min(value, hard)
        resource.setrlimit(kind, (value, value))
        return resource.getrlimit(kind) == (value, value)
    except (OSError, ValueError):
        return False


def _prctl(option: int, value: int) -> None:
    if _libc is None:
        raise OSError("Linux only")
    words = [ctypes.c_ulong(word) for word in (value, 0, 0, 0)]
    if _libc.prctl(option, *words) < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
