"""Hostile policies, against the kernel's layers alone: no look at the text, no audit hook."""

from __future__ import annotations

import fcntl
import json
import os
import re
import shutil
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

import gco_agent.jail
from gco_agent.jail import Jail, Layer, PolicyFailure
from tests.jail.corpus import (
    LEAVES_TRACES,
    ONLY_ANNOYS,
    OWN,
    Verdict,
    attacks_of,
    run_all,
    without,
)

ROOT = Path(__file__).parents[2]
SHARED = Path(os.environ.get("GCO_HOSTILE_CORPUS") or ROOT.parent / "shared/hostile")
FOLDERS = [OWN, *([SHARED] if SHARED.is_dir() else [])]
ATTACKS = [attack for folder in FOLDERS for attack in attacks_of(folder)]
needs_shared = pytest.mark.skipif(
    not SHARED.is_dir(), reason="no second corpus: set GCO_HOSTILE_CORPUS to its folder"
)


def test_every_line_of_the_docstring_has_a_hostile_policy():
    document = gco_agent.jail.__doc__ or ""
    promised = set(re.findall(r"^\* (\w+)  +\w", document, flags=re.MULTILINE))
    assert len(promised) > 15
    names = [attack.name for attack in attacks_of(OWN)]
    assert {name.split("_")[0] for name in names} == promised | {"benign"}
    assert len(set(names)) == len(names) > 100


@pytest.fixture(scope="module", autouse=True)
def _alone() -> Iterator[None]:
    """Tests in other processes wait: what a hostile policy leaves behind, all of them can see."""
    lock = Path(tempfile.gettempdir()) / f"gco-agent-corpus-{os.getuid()}.lock"
    with lock.open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        yield


def test_all_is_contained_by_the_kernel_alone():
    check(run_all(ATTACKS, Layer.KERNEL))


@pytest.mark.nightly
def test_all_is_contained_for_an_ordinary_user():
    if os.getuid() != 0 or shutil.which("setpriv") is None:
        pytest.skip("this is an ordinary user already, or there is no setpriv to become one")
    with start_as_ordinary_user(Layer.KERNEL) as other:
        told, errors = other.communicate()
    assert other.returncode == 0, errors[-2000:]
    report = json.loads(told)
    assert report["uid"] != 0
    check([Verdict(**v) for v in report["verdicts"]])


def test_second_lock_holds_alone():
    """Without Landlock the filter does it all: neither of the two hides a hole in the other."""
    check(run_all(without(ATTACKS, ONLY_ANNOYS), Layer.SECCOMP | Layer.RLIMITS))


@needs_shared
def test_benign_policies_run_with_every_layer():
    benign = [attack for attack in ATTACKS if "_ok_" in attack.name or "benign" in attack.name]
    verdicts = run_all(benign, Layer.ALL)
    assert len(verdicts) >= 10
    assert [v for v in verdicts if v.kind != "ok" or v.harm] == []


def test_unsealed_control_lets_many_escape():
    verdicts = run_all(without(ATTACKS, LEAVES_TRACES + ONLY_ANNOYS), Layer.CHANCE)
    escaped = [v.name for v in verdicts if v.harm]
    assert len(escaped) > len(verdicts) / 4
    assert {"files_read", "files_change", "network_connect", "processes_exec"} <= set(escaped)


def test_source_of_megabytes_is_refused_before_it_is_read():
    with pytest.raises(PolicyFailure, match="5,000,000 bytes"):
        Jail("#" * 5_000_000, n_actions=1).start()


def check(verdicts: list[Verdict]) -> None:
    """Everything contained, and every outcome one of those that the file names."""
    kinds = {attack.name: attack.kinds for attack in ATTACKS}
    assert {v.name: v.harm for v in verdicts if v.harm} == {}
    assert {v.name: v.kind for v in verdicts if v.kind not in kinds[v.name]} == {}


def start_as_ordinary_user(layers: Layer) -> subprocess.Popen[str]:
    """The corpora in a process of another user; it needs to read the interpreter, so it may."""
    command = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
    if not _everybody_may_run(Path(sys.executable).resolve()):
        command += ["--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search"]
    command += [sys.executable, "-W", "error", "-m", "tests.jail.corpus", str(int(layers))]
    pipe = subprocess.PIPE
    return subprocess.Popen(
        [*command, *map(str, FOLDERS)], cwd=ROOT, stdout=pipe, stderr=pipe, text=True
    )


def _everybody_may_run(path: Path) -> bool:
    return all(folder.stat().st_mode & stat.S_IXOTH for folder in (path, *path.parents))
