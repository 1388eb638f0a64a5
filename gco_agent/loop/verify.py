"""Plays what a commit claims again and answers to the digit: holds, differs, or not comparable.

A claim is a commit's policy, its seeds, its rules of play and what came of it: returns, gain, a
digest of every action. What decides the answer is compared in this order. Rules of play first: with
another emulator or ROM nothing is played, because nothing could be concluded. Then every number of
the message, then every episode of the evidence, down to the first action that differs.

The jail's level, the Python and the machine of the claim are not rules of play: a policy that
attacks nothing and computes with integers plays the same in all of them. They are reported beside
the answer, so that a difference has its explanation next to it.
"""

from __future__ import annotations

import enum
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from gco_agent.core.codec import readable
from gco_agent.core.errors import UsageError
from gco_agent.core.records import (
    EpisodeResult,
    Evaluation,
    PlayProtocol,
    digest_actions,
    first_different_step,
    unpack_actions,
)
from gco_agent.core.seeds import parse_seed_range
from gco_agent.core.statistics import paired_gain
from gco_agent.evaluation.judge import Judge
from gco_agent.evaluation.workers import WorkerPool
from gco_agent.jail.limits import JailLevel
from gco_agent.loop.recording import ACTIONS, EPISODES
from gco_agent.policy import PolicySource
from gco_agent.store.entries import Facts
from gco_agent.store.evidence import Evidence, conditions, parse_evidence
from gco_agent.store.view import RunView, Step, evidence_folder

_INDEX_BYTES = 4
"""An action that is an index takes no more than these in a record; one of numbers takes more."""
_NUMBERS = ("return_mean", "return_se", "episodes", "gain", "gain_se", "pairs", "digest")
"""What is compared of the facts of a message."""
_NEEDED = ("protocol", "seeds", "digest")
"""What a claim cannot be played again without."""
_MOST_EPISODES = 100_000


class Answer(enum.Enum):
    """What came of playing a claim again."""

    HOLDS = "holds"
    DIFFERS = "differs"
    INCOMPARABLE = "cannot be compared"


@dataclass(frozen=True, slots=True)
class Claim:
    """What a commit says of the policy in it.

    Attributes:
        commit: Its id.
        facts: What its message says.
        source: Its policy.
        parent: The policy that a gain is over; None where no gain is claimed.
        episodes: What its evidence says, with the actions where they were recorded; empty where
            there is no evidence.
        made_in: Jail level, Python and machine of the claim, where they are told.
    """

    commit: str
    facts: Facts
    source: PolicySource
    parent: PolicySource | None = None
    episodes: tuple[EpisodeResult, ...] = ()
    made_in: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Difference:
    """A value that is another one here.

    Attributes:
        what: "mean return", "ale-py", "action".
        claimed: What the commit says; None if it says nothing.
        here: What it is here.
        seed: Of the episode, where it is one that differs.
        step: From 0, where one is known.
    """

    what: str
    claimed: Any
    here: Any
    seed: int | None = None
    step: int | None = None


@dataclass(frozen=True, slots=True)
class Verified:
    """A claim and what came of it.

    Attributes:
        claim: What was verified.
        answer: Of all.
        differences: For DIFFERS, the numbers of the message that are others; for INCOMPARABLE, the
            parts of the protocol.
        first: The first episode that differs, and in it the first action, where it can be said.
        played: What was played here; None if nothing was.
        played_in: As `Claim.made_in`, here.
    """

    claim: Claim
    answer: Answer
    differences: tuple[Difference, ...] = ()
    first: Difference | None = None
    played: Evaluation | None = None
    played_in: dict[str, str] = field(default_factory=dict)


