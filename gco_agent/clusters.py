"""Many machines: a Dask cluster as the judge's executor. The only module that imports Dask.

The judge asks for a `concurrent.futures.Executor` and no more; what starts workers on other
machines, on Slurm or on Kubernetes, is Dask's own business (docs/scaling.md). A worker that is lost
takes nothing with it: Dask gives its episodes to another, and an episode is the same wherever it is
played.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from concurrent.futures import CancelledError, Executor
from typing import Any

from gco_agent.errors import GcoError, UsageError

_ADDRESS = re.compile(r"dask://((?:\[[0-9a-fA-F:]+\]|[A-Za-z0-9._-]+):\d{1,5})")
_CONNECT_S = 15.0


@contextlib.contextmanager
def open_executor(address: str) -> Iterator[tuple[Executor, int]]:
    """The executor at ``address``, and how many tasks it works on at a time.

    Args:
        address: ``dask://host:port`` of a scheduler.

    Raises:
        UsageError: It is no such address, Dask is not installed, or the cluster cannot be used:
            it has no worker, or workers with several threads.
        GcoError: Nobody answers there.
    """
    match = _ADDRESS.fullmatch(address)
    if match is None:
        raise UsageError(f"{address!r} is no executor: give it as dask://host:port")
    try:
        import distributed
    except ImportError:
        raise UsageError('Dask is not installed: `pip install "gco-agent[dask]"`') from None
    try:
        client: Any = distributed.Client(  # type: ignore[no-untyped-call]
            f"tcp://{match[1]}", timeout=_CONNECT_S, set_as_default=False
        )
    except OSError as error:
        raise GcoError(
            f"no Dask scheduler answers at {match[1]} ({error}); start one with `dask scheduler`, "
            "or see docs/scaling.md"
        ) from error
    with client:
        try:
            yield client.get_executor(pure=False), _count_workers(client, match[1])
        except (distributed.KilledWorker, CancelledError) as error:
            raise GcoError(
                f"the Dask cluster at {match[1]} lost work for good: a task took several workers "
                f"down, or the scheduler has gone ({error}). Nothing that was committed is lost; "
                "run the command again."
            ) from error


def _count_workers(client: Any, address: str) -> int:  # noqa: ANN401 - Dask has no types
    threads = client.nthreads()
    if not threads:
        raise UsageError(
            f"the Dask cluster at {address} has no worker yet: start some with "
            f"`dask worker {address} --nthreads 1 --nworkers auto`"
        )
    several = [worker for worker, count in threads.items() if count > 1]
    if several:
        raise UsageError(
            f"the worker {several[0]} of the Dask cluster has {threads[several[0]]} threads, which "
            "the emulator cannot use: start the workers with --nthreads 1, more of them instead"
        )
    return len(threads)
