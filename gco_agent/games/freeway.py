"""Freeway, as data."""

from __future__ import annotations

from gco_agent.games.spec import Category, GameSpec, Reference, Stage, published

SPEC = GameSpec(
    name="freeway",
    title="Freeway",
    env_id="gco/Freeway-v5",
    goal="Cross ten lanes of cars as often as possible in two minutes; 1 point a crossing.",
    actions={"NOOP": "waits", "UP": "walks up, towards the far side", "DOWN": "walks back down"},
    categories=(
        Category(
            "Chicken",
            "the first one is yours, on the left; the second, on the right, is not played",
            most=2,
            x=(44, 108),
            y=(0, 190),
        ),
        Category(
            "Car",
            "a car, one in each lane; it throws you back a few lanes when it hits you",
            "always; it leaves on one side and comes in on the other",
            most=10,
            x=(-8, 160),
            y=(27, 171),
            rgb="the lane",
        ),
    ),
    player="Chicken",
    effects={"UP": (0, -1), "DOWN": (0, 1)},
    approach=2,
    warm_up=("UP",),
    hold=2,
    components=("analyze_traffic", "select_action"),
    scores=published(0.0, 29.6, llm_code=(27.2, 27.93), ppo=(32.77, 21.75)),
    facts={
        "top_lane": 27,
        "bottom_lane": 171,
        "lane_height": 16,
        "chicken_x": 44,
        "start_y": 187,
        "chicken_width": 6,
        "car_width": 8,
    },
    hints=(
        "You start at y = {start_y}, stay at x = {chicken_x}, and have crossed near y = 0.",
        (
            "The ten lanes are {lane_height} pixels apart, from y = {top_lane} at the top to "
            "y = {bottom_lane}; cars of the five upper lanes drive left, those of the five lower "
            "ones right. You are {chicken_width} pixels wide, a car is {car_width}."
        ),
        (
            "Look at the car of the lane that you are about to enter: go when it will have passed "
            "or is too far to reach you, else wait; go back only to avoid being hit."
        ),
    ),
    reference=Reference(2_500, 3, starting_return=65 / 3),
    least=0,
    stages=(
        Stage(
            "stuck",
            "Hardly a crossing. Look at how the player's y changes with each action, and what "
            "throws it back.",
            below=5,
        ),
        Stage(
            "slow",
            "Crossings take long. Look at the stretches without a reward: is it waiting, or thrown "
            "back, and by which lane?",
            below=21,
        ),
        Stage(
            "quick",
            "Better than only going up. Look at each time it was hit: was the car's distance and "
            "velocity looked at, and was waiting dearer than being hit?",
            below=28,
        ),
        Stage(
            "nearly perfect",
            "Look at the slowest crossing of an episode, and at single steps of waiting that were "
            "not needed.",
        ),
    ),
)
