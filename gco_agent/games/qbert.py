"""Q*bert, as data."""

from __future__ import annotations

from gco_agent.games.spec import Category, GameSpec, Presence, Reference, Stage, published

SPEC = GameSpec(
    name="qbert",
    title="Q*bert",
    env_id="gco/Qbert-v5",
    goal="Hop on every cube to change its colour and stay clear of what hunts you.",
    actions={
        "NOOP": "stays",
        "FIRE": "as NOOP",
        "UP": "hops up to the right",
        "RIGHT": "hops down to the right",
        "LEFT": "hops up to the left",
        "DOWN": "hops down to the left",
    },
    categories=(
        Category(
            "Player", "you", "but for a moment after a life is lost", Presence.USUAL, y=(-60, 210)
        ),
        Category(
            "Cube",
            "a cube of the pyramid, its top side: the first is the tip, then row by row, each from "
            "left to right",
            most=21,
            x=(8, 132),
            y=(34, 178),
            moves=False,
            value="how many colours it is from the one it began the round with: 0 untouched, 1 "
            "after one hop, which is what the first rounds want",
            rgb="the colour it has now",
        ),
        Category(
            "Disk",
            "a disk beside the pyramid that carries you to the tip",
            "until it is used",
            Presence.SOME,
            most=2,
            x=(12, 140),
            y=(138, 138),
            moves=False,
        ),
        Category(
            "PurpleBall", "a ball that hatches Coily at the bottom", "now and then", Presence.SOME
        ),
        Category("RedBall", "a red ball", "not told by this extraction", Presence.RARE),
        Category("GreenBall", "a green ball", "now and then", Presence.RARE),
        Category("Coily", "the snake that follows you", "after it has hatched", Presence.SOME),
        Category("Sam", "Sam, who changes cubes back", "now and then", Presence.RARE),
    ),
    effects={"UP": (1, -1), "RIGHT": (1, 1), "LEFT": (-1, -1), "DOWN": (-1, 1)},
    settle=60,
    approach=0,
    warm_up=("RIGHT", "DOWN"),
    hold=4,
    rest=14,
    lives=4,
    components=("analyze_situation", "select_action"),
    scores=published(
        163.9,
        13455.0,
        llm_code=(505.0, 560.0),
        ppo=(17318.5, 15130.0),
        notes=("first life only", "first life only"),
    ),
    hints=(
        (
            "A cube changed is worth 25 points; Sam and the green ball are worth points to catch; "
            "Coily and the other balls kill."
        ),
        (
            "At the left edge of the pyramid LEFT is fatal, at the right edge UP, at the bottom "
            "RIGHT and DOWN, unless a disk is there."
        ),
    ),
    reference=Reference(4_000, 1, one_life=True, unseen=("Cube",)),
    least=0,
    stages=(
        Stage(
            "random-like",
            "Look at each life lost: did the player hop off the pyramid, or meet somebody? Look at "
            "what a hop in each direction does to its position, and how many steps a hop takes.",
            below=300,
        ),
        Stage(
            "hops",
            "Look at which cubes were not visited, how long it went back and forth over finished "
            "ones, and what was near when a life was lost.",
            below=1_500,
        ),
        Stage(
            "clears",
            "Look at the steps in which somebody came near: which way led away, and was a disk in "
            "reach?",
            below=5_000,
        ),
        Stage("good", "Look at what is different in later rounds, and at what ends the episodes."),
    ),
)
