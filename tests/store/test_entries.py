"""Names and messages of commits: text to record and back."""

from __future__ import annotations

import math
from dataclasses import fields, replace
from datetime import date

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gco_agent.core.errors import StoreError, UsageError
from gco_agent.core.records import Verdict
from gco_agent.core.text import WIDTH, clean_line, shorten, wrap_body
from gco_agent.store.entries import (
    LONGEST_SUBJECT,
    SCHEMA,
    Facts,
    RunRef,
    edit_of,
    format_message,
    format_plain_message,
    headline,
    new_run_id,
    parse_message,
)
from tests.core.test_text import NASTY

NAMES = st.from_regex(r"[a-z0-9](?:[._-]?[a-z0-9]){0,20}", fullmatch=True).filter(
    lambda name: not name.endswith(".lock")
)
COUNTS = st.none() | st.integers(0, 10**12)
FLOATS, COSTS = st.none() | st.floats(), st.none() | st.floats(0)
LINES = st.none() | NASTY
FACTS = st.builds(
    Facts,
    NAMES,
    st.integers(0, 10**6),
    st.sampled_from([v for v in Verdict if v is not Verdict.BY_HAND]),
    **{
        field.name: {
            "int": COUNTS, "float": FLOATS if field.name in ("return_mean", "gain") else COSTS,
            "str": LINES,
        }[str(field.type).split(" ")[0]]
        for field in fields(Facts)
        if field.name not in ("run", "iteration", "verdict", "schema")
    },
)  # fmt: skip
MEASURED = Facts(
    "gco/pong/a",
    3,
    Verdict.ACCEPTED,
    optimizer="optoprime",
    return_mean=14.2,
    return_se=1.1,
    episodes=16,
    gain=2.1,
    seeds="selection 0:16",
)


@given(NAMES, NAMES)
def test_a_run_name_and_its_text_are_inverses(game, run_id):
    ref = RunRef(game, run_id)
    assert RunRef.parse(str(ref)) == RunRef.parse(ref.branch) == ref
    assert str(ref) == f"refs/heads/gco/{game}/{run_id}"


@pytest.mark.parametrize(
    "name",
    ["", "Pong", "a b", "../x", "a..b", "x.lock", "end.", "-x", "a/b", "a\n", "x" * 101, "é"],
)
def test_a_name_that_git_would_not_take_is_refused(name):
    with pytest.raises(UsageError, match="cannot name a run"):
        RunRef("pong", name)
    with pytest.raises(UsageError, match="cannot name a game"):
        RunRef(name, "x")


@given(NAMES, NAMES, NAMES, NAMES)
def test_no_two_runs_share_the_names_of_their_files(game, run_id, other_game, other_id):
    one, other = RunRef(game, run_id), RunRef(other_game, other_id)
    assert (one.stem == other.stem) == (one == other)
    assert RunRef("a-b", "c").stem != RunRef("a", "b-c").stem
    assert RunRef("a-", "b").stem != RunRef("a", "b").stem
    assert RunRef("pong", "first").stem == "pong-first"


@pytest.mark.parametrize("text", ["main", "gco/pong", "gco/a/b/c", "refs/tags/gco/a/b", "x/pong/a"])
def test_a_branch_of_another_form_names_no_run(text):
    with pytest.raises(UsageError, match="expected gco/<game>/<run>"):
        RunRef.parse(text)


def test_new_run_ids_sort_by_day():
    run_id = new_run_id(today=date(2026, 11, 22), entropy="ab12")
    assert run_id == "20261122-ab12"
    assert RunRef("pong", run_id).branch == "gco/pong/20261122-ab12"


@given(NASTY, NASTY, FACTS)
@example("w" * 87 + "\n```", "w" * 80, MEASURED)
@example("w" * 87 + "\n```", "w" * 70 + "…", MEASURED)
@example("w" * 87, "w" * 80, MEASURED)
@example("w" * 71 + "…", "w" * 80, MEASURED)
@example("said twice", "said twice\n\nand explained", MEASURED)
def test_a_message_and_its_record_are_inverses(subject, body, facts):
    message = format_message(subject, body, facts)
    parsed_subject, parsed_body, parsed_facts = parse_message(message)
    whole = shorten(clean_line(subject), LONGEST_SUBJECT) or "(no subject)"
    if "```" in whole:  # not repeated in the body, where it could begin a block of code
        assert parsed_subject in {shorten(whole, WIDTH - n) for n in range(WIDTH - 10)}
    else:
        assert parsed_subject == whole
    assert len(message.partition("\n")[0]) <= WIDTH
    assert parsed_body == wrap_body(body)
    assert parsed_facts == facts
    assert format_message(parsed_subject, parsed_body, facts) == message


@given(NASTY, NASTY)
def test_no_body_can_pass_for_facts(subject, body):
    assert parse_message(format_plain_message(subject, body, []))[2] is None


@given(FACTS)
def test_what_is_not_a_number_is_never_written(facts):
    message = format_message("x", "", facts)
    assert "nan" not in message.split("Gco-Schema")[0]
    for field in fields(facts):
        value = getattr(facts, field.name)
        assert not isinstance(value, float) or math.isfinite(value)


