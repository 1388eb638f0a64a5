"""Whether a game's specification is true: every word of it is tried in the environment.

What is wrong is returned as findings, each with the name of the word that it is about, so that a
test or `gco-agent check-game` can say which.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from gco_agent.core.errors import ContractViolation, PolicyError, UsageError
from gco_agent.core.observation import Row
from gco_agent.envs.environment import initial_policy, make_protocol
from gco_agent.envs.generic import PlainEnvironment
from gco_agent.envs.objects import ObjectObservation, make_object_env
from gco_agent.evaluation.episode import Rollout, play_episodes
from gco_agent.games import Category, GameSpec, Presence, is_atari
from gco_agent.policy import PolicySource, check_policy

_USUAL = 0.5
_UNEXPLAINED = 0.35
"""Of the objects of a category that were not there a step before, at most this share has no
velocity: they have just appeared."""
_CLAIMS = 0.99
"""Share of the velocities that an object's own place a step before bears out."""
_TRIALS = 6
_AGREE = 0.8
_HELD = (1, 2, 4, 8)

Rows = Mapping[str, Sequence[Row]]


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is not as the specification says.

    Attributes:
        about: The word: "Ball.x", "action UP".
        text: What is, in one sentence.
    """

    about: str
    text: str

    def __str__(self) -> str:
        return f"{self.about}: {self.text}"


@dataclass(slots=True)
class _Seen:
    """What random play showed of one category."""

    n_steps: int = 0
    most: int = 0
    left: int = 10_000
    right: int = -10_000
    top: int = 10_000
    bottom: int = -10_000
    with_value: int = 0
    with_orientation: int = 0
    n_rows: int = 0
    moved: int = 0
    moved_as_said: int = 0
    came: int = 0

    def note(self, rows: Sequence[Row], before: Sequence[Row] | None) -> None:
        """Take in the rows of one step, and those of the step before, if there was one."""
        self.n_steps += 1
        self.most = max(self.most, len(rows))
        places = None if before is None else {row[:2] for row in before}
        for row in rows:
            x, y, _, _, dx, dy, value, _, orientation = row
            self.n_rows += 1
            self.left, self.right = min(self.left, x), max(self.right, x)
            self.top, self.bottom = min(self.top, y), max(self.bottom, y)
            self.with_value += value is not None
            self.with_orientation += orientation is not None
            if places is not None:
                was_there = (x - dx, y - dy) in places
                if dx or dy:
                    self.moved += 1
                    self.moved_as_said += was_there
                else:
                    self.came += not was_there


@dataclass(slots=True)
class _Sightings:
    """What random play showed."""

    seen: dict[str, _Seen] = field(default_factory=dict)
    n_steps: int = 0
    lives_at_start: int = 0

    def note(self, rows: Rows, before: Rows | None) -> None:
        self.n_steps += 1
        for name, members in rows.items():
            if members:
                earlier = None if before is None else before.get(name, ())
                self.seen.setdefault(name, _Seen()).note(members, earlier)


def check_game(spec: GameSpec, n_steps: int = 3_000, seed: int = 0) -> list[Finding]:
    """Everything that is not as ``spec`` says, whatever it is of; depends on ``seed`` alone."""
    findings = (
        check_objects(spec, n_steps, seed)
        if is_atari(spec.env_id)
        else list(_check_plain(spec, n_steps, seed))
    )
    if not any(finding.about == "env_id" for finding in findings):
        findings += _check_start(spec)
    return findings


def _check_start(spec: GameSpec) -> Iterator[Finding]:
    """Whether the policy that a run starts from keeps the contract, and plays in the jail."""
    rules = make_protocol("default", spec.env_id, 50)
    text = initial_policy(rules)
    try:
        check_policy(PolicySource(text))
    except (ContractViolation, PolicyError) as error:
        yield Finding("start", str(error))
        return
    (episode,) = play_episodes(Rollout(text, (1,), rules)).episodes
    if not episode.outcome.is_scored:
        yield Finding(
            "start", f"{episode.outcome.value} after {episode.n_steps} steps: {episode.detail}"
        )


def _check_plain(spec: GameSpec, n_steps: int, seed: int) -> Iterator[Finding]:
    try:
        env = PlainEnvironment(spec.env_id)
    except UsageError as error:
        yield Finding("env_id", str(error))
        return
    if spec.actions and len(spec.actions) != env.n_actions:
        there = f"{env.n_actions} actions" if env.n_actions else f"{env.n_floats} numbers an action"
        yield Finding("actions", f"there are {len(spec.actions)} words, and {there}")
    if spec.fields and len(spec.fields) != env.n_numbers:
        yield Finding(
            "fields", f"there are {len(spec.fields)}, and {env.n_numbers} numbers an observation"
        )
    for field_name in (part.name for part in spec.fields):
        if [part.name for part in spec.fields].count(field_name) > 1:
            yield Finding(f"field {field_name}", "is there more than once")
    first, outside = _played(env, n_steps, seed)
    again, _ = _played(env, n_steps, seed)
    other, _ = _played(env, n_steps, seed + 1)
    if outside:
        yield Finding("observation_space", f"does not hold {outside}")
    if first != again:
        yield Finding("seed", "the same seed and actions give another episode")
    if first == other and len(first) > 1:
        yield Finding("seed", "every seed gives the same episode: one is as good as thirty")


def _played(env: PlainEnvironment, n_steps: int, seed: int) -> tuple[list[str], str]:
    """What an episode of random play shows, and an observation outside of its space, if any."""
    rng = random.Random(0)  # noqa: S311 - no secret
    low, high = env.bounds
    shown: list[str] = []
    obs, outside, is_over = env.reset(seed), "", False
    while not is_over and len(shown) < n_steps:
        shown.append(repr(obs))
        is_inside = not hasattr(obs, "dtype") or env.observation_space.contains(obs)
        outside = outside or ("" if is_inside else repr(obs))
        action: int | tuple[float, ...] = (
            rng.randrange(env.n_actions)
            if env.n_actions
            else tuple(
                rng.uniform(max(-1e3, a), min(1e3, b)) for a, b in zip(low, high, strict=True)
            )
        )
        obs, _, terminated, truncated = env.step(action)
        is_over = terminated or truncated
    return shown, outside


def check_objects(spec: GameSpec, n_steps: int = 3_000, seed: int = 0) -> list[Finding]:
    """Everything about an object game that is not as ``spec`` says; depends on ``seed`` alone.

    Args:
        spec: A game that ALE has.
        n_steps: Steps of random play to look at; what is seldom needs many.
        seed: Of the random play.
    """
    env = make_object_env(spec.name)
    findings = list(_check_actions(spec, env))
    sightings = _watch(env, n_steps, seed)
    if sightings.lives_at_start != spec.lives:
        findings.append(Finding("lives", f"there are {sightings.lives_at_start} at the start"))
    known = {category.name: category for category in spec.categories}
    findings += [
        Finding(name, "appears and is not in the specification")
        for name in sorted(set(sightings.seen) - set(known))
    ]
    for name, category in known.items():
        if name not in env.categories:
            findings.append(Finding(name, "is no category of this environment"))
        findings += _check_category(category, sightings)
    findings += _check_effects(spec)
    return findings


def _check_actions(spec: GameSpec, env: ObjectObservation) -> Iterator[Finding]:
    names, told = env.action_names, tuple(spec.actions)
    if names != told:
        yield Finding("actions", f"the environment has {', '.join(names)}, not {', '.join(told)}")
    for word in spec.effects:
        if word not in names:
            yield Finding(f"action {word}", "is no action of the environment")


def _watch(env: ObjectObservation, n_steps: int, seed: int) -> _Sightings:
    rng = random.Random(seed)  # noqa: S311 - no secret
    found = _Sightings()
    rows, found.lives_at_start = env.reset_rows(seed)
    found.note(rows, None)
    episode, action, left = seed, 0, 0
    while found.n_steps < n_steps:
        if not left:
            action, left = rng.randrange(len(env.action_names)), rng.choice(_HELD)
        left -= 1
        before = rows
        rows, _, _, terminated, truncated = env.step_rows(action)
        found.note(rows, before)
        if terminated or truncated:
            episode += 1
            rows, _ = env.reset_rows(episode)
    return found


def _check_category(category: Category, sightings: _Sightings) -> Iterator[Finding]:
    name, seen = category.name, sightings.seen.get(category.name)
    if seen is None:
        if category.presence is not Presence.RARE:
            yield Finding(name, f"never appears in {sightings.n_steps} steps of random play")
        return
    share = seen.n_steps / sightings.n_steps
    if category.presence is Presence.ALWAYS and share < 1:
        yield Finding(name, f"is there in {share:.1%} of the steps, not always")
    if category.presence is Presence.USUAL and share < _USUAL:
        yield Finding(name, f"is there in {share:.1%} of the steps, not in half of them")
    if seen.most > category.most:
        yield Finding(name, f"there are up to {seen.most} of it, not {category.most}")
    if not (category.x[0] <= seen.left and seen.right <= category.x[1]):
        yield Finding(f"{name}.x", f"goes from {seen.left} to {seen.right}, not {category.x}")
    if not (category.y[0] <= seen.top and seen.bottom <= category.y[1]):
        yield Finding(f"{name}.y", f"goes from {seen.top} to {seen.bottom}, not {category.y}")
    for field_name, count in (("value", seen.with_value), ("orientation", seen.with_orientation)):
        if count != (seen.n_rows if getattr(category, field_name) else 0):
            yield Finding(f"{name}.{field_name}", f"is given in {count} of {seen.n_rows} cases")
    yield from _check_velocity(category, seen)


def _check_velocity(category: Category, seen: _Seen) -> Iterator[Finding]:
    about = f"{category.name}.dx, dy"
    if not category.moves and seen.moved:
        yield Finding(about, f"are not 0 in {seen.moved} of {seen.n_rows} cases")
    if not category.moves or category.presence is Presence.RARE:
        return
    if not seen.moved:
        yield Finding(about, f"are 0 in all of {seen.n_rows} cases")
    elif seen.moved_as_said < _CLAIMS * seen.moved:
        wrong = seen.moved - seen.moved_as_said
        yield Finding(about, f"do not lead back to where it was in {wrong} of {seen.moved} cases")
    elif seen.came > _UNEXPLAINED * (seen.came + seen.moved):
        yield Finding(about, f"are 0 in {seen.came} cases in which it was elsewhere before")


def _check_effects(spec: GameSpec) -> Iterator[Finding]:
    """What each action does to the player, beside what action 0 does from the same moment."""
    env = make_object_env(spec.name, repeat_action_probability=0.0)
    tried: dict[str, list[tuple[int, int]]] = {word: [] for word in spec.effects}
    for trial in range(_TRIALS):
        rows, lives = _approach(env, spec, trial)
        if not rows.get(spec.player):
            continue
        moment = env.save()
        idle = _place(env, spec, 0, lives)
        for word, ways in tried.items():
            env.restore(moment)
            if word in env.action_names and idle is not None:
                place = _place(env, spec, env.action_names.index(word), lives)
                if place is not None:
                    ways.append((_sign(place[0] - idle[0]), _sign(place[1] - idle[1])))
    for word, wanted in spec.effects.items():
        yield from _check_effect(word, wanted, tried[word])


def _approach(env: ObjectObservation, spec: GameSpec, trial: int) -> tuple[Rows, int]:
    """A moment of play: idle steps, then actions at random, each held and followed by idleness."""
    rng = random.Random(trial)  # noqa: S311 - no secret
    rhythm, words = spec.hold + spec.rest, spec.warm_up or env.action_names
    rows, lives = env.reset_rows(trial)
    n_steps, action = spec.settle + spec.approach + trial * rhythm, 0
    for step in range(n_steps):
        since = (step - spec.settle) % rhythm
        if step >= spec.settle and since == 0:
            action = env.action_names.index(rng.choice(words))
        rows, lives, _, terminated, truncated = env.step_rows(action if since < spec.hold else 0)
        if terminated or truncated:
            rows, lives = env.reset_rows(trial + 1_000)
    return rows, lives


def _place(
    env: ObjectObservation, spec: GameSpec, action: int, lives: int
) -> tuple[int, int] | None:
    """Where the player is after some steps of ``action``; None if a life was lost over it."""
    for step in range(spec.hold + spec.rest):
        rows, left, _, terminated, _ = env.step_rows(action if step < spec.hold else 0)
        if left != lives or terminated or not rows.get(spec.player):
            return None
    return rows[spec.player][0][:2]


def _sign(number: float) -> int:
    return (number > 0) - (number < 0)


def _check_effect(
    word: str, wanted: tuple[int, int], ways: Sequence[tuple[int, int]]
) -> Iterator[Finding]:
    for axis, name in enumerate("xy"):
        signs = [way[axis] for way in ways if way[axis]] if wanted[axis] else []
        if wanted[axis] and not signs:
            yield Finding(f"action {word}", f"never moves the player in {name}")
        elif signs and sum(sign == wanted[axis] for sign in signs) < _AGREE * len(signs):
            yield Finding(f"action {word}", f"moves the player the other way in {name}: {signs}")
