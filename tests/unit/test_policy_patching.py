"""Diffs, as tools and as hands write them."""

from __future__ import annotations

import difflib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gco_agent.core.errors import EditRejected
from gco_agent.policy import PolicySource, apply_diff, is_diff

ROWS = "".join(f"row {n}\n" for n in range(20))


def diff_of(before: str, after: str, context: int) -> str:
    old, new = before.splitlines(keepends=True), after.splitlines(keepends=True)
    return "".join(difflib.unified_diff(old, new, "a", "b", n=context))


_texts = st.lists(st.sampled_from(["a", "b", "", "  c", "+d", "-e"]), max_size=12).map(
    lambda rows: "".join(f"{row}\n" for row in rows)
)


@settings(deadline=None)
@given(_texts, _texts, st.integers(0, 3))
def test_a_diff_of_two_texts_makes_the_second_of_the_first(
    before: str, after: str, context: int
) -> None:
    diff = diff_of(before, after, context)
    if before != after:
        assert is_diff(diff)
        assert apply_diff(PolicySource(before), diff).text == after


def test_what_is_put_before_an_empty_row_stays_before_it() -> None:
    assert patched("@@ -1 +1,2 @@\n+a\n \n", "\n") == "a\n\n"
    assert patched("@@ -2 +2,2 @@\n+a\n \n", "x\n\ny\n") == "x\na\n\ny\n"
    assert patched("@@ -2,0 +3 @@\n+a\n", "x\n\ny\n") == "x\n\na\ny\n"


def patched(diff: str, text: str = ROWS) -> str:
    return apply_diff(PolicySource(text), diff).text


def test_numbers_only_choose_between_equal_places() -> None:
    assert patched("@@ -99,1 +99,1 @@\n-row 4\n+row X\n") == ROWS.replace("row 4", "row X")
    assert patched("@@ -3 +3 @@\n-a\n+b\n", "a\nx\na\nx\na\n") == "a\nx\nb\nx\na\n"
    assert patched("@@\n row 3\n-row 4\n+row X\n") == ROWS.replace("row 4", "row X")


def test_white_space_is_forgiven_where_nothing_fits_to_the_letter() -> None:
    assert patched("@@\n-row 4  \n+row X\n") == ROWS.replace("row 4", "row X")
    assert patched("@@\n-  row   4\n+row X\n") == ROWS.replace("row 4", "row X")
    assert patched("@@\nrow 3\n-row 4\n+row X\nrow 5\n\n\n") == ROWS.replace("row 4", "row X")


def test_an_addition_without_rows_around_it_goes_where_it_says() -> None:
    assert patched("@@ -2,0 +3 @@\n+new\n").split("\n")[1:4] == ["row 1", "new", "row 2"]
    assert patched("@@\n+new\n").startswith("new\nrow 0\n")


@pytest.mark.parametrize(
    ("diff", "message"),
    [
        ("-row 4\n+row X\n", "no hunk in the diff"),
        ("@@\n-nowhere\n+row X\n", "hunk 1 of the diff does not fit: .*\n    nowhere"),
        ("@@\n-row 4\n+a\n@@\n-row 4\n+b\n", "hunk 2 of the diff does not fit"),
    ],
)
def test_what_fits_nowhere_is_refused(diff: str, message: str) -> None:
    with pytest.raises(EditRejected, match=message):
        patched(diff)


def test_what_fits_in_several_places_must_say_where() -> None:
    with pytest.raises(EditRejected, match="fits in 2 places"):
        patched("@@\n-a\n+b\n", "a\nx\na\n")


def test_what_is_a_diff() -> None:
    assert not is_diff("x = 1\n- y\n")
    assert not is_diff("@@ -1 +1 @@\n same\n")
    assert is_diff("--- a\n+++ b\n@@ -1 +1 @@\n-x\n+y\n\\ No newline at end of file\n")
