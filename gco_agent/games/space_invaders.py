"""Space Invaders, as data."""

from __future__ import annotations

from gco_agent.games.spec import Category, GameSpec, Presence, Reference, Stage, published

SPEC = GameSpec(
    name="space_invaders",
    title="Space Invaders",
    env_id="gco/SpaceInvaders-v5",
    goal="Shoot aliens, 5 to 30 points each, and do not be shot; three lives.",
    actions={
        "NOOP": "stands still",
        "FIRE": "shoots; one shot of yours flies at a time",
        "RIGHT": "moves right",
        "LEFT": "moves left",
        "RIGHTFIRE": "moves right and shoots",
        "LEFTFIRE": "moves left and shoots",
    },
    categories=(
        Category("Player", "your cannon", x=(34, 120), y=(185, 185)),
        Category(
            "Shield",
            "what the cannon can hide behind; shots wear it away",
            "until the aliens are low",
            Presence.USUAL,
            most=3,
            x=(42, 106),
            y=(150, 185),
        ),
        Category(
            "Alien",
            "an alien; they move to and fro together, and down at the edges; some are told to be "
            "at (0, 0) for one step when an outer column is emptied, and all when a wave begins",
            "until it is shot",
            most=36,
            y=(0, 195),
        ),
        Category(
            "Bullet",
            "a shot: yours has a negative dy, theirs a positive one; below y = 195 one of theirs "
            "is no longer on the screen",
            "while it flies",
            Presence.USUAL,
            most=3,
            y=(0, 515),
        ),
        Category(
            "Satellite", "a ship that crosses at the top", "now and then", Presence.SOME, y=(12, 12)
        ),
    ),
    effects={"RIGHT": (1, 0), "LEFT": (-1, 0), "RIGHTFIRE": (1, 0), "LEFTFIRE": (-1, 0)},
    approach=80,
    lives=3,
    components=("decide_shoot", "decide_movement", "combine_actions"),
    scores=published(
        148.0,
        1668.7,
        llm_code=(929.0, 570.0),
        ppo=(1164.26, 887.09),
        notes=("best of noisy single episodes", "the starting policy, not improved"),
    ),
    hints=(
        (
            "Only one shot of yours is in the air at a time, so aim: the aliens and the ship above "
            "them move on while it flies. Your shots have a negative dy, theirs a positive one."
        ),
        (
            "Shoot low aliens first, they are nearest. Evade shots, hide behind a shield while it "
            "lasts, and stay away from the edges of the screen."
        ),
    ),
    reference=Reference(4_000, 1, starting_return=570.0),
    least=0,
    stages=(
        Stage(
            "shot down early",
            "The episode ends early. Look at what is above the player in the steps before a life "
            "is lost, and which way was free.",
            below=100,
        ),
        Stage(
            "random-like",
            "Some aliens are hit. Look at which shots hit and which miss, how far an alien moves "
            "while a shot flies, and whether a new shot waits for the old one.",
            below=300,
        ),
        Stage(
            "fair",
            "Look at the lives that were lost for bombs that came down while the player moved to a "
            "target, and at how long the gun stayed idle.",
            below=700,
        ),
        Stage(
            "good",
            "Compare the largest gain with an ordinary one, and look at how the last aliens, which "
            "move fastest, are dealt with.",
            below=1_600,
        ),
        Stage("strong", "Look at what ends the episodes, and at which targets are worth the most."),
    ),
)
