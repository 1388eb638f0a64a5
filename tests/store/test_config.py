from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gco_agent.core.errors import UsageError
from gco_agent.core.records import PlayProtocol
from gco_agent.store.config import RunConfig, format_config, parse_config

texts = st.text(st.characters(exclude_categories=["C", "Z"]), max_size=20)
counts = st.integers(1, 1_000)
protocols = st.builds(
    PlayProtocol,
    name=texts,
    env_id=texts,
    frame_skip=counts,
    sticky=st.floats(0, 1),
    max_steps=counts,
    versions=st.lists(st.tuples(texts, texts), unique_by=lambda pair: pair[0]).map(tuple),
)
configs = st.builds(
    RunConfig,
    game=texts,
    protocol=protocols,
    optimizer=texts,
    model=texts,
    effort=texts,
    max_tokens=counts,
    seed=st.integers(0, 2**32 - 1),
    slice_steps=counts,
    slice_seconds=st.floats(1e-3, 1e9),
)


@given(configs)
def test_what_was_written_is_read_again(config: RunConfig) -> None:
    assert parse_config(format_config(config)) == config


RULES = PlayProtocol("default", "gco/Pong-v5")
GOOD = format_config(RunConfig("pong", RULES, slice_steps=60_000, slice_seconds=30.0))


def test_the_text_is_for_people_too() -> None:
    assert GOOD.startswith("# What this run was started with.")
    assert 'game = "pong"' in GOOD
    assert "[protocol]\n" in GOOD


def test_whole_numbers_do_for_fractions_and_defaults_for_what_is_missing() -> None:
    text = GOOD.replace("slice_seconds = 30.0", "slice_seconds = 20").replace("seed = 0\n", "")
    assert parse_config(text).slice_seconds == 20.0
    assert isinstance(parse_config(text).slice_seconds, float)
    assert parse_config(text).seed == 0


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("game = ", "game == ", "is not TOML"),
        ("schema = 1", "schema = 2", "is not of schema 1"),
        ("schema = 1\n", "", "is not of schema 1"),
        ('game = "pong"\n', "", "game"),
        ('game = "pong"', "game = 3", "game"),
        ("seed = 0", "seed = true", "seed"),
        ("seed = 0", "seed = 0.5", "seed"),
        ("seed = 0", "seeds = 0", "seeds"),
        ("seed = 0", "seed = -1", "seed = -1 is not from 0"),
        ("seed = 0", "seed = 4294967296", "seed = 4294967296 is not from 0"),
        ("sticky = 0.25", 'sticky = "0.25"', "sticky"),
        ("sticky = 0.25", "sticky = 1.25", "sticky = .* is not from 0 to 1"),
        ("sticky = 0.25", "sticky = nan", "JSON"),
        ("frame_skip = 4", "frame_skip = 0", "frame_skip = 0 is not from 1"),
        ("max_steps = 27000", "max_steps = -1", "max_steps = -1 is not from 1"),
        ("slice_steps = 60000", "slice_steps = 0", "slice_steps = 0 is not from 1"),
        ("slice_seconds = 30.0", "slice_seconds = nan", "JSON"),
        ("seed = 0", f"seed = {'9' * 5_000}", "is not TOML"),
        ("seed = 0", "seed = 0" + "\n" * 70_000, "at most 65,536 are read"),
        ('game = "pong"', r'game = "p\u001bong"', "not printable"),
        ('game = "pong"', f'game = "{"p" * 1_001}"', "too long"),
        ("[protocol]", "[rules]", "missing, unknown or wrong"),
        ("[protocol.versions]", "[versions]", "versions"),
        ("[protocol.versions]", "versions = 3", "missing, unknown or wrong"),
    ],
)
def test_every_broken_text_is_refused(old: str, new: str, message: str) -> None:
    assert old in GOOD
    with pytest.raises(UsageError, match=message) as caught:
        parse_config(GOOD.replace(old, new))
    assert str(caught.value).startswith("run.toml ")


def test_a_protocol_that_is_no_table_is_refused() -> None:
    with pytest.raises(UsageError, match=r"run.toml has a missing, unknown or wrong value"):
        parse_config('schema = 1\ngame = "pong"\nprotocol = "default"\n')


NUMBERS = [
    (record, field.name)
    for record in (RunConfig, PlayProtocol)
    for field in fields(record)
    if str(field.type) in ("int", "float")
]


@pytest.mark.parametrize(("record", "name"), NUMBERS)
@pytest.mark.parametrize("value", [10**15, -1, 2.0**80, -0.5])
def test_every_number_has_bounds(record: type, name: str, value: float) -> None:
    config = RunConfig("pong", RULES)
    if record is RunConfig:
        changes: dict[str, Any] = {name: value}
    else:
        changes = {"protocol": replace(RULES, **{name: value})}  # type: ignore[arg-type]
    with pytest.raises(UsageError, match=f"{name} = .* is not from"):
        replace(config, **changes)
