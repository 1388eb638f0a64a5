"""Pong, as data."""

from __future__ import annotations

from gco_agent.games.spec import KUANG, MNIH, PPO, Category, GameSpec, Presence, Reference, Score

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
        "RIGHTFIRE": "as RIGHT",
        "LEFTFIRE": "as LEFT",
    },
    categories=(
        Category(
            "Player",
            "your paddle, on the right; shorter where it reaches beyond the edge of the court",
            "always",
            Presence.ALWAYS,
            x=(140, 140),
            y=(34, 193),
        ),
        Category(
            "Ball",
            "the ball",
            "from the serve until a point is made",
            Presence.USUAL,
            x=(0, 160),
            y=(30, 193),
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
    scores=(
        Score("random", -20.7, MNIH),
        Score("human", 14.6, MNIH),
        Score("LLM code, multi-step", 12.0, f"{KUANG}; 8.0 with its unfinished trial counted"),
        Score("LLM code, one-step", 5.8, KUANG),
        Score("PPO", 20.62, PPO),
        Score("PPO, sticky", 15.23, PPO),
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
    constants={"MOVES_UP": "RIGHT", "MOVES_DOWN": "LEFT"},
)
