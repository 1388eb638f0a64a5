"""Enduro, as data."""

from __future__ import annotations

from gco_agent.games.spec import KUANG, MNIH, PPO, Category, GameSpec, Presence, Reference, Score

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
        Category(
            "Player",
            "your car",
            "always",
            Presence.ALWAYS,
            x=(40, 120),
            y=(89, 160),
        ),
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
            "always",
            Presence.ALWAYS,
            most=5,
            x=(-80, 200),
            y=(60, 140),
        ),
        Category(
            "Speed",
            "a gauge without a place on the screen",
            "always",
            Presence.ALWAYS,
            x=(0, 0),
            y=(0, 0),
            moves=False,
            value="your speed, from 0",
        ),
        Category(
            "CarsToPass",
            "a counter without a place in the picture of the road",
            "always",
            Presence.ALWAYS,
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
    scores=(
        Score("random", 0.0, MNIH),
        Score("human", 860.5, MNIH),
        Score("LLM code, multi-step", 71.8, KUANG),
        Score("LLM code, one-step", 104.0, KUANG),
        Score("PPO", 1178.37, PPO),
        Score("PPO, sticky", 1047.62, PPO),
    ),
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
)
