"""``python -m gco_agent``: the same as the command ``gco-agent``."""

import sys
from pathlib import Path

if __name__ == "__main__":
    here = str(Path.cwd())
    if sys.path[:1] == [here] and here != str(Path(__file__).resolve().parents[1]):
        del sys.path[
            0
        ]  # Python put it there; modules are not taken from wherever one happens to be
    from gco_agent.cli import main

    main(prog_name="gco-agent")
