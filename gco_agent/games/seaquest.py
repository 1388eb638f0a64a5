"""Seaquest, as data."""

from __future__ import annotations

from gco_agent.games.spec import Category, GameSpec, Presence, Reference, Stage, published

_WAYS = {
    "UP": (0, -1),
    "RIGHT": (1, 0),
    "LEFT": (-1, 0),
    "DOWN": (0, 1),
    "UPRIGHT": (1, -1),
    "UPLEFT": (-1, -1),
    "DOWNRIGHT": (1, 1),
    "DOWNLEFT": (-1, 1),
}
_SIDES = {-1: "left", 0: "", 1: "right"}
_HEIGHTS = {-1: "up", 0: "", 1: "down"}


def _words(x: int, y: int) -> str:
    return "moves " + " and ".join(word for word in (_HEIGHTS[y], _SIDES[x]) if word)


SPEC = GameSpec(
    name="seaquest",
    title="Seaquest",
    env_id="gco/Seaquest-v5",
    goal="Shoot sharks and submarines, bring divers up, surface before the air is gone.",
    actions={
        "NOOP": "stays",
        "FIRE": "shoots the way you face; one shot of yours is under way at a time",
        **{word: _words(*way) for word, way in _WAYS.items()},
        **{f"{word}FIRE": f"{_words(*way)} and shoots" for word, way in _WAYS.items()},
    },
    categories=(
        Category(
            "Player",
            "your submarine; at y = 46 it is at the surface",
            "but for a moment after a life is lost",
            Presence.USUAL,
            y=(46, 141),
            orientation="the way it faces and shoots: E is right, W is left",
        ),
        Category(
            "Shark",
            "a shark, deadly to touch, in one of four lanes",
            "while it crosses the screen",
            Presence.SOME,
            most=12,
            x=(0, 165),
            y=(50, 160),
        ),
        Category(
            "Submarine",
            "an enemy that shoots, deadly to touch, in one of four lanes",
            "while it crosses the screen",
            Presence.SOME,
            most=12,
            x=(0, 165),
            y=(50, 160),
        ),
        Category(
            "SurfaceSubmarine",
            "an enemy that patrols the surface",
            "late in the game",
            Presence.RARE,
            y=(45, 45),
        ),
        Category(
            "EnemyMissile",
            "a shot of an enemy",
            "while it is under way",
            Presence.SOME,
            most=4,
            x=(0, 165),
            y=(60, 160),
        ),
        Category("PlayerMissile", "your shot", "while it is under way", Presence.SOME, y=(50, 160)),
        Category(
            "Diver",
            "a diver to pick up by touching",
            "while it crosses the screen",
            Presence.SOME,
            most=4,
            y=(60, 160),
        ),
        Category(
            "CollectedDiver",
            "a diver on board, shown at the bottom: as many as you carry; six is the most",
            "while divers are on board",
            Presence.SOME,
            most=6,
            x=(58, 98),
            y=(178, 178),
            moves=False,
        ),
        Category(
            "OxygenBar",
            "the gauge of your air, shown at the bottom; its width shrinks with it",
            "while there is air left",
            Presence.USUAL,
            x=(49, 49),
            y=(170, 170),
            moves=False,
            value="air left, 64 when full; at 0 a life is lost",
        ),
    ),
    effects={**_WAYS, **{f"{word}FIRE": way for word, way in _WAYS.items()}},
    approach=90,
    hold=5,
    lives=4,
    components=("analyze_situation", "select_action"),
    scores=published(
        68.4,
        42054.7,
        llm_code=(92.0, 128.0),
        ppo=(1203.3, 2055.5),
        notes=("first life only", "first life only"),
    ),
    facts={"surface_y": 46},
    hints=(
        (
            "Air is used up under water and filled at the surface, y = {surface_y}. Coming up "
            "without a diver on board costs a life; with six you are paid for the air that is left."
        ),
        (
            "Sharks and submarines are worth 20 points each and more later; face one in your lane "
            "and shoot. Divers are picked up by touching."
        ),
    ),
    reference=Reference(
        4_000, 1, one_life=True, unseen=("OxygenBar", "CollectedDiver", "PlayerMissile")
    ),
    least=0,
    stages=(
        Stage(
            "random-like",
            "Look at what was near before each life was lost, whether the player faced what it "
            "shot at, and what happens to it when nothing is near at all.",
            below=200,
        ),
        Stage(
            "shoots",
            "Look at lives that were lost without an enemy near: what had run out? Look at which "
            "shots hit, at what distance and height.",
            below=1_000,
        ),
        Stage(
            "survives",
            "Look at when it surfaces and what it carries then, and what that brought.",
            below=4_000,
        ),
        Stage("good", "Look at what ends the episodes, and at the rewards that grow with time."),
    ),
)
