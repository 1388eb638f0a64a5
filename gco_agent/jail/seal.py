"""Seals a worker, layer by layer, and tests the result; runs inside the jail, before the policy.

The order matters. Descriptors are closed already. Then: end with the zygote, no new privileges,
another user, no capabilities, and only now (a change of user undoes them) not dumpable and the end
with the zygote once more; no new code; the address space is measured before Landlock hides it;
Landlock; limits; the system-call filter as the last layer of the kernel, as it forbids the calls
that make the others.

The filter is a program in classic BPF for seccomp(2), which the kernel runs before every system
call. What a sealed interpreter needs is memory, locks, its clock, one pipe to read and four
descriptors to write; the rest is refused. Calls that only an attack makes end the process.

The self-test tries what the seal forbids with raw system calls: a return code of the sealing proves
nothing, and the audit hook, installed last, would answer for a kernel layer that is missing.

Source of the numbers: the tables of Linux 6.x, arch/x86/entry/syscalls/syscall_64.tbl and
include/uapi/asm-generic/unistd.h (aarch64); seccomp(2), linux/filter.h.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import faulthandler
import os
import resource
import signal
import struct
import sys
from collections.abc import Callable
from importlib.machinery import ModuleSpec
from pathlib import Path
from typing import Any, TypeAlias, TypedDict

from gco_agent.jail import wire
from gco_agent.jail.limits import JailLevel, Layer

NOBODY = 65534
POSSIBLE = "POSSIBLE"
MACHINE = os.uname().machine
MACHINES = ("x86_64", "aarch64")

_PR_SET_PDEATHSIG, _PR_SET_DUMPABLE = 1, 4
_PR_SET_NO_NEW_PRIVS, _PR_SET_MDWE = 38, 65
_CAPABILITY_VERSION_3 = 0x20080522
_SECCOMP_SET_MODE_FILTER, _SECCOMP_FILTER_FLAG_TSYNC = 1, 1
_LANDLOCK_QUERY_VERSION = 1
_FILE_RIGHTS = {1: 13, 2: 14, 3: 15, 4: 15}
"""Landlock version to its number of file rights; 16 from version 5 on."""
_LANDLOCK_SIZES = ((6, 24), (4, 16), (1, 8))
"""Landlock version, and the bytes of a rule set's description from that version on."""
_STACK_BYTES = 8 * 1024 * 1024
_AT_FDCWD = -100
_O_DIRECTORY = 0o200000 if MACHINE != "aarch64" else 0o40000
_PROT_EXEC, _PROT_READ_EXEC = 4, 5
_MAP_ANONYMOUS, _MAP_PRIVATE_ANONYMOUS = 0x20, 0x22
_NEEDED_FOR_MEDIUM = ("open", "socket", "fork")
_MAX_SHOWN = 80
_REFUSED_EVENTS = (
    *("open", "os.", "socket.", "subprocess.", "ctypes.", "shutil.", "tempfile.", "glob.", "pty."),
    *("fcntl.", "syslog.", "signal.", "mmap.", "resource.", "sqlite3.", "urllib.", "ftplib."),
    *("http.", "smtplib.", "webbrowser.", "faulthandler.", "gc.get_", "_posixsubprocess."),
)

