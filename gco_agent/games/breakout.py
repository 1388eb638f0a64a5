"""Breakout, as data."""

from __future__ import annotations

from gco_agent.games.spec import KUANG, MNIH, PPO, Category, GameSpec, Presence, Reference, Score

SPEC = GameSpec(
    name="breakout",
    title="Breakout",
    env_id="gco/Breakout-v5",
    goal="Keep the ball in play and break bricks; 1 to 7 points a brick, five lives.",
    actions={
        "NOOP": "lets the paddle stand",
        "FIRE": "serves the ball when there is none",
        "RIGHT": "moves the paddle right",
        "LEFT": "moves the paddle left",
    },
    categories=(
        Category(
            "Player",
            "your paddle",
            "always",
            Presence.ALWAYS,
            x=(0, 160),
            y=(189, 189),
        ),
        Category(
            "Ball",
            "the ball",
            "from FIRE until it is lost",
            Presence.USUAL,
            x=(0, 160),
            y=(30, 210),
        ),
        Category(
            "Block",
            "a stretch of bricks side by side in one row; each brick is 8 pixels wide, so a gap "
            "splits a row into several",
            "while bricks of that row stand",
            Presence.ALWAYS,
            most=54,
            x=(8, 152),
            y=(57, 87),
            moves=False,
            rgb="the row: the two upper rows are worth 7 points a brick, the two in the middle 4, "
            "the two lower ones 1",
        ),
    ),
    effects={"RIGHT": (1, 0), "LEFT": (-1, 0)},
    lives=5,
    components=("predict_ball_trajectory", "generate_paddle_target", "select_paddle_action"),
    scores=(
        Score("random", 1.7, MNIH),
        Score("human", 30.5, MNIH),
        Score("LLM code, multi-step", 123.0, KUANG),
        Score("LLM code, one-step", 70.6, KUANG),
        Score("PPO", 465.9, PPO),
        Score("PPO, sticky", 198.37, PPO),
    ),
    facts={"left_wall": 8, "right_wall": 152, "paddle_y": 189, "top_row": 57, "row_height": 6},
    hints=(
        (
            "The ball bounces off the side walls at x = {left_wall} and x = {right_wall}, off the "
            "top and off bricks; your paddle is at y = {paddle_y}."
        ),
        (
            "Six rows of bricks begin at y = {top_row}, each {row_height} pixels high; from the "
            "top they are worth 7, 7, 4, 4, 1 and 1 points a brick."
        ),
        (
            "The ball is faster after it has hit an upper row, and leaves the paddle at an angle "
            "that depends on where it met the paddle."
        ),
        "A tunnel through one side of the wall lets the ball break the upper rows from behind.",
    ),
    reference=Reference(4_000, 1, fires=True, starting_return=0.0),
)
