"""A candidate: the answer of an optimizer to one request, and its race."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from gco_agent.core.codec import readable, require_schema
from gco_agent.core.records import Usage, Verdict
from gco_agent.core.statistics import RARE_LOSS_ALPHA, Aim, Gain
from gco_agent.core.statistics import Verdict as RaceVerdict
from gco_agent.core.text import format_score
from gco_agent.evaluation.judge import Race, Stop
from gco_agent.optimizers.base import Proposal
from gco_agent.policy.source import PolicySource
from gco_agent.store.entries import Facts

SCHEMA = 1
FILE = "proposal.json"
"""Evidence file with the candidate, without its own evidence files."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """The answer to one request to an optimizer, and its race.

    Attributes:
        proposal: None if there was none.
        error: Why there is no proposal, or why it may not race; empty if it may.
        usage: Tokens and dollars; None if no language model was asked.
        n_steps: Steps played for it by the optimizer, and for its feedback.
        edited: Digest of the inconclusive candidate it edits; empty for the policy in force.
        race: Against its parent; None before the race, or if there is none.
    """

    optimizer: str
    proposal: Proposal | None
    error: str = ""
    kind: str = ""
    files: Mapping[str, str] = field(default_factory=dict)
    usage: Usage | None = None
    n_steps: int = 0
    is_repair: bool = False
    edited: str = ""
    race: Race | None = None

    @property
    def may_race(self) -> bool:
        """Whether it may race."""
        return self.proposal is not None and not self.error

    @property
    def is_scored(self) -> bool:
        """Whether it finished all its episodes."""
        return self.race is not None and self.race.child.is_valid

    @property
    def is_won(self) -> bool:
        """Whether it won its race."""
        return self.race is not None and self.race.verdict.is_won

    @property
    def gain(self) -> Gain | None:
        """Gain over its parent; None without a race, or if an episode failed."""
        return self.race.gain if self.race else None

    @property
    def rank(self) -> float:
        """Sort key among scored candidates of an iteration: the lower bound of the gain.

        The mean would favour candidates that were compared on few seeds, or vary most.
        """
        assert self.race is not None, self.summary
        gain = self.race.gain or self.race.shared
        if gain is not None:
            return gain.lower_bound
        mean = self.race.child.mean_return  # the parent finished no episode
        return float("-inf") if mean is None else mean

    @property
    def summary(self) -> str:
        """The edit in a few words."""
        return self.proposal.summary if self.proposal else "no candidate"

    @property
    def result(self) -> str:
        """The result in sentences, for the author."""
        return self.error if self.race is None else describe_result(self.race)


def total_usage(candidates: Iterable[Candidate]) -> Usage | None:
    """Return what all candidates used; None if no language model was asked."""
    used = [each.usage for each in candidates if each.usage is not None]
    return sum(used[1:], used[0]) if used else None


@dataclass(frozen=True, slots=True)
class StoredCandidate:
    """A candidate without its race, as it is stored; `gco_agent.core.codec` reads and writes it.

    Attributes:
        files: Evidence, unless stored beside the record.
    """

    schema: int
    optimizer: str
    is_repair: bool
    steps: int
    number: int = 0
    error: str = ""
    kind: str = ""
    summary: str = ""
    reason: str = ""
    aim: str = Aim.BETTER.name
    policy: str | None = None
    usage: Usage | None = None
    edited: str = ""
    files: Mapping[str, str] = field(default_factory=dict)

    def restore(self, files: Mapping[str, str] | None = None) -> Candidate:
        """Return the candidate."""
        require_schema(self.schema, SCHEMA, "a recorded proposal")
        kept = dict(self.files if files is None else files)
        proposal = None
        if self.policy is not None:
            with readable("a recorded proposal"):
                source, aim = PolicySource(self.policy), Aim[self.aim]
            words = self.summary, self.reason
            proposal = Proposal(source, *words, kept, self.steps, self.usage, aim)
        outcome = (self.error, self.kind, kept, self.usage, self.steps)
        return Candidate(self.optimizer, proposal, *outcome, self.is_repair, self.edited)


def store_candidate(
    candidate: Candidate, *, number: int = 0, with_files: bool = False
) -> StoredCandidate:
    """Return a candidate as it is stored."""
    proposal = candidate.proposal
    return StoredCandidate(
        SCHEMA,
        candidate.optimizer,
        candidate.is_repair,
        candidate.n_steps,
        number,
        candidate.error,
        candidate.kind,
        proposal.summary if proposal else "",
        proposal.reason if proposal else "",
        proposal.aim.name if proposal else Aim.BETTER.name,
        proposal.source.text if proposal else None,
        candidate.usage,
        candidate.edited,
        dict(candidate.files) if with_files else {},
    )


# -- sentences ------------------------------------------------------------------------------------


def describe_race(race: Race) -> str:
    """Return the result of a race in sentences, without the reason why it ended."""
    if race.gain is None:
        return _describe_failure(race)
    mine, theirs = _points(race.child.mean_return), _points(race.parent.mean_return)
    text = (
        f"On {race.n_pairs} selection seeds{_length(race)} the candidate's mean return is {mine}, "
        f"its parent's {theirs}: a gain of {_gain(race.gain)} a pair "
        f"({_test(race, race.gain)}; {_asked(race)})."
    )
    return text + _describe_doubt(race, race.gain)


def describe_result(race: Race) -> str:
    """Return the result of a race in sentences, and why it ended if it was cut short."""
    if race.stop is None or not race.child.is_valid:
        return describe_race(race)
    return f"{describe_race(race)} {race.stop.value}"


def is_cut_short(text: str) -> bool:
    """Return whether a limit of the command ended the race that ``text`` describes."""
    return any(stop.value in " ".join(text.split()) for stop in (Stop.TIME, Stop.FRAMES, Stop.SLOW))


def _describe_doubt(race: Race, gain: Gain) -> str:
    """Return what is missing for an acceptance besides the p-value."""
    if race.margin is None and gain.p_value <= race.critical_p and not race.verdict.is_won:
        return (
            f" Rare losses on seeds not yet seen could undo the gain (p = {gain.rare_loss_p:.2g}, "
            f"at most {RARE_LOSS_ALPHA:g} is accepted)."
        )
    if race.verdict is not RaceVerdict.INCONCLUSIVE:
        return ""
    if gain.n_more_pairs is None:
        return " The race is inconclusive."
    return f" The race is inconclusive: about {gain.n_more_pairs} more pairs would decide it."


def describe_verdict(facts: Facts, body: str) -> str:
    """Return why a candidate was rejected, in a few words.

    Args:
        body: Of its commit's message, which ends with the failure if there was one.
    """
    if facts.gain is not None:
        gain = format_score(facts.gain, facts.gain_se, "+", least=2)
        what = "decides nothing" if facts.verdict is Verdict.INCONCLUSIVE else "was not enough"
        return f"a gain of {gain} after {facts.pairs} pairs {what}"
    if facts.verdict is not Verdict.FAILED:
        return ""
    told = body.partition("\n\nTurned down, and kept beside the line:")[0]
    lines = [line.strip() for line in told.splitlines() if line.strip()]
    return lines[-1] if lines else ""


def _length(race: Race) -> str:
    """Return the length of the episodes, as their protocol states it."""
    limit = re.search(r"\bmax_steps=(\d+)", race.child.protocol)
    return f", {int(limit[1]):,} steps at most," if limit else ""


def _points(value: float | None) -> str:
    return format_score(value, None, least=2)


def _gain(gain: Gain) -> str:
    return format_score(gain.mean, gain.standard_error, "+", least=2)


def _test(race: Race, gain: Gain) -> str:
    if race.margin is None:
        return f"one-sided p = {gain.p_value:.2g}"
    over = ""
    if race.baseline is not None:
        gain = race.baseline.gain
        over = f"{_gain(gain)} over the last policy that had to be better, "
    loss = _points(race.margin)
    return f"{over}one-sided p = {gain.p_value:.2g} for a loss of {loss} or more"


def _asked(race: Race) -> str:
    if not race.critical_p:
        return f"after {race.n_pairs} pairs none is accepted"
    return f"at most {race.critical_p:.2g} is asked for after {race.n_pairs} pairs"


def _describe_failure(race: Race) -> str:
    broken = (race.child.failures or race.parent.failures)[0]
    who = "The candidate" if race.child.failures else "The parent"
    told = (
        f"{who} failed in an episode (seed {broken.seed}, step {broken.n_steps}, "
        f"{broken.outcome.value}):\n\n"
        + "\n".join(f"    {line}" for line in broken.detail.splitlines())
    )
    if race.child.failures:
        return told
    n_finished = len(race.parent.episodes) - len(race.parent.failures)
    told += f"\n\nThe candidate finished all {race.n_pairs}, its parent {n_finished}"
    if race.shared is None:
        return f"{told}."
    return f"{told}: on these the candidate's gain is {_gain(race.shared)} a pair."
