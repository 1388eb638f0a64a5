"""Worker processes: order, loss, errors, and that none is left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from gco_agent.core.errors import GcoError, UsageError
from gco_agent.evaluation.workers import WorkerPool, usable_cores, watch_for_hangs

ROOT = Path(__file__).parents[2]


def slow_square(task: tuple[int, float]) -> int:
    number, seconds = task
    time.sleep(seconds)
    return number * number


def pid_of(_: int) -> int:
    time.sleep(0.05)
    return os.getpid()


def die_once(task: tuple[Path, int]) -> int:
    marker, number = task
    if number == 2 and not marker.exists():
        marker.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return number


def die(number: int) -> int:
    if number == 2:
        os.kill(os.getpid(), signal.SIGKILL)
    return number


def refuse(number: int) -> int:
    if number == 2:
        raise UsageError(f"task {number} cannot be done")
    return number


def ignores_interrupts(_: int) -> bool:
    return signal.getsignal(signal.SIGINT) is signal.SIG_IGN


def play_on(seconds: float) -> int:
    """Do as an episode does: say every step that it is alive."""
    end = time.monotonic() + seconds
    with watch_for_hangs() as alive:
        while time.monotonic() < end:
            time.sleep(0.2)
            alive()
    return os.getpid()


def is_running(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"


def wait_until_gone(pids: set[int]) -> set[int]:
    for _ in range(600):
        pids = {pid for pid in pids if is_running(pid)}
        if not pids:
            break
        time.sleep(0.05)
    return pids


@pytest.mark.parametrize("n_workers", [0, 1, 2])
def test_results_are_in_the_order_of_the_tasks(n_workers: int) -> None:
    tasks = [(n, 0.1 if n == 0 else 0.0) for n in range(6)]
    with WorkerPool(n_workers) as pool:
        assert pool.n_workers == max(1, n_workers)
        assert pool.map(slow_square, tasks) == [0, 1, 4, 9, 16, 25]
        assert pool.map(slow_square, []) == []
        assert list(pool.imap(slow_square, tasks, float("inf"))) == [0, 1, 4, 9, 16, 25]
        stream = pool.imap(slow_square, tasks)
        assert next(stream) == 0
        stream.close()  # type: ignore[attr-defined]
        assert pool.map(slow_square, tasks[:2]) == [0, 1]


def test_a_lost_worker_is_replaced(tmp_path: Path) -> None:
    marker = tmp_path / "died"
    with WorkerPool(2) as pool:
        assert pool.map(die_once, [(marker, n) for n in range(8)]) == list(range(8))
        assert marker.exists()


def test_a_task_that_kills_twice_is_given_up() -> None:
    with WorkerPool(2) as pool:
        with pytest.raises(GcoError, match=r"worker processes died twice .* fewer --workers"):
            pool.map(die, range(5))
        assert pool.map(refuse, [0, 1]) == [0, 1]


@pytest.mark.parametrize("n_workers", [0, 1])
def test_what_a_task_raises_reaches_the_caller(n_workers: int) -> None:
    with WorkerPool(n_workers) as pool:
        stream = pool.imap(refuse, range(5))
        assert [next(stream), next(stream)] == [0, 1]
        with pytest.raises(UsageError, match="task 2 cannot be done"):
            next(stream)
        assert pool.map(refuse, [7]) == [7]


def test_close_leaves_no_process() -> None:
    pool = WorkerPool(2)
    pids = set(pool.map(pid_of, range(8)))
    assert len(pids) == 2
    assert os.getpid() not in pids
    assert all(pool.map(ignores_interrupts, range(2)))
    stream = pool.imap(slow_square, [(1, 0.0), (2, 600.0), (3, 600.0)])
    assert next(stream) == 1
    pool.close()
    pool.close()
    assert not any(is_running(pid) for pid in pids)


def test_an_executor_that_is_given_stays() -> None:
    with ThreadPoolExecutor(1) as executor:
        with WorkerPool(executor=executor) as pool:
            assert pool.map(pid_of, [1]) == [os.getpid()]
        assert executor.submit(abs, -3).result() == 3
        assert pool.map(abs, [-1]) == [1]


def test_workers_end_with_a_parent_that_is_killed() -> None:
    script = (
        "import os, signal\n"
        "from gco_agent.evaluation.workers import WorkerPool\n"
        "from tests.engine.test_workers import pid_of\n"
        "if __name__ == '__main__':\n"
        "    pool = WorkerPool(2)\n"
        "    print(*set(pool.map(pid_of, range(8))), flush=True)\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script], cwd=ROOT, stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout is not None
        pids = {int(pid) for pid in parent.stdout.readline().split()}
        assert parent.wait() == -signal.SIGKILL
    assert len(pids) == 2
    assert wait_until_gone(pids) == set()


def path_and_signals(_: int) -> tuple[bool, bool, bool]:
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, set())
    return bool(sys.flags.safe_path), "" in sys.path, signal.SIGINT in mask


def test_workers_take_no_module_from_the_folder_and_see_no_interrupt() -> None:
    before = os.environ.get("PYTHONSAFEPATH")
    with WorkerPool(1) as pool:
        assert pool.map(path_and_signals, [0]) == [(True, "" in sys.path, True)]
    assert os.environ.get("PYTHONSAFEPATH") == before
    assert signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, set())


@pytest.mark.parametrize(("n_tasks", "n_started"), [(1, 1), (2, 2), (9, 3), (None, 3)])
def test_no_more_workers_are_started_than_there_are_tasks(
    n_tasks: int | None, n_started: int
) -> None:
    with WorkerPool(3) as pool:
        pool.start(n_tasks)
        assert len(pool._executor._processes) == n_started  # type: ignore[union-attr]
    here = WorkerPool(0)
    here.start()
    assert here._executor is None


def test_cores_and_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    assert usable_cores() >= 1
    assert WorkerPool().n_workers == usable_cores()
    with pytest.raises(ValueError, match="-1 workers"):
        WorkerPool(-1)
    monkeypatch.delattr(os, "sched_getaffinity")  # as on macOS
    assert usable_cores() == os.cpu_count()


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs Linux's /proc")
def test_ctrl_c_is_kept_from_the_first_process_as_from_the_others(tmp_path: Path) -> None:
    """In a program that has started no other: what tracks resources is not running yet."""
    script = tmp_path / "pool.py"
    script.write_text(
        "from pathlib import Path\n"
        "from gco_agent.evaluation.workers import WorkerPool\n"
        "if __name__ == '__main__':\n"
        "    with WorkerPool(2) as pool:\n"
        "        pool.start(2)\n"
        "        for pid in pool._executor._processes:\n"
        "            for line in Path(f'/proc/{pid}/status').read_text().splitlines():\n"
        "                if line.startswith('SigBlk:'):\n"
        "                    print(int(line.split()[1], 16) >> 1 & 1)\n"
    )
    done = subprocess.run(
        [sys.executable, str(script)], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout == "1\n1\n"


def test_a_worker_that_was_stopped_goes_on() -> None:
    """Ctrl-Z stops workers too; the time until `fg` is no hang of an environment."""
    with WorkerPool(1, hang_s=2.5) as pool, ThreadPoolExecutor(1) as threads:
        (pid,) = pool.map(pid_of, [0])
        result = threads.submit(pool.map, play_on, [2.0])
        time.sleep(0.5)
        os.kill(pid, signal.SIGTSTP)
        time.sleep(3.5)
        assert Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"
        os.kill(pid, signal.SIGCONT)
        assert result.result(timeout=30) == [pid]
