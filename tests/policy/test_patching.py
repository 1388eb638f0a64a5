"""Diffs, as tools and as hands write them."""

from __future__ import annotations

import difflib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gco_agent.core.errors import EditRejected
from gco_agent.policy.edit import apply_diff, is_diff
from gco_agent.policy.source import PolicySource

ROWS = "".join(f"row {n}\n" for n in range(20))


def diff_of(before: str, after: str, context: int) -> str:
    old, new = before.splitlines(keepends=True), after.splitlines(keepends=True)
    return "".join(difflib.unified_diff(old, new, "a", "b", n=context))


_texts = st.lists(st.sampled_from(["a", "b", "", "  c", "+d", "-e"]), max_size=12).map(
    lambda rows: "".join(f"{row}\n" for row in ["? not Python", *rows])
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
    assert patched("@@\n-  row   4\n+  row X\n") == ROWS.replace("row 4", "row X")
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


NESTED = """class Policy:
    def act(self, obs):
        push = 0
        if obs[2] > 0.05:
            limit = 1
            push = 1
        return push
"""


@pytest.mark.parametrize(
    ("diff", "old", "new"),
    [
        ("@@ -6 +6 @@\n-    push = 1\n+    push = 2\n", "push = 1", "push = 2"),
        ("@@\n-push = 1\n+push = 2\n", "push = 1", "push = 2"),
        ("@@\n-\t\t\tpush = 1\n+\t\t\tpush = 2\n", "push = 1", "push = 2"),
        ("@@\n         limit = 1\n-        push = 1\n+        push = 2\n", "push = 1", "push = 2"),
        (
            "@@\n     limit = 1\n-    push=1\n+    if limit:\n+        push = 2\n",
            "push = 1\n",
            "if limit:\n                push = 2\n",
        ),
    ],
)
def test_new_rows_are_indented_as_the_old_ones_are(diff: str, old: str, new: str) -> None:
    assert patched(diff, NESTED) == NESTED.replace(old, new)


def test_rows_that_are_not_indented_alike_are_refused() -> None:
    with pytest.raises(EditRejected, match=r"hunk 1 .*indented otherwise"):
        patched("@@\n-      if obs[2] > 0.05:\n-      limit = 1\n+      limit = 2\n", NESTED)
    with pytest.raises(EditRejected, match="not Python with the diff"):
        patched("@@\n-            limit = 1\n-            push = 1\n", NESTED)


BLOCK = "<<<<<<< SEARCH\n            push = 1\n=======\n            push = 2\n>>>>>>> REPLACE\n"
PATCH = (
    "*** Begin Patch\n*** Update File: policies/pong.py\n@@ def act(self, obs):\n"
    "-        push = 0\n+        push = 5\n@@\n-            push = 1\n+            push = 2\n"
    "*** End Patch\n"
)


def test_search_and_replace_blocks_are_read() -> None:
    assert is_diff(f"Words.\n{BLOCK}")
    assert patched(
        f"pong.py\n{BLOCK}Words in between.\n{BLOCK.replace('push', 'limit')}", NESTED
    ) == (NESTED.replace("push = 1", "push = 2").replace("limit = 1", "limit = 2"))
    with pytest.raises(EditRejected, match="has no end"):
        patched(BLOCK.partition(">")[0], NESTED)
    with pytest.raises(EditRejected, match=r"hunk 1 .*does not fit"):
        patched(BLOCK.replace("push = 1", "pull = 1"), NESTED)


def test_patches_are_read() -> None:
    assert is_diff(PATCH)
    wanted = NESTED.replace("push = 0", "push = 5").replace("push = 1", "push = 2")
    assert patched(PATCH, NESTED) == wanted
    with pytest.raises(EditRejected, match=r"\*\*\* Add File"):
        patched(PATCH + "*** Add File: x.py\n+x = 1\n", NESTED)


def test_a_row_that_a_hunk_names_chooses_between_equal_places() -> None:
    text = "def f():\n    x = 1\n\n\ndef g():\n    x = 1\n"
    assert patched("@@ def g():\n-    x = 1\n+    x = 2\n", text) == text[:-2] + "2\n"


@pytest.mark.parametrize("row", ["@@a{}b", "@@{}@", "*** {}", "<<<<<<< SEARCH{}x", "{}@@"])
def test_long_rows_take_no_longer_than_their_length(row: str) -> None:
    assert is_diff(f"{row.format(' ' * 300_000)}\n+x\n") == row.startswith(("@@", "<"))
