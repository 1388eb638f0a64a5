"""The constants of any policy, moved by CMA-ES.

Every generation plays fresh feedback seeds, the same for all of its members, cut at a horizon. A
move counts for nothing until it has beaten the constants there were on seeds that no generation
played, and then in the judge's race.
"""

from __future__ import annotations

import json
import math
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from gco_agent.core.codec import readable
from gco_agent.core.errors import ProposalError
from gco_agent.core.events import Searching
from gco_agent.core.records import EpisodeResult
from gco_agent.core.seeds import seed_of_chance
from gco_agent.optimizers.base import Capabilities, Optimizer, Proposal, Request, Tools, Unusable
from gco_agent.optimizers.cma import Evolution
from gco_agent.optimizers.trials import Trials, seeds_of, trials_of
from gco_agent.policy import PolicySource, format_policy
from gco_agent.policy.constants import TunableConstant, sign_of, tunable_constants, with_constants

MEMORY_FILE = "tune.json"
MOST_CONSTANTS = 12
"""More are not tuned at a time: there was no significant gain on 18 to 19 of them in five minutes,
and clear ones on up to six."""
_FIRST_SPREAD = 0.6
_SEEDS_A_GENERATION = 2
_HORIZONS = (600, 1_800)
"""Steps an episode of a generation has at least and at most."""
_POINTS = 10
"""Points that the policy should win or lose in an episode, for its return to mean something."""
_GENERATIONS = 8
"""As many should be paid for; with less to spend the horizon is shorter."""
_SHORTEST = 150
_LOOK_STEPS = 500
_FAILED = 1.0
"""What a failed member loses more than the worst that did not fail."""
_FINAL_SEEDS, _FINAL_SHARE = 8, 0.75
_SURVIVAL = 1e-5
"""Worth of one more step played, so that equal returns are not equal losses."""


@dataclass(frozen=True, slots=True)
class Move:
    """A constant before and after."""

    name: str
    before: float
    after: float

    def __str__(self) -> str:
        return f"{self.name} {self.before:g} → {self.after:g}"


@dataclass(frozen=True, slots=True)
class Tuned:
    """What tuning came to.

    Attributes:
        source: The policy with its new constants, every other byte as before; the policy itself
            where nothing better was found.
        moves: The constants that changed.
        constants: Names of those that were tuned.
        generations: How many were played.
        gain: Points an episode over the constants there were, on seeds that no generation played;
            None if nothing was found that could be compared.
        memory: For the next time: where the distribution stands.
    """

    source: PolicySource
    moves: tuple[Move, ...]
    constants: tuple[str, ...]
    generations: int
    gain: float | None
    memory: Mapping[str, Any] = field(default_factory=dict)


Teller = Callable[[str, float], None]
"""Told what is done, and the share of the purse that is used."""


def tune_policy(
    source: PolicySource,
    trials: Trials,
    seeds: range,
    *,
    rng_seed: int,
    memory: Mapping[str, Any] | None = None,
    tell: Teller = lambda _what, _done: None,
) -> Tuned:
    """Move the constants of ``source`` until the purse of ``trials`` is used up.

    Args:
        source: Anybody's policy; it plays in the jail.
        trials: Who plays, and for how much.
        seeds: Feedback seeds; the first of them are kept for the final comparison.
        rng_seed: Seeds CMA-ES; positive.
        memory: From `Tuned.memory`, to go on from there.
        tell: Told how things stand.

    Raises:
        ProposalError: The policy has no constants that matter, or fails as it is.
    """
    found = tunable_constants(source)
    if not found:
        raise ProposalError(
            "the policy has no numeric constants to tune: give the distances, times and factors "
            "it decides by names at the top of the module"
        )
    tuner = _Tuner(source, trials, seeds, tell)
    tuner.set_horizon()
    constants = tuner.that_matter(found)
    if not constants:
        names = ", ".join(constant.name for constant in found)
        raise ProposalError(f"no constant of the policy changes what it does ({names})")
    evolution = _begin(source, constants, rng_seed, memory)
    tuner.run(evolution, constants)
    chosen, gain = tuner.choose(evolution, constants)
    signs = {c: sign_of(source, c) for c in constants}
    before = {c: signs[c] * c.value for c in constants}
    after = {c: signs[c] * c.fitted(v) for c, v in zip(constants, chosen, strict=True)}
    return Tuned(
        with_constants(source, constants, chosen),
        tuple(Move(c.name, before[c], after[c]) for c in constants if before[c] != after[c]),
        tuple(c.name for c in constants),
        tuner.generations,
        gain,
        {
            "schema": 1,
            "policy": source.digest,
            "mean": dict(zip((c.name for c in constants), map(float, evolution.mean), strict=True)),
            "spread": dict(zip((c.name for c in constants), evolution.spread, strict=True)),
        },
    )


