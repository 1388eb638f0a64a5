"""Enduro, as data."""

from __future__ import annotations

from gco_agent.games.spec import Category, GameSpec, Presence, Reference, Stage, published

SPEC = GameSpec(
    name="enduro",
    title="Enduro",
    env_id="gco/Enduro-v5",
    goal="Pass cars without hitting them; a point a car, a quota a day.",
    actions={
        "NOOP": "rolls on, slowing down slowly",
        "FIRE": "speeds up",
        "RIGHT": "steers right without speeding up",
        "LEFT": "steers left without speeding up",
        "DOWN": "brakes",
        "DOWNRIGHT": "brakes and steers right",
        "DOWNLEFT": "brakes and steers left",
        "RIGHTFIRE": "speeds up and steers right",
        "LEFTFIRE": "speeds up and steers left",
    },
    categories=(
        Category("Player", "your car", x=(40, 120), y=(89, 160)),
        Category(
            "Car",
            "another car; passing it earns a point, being passed costs one, touching it stops you",
            "while it is on the visible stretch of the road",
            Presence.USUAL,
            most=7,
            x=(-40, 200),
            y=(40, 160),
        ),
        Category(
            "Road",
            "the road at five distances, from the farthest to the nearest: x is its left edge, "
            "w its width, cx its middle",
            most=5,
            x=(-80, 200),
            y=(60, 140),
        ),
        Category(
            "Speed",
            "a gauge without a place on the screen",
            x=(0, 0),
            y=(0, 0),
            moves=False,
            value="your speed, from 0",
        ),
        Category(
            "CarsToPass",
            "a counter without a place in the picture of the road",
            x=(0, 0),
            y=(0, 0),
            moves=False,
            value="cars still to be passed today",
        ),
    ),
    effects={"RIGHTFIRE": (1, 0), "LEFTFIRE": (-1, 0)},
    approach=60,
    hold=10,
    components=("analyze_situation", "select_action"),
    scores=published(0.0, 860.5, llm_code=(71.8, 104.0), ppo=(1178.37, 1047.62)),
    facts={"danger_dx": 18, "danger_dy": 25},
    hints=(
        (
            "Steer away from a car that is close: less than about {danger_dx} pixels beside your "
            "own and {danger_dy} ahead. Do not react to distant cars."
        ),
        (
            "Keep FIRE pressed while you steer: speed is what passes cars, and a collision costs "
            "most of it and lets others pass you."
        ),
    ),
    reference=Reference(5_000, 1, starting_return=49.0),
    least=0,
    stages=(
        Stage(
            "stands",
            "No car is passed. Look at which action makes anything move at all, and for how long "
            "it was held.",
            below=1,
        ),
        Stage(
            "drives",
            "Cars are passed. Look at the stretches without a reward and the collisions before "
            "them: which cars were near, and which way was free?",
            below=100,
        ),
        Stage(
            "races",
            "Look at collisions: how early was the car seen, and did the steering overshoot? Speed "
            "lost in one costs more than a detour.",
            below=300,
        ),
        Stage(
            "good",
            "Look at what changes with the time of the day and in curves, and at the days' quotas.",
            below=860,
        ),
        Stage("strong", "Look at the slowest stretch of an episode."),
    ),
)
