"""Worker processes that share the work; results come in the order of the tasks."""

from __future__ import annotations

import contextlib
import faulthandler
import math
import multiprocessing
import os
import re
import signal
import sys
import tempfile
import threading
import time
import warnings
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import CancelledError, Executor, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import resource_tracker
from multiprocessing.process import BaseProcess
from multiprocessing.sharedctypes import Synchronized
from pathlib import Path
from types import FrameType, TracebackType
from typing import IO, Any, NoReturn, Self, TypeVar

from gco_agent.core.errors import GcoError, UsageError, how_to_install

Task = TypeVar("Task")
Result = TypeVar("Result")

HANG_S = 60.0
"""A step of an environment that takes longer has hung, unless the pool has another limit."""
_ORPHAN_CHECK_S = 0.5
_END_S = 10.0
"""Time for a worker to close its environments; then it is killed."""
_NO_MAIN_GUARD = 97
"""Exit code of a worker that tried to start workers while it was started itself."""
_SAFE_PATH = "PYTHONSAFEPATH"
_FRAME = re.compile(r'  File "([^"]+)", line (\d+) in ')
_hang_s = HANG_S
_faults: IO[str] | None = None
"""In a worker: where a crash or a hang of the process is reported."""


class WorkerPool:
    """Worker processes, or this very process, or any `concurrent.futures.Executor`.

    The processes import the main module of the program again, as `multiprocessing` does: a script
    has to make its pool below ``if __name__ == "__main__":``.

    Args:
        n_workers: Processes; None for one a core, 0 for none: the work is done in this one. Of
            another executor: how many tasks it works on at a time.
        executor: Another executor to use, which its owner shuts down.
        hang_s: Seconds that one call of an environment may take; then its worker is ended.
    """

    def __init__(
        self,
        n_workers: int | None = None,
        executor: Executor | None = None,
        *,
        hang_s: float = HANG_S,
    ) -> None:
        if n_workers is not None and n_workers < 0:
            raise ValueError(f"{n_workers} workers")
        self._is_here = n_workers == 0 and executor is None
        self.n_workers = 1 if n_workers == 0 else n_workers or usable_cores()
        self._given, self._hang_s = executor, hang_s
        self._executor: Executor | None = executor
        self._processes: dict[int, BaseProcess] = {}
        self._fault_file: IO[bytes] | None = None

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
        """Start as many processes as there are tasks, without waiting for them."""
        if self._is_here or self._given is not None:
            return
        wanted = self.n_workers if n_tasks is None else min(n_tasks, self.n_workers)
        self._submit(abs, [0] * wanted)  # starts a process for each task that finds none idle

    def map(self, function: Callable[[Task], Result], tasks: Iterable[Task]) -> list[Result]:
        """Return the results of ``function`` in the order of ``tasks``; raises as `imap`."""
        return list(self.imap(function, tasks))

    def imap(
        self,
        function: Callable[[Task], Result],
        tasks: Iterable[Task],
        deadline: float | None = None,
        least: int = 0,
    ) -> Iterator[Result]:
        """Yield results in the order of ``tasks`` as they come.

        The tasks of a worker that is killed are done again, once.

        Args:
            deadline: `time.perf_counter` value after which no result is awaited: the iterator
                ends, and so do processes that are still at work.
        """
        if self._is_here:
            from gco_agent.envs.gymnasium_env import stdout_to_stderr

            for task in tasks:
                if least <= 0 and deadline is not None and time.perf_counter() >= deadline:
                    return
                least -= 1
                with stdout_to_stderr():
                    result = function(task)
                yield result
            return
        if deadline == math.inf:
            deadline = None
        waiting, n_done, lost_at = list(tasks), 0, -1
        while n_done < len(waiting):
            try:
                results = self._run(function, waiting[n_done:], deadline, least - n_done)
                with contextlib.closing(results):
                    for result in results:
                        n_done += 1
                        yield result
            except BrokenProcessPool as error:
                self._raise_fault(error)
                if lost_at == n_done:
                    raise GcoError(
                        "worker processes died twice (killed, or out of memory?). Nothing that "
                        "was committed is lost; run the command again, with fewer --workers if "
                        "memory is short."
                    ) from error
                lost_at = n_done
            else:
                return

    def _run(
        self,
        function: Callable[[Task], Result],
        tasks: Sequence[Task],
        deadline: float | None,
        least: int,
    ) -> Generator[Result, None, None]:
        if least <= 0 and deadline is not None and time.perf_counter() >= deadline:
            return
        futures = self._submit(function, tasks)
        try:
            for number, future in enumerate(futures):
                if deadline is not None and number >= least:
                    wait([future], max(0.0, deadline - time.perf_counter()))
                    if not future.done():
                        self.close()  # else the next tasks would wait for these
                        return
                yield future.result()
        finally:
            for future in futures:
                future.cancel()

    def _submit(
        self, function: Callable[[Task], Result], tasks: Sequence[Task]
    ) -> list[Future[Result]]:
        with _starting_processes():
            executor = self._executor = self._executor or self._start()
            futures = [executor.submit(function, task) for task in tasks]
        if self._given is None and isinstance(executor, ProcessPoolExecutor):
            self._processes.update(executor._processes or {})  # noqa: SLF001
        return futures

    def _start(self) -> Executor:
        if getattr(multiprocessing.current_process(), "_inheriting", False):
            os._exit(_NO_MAIN_GUARD)  # the parent explains it
        context = multiprocessing.get_context("spawn")
        self._fault_file = tempfile.NamedTemporaryFile(prefix="gco-agent-")  # noqa: SIM115
        is_one_a_core = self.n_workers == usable_cores()
        return ProcessPoolExecutor(
            self.n_workers,
            mp_context=context,
            initializer=_begin_worker,
            initargs=(
                os.getpid(),
                self._fault_file.name,
                self._hang_s,
                context.Value("i", 0) if is_one_a_core else None,
            ),
        )

    def _raise_fault(self, error: BrokenProcessPool) -> None:
        """Forget the processes that died, and say why if it is known."""
        processes, file = list(self._processes.values()), self._fault_file
        faults = file.read().decode("utf-8", "replace") if file is not None else ""
        self.close()
        if any(process.exitcode == _NO_MAIN_GUARD for process in processes):
            raise UsageError(
                "worker processes import your program again, and it starts workers when it is "
                'imported: put what it does below `if __name__ == "__main__":`'
            ) from error
        if faults:
            raise UsageError(_explain_fault(faults, self._hang_s)) from error

    def close(self) -> None:
        """End the workers at once, even at work; a given executor is kept."""
        executor, self._executor = self._executor, self._given
        if isinstance(executor, ProcessPoolExecutor) and executor is not self._given:
            _ensure_tracker()
            processes, self._processes = list(self._processes.values()), {}
            # first, so that the executor's thread does not fail futures that are cancelled
            executor.shutdown(wait=False, cancel_futures=True)
            for process in processes:
                process.terminate()
            end = time.monotonic() + _END_S
            for process in processes:
                process.join(max(0.0, end - time.monotonic()))
                process.kill()
                process.join()
        if self._fault_file is not None:
            self._fault_file.close()
            self._fault_file = None


