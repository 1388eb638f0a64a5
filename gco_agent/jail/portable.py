"""A worker for systems that cannot fork (Windows): a process of its own over a local socket.

It costs a start of the interpreter for every jail, and is of level basic at most: no kernel layer
exists, the deadline counts the wall, and nobody can say which line a loop is in. See the package's
docstring for what that does not stop.

The judge listens on the loopback address, starts the worker (`portable_worker`), and takes the one
connection that begins with a secret that it gave to nobody else.
"""

from __future__ import annotations

import contextlib
import secrets
import select
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from gco_agent.core.errors import JailError
from gco_agent.jail import launcher, text, wire
from gco_agent.jail.channel import REST_OF_LIFE_SECONDS, Channel
from gco_agent.jail.process import read_report

_START_SECONDS = 60.0
_LOOK_SECONDS = 0.1
_SECRET_SECONDS = 2.0
"""The worker sends the secret as soon as it is connected; on the loopback, that is at once."""


class SocketChannel(Channel):
    """`Channel` over a connected socket."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.setblocking(False)  # noqa: FBT003 - the standard library's
        self._sequence = 0
        self._rest_left = REST_OF_LIFE_SECONDS

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def is_readable(self, milliseconds: float) -> bool:
        """Whether a reply begins within that time, or the worker is gone."""
        return bool(select.select([self._connection], [], [], milliseconds / 1000)[0])

    def _is_writable(self, milliseconds: float) -> bool:
        return bool(select.select([], [self._connection], [], milliseconds / 1000)[1])

    def _write(self, data: bytes | memoryview) -> int:
        return self._connection.send(data)

    def _read(self, size: int) -> bytes:
        try:
            return self._connection.recv(size)
        except ConnectionError:
            return b""


class PortableProcess:
    """As `process.WorkerProcess`, with what every system has."""

    def __init__(self, order: wire.Order, *, with_numpy: bool) -> None:
        self._output = tempfile.TemporaryFile()  # noqa: SIM115 - closed in close
        self._faults = tempfile.TemporaryFile()  # noqa: SIM115 - closed in close
        secret = secrets.token_bytes(wire.SECRET_BYTES)
        with socket.create_server(("127.0.0.1", 0)) as server, tempfile.TemporaryFile() as told:
            told.write(secret)
            told.seek(0)
            script = Path(__file__).with_name("zygote.py")
            numpy_folder = launcher.numpy_parent(with_numpy=with_numpy)
            arguments = [numpy_folder, str(server.getsockname()[1]), order.pack().hex()]
            self._process = subprocess.Popen(
                [sys.executable, "-s", "-S", "-B", "-P", str(script), *arguments],
                stdin=told,
                stdout=self._output,
                stderr=self._faults,
                env=launcher.environment(),
                cwd=Path(script.anchor),
            )
            self.pid = self._process.pid
            try:
                self.channel = SocketChannel(self._accept(server, secret))
                self.report = read_report(self.channel)
            except BaseException:
                self.close()
                raise

    def output(self, limit: int) -> str:
        """What the policy printed so far, fit to be shown."""
        self._output.seek(0)
        return text.escape_lines(self._output.read(limit).decode("utf-8", "replace"), limit)

    def faults(self) -> str:
        """What the interpreter wrote when it crashed."""
        self._faults.seek(0)
        return self._faults.read(1 << 14).decode("utf-8", "replace")

    def dump_frames(self) -> str:
        """Nothing: there is no signal to ask with."""
        return ""

    def end(self, why: str = "") -> str:
        """Kill it, if it still runs; what it died of."""
        code = self._process.poll()
        if code is None:
            self._process.kill()
            self._process.wait()
            return why
        return f"it exited with code {code}"

    def close(self) -> None:
        """End it and let everything go."""
        self.end()
        if hasattr(self, "channel"):
            self.channel.close()
        self._output.close()
        self._faults.close()

    def _accept(self, server: socket.socket, secret: bytes) -> socket.socket:
        """The worker's connection; anybody else's is turned away."""
        server.settimeout(_LOOK_SECONDS)
        end = time.monotonic() + _START_SECONDS
        while self._process.poll() is None and time.monotonic() < end:
            try:
                connection, _ = server.accept()
            except TimeoutError:
                continue
            connection.settimeout(_SECRET_SECONDS)
            said = b""
            with contextlib.suppress(OSError):  # a stranger who is silent, or gone
                said = connection.recv(len(secret), socket.MSG_WAITALL)
            if secrets.compare_digest(said, secret):
                return connection
            connection.close()
        raise JailError(f"the jail's worker did not start: {self.faults() or 'it said nothing'}")