# fmt: off
# System calls by name, with their numbers on each of MACHINES.
_ALLOWED = {
    "munmap": (11, 215), "brk": (12, 214), "mremap": (25, 216), "rt_sigprocmask": (14, 135),
    "rt_sigreturn": (15, 139), "sigaltstack": (131, 132), "restart_syscall": (219, 128),
    "sched_yield": (24, 124), "getpid": (39, 172), "gettid": (186, 178),
    "gettimeofday": (96, 169), "time": (201, None), "getrandom": (318, 278), "exit": (60, 93),
    "exit_group": (231, 94),
}
_CONDITIONAL = {
    "readv": (19, 65), "futex": (202, 98), "madvise": (28, 233), "clock_gettime": (228, 113),
    "clock_getres": (229, 114), "write": (1, 64), "mmap": (9, 222), "mprotect": (10, 226),
    "tgkill": (234, 131), "rt_sigaction": (13, 134), "clone3": (435, 435),
}
_DEADLY = {
    "ptrace": (101, 117), "execve": (59, 221), "execveat": (322, 281),
    "process_vm_readv": (310, 270), "process_vm_writev": (311, 271),
    "process_madvise": (440, 440), "pidfd_getfd": (438, 438), "kcmp": (312, 272),
    "bpf": (321, 280), "perf_event_open": (298, 241), "userfaultfd": (323, 282),
    "io_uring_setup": (425, 425), "io_uring_enter": (426, 426), "io_uring_register": (427, 427),
    "add_key": (248, 217), "request_key": (249, 218), "keyctl": (250, 219), "unshare": (272, 97),
    "setns": (308, 268), "mount": (165, 40), "umount2": (166, 39), "pivot_root": (155, 41),
    "open_by_handle_at": (304, 265), "init_module": (175, 105), "finit_module": (313, 273),
    "delete_module": (176, 106), "kexec_load": (246, 104), "reboot": (169, 142),
    "modify_ldt": (154, None), "iopl": (172, None), "ioperm": (173, None),
}
_OF_THE_SEAL = {
    "seccomp": (317, 277), "landlock_create_ruleset": (444, 444),
    "landlock_restrict_self": (446, 446), "capset": (126, 91), "openat": (257, 56),
    "newfstatat": (262, 79), "socket": (41, 198), "clone": (56, 220), "kill": (62, 129),
    "uname": (63, 160),
}
# fmt: on

_AUDIT_ARCHITECTURE = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
_X32_BIT = 0x40000000
_CRASHES = (signal.SIGABRT, signal.SIGSEGV, signal.SIGBUS, signal.SIGFPE, signal.SIGILL)
"""The signals that a process may send itself."""
_FUTEX_OPERATIONS = (0, 1, 9, 10)
"""Wait and wake, and the same with a bit set: a lock within one process. Those that hand a lock to
a thread by its number would tell which processes there are."""
_FUTEX_FLAGS = 0x180
"""Private to the process; by the clock on the wall."""
_ADVICE = (4, 8, 14, 15)
"""Memory is not needed, or better had in large pages or in small ones. Merging equal pages of
several processes, and sending pages out, would tell what others have in memory."""

_LOAD, _JUMP_EQUAL, _JUMP_AT_LEAST, _JUMP_ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_AND = 0x54
_ALLOW, _KILL, _ERROR = 0x7FFF0000, 0x80000000, 0x00050000
_NUMBER_AT, _ARCHITECTURE_AT, _ARGUMENTS_AT = 0, 4, 16
_ALL_BITS = 0xFFFFFFFF
_SIGN_BIT = 0x80000000

Instruction: TypeAlias = tuple[int, int, int, int]
"""Code, how far to jump if true, if false, and the operand."""

_libc = ctypes.CDLL(None, use_errno=True)


class Sealed(TypedDict):
    """What a worker reports, as JSON."""

    level: int
    layers: dict[str, str]
    probes: dict[str, str]


def close(order: wire.Order, zygote: int) -> Sealed:
    """Seal this process with the layers that the order names; return what was achieved."""
    wanted = Layer(order.layers)
    states: dict[str, str] = {}
    _write_traceback_on_signal()
    in_use = address_space()
    layers: tuple[tuple[Layer, str, Callable[[], str]], ...] = (
        (Layer.ALL, "death with parent", lambda: die_with(zygote)),
        (Layer.KERNEL & ~Layer.RLIMITS, "no_new_privs", forbid_new_privileges),
        (Layer.PRIVILEGES, "user", drop_user),
        (Layer.PRIVILEGES, "capabilities", drop_capabilities),
        (Layer.PRIVILEGES, "dumpable", hide_memory),
        (Layer.PRIVILEGES, "death with parent", lambda: die_with(zygote)),
        (Layer.PRIVILEGES, "no new code", forbid_new_code),
        (Layer.LANDLOCK, "landlock", landlock),
        (Layer.RLIMITS, "rlimits", lambda: limit(order, in_use)),
        (Layer.SECCOMP, "seccomp", seccomp),
    )
    for layer, name, apply in layers:
        if wanted & layer or layer is Layer.ALL:
            states[name] = _applied(apply)
    probes = run_probes() if wanted & Layer.KERNEL else {}
    level = JailLevel.NONE
    if wanted & (Layer.KERNEL | Layer.AUDIT):
        level = level_of(probes, is_filtered=states.get("seccomp", "").startswith("on"))
    if Layer.AUDIT in wanted:
        install_audit_hook()
        states["audit"] = "on"
    if Layer.CHANCE in wanted:
        states["chance"] = "on"
    return {"level": int(level), "layers": states, "probes": probes}


