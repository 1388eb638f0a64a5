"""Verify what a run's commits claim, with a judge that knows nothing before.

A claim is a commit: its policy, its message and its evidence. Rules of play are compared first:
with another emulator or ROM nothing is played, because nothing could be concluded. Then everything
that the commit says is computed again: subject, body, complexity, frames and cost; the race with
its parent and the verdict; every number of the message; and every episode of every policy of the
evidence, down to the first action that differs. Times, the level of the jail and free words cannot
be computed again. They are authenticated by the signature of the message where this user's machine
made the commit, and believed otherwise; `Claim.is_signed` says which. Of a long claim the first
episodes can be played alone; its numbers and its verdict are then computed from its own evidence.

The jail's level, the Python and the machine of the claim are not rules of play: a policy that
computes with integers plays the same in all of them. They are reported beside the answer, so that a
difference has its explanation next to it.
"""

from __future__ import annotations

import enum
import json
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from math import isclose
from typing import Any

from gco_agent.core import codec
from gco_agent.core.codec import readable
from gco_agent.core.errors import PolicyError, UsageError
from gco_agent.core.records import (
    EpisodeResult,
    Evaluation,
    PlayProtocol,
    Usage,
    Verdict,
    digest_actions,
    first_different_step,
    unpack_actions,
)
from gco_agent.core.seeds import MOST_EPISODES, STREAM_LENGTH, Stream, parse_seed_range
from gco_agent.core.statistics import Verdict as RaceVerdict
from gco_agent.core.statistics import paired_gain
from gco_agent.core.text import format_score
from gco_agent.evaluation.judge import AcceptanceCriterion, Judge
from gco_agent.evaluation.workers import WorkerPool
from gco_agent.jail.limits import JailLevel
from gco_agent.loop.candidate import (
    FILE,
    Candidate,
    StoredCandidate,
    describe_race,
)
from gco_agent.loop.recording import ACTIONS, EPISODES, read_exchanges
from gco_agent.loop.selection import LINE, Archive, race_steps
from gco_agent.policy.source import PolicySource, claim_of, is_same_but_for_score, measure
from gco_agent.store.config import FILE as CONFIG
from gco_agent.store.config import parse_config
from gco_agent.store.entries import Facts, headline
from gco_agent.store.evidence import Evidence, conditions, parse_evidence
from gco_agent.store.view import RunView, Step, evidence_folder

_INDEX_BYTES = 4
"""An action that is an index takes no more than these in a record; one of numbers takes more."""
_NUMBERS = ("return_mean", "return_se", "episodes", "gain", "gain_se", "pairs", "digest")
"""Facts that are compared."""
_NEEDED = ("protocol", "seeds", "digest")
"""Facts that are needed to play a claim again."""
_RACED = (Verdict.ACCEPTED, Verdict.REJECTED, Verdict.INCONCLUSIVE)
_SCORED = (Verdict.INITIAL, Verdict.ACCEPTED, Verdict.REPORTED)
"""Verdicts that claim a score."""
_OF_ROLLBACK = ("return_mean", "return_se", "episodes", "seeds", "protocol", "digest")
_OLD_RULES = "judged by the rules of an earlier version"
_RACE = re.compile(r"On \d+ selection seeds .{0,500}?\)\.")
_RIVAL_WON = " It won its race, as did a better candidate: "


class Answer(enum.Enum):
    """The result of verifying a claim."""

    HOLDS = "holds"
    PART_HOLDS = "holds as far as it was played"
    DIFFERS = "differs"
    INCOMPARABLE = "cannot be compared"


@dataclass(frozen=True, slots=True)
class Difference:
    """A value that differs from the claim.

    Attributes:
        claimed: What the commit says; None if it says nothing.
    """

    what: str
    claimed: Any
    here: Any
    seed: int | None = None
    step: int | None = None


