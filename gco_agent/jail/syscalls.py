"""System calls by number, and the filter that lets a worker make only those it needs.

The filter is a program in classic BPF for seccomp(2), which the kernel runs before every system
call. What a sealed interpreter needs is memory, locks, its clock, one pipe to read and four
descriptors to write; the rest is refused. Calls that only an attack makes end the process.

Source: the tables of Linux 6.x, arch/x86/entry/syscalls/syscall_64.tbl and
include/uapi/asm-generic/unistd.h (aarch64); seccomp(2), linux/filter.h.
"""

from __future__ import annotations

import errno
import struct

from gco_agent.jail import wire

MACHINES = ("x86_64", "aarch64")
_AUDIT_ARCHITECTURE = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
_X32_BIT = 0x40000000
_SIGUSR1 = 10
_CRASHES = (6, 11, 7, 8, 4)
"""SIGABRT, SIGSEGV, SIGBUS, SIGFPE, SIGILL: the signals that a process may send itself."""

_FUTEX_OPERATIONS = (0, 1, 9, 10)
"""Wait and wake, and the same with a bit set: a lock within one process. Those that hand a lock to
a thread by its number would tell which processes there are."""
_FUTEX_FLAGS = 0x180
"""Private to the process; by the clock on the wall."""
_ADVICE = (4, 8, 14, 15)
"""Memory is not needed, or better had in large pages or in small ones. Merging equal pages of
several processes, and sending pages out, would tell what others have in memory."""

_ALLOWED = {
    "munmap": (11, 215),
    "brk": (12, 214),
    "mremap": (25, 216),
    "rt_sigprocmask": (14, 135),
    "rt_sigreturn": (15, 139),
    "sigaltstack": (131, 132),
    "restart_syscall": (219, 128),
    "sched_yield": (24, 124),
    "getpid": (39, 172),
    "gettid": (186, 178),
    "gettimeofday": (96, 169),
    "time": (201, None),
    "getrandom": (318, 278),
    "exit": (60, 93),
    "exit_group": (231, 94),
}
_CONDITIONAL = {
    "readv": (19, 65),
    "futex": (202, 98),
    "madvise": (28, 233),
    "clock_gettime": (228, 113),
    "clock_getres": (229, 114),
    "write": (1, 64),
    "mmap": (9, 222),
    "mprotect": (10, 226),
    "tgkill": (234, 131),
    "rt_sigaction": (13, 134),
    "clone3": (435, 435),
}
_DEADLY = {
    "ptrace": (101, 117),
    "execve": (59, 221),
    "execveat": (322, 281),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "process_madvise": (440, 440),
    "pidfd_getfd": (438, 438),
    "kcmp": (312, 272),
    "bpf": (321, 280),
    "perf_event_open": (298, 241),
    "userfaultfd": (323, 282),
    "io_uring_setup": (425, 425),
    "io_uring_enter": (426, 426),
    "io_uring_register": (427, 427),
    "add_key": (248, 217),
    "request_key": (249, 218),
    "keyctl": (250, 219),
    "unshare": (272, 97),
    "setns": (308, 268),
    "mount": (165, 40),
    "umount2": (166, 39),
    "pivot_root": (155, 41),
    "open_by_handle_at": (304, 265),
    "init_module": (175, 105),
    "finit_module": (313, 273),
    "delete_module": (176, 106),
    "kexec_load": (246, 104),
    "reboot": (169, 142),
    "modify_ldt": (154, None),
    "iopl": (172, None),
    "ioperm": (173, None),
}
_OF_THE_SEAL = {
    "seccomp": (317, 277),
    "landlock_create_ruleset": (444, 444),
    "landlock_restrict_self": (446, 446),
    "capset": (126, 91),
    "openat": (257, 56),
    "newfstatat": (262, 79),
    "socket": (41, 198),
    "clone": (56, 220),
    "kill": (62, 129),
    "uname": (63, 160),
}

_LOAD, _JUMP_EQUAL, _JUMP_AT_LEAST, _JUMP_ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_AND = 0x54
_ALLOW, _KILL, _ERROR = 0x7FFF0000, 0x80000000, 0x00050000
_NUMBER_AT, _ARCHITECTURE_AT, _ARGUMENTS_AT = 0, 4, 16
_PROT_EXEC = 4
_MAP_ANONYMOUS = 0x20
_ALL_BITS = 0xFFFFFFFF
_SIGN_BIT = 0x80000000

Instruction = tuple[int, int, int, int]
"""Code, how far to jump if true, if false, and the operand."""


def number(name: str, machine: str) -> int:
    """The number of a system call on ``machine``.

    Raises:
        KeyError: The machine has no such call, or is not one of `MACHINES`.
    """
    for table in (_ALLOWED, _CONDITIONAL, _DEADLY, _OF_THE_SEAL):
        if name in table:
            found = table[name][MACHINES.index(machine)] if machine in MACHINES else None
            if found is not None:
                return found
    raise KeyError(f"{machine} has no system call {name}")


def filter_program(machine: str, pid: int) -> bytes:
    """The filter of a worker with that process id, as the kernel takes it."""
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
    """What is allowed with some arguments only; the busiest first."""
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
        "rt_sigaction": [*_argument(0), *_if_equal(_SIGUSR1, refuse), *_return(_ALLOW)],
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
