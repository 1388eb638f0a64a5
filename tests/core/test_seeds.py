from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gco_agent.core.errors import UsageError
from gco_agent.core.seeds import Stream, format_seeds, parse_seed_range, seed_of_chance

LENGTH = 100_000_000


def spans(highest: int) -> st.SearchStrategy[range]:
    numbers = st.lists(st.integers(0, highest), min_size=2, max_size=2, unique=True)
    return numbers.map(sorted).map(lambda ends: range(*ends))


@given(spans(2**31))
def test_plain_seeds_come_back(seeds: range) -> None:
    assert parse_seed_range(f"{seeds.start}:{seeds.stop}") == seeds
    assert parse_seed_range(format_seeds(seeds)) == seeds


@given(st.sampled_from(Stream), spans(LENGTH))
def test_seeds_of_a_stream_come_back_by_name(stream: Stream, part: range) -> None:
    seeds = stream.seeds(part.start, part.stop)
    text = format_seeds(seeds)
    assert text == f"{stream.name.lower()} {part.start}:{part.stop}"
    assert parse_seed_range(f" {text} ") == seeds


def test_streams_never_meet() -> None:
    everything = [stream.seeds(0, LENGTH) for stream in Stream]
    for one, next_one in itertools.pairwise(everything):
        assert one.stop <= next_one.start
    with pytest.raises(ValueError, match="a stream has seeds 0:100000000"):
        Stream.REPORT.seeds(0, LENGTH + 1)
    with pytest.raises(ValueError, match="feedback -1:2"):
        Stream.FEEDBACK.seeds(-1, 2)


@given(st.sampled_from(Stream), st.integers(0, 10**15), st.integers(0, 1000))
def test_seeds_that_are_numbered_without_an_end_stay_in_their_stream(
    stream: Stream, first: int, n: int
) -> None:
    seeds = stream.cycle(first, n)
    assert len(seeds) == n
    whole = stream.seeds(0, LENGTH)
    assert not n or (seeds[0] in whole and seeds[-1] in whole)
    if first + n <= LENGTH:
        assert seeds == stream.seeds(first, first + n)


@given(st.integers(0, 10**15))
def test_every_number_seeds_a_generator(number: int) -> None:
    assert 1 <= seed_of_chance(number) < seed_of_chance(number) + 100 < 2**32
    assert number > 4 * 10**9 or seed_of_chance(number) == 1 + number


@pytest.mark.parametrize(
    "text",
    ["", "3", "3:", ":3", "3:3", "4:3", "a:b", "-1:3", "0:2147483649", "0:" + "9" * 5000, "٣:٥",
     "report 0:100000001", "secret 0:3", "0:3:2"],
)  # fmt: skip
def test_what_is_no_range_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match=r"seeds are given as A:B|hold nothing"):
        parse_seed_range(text)
