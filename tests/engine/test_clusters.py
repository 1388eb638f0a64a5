"""A Dask cluster as the executor: a real scheduler, two worker processes, one of them killed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gco_agent.core.errors import GcoError, UsageError
from gco_agent.evaluation.judge import Judge, Race
from gco_agent.evaluation.workers import WorkerPool, open_executor
from gco_agent.policy.source import PolicySource
from tests.engine.policies import FOLLOW, HIDE, RULES

distributed = pytest.importorskip("distributed")
pytestmark = pytest.mark.filterwarnings("default")  # Dask's own are Dask's business

START_S = 60.0


class Cluster:
    """A scheduler and its workers, each a process."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / "scheduler.json"
        self._folder = folder
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self._start("scheduler", "dask_scheduler", "--host", "127.0.0.1", "--port", "0")
        self._wait(self._file.exists)
        self.address = str(json.loads(self._file.read_text())["address"]).removeprefix("tcp://")

    def add_worker(self, name: str, n_threads: int = 1) -> None:
        self._start(
            name, "dask_worker", "--no-nanny", "--nthreads", str(n_threads), "--name", name,
            "--local-directory", str(self._folder), "--host", "127.0.0.1",
        )  # fmt: skip
        n = sum(process.poll() is None for process in self.processes.values()) - 1
        with distributed.Client(self.address, set_as_default=False) as client:
            client.wait_for_workers(n, timeout=START_S)

    def kill(self, name: str) -> None:
        os.kill(self.processes[name].pid, signal.SIGKILL)
        self.processes[name].wait()

    def close(self) -> None:
        for process in self.processes.values():
            process.kill()
            process.wait()

    def _start(self, name: str, module: str, *arguments: str) -> None:
        self.processes[name] = subprocess.Popen(
            [
                sys.executable, "-m", f"distributed.cli.{module}",
                "--scheduler-file", str(self._file), "--no-dashboard", *arguments,
            ],
            env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )  # fmt: skip

    def _wait(self, is_there: Any) -> None:
        end = time.monotonic() + START_S
        while not is_there():
            assert time.monotonic() < end
            time.sleep(0.05)


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    made = Cluster(tmp_path)
    try:
        yield made
    finally:
        made.close()


def race(pool: WorkerPool) -> tuple[Race, int]:
    judge = Judge(pool, RULES)
    return judge.race(PolicySource(FOLLOW), PolicySource(HIDE)), judge.n_steps


def test_a_race_on_a_cluster_that_loses_a_worker_and_then_its_scheduler(cluster: Cluster) -> None:
    """One test, because each process of a cluster takes seconds to start."""
    with pytest.raises(UsageError, match="has no worker yet"):
        open_executor(f"dask://{cluster.address}").__enter__()
    cluster.add_worker("wide", 2)
    with pytest.raises(UsageError, match=r"has 2 threads.*--nthreads 1"):
        open_executor(f"dask://{cluster.address}").__enter__()
    cluster.kill("wide")
    cluster.add_worker("first")
    cluster.add_worker("second")
    results = []
    for n in (1, 2):
        with WorkerPool(n) as pool:
            results.append(race(pool))
    with (
        distributed.Client(cluster.address, set_as_default=False) as watcher,
        open_executor(f"dask://{cluster.address}") as (executor, n),
        WorkerPool(n, executor) as pool,
    ):
        assert n == 2
        killer = threading.Thread(target=kill_when_busy, args=(watcher, cluster, "first"))
        killer.start()
        results.append(race(pool))
        killer.join()
        assert cluster.processes["first"].poll() == -signal.SIGKILL
        assert len(watcher.nthreads()) == 1
        results.append(race(pool))  # and the one that is left is enough
    assert results == [results[0]] * 4
    digests = {(found.child.digest, found.parent.digest) for found, _ in results}
    assert len(digests) == 1
    with pytest.raises(GcoError, match="lost work for good"):
        wait_for_nobody(cluster)


def kill_when_busy(client: Any, cluster: Cluster, name: str) -> None:
    """Kill a worker as soon as it plays."""
    [address] = [
        where
        for where, about in client.scheduler_info(n_workers=-1)["workers"].items()
        if about["name"] == name
    ]
    end = time.monotonic() + START_S
    while not client.processing().get(address) and time.monotonic() < end:
        time.sleep(0.01)
    time.sleep(0.2)
    cluster.kill(name)


@pytest.mark.parametrize(
    "address", ["dask://", "host:8786", "dask://host", "dask://a b:1", "tcp://h:1"]
)
def test_what_is_no_address_is_refused(address: str) -> None:
    with pytest.raises(UsageError, match="dask://host:port"), open_executor(address):
        pass


def test_nobody_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gco_agent.evaluation.workers._CONNECT_S", 0.5)
    with (
        pytest.raises(GcoError, match=r"no Dask scheduler answers at 127.0.0.1:9"),
        open_executor("dask://127.0.0.1:9"),
    ):
        pass


def test_without_dask_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(UsageError, match=r"gco-agent\[dask\]"), open_executor("dask://host:1"):
        pass


def wait_for_nobody(cluster: Cluster) -> None:
    with open_executor(f"dask://{cluster.address}") as (executor, _):
        future = executor.submit(time.sleep, 600)
        cluster.kill("scheduler")
        cluster.kill("second")
        future.result(timeout=START_S)
