"""What is known of a game before it is played, as data: `GameSpec` and its parts.

Every word here that reaches a person or a language model is checked against the emulator by
`gco_agent.evaluation.check_game` and by tests/ale: names, bounds, what an action does, when a
category appears.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib import resources

from gco_agent.core.errors import UsageError
from gco_agent.games.numbering import renumbered
from gco_agent.games.starting import random_policy

Range = tuple[int, int]
"""Least and largest value, both included."""

SOLVED = "solved"
"""Label of the mean return from which an environment counts as solved."""
MNIH = "Mnih et al. 2015, doi:10.1038/nature14236, extended data table 2"
KUANG = "Kuang et al. 2026, arXiv:2603.23994, published result table, protocol reference"
PPO = "Open RL Benchmark, github.com/openrlbenchmark/openrlbenchmark, static/machado_10M.md"
"""CleanRL's PPO with EnvPool after 10 million steps, with and without sticky actions."""

_AUTHORS = (
    "mean over trials of the best evaluation so far, no sticky actions, the authors' own limits of "
    "steps and lives"
)
_PLAYED = {
    "random": "an action drawn every sixth frame, no sticky actions, five minutes at most",
    "human": "a games tester after two hours of practice, no sticky actions, five minutes at most",
    "LLM code, multi-step": _AUTHORS,
    "LLM code, one-step": _AUTHORS,
    "PPO": "episodes of its training, frame skip 4, no sticky actions",
    "PPO, sticky": "episodes of its training, frame skip 4, sticky actions 0.25",
}


class Presence(enum.Enum):
    """How often a category is to be seen when actions are drawn at random."""

    ALWAYS = "always there"
    USUAL = "there in at least half of all steps"
    SOME = "seen in random play"
    RARE = "may not be seen in random play"


