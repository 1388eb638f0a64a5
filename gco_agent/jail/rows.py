"""Rows of objects on their way into the jail: plain Python values, or they do not go."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from gco_agent.core.observation import Row

_PLAIN = frozenset({int, float, str, tuple, type(None)})


def check_plain(rows: Mapping[str, Sequence[Row]]) -> None:
    """Numpy's numbers would arrive as bytes.

    Raises:
        TypeError: A value is neither None, a plain number, text nor a tuple.
    """
    for category, members in rows.items():
        for row in members:
            for value in row:
                if type(value) not in _PLAIN:
                    raise TypeError(
                        f"{category} has the value {value!r} of type {type(value).__name__}; "
                        "rows are made of plain Python numbers"
                    )
