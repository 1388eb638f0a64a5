"""Safe reading and writing of files; everything that git does not write itself goes through here.

A cloned repository can hold symbolic links to anywhere. With ``root``, the repository's top, every
component of a path below it is opened without following links, so that nothing outside of the
repository is read or written. Files appear whole or not at all: they are written under a random
name in the same folder, synced, and renamed.
"""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from gco_agent.core.errors import FileRefused, UsageError

LIMIT_BYTES = 64 * 1024 * 1024
"""Largest file that is read, where the caller sets no limit."""
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


def work_tree_of(path: str | Path) -> Path | None:
    """Return the top of the git work tree that ``path`` is in, links not resolved, or None.

    For paths that a user gives: ``write_file(path, text, root=work_tree_of(path))``.
    """
    folders = _absolute(path).parents
    return next((folder for folder in folders if (folder / ".git").exists()), None)


def write_file(
    path: str | Path,
    data: str | bytes,
    *,
    root: Path | None = None,
    parents: bool = False,
    sync: bool = True,
) -> None:
    """Write a file at once; text as UTF-8.

    Args:
        root: The path must be below this folder, and no link be on the way.

    Raises:
        FileRefused: There is a symbolic link below ``root``, or the path is not below it.
    """
    with new_file(path, root=root, parents=parents, sync=sync) as file:
        file.write(data.encode("utf-8", "backslashreplace") if isinstance(data, str) else data)


def save_file(path: Path, data: str | bytes, *, parents: bool = False) -> None:
    """Write a file that the user asked for, through no symbolic link of a repository."""
    try:
        write_file(path, data, root=work_tree_of(path), parents=parents)
    except OSError as error:
        raise UsageError(f"cannot write {path}: {error.strerror}") from error


def read_file(
    path: str | Path, *, root: Path | None = None, limit_bytes: int = LIMIT_BYTES
) -> bytes:
    """Return the bytes of a file.

    Args:
        root: The path must be below this folder, with no link on the way, and a regular file.

    Raises:
        FileRefused: As `write_file`; or it is too large, or below ``root`` but not a regular file.
    """
    with contextlib.ExitStack() as stack:
        if root is None:
            file: BinaryIO = stack.enter_context(Path(path).open("rb"))
        else:
            folder, name = stack.enter_context(_opened_folder(Path(path), root))
            with _naming_links(path):
                file = stack.enter_context(os.fdopen(os.open(name, _FILE, dir_fd=folder), "rb"))
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise FileRefused(f"{path} is not a regular file")
        data = file.read(limit_bytes + 1)
    if len(data) > limit_bytes:
        raise FileRefused(f"{path} has more than {limit_bytes:,} bytes")
    return data


@contextlib.contextmanager
def new_file(
    path: str | Path, *, root: Path | None = None, parents: bool = False, sync: bool = True
) -> Iterator[BinaryIO]:
    """Open a temporary file that replaces ``path`` when the block ends without an error.

    Its ``name`` is a path in the same folder with the same suffix, for programs that write it
    themselves. Arguments and errors are those of `write_file`. Without ``root``, links are followed
    and a device or a pipe is written to directly.
    """
    path = Path(path)
    if root is None:
        if path.exists() and not path.is_file() and not path.is_dir():
            with path.open("wb") as file:
                yield file
            return
        path = path.resolve()
        root = path.parent
        if parents:
            root.mkdir(parents=True, exist_ok=True)
    with _opened_folder(path, root, parents=parents) as (folder, name):
        mode = _mode_of_target(path, folder, name)
        temporary = f".{path.stem[:50]}.{secrets.token_hex(8)}{path.suffix[:20]}"

        def opener(_: str, flags: int) -> int:
            return os.open(temporary, flags | os.O_NOFOLLOW, 0o666, dir_fd=folder)

        try:
            with open(path.with_name(temporary), "xb", opener=opener) as file:
                yield file
                file.flush()
                if mode is not None:
                    os.fchmod(file.fileno(), mode)
                if sync:
                    os.fsync(file.fileno())
            os.rename(temporary, name, src_dir_fd=folder, dst_dir_fd=folder)
        except BaseException:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(temporary, dir_fd=folder)
            raise
        if sync:
            os.fsync(folder)


def _mode_of_target(path: Path, folder: int, name: str) -> int | None:
    """Return the permissions of the file to be replaced, None if there is none."""
    try:
        found = os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode
    except FileNotFoundError:
        return None
    if stat.S_ISDIR(found):
        raise IsADirectoryError(f"{path} is a folder")
    if not stat.S_ISREG(found):
        raise FileRefused(f"{path} is a symbolic link or not a regular file; delete it first")
    return stat.S_IMODE(found)


@contextlib.contextmanager
def _opened_folder(path: Path, root: Path, *, parents: bool = False) -> Iterator[tuple[int, str]]:
    """Open the folder of ``path`` without following links; yield its descriptor and the name."""
    top, whole = _absolute(root), _absolute(path)
    if whole == top or not whole.is_relative_to(top):
        raise FileRefused(f"{path} is not inside {root}")
    *folders, name = whole.relative_to(top).parts
    descriptor = os.open(top, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for folder in folders:
            if parents:
                with contextlib.suppress(FileExistsError):
                    os.mkdir(folder, dir_fd=descriptor)
            with _naming_links(path):
                inner = os.open(folder, _FOLDER, dir_fd=descriptor)
            os.close(descriptor)
            descriptor = inner
        yield descriptor, name
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def _naming_links(path: str | Path) -> Iterator[None]:
    """Say which path it is where a link is met (ELOOP, ENOTDIR) or something is missing."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENOTDIR, errno.EMLINK):
            raise FileRefused(f"{path} leads through a symbolic link or a file") from None
        raise type(error)(error.errno, error.strerror, str(path)) from None


def _absolute(path: str | Path) -> Path:
    return Path(os.path.abspath(path))  # noqa: PTH100 - resolve() would follow links