class Verifier:
    """Plays claims again; an episode that two claims share is played once.

    Args:
        pool: Who plays.
        require: The jail must be at least this good.
    """

    def __init__(self, pool: WorkerPool, require: JailLevel = JailLevel.NONE) -> None:
        self._pool, self._require = pool, require
        self._judges: dict[str, Judge] = {}

    def verify(
        self,
        claim: Claim,
        rules: Sequence[PlayProtocol],
        watch: Callable[[int, int], None] | None = None,
    ) -> Verified:
        """Play ``claim`` again.

        Args:
            claim: From `read_claims`.
            rules: Those that the run may have played by, with the versions installed here.
            watch: Called with the episodes played so far, and how many there are.

        Raises:
            UsageError: The claim's seeds cannot be read.
            JailError: The jail is not as good as required.
        """
        missing = [name for name in _NEEDED if getattr(claim.facts, name) is None]
        if missing:
            lacking = (Difference(name, None, "needed") for name in missing)
            return Verified(claim, Answer.INCOMPARABLE, tuple(lacking))
        stamp = claim.facts.protocol or ""
        protocol = min(rules, key=lambda one: len(differing_parts(stamp, one.stamp)))
        parts = differing_parts(stamp, protocol.stamp)
        if parts:
            return Verified(claim, Answer.INCOMPARABLE, tuple(parts))
        judge = self._judges.setdefault(stamp, Judge(self._pool, protocol, self._require))
        seeds = parse_seed_range(claim.facts.seeds or "")
        if len(seeds) != claim.facts.episodes or len(seeds) > _MOST_EPISODES:
            stated = Difference("episodes", claim.facts.episodes, len(seeds))
            return Verified(claim, Answer.DIFFERS, (stated,))
        played = judge.evaluate(claim.source, seeds, watch)
        over = judge.evaluate(claim.parent, seeds) if claim.parent and played.is_valid else None
        here = _facts_of(claim.facts, played, over)
        differences = [
            Difference(name.replace("_", " "), getattr(claim.facts, name), getattr(here, name))
            for name in _NUMBERS
            if getattr(claim.facts, name) != getattr(here, name)
        ]
        first = first_difference(claim.episodes, played.episodes) if claim.episodes else None
        holds = not differences and first is None
        return Verified(
            claim,
            Answer.HOLDS if holds else Answer.DIFFERS,
            tuple(differences),
            first,
            played,
            conditions((*played.episodes, *(over.episodes if over else ()))),
        )


def read_claims(view: RunView, rev: str | None = None) -> list[Claim]:
    """The claims of a run, oldest first: of all its commits, or of one.

    Raises:
        UsageError: The commit ``rev`` claims nothing: no policy was scored there.
        NotARun: ``rev`` is not of this run.
        StoreError: A record of the run cannot be read.
    """
    if rev is None:
        return [claim for step in view.history() for claim in _claims_of(view, step)]
    found = list(_claims_of(view, view.step(rev)))
    if not found:
        raise UsageError(f"{rev} claims no score: there is nothing to verify")
    return found


def differing_parts(claimed: str, here: str) -> list[Difference]:
    """The parts in which two stamps of `PlayProtocol` differ."""
    ours, theirs = _stamp_parts(here), _stamp_parts(claimed)
    names = dict.fromkeys((*theirs, *ours))
    return [
        Difference(name, theirs.get(name), ours.get(name))
        for name in names
        if theirs.get(name) != ours.get(name)
    ]


def first_difference(
    claimed: Sequence[EpisodeResult], played: Sequence[EpisodeResult]
) -> Difference | None:
    """Where two lists of episodes first differ: which seed, and which step of it."""
    for theirs, ours in zip(claimed, played, strict=False):
        if theirs.seed != ours.seed:
            return Difference("seed", theirs.seed, ours.seed, theirs.seed)
        if theirs.digest != ours.digest:
            return _different_action(theirs, ours)
        for what, a, b in (
            ("return", theirs.episode_return, ours.episode_return),
            ("steps", theirs.n_steps, ours.n_steps),
            ("outcome", theirs.outcome.value, ours.outcome.value),
        ):
            if a != b:
                return Difference(what, a, b, theirs.seed)
    if len(claimed) != len(played):
        return Difference("episodes", len(claimed), len(played))
    return None


