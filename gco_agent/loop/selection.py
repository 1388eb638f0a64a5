"""Choose the parent of the next proposal, and the candidate to keep.

A single policy is in force, and every candidate has to beat it. With `Selection` every proposal
edits it; with `Revisit`, the default, some edit an inconclusive candidate.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import hmac
import json
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, replace

from gco_agent.core import codec
from gco_agent.core.errors import StoreError
from gco_agent.core.records import EpisodeResult, Verdict
from gco_agent.core.seeds import Stream
from gco_agent.core.statistics import Aim, Gain
from gco_agent.evaluation.judge import AcceptanceCriterion, Judge
from gco_agent.loop.candidate import FILE, Candidate, StoredCandidate
from gco_agent.policy.source import PolicySource
from gco_agent.store.config import RunConfig
from gco_agent.store.evidence import parse_evidence
from gco_agent.store.run import Run
from gco_agent.store.view import EPISODES_FILE, RunView, Step, evidence_folder


class Archive:
    """A read view of the policies of a run; its steps are in order, oldest first."""

    def __init__(self, run: RunView, history: Sequence[Step] | None = None) -> None:
        self.run = run
        self.history: Sequence[Step] = run.history() if history is None else history

    @functools.cached_property
    def champion(self) -> PolicySource:
        """The policy in force."""
        return self.policy(self.history[-1])

    def policy(self, step: Step) -> PolicySource:
        """Return the policy of a step."""
        return PolicySource(self.run.policy(step.commit))

    @functools.cached_property
    def inconclusive(self) -> list[tuple[Step, PolicySource]]:
        """Inconclusive candidates for the policy in force that were not edited yet.

        Sorted by the lower bound of the gain, best first.
        """
        since = next(n for n, s in enumerate(self.history) if s.commit == self.run.standing.commit)
        tried = [each for step in self.history[since:] for each in step.candidates]
        paths = [(each.commit, evidence_folder(each.iteration or 0) + FILE) for each in tried]
        texts = [text for text in self.run.repo.read_files(paths) if text is not None]
        edited = {codec.loads(StoredCandidate, text, FILE).edited for text in texts}
        found = []
        for step in tried:
            facts, source = step.facts, self.policy(step)
            is_open = facts is not None and facts.verdict is Verdict.INCONCLUSIVE
            if facts is None or facts.gain is None or not is_open or source.digest in edited:
                continue
            gain = Gain(facts.gain, facts.gain_se, facts.pairs or 0, 1.0)
            found.append((gain.lower_bound, step, source))
        found.sort(key=lambda each: each[0], reverse=True)
        return [(step, source) for _, step, source in found]

    @property
    def n_turned_down(self) -> int:
        """Iterations since the last one whose policy was accepted."""
        kept = (step.verdict.is_kept for step in reversed(self.history))
        return next(n for n, is_kept in enumerate(kept) if is_kept)

    def episodes(self, source: PolicySource) -> list[EpisodeResult]:
        """Return the latest episodes on record that a policy played in races."""
        races, found = (
            range(Stream.SELECTION.value, Stream.REPORT.value),
            dict[int, EpisodeResult](),
        )
        for step in reversed(self.history[-_LATEST_STEPS:]):
            if len(found) >= _ENOUGH_EPISODES:
                break
            path = evidence_folder(step.iteration or 0) + EPISODES_FILE
            commits = [each.commit for each in (step, *step.candidates) if each.facts is not None]
            texts = self.run.repo.read_files([(commit, path) for commit in commits])
            for commit, text in zip(commits, texts, strict=True):
                if text is not None:
                    evidence = parse_evidence(text, f"{EPISODES_FILE} of commit {commit[:9]}")
                    found |= {e.seed: e for e in evidence.of(source) if e.seed in races}
        return list(found.values())

    @functools.cached_property
    def baseline(self) -> PolicySource | None:
        """The policy that a simpler one must be no worse than; None if it is the champion.

        This is the last policy that had to show a gain, so that a series of simplifications cannot
        lose the margin again and again.
        """
        line = [step for step in self.history if step.verdict.is_kept]
        place = here = len(line) - 1
        while place > 0:
            step = line[place]
            if self._changed_nothing(step) or self._only_had_to_be_no_worse(step):
                place -= 1
            elif step.verdict is Verdict.ROLLED_BACK:
                twins = [n for n in range(place) if self.policy(line[n]) == self.policy(step)]
                if not twins:
                    break
                place = twins[-1]
            else:
                break
        source = self.policy(line[place])
        return None if place == here or source == self.champion else source

    def _changed_nothing(self, step: Step) -> bool:
        if step.verdict is Verdict.BY_HAND:
            return self.run.policy(step.commit) == self.run.policy(step.parents[0])
        return step.verdict is Verdict.REPORTED

    def _only_had_to_be_no_worse(self, step: Step) -> bool:
        text = self.run.evidence(step, FILE) if step.verdict is Verdict.ACCEPTED else None
        try:
            return text is not None and json.loads(text)["aim"] == Aim.NO_WORSE.name
        except (ValueError, KeyError, TypeError):
            return False  # a record that cannot be read


_LATEST_STEPS, _ENOUGH_EPISODES = 32, 64
_LONG_SHARE = 1 / 4
"""Share of the parent's episodes that must reach the race limit for a longer race."""


