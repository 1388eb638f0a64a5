"""Write the reference of the Python API with pdoc: ``reference.py FOLDER``.

Also writes the JSON schema of the results of commands, docs/results.schema.json.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pdoc

import gco_agent
from gco_agent.cli.results import schema

SCHEMA = Path(__file__).parents[1] / "docs" / "results.schema.json"
MODULES = (
    "gco_agent",
    "gco_agent.core.errors",
    "gco_agent.games",
    "gco_agent.llm.base",
    "gco_agent.optimizers.testing",
)
"""What a program may import; other modules can change without notice."""


def main() -> None:
    """Write the schema and one page for each module."""
    SCHEMA.write_text(json.dumps(schema(), indent=1, sort_keys=True) + "\n", "utf-8")
    for name in gco_agent.__all__:  # pdoc finds no names that are loaded lazily
        setattr(gco_agent, name, getattr(gco_agent, name))
    pdoc.render.configure(docformat="google", search=False, show_source=False)
    folder = Path(sys.argv[1])
    pdoc.pdoc(*MODULES, output_directory=folder)
    print(f"{folder / 'gco_agent.html'}")


if __name__ == "__main__":
    main()
