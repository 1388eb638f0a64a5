"""What was asked of an optimizer within an iteration, and what came back: kept, and read again.

A `ProposalRecord` is what `gco_agent.loop.replay` plays back, and what a killed command finds
again, so that no reply is paid for twice.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from gco_agent.core.errors import PolicyError, UsageError
from gco_agent.core.records import Usage
from gco_agent.core.statistics import Aim
from gco_agent.optimizers.base import Proposal
from gco_agent.policy import PolicySource

SCHEMA = 1
FILE = "proposal.json"
"""Where a try stands among the evidence of its candidate, without the files beside it."""


@dataclass(frozen=True, slots=True)
class ProposalRecord:
    """One request to an optimizer, and what came of it.

    Attributes:
        optimizer: Who was asked.
        proposal: The candidate; None if there was none.
        error: Why there was none, or why it may not be judged; empty if all is well.
        kind: Of the error, in a word or two.
        files: Evidence, name to text.
        usage: Tokens and dollars that it took; None if no language model was asked.
        n_steps: Steps played for it, by the optimizer and for its feedback.
        is_repair: Whether it answers an error.
    """

    optimizer: str
    proposal: Proposal | None
    error: str = ""
    kind: str = ""
    files: Mapping[str, str] = field(default_factory=dict)
    usage: Usage | None = None
    n_steps: int = 0
    is_repair: bool = False


def total_usage(tries: Iterable[ProposalRecord]) -> Usage | None:
    """What all tries used; None if no language model was asked."""
    used = [each.usage for each in tries if each.usage is not None]
    return sum(used[1:], used[0]) if used else None


def proposal_record_to_json(each: ProposalRecord, *, with_files: bool) -> dict[str, Any]:
    """A try as JSON data; its files only if it is to stand alone."""
    data: dict[str, Any] = {
        "schema": SCHEMA,
        "optimizer": each.optimizer,
        "is_repair": each.is_repair,
        "steps": each.n_steps,
    }
    if each.error:
        data |= {"error": each.error, "kind": each.kind}
    if each.proposal is not None:
        proposal = each.proposal
        data |= {
            "summary": proposal.summary,
            "reason": proposal.reason,
            "aim": proposal.aim.name,
            "policy": proposal.source.text,
        }
    if each.usage is not None:
        data["usage"] = dataclasses.asdict(each.usage)
    if with_files:
        data["files"] = dict(each.files)
    return data


def proposal_record_from_json(
    data: Mapping[str, Any], files: Mapping[str, str] | None = None
) -> ProposalRecord:
    """Inverse of `try_to_json`.

    Args:
        data: What it gave.
        files: Evidence, where it is not in the data.

    Raises:
        UsageError: It is no such data, or of a newer schema.
    """
    try:
        if data["schema"] != SCHEMA:
            raise UsageError(
                f"a proposal was recorded with schema {data['schema']!r}, and this version of "
                f"gco-agent reads {SCHEMA}: install the version that wrote it, or the newest one"
            )
        kept = dict(data["files"] if files is None else files)
        usage = Usage(**data["usage"]) if "usage" in data else None
        n_steps, is_repair = int(data["steps"]), bool(data["is_repair"])
        proposal = None
        if "policy" in data:
            proposal = Proposal(
                PolicySource(data["policy"]),
                str(data["summary"]),
                str(data["reason"]),
                kept,
                n_steps,
                usage,
                Aim[data["aim"]],
            )
        error, kind = str(data.get("error", "")), str(data.get("kind", ""))
        name = str(data["optimizer"])
        return ProposalRecord(name, proposal, error, kind, kept, usage, n_steps, is_repair)
    except (KeyError, TypeError, ValueError, AttributeError, PolicyError) as error:
        raise UsageError(f"a recorded proposal cannot be read: {error!r}") from error