def _begin(
    source: PolicySource,
    constants: Sequence[TunableConstant],
    rng_seed: int,
    memory: Mapping[str, Any] | None,
) -> Evolution:
    """A distribution around the constants, or where it was left if it was left for this policy."""
    known = memory or {}
    spread = known.get("spread", {})
    mean = known.get("mean", {}) if known.get("policy") == source.digest else {}
    return Evolution(
        [float(mean.get(c.name, c.value)) for c in constants],
        [c.scale for c in constants],
        [float(spread.get(c.name, _FIRST_SPREAD)) for c in constants],
        rng_seed,
    )


def read_memory(data: Mapping[str, Any]) -> Mapping[str, Any]:
    """`Tuned.memory` from a run's branch, which anybody may have written.

    Raises:
        ValueError: A number is none, or not finite.
    """
    kept: dict[str, Any] = {"policy": str(data["policy"])}
    for part in ("mean", "spread"):
        kept[part] = {str(name): float(value) for name, value in data[part].items()}
        if not all(map(math.isfinite, kept[part].values())):
            raise ValueError(f"{part} has a number that is not finite")
    return kept


class _Tuner:
    """One tuning of one policy."""

    def __init__(self, source: PolicySource, trials: Trials, seeds: range, tell: Teller) -> None:
        self._source, self._trials, self._tell = source, trials, tell
        self._final_seeds, self._seeds = seeds[:_FINAL_SEEDS], seeds[_FINAL_SEEDS:]
        self._horizon = _HORIZONS[0]
        self._best: tuple[float, list[float]] | None = None
        self.generations = 0

    def set_horizon(self) -> None:
        """Choose a horizon in which the policy sees enough of the game.

        Raises:
            ProposalError: The policy fails.
        """
        _, longest = _HORIZONS
        seeds = self._seeds[:_SEEDS_A_GENERATION]
        played = self._trials.play([self._source.text], seeds, longest)[0]
        for episode in played:
            if not episode.outcome.is_scored:
                raise ProposalError(
                    f"the policy fails as it is (feedback seed {episode.seed}, step "
                    f"{episode.n_steps}, {episode.outcome.value}): {episode.detail}"
                )
        scored = sum(abs(e.episode_return) for e in played)
        n_steps = sum(e.n_steps for e in played)
        wanted = _POINTS * n_steps / max(1.0, scored)
        self._horizon = round(min(longest, max(_HORIZONS[0], wanted)))

    def that_matter(self, found: Sequence[TunableConstant]) -> list[TunableConstant]:
        """Those whose change changes an action; the named ones first, and not too many."""
        seed, horizon = self._seeds[0], min(_LOOK_STEPS, self._horizon)
        recorded = self._trials.record(self._source.text, [seed], horizon)
        matter: list[TunableConstant] = []
        for first in range(0, len(found), MOST_CONSTANTS):
            batch = found[first : first + MOST_CONSTANTS]
            texts = [
                with_constants(self._source, [c], [c.value + sign * 1.5 * c.scale]).text
                for c in batch
                for sign in (1, -1)
            ]
            same = self._trials.acts_the_same(texts, recorded, horizon)
            matter += [c for i, c in enumerate(batch) if not (same[2 * i] and same[2 * i + 1])]
            if len(matter) >= MOST_CONSTANTS:
                break
        return matter[:MOST_CONSTANTS]

    def run(self, evolution: Evolution, constants: Sequence[TunableConstant]) -> None:
        """Play generations while the purse lasts; at least one."""
        purse, n_episodes = self._trials.purse, evolution.size * _SEEDS_A_GENERATION
        paid_for = int(purse.left * _FINAL_SHARE) // (_GENERATIONS * n_episodes)
        self._horizon = max(_SHORTEST, min(self._horizon, paid_for))
        while self.generations == 0 or purse.share(_FINAL_SHARE):
            first = 1 + self.generations * _SEEDS_A_GENERATION
            seeds = [self._seeds[(first + i) % len(self._seeds)] for i in range(2)]
            points = [list(map(float, point)) for point in evolution.ask()]
            texts = [with_constants(self._source, constants, point).text for point in points]
            losses = _losses(self._trials.play(texts, seeds, self._horizon))
            evolution.tell(losses)
            least = min(losses)
            if self._best is None or least < self._best[0]:
                self._best = least, points[losses.index(least)]
            self.generations += 1
            self._tell("generations", purse.used / purse.n_steps)

    def choose(
        self, evolution: Evolution, constants: Sequence[TunableConstant]
    ) -> tuple[list[float], float | None]:
        """The middle of the last generation, the best member seen, or what there was.

        Whichever does best on seeds that no generation played; and its gain there.
        """
        own = [constant.value for constant in constants]
        offered = [own, list(map(float, evolution.mean)), self._best[1] if self._best else own]
        texts = [with_constants(self._source, constants, values).text for values in offered]
        purse = self._trials.purse
        n_seeds = max(3, min(_FINAL_SEEDS, purse.left // (len(texts) * self._horizon)))
        horizon = max(self._horizon, purse.left // (len(texts) * n_seeds))
        self._tell("compare", purse.used / purse.n_steps)
        played = self._trials.play(texts, self._final_seeds[:n_seeds], horizon)
        means = [_mean(episodes) for episodes in played]
        best = max(range(len(offered)), key=lambda i: (means[i], -i))
        gain = means[best] - means[0]
        return (offered[best], gain) if best else (own, None)


def _losses(played: Sequence[Sequence[EpisodeResult]]) -> list[float]:
    """The negated means; those with a failed episode lose more than all the others."""
    means = [_mean(episodes) for episodes in played]
    scored = [-mean for mean in means if mean > float("-inf")]
    worst = max(scored, default=0.0) + _FAILED
    return [worst if mean == float("-inf") else -mean for mean in means]


def _mean(episodes: Sequence[EpisodeResult]) -> float:
    """Mean return, and a little for every step survived; minus infinity for a failure."""
    if not all(episode.outcome.is_scored for episode in episodes):
        return float("-inf")
    return statistics.fmean(e.episode_return + _SURVIVAL * e.n_steps for e in episodes)


class TuneOptimizer(Optimizer):
    """Moves the constants of the run's policy.

    Args:
        tools: What it may use.
        seconds: How long it may take for a proposal; None for a slice of the run's configuration.
    """

    name = "tune"
    capabilities = Capabilities(one_candidate=True)

    def __init__(self, tools: Tools, seconds: float | None = None) -> None:
        self._tools, self._seconds = tools, seconds

    @classmethod
    def create(cls, tools: Tools) -> TuneOptimizer:
        """Create the optimizer with the time of a slice for each proposal."""
        return cls(tools)

    def propose(self, request: Request) -> Proposal:
        """Tune for a slice, going on where the last one ended.

        Raises:
            ProposalError: There is nothing to tune, or nothing better was found.
        """
        trials = trials_of(request, self._tools, self._seconds)
        remembered = request.recall(MEMORY_FILE)
        with readable(MEMORY_FILE):
            memory = read_memory(json.loads(remembered)) if remembered else None

        def tell(what: str, done: float) -> None:
            request.progress(Searching(f"tune: {what}", min(1.0, done), trials.purse.used, ""))

        tuned = tune_policy(
            request.parent,
            trials,
            seeds_of(request.iteration),
            rng_seed=seed_of_chance(request.config.seed * 1_000 + request.iteration),
            memory=memory,
            tell=tell,
        )
        files = {MEMORY_FILE: json.dumps(tuned.memory, indent=1) + "\n"}
        if not tuned.moves:
            raise Unusable(
                f"{tuned.generations} generations on {', '.join(tuned.constants)} found nothing "
                "better than the constants there are",
                kind="no gain",
                files=files,
            )
        return Proposal(
            PolicySource(format_policy(tuned.source.text)),
            f"tune {', '.join(move.name for move in tuned.moves)}",
            reason_for(tuned, trials.purse.used),
            files,
            trials.purse.used,
        )


def reason_for(tuned: Tuned, n_steps: int) -> str:
    """What was moved and on what grounds, in a paragraph and a list."""
    moves = "\n".join(f"- {move}" for move in tuned.moves)
    return (
        f"CMA-ES moved constants over {tuned.generations} generations, {n_steps:,} steps played on "
        f"feedback seeds:\n\n{moves}"
    )
