"""Real git, but nobody's own: a home, an identity and dates of the tests."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from gco_agent.store.git import GitRepo
from gco_agent.store.run import Runs
from tests.store.samples import REF, commit_file, git, initial


@pytest.fixture(autouse=True)
def _isolated_git(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch):
    for name in [name for name in os.environ if name.startswith("GIT_")]:
        monkeypatch.delenv(name)
    home = tmp_path_factory.mktemp("home")
    (home / ".gitconfig").write_text(
        "[user]\n\tname = Test\n\temail = test@example.org\n"
        "[init]\n\tdefaultBranch = main\n\ttemplateDir =\n[advice]\n\tdetachedHead = false\n"
    )
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    monkeypatch.setenv("GIT_AUTHOR_DATE", "2026-01-31T12:00:00+00:00")
    monkeypatch.setenv("GIT_COMMITTER_DATE", "2026-01-31T12:00:00+00:00")
    monkeypatch.setenv("GIT_TEST_FSYNC", "0")


@pytest.fixture(scope="session")
def templates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where repositories that many tests start from are made once, to be copied."""
    return tmp_path_factory.mktemp("templates")


@pytest.fixture
def empty(templates: Path, tmp_path: Path) -> Path:
    """A repository without a commit."""
    template = templates / "empty"
    if not template.exists():
        git(templates, "init", "--quiet", "empty")
    return shutil.copytree(template, tmp_path / "project")


@pytest.fixture
def project(templates: Path, tmp_path: Path) -> Path:
    """A repository with a commit on main."""
    template = templates / "project"
    if not template.exists():
        git(templates, "init", "--quiet", "project")
        commit_file(template, "README.md", "A project.\n", "Begin")
    return shutil.copytree(template, tmp_path / "project")


@pytest.fixture
def repo(project: Path) -> GitRepo:
    return GitRepo(project / ".git", project / ".git", project)


@pytest.fixture
def runs(repo: GitRepo) -> Runs:
    return Runs(repo)


@pytest.fixture
def started(templates: Path, project: Path, runs: Runs) -> Runs:
    """A project whose run is checked out, with the initial policy."""
    template = templates / "started"
    if not template.exists():
        runs.create(REF, initial(), switch=True)
        shutil.copytree(project, template)
    shutil.rmtree(project)
    shutil.copytree(template, project)
    return runs
