"""What is shown while a command runs."""

from __future__ import annotations

import io
import logging
import re
import sys
import time

from gco_agent.cli.display import (
    Ledger,
    LiveDisplay,
    PlainDisplay,
    open_display,
    phase_of,
    short_count,
    what_text,
)
from gco_agent.cli.errors import begin_logging
from gco_agent.cli.output import clock, count, duration, gain_text, tell
from gco_agent.core.events import Committed, Playing, Racing, Searching
from gco_agent.core.records import Usage
from gco_agent.core.statistics import Gain
from gco_agent.core.text import format_score
from gco_agent.llm.asking import Spending
from gco_agent.loop.budget import Budget

GAIN = Gain(3.25, 0.5, 8, 0.001)
NASTY = "[bold]x[/bold] \x1b[2J\x07 [/nothing] \u202edlo"
EVENTS = (
    Playing("initial policy", 3, 8),
    Committed(0, "initial", -20.5, 0.25, None, "initial policy", 3.0, "a" * 40),
    Searching("screen", 0.25, 1500, ""),
    Searching("evolve", 0.75, 34_512, NASTY),
    Racing(None, 0),
    Racing(GAIN, 32),
    Committed(1, "accepted", -17.25, 0.5, GAIN, NASTY, 31.0, "b" * 40, frames=123_456, usd=0.5),
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
    assert isinstance(open_display(Budget()), LiveDisplay)
    monkeypatch.setenv("TERM", "dumb")
    assert type(open_display(Budget())) is PlainDisplay


def test_nothing_moves_elsewhere(monkeypatch):
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    assert type(open_display(Budget())) is PlainDisplay


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
    assert "32 of at most 64 pairs, gain +3.25 ± 0.50" in text
    assert re.search(r"\d:\d\d of 5:00 left \(0:21 kept for the report\)", text)
    assert "policy now: -17.2 ± 0.5  ·  last: iteration 1 accepted: a gain of +3.25" in text
    assert "123.5k frames" in text or "123k frames" in text
    assert "$0.50" in text
    assert "said in between" in text
    assert "\x1b[2J" not in terminal.getvalue()
    assert "\x07" not in terminal.getvalue()
    assert "\u202e" not in terminal.getvalue()
    assert "\x1b[?25h" in terminal.getvalue()  # the cursor is back


def test_live_on_a_narrow_terminal_cuts_nothing_of_the_budget(monkeypatch):
    terminal = become_terminal(monkeypatch)
    monkeypatch.setenv("COLUMNS", "60")
    budget = Budget(iterations=9, seconds=300, frames=10**7, usd=5.0, tokens=90_000)
    budget.spending = Spending(5.0, 90_000, spent=Usage(12_000, output_tokens=345, usd=1.25))
    with LiveDisplay(budget, 1) as display:
        display(EVENTS[6])
        display._live.refresh()
    text = shown(terminal.getvalue())
    for part in ("1 of 9 iterations", "123k of 10.0M frames", "12.3k of 90.0k tokens",
                 "$1.25 of $5.00", "of 5:00 left", "Ctrl-C stops"):  # fmt: skip
        assert part in text, part
    assert max(map(len, text.splitlines())) <= 60


def test_money_that_may_have_been_spent_is_told():
    budget = Budget(usd=2.0)
    risk = Usage(output_tokens=345, usd=1.879)
    budget.spending = Spending(2.0, spent=Usage(usd=0.0), at_risk=risk)
    assert Ledger(budget, 1).used() == ["$0.00 (+ up to $1.88 unstated) of $2.00"]


def test_live_on_a_narrow_terminal_the_bar_gives_way_to_the_words(monkeypatch):
    terminal = become_terminal(monkeypatch)
    monkeypatch.setenv("COLUMNS", "80")
    with LiveDisplay(Budget(), 12) as display:
        display(Searching("tune", 0.31, 310_395, ""))
        display._live.refresh()
        display(Racing(GAIN, 32, n_steps=9000))
        display._live.refresh()
    text = shown(terminal.getvalue())
    assert "iteration 12  tune" in text
    assert "31%  310,395 steps" in text
    assert "iteration 12  race" in text
    assert "50%  32 of at most 64 pairs, gain +3.25 ± 0.50" in text
    assert max(map(len, text.splitlines())) <= 80


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
        why = "too \x1b[31mslow"
        display(Committed(5, "rejected", 1.0, None, None, "word " * 50, 3.0, "c" * 40, why))
        display(Searching("tune", None, 0, ""))
        display._live.refresh()
    text = shown(terminal.getvalue())
    assert "iteration 6  tune" in text
    assert "1 of 2 iterations  ·  about 3 s to go" in text
    assert "elapsed" in text
    assert "last: iteration 5 rejected: too slow" in text
    failed = Committed(6, "failed", 1.0, None, None, "no candidate", 3.0, "", "KeyError: 'x'")
    assert what_text(failed) == "no candidate: KeyError: 'x'"
    assert max(map(len, text.splitlines())) <= 120


def test_plain(monkeypatch):
    stderr = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stderr)
    with PlainDisplay() as display:
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


