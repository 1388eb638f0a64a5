"""How returns are written."""

from __future__ import annotations

import pytest

from gco_agent.core.text import format_points, format_score


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (6.054, "6.05"),
        (-20.7, "-20.7"),
        (1234.5, "1234"),
        (0.5, "0.50"),
        (0.0, "0.00"),
        (0.0004, "0.00040"),
        (-0.0123, "-0.012"),
        (4e-9, "4e-09"),
        (1e30, "1e+30"),
        (float("inf"), "inf"),
    ],
)
def test_points(value, text):
    assert format_points(value) == text


@pytest.mark.parametrize(
    ("mean", "error", "text"),
    [
        (6.054, 0.8, "6.05 ± 0.80"),
        (-20.5, 0.25, "-20.5 ± 0.2"),
        (None, None, "–"),
        (0.0004, 0.00003, "0.00040 ± 0.00003"),
        (0.0004, 0.3, "0.00 ± 0.30"),
        (6.05, 0.0004, "6.0500 ± 0.0004"),
        (500.0, 0.0, "500 ± 0"),
        (1e30, 2e28, "1e+30 ± 2e+28"),
        (0.0, 0.0, "0.00 ± 0.00"),
    ],
)
def test_scores(mean, error, text):
    assert format_score(mean, error) == text


def test_signs_and_least_digits():
    assert format_score(15.674, 0.68, least=2) == "15.67 ± 0.68"
    assert format_score(1.25, 0.3, "+") == "+1.25 ± 0.30"
    assert format_points(3.0, "+") == "+3.00"
