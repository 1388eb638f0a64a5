"""A run's branch carries files, and none of them is code of ours: the installed copy runs."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
from dataclasses import replace
from pathlib import Path

import pytest

from gco_agent.core.records import PlayProtocol
from gco_agent.store.config import FILE, RunConfig, format_config
from gco_agent.store.git import GitRepo
from gco_agent.store.run import Runs
from tests.store.samples import REF, git, initial

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[2]
CODE = "open({!r}, 'w').close()\n"
POLICY = '"""Push right.\n\nEnvironment: CartPole-v1\n"""\n\n\ndef act(obs):\n    return 1\n'


@pytest.fixture
def installed(tmp_path: Path) -> Path:
    """A checkout of the product, set up by scripts/install; the packages are those of the tests."""
    root = tmp_path / "checkout"
    ignored = shutil.ignore_patterns("__pycache__", "*.pyc")
    shutil.copytree(ROOT / "gco_agent", root / "gco_agent", ignore=ignored)
    for name in ("pyproject.toml", "README.md", "LICENSE", ".gitignore", "scripts/install",
                 "requirements.lock", "requirements-source.lock"):  # fmt: skip
        (root / name).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / name, root / name)
    git(root, "init", "--quiet")
    git(root, "add", "--all")
    git(root, "commit", "--quiet", "-m", "The product")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip",
                    root / ".venv"], check=True)  # fmt: skip
    (site,) = (root / ".venv").glob("lib/python*/site-packages")
    (site / "packages.pth").write_text(sysconfig.get_path("purelib") + "\n")
    names = ("pyproject.toml", "requirements.lock", "requirements-source.lock")
    content = b"".join((root / name).read_bytes() for name in names)
    done = subprocess.run(["cksum"], input=content, check=True, capture_output=True)
    (root / ".venv/installed").write_bytes(done.stdout)
    subprocess.run([root / "scripts/install"], check=True)
    return root


def test_code_on_a_stranger_s_run_never_runs(installed, tmp_path):
    config = format_config(RunConfig("pong", PlayProtocol("default", "gco/Pong-v5")))
    entry = replace(initial(), files={}, top_files={FILE: config})
    Runs(GitRepo.find(installed)).create(REF, entry, switch=True)
    trace = tmp_path / "ran"
    for name in ("gco_agent/__init__.py", "gco_agent/cli/__init__.py", "sitecustomize.py",
                 "json.py", "git.py", "multiprocessing/__init__.py", "numpy.py"):  # fmt: skip
        (installed / name).parent.mkdir(exist_ok=True)
        with (installed / name).open("a") as file:
            file.write(CODE.format(str(trace)))
    git(installed, "add", "--all")
    git(installed, "commit", "--quiet", "-m", "A stranger's")
    git(installed, "switch", "--quiet", "main")
    git(installed, "switch", "--quiet", REF.branch)
    (installed / "policies/cart.py").write_text(POLICY)
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "COV"))}
    for command in ("log", "show 0", "eval policies/cart.py --episodes 2 --workers 2 --json"):
        done = subprocess.run(
            [installed / ".venv/bin/gco-agent", *command.split()], cwd=installed, env=environment,
            check=False, capture_output=True, text=True,
        )  # fmt: skip
        assert done.returncode == 0, (command, done.stderr)
        assert not trace.exists(), command
    subprocess.run([installed / "scripts/install"], check=True, env=environment)
    assert not trace.exists(), "a run's branch is not installed either"
    python = installed / ".venv/bin/python"
    subprocess.run([python, "-c", "import gco_agent"], cwd=installed, env=environment, check=True)
    assert trace.exists(), "where Python looks in the checkout, the line does run"


def test_a_new_version_is_installed_from_a_branch_of_one_s_own(installed):
    (site,) = (installed / ".venv").glob("lib/python*/site-packages/gco_agent/__init__.py")
    with (installed / "gco_agent/__init__.py").open("a") as file:
        file.write("NEW = 1\n")
    subprocess.run([installed / "scripts/install"], check=True)
    assert "NEW = 1" in site.read_text()
