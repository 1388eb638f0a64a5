"""Actions as text and back, and where two plays part."""

from __future__ import annotations

import base64
import contextlib
import json
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gco_agent.core.records import (
    digest_actions,
    first_different_step,
    pack_actions,
    unpack_actions,
)

actions = st.binary(max_size=300)


@given(actions)
def test_what_is_packed_is_unpacked(played: bytes) -> None:
    text = pack_actions(played)
    assert unpack_actions(text) == played
    assert json.dumps(text) == f'"{text}"'
    assert pack_actions(bytearray(played)) == text
    assert digest_actions(bytearray(played)) == digest_actions(played)


def test_a_record_is_small() -> None:
    played = b"".join(bytes([n % 3]) * (1 + n * 7 % 9) for n in range(900))
    assert len(played) > 4000
    assert len(pack_actions(played)) < len(played) / 3


@given(st.text())
def test_nonsense_is_refused_with_one_kind_of_error(text: str) -> None:
    with contextlib.suppress(ValueError):
        assert type(unpack_actions(text)) is bytes


@pytest.mark.parametrize(
    "data",
    [
        zlib.compress(bytes(100))[:-1],
        zlib.compress(bytes(100)) + b"more",
        zlib.compress(bytes((1 << 22) + 1)),
    ],
)
def test_cut_endless_and_padded_records_are_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match="cut off, or too long"):
        unpack_actions(base64.b85encode(data).decode())


@given(actions, actions)
def test_the_first_different_step(one: bytes, other: bytes) -> None:
    step = first_different_step(one, other)
    assert step == first_different_step(other, one)
    if step is None:
        assert one == other
    else:
        assert one[:step] == other[:step]
        assert one[step : step + 1] != other[step : step + 1]
