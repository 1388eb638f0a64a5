"""Processes that share the work: the only module that starts them for play and search.

Results come back in the order of the tasks, so that nothing depends on which worker was faster.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import re
import signal
import threading
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import CancelledError, Executor, Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import resource_tracker
from multiprocessing.sharedctypes import Synchronized
from types import TracebackType
from typing import Any, Self, TypeVar

from gco_agent.core.errors import GcoError, UsageError

Task = TypeVar("Task")
Result = TypeVar("Result")

_ORPHAN_CHECK_S = 0.5
_SAFE_PATH = "PYTHONSAFEPATH"


class WorkerPool:
    """Processes that work tasks off, or this very process, or any `concurrent.futures.Executor`.

    The processes import the main module of the program again, as `multiprocessing` has it: a script
    that makes a pool does so below ``if __name__ == "__main__":``.

    Args:
        n_workers: Processes; None for one a core, 0 for none: the work is done in this one. Of
            another executor: how many tasks it works on at a time.
        executor: Another executor to use instead, which stays its owner's to shut down.

    Attributes:
        n_workers: Tasks that are under way at a time.
    """

    def __init__(self, n_workers: int | None = None, executor: Executor | None = None) -> None:
        if n_workers is not None and n_workers < 0:
            raise ValueError(f"{n_workers} workers")
        self._is_here = n_workers == 0 and executor is None
        self.n_workers = 1 if n_workers == 0 else n_workers or usable_cores()
        self._given = executor
        self._executor: Executor | None = executor

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def start(self, n_tasks: int | None = None) -> None:
        """Begin to start the processes, as many as there are tasks, and do not wait for them."""
        if self._is_here or self._given is not None:
            return
        wanted = self.n_workers if n_tasks is None else min(n_tasks, self.n_workers)
        with _beginning():
            executor = self._executor = self._executor or self._start()
            for _ in range(wanted):  # a process is started for each task that finds none idle
                executor.submit(abs, 0)

    def map(self, function: Callable[[Task], Result], tasks: Iterable[Task]) -> list[Result]:
        """Results of ``function`` over ``tasks``, in their order; raises as `imap`."""
        return list(self.imap(function, tasks))

    def imap(self, function: Callable[[Task], Result], tasks: Iterable[Task]) -> Iterator[Result]:
        """Yield results in the order of ``tasks`` as they come; a lost worker's are done again.

        Raises:
            GcoError: Workers died twice over the same task.
            Exception: What ``function`` raised; later tasks that have not begun are dropped.
        """
        if self._is_here:
            yield from map(function, tasks)
            return
        waiting, n_done, lost_at = list(tasks), 0, -1
        while n_done < len(waiting):
            try:
                with contextlib.closing(self._run(function, waiting[n_done:])) as results:
                    for result in results:
                        n_done += 1
                        yield result
            except BrokenProcessPool as error:
                self._executor = None
                if lost_at == n_done:
                    raise GcoError(
                        "worker processes died twice (killed, or out of memory?). Nothing that "
                        "was committed is lost; run the command again, with fewer --workers if "
                        "memory is short."
                    ) from error
                lost_at = n_done

    def _run(
        self, function: Callable[[Task], Result], tasks: Sequence[Task]
    ) -> Generator[Result, None, None]:
        with _beginning():
            executor = self._executor = self._executor or self._start()
            futures: list[Future[Result]] = [executor.submit(function, task) for task in tasks]
        try:
            for future in futures:
                yield future.result()
        finally:
            for future in futures:
                future.cancel()

    def _start(self) -> Executor:
        context = multiprocessing.get_context("spawn")
        is_one_a_core = self.n_workers == usable_cores()
        return ProcessPoolExecutor(
            self.n_workers,
            mp_context=context,
            initializer=_begin_worker,
            initargs=(os.getpid(), context.Value("i", 0) if is_one_a_core else None),
        )

    def close(self) -> None:
        """End the workers at once, whatever they are doing; an executor that was given stays."""
        executor, self._executor = self._executor, self._given
        if isinstance(executor, ProcessPoolExecutor) and executor is not self._given:
            processes = list((executor._processes or {}).values())  # noqa: SLF001 - 3.14 has a call for it
            executor.shutdown(wait=False, cancel_futures=True)
            for process in processes:
                process.terminate()
            for process in processes:
                process.join()


@contextlib.contextmanager
def _beginning() -> Iterator[None]:
    """Around what starts processes: they never see Ctrl-C, and import nothing from this folder.

    A process that is started anew has the working directory first on its path until it is told of
    its parent's: a ``signal.py`` that lies there would be taken for Python's own.
    """
    before = os.environ.get(_SAFE_PATH)
    os.environ[_SAFE_PATH] = "1"
    mask = None
    try:
        if hasattr(signal, "pthread_sigmask"):
            resource_tracker.ensure_running()  # which lets Ctrl-C in again when it is started later
            mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        yield
    finally:
        if before is None:
            del os.environ[_SAFE_PATH]
        else:
            os.environ[_SAFE_PATH] = before
        if mask is not None:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)


def usable_cores() -> int:
    """Cores this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _stay_on_one_core(n_begun: Synchronized[int]) -> None:
    """Give this worker, and the jails it starts, a core of their own.

    A message to a jail on another core wakes that core up, which takes ten times as long.
    """
    with n_begun.get_lock():
        number = n_begun.value
        n_begun.value += 1
    if hasattr(os, "sched_setaffinity"):
        cores = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(0, {cores[number % len(cores)]})


def _begin_worker(parent: int, n_begun: Synchronized[int] | None) -> None:
    """Leave Ctrl-C to the parent, and end when it has ended, however that happened."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if n_begun is not None:
        _stay_on_one_core(n_begun)

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(_ORPHAN_CHECK_S)
        os._exit(1)

    threading.Thread(target=watch, daemon=True, name="orphan watch").start()


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
