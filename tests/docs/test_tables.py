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
FIRST_CLASS = {path.stem for path in (ROOT / "gco_agent" / "games" / "atari").glob("*.toml")}
POLICIES = {path.stem: path for path in sorted((ROOT / "policies").glob("*.py"))}


def number(text: str) -> float | None:
    """Return the first number of a cell, or None for a dash."""
    found = re.search(r"[−-]?\d[\d,]*(\.\d+)?", text)
    return float(found[0].replace(",", "").replace("−", "-")) if found else None


def squeezed(name: str) -> str:
    return re.sub(r"[\W_]", "", re.sub(r"\(.*\)", "", name)).lower()


def rows(page: str) -> dict[str, dict[str, str]]:
    """Return what the tables of a page state of policies: game to column to cell."""
    known, head = {squeezed(name): name for name in POLICIES}, list[str]()
    found: dict[str, dict[str, str]] = {}
    for line in (ROOT / page).read_text().splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if not line.startswith("|"):
            head = []
        elif not head:
            head = cells
        elif squeezed(cells[0]) in known and any("±" in c and c.startswith("**") for c in cells):
            found.setdefault(known[squeezed(cells[0])], dict(zip(head, cells, strict=True)))
    return found


@pytest.mark.parametrize("page", ["README.md", "policies/README.md"])
def test_tables_of_policies_state_what_their_sources_state(page: str):
    table = rows(page)
    assert table.keys() >= FIRST_CLASS
    assert page == "README.md" or table.keys() == POLICIES.keys()
    for game, row in table.items():
        scores = {score.label: score.value for score in find_game(game).scores}
        mine = next(cell for cell in row.values() if cell.startswith("**") and "±" in cell)
        claim = claim_of(PolicySource(POLICIES[game].read_text()))
        assert claim is not None
        assert "(30 episodes, report 0:30)" in claim.score or game not in FIRST_CLASS
        stated = [number(part) for part in claim.score.split("±")]
        rounding = 0.5 if claim.mean > 100 else 0.05
        assert [number(part) for part in mine.split("±")] == pytest.approx(stated, abs=rounding)
        for label in ("random", "human"):
            assert number(row[label]) == pytest.approx(scores[label], abs=0.5), (game, label)
        if game in FIRST_CLASS:
            ppo = next(cell for name, cell in row.items() if name.startswith("PPO"))
            assert number(ppo) == pytest.approx(scores["PPO, sticky"], abs=0.5), game


def test_the_median_human_normalised_score_follows_from_the_policies():
    normalised = []
    for game in FIRST_CLASS:
        scores = {score.label: score.value for score in find_game(game).scores}
        claim = claim_of(PolicySource(POLICIES[game].read_text()))
        assert claim is not None
        span = scores["human"] - scores["random"]
        normalised.append((claim.mean - scores["random"]) / span)
    text = " ".join((ROOT / "README.md").read_text().split())
    [stated] = re.findall(r"median human-normalised score of the eight is ([\d.]+)", text)
    assert float(stated) == round(statistics.median(normalised), 1)


def test_results_of_the_search_are_by_frames_and_seed() -> None:
    """Minutes alone would give other numbers on another machine."""
    results = (ROOT / "README.md").read_text().split("## Results")[1].split("\n## ")[0]
    assert re.search(r"`gco-agent run \w+ --frames \d+ --seed \d`", results)
    seeds = re.search(r"^\| game \|.*$", results, re.MULTILINE)
    assert seeds
    assert len(re.findall(r"seed \d", seeds[0])) >= 3
