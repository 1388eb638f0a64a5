"""What the tries of an iteration came to, read back from its evidence."""

from __future__ import annotations

from gco_agent.core import codec
from gco_agent.loop.candidate import FILE, Candidate, StoredCandidate
from gco_agent.store.view import RunView, Step, evidence_folder

KINDS = frozenset(
    (
        *("empty", "too long", "too large", "declined", "no code", "cut off", "not Python"),
        *("does not fit", "contract", "no change"),
    )
)
"""The ways in which a reply can be unusable."""


def tries_of(view: RunView, step: Step) -> list[Candidate]:
    """Every try of an iteration, whatever became of it."""
    assert step.facts is not None
    path = evidence_folder(step.facts.iteration) + FILE
    commits = [candidate.commit for candidate in step.candidates]
    if step.facts.verdict.is_kept:
        commits.append(step.commit)
    texts = [view.read(path, commit) for commit in commits]
    return [
        codec.loads(StoredCandidate, text, FILE).restore() for text in texts if text is not None
    ]


def assert_candidate_or_reason(tried: Candidate) -> None:
    """It is a policy that was judged, or there is a kind of failure and words for a person."""
    if tried.proposal is not None and not tried.error:
        return
    assert tried.kind in KINDS
    assert tried.error.strip()
