"""The tables of README and policies/README state what the policies and the games state."""

from __future__ import annotations

import re
import statistics
from pathlib import Path

import pytest

from gco_agent.games.registry import find_game
from gco_agent.policy.source import PolicySource, claim_of

pytestmark = pytest.mark.quick
ROOT = Path(__file__).parents[2]
POLICIES = {path.stem: path for path in sorted((ROOT / "policies").glob("*.py"))}


def number(text: str) -> float | None:
    """Return the first number of a cell, or None for a dash."""
    found = re.search(r"[−-]?\d[\d,]*(\.\d+)?", text)
    return float(found[0].replace(",", "").replace("−", "-")) if found else None


def rows(page: str) -> dict[str, dict[str, str]]:
    """Return the first table of a page: game to column to cell."""
    lines = [line for line in (ROOT / page).read_text().splitlines() if line.startswith("|")]
    head, _, *body = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    body = body[: len(POLICIES)]
    names = [re.sub(r"\W", "", re.sub(r"\(.*\)", "", row[0])).lower() for row in body]
    known = {name.replace("_", ""): name for name in POLICIES}
    return {known[n]: dict(zip(head, row, strict=True)) for n, row in zip(names, body, strict=True)}


@pytest.mark.parametrize("page", ["README.md", "policies/README.md"])
def test_tables_of_policies_state_what_their_sources_state(page: str):
    table = rows(page)
    assert table.keys() == POLICIES.keys()
    for game, row in table.items():
        scores = {score.label: score.value for score in find_game(game).scores}
        mine = next(cell for cell in row.values() if cell.startswith("**") and "±" in cell)
        claim = claim_of(PolicySource(POLICIES[game].read_text()))
        assert claim is not None
        assert "(30 episodes, report 0:30)" in claim.score
        stated = [number(part) for part in claim.score.split("±")]
        rounding = 0.5 if claim.mean > 100 else 0.05
        assert [number(part) for part in mine.split("±")] == pytest.approx(stated, abs=rounding)
        for label in ("random", "human"):
            assert number(row[label]) == pytest.approx(scores[label], abs=0.5), (game, label)
        ppo = next(cell for name, cell in row.items() if name.startswith("PPO"))
        assert number(ppo) == pytest.approx(scores["PPO, sticky"], abs=0.5), game


def test_the_median_human_normalised_score_follows_from_the_policies():
    normalised = []
    for game, path in POLICIES.items():
        scores = {score.label: score.value for score in find_game(game).scores}
        claim = claim_of(PolicySource(path.read_text()))
        assert claim is not None
        span = scores["human"] - scores["random"]
        normalised.append((claim.mean - scores["random"]) / span)
    text = " ".join((ROOT / "README.md").read_text().split())
    [stated] = re.findall(r"median human-normalised score of the eight is ([\d.]+)", text)
    assert float(stated) == round(statistics.median(normalised), 1)