@dataclass(frozen=True, slots=True)
class Claim:
    """The claims of a commit about its policy.

    Attributes:
        parent: The policy that a gain is over; None where no gain is claimed.
        episodes: Those of its policy in its evidence, with the actions where they were recorded.
        text: Subject and body of its message, on one line.
        criterion: The acceptance criterion of its race; None if unknown.
        faults: Differences that need no playing to be found.
        is_signed: This user's machine wrote the message. Words, times and jail level of any other
            message cannot be verified.
        has_rival: Another candidate of its iteration was accepted.
        is_by_old_rules: An earlier version decided the verdict, so it cannot be verified.
    """

    commit: str
    facts: Facts
    source: PolicySource
    parent: PolicySource | None = None
    episodes: tuple[EpisodeResult, ...] = ()
    made_in: dict[str, str] = field(default_factory=dict)
    text: str = ""
    others: tuple[tuple[PolicySource, tuple[EpisodeResult, ...]], ...] = ()
    criterion: AcceptanceCriterion | None = None
    faults: tuple[Difference, ...] = ()
    is_signed: bool = False
    has_rival: bool = False
    is_by_old_rules: bool = False


@dataclass(frozen=True, slots=True)
class Verified:
    """A claim and the result of verifying it.

    Attributes:
        differences: For DIFFERS, numbers of the message; for INCOMPARABLE, parts of the protocol.
        first: The first episode that differs, and its first different action if known.
        played_in: As `Claim.made_in`, here.
    """

    claim: Claim
    answer: Answer
    differences: tuple[Difference, ...] = ()
    first: Difference | None = None
    played: Evaluation | None = None
    played_in: dict[str, str] = field(default_factory=dict)


class Verifier:
    """Verify claims by playing them again; a shared episode is played once.

    Args:
        episodes: Play at most this many of each claim; all by default.
    """

    def __init__(
        self,
        pool: WorkerPool,
        require: JailLevel = JailLevel.NONE,
        episodes: int = MOST_EPISODES,
    ) -> None:
        self._pool, self._require, self._most = pool, require, episodes
        self._judges: dict[str, Judge] = {}

    def verify(
        self,
        claim: Claim,
        rules: Sequence[PlayProtocol],
        watch: Callable[[int, int], None] | None = None,
    ) -> Verified:
        """Play ``claim`` again.

        Args:
            rules: The protocols of the run, with the versions installed here.
        """
        missing = [name for name in _NEEDED if getattr(claim.facts, name) is None]
        if missing:
            lacking = [Difference(name, None, "needed") for name in missing]
            answer = Answer.DIFFERS if claim.faults else Answer.INCOMPARABLE
            return Verified(claim, answer, (*claim.faults, *lacking))
        stamp = claim.facts.protocol or ""
        protocol = min(rules, key=lambda one: len(differing_parts(stamp, one.stamp)))
        parts = differing_parts(stamp, protocol.stamp)
        if parts:
            return Verified(claim, Answer.INCOMPARABLE, tuple(parts))
        judge = self._judges.setdefault(stamp, Judge(self._pool, protocol, self._require))
        seeds = parse_seed_range(claim.facts.seeds or "")
        if len(seeds) != claim.facts.episodes or len(seeds) > MOST_EPISODES:
            stated = Difference("episodes", claim.facts.episodes, len(seeds))
            return Verified(claim, Answer.DIFFERS, (*claim.faults, stated))
        is_part = bool(len(seeds) > self._most and claim.episodes)
        stating = self._of_evidence(claim, judge.protocol) if is_part else judge
        whole = stating.evaluate(claim.source, seeds, None if is_part else watch)
        over = stating.evaluate(claim.parent, seeds) if claim.parent and whole.is_valid else None
        differences = [
            *claim.faults,
            *_differing_numbers(claim.facts, _facts_of(claim.facts, whole, over)),
            *_check_seeds(claim, seeds),
            *_check_race(claim, stating, seeds),
        ]
        some = seeds[: self._most] if is_part else seeds
        played = judge.evaluate(claim.source, some, watch)
        first = None
        for source, episodes in ((claim.source, claim.episodes), *claim.others):
            if source is not claim.source and [e.seed for e in episodes] != list(seeds):
                differences.append(Difference("seeds of the evidence", None, claim.facts.seeds))
            elif episodes and first is None:
                claimed = episodes[: len(some)] if is_part else episodes
                first = first_difference(claimed, judge.evaluate(source, some).episodes)
        answer = Answer.PART_HOLDS if is_part else Answer.HOLDS
        if differences or first:
            answer = Answer.DIFFERS
        elif claim.is_by_old_rules and not is_part:
            answer = Answer.INCOMPARABLE
            differences.append(Difference("verdict", claim.facts.verdict.value, _OLD_RULES))
        here = (*played.episodes, *(over.episodes if over and not is_part else ()))
        return Verified(claim, answer, tuple(differences), first, played, conditions(here))

    def _of_evidence(self, claim: Claim, protocol: PlayProtocol) -> Judge:
        """Return a judge that knows the episodes of a claim's evidence."""
        judge = Judge(self._pool, protocol)
        for source, episodes in ((claim.source, claim.episodes), *claim.others):
            judge.import_episodes(source.digest, Evaluation(episodes, protocol.stamp))
        return judge


