"""The docstring of a committed policy: what it does, and what it was measured at."""

from __future__ import annotations

import re

from gco_agent.policy import PolicySource, docstring_of, format_policy, replace_docstring
from gco_agent.records import Evaluation, PlayProtocol

_OURS = re.compile(r"^(Environment|Mean return|Run|Measured): ?.*\n?", re.MULTILINE)


def describe_score(evaluation: Evaluation, seeds: str) -> str:
    """The score as it stands in a docstring: "6.05 ± 0.80 (30 episodes, report 0:30)"."""
    if evaluation.mean_return is None:
        return f"none: {len(evaluation.failures)} episodes failed"
    error = evaluation.standard_error
    text = f"{evaluation.mean_return:.2f}" + (f" ± {error:.2f}" if error is not None else "")
    return f"{text} ({len(evaluation.episodes)} episodes, {seeds})"


def with_measured_header(
    source: PolicySource,
    protocol: PlayProtocol,
    evaluation: Evaluation,
    *,
    seeds: str,
    origin: str,
) -> PolicySource:
    """``source`` with a docstring that says what it plays, what it scored, and where it is from.

    What the docstring says in other words stays; the lines written here are written anew.

    Args:
        seeds: Which seeds the evaluation is over: "report 0:30".
        origin: Run and iteration: "gco/pong/20261122-ab12, iteration 7".
    """
    words = _OURS.sub("", docstring_of(source) or "").strip() or "A policy."
    rules = f"{protocol.name} protocol, frame skip {protocol.frame_skip}, sticky {protocol.sticky:g}"
    lines = [
        words,
        "",
        f"Environment: {protocol.env_id}",
        f"Mean return: {describe_score(evaluation, seeds)}",
        f"Measured: {rules}, {protocol.max_steps} steps at most",
        f"Run: {origin}",
        "",
    ]
    return PolicySource(format_policy(replace_docstring(source, "\n".join(lines)).text))
