"""The jail as the judge uses it: start, reset, act, close."""

from __future__ import annotations

import marshal
import math
import os
import warnings
from collections.abc import Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from gco_agent.core.errors import JailError
from gco_agent.core.records import Outcome
from gco_agent.jail import deadline, text, wire
from gco_agent.jail.channel import Gone, Late, Record
from gco_agent.jail.limits import (
    JailLevel,
    JailLimits,
    JailReport,
    Layer,
    PolicyFailure,
)
from gco_agent.jail.process import WorkerProcess
from gco_agent.jail.rows import check_plain

if TYPE_CHECKING:
    from gco_agent.jail.portable import PortableProcess

__all__ = [
    "Jail",
    "JailLevel",
    "JailLimits",
    "JailReport",
    "Layer",
    "PolicyFailure",
    "probe_level",
]

_SLOW_STEPS = "act, in its slow steps together,"
_OUTCOMES = {wire.RAISED: Outcome.POLICY_RAISED, wire.BAD_ACTION: Outcome.BAD_ACTION}


class Jail:
    """One worker process with one policy in it, playing ``n_lanes`` episodes side by side.

    The lanes have a copy of the policy's module each, and chance and clocks of their own. Only one
    that goes by the addresses of objects may do otherwise than it would alone. Not thread-safe.

    Args:
        source: The policy's text. It is never parsed or run in this process.
        n_actions: Actions are the integers from 0 to ``n_actions - 1``; 0 where they are numbers.
        n_floats: Above 0, an action is so many finite numbers; see `act_plain`.
        require: Refuse to go on below this level.
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
                f"n_actions is {n_actions} and n_floats is {n_floats}; one of them is above 0"
            )
        if not 1 <= n_lanes <= wire.MAX_LANES:
            raise ValueError(f"n_lanes is {n_lanes}; a jail has 1 to {wire.MAX_LANES}")
        self._source = source
        self._n_actions, self._n_lanes = n_actions, n_lanes
        self._n_floats = n_floats
        self._limits = limits or JailLimits()
        self._require = require
        self._quick_ms = min(self._limits.step_seconds, deadline.QUICK_SECONDS) * 1000
        self._slow_steps = deadline.SlowSteps(self._limits.slow_seconds)
        self._worker: WorkerProcess | PortableProcess | None = None
        self._ready: set[int] = set()
        self._unchecked: set[int] = set()
        self._output = ""

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def __del__(self) -> None:
        """Close what was forgotten, and say so."""
        if getattr(self, "_worker", None) is not None:
            warnings.warn("a Jail was not closed", ResourceWarning, stacklevel=2)
            self.close()

    def start(self) -> None:
        """Make the worker, seal it, and have it load the policy.

        Raises:
            PolicyFailure: The text does not load, or has no ``act``.
            JailError: The worker cannot be made, or its level is below what is required.
        """
        if self._worker is not None:
            raise RuntimeError("the jail has been started already")
        data = self._encoded_source()
        with_numpy = self._limits.with_numpy or "numpy" in self._source
        self._worker = _make_process(self._order(), with_numpy=with_numpy)
        try:
            self._check_level()
            self._ask(wire.LOAD, 0, data)
        except BaseException:
            self.close()
            raise

    def reset(self, lane: int) -> None:
        """Begin an episode in ``lane``: a fresh module, a fresh Policy, chance and clock anew.

        Raises:
            PolicyFailure: The policy raised. With ``lane`` set the other lanes can go on.
        """
        if not 0 <= lane < self._n_lanes:
            raise ValueError(f"lane {lane} of a jail with {self._n_lanes}")
        self._ready.discard(lane)
        self._ask(wire.RESET, lane, b"")
        self._ready.add(lane)
        self._unchecked.add(lane)

    def act(self, observations: Sequence[wire.LaneObservation]) -> list[int | PolicyFailure]:
        """Ask the policy for the next action of some lanes, in one message.

        Args:
            observations: At most one of each lane, rows in plain Python numbers.

        Returns:
            For each observation, in order, the action or the failure of that lane alone.

        Raises:
            PolicyFailure: The step took too long, or the process ended: every lane is lost.
        """
        self._live()
        if self._unchecked or len(observations) > self._n_lanes:
            self._check([lane for lane, _, _ in observations])
            self._check_rows(observations)
        return self._exchange(wire.ACT, wire.pack_objects(observations), observations)

    def act_plain(self, observations: Sequence[tuple[int, object]]) -> list[Any]:
        """As `act`, for environments whose observation is not made of objects.

        Args:
            observations: Lane and what the policy is to see: an array of numpy (for which
                ``limits.with_numpy`` must be set), or None, numbers, text, and tuples, lists and
                dictionaries of those.

        Returns:
            As `act`; where actions are numbers, each is a tuple of ``n_floats`` finite floats.
        """
        if self._unchecked or len(observations) > self._n_lanes:
            self._check([lane for lane, _ in observations])
            self._unchecked.clear()
        packed = [(lane, *wire.pack_plain(value)) for lane, value in observations]
        return self._exchange(wire.ACT_PLAIN, marshal.dumps(packed), observations)

    def close(self) -> None:
        """End the worker. May be called at any time, and again."""
        worker, self._worker = self._worker, None
        self._ready.clear()
        if worker is not None:
            self._output = worker.output(self._limits.output_bytes)
            worker.close()

    @property
    def report(self) -> JailReport:
        """What seals the worker.

        Raises:
            RuntimeError: The jail is not running.
        """
        return self._live().report

    @property
    def level(self) -> JailLevel:
        """What the worker's self-test proved; `JailLevel.NONE` unless it is running."""
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

    def _live(self) -> WorkerProcess | PortableProcess:
        if self._worker is None:
            raise RuntimeError("the jail is not running: start it, and close it only at the end")
        return self._worker

    def _check_level(self) -> None:
        if self.level < self._require:
            raise JailError(
                f"jail level {self._require.word} is required and this machine offers "
                f"{self.level.word} ({self.report.line}); `gco-agent doctor` says what is missing"
            )

    def _encoded_source(self) -> bytes:
        try:
            data = self._source.encode("utf-8")
        except UnicodeEncodeError as error:
            raise PolicyFailure(Outcome.POLICY_RAISED, "the policy is not UTF-8 text") from error
        if len(data) > self._limits.source_bytes:
            raise PolicyFailure(
                Outcome.POLICY_RAISED,
                f"the policy has {len(data):,} bytes; at most {self._limits.source_bytes:,} are "
                "loaded",
            )
        return data

    def _order(self) -> wire.Order:
        limits = self._limits
        return wire.Order(
            wire.FORK,
            n_actions=self._n_actions,
            n_floats=self._n_floats,
            n_lanes=self._n_lanes,
            layers=int(limits.layers),
            memory_bytes=limits.memory_bytes,
            output_bytes=limits.output_bytes,
            cpu_seconds=limits.total_seconds,
        )

    def _ask(self, kind: int, lane: int, payload: bytes) -> None:
        """LOAD or RESET."""
        worker = self._live()
        seconds = self._limits.start_seconds
        what = "loading" if kind == wire.LOAD else "the start of an episode"
        try:
            worker.channel.send(kind, lane, payload, seconds)
            if not worker.channel.is_readable(seconds * 1000):
                self._wait_longer(seconds)
            _, records = worker.channel.receive(wire.DONE, 0)
        except Gone as gone:
            raise self._died(str(gone)) from None
        except Late:
            raise self._timed_out(seconds, what) from None
        for record in records:
            raise self._failure(record, lane=lane if kind == wire.RESET else None)

    def _exchange(
        self, kind: int, payload: bytes, observations: Sequence[tuple[Any, ...]]
    ) -> list[Any]:
        """The one message of a step: out, wait, in."""
        channel = self._live().channel
        count = len(observations)
        n_integers = 2 * count * self._n_floats or count
        try:
            channel.send(kind, count, payload, self._limits.step_seconds)
            answer = channel.receive_at_once(wire.ACTIONS, n_integers)
            if answer is None:
                if not channel.is_readable(self._quick_ms) and not self._wait_for_slow_step():
                    raise self._timed_out(self._limits.slow_seconds, _SLOW_STEPS)
                answer = channel.receive(wire.ACTIONS, n_integers)
            values, records = answer
        except Gone as gone:
            raise self._died(str(gone)) from None
        except Late:
            raise self._timed_out(self._limits.step_seconds, "act") from None
        if self._n_floats:
            return self._with_floats([item[0] for item in observations], values, records)
        if not records and count and min(values) >= 0 and max(values) < self._n_actions:
            return [*values]
        return self._with_failures([item[0] for item in observations], values, records)

    def _check(self, lanes: Sequence[int]) -> None:
        """What would be the judge's own mistake; looked for in the first step of an episode."""
        if len(set(lanes)) < len(lanes):
            raise ValueError(f"a lane occurs twice in one message: {lanes}")
        for lane in lanes:
            if lane not in self._ready:
                raise ValueError(f"lane {lane} acts before its reset")

    def _check_rows(self, observations: Sequence[wire.LaneObservation]) -> None:
        for lane, _, rows in observations:
            if lane in self._unchecked:
                check_plain(rows)
                self._unchecked.discard(lane)

    def _with_failures(
        self,
        lanes: Sequence[int],
        values: Sequence[int],
        records: Sequence[Record],
    ) -> list[int | PolicyFailure]:
        """Actions, and failures where there is one; a worker that makes no sense is at an end."""
        told = {record.lane: record for record in records}
        answers: list[int | PolicyFailure] = []
        for index, (lane, value) in enumerate(zip(lanes, values, strict=True)):
            if lane not in self._ready:
                raise ValueError(f"lane {lane} acts before its reset")
            if index in told:
                answers.append(self._failure(told[index], lane=lane))
            elif 0 <= value < self._n_actions:
                answers.append(value)
            else:
                raise self._died("it answered what was not asked")
        return answers

    def _with_floats(
        self, lanes: Sequence[int], integers: Sequence[int], records: Sequence[Record]
    ) -> list[Any]:
        """As `_with_failures`, where actions are numbers."""
        told = {record.lane: record for record in records}
        numbers = wire.integers_to_floats(integers)
        answers: list[Any] = []
        for index, lane in enumerate(lanes):
            begin = index * self._n_floats
            action = numbers[begin : begin + self._n_floats]
            if index in told:
                answers.append(self._failure(told[index], lane=lane))
            elif all(map(math.isfinite, action)):
                answers.append(action)
            else:
                raise self._died("it answered what was not asked")
        return answers

    def _failure(self, record: Record, *, lane: int | None) -> PolicyFailure:
        outcome = _OUTCOMES.get(record.kind, Outcome.POLICY_RAISED)
        summary, frames = text.parse_failure(record.text)
        return PolicyFailure(outcome, text.format_failure(summary, frames, self._source), lane=lane)

    def _wait_longer(self, seconds: float) -> None:
        worker = self._live()
        if not deadline.wait_fairly(worker.pid, seconds, worker.channel.is_readable):
            raise Late

    def _wait_for_slow_step(self) -> bool:
        """Wait for a reply that is not there yet; false if there were too many of these.

        Raises:
            Late: This one took too long.
        """
        worker, seconds = self._live(), self._limits.step_seconds
        self._slow_steps.begin(worker.pid)
        if not worker.channel.is_readable(seconds * 1000 - self._quick_ms):
            self._wait_longer(seconds)
        return self._slow_steps.end(worker.pid)

    def _timed_out(self, seconds: float, what: str) -> PolicyFailure:
        frames = text.parse_hang(self._live().dump_frames())
        self.close()
        summary = f"TimeoutError: {what} used more than {seconds:g} s"
        return PolicyFailure(Outcome.TIMED_OUT, text.format_failure(summary, frames, self._source))

    def _died(self, why: str) -> PolicyFailure:
        worker = self._live()
        cause = worker.end(why)
        frames = text.parse_hang(worker.faults())
        self.close()
        summary = "the policy's process ended: " + cause
        return PolicyFailure(Outcome.DIED, text.format_failure(summary, frames, self._source))


def _make_process(order: wire.Order, *, with_numpy: bool) -> WorkerProcess | PortableProcess:
    if hasattr(os, "fork"):
        return WorkerProcess(order, with_numpy=with_numpy)
    from gco_agent.jail.portable import PortableProcess

    return PortableProcess(order, with_numpy=with_numpy)


def probe_level() -> JailReport:
    """What a jail on this machine is worth: make one, ask it, close it."""
    with Jail("def act(obs):\n    return 0\n", n_actions=1) as jail:
        return jail.report
