"""What is known of a game before it is played, as data: `GameSpec` and its parts.

tests/ale checks against the emulator every word that reaches a person or a language model: names,
bounds, what an action does, when a category appears.
"""

from __future__ import annotations

import ast
import difflib
import math
import tomllib
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib import resources
from string import Template

from gco_agent.core.errors import UsageError

Range = tuple[int, int]
"""Least and largest value, both included."""

TEXTS = tomllib.loads(resources.files("gco_agent.games").joinpath("texts.toml").read_text("utf-8"))
"""Texts that belong to no game: advice, the types of observations, rules of published scores."""

SOLVED = "solved"
"""Label of the mean return from which an environment counts as solved."""


@dataclass(frozen=True, slots=True)
class Category:
    """One kind of object in an observation.

    Attributes:
        name: Its key in the observation.
        meaning: What it is, in a few words.
        when: When it is there, in a few words.
        most: The largest number of objects at once.
        x: Least and largest left edge, in pixels.
        y: Least and largest top edge, in pixels from the top.
        moves: Whether it ever has a velocity.
        value: What its ``value`` means; "" where it has none.
        rgb: What its colour tells; "" where it tells nothing more than the category.
        orientation: What its ``orientation`` means; "" where it has none.
    """

    name: str
    meaning: str
    when: str = "always"
    most: int = 1
    x: Range = (0, 160)
    y: Range = (0, 210)
    moves: bool = True
    value: str = ""
    rgb: str = ""
    orientation: str = ""


@dataclass(frozen=True, slots=True)
class Field:
    """One number of an observation that is a vector.

    Attributes:
        meaning: What it measures, with its unit.
    """

    name: str
    meaning: str = ""


@dataclass(frozen=True, slots=True)
class Control:
    """One number of an action that is made of numbers.

    Attributes:
        meaning: What it does; "" if unknown.
    """

    low: float
    high: float
    meaning: str = ""


@dataclass(frozen=True, slots=True)
class Score:
    """A published mean return.

    Attributes:
        label: Whose: "random", "human", "Kuang et al., multi-step".
        how: The rules it was played by, where the label does not say that.
    """

    label: str
    value: float
    source: str
    how: str = ""

    @property
    def played(self) -> str:
        """The rules it was played by, in a few words; "" if unknown."""
        return self.how or TEXTS["played"].get(self.label, "")


def published(values: Mapping[str, float], notes: Mapping[str, str]) -> tuple[Score, ...]:
    """Return published scores by their labels, with what is to be noted of some."""
    sources = {label: TEXTS["sources"][label] for label in values}
    sources |= {label: f"{sources[label]}; {note}" for label, note in notes.items()}
    return tuple(Score(label, value, sources[label]) for label, value in values.items())


@dataclass(frozen=True, slots=True)
class Stage:
    """A band of results, with advice on how to improve a policy in it.

    Attributes:
        advice: What to look at in a trace, in one or two sentences; no facts of the game.
        below: Mean returns below this one belong to it, unless to an earlier stage.
    """

    name: str
    advice: str
    below: float = math.inf


def _stage(name: str, below: float = math.inf) -> Stage:
    return Stage(name, TEXTS["stages"][name], below)


FAILED = _stage("fails", below=-math.inf)
"""The stage of a policy that failed in an episode."""