def _differing_numbers(claimed: Facts, here: Facts) -> Iterator[Difference]:
    for name in _NUMBERS:
        yield from _differing(name.replace("_", " "), getattr(claimed, name), getattr(here, name))


def _check_seeds(claim: Claim, seeds: range) -> Iterator[Difference]:
    """Yield a difference if a run would not play these seeds: they may be hand-picked."""
    verdict, n = claim.facts.verdict, len(seeds)
    if verdict is Verdict.REPORTED and seeds != Stream.REPORT.seeds(0, n):
        yield Difference("seeds", claim.facts.seeds, Stream.REPORT.label(0, n))
    elif verdict in (Verdict.INITIAL, Verdict.ACCEPTED) and (
        seeds.start not in Stream.SELECTION.seeds(0, STREAM_LENGTH)
    ):
        yield Difference("seeds", claim.facts.seeds, "of the selection stream")


def _check_race(claim: Claim, judge: Judge, seeds: range) -> Iterator[Difference]:
    """Yield a difference if the verdict or its explanation does not follow from the race."""
    criterion, verdict = claim.criterion, claim.facts.verdict
    if criterion is None or claim.parent is None:
        return
    if seeds.start not in Stream.SELECTION.seeds(0, STREAM_LENGTH):
        yield Difference("seeds", claim.facts.seeds, "of the selection stream")
        return
    first = seeds.start - Stream.SELECTION.value
    race = judge.race(  # of no more pairs than are claimed, however the evidence was changed
        claim.source, claim.parent, criterion, first_seed=first, most_pairs=len(seeds)
    )
    if race.n_pairs != len(seeds):
        yield Difference("pairs", len(seeds), race.n_pairs)
        return
    said = describe_race(race)
    if race.gain is None:  # a traceback may hold an address
        said = said.rpartition("\n\n")[2]
    said, is_won = _one_line(said), race.verdict.is_won
    was_better = claim.has_rival and said + _RIVAL_WON in claim.text
    is_wrong = (verdict is Verdict.ACCEPTED) != is_won and not (is_won and was_better)
    is_open = race.verdict is RaceVerdict.INCONCLUSIVE
    if is_wrong or (verdict is Verdict.INCONCLUSIVE) != is_open:
        yield Difference("verdict", verdict.value, race.verdict.value)
    if said not in claim.text:
        yield Difference("body", "another description of the race", said)


def read_claims(view: RunView, rev: str | None = None) -> list[Claim]:
    """Return the claims of a run, oldest first: of all its commits, or of one.

    A commit made by hand that changes the policy is among them: it has no score.
    """
    steps = view.history() if rev is None else [view.step(rev)]
    found = [claim for step in steps for claim in _claims_of(view, step)]
    if rev is not None and not found:
        raise UsageError(f"{rev} claims no score: there is nothing to verify")
    return found


