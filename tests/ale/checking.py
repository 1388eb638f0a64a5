"""Check the specification of an Atari game against its emulator."""

from __future__ import annotations

import enum
import random
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from gco_agent.core.observation import Row
from gco_agent.envs.objects import ObjectObservation, make_object_env
from gco_agent.evaluation.check_game import Finding
from gco_agent.games.spec import Category, GameSpec

_USUAL = 0.5
_UNEXPLAINED = 0.35
"""Largest share of the objects that were elsewhere a step before and have no velocity."""
_CLAIMS = 0.99
"""Least share of the velocities that lead back to a place of the step before."""
_TRIALS = 6
_AGREE = 0.8
_HELD = (1, 2, 4, 8)

Rows = Mapping[str, Sequence[Row]]


class Presence(enum.Enum):
    """How often a category is to be seen when actions are drawn at random."""

    ALWAYS = "always there"
    USUAL = "there in at least half of all steps"
    SOME = "seen in random play"
    RARE = "may not be seen in random play"


@dataclass(frozen=True, slots=True)
class Trial:
    """How a game is tried, and what is expected of it.

    Attributes:
        effects: Action word to the way it moves the player: signs on x and y (y grows downwards).
        presence: Of categories that are not always there.
        settle: Steps at the start in which the player does not obey.
        approach: Steps of random play before effects are tried.
        warm_up: Actions that this play draws from; all of them if empty.
        hold: Steps that an action is held for its effect to show.
        rest: Steps of the first action after that.
    """

    effects: Mapping[str, Sequence[int]]
    presence: Mapping[str, str] = field(default_factory=dict)
    settle: int = 0
    approach: int = 40
    warm_up: Sequence[str] = ()
    hold: int = 6
    rest: int = 0

    def presence_of(self, category: str) -> Presence:
        """Return how often a category is to be seen."""
        return Presence[self.presence.get(category, "always").upper()]


_DATA = tomllib.loads(Path(__file__).with_name("trials.toml").read_text("utf-8"))
TRIALS = {name: Trial(**data) for name, data in _DATA.items()}


@dataclass(slots=True)
class _Seen:
    """One category in random play.

    Attributes:
        moved: Rows with a velocity, where there was a step before.
        moved_as_said: Of these, those whose velocity leads back to a place of that step.
        came: Rows without a velocity at a place where nothing was.
    """

    n_steps: int = 0
    most: int = 0
    rows: list[Row] = field(default_factory=list)
    moved: int = 0
    moved_as_said: int = 0
    came: int = 0

    def note(self, rows: Sequence[Row], before: Sequence[Row] | None) -> None:
        """Add the rows of a step, and those of the step before, if any."""
        self.n_steps += 1
        self.most = max(self.most, len(rows))
        self.rows += rows
        places = {row[:2] for row in before or ()}
        for x, y, _, _, dx, dy, *_ in rows if before is not None else ():
            was_there = (x - dx, y - dy) in places
            self.moved += bool(dx or dy)
            self.moved_as_said += bool(dx or dy) and was_there
            self.came += not (dx or dy or was_there)


def check_objects(spec: GameSpec, trial: Trial, n_steps: int) -> list[Finding]:
    """Return everything about a game of Atari that is not as ``spec`` and ``trial`` say."""
    env = make_object_env(spec.name)
    findings = list(_check_actions(spec, trial, env))
    seen, lives = _watch(env, n_steps, 0)
    if lives != spec.lives:
        findings.append(Finding("lives", f"there are {lives} at the start"))
    known = {category.name: category for category in spec.categories}
    findings += [
        Finding(name, "appears and is not in the specification")
        for name in sorted(set(seen) - set(known))
    ]
    for name, category in known.items():
        if name not in env.categories:
            findings.append(Finding(name, "is not a category of this environment"))
        findings += _check_category(category, trial.presence_of(name), seen.get(name), n_steps)
    findings += _check_effects(spec, trial)
    return findings


def _check_actions(spec: GameSpec, trial: Trial, env: ObjectObservation) -> Iterator[Finding]:
    names, told = env.action_names, tuple(spec.actions)
    if names != told:
        yield Finding("actions", f"the environment has {', '.join(names)}, not {', '.join(told)}")
    for word in trial.effects:
        if word not in names:
            yield Finding(f"action {word}", "is not an action of the environment")


def _watch(env: ObjectObservation, n_steps: int, seed: int) -> tuple[dict[str, _Seen], int]:
    """Play at random, each action held for a while; return what was seen, and the first lives."""
    rng = random.Random(seed)
    found: dict[str, _Seen] = {}
    rows, lives_at_start = env.begin(seed)
    before: Rows | None = None
    episode, action, left = seed, 0, 0
    for _ in range(n_steps):
        for name, members in rows.items():
            if members:
                earlier = None if before is None else before.get(name, ())
                found.setdefault(name, _Seen()).note(members, earlier)
        if not left:
            action, left = rng.randrange(len(env.action_names)), rng.choice(_HELD)
        left -= 1
        before = rows
        rows, _, _, terminated, truncated = env.step_rows(action)
        if terminated or truncated:
            episode += 1
            (rows, _), before = env.begin(episode), None
    return found, lives_at_start


