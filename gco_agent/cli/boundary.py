"""The one place where what was raised on purpose becomes a message and an exit code.

0: done. 2: `GcoError`, a usage error of click, or a policy that failed. 130, 143: Ctrl-C, SIGTERM.
Anything else is a bug and keeps its traceback.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from importlib import import_module
from typing import Any

import click

from gco_agent.cli.interrupts import Interrupted, caught_signals
from gco_agent.cli.words import tell
from gco_agent.core.errors import GcoError

_LOGGER = "gco_agent"


class Refusal(click.ClickException):
    """An error for a person: printed as ``Error: ...``, without control characters."""

    exit_code = 2

    def format_message(self) -> str:
        """The message; policies and git have a say in it, so nothing in it is trusted."""
        from gco_agent.core.text import clean_text

        return clean_text(self.message)


class Boundary(click.Group):
    """The group of all commands, each imported when it is asked for.

    Args:
        homes: Name of a command to ``module:attribute``, in the order to list them.
    """

    def __init__(
        self,
        *arguments: Any,  # noqa: ANN401 - as click has them
        homes: Mapping[str, str],
        **options: Any,  # noqa: ANN401
    ) -> None:
        super().__init__(*arguments, **options)
        self._homes = homes

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
        return list(self._homes)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of that name; None if there is none."""
        del ctx
        if cmd_name not in self._homes:
            return None
        if cmd_name not in self.commands:
            module, _, attribute = self._homes[cmd_name].partition(":")
            self.add_command(getattr(import_module(module), attribute), cmd_name)
        return self.commands[cmd_name]


class _ToStderr(logging.Handler):
    """Warnings and news of the package, above whatever is shown live."""

    def emit(self, record: logging.LogRecord) -> None:
        from gco_agent.core.text import clean_text

        word = "" if record.levelno < logging.WARNING else f"{record.levelname.capitalize()}: "
        tell(word + clean_text(record.getMessage()))


def begin_logging(*, verbose: bool) -> None:
    """Show warnings of the package, and with ``verbose`` its news."""
    logger = logging.getLogger(_LOGGER)
    logger.handlers = [_ToStderr()]
    logger.setLevel(logging.INFO if verbose else logging.WARNING)
