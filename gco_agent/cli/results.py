"""What a command prints when it is done: the same facts as text and as JSON."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from gco_agent.cli.words import columns_of, count, duration, fit, number_with_error
from gco_agent.core.errors import GcoError, StoreError

if TYPE_CHECKING:
    from gco_agent.store.entries import Facts
    from gco_agent.store.view import RunView, Step


def print_json(data: Any) -> None:  # noqa: ANN401 - whatever JSON can hold
    """Print ``data`` on stdout; characters outside ASCII are escaped."""
    click.echo(json.dumps(data, indent=2, allow_nan=False))


def interval_of(view: RunView, step: Step) -> tuple[float, float] | None:
    """The 95 % interval of the mean return that a step states; None if its episodes are lost.

    What was just done is to be told all the same.
    """
    try:
        return interval_in(view.evidence(step, "evaluation.json"), step)
    except StoreError:
        return None


def interval_in(text: str | None, step: Step) -> tuple[float, float] | None:
    """The 95 % interval of the mean return that a step states, from the text of its episodes.

    Raises:
        StoreError: That text is of another schema, or garbled.
    """
    from gco_agent.core.statistics import confidence_interval
    from gco_agent.report.played import parse_played

    if text is None or step.facts is None or step.facts.return_mean is None:
        return None
    returns = [one.episode_return for one in parse_played(text, f"commit {step.commit[:9]}")]
    return confidence_interval(returns) if len(returns) == step.facts.episodes else None


def score_json(facts: Facts | None, interval: tuple[float, float] | None) -> dict[str, Any]:
    """The score of a policy, by the keys that every command uses."""
    return {
        "mean_return": facts.return_mean if facts else None,
        "standard_error": facts.return_se if facts else None,
        "confidence_interval": list(interval) if interval else None,
        "episodes": facts.episodes if facts else None,
        "seeds": facts.seeds if facts else None,
        "protocol": facts.protocol if facts else None,
    }


def run_json(view: RunView, *, stopped_by: str, seconds: float) -> dict[str, Any]:
    """How a run stands."""
    step = view.standing
    facts = step.facts
    return {
        "run": view.ref.branch,
        "game": view.ref.game,
        "commit": view.tip,
        "policy": view.policy_path,
        "policy_commit": step.commit,
        "iterations": view.last_iteration,
        **score_json(facts, interval_of(view, step)),
        "frames": max((s.facts.frames or 0 for s in view.history() if s.facts), default=0),
        "loc": facts.loc if facts else None,
        "cyclomatic": facts.cyclomatic if facts else None,
        "stopped_by": stopped_by,
        "seconds": round(seconds, 1),
    }


def score_in_words(data: dict[str, Any]) -> str:
    """Write the keys of `score_json`: "6.05 ± 0.80, 95 % interval 4.41 to 7.69"."""
    score = number_with_error(data["mean_return"], data["standard_error"])
    if not data["confidence_interval"]:
        return score
    decimals = len(score.partition(" ")[0].partition(".")[2])
    low, high = (f"{value:.{decimals}f}" for value in data["confidence_interval"])
    return f"{score}, 95 % interval {low} to {high}"


def print_run(
    data: dict[str, Any], view: RunView, *, back: str | None, home: str | None, is_here: bool
) -> None:
    """Say how a run stands, and what to type next.

    Args:
        data: From `run_json`.
        view: The run.
        back: The command that checks out what was before, if this one left it.
        home: A branch that is no run's, if there is one.
        is_here: Whether the run is checked out.
    """
    path, game = data["policy"], data["game"]
    place = "checked out" if is_here else "not checked out"
    lines = [
        f"{game}: mean return {score_in_words(data)}"
        + (f" ({count(data['episodes'], 'episode')}, {data['seeds']})" if data["episodes"] else ""),
        *_how_it_went(data, view),
        f"  branch {data['run']} ({place}), commit {data['commit'][:9]}",
        f"  policy {path}" + (f", {data['loc']} lines of code" if data["loc"] else ""),
    ]
    hints = [*_to_look(data, view, is_here=is_here), *_to_leave(data, back, home, is_here=is_here)]
    click.echo(fit("\n".join(lines)) + "\n\nNext:\n" + "\n".join(_in_lines(hints)))


def _how_it_went(data: dict[str, Any], view: RunView) -> list[str]:
    """Two lines on the iterations; none for a run that has just begun."""
    verdicts = [step.verdict.value for step in view.history() if step.verdict]
    n_accepted = verdicts.count("accepted")
    n_tried = n_accepted + verdicts.count("rejected") + verdicts.count("failed")
    first, limit = view.history()[0].facts, data["stopped_by"]
    if not limit or first is None:
        return []
    began = number_with_error(first.return_mean, None)
    used = f"{duration(data['seconds'])}, {data['frames']:,} frames of the emulator"
    seconds = re.fullmatch(r"(\d+) s", limit)
    if seconds:
        limit = duration(int(seconds[1]))
    is_asked_for = re.fullmatch(r"[\d,]+ iterations?", limit)  # so many, and no more: no limit
    return [
        f"  began at {began}; {n_accepted} of {count(n_tried, 'iteration')} accepted",
        f"  used {used}" if is_asked_for else f"  stopped by its limit of {limit}; used {used}",
    ]


def _to_look(data: dict[str, Any], view: RunView, *, is_here: bool) -> list[tuple[str, str]]:
    """Commands that look at the run, or go on with it, and what each is for."""
    branch, first = data["run"], view.history()[0]
    which = "" if is_here else f" --run {branch}"
    base = f"{first.parents[0][:9]}.." if first.parents else ""
    hints = [(f"git log --first-parent {base}{branch}", "the story, one commit an iteration")]
    if data["iterations"]:
        difference = f"git diff {first.commit[:9]} {data['commit'][:9]} -- :/{data['policy']}"
        hints.append((difference, "first policy against last"))
    hints.append((f"gco-agent log{which}", "the iterations as a table"))
    if _is_by_exchange(view):
        hints.append((f"gco-agent prompt{which}", "the prompt for a chat, an agent or a person"))
    else:
        hints.append((f"gco-agent step -n 5{which}", "go on"))
    measured = "" if is_here else f" {branch}"
    hints.append((f"gco-agent eval{measured} --episodes 100", "measure the policy more exactly"))
    return hints


def _to_leave(
    data: dict[str, Any], back: str | None, home: str | None, *, is_here: bool
) -> list[tuple[str, str]]:
    """Commands that take the policy to a branch of the person's own, and what each is for."""
    path, hints = data["policy"], []
    if is_here and back:
        hints.append((back, "back to where you were"))
    if is_here and home and (not back or back.startswith("git switch gco/")):
        hints.append((f"git switch {home}", "to a branch of your own"))
    there = "from there" if hints else "from a branch of your own"
    hints.append((f"gco-agent publish {data['game']}", f"{there}: commit the policy as {path}"))
    return hints


def _is_by_exchange(view: RunView) -> bool:
    """Whether a person or a chat is the run's optimizer."""
    from gco_agent.store.config import FILE, parse_config

    try:
        return "exchange" in parse_config(view.read(FILE) or "").optimizers
    except GcoError:
        return False


def _in_lines(hints: Sequence[tuple[str, str]]) -> list[str]:
    """Commands with what they are for beside them, or below where the terminal is too narrow."""
    width = max(len(command) for command, _ in hints)
    beside = [f"  {command.ljust(width)}  {what}" for command, what in hints]
    columns = columns_of(sys.stdout)
    if columns is None or max(map(len, beside)) <= columns:
        return beside
    return [line for command, what in hints for line in (f"  {command}", f"      {what}")]