def differing_parts(claimed: str, here: str) -> list[Difference]:
    """Return the parts in which two stamps of `PlayProtocol` differ."""
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
    """Return the first seed and step at which two lists of episodes differ."""
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
    """Return the first action that differs, as far as the records show it."""
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
    """Return the action of a step: an index, or else its bytes as hexadecimal."""
    action = actions[step * width : (step + 1) * width]
    if width <= _INDEX_BYTES:
        return int.from_bytes(action, "little") if action else None
    return action.hex() if action else None


def _facts_of(claimed: Facts, played: Evaluation, over: Evaluation | None) -> Facts:
    """Return the facts of a message with the numbers measured here."""
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
    """Yield the claims of a step, or of the candidate that ``step`` is, its candidates first."""
    if step.facts is None:
        yield from _claim_by_hand(view, step)
        return
    line = view.history()
    place = next((n for n, s in enumerate(line) if step in (s, *s.candidates)), 0)
    for each in (*step.candidates, step):
        facts = each.facts
        if facts is None:
            continue
        is_side = each is not line[place]
        faults = tuple(_check_message(view, line, place, each, is_side=is_side))
        has_numbers = any(getattr(facts, name) is not None for name in _NUMBERS)
        if not has_numbers and facts.verdict in _SCORED:
            faults = (*faults, Difference("score", None, "needed"))
        if not has_numbers or (
            each is step and any(_says_the_same(facts, other.facts) for other in step.candidates)
        ):
            if faults:  # the numbers are none, or those of the candidate beside it
                yield Claim(
                    each.commit, facts, PolicySource(view.policy(each.commit)), faults=faults
                )
            continue
        claim = _claim(view, line[:place], each, facts, faults)
        has_rival = is_side and line[place].verdict is Verdict.ACCEPTED
        yield replace(claim, is_signed=view.is_signed(each), has_rival=has_rival)


def _claim_by_hand(view: RunView, step: Step) -> Iterator[Claim]:
    before, after = view.policy(step.parents[0]), view.policy(step.commit)
    if before == after:
        return
    number = max(s.iteration or 0 for s in view.history())
    facts = Facts(view.ref.branch, number, Verdict.BY_HAND)
    fault = Difference("policy", "changed by hand", "no score is claimed of it")
    in_force = (fault,) if after == view.policy() else ()
    yield Claim(step.commit, facts, PolicySource(after), faults=in_force)


def _made_for(view: RunView, line: Sequence[Step], facts: Facts) -> str:
    """Return the run that a commit should name: this one, or the one it was forked from."""
    first = line[0].facts
    return facts.run if first is not None and facts.run == first.run else view.ref.branch


def _check_message(
    view: RunView, line: Sequence[Step], place: int, step: Step, *, is_side: bool
) -> Iterator[Difference]:
    """Yield statements of a message that contradict the commit or those before it."""
    facts, earlier = step.facts, line[:place]
    assert facts is not None
    yield from _check_signature(view, step, facts)
    yield from _check_rollback(view, earlier, step, facts)
    told = [s.facts for s in earlier if s.facts is not None]
    expected = 1 + told[-1].iteration if told else 0
    yield from _differing("run", facts.run, _made_for(view, line, facts))
    yield from _differing("iteration", facts.iteration, expected)
    subject = headline(facts, step.summary, side=is_side)
    yield from _differing("subject", step.subject, subject)
    frames = max((f.frames for f in told if f.frames is not None), default=0)
    skip = re.search(r"frame_skip=(\d+)", facts.protocol or "")
    if facts.steps is not None and skip:
        yield from _differing("frames", facts.frames, frames + facts.steps * int(skip[1]))
    if not is_side and not facts.verdict.is_kept and place:
        kept = view.policy(step.commit) == view.policy(line[place - 1].commit)
        yield from _differing("policy", "as before" if kept else "another", "as before")
    if not is_side and not facts.verdict.is_kept:
        for candidate in step.candidates:
            raced = _RACE.search(_one_line(candidate.body))
            if raced is not None and raced[0] not in _one_line(step.body):
                yield Difference("body", "another description of the race", raced[0])
    if facts.verdict is Verdict.REPORTED and place:
        before, now = view.policy(line[place - 1].commit), view.policy(step.commit)
        is_same = is_same_but_for_score(before, now)
        yield from _differing("policy", "as before" if is_same else "another", "as before")
    if facts.loc is not None and (facts.verdict.is_kept or is_side):
        size = measure(view.policy(step.commit))
        yield from _differing("loc", facts.loc, size.loc)
        yield from _differing("cyclomatic", facts.cyclomatic, size.cyclomatic)
        yield from _differing("nested if", facts.nested_if, size.nested_if)
    if not is_side and (exchanges := read_exchanges(view, [step])):
        usage = sum((exchange.usage for exchange in exchanges), Usage())
        yield from _differing("tokens in", facts.tokens_in, usage.tokens_in)
        yield from _differing("tokens out", facts.tokens_out, usage.output_tokens)
        if usage.usd is not None and facts.usd is not None and not isclose(facts.usd, usage.usd):
            yield Difference("usd", facts.usd, usage.usd)