@dataclass(frozen=True, slots=True)
class Category:
    """One kind of object in an observation.

    Attributes:
        name: Its key in the observation.
        meaning: What it is, in a few words.
        when: When it is there, in a few words.
        presence: The same, so that it can be checked.
        most: The largest number of it at once.
        x: Least and largest left edge, in pixels.
        y: Least and largest top edge, in pixels from the top.
        moves: Whether it ever has a velocity.
        value: What its ``value`` means; "" where it has none.
        rgb: What its colour tells; "" where it tells nothing more than the category.
        orientation: What its ``orientation`` means; "" where it has none.
    """

    name: str
    meaning: str
    when: str
    presence: Presence
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
        name: A Python name.
        meaning: What it measures, with its unit.
    """

    name: str
    meaning: str = ""


@dataclass(frozen=True, slots=True)
class Control:
    """One number of an action that is made of numbers.

    Attributes:
        low: Least value that is allowed; infinite where there is no bound.
        high: Largest value that is allowed.
        meaning: What it does; "" where nobody says.
    """

    low: float
    high: float
    meaning: str = ""


@dataclass(frozen=True, slots=True)
class Score:
    """A mean return that somebody reports.

    Attributes:
        label: Whose: "random", "human", "LLM code, multi-step".
        value: Mean return.
        source: Where it is reported.
    """

    label: str
    value: float
    source: str

    @property
    def played(self) -> str:
        """The rules it was played by, in a few words; "" where nobody says."""
        return _PLAYED.get(self.label, "")


@dataclass(frozen=True, slots=True)
class Reference:
    """How the paper's authors play the game, where it differs from game to game.

    Attributes:
        max_steps: Steps after which they cut an episode.
        n_episodes: Episodes that they average over.
        one_life: The loss of a life ends the episode.
        fires: FIRE is pressed for the policy at the start and after the loss of a life.
        starting_return: What their published starting policy scores; None where it is random.
        unseen: Categories that OCAtari gives them and their observations leave out.
    """

    max_steps: int
    n_episodes: int
    one_life: bool = False
    fires: bool = False
    starting_return: float | None = None
    unseen: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class GameSpec:
    """A game, or any other environment, as its players are told of it.

    Attributes:
        name: In snake case, as ALE names the ROM; also the name of the policy file.
        title: As people write it.
        env_id: Gymnasium id.
        goal: What earns reward, in one sentence.
        actions: Action word of the emulator to what it does, in the order of the indices.
        controls: The numbers of an action, where an action is made of numbers.
        categories: Of an observation made of objects.
        fields: Of an observation that is a vector, in order.
        player: Category of what the actions move.
        effects: Action word to the way it moves the player: signs on x and y (y grows downwards).
        settle: Steps at the start in which the player does not obey.
        approach: Steps of random play before effects are tried.
        warm_up: Actions that this play draws from; all of them if empty.
        hold: Steps that an action is held for its effect to show.
        rest: Steps of the first action after that.
        lives: Lives at the start; 0 where the game has none.
        components: Methods of the initial policy besides ``act``, as the paper names them.
        scores: What others report.
        facts: Coordinates that the hints name.
        hints: What the paper's authors tell their model, in our words; ``{name}`` is a fact.
        reference: How they play it.
        constants: Names in the initial policy that stand for an action by another word than ALE's.
        module: Module whose import makes ``env_id`` known to Gymnasium.
        seen: What an observation is, where it is neither objects nor a vector with names.
        start: Text of the initial policy where it is in no file of the package.
        most: The most that an episode can earn, whatever is played; None where nobody knows.
        most_a_step: The most that a step can earn, likewise.
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
    effects: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    settle: int = 0
    approach: int = 40
    warm_up: tuple[str, ...] = ()
    hold: int = 6
    rest: int = 0
    lives: int = 0
    components: tuple[str, ...] = ()
    scores: tuple[Score, ...] = ()
    facts: Mapping[str, int] = field(default_factory=dict)
    hints: tuple[str, ...] = ()
    reference: Reference | None = None
    constants: Mapping[str, str] = field(default_factory=dict)
    module: str = ""
    seen: str = ""
    start: str = ""
    most: float | None = None
    most_a_step: float | None = None

    def most_in(self, n_steps: int) -> float | None:
        """The most that an episode of at most ``n_steps`` can earn; None where nobody knows."""
        if self.most is not None or self.most_a_step is None:
            return self.most
        return self.most_a_step * n_steps

    def require_rules(self, protocol: str, objects: str | None) -> None:
        """Refuse rules of play that this game does not have; nothing has to be imported for it.

        Args:
            protocol: Its name.
            objects: What is to be observed, as of `PlayProtocol`, if that was said.

        Raises:
            UsageError: They are for Atari games, or for those that the paper has.
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
        """Where the policy lives in a repository, with forward slashes."""
        return f"policies/{self.name}.py"

    @property
    def random_return(self) -> float | None:
        """Mean return of uniformly random play, if anybody reports it."""
        return self._score("random")

    @property
    def human_return(self) -> float | None:
        """Mean return of a professional games tester, if anybody reports it."""
        return self._score("human")

    @property
    def solved_return(self) -> float | None:
        """Mean return from which it counts as solved, if anybody says."""
        return self._score(SOLVED)

    def _score(self, label: str) -> float | None:
        return next((score.value for score in self.scores if score.label == label), None)

    def initial_policy(self, action_names: Sequence[str] | None = None) -> str:
        """Text of the policy that a run starts from.

        Args:
            action_names: Of the environment, if they are others than those of ``actions``.
        """
        path = resources.files("gco_agent.games.initial").joinpath(f"{self.name}.py")
        if self.start or not path.is_file():
            n_actions = len(self.actions if action_names is None else action_names)
            return self.start or random_policy(self.title, self.env_id, n_actions)
        text = path.read_text("utf-8")
        if action_names is None or tuple(action_names) == tuple(self.actions):
            return text
        return renumbered(text, self.constants, action_names)

    def reference_policy(self) -> str:
        """Text of a policy that behaves as the one the paper's authors start from.

        Raises:
            UsageError: There is none: theirs plays at random, as `initial_policy` does.
        """
        path = resources.files("gco_agent.games.initial").joinpath("reference", f"{self.name}.py")
        if not path.is_file():
            raise UsageError(f"{self.title} has no starting policy that plays without chance")
        return path.read_text("utf-8")
