"""Pong, as data."""

from __future__ import annotations

from gco_agent.games.spec import Category, GameSpec, Presence, Reference, Stage, published

SPEC = GameSpec(
    name="pong",
    title="Pong",
    env_id="gco/Pong-v5",
    goal="Return the ball; +1 when the opponent misses, -1 when you miss, to 21 points.",
    actions={
        "NOOP": "lets the paddle come to rest",
        "FIRE": "as NOOP; the ball is served by itself",
        "RIGHT": "moves the paddle up",
        "LEFT": "moves the paddle down",
        "RIGHTFIRE": "moves the paddle up",
        "LEFTFIRE": "moves the paddle down",
    },
    categories=(
        Category(
            "Player",
            "your paddle, on the right; shorter where it reaches beyond the edge of the court",
            x=(140, 140),
            y=(34, 193),
        ),
        Category(
            "Ball", "the ball", "from the serve until a point is made", Presence.USUAL, y=(30, 193)
        ),
        Category(
            "Enemy",
            "the opponent's paddle, on the left",
            "from the first serve, but for a moment after a point",
            Presence.USUAL,
            x=(16, 16),
            y=(34, 193),
        ),
    ),
    effects={"RIGHT": (0, -1), "LEFT": (0, 1), "RIGHTFIRE": (0, -1), "LEFTFIRE": (0, 1)},
    components=("predict_ball_trajectory", "select_action"),
    scores=published(
        -20.7,
        14.6,
        llm_code=(12.0, 5.8),
        ppo=(20.62, 15.23),
        notes=("8.0 with its unfinished trial counted", ""),
    ),
    facts={"top_wall": 30, "bottom_wall": 191, "paddle_x": 140, "enemy_x": 16},
    hints=(
        "The ball bounces off the walls where its y is {top_wall} and {bottom_wall}.",
        "Your paddle stays at x = {paddle_x} and the opponent's at x = {enemy_x}.",
        (
            "Find where the ball will cross the line of your paddle, bounces included, and move "
            "there: up when that is above the paddle, down when it is below."
        ),
    ),
    reference=Reference(4_000, 10),
    most=21,
    shown={"RIGHT": "UP", "LEFT": "DOWN", "RIGHTFIRE": "UPFIRE", "LEFTFIRE": "DOWNFIRE"},
    constants={"MOVES_UP": "RIGHT", "MOVES_DOWN": "LEFT"},
    least=-21,
    stages=(
        Stage(
            "outplayed",
            "The ball is hardly ever returned. Look at where the paddle is when the ball gets to "
            "its column, which action moves it which way, and how far it goes in a step.",
            below=-15,
        ),
        Stage(
            "losing",
            "Some balls come back. In the points that were lost, compare where the ball was "
            "expected with where it really arrived, above all after it turned round on its way, "
            "and whether the paddle was there in time or went past its target.",
            below=0,
        ),
        Stage(
            "winning",
            "More points are won than lost. Look at the points that are still lost for what they "
            "have in common: steep balls, fast ones, a paddle that swings about its target.",
            below=12,
        ),
        Stage(
            "ahead",
            "Most points are won. Compare a point that was won with one that was lost, and look "
            "at which part of the paddle meets the ball, since that decides where it flies next.",
            below=19,
        ),
        Stage(
            "nearly perfect",
            "Little is left to gain. Change one thing at a time, and keep what wins.",
        ),
    ),
)
