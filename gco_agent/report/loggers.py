"""Log a run as it advances: Weights & Biases, MLflow, TensorBoard.

Only numbers and settings are sent, never code or prompts. A logger that fails during a run is
reported once and left out: it never ends the run.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

from gco_agent.core.errors import UsageError
from gco_agent.core.events import Committed, Event
from gco_agent.core.records import Verdict
from gco_agent.core.text import clean_line
from gco_agent.store.config import RunConfig

PROJECT = "gco-agent"
"""Project of W&B, experiment of MLflow."""
_LOCAL = ("wandb", ".wandb", "mlflow.db", "mlruns", "mlartifacts", "runs")
"""Where these libraries write by default, in the present folder."""
_ORDERS = ("wandb/settings", ".wandb/settings")
"""Files of the present folder that would tell W&B which server to send the user's key to."""
_PATIENCE = {
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
    "WANDB_INIT_TIMEOUT": "20",
}
"""Unless set by the user: these libraries would hold up the run for minutes without a server."""
_ADVICE = {
    "wandb": "see WANDB_API_KEY and WANDB_PROJECT; WANDB_MODE=offline logs to files",
    "mlflow": "see MLFLOW_TRACKING_URI",
    "tensorboard": "see the folder runs",
}
_log = logging.getLogger(__name__)

Settings = Mapping[str, str | int]


class Sink(Protocol):
    """Takes the numbers of a run.

    Attributes:
        where: Where they are kept, for the user.
    """

    where: str

    def log(self, step: int, numbers: Mapping[str, float]) -> None:
        """Write down the numbers of an iteration."""

    def close(self, *, is_good: bool) -> None:
        """Close the log; ``is_good`` unless the run ended by an error."""


class _WandbSink:
    """Weights & Biases; WANDB_MODE=offline writes files for ``wandb sync``."""

    def __init__(self, branch: str, settings: Settings) -> None:
        import wandb

        # nothing about the user's repository, program or machine
        private = wandb.Settings(
            silent=True,
            console="off",
            disable_git=True,
            disable_code=True,
            save_code=False,
            x_disable_stats=True,
            x_disable_meta=True,
            x_save_requirements=False,
        )
        self._run = wandb.init(
            project=os.environ.get("WANDB_PROJECT", PROJECT),
            group=branch,
            name=branch,
            config=dict(settings),
            settings=private,
        )
        folder = os.path.relpath(Path(self._run.dir).parent)
        self.where = self._run.url or f"{folder}; wandb sync {folder} sends it"

    def log(self, step: int, numbers: Mapping[str, float]) -> None:
        self._run.log(dict(numbers), step=step)

    def close(self, *, is_good: bool) -> None:
        self._run.finish(exit_code=0 if is_good else 1)


class _MlflowSink:
    """MLflow, at MLFLOW_TRACKING_URI; by default a database in the present folder."""

    def __init__(self, branch: str, settings: Settings) -> None:
        import mlflow
        from mlflow.store.db import utils

        utils.MAX_RETRY_COUNT = 2  # no variable sets it: 10 of mlflow 3 take 100 s
        for name, level in (
            ("mlflow", "WARNING"),
            ("alembic", "WARNING"),
            (utils.__name__, "ERROR"),
        ):
            logging.getLogger(name).setLevel(level)
        self._entities = mlflow.entities
        self._client = mlflow.MlflowClient()
        project = os.environ.get("MLFLOW_EXPERIMENT_NAME", PROJECT)
        self.where = f"experiment {clean_line(project)} of MLflow"
        found = self._client.get_experiment_by_name(project)
        where = found.experiment_id if found else self._client.create_experiment(project)
        tags = {"mlflow.source.name": PROJECT, "branch": branch}
        self._id = self._client.create_run(where, run_name=branch, tags=tags).info.run_id
        params = [mlflow.entities.Param(key, str(value)) for key, value in settings.items()]
        self._client.log_batch(self._id, params=params)

    def log(self, step: int, numbers: Mapping[str, float]) -> None:
        now = int(1_000 * time.time())
        metrics = [self._entities.Metric(key, value, now, step) for key, value in numbers.items()]
        self._client.log_batch(self._id, metrics=metrics)

    def close(self, *, is_good: bool) -> None:
        self._client.set_terminated(self._id, "FINISHED" if is_good else "FAILED")


