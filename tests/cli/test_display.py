"""What is shown while a command runs."""

from __future__ import annotations

import io
import logging
import re
import sys

from gco_agent.budget import Budget
from gco_agent.cli.boundary import begin_logging
from gco_agent.cli.display import open_display, phase_of
from gco_agent.cli.live import LiveDisplay
from gco_agent.cli.plain import PlainDisplay
from gco_agent.cli.words import clock, count, duration, gain_in_words, number_with_error, tell
from gco_agent.progress import Committed, Playing, Racing, Searching
from gco_agent.statistics import Gain

GAIN = Gain(3.25, 0.5, 8, 0.001)
NASTY = "[bold]x[/bold] \x1b[2J\x07 [/nothing] \u202edlo"
EVENTS = (
    Playing("initial policy", 3, 8),
    Committed(0, "initial", -20.5, 0.25, None, "initial policy", 3.0, "a" * 40),
    Searching("screen", 0.25, 1500, ""),
    Searching("evolve", 0.75, 34_512, NASTY),
    Racing(None, 0),
    Racing(GAIN, 8),
    Committed(1, "accepted", -17.25, 0.5, GAIN, NASTY, 31.0, "b" * 40),
    Playing("report seeds", 1, 30),
)


class Terminal(io.StringIO):
    """A terminal as far as libraries look."""

    def isatty(self) -> bool:
        return True


def become_terminal(monkeypatch) -> Terminal:
    """Make standard error a terminal; pytest puts its own back after every fixture."""
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.delenv("NO_COLOR", raising=False)
    return terminal


def shown(text: str) -> str:
    """What a terminal got, without its control sequences."""
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text)


def test_a_terminal_gets_something_that_moves(monkeypatch):
    become_terminal(monkeypatch)
    assert isinstance(open_display(Budget(), following=0), LiveDisplay)
    monkeypatch.setenv("TERM", "dumb")
    assert isinstance(open_display(Budget(), following=0), PlainDisplay)


def test_nothing_moves_elsewhere(monkeypatch):
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    assert isinstance(open_display(Budget(), following=0), PlainDisplay)


def test_live(monkeypatch):
    terminal = become_terminal(monkeypatch)
    budget = Budget(seconds=300, report_episodes=30)
    budget.note_play(10_000, 5.0)
    budget.reserve([1000], [1000])
    with LiveDisplay(budget, 0) as display:
        for event in EVENTS:
            display(event)
            display._live.refresh()
        tell("said in between")
    text = shown(terminal.getvalue())
    rows = [line for line in text.splitlines() if re.match(r" +\d+  [a-z]+ ", line)]
    assert rows[0].split()[:4] == ["0", "initial", "-20.5", "±"]
    assert "accepted" in rows[1]
    assert "+3.25 ± 0.50" in rows[1]
    assert "[bold]x[/bold]" in rows[1]
    assert "initial policy" in text
    assert "3 of 8 episodes" in text
    assert "iteration 1  evolve" in text
    assert "75%  34,512 steps" in text
    assert "best so far: [bold]x[/bold]" in text
    assert "8 of at most 16 pairs, gain +3.25 ± 0.50" in text
    assert "left (0:21 kept for the report)" in text
    assert "said in between" in text
    assert "\x1b[2J" not in terminal.getvalue()
    assert "\x07" not in terminal.getvalue()
    assert "\u202e" not in terminal.getvalue()
    assert "\x1b[?25h" in terminal.getvalue()  # the cursor is back


def test_live_where_nothing_is_saved(monkeypatch):
    terminal = become_terminal(monkeypatch)
    with LiveDisplay(None, 0) as display:
        display(Playing("x.py on 0:3", 1, 3))
        display._live.refresh()
    assert "1 of 3 episodes" in shown(terminal.getvalue())
    assert "saved" not in shown(terminal.getvalue())


def test_live_without_a_time_limit(monkeypatch):
    terminal = become_terminal(monkeypatch)
    with LiveDisplay(Budget(iterations=2), 5) as display:
        display(Committed(5, "rejected", 1.0, None, None, "word " * 50, 3.0, "c" * 40))
        display(Searching("tune", None, 0, ""))
        display._live.refresh()
    text = shown(terminal.getvalue())
    assert "iteration 6  tune" in text
    assert "gone" in text
    assert max(map(len, text.splitlines())) <= 120


def test_plain(monkeypatch):
    stderr = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stderr)
    with PlainDisplay(0) as display:
        for event in (*EVENTS, EVENTS[-1]):
            display(event)
    numbers = "return -17.2 ± 0.5, gain +3.25 ± 0.50"
    assert stderr.getvalue().splitlines() == [
        "initial policy",
        "iteration 0 initial: return -20.5 ± 0.2, 3 s: initial policy",
        "iteration 1: screen",
        "iteration 1: evolve",
        "iteration 1: race",
        f"iteration 1 accepted: {numbers}, 31 s: [bold]x[/bold] [/nothing] dlo",
        "report seeds",
    ]


def test_warnings_are_shown_and_news_on_request(monkeypatch):
    stderr = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stderr)
    logger = logging.getLogger("gco_agent.somewhere")
    begin_logging(verbose=False)
    logger.info("unseen")
    logger.warning("seen \x1b[31m")
    begin_logging(verbose=True)
    logger.info("news")
    assert stderr.getvalue() == "Warning: seen \nnews\n"


def test_phases_say_how_far_they_are():
    assert phase_of(Playing("x", 0, 0)).done == 0
    assert phase_of(Racing(GAIN, 8)).done == 0.5
    assert phase_of(Searching("tune", None, 0, "")).detail == ""


def test_words():
    assert number_with_error(6.054, 0.8) == "6.05 ± 0.80"
    assert number_with_error(None, None) == "–"
    assert number_with_error(1234.5, None) == "1234"
    assert gain_in_words(None) == ""
    assert [duration(s) for s in (0.4, 59.4, 60, 3725)] == ["0 s", "59 s", "1 min 0 s", "1 h 2 min"]
    assert [clock(s) for s in (-1, 61, 3725)] == ["0:00", "1:01", "1:02:05"]
    assert [count(n, "step") for n in (1, 2000)] == ["1 step", "2,000 steps"]
