"""Write the reference of the Python API with pdoc: ``reference.py FOLDER``."""

from __future__ import annotations

import sys
from pathlib import Path

import pdoc

import gco_agent

MODULES = (
    "gco_agent",
    "gco_agent.core.errors",
    "gco_agent.games",
    "gco_agent.llm.base",
    "gco_agent.optimizers.testing",
)
"""What a program may import; other modules can change without notice."""


def main() -> None:
    """Write one page for each module."""
    for name in gco_agent.__all__:  # pdoc finds no names that are loaded lazily
        setattr(gco_agent, name, getattr(gco_agent, name))
    pdoc.render.configure(docformat="google", search=False, show_source=False)
    folder = Path(sys.argv[1])
    pdoc.pdoc(*MODULES, output_directory=folder)
    print(f"{folder / 'gco_agent.html'}")


if __name__ == "__main__":
    main()
