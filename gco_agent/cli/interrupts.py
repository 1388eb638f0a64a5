"""Ctrl-C and SIGTERM: once to end cleanly, again after a while to end at once."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from collections.abc import Iterator
from types import FrameType

_PATIENCE_S = 3.0
"""A second signal within this time of the first is a nervous finger, and is ignored."""
_SHOW_CURSOR = b"\x1b[?25h"
_STDERR = 2


class Interrupted(KeyboardInterrupt):
    """A signal asked the command to end.

    Attributes:
        signal: Which one.
    """

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.signal = signal.Signals(number)

    @property
    def exit_code(self) -> int:
        """As shells have it: 130 for Ctrl-C, 143 for SIGTERM."""
        return 128 + self.signal


@contextlib.contextmanager
def caught_signals() -> Iterator[None]:
    """Raise `Interrupted` at the first signal; leave at once if one comes long after it."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    began: list[float] = []

    def on_signal(number: int, _: FrameType | None) -> None:
        if not began:
            began.append(time.monotonic())
            raise Interrupted(number)
        if time.monotonic() - began[0] > _PATIENCE_S:
            if os.isatty(_STDERR):
                os.write(_STDERR, _SHOW_CURSOR)
            os._exit(128 + number)  # workers see that they are alone, and end

    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    for number, handler in before.items():
        if handler is not signal.SIG_IGN:  # as under nohup
            signal.signal(number, on_signal)
    try:
        yield
    finally:
        for number, handler in before.items():
            # once interrupted, what is left is the interpreter's own end: no traceback from there
            signal.signal(number, signal.SIG_IGN if began else handler)
