"""Episodes of a policy as a Minari data set, for offline learning and imitation.

The observations are the console's 128 bytes: the objects that the policy saw follow from them, and
other learners need not know of objects. The only module that imports minari, lazily: it is in the
extra ``export``.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from gco_agent.core.errors import UsageError
from gco_agent.core.records import EpisodeResult, Outcome, PlayProtocol
from gco_agent.envs.environment import environment_spec
from gco_agent.jail import JailLevel
from gco_agent.report.curves import half_interval
from gco_agent.report.summary import RunReport
from gco_agent.report.video.film import Moment, film
from gco_agent.store.entries import Verdict

if TYPE_CHECKING:
    from collections.abc import Iterator

_FOLDER = "MINARI_DATASETS_PATH"
_ID = re.compile(r"(?:[A-Za-z0-9_-]+/)*[A-Za-z0-9_-]+-v\d+")


@dataclass(frozen=True, slots=True)
class Trajectory:
    """One episode as learners want it.

    Attributes:
        result: What the judge says of it.
        observations: Before each action and after the last: of an Atari game its RAM, uint8 of
            shape (n_steps + 1, 128), else what the environment gives.
        actions: Indices into the action set of the rules, int64 of shape (n_steps,); or rows of
            numbers.
        rewards: float64 of shape (n_steps,).
    """

    result: EpisodeResult
    observations: npt.NDArray[Any]
    actions: npt.NDArray[Any]
    rewards: npt.NDArray[np.float64]


def record(
    source: str, protocol: PlayProtocol, seed: int, require: JailLevel = JailLevel.NONE
) -> Trajectory:
    """Play an episode and keep observations, actions and rewards; raises as `film`."""
    moments = list(film(source, protocol, seed, require=require))
    result = moments[-1].result
    assert result is not None, seed
    return Trajectory(
        result,
        np.stack([_observed(moment) for moment in moments]),
        _actions(moments[:-1]),
        np.diff([moment.total for moment in moments]),
    )


def _observed(moment: Moment) -> npt.NDArray[Any]:
    """What a learner sees at a moment.

    Raises:
        UsageError: It is no array.
    """
    seen = moment.seen if moment.ram is None else moment.ram
    if not isinstance(seen, np.ndarray):
        raise UsageError("observations that are no arrays cannot be kept as a data set")
    return seen


def _actions(moments: Sequence[Moment]) -> npt.NDArray[Any]:
    is_index = all(isinstance(moment.played, int) for moment in moments)
    return np.array([moment.played for moment in moments], np.int64 if is_index else np.float32)


def require_id(name: str) -> None:
    """Refuse what cannot name a data set.

    Raises:
        UsageError: It cannot.
    """
    if not _ID.fullmatch(name):
        raise UsageError(f"{name!r} names no data set: it should be like pong/gco-agent-v0")


def write_dataset(
    trajectories: Sequence[Trajectory],
    name: str,
    folder: Path,
    protocol: PlayProtocol,
    about: str,
) -> Path:
    """Write a data set and say where it is.

    Args:
        trajectories: Episodes that may be scored; at least one.
        name: Its id, as "pong/gco-agent-v0".
        folder: Where data sets are kept; Minari's own is ``~/.minari/datasets``.
        protocol: The rules that were played by.
        about: What people should know of it.

    Raises:
        UsageError: minari is not installed, there is such a data set, or an episode failed.
    """
    require_id(name)
    failed = [t.result for t in trajectories if not t.result.outcome.is_scored]
    if failed or not trajectories:
        where = f"on seed {failed[0].seed}: {failed[0].outcome.value}" if failed else "nowhere"
        raise UsageError(f"the policy failed {where}; a data set has whole episodes only")
    if (folder / name).exists():
        raise UsageError(f"there is a data set {folder / name}; choose another name or version")
    try:
        import minari
        from minari.data_collector import EpisodeBuffer
    except ImportError:
        raise UsageError("a Minari data set needs: pip install 'gco-agent[export]'") from None
    buffers = [_buffer(EpisodeBuffer, number, t) for number, t in enumerate(trajectories)]
    spec = environment_spec(protocol)
    with _kept_in(folder):
        minari.create_dataset_from_buffers(
            name,
            buffers,
            env=spec,
            eval_env=spec,
            algorithm_name="gco-agent",
            author="gco-agent",
            author_email="none",
            code_permalink="none",
            description=about,
            requirements=[
                f"{package}=={version}"
                for package, version in protocol.versions
                if package not in _NO_PACKAGES
            ],
        )
    return folder / name


_NO_PACKAGES = ("extraction", "module", "rom")
"""What a protocol names the version of and nobody can install: hashes."""


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


@contextmanager
def _kept_in(folder: Path) -> Iterator[None]:
    """Have Minari keep its data sets in ``folder``: it knows no other way to say so."""
    before = os.environ.get(_FOLDER)
    os.environ[_FOLDER] = str(folder)
    try:
        yield
    finally:
        if before is None:
            del os.environ[_FOLDER]
        else:
            os.environ[_FOLDER] = before


Scalar = tuple[str, int, float, float]
"""Tag, step (the iteration), value, and when, in seconds since 1970."""


def scalars(report: RunReport) -> Iterator[Scalar]:
    """Every number of a run that changes with the iterations.

    ``return/in_force`` is of the policy that the run had after an iteration, on selection seeds;
    ``return/candidate`` of the one that was tried; ``return/report`` on report seeds.
    """
    for trial, used in zip(report.trials, report.positions, strict=True):
        facts = trial.facts
        if facts is None:
            continue
        when = trial.when.timestamp()
        numbers: dict[str, float | None] = {
            "used/hours": used["hours"],
            "used/million_frames": used["frames"],
            "used/usd": used["usd"],
            "search/gain": facts.gain,
        }
        is_report = trial.verdict == Verdict.REPORTED
        kind = "report" if is_report else "in_force" if trial.is_kept else "candidate"
        numbers[f"return/{kind}"] = facts.return_mean
        numbers[f"return/{kind}_half_interval"] = half_interval(facts)
        if kind == "in_force" and facts.iteration:
            numbers["return/candidate"] = facts.return_mean
        if trial.is_kept:
            numbers["complexity/lines"] = facts.loc
            numbers["complexity/cyclomatic"] = facts.cyclomatic
            numbers["complexity/nested_if"] = facts.nested_if
        for tag, value in numbers.items():
            if value is not None:
                yield tag, facts.iteration, float(value), when


def write_scalars(report: RunReport, folder: Path) -> int:
    """Write an event file into ``folder``; how many numbers it has.

    Raises:
        UsageError: tensorboardX is not installed, or the folder cannot be written.
    """
    try:
        from tensorboardX import SummaryWriter
    except ImportError:
        raise UsageError(
            "TensorBoard's format needs the extra: pip install 'gco-agent[export]'"
        ) from None
    n = 0
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with SummaryWriter(str(folder)) as writer:
            for tag, step, value, when in scalars(report):
                writer.add_scalar(tag, value, step, walltime=when)
                n += 1
    except OSError as error:
        raise UsageError(f"cannot write {folder}: {error.strerror}") from error
    return n
