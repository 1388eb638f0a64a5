"""What a race came to, in sentences for commits, for whoever proposes, and for the terminal."""

from __future__ import annotations

from gco_agent.judge import Race
from gco_agent.statistics import Gain, no_worse_p_value
from gco_agent.store.entries import Facts, Verdict


def describe_race(race: Race) -> str:
    """What the race came to, in sentences."""
    n = len(race.child.episodes)
    if race.gain is None:
        return _failure(race)
    text = (
        f"On {n} selection seeds the candidate's mean return is {race.child.mean_return:.2f}, its "
        f"parent's {race.parent.mean_return:.2f}: a gain of {_points(race.gain)} a pair "
        f"({_test(race, race.gain)}; {_asked(race, n)})."
    )
    return text + (" The time was up before the race was decided." if race.cut_short else "")


def _points(gain: Gain) -> str:
    error = f" ± {gain.standard_error:.2f}" if gain.standard_error is not None else ""
    return f"{gain.mean:+.2f}{error}"


def _test(race: Race, gain: Gain) -> str:
    """What was tested, and its p value."""
    if race.margin is None:
        return f"one-sided p = {gain.p_value:.2g}"
    over = ""
    if race.anchor is not None:
        gain = race.anchor.gain
        over = f"{_points(gain)} over the last policy that had to be better, "
    p_value = no_worse_p_value(gain, race.margin)
    return f"{over}one-sided p = {p_value:.2g} for a loss of {race.margin:.2f} or more"


def _asked(race: Race, n: int) -> str:
    if not race.asked:
        return f"after {n} pairs none is accepted"
    return f"at most {race.asked:.2g} is asked for after {n} pairs"


def _failure(race: Race) -> str:
    """Who failed and how; where it was the parent, how the candidate did beside it."""
    broken = (race.child.failures or race.parent.failures)[0]
    who = "The candidate" if race.child.failures else "The parent"
    told = (
        f"{who} failed in an episode (seed {broken.seed}, step {broken.n_steps}, "
        f"{broken.outcome.value}):\n\n"
        + "\n".join(f"    {line}" for line in broken.detail.splitlines())
    )
    if race.child.failures:
        return told
    n, n_finished = len(race.child.episodes), len(race.parent.episodes) - len(race.parent.failures)
    told += f"\n\nThe candidate finished all {n}, its parent {n_finished}"
    if race.shared is None:
        return f"{told}."
    return f"{told}: on these the candidate's gain is {_points(race.shared)} a pair."


def describe_verdict(facts: Facts, body: str) -> str:
    """What decided against a candidate, in a few words.

    Args:
        facts: Of the iteration.
        body: Of its commit's message: a failure is told there, its last line last.
    """
    if facts.gain is not None:
        error = f" ± {facts.gain_se:.2f}" if facts.gain_se is not None else ""
        return f"a gain of {facts.gain:+.2f}{error} after {facts.pairs} pairs was not enough"
    if facts.verdict is not Verdict.FAILED:
        return ""
    told = body.partition("\n\nTurned down, and kept beside the line:")[0]
    lines = [line.strip() for line in told.splitlines() if line.strip()]
    return lines[-1] if lines else ""