def _different_action(theirs: EpisodeResult, ours: EpisodeResult) -> Difference:
    """The first action that differs, as far as the records say which it is."""
    seed = theirs.seed
    if not theirs.actions:
        return Difference("actions", theirs.digest, ours.digest, seed)
    then, now = unpack_actions(theirs.actions), unpack_actions(ours.actions)
    place = first_different_step(then, now)
    if place is None or digest_actions(then) != theirs.digest:
        return Difference("digest that its own actions do not have", theirs.digest, None, seed)
    width = max(1, len(now) // max(1, ours.n_steps))
    step = place // width
    return Difference("action", _at(then, step, width), _at(now, step, width), seed, step)


def _at(actions: bytes, step: int, width: int) -> int | str | None:
    """The action of a step, ``width`` bytes long: an index, or else numbers as hexadecimal."""
    action = actions[step * width : (step + 1) * width]
    if width <= _INDEX_BYTES:
        return int.from_bytes(action, "little") if action else None
    return action.hex() if action else None


def _facts_of(claimed: Facts, played: Evaluation, over: Evaluation | None) -> Facts:
    """The facts of a message, with the numbers that came out here."""
    facts = replace(
        claimed,
        return_mean=played.mean_return,
        return_se=played.standard_error,
        episodes=len(played.episodes),
        digest=played.digest,
    )
    if over is None or not over.is_valid:
        return replace(facts, gain=None, gain_se=None, pairs=None)
    gain = paired_gain(played.returns, over.returns)
    return replace(facts, gain=gain.mean, gain_se=gain.standard_error, pairs=gain.n_pairs)


def _claims_of(view: RunView, step: Step) -> Iterator[Claim]:
    for each in (*step.candidates, step):
        facts = each.facts
        if facts is None or all(getattr(facts, name) is None for name in _NUMBERS):
            continue
        if each is step and any(_says_the_same(facts, other.facts) for other in step.candidates):
            continue  # the numbers are those of the candidate beside it
        yield _claim(view, each, facts)


def _says_the_same(line: Facts, candidate: Facts | None) -> bool:
    """Whether an iteration that was turned down tells the numbers of that candidate."""
    names = (*_NUMBERS, *_NEEDED)
    return not line.verdict.is_kept and all(
        getattr(line, name) == getattr(candidate, name, None) for name in names
    )


def _claim(view: RunView, step: Step, facts: Facts) -> Claim:
    source = PolicySource(view.policy(step.commit))
    over = None
    if facts.gain is not None and step.parents:
        over = PolicySource(view.policy(step.parents[0]))
    told = {"jail": facts.jail} if facts.jail else {}
    folder, where = evidence_folder(facts.iteration), f"of commit {step.commit[:9]}"
    text = view.read(folder + EPISODES, step.commit)
    if text is None:
        return Claim(step.commit, facts, source, over, made_in=told)
    evidence = parse_evidence(text, f"{EPISODES} {where}")
    actions = _read_actions(view.read(folder + ACTIONS, step.commit), f"{ACTIONS} {where}")
    episodes = tuple(
        replace(e, actions=actions.get(str(e.seed), "")) for e in _own_episodes(evidence, source)
    )
    return Claim(step.commit, facts, source, over, episodes, {**evidence.made_in, **told})


def _own_episodes(evidence: Evidence, source: PolicySource) -> tuple[EpisodeResult, ...]:
    """Those of the policy itself; where it is not named, the first are."""
    return evidence.of(source) or next(iter(evidence.policies.values()), ())


def _read_actions(text: str | None, what: str) -> dict[str, str]:
    if text is None:
        return {}
    with readable(what):
        actions = {str(seed): str(record) for seed, record in json.loads(text)["actions"].items()}
        for record in actions.values():
            unpack_actions(record)
        return actions


def _stamp_parts(stamp: str) -> dict[str, str]:
    """Name to value; the two words without a name are the protocol's own and the environment."""
    nameless = iter(("protocol", "environment"))
    parts = {}
    for word in stamp.split():
        name, separator, value = word.partition("=")
        if separator:
            parts[name] = value
        else:
            parts[next(nameless, word)] = word
    return parts