def _applied(apply: Callable[[], str]) -> str:
    """Apply one layer; return "on", with details, or "off: " and the reason."""
    try:
        detail = apply()
    except OSError as error:
        return f"off: {error.strerror or error}"
    return f"on ({detail})" if detail else "on"


def _write_traceback_on_signal() -> None:
    """Have a signal, and a crash, write the Python stack to a file, also from a loop in C."""
    faulthandler.enable(file=wire.FAULT_FD, all_threads=False)
    faulthandler.register(signal.SIGUSR1, file=wire.FAULT_FD, all_threads=False)


# The layers of the kernel: each function applies one, or raises OSError.


def syscall(name: str, *arguments: int | bytes | None) -> int:
    """Make a raw system call."""
    try:
        known = number(name, MACHINE)
    except KeyError as error:
        raise OSError(f"not known on {MACHINE}") from error
    words = [ctypes.c_long(a) if isinstance(a, int) else a for a in arguments]
    _libc.syscall.restype = ctypes.c_long
    return _checked(int(_libc.syscall(ctypes.c_long(known), *words)))


def die_with(parent: int) -> str:
    """Have the kernel kill this process when the zygote ends, however it ends."""
    _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(0)
    return ""


def forbid_new_privileges() -> str:
    """Let no set-uid program give anything back."""
    _prctl(_PR_SET_NO_NEW_PRIVS, 1)
    return ""


def drop_user() -> str:
    """Change from root to the user nobody."""
    if os.geteuid() != 0:
        return f"{os.geteuid()}"
    os.setgroups([])
    os.setresgid(NOBODY, NOBODY, NOBODY)
    os.setresuid(NOBODY, NOBODY, NOBODY)
    if os.getuid() != NOBODY or os.geteuid() != NOBODY:
        raise OSError("still root")
    return f"root to {NOBODY}"


def drop_capabilities() -> str:
    """Drop all capabilities, those given to an ordinary user too."""
    header = struct.pack("Ii", _CAPABILITY_VERSION_3, 0)
    syscall("capset", header, bytes(24))
    return ""


def hide_memory() -> str:
    """Let no process of the same user look into this one; setuid undoes it, so do it after."""
    _prctl(_PR_SET_DUMPABLE, 0)
    return ""


def forbid_new_code() -> str:
    """Forbid writable memory to become executable (Linux 6.3)."""
    _prctl(_PR_SET_MDWE, 1)
    return ""


