"""The one place where errors and signals become messages and exit codes.

0: done. 2: a `GcoError`, a usage error, or a `Result` that is not good. 130, 143: Ctrl-C, SIGTERM.
Anything else is a bug and keeps its traceback.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import re
import signal
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from importlib import import_module
from types import FrameType
from typing import IO, Any

import click

from gco_agent.cli.output import (
    STANDARD_OUTPUT,
    discard_output,
    open_standard_streams,
    results_only,
    tell,
)
from gco_agent.core.errors import GcoError, how_to_install
from gco_agent.core.text import clean_text

_SECOND_SIGNAL_S = 3.0
"""A second signal sooner than this after the first is ignored: an impatient finger."""
_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_LINGER_S = 2.0
EXTRAS = {
    **dict.fromkeys(("jinja2", "matplotlib", "PIL", "plotly"), "report"),
    **dict.fromkeys(("imageio_ffmpeg", "pygame"), "video"),
    **dict.fromkeys(("anthropic", "httpx2"), "models"),
    **dict.fromkeys(("h5py", "minari", "tensorboardX"), "export"),
    **{name: name for name in ("mlflow", "openai", "wandb")},
    "huggingface_hub": "hub",
    **dict.fromkeys(("stable_baselines3", "torch"), "ppo"),
}
"""Modules of an extra, which may not be installed."""
_WORD = 200
_TOO_LONG = re.compile(rf"\S{{{2 * _WORD},}}")
_NAMING = (errno.ENAMETOOLONG, errno.EISDIR, errno.ENOTDIR)
_WRITING = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES)
_SHOW_CURSOR = b"\x1b[?25h"
_STDERR = 2


class Refusal(click.ClickException):
    """An error shown as ``Error: ...``, without control characters."""

    exit_code = 2

    def format_message(self) -> str:
        """Return the message, cleaned: it may quote policies, models, git, or what was typed."""
        return _TOO_LONG.sub(lambda found: f"{found[0][:_WORD]}…", clean_text(self.message))

    def show(self, file: IO[Any] | None = None) -> None:
        """Print the message to standard error, wrapped between words on a terminal."""
        del file
        tell(f"Error: {self.format_message()}")


class Interrupted(KeyboardInterrupt):
    """A signal asked the command to end."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.exit_code = 128 + number


class Command(click.Command):
    """A command that returns a `Result`, of which nothing else reaches standard output."""

    def invoke(self, ctx: click.Context) -> None:
        """Run the command and print its result."""
        with results_only():
            try:
                result = super().invoke(ctx)
            except SystemExit as error:  # click raises Exit; this is code of the user's
                raise Refusal(
                    f"the environment, or a file of yours, called sys.exit({error.code!r})"
                ) from error
            if result is not None:
                result.print(as_json=ctx.obj.as_json)
                ctx.exit(0 if result.is_good else Refusal.exit_code)


class CommandGroup(click.Group):
    """The group of all commands; each is imported when it is called.

    Args:
        homes: Texts of each command, in listed order; ``home`` is its ``module:attribute``.
    """

    def __init__(self, *args: Any, homes: Mapping[str, dict[str, str]], **kwargs: Any) -> None:  # noqa: ANN401
        super().__init__(*args, **kwargs)
        self._homes = homes

    def __call__(self, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401
        """Run as a program."""
        try:
            return self._main(*args, **kwargs)
        except SystemExit as error:
            _leave_threads_behind(error.code)
            raise

    def _main(self, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401
        try:
            open_standard_streams()
            return self.main(*args, **kwargs)
        except BrokenPipeError:  # from a completion script; click handles it elsewhere
            discard_output()
            sys.exit(1)
        except OSError as error:
            if error.filename != STANDARD_OUTPUT:
                raise
            discard_output()
            refusal = Refusal(_describe(error))
            refusal.show()
            sys.exit(refusal.exit_code)

    def invoke(self, ctx: click.Context) -> Any:  # noqa: ANN401
        """Run the command that was named."""
        try:
            with caught_signals():
                return super().invoke(ctx)
        except GcoError as error:
            raise Refusal(str(error)) from None
        except OSError as error:
            if error.errno not in _NAMING + _WRITING or error.filename == STANDARD_OUTPUT:
                raise
            raise Refusal(_describe(error)) from None
        except ModuleNotFoundError as error:
            if (module := (error.name or "").partition(".")[0]) not in EXTRAS:
                raise
            install = how_to_install(EXTRAS[module])
            raise Refusal(f"this needs the package {module}: {install}") from None
        except Interrupted as stop:
            ctx.exit(stop.exit_code)

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of the commands, for ``--help``."""
        del ctx
        return list(self._homes)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import and return a command; None if there is none of that name."""
        del ctx
        if cmd_name not in self._homes:
            return None
        if cmd_name not in self.commands:
            module, _, attribute = self._homes[cmd_name]["home"].partition(":")
            self.add_command(getattr(import_module(f"gco_agent.cli.{module}"), attribute), cmd_name)
        return self.commands[cmd_name]

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands without importing them."""
        del ctx
        with formatter.section("Commands"):
            formatter.write_dl([(name, texts["short"]) for name, texts in self._homes.items()])


def _describe(error: OSError) -> str:
    return f"{error.filename}: {error.strerror}" if error.filename else str(error.strerror)


def _leave_threads_behind(code: object) -> None:
    """Leave the process even if an environment's own threads would keep it alive."""
    deadline = time.monotonic() + _LINGER_S
    for thread in threading.enumerate():
        if thread is not threading.main_thread() and not thread.daemon:
            thread.join(max(0.0, deadline - time.monotonic()))
            if thread.is_alive():
                with contextlib.suppress(OSError, ValueError):
                    sys.stdout.flush()
                    sys.stderr.flush()
                os._exit(code if isinstance(code, int) else 1)


@contextlib.contextmanager
def caught_signals() -> Iterator[None]:
    """Raise `Interrupted` at the first SIGINT or SIGTERM; exit at once at a later second one."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    began: list[float] = []

    def on_signal(number: int, _: FrameType | None) -> None:
        if not began:
            began.append(time.monotonic())
            raise Interrupted(number)
        if time.monotonic() - began[0] > _SECOND_SIGNAL_S:
            if os.isatty(_STDERR):
                os.write(_STDERR, _SHOW_CURSOR)
            os._exit(128 + number)  # workers notice that their parent has gone, and end

    before = {number: signal.getsignal(number) for number in _SIGNALS}
    for number, handler in before.items():
        if handler is not signal.SIG_IGN:  # as under nohup
            signal.signal(number, on_signal)
    try:
        yield
    finally:
        for number, handler in before.items():
            # once interrupted, only the interpreter's own end is left: no traceback from there
            signal.signal(number, signal.SIG_IGN if began else handler)


class _ToStderr(logging.Handler):
    """Show log records of the package above the live display."""

    def emit(self, record: logging.LogRecord) -> None:
        word = "" if record.levelno < logging.WARNING else f"{record.levelname.capitalize()}: "
        tell(word + clean_text(record.getMessage()))


def begin_logging(*, verbose: bool) -> None:
    """Show warnings of the package, and with ``verbose`` also its infos."""
    logger = logging.getLogger("gco_agent")
    logger.handlers = [_ToStderr()]
    logger.setLevel(logging.INFO if verbose else logging.WARNING)
    logging.getLogger("gco_agent.report.loggers").setLevel(logging.INFO)  # says where the log is
