"""Breakout, as data."""

from __future__ import annotations

from gco_agent.games.spec import Category, GameSpec, Presence, Reference, Stage, published

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
        Category("Player", "your paddle", y=(189, 189)),
        Category("Ball", "the ball", "from FIRE until it is lost", Presence.USUAL, y=(30, 210)),
        Category(
            "Block",
            "a stretch of bricks side by side in one row; each brick is 8 pixels wide, so a gap "
            "splits a row into several",
            "while bricks of that row stand",
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
    scores=published(1.7, 30.5, llm_code=(123.0, 70.6), ppo=(465.9, 198.37)),
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
    least=0,
    stages=(
        Stage(
            "misses",
            "The ball is lost almost at once. Look at where it crosses the paddle's row and where "
            "the paddle was, and at what brings the ball into play.",
            below=3,
        ),
        Stage(
            "returns some",
            "Some balls are returned. Look at the lives that were lost: was the landing point "
            "wrong, for one because the ball turned round at a side, or was the paddle late?",
            below=30,
        ),
        Stage(
            "steady",
            "Rallies last. Look at what the ball does when it gets faster, and whether the paddle "
            "overshoots or moves away while it waits.",
            below=150,
        ),
        Stage(
            "strong",
            "Much of the wall is gone. Look at whether the ball keeps the same course without "
            "hitting anything, and what would lead it elsewhere.",
            below=300,
        ),
        Stage(
            "nearly done",
            "Look at the longest stretch without a reward and at the last life: what is left?",
        ),
    ),
)