def landlock() -> str:
    """Apply a rule set without rules: nothing that Landlock governs is allowed."""
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
    """Return the bytes of address space in use; Landlock hides the file that tells."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[0])
    except OSError:
        return 1 << 30
    return pages * resource.getpagesize()


def limit(order: wire.Order, in_use: int) -> str:
    """Set resource limits; name those that, read back, did not take."""
    wanted = {
        **dict.fromkeys(("CORE", "MEMLOCK", "MSGQUEUE", "NPROC", "NOFILE"), 0),
        "FSIZE": order.output_bytes,
        "STACK": _STACK_BYTES,
        "CPU": order.cpu_seconds,
        "AS": in_use + order.memory_bytes,
    }
    failed = [name for name, value in wanted.items() if not _limit_one(name, value)]
    return "without " + " ".join(failed) if failed else ""


def seccomp() -> str:
    """Install the filter; it cannot be removed."""
    if MACHINE not in MACHINES:
        raise OSError(f"no table of system calls for {MACHINE}")
    program = filter_program(MACHINE, os.getpid())
    code = ctypes.create_string_buffer(program, len(program))
    description = struct.pack("HxxxxxxQ", len(program) // 8, ctypes.addressof(code))
    syscall("seccomp", _SECCOMP_SET_MODE_FILTER, _SECCOMP_FILTER_FLAG_TSYNC, description)
    return f"{len(program) // 8} instructions"


def _limit_one(name: str, value: int) -> bool:
    kind = getattr(resource, f"RLIMIT_{name}")
    try:
        hard = resource.getrlimit(kind)[1]
        if hard != resource.RLIM_INFINITY:
            value = min(value, hard)
        resource.setrlimit(kind, (value, value))
        return resource.getrlimit(kind) == (value, value)
    except (OSError, ValueError):
        return False


def _prctl(option: int, value: int) -> None:
    _checked(_libc.prctl(option, *(ctypes.c_ulong(word) for word in (value, 0, 0, 0))))


def _checked(result: int) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result


# The system-call filter.


def number(name: str, machine: str) -> int:
    """Return the number of a system call on ``machine``."""
    for table in (_ALLOWED, _CONDITIONAL, _DEADLY, _OF_THE_SEAL):
        if name in table:
            found = table[name][MACHINES.index(machine)] if machine in MACHINES else None
            if found is not None:
                return found
    raise KeyError(f"{machine} has no system call {name}")


def filter_program(machine: str, pid: int) -> bytes:
    """Return the filter of a worker with that process id, as the kernel takes it."""
    program = [
        *_load(_ARCHITECTURE_AT),
        *_unless_equal(_AUDIT_ARCHITECTURE[machine], _return(_KILL)),
        *_load(_NUMBER_AT),
    ]
    if machine == "x86_64":
        program += [(_JUMP_AT_LEAST, 0, 1, _X32_BIT), *_return(_KILL)]
    for name, then in _conditions(pid).items():
        program += _if_equal(number(name, machine), then)
    for table, action in ((_ALLOWED, _ALLOW), (_DEADLY, _KILL)):
        for numbers in table.values():
            known = numbers[MACHINES.index(machine)]
            if known is not None:
                program += _if_equal(known, _return(action))
    program += _return(_ERROR | errno.EPERM)
    return b"".join(struct.pack("HBBI", *instruction) for instruction in program)


def _conditions(pid: int) -> dict[str, list[Instruction]]:
    """Return what is allowed with some arguments only; the busiest first."""
    outputs = (wire.REPLY_FD, 1, 2, wire.FAULT_FD)
    refuse = _return(_ERROR | errno.EPERM)
    # A clock below zero is the processor time of another process: who runs, and for how long.
    own_clocks = [*_argument(0), (_JUMP_ANY_BIT, 0, 1, _SIGN_BIT), *refuse, *_return(_ALLOW)]
    no_new_code = [*_argument(2), (_JUMP_ANY_BIT, 0, 1, _PROT_EXEC), *refuse]
    no_file = [*_argument(3), (_JUMP_ANY_BIT, 1, 0, _MAP_ANONYMOUS), *refuse]
    return {
        "readv": _only(0, (wire.COMMAND_FD,)),
        "write": _only(0, outputs),
        "clock_gettime": own_clocks,
        "clock_getres": own_clocks,
        "mmap": [*no_new_code, *no_file, *_return(_ALLOW)],
        "mprotect": [*no_new_code, *_return(_ALLOW)],
        "futex": _only(1, _FUTEX_OPERATIONS, _ALL_BITS & ~_FUTEX_FLAGS),
        "madvise": _only(2, _ADVICE),
        # Not to stop itself, which looks like a machine that is busy.
        "tgkill": [*_argument(0), *_unless_equal(pid, refuse), *_only(2, _CRASHES)],
        # The signal that asks for a traceback stays what it is.
        "rt_sigaction": [*_argument(0), *_if_equal(signal.SIGUSR1, refuse), *_return(_ALLOW)],
        # The C library then tries clone, which is refused with an error that Python reports.
        "clone3": _return(_ERROR | errno.ENOSYS),
    }


def _only(argument: int, values: tuple[int, ...], mask: int = _ALL_BITS) -> list[Instruction]:
    """Allow if the bits of the argument that are in ``mask`` are one of ``values``, else refuse."""
    program = _argument(argument)
    if mask != _ALL_BITS:
        program.append((_AND, 0, 0, mask))
    for value in values:
        program += _if_equal(value, _return(_ALLOW))
    return program + _return(_ERROR | errno.EPERM)


def _load(offset: int) -> list[Instruction]:
    return [(_LOAD, 0, 0, offset)]


def _argument(index: int) -> list[Instruction]:
    """Load the low half of an argument; both machines are little-endian."""
    return _load(_ARGUMENTS_AT + 8 * index)


def _return(action: int) -> list[Instruction]:
    return [(_RETURN, 0, 0, action)]


def _if_equal(value: int, then: list[Instruction]) -> list[Instruction]:
    return [(_JUMP_EQUAL, 0, len(then), value), *then]


def _unless_equal(value: int, then: list[Instruction]) -> list[Instruction]:
    return [(_JUMP_EQUAL, len(then), 0, value), *then]


# The self-test.


def run_probes() -> dict[str, str]:
    """Try forbidden acts; return "refused (why)" or "POSSIBLE" for each."""
    room = bytes(512)
    tries: dict[str, Callable[[], object]] = {
        "open": lambda: os.close(syscall("openat", _AT_FDCWD, b"/", _O_DIRECTORY, 0)),
        "stat": lambda: syscall("newfstatat", _AT_FDCWD, b"/", room, 0),
        "socket": lambda: os.close(syscall("socket", 2, 1, 0)),  # AF_INET, SOCK_STREAM
        "fork": _try_fork,
        "signal": lambda: syscall("kill", os.getppid(), 0),
        "new code": lambda: syscall(
            "mmap", 0, 4096, _PROT_READ_EXEC, _MAP_PRIVATE_ANONYMOUS, -1, 0
        ),
        "other calls": lambda: syscall("uname", room),
    }
    return {name: _attempt(attempt) for name, attempt in tries.items()}


def level_of(probes: dict[str, str], *, is_filtered: bool) -> JailLevel:
    """Return the level that the self-test proves."""
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


def _try_fork() -> None:
    pid = syscall("clone", signal.SIGCHLD, 0, 0, 0, 0)
    if pid == 0:
        os._exit(0)
    with contextlib.suppress(OSError):
        os.waitpid(pid, 0)


# Python's audit hook: clear messages for what the kernel refuses anyway. Not a boundary: code in
# the same interpreter can switch it off.


class ImportRefused:
    """The last import finder: says why a module cannot be imported."""

    @staticmethod
    def find_spec(name: str, *_: object) -> ModuleSpec | None:
        """Refuse every module."""
        raise ModuleNotFoundError(
            f"no module {name!r} in the jail: a policy has part of the standard library, and numpy",
            name=name,
        )


def install_audit_hook() -> None:
    """Leave only loaded, built-in and frozen modules to be imported; refuse events by name."""
    sys.path.clear()
    sys.path_importer_cache.clear()
    sys.meta_path.append(ImportRefused)
    sys.addaudithook(refuse_event)


def refuse_event(event: str, arguments: tuple[Any, ...]) -> None:
    """Raise PermissionError for an audit event that a policy may not cause."""
    if event.startswith(_REFUSED_EVENTS):
        shown = ""
        if arguments and type(arguments[0]) in (str, bytes, int):
            shown = repr(arguments[0])[:_MAX_SHOWN]
        raise PermissionError(f"the jail does not allow a policy {event}({shown})")