def _check_rollback(
    view: RunView, earlier: Sequence[Step], step: Step, facts: Facts
) -> Iterator[Difference]:
    """Yield a difference if no earlier step has the policy and the score of a rollback."""
    if facts.verdict is not Verdict.ROLLED_BACK:
        return
    policy = view.policy(step.commit)
    sources = [one for each in earlier for one in (each, *each.candidates)]
    twins = [one for one in sources if view.policy(one.commit) == policy]
    if not twins:
        yield Difference("policy", "another", "one of before")
    elif not any(
        all(getattr(one.facts, name, None) == getattr(facts, name) for name in _OF_ROLLBACK)
        for one in twins
    ):
        yield Difference("score", "another", "as before")


def _check_signature(view: RunView, step: Step, facts: Facts) -> Iterator[Difference]:
    """Yield a difference if this user's machine wrote the evidence but not the message."""
    path = evidence_folder(facts.iteration) + EPISODES
    texts = [view.read(path, each.commit) for each in (step, *step.candidates)]
    found = [parse_evidence(text, EPISODES) for text in texts if text is not None]
    is_mine = any(one.is_authentic and one.is_commit_signed for one in found)
    if is_mine and not view.is_signed(step):
        yield Difference("signature", "of other commits", "of this one after its parents")


def _differing(what: str, claimed: object, here: object) -> Iterator[Difference]:
    if claimed != here:
        yield Difference(what, claimed, here)


def _says_the_same(line: Facts, candidate: Facts | None) -> bool:
    """Return whether a rejected iteration states the numbers of this candidate."""
    names = (*_NUMBERS, *_NEEDED)
    return not line.verdict.is_kept and all(
        getattr(line, name) == getattr(candidate, name, None) for name in names
    )


def _claim(
    view: RunView, earlier: Sequence[Step], step: Step, facts: Facts, faults: tuple[Difference, ...]
) -> Claim:
    source = PolicySource(view.policy(step.commit))
    over, is_accepted = _compared_with(view, step, facts), facts.verdict is Verdict.ACCEPTED
    faults = (*faults, *_check_docstring(source, facts))
    told = {"jail": facts.jail} if facts.jail else {}
    text = _one_line(f"{step.subject} {step.body}")
    folder, where = evidence_folder(facts.iteration), f"of commit {step.commit[:9]}"
    record = view.read(folder + EPISODES, step.commit)
    if record is None:
        if facts.verdict is not Verdict.ROLLED_BACK:
            faults = (*faults, Difference(EPISODES, None, "needed"))
        return Claim(step.commit, facts, source, over, (), told, text, faults=faults)
    evidence = parse_evidence(record, f"{EPISODES} {where}")
    is_old = evidence.schema == 1
    criterion = _criterion(view, earlier, step, facts) if over and not is_old else None
    faults = (*faults, *(_check_length(view, earlier, over, facts) if criterion else ()))
    if is_accepted and criterion is None and not is_old:
        faults = (*faults, Difference(FILE, None, "needed"))
    others: list[tuple[PolicySource, tuple[EpisodeResult, ...]]] = []
    if not is_old:  # the digests of older records leave the docstring out
        known = {over.digest: over} if over else {}
        if not known and earlier and facts.verdict is Verdict.FAILED:
            known = {(p := PolicySource(view.policy(earlier[-1].commit))).digest: p}
        if criterion is not None and criterion.baseline is not None:
            known[criterion.baseline.digest] = criterion.baseline
        for digest, episodes in evidence.policies.items():
            if digest in known and digest != source.digest:
                others.append((known[digest], episodes))
            elif digest != source.digest:
                faults = (*faults, Difference("policy in the evidence", digest[:9], None))
        faults = (
            *faults,
            *_differing("protocol of the evidence", evidence.protocol, facts.protocol),
        )
    actions = _read_actions(view.read(folder + ACTIONS, step.commit), f"{ACTIONS} {where}")
    own = tuple(
        replace(e, actions=actions.get(str(e.seed), "")) for e in _own_episodes(evidence, source)
    )
    made_in = {**evidence.made_in, **told}
    return Claim(
        step.commit, facts, source, over, own, made_in, text, tuple(others), criterion, faults,
        is_by_old_rules=is_accepted and is_old,
    )  # fmt: skip


