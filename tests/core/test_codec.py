"""Records become JSON and come back; what is not of a record's types is refused by field."""

from __future__ import annotations

import json
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gco_agent.core.codec import decode, dumps, encode, finite_number, loads, readable
from gco_agent.core.errors import StoreError
from gco_agent.core.records import EpisodeResult, Evaluation, Outcome, PlayProtocol, Usage


@dataclass(frozen=True, slots=True)
class Nested:
    number: float
    names: tuple[tuple[str, int], ...] = ()
    best: EpisodeResult | None = None
    table: dict[str, list[float]] = field(default_factory=dict)


FINITE = st.floats(allow_nan=False, allow_infinity=False)
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
EPISODES = st.builds(
    EpisodeResult,
    seed=st.integers(0, 2**31),
    episode_return=FINITE,
    n_steps=st.integers(0, 2**31),
    outcome=st.sampled_from(Outcome),
    detail=TEXT,
    digest=TEXT,
)
RECORDS = st.one_of(
    EPISODES,
    st.builds(Evaluation, st.lists(EPISODES, max_size=3).map(tuple), TEXT),
    st.builds(PlayProtocol, TEXT, TEXT, sticky=FINITE, versions=st.just((("ale-py", "0.11"),))),
    st.builds(Usage, usd=st.none() | st.floats(0, allow_infinity=False)),
    st.builds(
        Nested,
        FINITE,
        st.lists(st.tuples(TEXT, st.integers(-(2**60), 2**60)), max_size=3).map(tuple),
        st.none() | EPISODES,
        st.dictionaries(TEXT, st.lists(FINITE, max_size=3), max_size=3),
    ),
)


@settings(deadline=None)
@given(RECORDS)
def test_a_record_comes_back(record):
    assert loads(type(record), dumps(record), "file") == record
    assert decode(type(record), encode(record), "file") == record
    assert json.loads(dumps(record, indent=1)) == encode(record)


def test_a_list_of_records_comes_back():
    episodes = [EpisodeResult(1, 2.5, 3, Outcome.TRUNCATED)]
    assert loads(list[EpisodeResult], dumps(episodes), "file") == episodes


def test_unknown_keys_are_ignored_and_missing_ones_take_the_default():
    assert decode(Nested, {"number": 1, "of a later version": 2}, "file") == Nested(1.0)


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ('{"number": "1"}', "number"),
        ('{"number": true}', "number"),
        ('{"number": 1, "names": [["a", 1.5]]}', "names.0.1"),
        ('{"number": 1, "best": {"seed": 1}}', "best.episode_return"),
        ('{"number": 1, "table": {"a": [null]}}', "table.a.0"),
        ('{"number": NaN}', "float"),
        ('{"number": 1e999}', "float"),
        ("{}", "number"),
        ("[]", "object"),
        ("[" * 100_000, "recursion"),
        ("", "line 1"),
        (b"\xff", "utf-8"),
        ('{"number": 1, "names": [["\\ud800", 1]]}', "file of commit"),
        ('{"number": ' + "9" * 5_000 + "}", "file of commit"),
    ],
)
def test_what_does_not_fit_is_refused_by_field(text, named):
    with pytest.raises(StoreError, match="file of commit") as caught:
        loads(Nested, text, "file of commit")
    assert named in str(caught.value)


def test_numbers_that_are_not_finite_are_not_written():
    with pytest.raises(ValueError, match="JSON"):
        dumps(Nested(float("nan")))


@pytest.mark.parametrize("data", [True, "1", None, float("inf"), float("nan")])
def test_finite_number(data):
    assert finite_number(2) == 2.0
    with pytest.raises(ValueError, match="weight"):
        finite_number(data, "weight")


def test_errors_of_readers_name_the_file():
    with pytest.raises(StoreError, match=r"memory\.json .*'best'"), readable("memory.json"):
        dict[str, int]()["best"]
