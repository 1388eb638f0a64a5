"""The one place where what was raised on purpose becomes a message and an exit code.

0: done. 2: `GcoError`, a usage error of click, or a policy that failed. 130, 143: Ctrl-C, SIGTERM.
Anything else is a bug and keeps its traceback.
"""

from __future__ import annotations

import logging
from typing import Any

import click

from gco_agent.cli.interrupts import Interrupted, caught_signals
from gco_agent.cli.words import tell
from gco_agent.errors import GcoError

_LOGGER = "gco_agent"


class Refusal(click.ClickException):
    """An error for a person: printed as ``Error: ...``, without control characters."""

    exit_code = 2

    def format_message(self) -> str:
        """The message; policies and git have a say in it, so nothing in it is trusted."""
        from gco_agent.store.text import clean_text

        return clean_text(self.message)


class Boundary(click.Group):
    """The group of all commands; lists them in the order in which they were added."""

    def invoke(self, ctx: click.Context) -> Any:  # noqa: ANN401 - as click has it
        """Run the command that was asked for.

        Raises:
            Refusal: It raised a `GcoError`.
        """
        try:
            with caught_signals():
                return super().invoke(ctx)
        except GcoError as error:
            raise Refusal(str(error)) from None
        except Interrupted as stop:
            ctx.exit(stop.exit_code)

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names of the commands, for ``--help``."""
        del ctx
        return list(self.commands)


class _ToStderr(logging.Handler):
    """Warnings and news of the package, above whatever is shown live."""

    def emit(self, record: logging.LogRecord) -> None:
        from gco_agent.store.text import clean_text

        word = "" if record.levelno < logging.WARNING else f"{record.levelname.capitalize()}: "
        tell(word + clean_text(record.getMessage()))


def begin_logging(*, verbose: bool) -> None:
    """Show warnings of the package, and with ``verbose`` its news."""
    logger = logging.getLogger(_LOGGER)
    logger.handlers = [_ToStderr()]
    logger.setLevel(logging.INFO if verbose else logging.WARNING)
