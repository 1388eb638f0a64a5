"""The worker's side of `portable`: connect to the judge, show the secret, live."""

from __future__ import annotations

import os
import socket
import sys
from typing import NoReturn

from gco_agent.jail import preload, wire, worker


class SocketLine:
    """A `worker.Line` over a connected socket."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection

    def read_into(self, view: memoryview, /) -> int:
        """From the judge; a broken connection is the end."""
        try:
            return self._connection.recv_into(view)
        except ConnectionError:
            return 0

    def write(self, data: bytes, /) -> int:
        """To the judge."""
        return self._connection.send(data)


def run(numpy_parent: str, port: int, order: wire.Order) -> NoReturn:
    """The secret comes on standard input, which no other process can read."""
    os.dup2(sys.stderr.fileno(), wire.FAULT_FD)
    preload.preload(numpy_parent)
    connection = socket.create_connection(("127.0.0.1", port))
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    connection.sendall(sys.stdin.buffer.read(wire.SECRET_BYTES))
    worker.live(order, SocketLine(connection), os.getppid())
