"""Asterix, as data."""

from __future__ import annotations

from gco_agent.games.spec import Category, GameSpec, Presence, Reference, Stage, published

_DIAGONAL = "moves both ways"

SPEC = GameSpec(
    name="asterix",
    title="Asterix",
    env_id="gco/Asterix-v5",
    goal="Collect what floats by and avoid the lyres; three lives.",
    actions={
        "NOOP": "stays",
        "UP": "moves to the lane above",
        "RIGHT": "moves right",
        "LEFT": "moves left",
        "DOWN": "moves to the lane below",
        "UPRIGHT": _DIAGONAL,
        "UPLEFT": _DIAGONAL,
        "DOWNRIGHT": _DIAGONAL,
        "DOWNLEFT": _DIAGONAL,
    },
    categories=(
        Category("Player", "you; wider for a moment when you have been hit", y=(26, 138)),
        Category(
            "Enemy",
            "a lyre, deadly to touch; it keeps to its lane",
            "while it crosses the screen",
            Presence.USUAL,
            most=8,
            y=(26, 138),
        ),
        Category(
            "Consumable",
            "something worth points to touch; it keeps to its lane",
            "while it crosses the screen",
            Presence.USUAL,
            most=8,
            x=(0, 161),
            y=(27, 139),
        ),
        Category(
            "Reward",
            "the points that were just made, shown where they were; nothing to collect",
            "for 64 steps after something was collected",
            Presence.SOME,
            most=8,
            y=(26, 138),
            moves=False,
        ),
    ),
    effects={
        "UP": (0, -1),
        "DOWN": (0, 1),
        "RIGHT": (1, 0),
        "LEFT": (-1, 0),
        "UPRIGHT": (1, -1),
        "UPLEFT": (-1, -1),
        "DOWNRIGHT": (1, 1),
        "DOWNLEFT": (-1, 1),
    },
    lives=3,
    components=("analyze_situation", "select_action"),
    scores=published(
        210.0,
        8503.3,
        llm_code=(3466.7, 310.0),
        ppo=(4903.44, 3850.27),
        notes=("first lives only", "first lives only"),
    ),
    facts={"top_lane": 26, "lane_height": 16, "bottom_lane": 138},
    hints=(
        (
            "There are eight lanes, {lane_height} pixels apart, from y = {top_lane} to "
            "y = {bottom_lane}; one thing at a time crosses each."
        ),
        (
            "Do not enter a lane in which an enemy is within 20 to 30 pixels of you or comes "
            "towards you; among the safe lanes go for the nearest thing that is worth points."
        ),
    ),
    reference=Reference(20_000, 3, one_life=True),
    least=0,
    stages=(
        Stage(
            "random-like",
            "Look at what the player touched before each life was lost, and before each reward, "
            "and whether the actions move it by a lane or by pixels.",
            below=500,
        ),
        Stage(
            "collects",
            "Look at the lives that were lost: from which side did the enemy come, how fast, and "
            "which lane was free?",
            below=2_000,
        ),
        Stage(
            "good",
            "Look at how objects' speeds and kinds change later in an episode, and whether rewards "
            "are passed by that could be reached in time.",
            below=8_500,
        ),
        Stage("strong", "Look at what ends the episodes; avoid before you collect."),
    ),
)
