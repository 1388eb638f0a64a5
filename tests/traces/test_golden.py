"""Traces of real episodes as files, and what a reader can work out from them alone."""

from __future__ import annotations

import re
import statistics
from collections.abc import Iterator
from dataclasses import replace
from typing import NamedTuple

import pytest

from gco_agent.core.seeds import Stream
from gco_agent.evaluation.episode import Rollout, play_episodes
from tests.traces.policies import BREAKOUT, CASES, captured, path_of, rendered

FAST = 5
"""Pixels a step above which a bounce is told apart from the noise of sticky steps."""


@pytest.mark.parametrize("name", CASES)
def test_traces_are_what_the_files_say(name: str):
    """After a change that is meant: ``python -m tests.traces.policies``; read the difference."""
    assert rendered(name) == path_of(name).read_text("utf-8")


def test_a_replay_is_the_episode_that_was_scored():
    got = captured("pong")
    task = Rollout(CASES["pong"][1], (1, 2), replace(_rules("pong"), max_steps=CASES["pong"][2]))
    assert play_episodes(task) == got.evaluation.episodes
    assert not any("repeat" in note for note in got.trace.notes)


class Row(NamedTuple):
    """What one row of a table says of Breakout."""

    step: int
    x: int
    y: int


def tables(text: str) -> Iterator[list[Row]]:
    """The rows of every table in which there is a ball, read from the text alone."""
    for block in re.findall(r"```\n(step\|.*?)\n```", text, re.DOTALL):
        heading, *lines = block.split("\n")
        names = heading.split("|")
        found: list[Row] = []
        for line in lines:
            cells = dict(zip(names, line.split("|"), strict=True))
            if cells["Ball x,y"] == "-":
                continue
            x, y = map(int, cells["Ball x,y"].split(","))
            found.append(Row(int(cells["step"]), x, y))
        yield found


def turns(rows: list[Row], *, to_the_right: bool) -> Iterator[tuple[Row, Row, Row, Row]]:
    """Four rows in which the ball flies to a side and comes back, with two steps each way."""
    sign = 1 if to_the_right else -1
    for a, b, c, d in zip(rows, rows[1:], rows[2:], rows[3:], strict=False):
        is_one = d.step - a.step == 3
        if is_one and sign * (b.x - a.x) >= FAST and sign * (c.x - d.x) >= FAST:
            yield a, b, c, d


def side(text: str, *, to_the_right: bool) -> float:
    """Where the ball's left edge turns: halfway between where it would be, and where it is."""
    places = [
        (2 * b.x - a.x + c.x) / 2
        for rows in tables(text)
        for a, b, c, _ in turns(rows, to_the_right=to_the_right)
    ]
    return statistics.median(places)


@pytest.fixture(scope="module")
def text() -> str:
    return path_of("breakout").read_text("utf-8")


def test_the_walls_of_breakout_can_be_worked_out_from_the_trace(text: str):
    """They are at 8 and 152, which is told to nobody."""
    assert "wall" not in text.lower()
    width = int(re.search(r"Ball is (\d+)x", text)[1])  # type: ignore[index]
    assert side(text, to_the_right=True) + width == pytest.approx(152, abs=1.5)
    assert side(text, to_the_right=False) == pytest.approx(8, abs=1.5)


def test_how_the_ball_bounces_can_be_worked_out_from_the_trace(text: str):
    """At a side it keeps its speeds, and only the horizontal one turns round."""
    found = [
        turn
        for rows in tables(text)
        for to_the_right in (True, False)
        for turn in turns(rows, to_the_right=to_the_right)
    ]
    assert len(found) >= 3
    for a, b, c, d in found:
        assert b.x - a.x == c.x - d.x
        assert b.y - a.y == pytest.approx(d.y - c.y, abs=1)


def test_a_policy_that_uses_it_scores_more(text: str):
    """The proof of the pudding, on seeds that the trace is not of."""
    left, right = (side(text, to_the_right=way) + 1 for way in (False, True))
    end = "return ball.cx + ball.dx * steps"
    assert end in BREAKOUT
    mirrored = BREAKOUT.replace(
        end,
        "x = ball.cx + ball.dx * steps\n"
        f"        if x < {left}:\n            x = {2 * left} - x\n"
        f"        return {2 * right} - x if x > {right} else x",
    )
    seeds = tuple(Stream.REPORT.seeds(0, 3))
    rules = replace(_rules("breakout"), max_steps=1500)
    means = [
        statistics.fmean(
            episode.episode_return for episode in play_episodes(Rollout(text, seeds, rules))
        )
        for text in (BREAKOUT, mirrored)
    ]
    assert means[1] > means[0] + 10


def _rules(game: str):
    from gco_agent.envs.atari import default_protocol

    return default_protocol(game)