def test_a_message_reads_well():
    body = "The paddle was late.\n\nGco-Outcome: rejected\n\nGco-Schema: 1"
    assert format_message(headline(MEASURED, "predict the bounce"), body, MEASURED) == (
        "Iteration 3 accepted, return 14.2 (+2.10): predict the bounce\n"
        "\n"
        "The paddle was late.\n"
        "\n"
        "    Gco-Outcome: rejected\n"
        "\n"
        "    Gco-Schema: 1\n"
        "\n"
        "Gco-Schema: 1\n"
        "Gco-Run: gco/pong/a\n"
        "Gco-Iteration: 3\n"
        "Gco-Outcome: accepted\n"
        "Gco-Optimizer: optoprime\n"
        "Gco-Return-Mean: 14.2\n"
        "Gco-Return-SE: 1.1\n"
        "Gco-Episodes: 16\n"
        "Gco-Gain: 2.1\n"
        "Gco-Seeds: selection 0:16\n"
    )


def test_facts_are_rounded_when_they_are_made():
    facts = Facts(
        "r", 1, Verdict.ACCEPTED, return_mean=1 / 3, usd=math.nan, gain=math.inf, seeds="a\nb"
    )
    assert (facts.return_mean, facts.usd, facts.gain) == (0.3333333333, None, None)
    assert facts.seeds == "a b"


def test_facts_take_what_numpy_calls_a_number():
    numpy = pytest.importorskip("numpy")
    facts = Facts("r", 1, Verdict.ACCEPTED, return_mean=numpy.float32(0.5), steps=numpy.int64(7))
    assert type(facts.return_mean) is float
    assert type(facts.steps) is int


def test_lines_other_tools_add_to_the_trailers_are_passed_over():
    message = format_message("s", "b", MEASURED)
    signed = (
        message + "Signed-off-by: A <a@example.org>\n(cherry picked from commit 1234)\nGco-New: 1\n"
    )
    assert parse_message(signed) == ("s", "b", MEASURED)


def test_a_message_of_a_person_has_no_facts():
    assert parse_message("Tune by hand\n\nBecause.\n") == ("Tune by hand", "Because.", None)
    assert parse_message("") == ("", "", None)


@pytest.mark.parametrize(
    ("old", "new", "match"),
    [
        (f"Gco-Schema: {SCHEMA}", "Gco-Schema: 2", "schema 2.*reads 1: install"),
        ("Gco-Iteration: 3", "Gco-Iteration: three", "Gco-Iteration: 'three', which is not valid"),
        ("Gco-Outcome: accepted", "Gco-Outcome: splendid", "'splendid', which is not valid"),
        (f"Gco-Schema: {SCHEMA}", f"Gco-USD: -9\nGco-Schema: {SCHEMA}", "'-9', which is not valid"),
        ("Gco-Run: gco/pong/a\n", "", "no Gco-Run: was its message edited"),
        ("Gco-Run: gco/pong/a\n", "Gco-Run:\n", "no Gco-Run: was its message edited"),
    ],
)
def test_trailers_that_cannot_be_read_say_so(old, new, match):
    message = format_message("s", "b", MEASURED).replace(old, new)
    with pytest.raises(StoreError, match=match):
        parse_message(message)


@pytest.mark.parametrize(
    ("verdict", "changes", "what", "side", "expected"),
    [
        (Verdict.INITIAL, {"gain": None}, "start", False, "Start gco/pong/a, return 14.2: start"),
        (Verdict.REJECTED, {"return_mean": None}, "none", False, "Iteration 3 rejected: none"),
        (Verdict.REJECTED, {}, "wait", True, "Iteration 3 candidate, return 14.2 (+2.10): wait"),
        (Verdict.FAILED, {"return_mean": None}, "", True, "Iteration 3 candidate failed"),
        (Verdict.REPORTED, {"gain": None}, "", False, "Iteration 3 reported, return 14.2"),
        (
            Verdict.ROLLED_BACK,
            {"gain": None},
            "to iteration 1",
            False,
            "Iteration 3 rolled back to iteration 1, return 14.2",
        ),
        (
            Verdict.ACCEPTED,
            {"return_mean": 12345.678, "gain": -0.5},
            "",
            False,
            "Iteration 3 accepted, return 12346 (-0.50)",
        ),
    ],
)
def test_headline(verdict, changes, what, side, expected):
    facts = replace(MEASURED, verdict=verdict, **changes)
    assert headline(facts, what, side=side) == expected


@given(FACTS, NASTY, st.booleans())
def test_a_headline_is_one_clean_line(facts, what, side):
    line = headline(facts, what, side=side)
    assert len(line) <= LONGEST_SUBJECT
    assert clean_line(line) == line


def test_a_subject_that_is_too_long_is_kept_whole_in_the_body():
    what = "move AIM_LIMIT 2.34 to 1.89, FIRE_BELOW 40 to 52 and LEAD 3.1 to 2.2, add: keep away"
    subject = headline(MEASURED, what)
    assert subject.endswith(what)
    message = format_message(subject, "It was late.", MEASURED)
    first, _, rest = message.partition("\n\n")
    assert len(first) <= WIDTH
    assert first.endswith("…")
    assert " ".join(rest.partition("\n\n")[0].split()) == subject
    assert parse_message(message) == (subject, "It was late.", MEASURED)


@pytest.mark.parametrize(
    ("subject", "edit"),
    [
        ("Iteration 2 rejected, return 391 (-155): stay nearer: by 3", "stay nearer: by 3"),
        ("Iteration 12 candidate, return 6.05: move", "move"),
        ("Iteration 3 failed: no candidate", "no candidate"),
        ("Start gco/pong/first, return -21", "Start gco/pong/first, return -21"),
        ("A commit by hand: why", "A commit by hand: why"),
    ],
)
def test_the_edit_is_told_apart_from_the_result(subject: str, edit: str) -> None:
    assert edit_of(subject) == edit
