"""Differences of policies, and the details of thousands of trials packed into a page.

A page that held the details bare would open slowly. It holds chunks of compressed JSON instead, and
unpacks the one that is looked at.
"""

from __future__ import annotations

import base64
import difflib
import gzip
import itertools
import json
from collections.abc import Iterator, Sequence
from typing import Any

from gco_agent.store.view import Details, Trial

CHUNK = 100
"""Trials in a chunk."""


def difference(before: str, after: str, context: int = 3) -> list[str]:
    """Return a unified diff without its header, empty if the texts have the same lines.

    Args:
        context: Unchanged lines to show around each change.
    """
    old, new = before.splitlines(), after.splitlines()
    return list(difflib.unified_diff(old, new, n=context, lineterm=""))[2:]


def count_changes(lines: Sequence[str]) -> tuple[int, int]:
    """Return how many lines a difference adds and how many it removes."""
    return sum(line[0] == "+" for line in lines), sum(line[0] == "-" for line in lines)


def pack(
    trials: Sequence[Trial], details: Iterator[Details], most_bytes: int
) -> tuple[list[str], int]:
    """Pack the details of trials into chunks of `CHUNK`, as base64 of gzip of JSON.

    Args:
        most_bytes: Maximum size of all chunks. Above it, the oldest rejected trials, and then the
            oldest of all, keep their reason only.

    Returns:
        The chunks, and the number of trials that were shortened.
    """
    rows = [_row(trial, found) for trial, found in zip(trials, details, strict=True)]
    parts = [rows[i : i + CHUNK] for i in range(0, len(rows), CHUNK)]
    chunks = [_compressed(part) for part in parts]
    total = sum(map(len, chunks))
    for also_kept, number in itertools.product((False, True), range(len(parts))):
        if total <= most_bytes:
            break
        total -= len(chunks[number])
        for i, row in enumerate(parts[number]):
            if also_kept or not trials[number * CHUNK + i].is_kept:
                parts[number][i] = {"reason": row["reason"], "cut": True}
        chunks[number] = _compressed(parts[number])
        total += len(chunks[number])
    return chunks, sum("cut" in row for part in parts for row in part)


def _row(trial: Trial, details: Details) -> dict[str, Any]:
    row: dict[str, Any] = {"reason": trial.body}
    if details.after is not None:
        row["diff"] = "\n".join(difference(details.before, details.after))
    if details.feedback:
        row["feedback"] = details.feedback
    row["seeds"] = [
        [p.seed, p.episode_return, p.parent_return, p.n_steps, p.outcome, p.detail]
        for p in details.played
    ]
    return row


def _compressed(rows: list[dict[str, Any]]) -> str:
    text = json.dumps(rows, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    data = gzip.compress(text.encode("utf-8", "replace"), 6, mtime=0)
    return base64.b64encode(data).decode("ascii")
