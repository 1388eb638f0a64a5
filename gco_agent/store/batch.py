"""Many files of many commits at once: one process of git instead of one a file."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from gco_agent.store.git import GitRepo

_BATCH = 2_000
"""Files a call, so that a long run's texts need not all be in memory twice."""


def read_files(repo: GitRepo, wanted: Sequence[tuple[str, str]]) -> Iterator[str | None]:
    """Yield the texts of files, in order; None for one that is not there.

    Args:
        repo: Where.
        wanted: Commit ids and paths from the top of the tree; no path has a line end in it.

    Raises:
        StoreError: The repository is damaged.
    """
    for begin in range(0, len(wanted), _BATCH):
        part = wanted[begin : begin + _BATCH]
        specs = "".join(f"{commit}:{path}\n" for commit, path in part)
        output = repo.run("cat-file", "--batch", stdin=specs.encode()).output
        yield from _parse(output)


def _parse(output: bytes) -> Iterator[str | None]:
    """Read ``<id> blob <size>``, the content and a line end; or ``<spec> missing``."""
    at = 0
    while at < len(output):
        end = output.index(b"\n", at)
        header = output[at:end].split(b" ")
        at = end + 1
        if header[-1] == b"missing":
            yield None
            continue
        size = int(header[-1])
        is_file = header[-2] == b"blob"
        yield output[at : at + size].decode("utf-8", "replace") if is_file else None
        at += size + 1
