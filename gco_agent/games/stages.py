"""Stages: bands of results of a game, each with what to look at next. Data, and one look-up.

The bands of a game cover every mean return, and a higher return is never in an earlier band. The
words say where to look in a trace; they give no fact of a game that a policy should find out.
Thresholds near those of the reference implementation (Kuang et al. 2025, arXiv:2508.19506, as
released: Pong 0 and 19, Breakout 0 and 300, Space Invaders 100 and 300, Freeway 0 and 25, Asterix,
Seaquest 0 and 2,000, Enduro 0 and 100, Q*bert 0 and 5,000), with bands of our own between them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from gco_agent.games import GAMES, GameSpec, Hints


@dataclass(frozen=True, slots=True)
class Stage:
    """A band of results.

    Attributes:
        name: In a word or two.
        below: Mean returns up to but not including this one belong to it, unless to one before.
        advice: What to look at, in one or two sentences.
    """

    name: str
    below: float
    advice: str


FAILED = Stage(
    "fails",
    -math.inf,
    "The policy failed in an episode, so it has no score. Make it play to the end first: read the "
    "traceback and the step that failed, and mind what may be missing from an observation.",
)
"""Where an episode could not be scored."""

_END = math.inf


STAGES: Mapping[str, tuple[Stage, ...]] = {
    "pong": (
        Stage(
            "outplayed",
            -15,
            "The ball is hardly ever returned. Look at where the paddle is when the ball gets to "
            "its column, which action moves it which way, and how far it goes in a step.",
        ),
        Stage(
            "losing",
            0,
            "Some balls come back. In the points that were lost, compare where the ball was "
            "expected with where it really arrived, above all after it turned round on its way, "
            "and whether the paddle was there in time or went past its target.",
        ),
        Stage(
            "winning",
            12,
            "More points are won than lost. Look at the points that are still lost for what they "
            "have in common: steep balls, fast ones, a paddle that swings about its target.",
        ),
        Stage(
            "ahead",
            19,
            "Most points are won. Compare a point that was won with one that was lost, and look "
            "at which part of the paddle meets the ball, since that decides where it flies next.",
        ),
        Stage(
            "nearly perfect",
            _END,
            "Little is left to gain. Change one thing at a time, and keep what wins.",
        ),
    ),
    "breakout": (
        Stage(
            "misses",
            3,
            "The ball is lost almost at once. Look at where it crosses the paddle's row and where "
            "the paddle was, and at what brings the ball into play.",
        ),
        Stage(
            "returns some",
            30,
            "Some balls are returned. Look at the lives that were lost: was the landing point "
            "wrong, for one because the ball turned round at a side, or was the paddle late?",
        ),
        Stage(
            "steady",
            150,
            "Rallies last. Look at what the ball does when it gets faster, and whether the paddle "
            "overshoots or moves away while it waits.",
        ),
        Stage(
            "strong",
            300,
            "Much of the wall is gone. Look at whether the ball keeps the same course without "
            "hitting anything, and what would lead it elsewhere.",
        ),
        Stage(
            "nearly done",
            _END,
            "Look at the longest stretch without a reward and at the last life: what is left?",
        ),
    ),
    "space_invaders": (
        Stage(
            "shot down early",
            100,
            "The episode ends early. Look at what is above the player in the steps before a life "
            "is lost, and which way was free.",
        ),
        Stage(
            "random-like",
            300,
            "Some aliens are hit. Look at which shots hit and which miss, how far an alien moves "
            "while a shot flies, and whether a new shot waits for the old one.",
        ),
        Stage(
            "fair",
            700,
            "Look at the lives that were lost for bombs that came down while the player moved to a "
            "target, and at how long the gun stayed idle.",
        ),
        Stage(
            "good",
            1_600,
            "Compare the largest gain with an ordinary one, and look at how the last aliens, which "
            "move fastest, are dealt with.",
        ),
        Stage(
            "strong",
            _END,
            "Look at what ends the episodes, and at which targets are worth the most.",
        ),
    ),
    "freeway": (
        Stage(
            "stuck",
            5,
            "Hardly a crossing. Look at how the player's y changes with each action, and what "
            "throws it back.",
        ),
        Stage(
            "slow",
            21,
            "Crossings take long. Look at the stretches without a reward: is it waiting, or thrown "
            "back, and by which lane?",
        ),
        Stage(
            "quick",
            28,
            "Better than only going up. Look at each time it was hit: was the car's distance and "
            "velocity looked at, and was waiting dearer than being hit?",
        ),
        Stage(
            "nearly perfect",
            _END,
            "Look at the slowest crossing of an episode, and at single steps of waiting that were "
            "not needed.",
        ),
    ),
    "asterix": (
        Stage(
            "random-like",
            500,
            "Look at what the player touched before each life was lost, and before each reward, "
            "and whether the actions move it by a lane or by pixels.",
        ),
        Stage(
            "collects",
            2_000,
            "Look at the lives that were lost: from which side did the enemy come, how fast, and "
            "which lane was free?",
        ),
        Stage(
            "good",
            8_500,
            "Look at how objects' speeds and kinds change later in an episode, and whether rewards "
            "are passed by that could be reached in time.",
        ),
        Stage("strong", _END, "Look at what ends the episodes; avoid before you collect."),
    ),
    "enduro": (
        Stage(
            "stands",
            1,
            "No car is passed. Look at which action makes anything move at all, and for how long "
            "it was held.",
        ),
        Stage(
            "drives",
            100,
            "Cars are passed. Look at the stretches without a reward and the collisions before "
            "them: which cars were near, and which way was free?",
        ),
        Stage(
            "races",
            300,
            "Look at collisions: how early was the car seen, and did the steering overshoot? Speed "
            "lost in one costs more than a detour.",
        ),
        Stage(
            "good",
            860,
            "Look at what changes with the time of the day and in curves, and at the days' quotas.",
        ),
        Stage("strong", _END, "Look at the slowest stretch of an episode."),
    ),
    "qbert": (
        Stage(
            "random-like",
            300,
            "Look at each life lost: did the player hop off the pyramid, or meet somebody? Look at "
            "what a hop in each direction does to its position, and how many steps a hop takes.",
        ),
        Stage(
            "hops",
            1_500,
            "Look at which cubes were not visited, how long it went back and forth over finished "
            "ones, and what was near when a life was lost.",
        ),
        Stage(
            "clears",
            5_000,
            "Look at the steps in which somebody came near: which way led away, and was a disk in "
            "reach?",
        ),
        Stage(
            "good",
            _END,
            "Look at what is different in later rounds, and at what ends the episodes.",
        ),
    ),
    "seaquest": (
        Stage(
            "random-like",
            200,
            "Look at what was near before each life was lost, whether the player faced what it "
            "shot at, and what happens to it when nothing is near at all.",
        ),
        Stage(
            "shoots",
            1_000,
            "Look at lives that were lost without an enemy near: what had run out? Look at which "
            "shots hit, at what distance and height.",
        ),
        Stage(
            "survives",
            4_000,
            "Look at when it surfaces and what it carries then, and what that brought.",
        ),
        Stage(
            "good", _END, "Look at what ends the episodes, and at the rewards that grow with time."
        ),
    ),
}
"""Game to its bands, lowest first; the last has no end."""


def stages_of(spec: GameSpec, hints: Hints = "interface") -> tuple[Stage, ...]:
    """The bands of an environment: its own, or general ones.

    Args:
        spec: The environment.
        hints: With "none", general ones, whose words speak of no game.
    """
    own = GAMES.get(spec.name)
    if hints != "none" and own is not None and own.env_id == spec.env_id:
        return STAGES[spec.name]
    if spec.solved_return is not None:
        return _solvable_stages(spec.solved_return, is_told=hints != "none")
    return general_stages(spec.random_return, spec.human_return)


def _solvable_stages(solved: float, *, is_told: bool) -> tuple[Stage, ...]:
    """Bands for an environment of which only is known from which return it counts as solved.

    Args:
        solved: That return.
        is_told: Say which it is.
    """
    goal = f"It counts as solved at a mean return of {solved:g}. " if is_told else ""
    return (
        Stage(
            "unsolved",
            solved,
            f"{goal}Compare how the best episode "
            "ends with how the worst does: what was different in the steps before, and which "
            "action would have kept it from going that way?",
        ),
        Stage(
            "solved",
            _END,
            "It counts as solved. Look at the worst episode, and change one thing at a time.",
        ),
    )


def general_stages(random_return: float | None, human_return: float | None) -> tuple[Stage, ...]:
    """Bands for any environment, from what random play and people score there.

    Args:
        random_return: Mean return of random play, if anybody knows.
        human_return: Mean return of people, if anybody knows.
    """
    if random_return is None or human_return is None or not random_return < human_return:
        unknown = Stage(
            "unknown",
            _END,
            "Nobody has said what a good return is here. Compare the best episode with the "
            "worst: look at the losses and at what preceded the gains.",
        )
        return (unknown,)
    span = human_return - random_return
    return (
        Stage(
            "random-like",
            random_return + 0.1 * span,
            "Hardly better than chance. Look at what each action does to the positions of things, "
            "and at what precedes a loss and a reward.",
        ),
        Stage(
            "learning",
            random_return + 0.5 * span,
            "Better than chance. Look at what the losses have in common, and whether the gains "
            "were meant or happened.",
        ),
        Stage(
            "good",
            human_return,
            "Not far from what people score. Look at the worst episode: what was different there?",
        ),
        Stage("strong", _END, "As good as people or better. Look at what ends the episodes."),
    )


def find_stage(spec: GameSpec, mean_return: float | None, hints: Hints = "interface") -> Stage:
    """The band that a result is in.

    Args:
        spec: What was played.
        mean_return: Points an episode; None or NaN if an episode could not be scored.
        hints: As of `stages_of`.
    """
    if mean_return is None or math.isnan(mean_return):
        return FAILED
    bands = stages_of(spec, hints)
    return next((stage for stage in bands if mean_return < stage.below), bands[-1])
