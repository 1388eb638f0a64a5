"""``python -m gco_agent``: the same as the command ``gco-agent``."""

from gco_agent.cli import main

if __name__ == "__main__":
    main(prog_name="gco-agent")
