"""Words of the program: no phrase that stopped readers is back, and own words are explained."""

from __future__ import annotations

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
STUMBLED = (
    "are other ones",
    "is no time",
    "nobody is at work",
    "played all the same",
    "by what the prompt costs",
    "cut here",
    "cut at the step limit",
    "frames of the emulator",
    "emulator frames",
)
"""What readers of the first version did not understand."""
OWN = ("policy in force", "turned down", "line", "lane", "stamp", "race", "verdict", "horizon")


def texts() -> dict[str, str]:
    """What users read: help, messages, pages, documentation; by file."""
    pages = [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]
    pages += [
        p for kind in ("toml", "html", "js", "md") for p in (ROOT / "gco_agent").rglob(f"*.{kind}")
    ]
    found = {str(page): page.read_text("utf-8") for page in pages}
    for path in (ROOT / "gco_agent").rglob("*.py"):
        tree = ast.parse(path.read_text("utf-8"))
        said = [
            n for n in ast.walk(tree) if isinstance(n, ast.Constant) and isinstance(n.value, str)
        ]
        notes = {
            id(node.body[0].value)
            for node in ast.walk(tree)
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef)
            and node.body
            and isinstance(node.body[0], ast.Expr)
        }
        found[str(path)] = "\n".join(str(n.value) for n in said if id(n) not in notes)
    return found


def test_no_text_says_what_readers_stumbled_over() -> None:
    for name, text in texts().items():
        whole = re.sub(r"[\s\\]+", " ", text)
        assert not [phrase for phrase in STUMBLED if phrase in whole], name


def test_words_of_our_own_are_in_the_glossary() -> None:
    glossary = (ROOT / "docs" / "glossary.md").read_text("utf-8")
    assert not [word for word in OWN if f"**{word}**" not in glossary]