def _check_length(
    view: RunView, earlier: Sequence[Step], parent: PolicySource | None, facts: Facts
) -> Iterator[Difference]:
    """Yield a difference if the race had another length than earlier commits imply."""
    text, told = view.read(CONFIG), re.search(r"\bmax_steps=(\d+)", facts.protocol or "")
    if text is not None and told is not None and parent is not None:
        lengths = [episode.n_steps for episode in Archive(view, earlier).episodes(parent)]
        yield from _differing("max_steps", int(told[1]), race_steps(lengths, parse_config(text)))


def _compared_with(view: RunView, step: Step, facts: Facts) -> PolicySource | None:
    """Return the parent that a candidate was raced against, if its verdict implies a race."""
    if not step.parents or (facts.gain is None and facts.verdict not in _RACED):
        return None
    return PolicySource(view.policy(step.parents[0]))


def _check_docstring(source: PolicySource, facts: Facts) -> Iterator[Difference]:
    """Yield a score that the docstring states and the message does not."""
    try:
        stated = claim_of(source)
    except PolicyError:
        return
    if stated is None:
        return
    mean = format_score(facts.return_mean, facts.return_se, least=2)
    here = f"{mean} ({facts.episodes} episodes, {facts.seeds})"
    said = stated.score.strip().removesuffix(")")  # a part of it, or all
    if not here.startswith(said) or said.split()[0] != mean.split()[0]:
        yield Difference("score in the docstring", stated.score, here)


def _criterion(
    view: RunView, earlier: Sequence[Step], step: Step, facts: Facts
) -> AcceptanceCriterion | None:
    """Return the acceptance criterion, which depends on the rival candidates."""
    path = evidence_folder(facts.iteration) + FILE

    def stored(commit: str) -> Candidate | None:
        text = view.read(path, commit)
        return codec.loads(StoredCandidate, text, FILE).restore({}) if text is not None else None

    own = stored(step.commit)
    if own is None or own.proposal is None:
        return None
    whole = next(s for s in view.history() if s.facts and s.iteration == facts.iteration)
    commits = dict.fromkeys((*(s.commit for s in whole.candidates), whole.commit, step.commit))
    asked = [c for c in map(stored, commits) if c is not None and c.is_repair == own.is_repair]
    return replace(LINE.criterion(Archive(view, earlier), asked), aim=own.proposal.aim)


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _own_episodes(evidence: Evidence, source: PolicySource) -> tuple[EpisodeResult, ...]:
    """Return the episodes of the policy; the first ones if the policy is not named."""
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
    """Return the parts of a stamp by name; the protocol and the environment have no key."""
    nameless = iter(("protocol", "environment"))
    parts = {}
    for word in stamp.split():
        name, separator, value = word.partition("=")
        if separator:
            parts[name] = value
        else:
            parts[next(nameless, word)] = word
    return parts