class _TensorboardSink:
    """An event file for TensorBoard, in the folder ``runs``."""

    def __init__(self, branch: str, settings: Settings) -> None:
        from tensorboardX import SummaryWriter

        self.where = str(Path("runs", branch))
        self._writer = SummaryWriter(self.where)
        self._writer.add_text("settings", "\n".join(f"    {k}: {v}" for k, v in settings.items()))

    def log(self, step: int, numbers: Mapping[str, float]) -> None:
        for tag, value in numbers.items():
            self._writer.add_scalar(tag, value, step)
        self._writer.flush()

    def close(self, *, is_good: bool) -> None:
        del is_good
        self._writer.close()


SINKS: Mapping[str, Callable[[str, Settings], Sink]] = {
    "wandb": _WandbSink,
    "mlflow": _MlflowSink,
    "tensorboard": _TensorboardSink,
}
NAMES = tuple(SINKS)


class RunLogger:
    """A callback that logs what is committed."""

    def __init__(self, sink: Sink) -> None:
        self._sink, self._works = sink, True

    def __call__(self, event: Event) -> None:
        """Log an iteration; other events are ignored."""
        if isinstance(event, Committed):
            self._try(lambda: self._sink.log(event.iteration, numbers_of(event)))

    def close(self, *, is_good: bool) -> None:
        """Close the log."""
        self._try(lambda: self._sink.close(is_good=is_good))

    def _try(self, act: Callable[[], None]) -> None:
        if not self._works:
            return
        try:
            act()
        except Exception as error:  # noqa: BLE001 - a logger never ends a run
            self._works = False
            why = clean_line(f"{type(error).__name__}: {error}")[:300]
            _log.warning("logging stopped, and the run goes on: %s", why)


@contextmanager
def open_logger(kind: str, branch: str, settings: Settings) -> Iterator[Callable[[Event], Any]]:
    """Open a logger; the callback is one for `gco_agent.run`."""
    if kind not in SINKS:
        raise UsageError(f"no logger is called {kind!r}; there are {', '.join(NAMES)}")
    places = [*map(Path, _LOCAL), *Path("runs", branch).parents, Path("runs", branch)]
    if linked := [place for place in places if place.is_symlink()]:
        raise UsageError(f"{linked[0]} is a symbolic link, and a logger would write through it")
    if kind == "wandb" and (found := [name for name in _ORDERS if Path(name).exists()]):
        raise UsageError(
            f"{found[0]} says where W&B sends your key, and a clone may have brought it: delete it"
        )
    sink = _open(kind, branch, settings)
    _log.info("logging to %s", sink.where)
    logger, is_good = RunLogger(sink), False
    try:
        yield logger
        is_good = True
    finally:
        logger.close(is_good=is_good)


def _open(kind: str, branch: str, settings: Settings) -> Sink:
    for name, value in _PATIENCE.items():
        os.environ.setdefault(name, value)
    try:
        return SINKS[kind](branch, settings)
    except ModuleNotFoundError:
        raise
    except Exception as error:  # of the library, the network, or what the user has set
        why = clean_line(str(error))[:300]
        raise UsageError(f"{kind} cannot be used ({why}): {_ADVICE[kind]}") from error


def settings_of(config: RunConfig) -> dict[str, str | int]:
    """Return the settings of a run that a logger states."""
    return {
        "game": config.game,
        "optimizer": config.optimizer,
        "model": config.model,
        "seed": config.seed,
        "candidates": config.candidates,
        "protocol": config.protocol.stamp,
    }


def numbers_of(event: Committed) -> dict[str, float]:
    """Return the numbers of an iteration, by the tags that every logger and export uses."""
    kind = "report" if event.verdict == Verdict.REPORTED else "in_force"
    numbers: dict[str, float | None] = {
        f"return/{kind}": event.return_mean,
        f"return/{kind}_standard_error": event.return_se,
        "search/gain": event.gain.mean if event.gain else None,
        "search/accepted": float(event.verdict == Verdict.ACCEPTED),
        "used/million_frames": None if event.frames is None else event.frames / 1e6,
        "iteration/seconds": event.seconds,
        "iteration/usd": event.usd,
        "iteration/tokens": event.tokens,
    }
    return {tag: float(value) for tag, value in numbers.items() if value is not None}
