"""The seal's logic, with the seal's answers made up: other seals, other systems."""

from __future__ import annotations

import errno
import faulthandler
import os
import resource
import struct
from collections.abc import Callable
from pathlib import Path

import pytest

from gco_agent.jail import seal, wire
from gco_agent.jail.limits import JailLevel, Layer

ORDER = wire.Order(wire.FORK, layers=int(Layer.ALL), memory_bytes=1 << 20, output_bytes=10)
KERNEL_LAYERS = (
    "die_with",
    "forbid_new_privileges",
    "drop_user",
    "drop_capabilities",
    "hide_memory",
    "forbid_new_code",
    "landlock",
    "limit",
    "seccomp",
)


@pytest.fixture
def applied(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The layers in the order they were applied; all of them work."""
    names: list[str] = []
    for name in KERNEL_LAYERS:
        monkeypatch.setattr(seal, name, _layer(names, name))
    monkeypatch.setattr(seal, "run_probes", lambda: {"open": "refused (EPERM)"})
    monkeypatch.setattr(seal, "install_audit_hook", lambda: names.append("audit"))
    monkeypatch.setattr(faulthandler, "enable", lambda **_: None)
    monkeypatch.setattr(faulthandler, "register", lambda *_, **__: None)
    return names


def _layer(names: list[str], name: str) -> Callable[..., str]:
    def apply(*_: object) -> str:
        names.append(name)
        return ""

    return apply


def test_layers_come_in_the_order_that_works(applied: list[str]):
    sealed = seal.close(ORDER, 1)
    assert sealed["level"] == JailLevel.STRONG
    assert applied == [
        "die_with",
        "forbid_new_privileges",
        "drop_user",
        "drop_capabilities",
        "hide_memory",
        "die_with",
        "forbid_new_code",
        "landlock",
        "limit",
        "seccomp",
        "audit",
    ]


def test_layer_that_the_seal_lacks_is_off_with_the_reason(
    applied: list[str], monkeypatch: pytest.MonkeyPatch
):
    def missing() -> str:
        raise OSError(errno.ENOSYS, "Function not implemented")

    monkeypatch.setattr(seal, "seccomp", missing)
    sealed = seal.close(ORDER, 1)
    assert sealed["layers"]["seccomp"] == "off: Function not implemented"
    assert sealed["level"] == JailLevel.MEDIUM


def test_level_is_what_is_refused():
    refused = dict.fromkeys(("open", "stat", "socket", "fork", "signal"), "refused (EPERM)")
    assert seal.level_of(refused, is_filtered=True) is JailLevel.STRONG
    assert seal.level_of(refused, is_filtered=False) is JailLevel.MEDIUM
    assert seal.level_of({**refused, "stat": "POSSIBLE"}, is_filtered=True) is JailLevel.MEDIUM
    assert seal.level_of({**refused, "fork": "POSSIBLE"}, is_filtered=True) is JailLevel.BASIC
    assert seal.level_of({}, is_filtered=True) is JailLevel.BASIC


def test_self_test_finds_an_open_process_open():
    before = list(Path("/proc/self/fd").iterdir())
    found = seal.run_probes()
    found.pop("signal")  # the parent may belong to somebody else
    assert set(found.values()) == {"POSSIBLE"}
    assert list(Path("/proc/self/fd").iterdir()) == before


@pytest.mark.parametrize(
    ("version", "size", "rights"),
    [(1, 8, 13), (2, 8, 14), (3, 8, 15), (4, 16, 15), (5, 16, 16), (7, 24, 16)],
)
def test_landlock_asks_for_what_its_version_knows(
    monkeypatch: pytest.MonkeyPatch, version: int, size: int, rights: int
):
    asked: list[bytes] = []

    def syscall(name: str, *arguments: object) -> int:
        if name == "landlock_restrict_self":
            return 0
        if arguments[0] is None:
            return version
        assert isinstance(arguments[0], bytes)
        asked.append(arguments[0])
        return os.open(os.devnull, os.O_RDONLY)

    monkeypatch.setattr(seal, "syscall", syscall)
    assert seal.landlock() == f"version {version}"
    assert len(asked[0]) == size
    assert struct.unpack_from("Q", asked[0])[0] == (1 << rights) - 1


def test_limits_that_do_not_take_are_named(monkeypatch: pytest.MonkeyPatch):
    taken: dict[int, tuple[int, int]] = {}

    def setrlimit(kind: int, values: tuple[int, int]) -> None:
        if kind == resource.RLIMIT_NPROC:
            raise ValueError("not allowed")
        taken[kind] = values

    def getrlimit(kind: int) -> tuple[int, int]:
        return taken.get(kind, (5, resource.RLIM_INFINITY))

    monkeypatch.setattr(resource, "setrlimit", setrlimit)
    monkeypatch.setattr(resource, "getrlimit", getrlimit)
    assert seal.limit(ORDER, 1 << 20) == "without NPROC"
    assert taken[resource.RLIMIT_AS] == (1 << 21, 1 << 21)
    assert taken[resource.RLIMIT_NOFILE] == (0, 0)


def test_root_becomes_nobody(monkeypatch: pytest.MonkeyPatch):
    now = {"uid": 0}
    monkeypatch.setattr(os, "geteuid", lambda: now["uid"])
    monkeypatch.setattr(os, "getuid", lambda: now["uid"])
    monkeypatch.setattr(os, "setgroups", lambda groups: None)
    monkeypatch.setattr(os, "setresgid", lambda *ids: None)
    monkeypatch.setattr(os, "setresuid", lambda *ids: None)
    with pytest.raises(OSError, match="still root"):
        seal.drop_user()
    monkeypatch.setattr(os, "setresuid", lambda *ids: now.update(uid=ids[0]))
    assert seal.drop_user() == "root to 65534"
    assert seal.drop_user() == "65534"


def test_machines_without_a_table(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(seal, "MACHINE", "riscv64")
    with pytest.raises(OSError, match="no table of system calls for riscv64"):
        seal.seccomp()
    with pytest.raises(OSError, match="not known on riscv64"):
        seal.drop_capabilities()
    assert {r.partition(" ")[0] for r in seal.run_probes().values()} == {"refused"}


def test_address_space_is_measured():
    assert (1 << 20) < seal.address_space() < (1 << 40)


def test_filter_is_handed_to_the_seal(monkeypatch: pytest.MonkeyPatch):
    asked: list[tuple[object, ...]] = []

    def syscall(*arguments: object) -> int:
        asked.append(arguments)
        return 0

    monkeypatch.setattr(seal, "syscall", syscall)
    assert seal.seccomp().endswith(" instructions")
    name, mode, flags, description = asked[0]
    assert (name, mode, flags) == ("seccomp", 1, 1)
    assert isinstance(description, bytes)
    assert f"{struct.unpack_from('H', description)[0]} instructions" == seal.seccomp()