def _explain_fault(report: str, hang_s: float) -> str:
    ours = str(Path(__file__).parents[1])
    frames = [
        f"{Path(file).name}, line {line}: "
        for file, line in _FRAME.findall(report)
        if not file.startswith((ours, sys.base_prefix, sys.prefix, "<"))
    ]
    where = frames[0] if frames else ""
    if report.startswith("Timeout"):
        return f"{where}the environment did not return from one call within {hang_s:g} s"
    what = report.partition("\n")[0].removeprefix("Fatal Python error: ")
    return f"{where}the environment crashed the process that played it ({what})"


@contextlib.contextmanager
def watch_for_hangs() -> Iterator[Callable[[], None]]:
    """End this worker if the function that is yielded is not called for `_hang_s` seconds.

    A thread of C does it, since an environment that hangs may hold Python's lock.
    """
    if _faults is None:
        yield lambda: None
        return
    faults, armed_at = _faults, 0.0

    def arm() -> None:
        faulthandler.dump_traceback_later(_hang_s, exit=True, file=faults)

    def alive() -> None:
        nonlocal armed_at
        now = time.monotonic()
        if now - armed_at > 1:
            armed_at = now
            arm()

    def stop(_: int, __: FrameType | None) -> None:
        """Stop, as Ctrl-Z asks, with the clock of the hang stopped too."""
        faulthandler.cancel_dump_traceback_later()
        signal.raise_signal(signal.SIGSTOP)
        arm()

    before = signal.signal(signal.SIGTSTP, stop)
    alive()
    try:
        yield alive
    finally:
        signal.signal(signal.SIGTSTP, before)
        faulthandler.cancel_dump_traceback_later()


