"""The details of thousands of trials in little space: chunks of compressed JSON.

A page that held them bare would be slow to open. It holds them as text instead, and unpacks the
chunk that somebody looks at.
"""

from __future__ import annotations

import base64
import gzip
import itertools
import json
from collections.abc import Iterator, Sequence
from typing import Any

from gco_agent.report.diffs import difference
from gco_agent.store.view import Details, Trial

CHUNK = 100
"""Trials a chunk."""


def pack(
    trials: Sequence[Trial], details: Iterator[Details], most_bytes: int
) -> tuple[list[str], int]:
    """Chunks of `CHUNK` trials each, as base64 of gzip of JSON.

    Args:
        trials: In the order in which they are looked up.
        details: Theirs.
        most_bytes: What all chunks may take. If they would take more, the oldest trials lose their
            differences, seeds and feedback, and keep their reasons: those that were turned down
            first, and if that is not enough, the others.

    Returns:
        The chunks, and how many trials lost something.
    """
    rows = [_row(trial, found) for trial, found in zip(trials, details, strict=True)]
    parts = [rows[i : i + CHUNK] for i in range(0, len(rows), CHUNK)]
    chunks = [_compressed(part) for part in parts]
    total = sum(map(len, chunks))
    for also_kept, number in itertools.product((False, True), range(len(parts))):
        if total <= most_bytes:
            break
        total -= len(chunks[number])
        for trial, row in zip(trials[number * CHUNK :], parts[number], strict=False):
            if also_kept or not trial.is_kept:
                row["cut"] = True
        chunks[number] = _compressed(parts[number])
        total += len(chunks[number])
    return chunks, sum("cut" in row for row in rows)


def unpack(chunk: str) -> list[dict[str, Any]]:
    """What `pack` put into one chunk; the page does the same."""
    rows: list[dict[str, Any]] = json.loads(gzip.decompress(base64.b64decode(chunk)))
    return rows


def _row(trial: Trial, details: Details) -> dict[str, Any]:
    row: dict[str, Any] = {"reason": trial.reason}
    if details.after is not None:
        lines = difference(details.before, details.after)
        row["diff"] = "\n".join(line.kind + line.text for line in lines)
    if details.feedback:
        row["feedback"] = details.feedback
    row["seeds"] = [
        [p.seed, p.episode_return, p.parent_return, p.n_steps, p.outcome, p.detail]
        for p in details.played
    ]
    return row


def _reason_only(row: dict[str, Any]) -> dict[str, Any]:
    return {"reason": row["reason"], "cut": True}


def _compressed(rows: list[dict[str, Any]]) -> str:
    whole = [_reason_only(row) if "cut" in row else row for row in rows]
    text = json.dumps(whole, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    data = gzip.compress(text.encode("utf-8", "replace"), 6, mtime=0)
    return base64.b64encode(data).decode("ascii")
