"""No link of a cloned repository leads a reader or a writer out of it."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gco_agent.core.errors import FileRefused
from gco_agent.core.files import new_file, read_file, work_tree_of, write_file


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A repository, and beside it what must not be touched."""
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "secret").write_text("secret")
    top = tmp_path / "clone"
    (top / ".git").mkdir(parents=True)
    (top / "real").mkdir()
    return top


def hostile(top: Path) -> list[Path]:
    """Links as a cloned repository can hold them, and the paths that lead through them."""
    home = top.parent / "home"
    (top / "file").symlink_to(home / "secret")
    (top / "relative").symlink_to("../home/secret")
    (top / "dangling").symlink_to(home / "new")
    (top / "folder").symlink_to(home)
    (top / "real" / "inner").symlink_to("../../home")
    (top / "loop").symlink_to("loop")
    (top / "inside").symlink_to("real")
    names = ["file", "relative", "dangling", "folder/secret", "folder/new", "folder/a/b"]
    return [top / name for name in [*names, "real/inner/secret", "loop", "inside/x"]]


def test_nothing_is_written_or_read_through_a_link(repository):
    home = repository.parent / "home"
    for path in hostile(repository):
        with pytest.raises(FileRefused, match="link"):
            write_file(path, "pwned", root=repository, parents=True)
        with pytest.raises(FileRefused, match="link"):
            read_file(path, root=repository)
    assert [path.name for path in home.iterdir()] == ["secret"]
    assert (home / "secret").read_text() == "secret"


@pytest.mark.parametrize("path", ["../home/secret", "real/../../home/secret", ".", "/etc/passwd"])
def test_no_path_leaves_the_root(repository, path):
    for act in (
        lambda p: write_file(p, "", root=repository),
        lambda p: read_file(p, root=repository),
    ):
        with pytest.raises(FileRefused):
            act(repository / path)


def test_the_temporary_name_cannot_be_foreseen(repository):
    for name in (".report.html.part", ".report.part.html", "report.html.part"):
        (repository / name).symlink_to(repository.parent / "home" / "secret")
    write_file(repository / "report.html", "text", root=repository)
    assert (repository.parent / "home" / "secret").read_text() == "secret"
    assert (repository / "report.html").read_text() == "text"


def test_a_hard_link_is_replaced_and_not_written_through(repository):
    os.link(repository.parent / "home" / "secret", repository / "policy.py")
    write_file(repository / "policy.py", "new", root=repository)
    assert (repository.parent / "home" / "secret").read_text() == "secret"


def test_a_pipe_is_refused_at_once(repository):
    os.mkfifo(repository / "pipe")
    with pytest.raises(FileRefused, match="regular"):
        read_file(repository / "pipe", root=repository)
    with pytest.raises(FileRefused, match="regular"):
        write_file(repository / "pipe", "", root=repository)


def test_what_is_missing_is_an_ordinary_error(repository):
    with pytest.raises(FileNotFoundError, match="nothing"):
        read_file(repository / "nothing", root=repository)
    with pytest.raises(FileNotFoundError, match="nothing"):
        write_file(repository / "nothing" / "x", "", root=repository)
    with pytest.raises(IsADirectoryError):
        write_file(repository / "real", "", root=repository)
    with pytest.raises(IsADirectoryError):
        write_file(repository / "real", "")


def test_folders_are_made_when_asked(repository):
    write_file(repository / "a" / "b" / "c.txt", "text", root=repository, parents=True)
    write_file(repository.parent / "x" / "y.txt", "text", parents=True)
    assert (repository / "a" / "b" / "c.txt").read_text() == "text"


def test_a_file_that_fails_half_way_leaves_the_old_one(repository):
    path = repository / "policy.py"
    write_file(path, "old", root=repository)
    with pytest.raises(TypeError), new_file(path, root=repository) as file:
        file.writelines([b"half", None])  # type: ignore[list-item]
    assert path.read_text() == "old"
    assert [p.name for p in repository.iterdir() if p.is_file()] == ["policy.py"]


def test_another_program_can_write_the_new_file(repository):
    with new_file(repository / "film.mp4", root=repository) as file:
        assert file.name.endswith(".mp4")
        Path(file.name).write_bytes(b"film")
    assert (repository / "film.mp4").read_bytes() == b"film"


def test_permissions_of_the_old_file_stay(repository):
    path = repository / "run.sh"
    write_file(path, "old", root=repository)
    path.chmod(0o750)
    write_file(path, "new", root=repository)
    assert stat.S_IMODE(path.stat().st_mode) == 0o750


def test_without_a_root_the_user_s_links_and_devices_work(tmp_path):
    (tmp_path / "target").write_text("old")
    (tmp_path / "link").symlink_to("target")
    write_file(tmp_path / "link", "new")
    assert (tmp_path / "target").read_text() == "new"
    assert (tmp_path / "link").is_symlink()
    write_file("/dev/null", "x")
    assert stat.S_ISCHR(Path("/dev/null").stat().st_mode)


def test_the_work_tree_of_a_path(repository, monkeypatch):
    assert work_tree_of(repository / "real" / "x") == repository
    monkeypatch.chdir(repository / "real")
    assert work_tree_of("report.html") == repository
    write_file("../report.html", "x", root=work_tree_of("../report.html"))
    assert (repository / "report.html").exists()


def test_a_file_that_is_too_large_is_refused(tmp_path):
    write_file(tmp_path / "x", b"12345")
    assert read_file(tmp_path / "x", limit_bytes=5) == b"12345"
    for root in (None, tmp_path):
        with pytest.raises(FileRefused, match="4 bytes"):
            read_file(tmp_path / "x", root=root, limit_bytes=4)


@settings(max_examples=30)
@given(data=st.binary(max_size=2000), name=st.text("abc.-é ", min_size=1, max_size=40))
def test_bytes_come_back(tmp_path_factory, data, name):
    folder = tmp_path_factory.mktemp("round")
    path = folder / (name.strip(". ") or "x")
    write_file(path, data, root=folder)
    assert read_file(path, root=folder) == data


def test_text_is_utf_8(tmp_path):
    write_file(tmp_path / "x", "± \ud800\n")
    assert (tmp_path / "x").read_bytes() == "± \\ud800\n".encode()