def _check_category(
    category: Category, presence: Presence, seen: _Seen | None, n_steps: int
) -> Iterator[Finding]:
    name = category.name
    if seen is None:
        if presence is not Presence.RARE:
            yield Finding(name, f"never appears in {n_steps} steps of random play")
        return
    share = seen.n_steps / n_steps
    if presence is Presence.ALWAYS and share < 1:
        yield Finding(name, f"is there in {share:.1%} of the steps, not always")
    if presence is Presence.USUAL and share < _USUAL:
        yield Finding(name, f"is there in {share:.1%} of the steps, not in half of them")
    if seen.most > category.most:
        yield Finding(name, f"there are up to {seen.most} of it, not {category.most}")
    xs, ys = [row[0] for row in seen.rows], [row[1] for row in seen.rows]
    for axis, places, (low, high) in (("x", xs, category.x), ("y", ys, category.y)):
        if not low <= min(places) <= max(places) <= high:
            told = f"goes from {min(places)} to {max(places)}, not {(low, high)}"
            yield Finding(f"{name}.{axis}", told)
    values = sum(row[6] is not None for row in seen.rows)
    orientations = sum(row[8] is not None for row in seen.rows)
    for part, count in (("value", values), ("orientation", orientations)):
        if count != (len(seen.rows) if getattr(category, part) else 0):
            yield Finding(f"{name}.{part}", f"is given in {count} of {len(seen.rows)} cases")
    yield from _check_velocity(category, presence, seen)


def _check_velocity(category: Category, presence: Presence, seen: _Seen) -> Iterator[Finding]:
    about = f"{category.name}.dx, dy"
    if not category.moves and seen.moved:
        yield Finding(about, f"are not 0 in {seen.moved} of {len(seen.rows)} cases")
    if not category.moves or presence is Presence.RARE:
        return
    if not seen.moved:
        yield Finding(about, f"are 0 in all of {len(seen.rows)} cases")
    elif seen.moved_as_said < _CLAIMS * seen.moved:
        wrong = seen.moved - seen.moved_as_said
        yield Finding(about, f"do not lead back to where it was in {wrong} of {seen.moved} cases")
    elif seen.came > _UNEXPLAINED * (seen.came + seen.moved):
        yield Finding(about, f"are 0 in {seen.came} cases in which it was elsewhere before")


def _check_effects(spec: GameSpec, trial: Trial) -> Iterator[Finding]:
    """Compare what each action does to the player with what action 0 does from the same state."""
    env = make_object_env(spec.name, repeat_action_probability=0.0)
    tried: dict[str, list[tuple[int, int]]] = {word: [] for word in trial.effects}
    for number in range(_TRIALS):
        rows, lives = _approach(env, trial, number)
        if not rows.get(spec.player):
            continue
        moment = env.save()
        idle = _place(env, spec.player, trial, 0, lives)
        for word, ways in tried.items():
            env.restore(moment)
            if word in env.action_names and idle is not None:
                place = _place(env, spec.player, trial, env.action_names.index(word), lives)
                if place is not None:
                    ways.append((_sign(place[0] - idle[0]), _sign(place[1] - idle[1])))
    for word, wanted in trial.effects.items():
        yield from _check_effect(word, wanted, tried[word])


def _approach(env: ObjectObservation, trial: Trial, seed: int) -> tuple[Rows, int]:
    """Play idle steps, then random actions, each held and followed by rest."""
    rng = random.Random(seed)
    rhythm, words = trial.hold + trial.rest, trial.warm_up or env.action_names
    rows, lives = env.begin(seed)
    n_steps, action = trial.settle + trial.approach + seed * rhythm, 0
    for step in range(n_steps):
        since = (step - trial.settle) % rhythm
        if step >= trial.settle and since == 0:
            action = env.action_names.index(rng.choice(words))
        rows, lives, _, terminated, truncated = env.step_rows(action if since < trial.hold else 0)
        if terminated or truncated:
            rows, lives = env.begin(seed + 1_000)
    return rows, lives


def _place(
    env: ObjectObservation, player: str, trial: Trial, action: int, lives: int
) -> tuple[int, int] | None:
    """Return where the player is after some steps of ``action``; None if it lost a life."""
    for step in range(trial.hold + trial.rest):
        rows, left, _, terminated, _ = env.step_rows(action if step < trial.hold else 0)
        if left != lives or terminated or not rows.get(player):
            return None
    return rows[player][0][:2]


def _sign(number: float) -> int:
    return (number > 0) - (number < 0)


def _check_effect(
    word: str, wanted: Sequence[int], ways: Sequence[tuple[int, int]]
) -> Iterator[Finding]:
    for axis, name in enumerate("xy"):
        signs = [way[axis] for way in ways if way[axis]] if wanted[axis] else []
        if wanted[axis] and not signs:
            yield Finding(f"action {word}", f"never moves the player in {name}")
        elif signs and sum(sign == wanted[axis] for sign in signs) < _AGREE * len(signs):
            yield Finding(f"action {word}", f"moves the player the other way in {name}: {signs}")