@dataclass(frozen=True, slots=True)
class Reference:
    """How the paper's authors play the game, where it differs from game to game.

    Attributes:
        max_steps: Steps after which they cut an episode.
        n_episodes: Episodes that they average over.
        one_life: The loss of a life ends the episode.
        fires: FIRE is pressed for the policy at the start and after the loss of a life.
        starting_return: What their published starting policy scores; None where it is random.
        start: A policy that behaves as that one; "" where it is random.
        unseen: Categories that OCAtari gives them and their observations leave out.
    """

    max_steps: int
    n_episodes: int
    one_life: bool = False
    fires: bool = False
    starting_return: float | None = None
    start: str = ""
    unseen: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class GameSpec:
    """A game or another environment, as it is described to players and models.

    Attributes:
        name: In snake case, as ALE names the ROM; also the name of the policy file.
        goal: What earns reward, in one sentence.
        actions: Action word of the emulator to what it does, in the order of the indices.
        controls: The numbers of an action, where an action is made of numbers.
        categories: Of an observation made of objects.
        fields: Of an observation that is a vector, in order.
        player: Category of what the actions move.
        lives: Lives at the start; 0 where the game has none.
        components: Methods of the initial policy besides ``act``, as the paper names them.
        facts: Coordinates that the hints name.
        hints: What the paper's authors tell their model, in our words; ``{name}`` is a fact.
        reference: How they play it.
        shown: Action word of the emulator to the word that people and models see, where the
            emulator's is misleading.
        module: Module whose import makes ``env_id`` known to Gymnasium.
        seen: What an observation is, where it is neither objects nor a vector with names.
        start: Text of the initial policy, in which "$" and the emulator's word for an action, or
            "$N_ACTIONS", stand for numbers; one that acts at random if empty.
        most: Largest possible return of an episode; None where it is not known.
        most_a_step: Largest possible reward of a step; None where it is not known.
        least: Smallest possible return of an episode; None where it is not known.
        stages: Bands of mean returns, lowest first, the last unbounded; general ones if empty.
    """

    name: str
    title: str
    env_id: str
    goal: str
    actions: Mapping[str, str] = field(default_factory=dict)
    controls: tuple[Control, ...] = ()
    categories: tuple[Category, ...] = ()
    fields: tuple[Field, ...] = ()
    player: str = "Player"
    lives: int = 0
    components: tuple[str, ...] = ()
    scores: tuple[Score, ...] = ()
    facts: Mapping[str, int] = field(default_factory=dict)
    hints: tuple[str, ...] = ()
    reference: Reference | None = None
    shown: Mapping[str, str] = field(default_factory=dict)
    module: str = ""
    seen: str = ""
    start: str = ""
    most: float | None = None
    most_a_step: float | None = None
    least: float | None = None
    stages: tuple[Stage, ...] = ()

    def most_in(self, n_steps: int) -> float | None:
        """Return the largest return possible in ``n_steps`` steps; None if it is not known."""
        if self.most is not None or self.most_a_step is None:
            return self.most
        return self.most_a_step * n_steps

    def require_rules(self, protocol: str, objects: str | None) -> None:
        """Check that the game has these rules of play.

        Args:
            objects: As of `PlayProtocol`; None if not given.
        """
        if not self.has_objects and objects is not None:
            raise UsageError(f"--objects is for Atari games; {self.title} has no objects")
        if not self.has_objects and protocol != "default":
            raise UsageError(
                f"the protocol {protocol} is for Atari games; {self.title} has default only"
            )
        if self.reference is None and objects == "paper":
            raise UsageError(f"the paper does not have {self.title}: choose other --objects")
        if self.reference is None and protocol == "reference":
            raise UsageError(f"the paper does not have {self.title}: choose another --protocol")

    @property
    def has_objects(self) -> bool:
        """Whether it is an Atari game, observed as objects."""
        return self.env_id.startswith("gco/")

    @property
    def policy_path(self) -> str:
        """Path of the policy in a repository, with forward slashes."""
        return f"policies/{self.name}.py"

    @property
    def random_return(self) -> float | None:
        """Mean return of uniformly random play; None if it is not known."""
        return self._score("random")

    @property
    def human_return(self) -> float | None:
        """Mean return of a professional games tester; None if it is not known."""
        return self._score("human")

    @property
    def solved_return(self) -> float | None:
        """Mean return from which it counts as solved; None if it is not known."""
        return self._score(SOLVED)

    def _score(self, label: str) -> float | None:
        return next((score.value for score in self.scores if score.label == label), None)

    def words_for(self, action_names: Sequence[str]) -> tuple[str, ...]:
        """Return what people and models see for the names of an environment's actions.

        Args:
            action_names: The emulator's words; or the indices, where the environment has no names.
        """
        if len(self.actions) == len(action_names) and "".join(action_names).isdecimal():
            return tuple(self.actions)
        return tuple(
            name if (word := self.shown.get(name, name)) in action_names else word
            for name in action_names
        )

    def in_module(self, module: str) -> GameSpec:
        """Return the specification with ``module`` imported for the environment."""
        if not module or ":" in self.env_id:
            return replace(self, module=module)
        return replace(self, env_id=f"{module}:{self.env_id}", module=module)

    def stages_for(self, *, told: bool = True) -> tuple[Stage, ...]:
        """Return the stages of the game, or general ones.

        Args:
            told: The advice may speak of the game.
        """
        if self.stages and told:
            return self.stages
        if self.solved_return is not None:
            return _solvable_stages(self.solved_return, told=told)
        return general_stages(self.random_return, self.human_return)

    def stage_at(self, mean_return: float | None, *, told: bool = True) -> Stage:
        """Return the stage of a result.

        Args:
            mean_return: Points an episode; None or NaN if an episode failed.
        """
        if mean_return is None or math.isnan(mean_return):
            return FAILED
        stages = self.stages_for(told=told)
        return next((stage for stage in stages if mean_return < stage.below), stages[-1])

    def unknown_categories(self, policy: str, seen: Collection[str] = ()) -> list[str]:
        """Return a sentence for each subscript of ``obs`` in a policy that is not a category.

        Args:
            seen: Categories that were seen in play, whether the specification has them or not.
        """
        names = dict.fromkeys([*(category.name for category in self.categories), *seen])
        known = {name.lower(): name for name in names} if self.categories else {}
        sentences = []
        for name in dict.fromkeys(_subscripts(policy)):
            if known and name not in known.values():
                near = difflib.get_close_matches(name.lower(), known, n=1)
                hint = f"did you mean {known[near[0]]!r}?" if near else ""
                hint = hint or f"the categories are {', '.join(known.values())}."
                sentences.append(f"There is no category {name!r}; {hint}")
        return sentences

    def initial_policy(self, action_names: Sequence[str] | None = None) -> str:
        """Return the text of the policy that a run starts from.

        Args:
            action_names: Of the environment, if they are others than those of ``actions``.
        """
        names = tuple(self.actions if action_names is None else action_names)
        if not self.start:
            return random_policy(self.title, self.env_id, len(names))
        indices = {name: index for index, name in enumerate(names)}
        return Template(self.start).safe_substitute(indices, N_ACTIONS=len(names))

    def reference_policy(self) -> str:
        """Return the text of a policy that behaves as the one the paper's authors start from."""
        if self.reference is None or not self.reference.start:
            raise UsageError(f"{self.title} has no starting policy that plays without chance")
        return self.reference.start