def _ensure_tracker() -> None:
    """Start multiprocessing's resource tracker if it is not running, without its messages.

    A tracker that was killed is restarted, and writes a KeyError traceback for each resource that
    it does not know.
    """
    with warnings.catch_warnings(), Path(os.devnull).open("wb") as nowhere:
        warnings.simplefilter("ignore")
        kept = os.dup(2)
        os.dup2(nowhere.fileno(), 2)
        try:
            resource_tracker.ensure_running()
        finally:
            os.dup2(kept, 2)
            os.close(kept)


@contextlib.contextmanager
def _starting_processes() -> Iterator[None]:
    """Start processes that never see Ctrl-C, and that import nothing from the current folder.

    Python puts the working directory first on the path of a new process: a ``signal.py`` there
    would replace Python's own.
    """
    before = os.environ.get(_SAFE_PATH)
    os.environ[_SAFE_PATH] = "1"
    _ensure_tracker()  # which would let Ctrl-C in again if it was started later
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        if before is None:
            del os.environ[_SAFE_PATH]
        else:
            os.environ[_SAFE_PATH] = before
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)


def usable_cores() -> int:
    """Return the number of cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _stay_on_one_core(n_begun: Synchronized[int]) -> None:
    """Give this worker, and the jails it starts, a core of their own.

    Waking up a jail on another core takes ten times as long as the message.
    """
    with n_begun.get_lock():
        number = n_begun.value
        n_begun.value += 1
    if hasattr(os, "sched_setaffinity"):
        cores = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(0, {cores[number % len(cores)]})


def _begin_worker(
    parent: int, fault_file: str, hang_s: float, n_begun: Synchronized[int] | None
) -> None:
    """Prepare this worker process: signals, standard output, reports of crashes."""
    global _faults, _hang_s  # noqa: PLW0603 - of the process
    _hang_s = hang_s
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, _end_worker)
    os.dup2(2, 1)
    _faults = Path(fault_file).open("a")  # noqa: SIM115 - until the process ends
    faulthandler.enable(_faults, all_threads=False)
    if n_begun is not None:
        _stay_on_one_core(n_begun)

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(_ORPHAN_CHECK_S)
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(_END_S)
        os._exit(1)

    threading.Thread(target=watch, daemon=True, name="orphan watch").start()


def _end_worker(number: int, _: object) -> NoReturn:
    playing = sys.modules.get("gco_agent.evaluation.episode")
    close = getattr(playing, "close_environments", None)  # None while the module is being imported
    if close is not None:
        close()
    os._exit(128 + number)


_ADDRESS = re.compile(r"dask://((?:\[[0-9a-fA-F:]+\]|[A-Za-z0-9._-]+):\d{1,5})")
_CONNECT_S = 15.0


@contextlib.contextmanager
def open_executor(address: str) -> Iterator[tuple[Executor, int]]:
    """Yield the executor at ``address``, and how many tasks it works on at a time."""
    match = _ADDRESS.fullmatch(address)
    if match is None:
        raise UsageError(f"{address!r} is not an executor: give it as dask://host:port")
    try:
        import distributed
    except ModuleNotFoundError:
        raise UsageError(f"this needs the package distributed: {how_to_install('dask')}") from None
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
