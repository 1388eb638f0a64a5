"""What the tries of an iteration came to, read back from its evidence."""

from __future__ import annotations

import json

from gco_agent import tries
from gco_agent.optimizers.replies import KINDS
from gco_agent.store.history import RunView, Step, evidence_folder
from gco_agent.tries import Try, try_from_json


def tries_of(view: RunView, step: Step) -> list[Try]:
    """Every try of an iteration, whatever became of it."""
    assert step.facts is not None
    path = evidence_folder(step.facts.iteration) + tries.FILE
    commits = [candidate.commit for candidate in step.candidates]
    if step.facts.verdict.is_kept:
        commits.append(step.commit)
    texts = [view.read(path, commit) for commit in commits]
    return [try_from_json(json.loads(text), {}) for text in texts if text is not None]


def assert_candidate_or_reason(tried: Try) -> None:
    """It is a policy that was judged, or there is a kind of failure and words for a person."""
    if tried.proposal is not None and not tried.error:
        return
    assert tried.kind in KINDS
    assert tried.error.strip()
