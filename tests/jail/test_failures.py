"""What a policy wrote, on its way to a terminal, a commit or a prompt."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gco_agent.core import text
from gco_agent.jail import reports

SOURCE = "def act(obs):\n    return find(obs)\n\ndef find(obs):\n    return obs.ball\n"


@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        ("plain ± text, even 中文", "plain ± text, even 中文"),
        ("\x1b[2Jgone", "\\x1b[2Jgone"),
        ("a\nb\tc\r", "a\\nb\\tc\\r"),
        ("\u202eright to left", "\\u202eright to left"),
        ("zero\u200bwidth\U000e0041tag", "zero\\u200bwidth\\U000e0041tag"),
        ("del\x7f nbsp\xa0", "del\\x7f nbsp\\xa0"),
        ("lone \udc80", "lone \\udc80"),
        ("hidden\U000e0159\ufe0f", "hidden\\U000e0159\\ufe0f"),
        ("fill\u3164\u115f\u2800er", "fill\\u3164\\u115f\\u2800er"),
        ("é e\u0301\u0323", "é e\u0301\u0323"),
        ("heap" + "\u0301" * 4, "heap\u0301\u0301\\u0301\\u0301"),
    ],
)
def test_escape(raw: str, shown: str):
    assert text.escape(raw, 100) == shown


@settings(database=None)
@given(st.text(max_size=300), st.integers(1, 50))
def test_escaped_text_is_one_printable_line_of_bounded_length(raw: str, limit: int):
    shown = text.escape(raw, limit)
    assert shown.isprintable()
    assert len(shown) <= limit + len(" [cut]")


@settings(database=None)
@given(st.text(max_size=300))
def test_escaped_lines_keep_their_ends_and_nothing_else(raw: str):
    shown = text.escape_lines(raw, 5000)
    assert all(line.isprintable() for line in shown.split("\n"))
    assert shown.count("\n") == raw.count("\n")


def test_traceback_is_made_of_the_judges_own_source():
    summary, frames = reports.parse_failure("AttributeError: no ball\n2\tact\n5\tfind")
    assert reports.format_failure(summary, frames, SOURCE) == (
        "Traceback (most recent call last):\n"
        '  File "policy.py", line 2, in act\n'
        "    return find(obs)\n"
        '  File "policy.py", line 5, in find\n'
        "    return obs.ball\n"
        "AttributeError: no ball"
    )


def test_lines_are_counted_as_python_counts_them():
    source = 'X = "a\x0cb\x1cc\u2028d"\r\nY = 0\n'
    shown = reports.format_failure("KeyError", [(2, "act")], source)
    assert "line 2, in act\n    Y = 0\n" in shown


def test_frames_that_cannot_be_are_dropped():
    told = (
        "E\n99\tbeyond\n0\tbefore\n-1\tless\nx\ty\n12345678901\tlong\n²\tsuper\n\n2\t\x1b[2J"
        + "n" * 99
    )
    summary, frames = reports.parse_failure(told)
    shown = reports.format_failure(summary, frames, SOURCE)
    assert shown.count("File") == 1
    assert "in \\x1b[2J" in shown
    assert "[cut]" in shown
    assert reports.format_failure("E", [(99, "beyond")], SOURCE) == "E"


def test_deep_tracebacks_keep_their_ends():
    shown = reports.format_failure("RecursionError", [(2, f"f{n}") for n in range(50)], SOURCE)
    assert "in f0\n" in shown
    assert "in f1\n" in shown
    assert "  [42 more]\n" in shown
    assert "in f43\n" not in shown
    assert "in f44\n" in shown
    assert "in f49\n" in shown


def test_what_the_interpreter_dumps_when_it_hangs():
    dump = (
        "Current thread 0x00007f (most recent call first):\n"
        '  File "policy.py", line 5 in find\n'
        '  File "policy.py", line 2 in act\n'
        '  File "worker.py", line 160 in _act\n'
    )
    assert reports.parse_dump(dump) == [(2, "act"), (5, "find")]
    assert reports.parse_dump("") == []
