"""The system-call filter, run on paper: what it says to each call on both machines."""

from __future__ import annotations

import errno
import re
import struct
from pathlib import Path

import pytest

from gco_agent.jail import seal, wire

PID = 4711
ALLOW, KILL = 0x7FFF0000, 0x80000000
EPERM, ENOSYS = 0x00050000 | errno.EPERM, 0x00050000 | errno.ENOSYS
ARCHITECTURES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
SIGABRT, SIGUSR1, SIGSEGV, SIGSTOP = 6, 10, 11, 19


def verdict(machine: str, number: int, *arguments: int, architecture: int | None = None) -> int:
    """What the kernel would get from the filter."""
    architecture = ARCHITECTURES[machine] if architecture is None else architecture
    padded = (*arguments, *[0] * (6 - len(arguments)))
    data = struct.pack("<IIQ6Q", number, architecture, 0, *padded)
    code = seal.filter_program(machine, PID)
    program = [struct.unpack_from("HBBI", code, at) for at in range(0, len(code), 8)]
    at, accumulator = 0, 0
    while True:
        operation, if_true, if_false, operand = program[at]
        at += 1
        if operation == 0x20:
            accumulator = struct.unpack_from("<I", data, operand)[0]
        elif operation == 0x54:
            accumulator &= operand
        elif operation == 0x06:
            return int(operand)
        else:
            holds = {
                0x15: accumulator == operand,
                0x35: accumulator >= operand,
                0x45: bool(accumulator & operand),
            }[operation]
            at += if_true if holds else if_false


@pytest.mark.parametrize("machine", seal.MACHINES)
@pytest.mark.parametrize(
    ("name", "arguments", "expected"),
    [
        ("readv", (wire.COMMAND_FD,), ALLOW),
        ("readv", (0,), EPERM),
        ("write", (wire.REPLY_FD,), ALLOW),
        ("write", (wire.FAULT_FD,), ALLOW),
        ("write", (1,), ALLOW),
        ("write", (2,), ALLOW),
        ("write", (wire.COMMAND_FD,), EPERM),
        ("write", (77,), EPERM),
        ("mmap", (0, 4096, 3, 0x22), ALLOW),
        ("mmap", (0, 4096, 5, 0x22), EPERM),
        ("mmap", (0, 4096, 3, 0x01, 1), EPERM),
        ("mprotect", (0, 4096, 1), ALLOW),
        ("mprotect", (0, 4096, 7), EPERM),
        ("tgkill", (PID, PID, SIGABRT), ALLOW),
        ("tgkill", (PID, PID, SIGSTOP), EPERM),
        ("tgkill", (PID + 1, PID, SIGABRT), EPERM),
        ("rt_sigaction", (SIGSEGV,), ALLOW),
        ("rt_sigaction", (SIGUSR1,), EPERM),
        ("clone3", (), ENOSYS),
        ("clone", (), EPERM),
        ("futex", (0, 0), ALLOW),
        ("futex", (0, 0x81), ALLOW),
        ("futex", (0, 0x189), ALLOW),
        ("futex", (0, 0x86), EPERM),
        ("futex", (0, 0x88), EPERM),
        ("futex", (0, 0x8D), EPERM),
        ("futex", (0, 12), EPERM),
        ("madvise", (0, 4096, 4), ALLOW),
        ("madvise", (0, 4096, 14), ALLOW),
        ("madvise", (0, 4096, 12), EPERM),
        ("madvise", (0, 4096, 21), EPERM),
        ("clock_gettime", (), ALLOW),
        ("exit_group", (), ALLOW),
        ("openat", (), EPERM),
        ("socket", (), EPERM),
        ("kill", (), EPERM),
        ("uname", (), EPERM),
        ("ptrace", (), KILL),
        ("execve", (), KILL),
        ("io_uring_setup", (), KILL),
        ("bpf", (), KILL),
    ],
)
def test_filter(machine: str, name: str, arguments: tuple[int, ...], expected: int):
    assert verdict(machine, seal.number(name, machine), *arguments) == expected


@pytest.mark.parametrize("machine", seal.MACHINES)
def test_most_calls_are_refused(machine: str):
    answers = [verdict(machine, number) for number in range(500)]
    assert answers.count(ALLOW) < 30
    assert set(answers) == {ALLOW, EPERM, ENOSYS, KILL}


def test_other_architectures_are_deadly():
    assert verdict("x86_64", 39, architecture=0x40000003) == KILL
    assert verdict("aarch64", 172, architecture=0x40000028) == KILL
    assert verdict("x86_64", 0x40000000 | 39) == KILL


def test_unknown_machines_and_calls_are_key_errors():
    with pytest.raises(KeyError, match="riscv64 has no system call readv"):
        seal.number("readv", "riscv64")
    with pytest.raises(KeyError, match="aarch64 has no system call time"):
        seal.number("time", "aarch64")
    with pytest.raises(KeyError, match="no system call fly"):
        seal.number("fly", "x86_64")


@pytest.mark.parametrize("machine", seal.MACHINES)
@pytest.mark.parametrize("name", ["clock_gettime", "clock_getres"])
def test_only_clocks_of_its_own_are_read(machine: str, name: str) -> None:
    number = seal.number(name, machine)
    for clock in (0, 1, 2, 3, 4, 7):
        assert verdict(machine, number, clock) == ALLOW
    for pid in (1, PID, 4_000_000):
        assert verdict(machine, number, ((~pid << 3) | 2) & 0xFFFFFFFFFFFFFFFF) == EPERM
        assert verdict(machine, number, ((~pid << 3) | 2) & 0xFFFFFFFF) == EPERM


HEADERS = {
    "x86_64": "/usr/include/x86_64-linux-gnu/asm/unistd_64.h",
    "aarch64": "/usr/include/asm-generic/unistd.h",
}


@pytest.mark.parametrize("machine", seal.MACHINES)
def test_the_numbers_are_those_of_the_kernel_headers(machine: str) -> None:
    header = Path(HEADERS[machine])
    if not header.exists():
        pytest.skip(f"no {header} here")
    found = dict(re.findall(r"#define __NR(?:3264)?_(\w+)\s+(\d+)\b", header.read_text()))
    found.setdefault("newfstatat", found.get("fstatat", ""))
    tables = (seal._ALLOWED, seal._CONDITIONAL, seal._DEADLY, seal._OF_THE_SEAL)
    column = seal.MACHINES.index(machine)
    for table in tables:
        for name, numbers in table.items():
            if numbers[column] is None:
                assert name not in found, name
            elif name in found:  # older headers lack newer calls
                assert numbers[column] == int(found[name]), name
    assert len(found) > 250
