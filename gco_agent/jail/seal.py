"""Closes a worker, layer by layer, tests the result and says what it is worth; inside the jail.

The order matters. Descriptors are closed already. Then: end with the zygote, no new privileges,
another user, no capabilities, and only now (a change of user undoes them) not dumpable and the end
with the zygote once more; no new code; the address space is measured before Landlock hides it;
Landlock; limits; the system-call filter last of the kernel's layers, because it forbids the calls
that make the others. After the self-test the audit hook, which would answer for the kernel.
"""

from __future__ import annotations

import faulthandler
import signal
from collections.abc import Callable
from typing import TypedDict

from gco_agent.jail import audit, kernel, probes, wire
from gco_agent.jail.limits import JailLevel, Layer


class Sealed(TypedDict):
    """What a worker reports, as JSON."""

    level: int
    layers: dict[str, str]
    probes: dict[str, str]


def prepare() -> None:
    """In the zygote: nobody of the same user looks into it, or into what it forks."""
    if kernel.IS_LINUX:
        kernel.hide_memory()


def close(order: wire.Order, zygote: int) -> Sealed:
    """Seal this process with the layers that the order names, and report."""
    wanted = Layer(order.layers)
    states: dict[str, str] = {}
    _show_where_it_hangs()
    in_use = kernel.address_space()
    if kernel.IS_LINUX:
        _apply(states, "death with parent", lambda: kernel.die_with(zygote))
        if wanted & (Layer.PRIVILEGES | Layer.LANDLOCK | Layer.SECCOMP):
            _apply(states, "no_new_privs", kernel.forbid_new_privileges)
    if Layer.PRIVILEGES in wanted:
        _close_privileges(states, zygote)
    if Layer.LANDLOCK in wanted:
        _apply(states, "landlock", kernel.landlock)
    if Layer.RLIMITS in wanted:
        _apply(states, "rlimits", lambda: kernel.limit(order, in_use))
    if Layer.SECCOMP in wanted:
        _apply(states, "seccomp", kernel.seccomp)
    found = probes.run() if wanted & Layer.KERNEL else {}
    level = JailLevel.NONE
    if wanted & (Layer.KERNEL | Layer.AUDIT):
        level = probes.level(found, is_filtered=_is_on(states, "seccomp"))
    if Layer.AUDIT in wanted:
        audit.install()
        states["audit"] = "on"
    if Layer.PINS in wanted:
        states["pins"] = "on"
    return {"level": int(level), "layers": states, "probes": found}


def _close_privileges(states: dict[str, str], zygote: int) -> None:
    _apply(states, "user", kernel.drop_user)
    if not kernel.IS_LINUX:
        return
    _apply(states, "capabilities", kernel.drop_capabilities)
    _apply(states, "dumpable", kernel.hide_memory)
    _apply(states, "death with parent", lambda: kernel.die_with(zygote))
    _apply(states, "no new code", kernel.forbid_new_code)


def _apply(states: dict[str, str], name: str, layer: Callable[[], str]) -> None:
    """Apply one layer; one that this system does not offer is off, with the reason."""
    try:
        detail = layer()
    except OSError as error:
        states[name] = f"off: {error.strerror or error}"
    else:
        states[name] = f"on ({detail})" if detail else "on"


def _is_on(states: dict[str, str], name: str) -> bool:
    return states.get(name, "").startswith("on")


def _show_where_it_hangs() -> None:
    """Have a signal, and a crash, write the Python stack to a file, also from a loop in C."""
    faulthandler.enable(file=wire.FAULT_FD, all_threads=False)
    if hasattr(faulthandler, "register"):
        faulthandler.register(signal.SIGUSR1, file=wire.FAULT_FD, all_threads=False)
