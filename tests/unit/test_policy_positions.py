from __future__ import annotations

import ast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gco_agent.policy.source import Positions, Replacement, replaced

TEXT = 'ä = "öü"; b = [1,\r\n  "é" + str(2)]\nc = 3'


def test_a_span_is_the_text_of_the_node() -> None:
    positions = Positions(TEXT)
    for node in ast.walk(ast.parse(TEXT)):
        if isinstance(node, ast.expr | ast.stmt):
            start, end = positions.span(node)
            assert TEXT[start:end].replace("\r", "") == ast.get_source_segment(
                TEXT.replace("\r", ""), node
            )


def test_rows_begin_where_they_begin() -> None:
    positions = Positions("ab\nc\n")
    assert [positions.row_start(row) for row in (1, 2, 3, 4)] == [0, 3, 5, 5]


@given(st.text(), st.data())
def test_what_is_put_in_is_there_and_the_rest_stays(text: str, data: st.DataObject) -> None:
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), min_size=4, max_size=4)))
    a, b, c, d = cuts
    new = replaced(text, [Replacement(c, d, "two"), Replacement(a, b, "one")])
    assert new == text[:a] + "one" + text[b:c] + "two" + text[d:]


def test_replacements_do_not_overlap() -> None:
    with pytest.raises(ValueError, match="meet at character 1"):
        replaced("abc", [Replacement(0, 2, ""), Replacement(1, 3, "")])