def general_stages(random_return: float | None, human_return: float | None) -> tuple[Stage, ...]:
    """Return stages for any environment, from the mean returns of random play and of people."""
    if random_return is None or human_return is None or not random_return < human_return:
        return (_stage("unknown"),)
    span = human_return - random_return
    return (
        _stage("random-like", random_return + 0.1 * span),
        _stage("learning", random_return + 0.5 * span),
        _stage("good", human_return),
        _stage("strong"),
    )


def _solvable_stages(solved: float, *, told: bool) -> tuple[Stage, ...]:
    goal = f"It counts as solved at a mean return of {solved:g}. " if told else ""
    unsolved = _stage("unsolved", solved)
    return (replace(unsolved, advice=goal + unsolved.advice), _stage("solved"))


def _subscripts(policy: str) -> Iterator[str]:
    """Yield the strings that ``obs`` is subscripted with."""
    try:
        nodes = [*ast.walk(ast.parse(policy))]
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return
    for node in nodes:
        match node:
            case ast.Subscript(
                value=ast.Name(id="obs" | "observation"), slice=ast.Constant(value=str(key))
            ):
                yield key


_LARGEST = 1.0e3
"""Bound for actions that have none."""


def random_policy(
    title: str, env_id: str, n_actions: int, low: Sequence[float] = (), high: Sequence[float] = ()
) -> str:
    """Return the text of a policy that acts at random."""
    if n_actions:
        constants = f"N_ACTIONS = {n_actions}"
        choice, kind = "random.randrange(N_ACTIONS)", "the index of the action"
    else:
        bounds = [[_finite(bound) for bound in part] for part in (low, high)]
        constants = f"LOW = {bounds[0]}\nHIGH = {bounds[1]}"
        choice = "[random.uniform(low, high) for low, high in zip(LOW, HIGH)]"
        kind = "the numbers of the action"
    return str(TEXTS["random_policy"]).format(
        title=title, env_id=env_id, constants=constants, choice=choice, kind=kind
    )


def _finite(bound: float) -> float:
    """Return a finite bound to draw from, with the seven digits of float32."""
    return float(f"{max(-_LARGEST, min(_LARGEST, bound)):.7g}")
