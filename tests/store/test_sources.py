"""A policy's text from a file and from git."""

from __future__ import annotations

from pathlib import Path

import pytest

from gco_agent import load_policy, read_policy
from gco_agent.core.errors import PolicyError, StoreError, UsageError
from tests.store.samples import commit_file

STILL = "def act(obs):\n    return 0\n"


def test_a_revision_is_read_and_loads(project: Path) -> None:
    commit_file(project, "policies/pong.py", STILL, "one")
    commit_file(project, "policies/pong.py", STILL.replace("0", "1"), "two")
    then = read_policy("HEAD~1:policies/pong.py", project)
    assert then.text == STILL
    assert load_policy(then).act({}) == 0
    assert read_policy(":policies/pong.py", project).text == STILL.replace("0", "1")
    assert read_policy("policies/pong.py", project) == read_policy("HEAD:policies/pong.py", project)


def test_a_file_comes_before_a_revision(project: Path) -> None:
    (project / "HEAD:x.py").write_text(STILL)
    assert read_policy("HEAD:x.py", project).text == STILL


def test_what_is_not_there_is_named(tmp_path: Path, project: Path) -> None:
    with pytest.raises(UsageError, match=r"HEAD has no file policies/tennis\.py"):
        read_policy("HEAD:policies/tennis.py", project)
    with pytest.raises(StoreError, match="unknown revision 'nowhere'"):
        read_policy("nowhere:policies/pong.py", project)
    with pytest.raises(PolicyError, match=r"missing\.py"):
        read_policy("missing.py", tmp_path)