def race_steps(lengths: Sequence[int], config: RunConfig) -> int:
    """Return the steps after which the next race truncates an episode.

    These are `RunConfig.selection_steps`, or whole games once a quarter of the parent's episodes
    reach that limit.

    Args:
        lengths: Steps of the parent's episodes, from `Archive.episodes`.
    """
    short = config.selection_protocol.max_steps
    n_long = sum(length >= short for length in lengths)
    is_long = bool(lengths) and n_long >= _LONG_SHARE * len(lengths)
    return config.protocol.max_steps if is_long else short


def race_judge(archive: Archive, config: RunConfig, judge: Judge) -> Judge:
    """Return the judge of the next race, with the length that `race_steps` gives."""
    if config.selection_protocol == config.protocol:
        return judge
    known = archive.episodes(archive.champion)
    n_steps = race_steps([episode.n_steps for episode in known], config)
    return judge.under(replace(judge.protocol, max_steps=n_steps))


class Selection:
    """Choose the parents of a proposal, the acceptance criterion, and the candidate to keep.

    One policy is in force. It is edited, and replaced by the best candidate that wins its race
    against it. A subclass may choose other parents.
    """

    def parents(self, archive: Archive) -> Sequence[PolicySource]:
        """Return the parents of the next request; the first is the one to edit."""
        return (archive.champion,)

    def criterion(self, archive: Archive, rivals: Sequence[Candidate]) -> AcceptanceCriterion:
        """Return the acceptance criterion; the rivals share the error rate.

        A candidate that only has to be no worse is compared with the baseline.
        """
        raced = [each.proposal for each in rivals if each.proposal is not None and each.may_race]
        criterion = AcceptanceCriterion(n_rivals=max(1, len(raced)))
        if any(proposal.aim is Aim.NO_WORSE for proposal in raced):
            return replace(criterion, baseline=archive.baseline)
        return criterion

    def place(self, candidates: Sequence[Candidate]) -> tuple[Candidate, bool]:
        """Return the best candidate, and whether it is the run's next policy.

        That is the best winner; without one the best that was scored, or else the last.
        """
        won = [each for each in candidates if each.is_won]
        scored = won or [each for each in candidates if each.is_scored]
        best = max(scored, key=lambda each: each.rank) if scored else candidates[-1]
        return best, bool(won)


_PATIENCE = 3


class Revisit(Selection):
    """Edit the best inconclusive candidate after three rejections in a row."""

    def parents(self, archive: Archive) -> Sequence[PolicySource]:
        """Return what to edit, and the policy in force."""
        n = archive.n_turned_down
        if n and n % _PATIENCE == 0 and archive.inconclusive:
            return (archive.inconclusive[0][1], archive.champion)
        return (archive.champion,)


@dataclass(frozen=True, slots=True)
class Editing(Selection):
    """Edit a given inconclusive candidate, to repeat an iteration.

    Attributes:
        digest: Of its policy; empty for the policy in force.
    """

    digest: str

    def parents(self, archive: Archive) -> Sequence[PolicySource]:
        """Return the candidate, or else the policy in force."""
        found = archive.inconclusive if self.digest else []
        edited = [source for _, source in found if source.digest == self.digest]
        return (*edited[:1], archive.champion)


LINE, REVISIT = Selection(), Revisit()


def new_secret() -> str:
    """Return the secret of a run."""
    return secrets.token_hex(32)


_KEY_FILE = "selection.key"
_MOST_PAIRS = 10_000


def selection_seed(config: RunConfig, iteration: int, run: Run | None = None) -> int:
    """Return the index in the selection stream at which the races of an iteration begin.

    It is derived from the seed of the run and the rules of play, so that the run can be repeated.

    Args:
        run: Derive it from a secret in the repository's git folder instead: a killed iteration gets
            the same seeds again, and whoever writes the policy cannot know them.
    """
    secret = f"{config.seed} {config.protocol.stamp}" if run is None else _secret(run)
    digest = hmac.new(secret.encode(), str(iteration).encode(), hashlib.sha256).digest()
    return Stream.SELECTION.place(int.from_bytes(digest, "big"), _MOST_PAIRS)


def _secret(run: Run) -> str:
    secret = run.set_aside(_KEY_FILE)
    if not secret:
        secret = new_secret()
        with contextlib.suppress(StoreError):  # forgotten, it is as secret
            run.put_aside(_KEY_FILE, secret)
    return secret
