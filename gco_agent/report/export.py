"""Write policies and runs in the forms of other tools: model cards, Minari, TensorBoard.

The only module that imports minari and tensorboardX, lazily; both are in the extra ``export``.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from gco_agent.core.errors import UsageError
from gco_agent.core.files import save_file
from gco_agent.core.records import EpisodeResult, Evaluation, Outcome, PlayProtocol
from gco_agent.core.statistics import confidence_interval
from gco_agent.core.text import fence, format_points
from gco_agent.envs.environment import environment_spec
from gco_agent.games.spec import GameSpec
from gco_agent.jail import JailLevel
from gco_agent.loop.recording import committed_events
from gco_agent.policy.source import PolicySource, measure
from gco_agent.report.film import film
from gco_agent.report.loggers import numbers_of
from gco_agent.report.page import load_template
from gco_agent.report.summary import RunReport
from gco_agent.store.view import RunView

_MINARI_FOLDER = "MINARI_DATASETS_PATH"
_DATASET_ID = re.compile(r"(?:[A-Za-z0-9_-]+/)*[A-Za-z0-9_-]+-v\d+")
_NO_PACKAGES = ("extraction", "module", "rom")
"""Versions of a protocol that are hashes."""
_MARKDOWN = re.compile(r"([\\`*_{}\[\]()<>#+!|~&-])")

# -- model cards -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Subject:
    """The subject of a model card: a policy, its episodes on report seeds, and its run if any."""

    name: str
    source: PolicySource
    spec: GameSpec
    evaluation: Evaluation
    seeds: str
    run: RunReport | None = None
    repo: str = ""
    """Repository on the hub, if the card is for one."""


def compose_card(subject: Subject) -> str:
    """Return a model card as Markdown, with front matter for the Hugging Face hub."""
    played, spec = subject.evaluation, subject.spec
    return load_template("model_card.md").render(
        subject=subject,
        spec=spec,
        played=played,
        run=subject.run,
        interval=confidence_interval(played.returns) if played.mean_return is not None else None,
        size=measure(subject.source.text),
        json=json.dumps,
        escape=escape_markdown,
        fence=fence,
        points=format_points,
    )


def escape_markdown(text: str) -> str:
    """Return text on one line that Markdown shows as it is."""
    return _MARKDOWN.sub(r"\\\1", " ".join(text.split()))


# -- Minari ----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Trajectory:
    """One episode for a learner.

    Attributes:
        observations: Before each action and after the last: of an Atari game its RAM, uint8 of
            shape (n_steps + 1, 128), otherwise what the environment returns.
        actions: Indices into the action set of the rules, int64 of shape (n_steps,); or rows of
            numbers, float32.
    """

    result: EpisodeResult
    observations: npt.NDArray[Any]
    actions: npt.NDArray[Any]
    rewards: npt.NDArray[np.float64]


def record(
    source: str, protocol: PlayProtocol, seed: int, require: JailLevel = JailLevel.NONE
) -> Trajectory:
    """Play an episode and keep observations, actions and rewards."""
    moments = list(film(source, protocol, seed, require=require, is_seen=False))
    result = moments[-1].result
    assert result is not None, seed
    if not all(isinstance(moment.raw, np.ndarray) for moment in moments):
        raise UsageError("a Minari data set needs observations that are arrays")
    played = [moment.played for moment in moments[:-1]]
    is_index = all(isinstance(action, int) for action in played)
    return Trajectory(
        result,
        np.stack([np.asarray(moment.raw) for moment in moments]),
        np.array(played, np.int64 if is_index else np.float32),
        np.diff([moment.total for moment in moments]),
    )


def data_sets() -> Path:
    """Return Minari's own folder of data sets."""
    return Path(os.environ.get(_MINARI_FOLDER) or Path.home() / ".minari" / "datasets")


def require_new(name: str, folder: Path) -> None:
    """Check the name of a data set, and that there is none of that name in a folder of them."""
    if not _DATASET_ID.fullmatch(name):
        raise UsageError(f"{name!r} is not the name of a data set, such as pong/gco-agent-v0")
    if (folder / name).exists():
        raise UsageError(f"{folder / name} exists; choose another name or version")


def write_dataset(
    trajectories: Sequence[Trajectory], name: str, folder: Path, protocol: PlayProtocol, about: str
) -> Path:
    """Write a data set and return its folder.

    Args:
        trajectories: At least one; no failed episode.
        name: Id of the data set, as "pong/gco-agent-v0".
        folder: Folder of data sets, such as `data_sets()`.
    """
    require_new(name, folder)
    for result in (t.result for t in trajectories if not t.result.outcome.is_scored):
        raise UsageError(f"the policy failed on seed {result.seed}: {result.outcome.value}")
    import minari
    from minari.data_collector import EpisodeBuffer

    spec = environment_spec(protocol)
    with tempfile.TemporaryDirectory() as made, _minari_folder(made):
        minari.create_dataset_from_buffers(
            name,
            [_buffer(EpisodeBuffer, number, t) for number, t in enumerate(trajectories)],
            env=spec,
            eval_env=spec,
            algorithm_name="gco-agent",
            author="gco-agent",
            author_email="none",
            code_permalink="none",
            description=about,
            requirements=[f"{p}=={v}" for p, v in protocol.versions if p not in _NO_PACKAGES],
        )
        _copy(Path(made), folder)
    return folder / name


@contextlib.contextmanager
def _minari_folder(folder: str) -> Iterator[None]:
    """Let Minari write its data sets into ``folder``."""
    before = os.environ.get(_MINARI_FOLDER)
    os.environ[_MINARI_FOLDER] = folder
    try:
        yield
    finally:
        os.environ.pop(_MINARI_FOLDER)
        if before is not None:
            os.environ[_MINARI_FOLDER] = before


def _buffer(kind: Any, number: int, trajectory: Trajectory) -> Any:  # noqa: ANN401 - minari's own
    n = trajectory.result.n_steps
    ended, cut = np.zeros(n, bool), np.zeros(n, bool)
    (ended if trajectory.result.outcome is Outcome.GAME_OVER else cut)[-1:] = True
    return kind(
        id=number,
        seed=trajectory.result.seed,
        observations=list(trajectory.observations),
        actions=list(trajectory.actions),
        rewards=list(trajectory.rewards),
        terminations=list(ended),
        truncations=list(cut),
    )


# -- TensorBoard -----------------------------------------------------------------------------------


def write_scalars(view: RunView, folder: Path) -> int:
    """Write what ``--log tensorboard`` logs of a run, and return how many numbers that is."""
    from tensorboardX import SummaryWriter

    steps, n = [step for step in view.history() if step.facts], 0
    with tempfile.TemporaryDirectory() as made:
        with SummaryWriter(made) as writer:
            for step, event in zip(steps, committed_events(view), strict=True):
                for tag, value in numbers_of(event).items():
                    writer.add_scalar(tag, value, event.iteration, step.when.timestamp())
                    n += 1
        _copy(Path(made), folder)
    return n


def _copy(source: Path, folder: Path) -> None:
    """Copy the files of a folder, never through a symbolic link of a repository."""
    for path in source.rglob("*"):
        target = folder / path.relative_to(source)
        if path.is_dir() or target.exists():  # minari's namespace may exist
            continue
        save_file(target, path.read_bytes(), parents=True)