def test_the_pace_is_shown_once_it_can_be_told(monkeypatch):
    become_terminal(monkeypatch)
    display = LiveDisplay(None, 0)
    display(Playing("x", 0, 8, 500))
    display(Playing("x", 1, 8, 900))
    assert display._pace()[0] == ""
    display._since -= 2.0
    display(Playing("x", 4, 8, 5500))
    assert display._pace() == (f"{display._pace()[0]}", "0:02")
    assert re.fullmatch(r"2,[45]\d\d steps/s", display._pace()[0])
    display(Playing("y", 0, 8, 5500))
    assert display._pace()[0] == ""


def test_the_ledger_counts_the_iterations_of_this_command_only():
    ledger = Ledger(Budget(iterations=10, frames=2_000_000, seconds=100.0, started=0.0), 4)
    for n in (2, 3, 4, 5):
        ledger.note(
            Committed(n, "rejected", 1.0, 0.1, None, "x", 20.0, "", "", n * 100_000, 0.25, 1500)
        )
    used = ["2 of 10 iterations", "500k of 2.0M frames", "3,000 tokens", "$0.50"]
    assert ledger.used() == used
    assert ledger.to_go(0.0) == ""  # the time will be up before
    assert ledger.time(40.0, is_iteration=True) == "1:00 of 1:40 left"
    ledger.note(Committed(6, "reported", 1.0, 0.1, None, "x", 99.0, "", frames=600_000))
    assert ledger.used()[0] == used[0]
    in_no_hurry = Ledger(Budget(iterations=10, started=0.0), 1)
    assert in_no_hurry.to_go(0.0) == ""
    in_no_hurry.note(Committed(1, "accepted", 1.0, 0.1, None, "x", 20.0, ""), now=0.0)
    assert in_no_hurry.to_go(0.0) == "about 3 min 0 s to go"
    assert in_no_hurry.to_go(10.0) == "about 2 min 50 s to go", "it counts down between events"
    assert Ledger(None, 0).used() == []
    assert Ledger(None, 0).time(1.0, is_iteration=False) == ""


def test_the_ledger_takes_the_account_of_the_run_where_it_is_open():
    budget = Budget(tokens=50_000, usd=2.0)
    ledger = Ledger(budget, 3)
    assert ledger.used() == ["0 of 50.0k tokens", "$0.00 of $2.00"]
    budget.spending = Spending(2.0, 50_000, spent=Usage(10_000, output_tokens=500, usd=0.75))
    ledger.note(Committed(3, "rejected", 1.0, 0.1, None, "x", 20.0, "", usd=0.25, tokens=1500))
    assert ledger.used() == ["10.5k of 50.0k tokens", "$0.75 of $2.00"]


def test_plain_lines_tell_the_budget(monkeypatch):
    stderr = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stderr)
    budget = Budget(iterations=4, seconds=3600, usd=1.0)
    with PlainDisplay(budget, 1) as display:
        display(EVENTS[6])
    told = r"dlo \[1 of 4 iterations, 123k frames, \$0\.50 of \$1\.00, \d+:\d\d of 1:00:00 left\]$"
    assert re.search(told, stderr.getvalue().rstrip())


def test_the_live_display_costs_little(monkeypatch):
    become_terminal(monkeypatch)
    with LiveDisplay(Budget(seconds=300), 1) as display:
        display(EVENTS[1])
        begun = time.process_time()
        for _ in range(50):  # ten seconds of it
            display(EVENTS[3])
            display._live.refresh()
        assert (time.process_time() - begun) / 10 < 0.04


def test_counts_in_brief():
    told = [short_count(n) for n in (0, 9_999, 12_345, 999_000, 2_500_000, 123_000_000, 10**10)]
    assert told == ["0", "9,999", "12.3k", "999k", "2.5M", "123M", "10.0G"]


def test_phases_say_how_far_they_are():
    assert phase_of(Playing("x", 0, 0)).done == 0
    assert phase_of(Racing(GAIN, 32)).done == 0.5
    assert phase_of(Searching("tune", None, 0, "")).detail == ""


def test_words():
    assert format_score(6.054, 0.8) == "6.05 ± 0.80"
    assert format_score(None, None) == "–"
    assert format_score(1234.5, None) == "1234"
    assert gain_text(None) == ""
    assert [duration(s) for s in (0.4, 59.4, 60, 3725)] == ["0 s", "59 s", "1 min 0 s", "1 h 2 min"]
    assert [clock(s) for s in (-1, 61, 3725)] == ["0:00", "1:01", "1:02:05"]
    assert [count(n, "step") for n in (1, 2000)] == ["1 step", "2,000 steps"]
