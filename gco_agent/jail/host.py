"""The jail as the judge uses it: start, reset, act, close."""

from __future__ import annotations

import hashlib
import math
import sys
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

from gco_agent.core.errors import JailError
from gco_agent.core.records import Outcome
from gco_agent.jail import reports, wire
from gco_agent.jail.limits import JailLevel, JailLimits, JailReport, PolicyFailure
from gco_agent.jail.process import WorkerProcess
from gco_agent.jail.reports import Recording

_RECORDED_PATIENCE = 20
"""How many times as long a recorded step may take."""
USUAL_SECONDS = 0.02
"""Processor time that a step may take without being slow."""
_OUTCOMES = {wire.RAISED: Outcome.POLICY_RAISED, wire.BAD_ACTION: Outcome.BAD_ACTION}


@dataclass(slots=True)
class _Lane:
    """An episode in the jail, with the seconds of processor time of its policy.

    Attributes:
        excess: By how much its steps are behind a pace of `USUAL_SECONDS` each.
    """

    number: int
    used: float = 0.0
    slowest: float = 0.0
    excess: float = 0.0


class Jail:
    """One worker process with one policy, playing ``n_lanes`` episodes side by side.

    Each lane has its own copy of the policy's module, its own random numbers and clock. Not
    thread-safe.

    Args:
        source: The policy's text. It is never parsed or run in this process.
        n_actions: Actions are the integers from 0 to ``n_actions - 1``; 0 if they are floats.
        n_floats: Above 0, an action is a tuple of this many finite floats.
        require: Refuse to start below this level.
    """

    def __init__(
        self,
        source: str,
        *,
        n_actions: int = 0,
        n_floats: int = 0,
        n_lanes: int = 1,
        limits: JailLimits | None = None,
        require: JailLevel = JailLevel.NONE,
    ) -> None:
        if (n_actions < 1) == (n_floats < 1):
            raise ValueError(
                f"n_actions is {n_actions} and n_floats is {n_floats}; exactly one must be above 0"
            )
        if not 1 <= n_lanes <= wire.MAX_LANES:
            raise ValueError(f"n_lanes is {n_lanes}; a jail has 1 to {wire.MAX_LANES}")
        self._source = source
        self._n_actions, self._n_floats = n_actions, n_floats
        self._values_kind = wire.DOUBLES if n_floats else wire.INTEGERS
        self._limits = limits or JailLimits()
        self._require = require
        self._worker: WorkerProcess | None = None
        self._lanes = [_Lane(number) for number in range(n_lanes)]
        self._ready: dict[int, _Lane] = {}
        self._clock = 0.0
        self._is_slow = False
        """Whether an episode may have used more time than it may."""
        self._output = ""

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __del__(self) -> None:
        if getattr(self, "_worker", None) is not None:
            warnings.warn("a Jail was not closed", ResourceWarning, stacklevel=2)
            self.close()

    def start(self) -> None:
        """Start the worker, seal it, and load the policy."""
        if sys.platform != "linux":
            raise JailError(
                "policies run in a jail that needs Linux: use Linux, WSL or a container"
            )
        if self._worker is not None:
            raise RuntimeError("the jail has been started already")
        data, limits = self._encode_source(), self._limits
        self._worker = WorkerProcess(
            wire.Order(
                wire.FORK,
                n_actions=self._n_actions,
                n_floats=self._n_floats,
                layers=int(limits.layers),
                memory_bytes=limits.memory_bytes,
                output_bytes=limits.output_bytes,
                cpu_seconds=limits.total_seconds,
            )
        )
        report = self._worker.report
        if report.level < self._require:
            self.close()
            raise JailError(
                f"jail level {self._require.word} is required and this machine offers "
                f"{report.level.word} ({report.line}); `gco-agent doctor` says what is missing"
            )
        try:
            self._command(wire.LOAD, 0, data)
            self._clock = self._worker.cpu_seconds() or 0.0
        except BaseException:
            self.close()
            raise

    def reset(self, lane: int, seed: int) -> None:
        """Begin an episode in ``lane`` with a fresh module and a fresh ``Policy``.

        The policy's random numbers follow from ``seed``, the seed of the episode. The worker gets
        only a hash of it.

        Raises:
            PolicyFailure: The policy raised. With ``lane`` set the other lanes can go on.
        """
        if not 0 <= lane < len(self._lanes):
            raise ValueError(f"lane {lane} of a jail with {len(self._lanes)}")
        self._ready.pop(lane, None)
        episode = self._lanes[lane] = _Lane(lane)
        self._command(wire.RESET, lane, _chance_seed(seed))
        self._charge([episode], 0.0)
        self._ready[lane] = episode

    def act(self, observations: Sequence[tuple[int, object]]) -> list[Any]:
        """Ask the policy for the next action of some lanes, in one message.

        Args:
            observations: Pairs of lane and observation, at most one of each lane. An observation is
                `ObjectRows`, a numpy array, None, a number, text, or a dict, tuple or list of such.

        Returns:
            For each observation, in order, the action (an integer, or a tuple of ``n_floats``
            floats) or the `PolicyFailure` of that lane alone.

        Raises:
            PolicyFailure: The step took too long, or the process ended: every lane is lost.
        """
        lanes = self._check(observations)
        return self._answers(lanes, *self._exchange(wire.ACT, lanes, observations))

    def act_recorded(self, lane: int, observation: object) -> tuple[Any, Recording]:
        """Ask one lane for its next action, and for the functions that it calls.

        The action is the same as that of `act`. Such a step takes many times as long.
        """
        observations = [(lane, observation)]
        lanes = self._check(observations)
        values, records = self._exchange(wire.WATCH, lanes, observations)
        failures = [record for record in records if record.kind != wire.CALLS]
        [answer] = self._answers(lanes, values, failures)
        try:
            [report] = (record for record in records if record.kind == wire.CALLS)
            return answer, reports.parse_calls(report.text, len(reports.lines_of(self._source)))
        except ValueError:
            raise self._died("it reported calls that make no sense") from None

    def cpu_seconds(self, lane: int) -> float:
        """Return the processor time that the episode in ``lane`` has used; also after the end.

        The time of a step is shared equally by the lanes that it was asked for.
        """
        return self._lanes[lane].used

    def slowest_step_seconds(self, lane: int) -> float:
        """Return the processor time of the slowest step of the episode in ``lane``."""
        return self._lanes[lane].slowest

    def close(self) -> None:
        """End the worker. May be called at any time, and again."""
        worker, self._worker = self._worker, None
        self._ready.clear()
        if worker is not None:
            self._output = worker.output(self._limits.output_bytes)
            worker.close()

    @property
    def report(self) -> JailReport:
        """The seal of the worker."""
        return self._live().report

    @property
    def level(self) -> JailLevel:
        """The level that the worker's self-test proved; `JailLevel.NONE` unless it runs."""
        return self._worker.report.level if self._worker is not None else JailLevel.NONE

    @property
    def output(self) -> str:
        """What the policy printed, escaped and cut; also after the end."""
        if self._worker is not None:
            self._output = self._worker.output(self._limits.output_bytes)
        return self._output

    @property
    def pid(self) -> int | None:
        """Process id of the worker, while it runs."""
        return self._worker.pid if self._worker is not None else None

    def _live(self) -> WorkerProcess:
        if self._worker is None:
            raise RuntimeError("the jail is not running: start it, and close it only at the end")
        return self._worker

    def _encode_source(self) -> bytes:
        try:
            data = self._source.encode("utf-8")
        except UnicodeEncodeError as error:
            raise PolicyFailure(Outcome.POLICY_RAISED, "the policy is not UTF-8 text") from error
        limit = self._limits.source_bytes
        if len(data) > limit:
            raise PolicyFailure(
                Outcome.POLICY_RAISED,
                f"the policy has {len(data):,} bytes; at most {limit:,} are loaded",
            )
        return data

    def _command(self, kind: int, lane: int, payload: bytes) -> None:
        """Send LOAD or RESET and wait until it is done."""
        worker, seconds = self._live(), self._limits.start_seconds
        what = "loading" if kind == wire.LOAD else "the start of an episode"
        try:
            worker.channel.send(kind, lane, payload, seconds)
            worker.wait(seconds)
            _, records = worker.channel.receive(wire.DONE, 0)
        except wire.Gone as gone:
            raise self._died(str(gone)) from None
        except wire.Late:
            raise self._timed_out(seconds, what) from None
        for record in records:
            raise self._failure(record, lane=lane if kind == wire.RESET else None)

    def _exchange(
        self, kind: int, lanes: Sequence[_Lane], observations: Sequence[tuple[int, object]]
    ) -> tuple[Sequence[Any], list[wire.Record]]:
        """Send ACT or WATCH and return the reply."""
        worker, n = self._live(), len(lanes)
        seconds = self._limits.step_seconds * (n or 1)
        n_values, max_bytes = n * (self._n_floats or 1), wire.MAX_TEXT_BYTES
        if kind == wire.WATCH:
            seconds, max_bytes = _RECORDED_PATIENCE * seconds, wire.MAX_CALLS_BYTES
        kind_of_values, slept = self._values_kind, 0.0
        try:
            worker.channel.send(kind, n, wire.pack_observations(observations), seconds)
            try:  # where judge and worker share a core, the reply is there already
                reply = worker.channel.receive(wire.ACTIONS, n_values, kind_of_values, max_bytes)
            except BlockingIOError:
                slept = worker.wait(seconds)
                reply = worker.channel.receive(wire.ACTIONS, n_values, kind_of_values, max_bytes)
        except wire.Gone as gone:
            raise self._died(str(gone)) from None
        except wire.Late:
            what = "act, recorded," if kind == wire.WATCH else "act"
            raise self._timed_out(seconds, what) from None
        share = self._charge(lanes, slept)
        if kind == wire.ACT:
            for lane in lanes:
                if share > lane.slowest:  # noqa: PLR1730 - in every step
                    lane.slowest = share
                if share > USUAL_SECONDS or lane.excess:
                    lane.excess = max(0.0, lane.excess + share - USUAL_SECONDS)
                    self._is_slow = True
        return reply

    def _check(self, observations: Sequence[tuple[int, object]]) -> list[_Lane]:
        """Return the lanes; raise for mistakes of the caller."""
        try:
            lanes = [self._ready[number] for number, _ in observations]
        except KeyError as error:
            self._live()
            raise ValueError(f"lane {error} acts before its reset") from None
        if len(lanes) > 1 and len(set(map(id, lanes))) < len(lanes):
            raise ValueError("a lane occurs twice in one message")
        return lanes

    def _charge(self, lanes: Sequence[_Lane], slept: float) -> float:
        """Share the processor time used since the last step among ``lanes``; return a share."""
        now = self._live().cpu_seconds() or self._clock
        share = max(now - self._clock, slept) / (len(lanes) or 1)
        self._clock, limit = now, self._limits.episode_seconds
        for lane in lanes:
            lane.used += share
            if lane.used > limit:
                self._is_slow = True
        return share

    def _answers(
        self, lanes: Sequence[_Lane], values: Sequence[Any], records: Sequence[wire.Record]
    ) -> list[Any]:
        """Return actions, and failures where there is one; end a worker that makes no sense."""
        n, limits = self._n_floats, self._limits
        is_plain = not (records or n or self._is_slow) and lanes
        if is_plain and min(values) >= 0 and max(values) < self._n_actions:
            return [*values]
        if n:
            values = [tuple(values[at : at + n]) for at in range(0, len(values), n)]
        failures = {record.lane: record for record in records}
        answers: list[Any] = []
        for index, (lane, value) in enumerate(zip(lanes, values, strict=True)):
            if index in failures:
                answers.append(self._failure(failures[index], lane=lane.number))
            elif not (all(map(math.isfinite, value)) if n else 0 <= value < self._n_actions):
                raise self._died("it answered what was not asked")
            elif lane.used > limits.episode_seconds or lane.excess > limits.slow_seconds:
                answers.append(self._overtime(lane))
            else:
                answers.append(value)
        return answers

    def _overtime(self, lane: _Lane) -> PolicyFailure:
        if lane.excess > self._limits.slow_seconds:
            what = (
                f"the steps of the episode were more than {self._limits.slow_seconds:g} s behind "
                f"a pace of {USUAL_SECONDS:g} s each"
            )
        else:
            what = f"the episode used more than {self._limits.episode_seconds:g} s"
        detail = f"TimeoutError: {what}, in processor time; the slowest took {lane.slowest:.2g} s"
        return PolicyFailure(Outcome.TIMED_OUT, detail, lane=lane.number)

    def _failure(self, record: wire.Record, *, lane: int | None) -> PolicyFailure:
        outcome = _OUTCOMES.get(record.kind, Outcome.POLICY_RAISED)
        summary, frames = reports.parse_failure(record.text)
        detail = reports.format_failure(summary, frames, self._source)
        return PolicyFailure(outcome, detail, lane=lane)

    def _timed_out(self, seconds: float, what: str) -> PolicyFailure:
        summary = f"TimeoutError: {what} used more than {seconds:g} s"
        return self._lost(Outcome.TIMED_OUT, summary, self._live().dump_frames())

    def _died(self, why: str) -> PolicyFailure:
        worker = self._live()
        summary = "the policy's process ended: " + worker.end(why)
        return self._lost(Outcome.DIED, summary, worker.faults())

    def _lost(self, outcome: Outcome, summary: str, dump: str) -> PolicyFailure:
        self.close()
        frames = reports.parse_dump(dump)
        return PolicyFailure(outcome, reports.format_failure(summary, frames, self._source))


def _chance_seed(seed: int) -> bytes:
    """Derive the seed of a policy's random numbers, which does not tell the episode's seed."""
    return hashlib.blake2b(
        str(seed).encode(), digest_size=wire.SEED.size, person=b"policy chance"
    ).digest()


def probe_level() -> JailReport:
    """Start a jail on this machine, and return its report."""
    with Jail("def act(obs):\n    return 0\n", n_actions=1) as jail:
        return jail.report
