"""Questions that a language model asks before it proposes, and the answers of the judge.

A reply with fenced blocks of the language "ask" is questions instead of a policy. They
are answered on feedback seeds, within a budget of steps; whatever code they hold runs in the jail.
"""

from __future__ import annotations

import ast
import re
import statistics
import time
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

from gco_agent.core.errors import ContractViolation
from gco_agent.core.events import Playing, Progress, silent
from gco_agent.core.records import Evaluation, Outcome, unpack_actions
from gco_agent.core.seeds import FEEDBACK_EPISODES, Stream
from gco_agent.core.text import escape, escape_lines, fence, format_points, format_score, quote
from gco_agent.envs.environment import spec_of
from gco_agent.evaluation.episode import Rollout
from gco_agent.evaluation.judge import Judge
from gco_agent.games.describe import Hints
from gco_agent.optimizers.base import (
    MOST_AT_ONCE,
    MOST_QUESTIONS_S,
    MOST_SHOWN,
    MOST_VALUES,
    ROUNDS,
    SHOWN_TOKENS,
    PastIteration,
    Unusable,
)
from gco_agent.optimizers.feedback import collect_results, describe_results
from gco_agent.optimizers.prompts import HEADING
from gco_agent.optimizers.replies import MAX_CHARACTERS, fenced_blocks, read_code
from gco_agent.policy.contract import check_policy
from gco_agent.policy.source import PolicySource, Positions, diff_of_logic, parse
from gco_agent.traces.losses import describe_losses
from gco_agent.traces.moments import Replay, Trajectory, field_names, follow
from gco_agent.traces.records import TracedStep
from gco_agent.traces.render import describe_stalls, fit_steps

_MOST_STEPS = 400_000
"""Steps that may be played for the questions of an iteration."""
_PLAYED = 4
"""Episodes that answer a question."""
_BEFORE = 40
"""Steps before a loss in which a probe is looked at."""
_TOKENS_OF_END = 1_500
_MOST_CODE, _MOST_WHY, _MOST_ROWS, _MOST_LOSSES = 1_500, 600, 8, 12
_MOST_DISTINCT = 8
"""Values of a probe that are counted one by one."""
_OFTEN = 0.25
"""Share of the steps from which the most frequent values are told beside quantiles."""
_QUANTILES = (5, 25, 50, 75, 95)
_SHOW = re.compile(
    r"show\s+(?:iteration\s+([0-9]{1,6})[,:]?\s+)?([0-9]{1,10})[,:]?\s+(?:steps\s+)?"
    r"([0-9]{1,7})\s*(?:-|\.\.|to)\s*([0-9]{1,7})\s*(?:[:,]?\s+(.{1,300}))?"
)
_TRY = re.compile(r"try\s+([A-Za-z_]\w{0,60})\s*=\s*(.{1,300})")
_PLAY_ITERATION = re.compile(r"play\s+(?:iteration\s+)?([0-9]{1,6})")
_PROBE = """


class Policy:
    played = {played!r}

    def __init__(self):
        self.probe = {probe}
        self.n_seen = 0

    def act(self, obs):
        self.n_seen += 1
        return float(self.probe({arguments}))
"""
_ACTION = ", ord(self.played[self.n_seen - 1]) - 97"
_MOST_ACTIONS = 26
"""Actions that a letter can stand for."""


def read_questions(reply: str) -> list[str]:
    """Return the questions in a reply; none if it is an answer."""
    if len(reply) > MAX_CHARACTERS:
        return []
    questions: list[str] = []
    blocks, _, _ = fenced_blocks(reply.replace("\r\n", "\n"))
    for block in blocks:
        if block.language == "ask":
            questions.append(block.text.strip())
        elif questions and questions[-1].rstrip(":") in ("play", "measure"):
            questions[-1] += f"\n{block.text}"  # the code in a block of its own
    return questions


class _Unanswerable(Exception):  # noqa: N818 - control flow
    """A question cannot be answered; the text says why."""


@dataclass
class Interview:
    """Answers the questions of one iteration.

    Attributes:
        deadline: `time.perf_counter` value after which nothing more is played.
        most_steps: Steps that the run has left to propose; None: no limit.
        hints: What the model may know of the game; with "none", no names of actions and fields.
    """

    judge: Judge
    parent: PolicySource
    attempts: Sequence[PastIteration] = ()
    deadline: float = float("inf")
    progress: Progress = silent
    hints: Hints = "interface"
    most_steps: int | None = None
    n_steps: int = field(default=0, init=False)
    seconds: float = field(default=0.0, init=False)

    def answer(self, reply: str, n_asked: int = 0) -> str | None:
        """Answer the questions in a reply as Markdown; None if there are none.

        Raises:
            JailError: The jail cannot be built, or not as good as required.
        """
        questions = read_questions(reply)
        if not questions or n_asked >= ROUNDS:
            return None
        most = f"A game ends after {self.judge.protocol.max_steps:,} steps here, as in a race."
        parts = [f"{HEADING}, round {n_asked + 1} of {ROUNDS}", most]
        for question in questions[:MOST_AT_ONCE]:
            before, begun = self.judge.n_steps, time.perf_counter()
            parts.append(self._answer(question))
            self.n_steps += self.judge.n_steps - before
            self.seconds += time.perf_counter() - begun
        if len(questions) > MOST_AT_ONCE:
            parts.append(f"Only the first {MOST_AT_ONCE} questions of a reply are answered.")
        left = ROUNDS - n_asked - 1
        again = f"Ask again ({self._describe_left(left)}), or answer" if left else "Now answer"
        return "\n\n".join([*parts, f"{again} in the form asked for above."])

    def _answer(self, question: str) -> str:
        line, _, code = question.partition("\n")
        line, told = line.strip(), ""
        kinds: Mapping[str, Callable[[str, str], str]] = {
            "show": self._show, "try": self._try, "play": self._play, "measure": self._measure,
        }  # fmt: skip
        word = line.partition(" ")[0].rstrip(":").lower()
        try:
            told = kinds.get(word, self._refuse)(line.rstrip(":"), code)
        except _Unanswerable as error:
            told = f"Not answered: {error}."
        except (ContractViolation, Unusable) as error:
            told = f"Not answered:\n\n{fence(escape_lines(str(error), _MOST_WHY), 'text')}"
        return f"### {quote(line, 120)}\n\n{told}"

    def _refuse(self, _line: str, _code: str) -> str:
        raise _Unanswerable("a question begins with show, try, play or measure")

    # -- kinds ---------------------------------------------------------------------------------

    def _show(self, line: str, code: str) -> str:
        match = _SHOW.match(line)
        if match is None:
            raise _Unanswerable("write `show SEED FIRST-LAST`")
        source = self._source(match[1], code) or self.parent
        seed, first, last = map(int, match.groups()[1:4])
        seed = self._seed(seed)
        end = min(last + 1, first + MOST_SHOWN)
        if last < first:
            raise _Unanswerable("the last step is before the first")
        trajectory = self._follow(
            Replay(self._task(source, seed), ((first, end),), to_the_end=False), end
        )
        result = next(iter(self.judge.cached(source, [seed]).episodes), trajectory.result)
        if not trajectory.recorded:
            raise _Unanswerable(f"that episode has {result.n_steps:,} steps")
        steps = trajectory.recorded
        if names := set(re.findall(r"[\w.\[\]'\"]+", match[5] or "")):
            steps = tuple(_only(step, names) for step in steps)
            if not any(step.objects or step.values or step.calls for step in steps):
                raise _Unanswerable("no category, number or component has one of these names")
        table, shown = self._table(steps, SHOWN_TOKENS)
        end = shown[-1].step
        told = f"Steps {first} to {end}."
        if result is not trajectory.result or result.outcome is not Outcome.TRUNCATED:
            told = (
                f"Steps {first} to {end} of {result.n_steps:,}; the return is "
                f"{result.episode_return:g} in the end."
            )
        if end < steps[-1].step:
            told += f" More does not fit: name columns, or ask from step {end + 1} on."
        return f"{told}\n\n{table}"

    def _try(self, line: str, _: str) -> str:
        match = _TRY.match(line)
        if match is None:
            raise _Unanswerable("write `try NAME = VALUE, VALUE`")
        name, values = match[1], [part.strip() for part in match[2].split(",") if part.strip()]
        changed = [
            (value, _with_constant(self.parent, name, value)) for value in values[:MOST_VALUES]
        ]
        rows = [("present policy", self._evaluate(self.parent))]
        rows += [(f"{name} = {value}", self._evaluate(source)) for value, source in changed]
        lines = ["policy|mean return ± standard error|returns"]
        for what, played in rows:
            score = format_score(played.mean_return, played.standard_error)
            returns = " ".join(f"{value:g}" for value in played.returns)
            why = (
                f"failed: {escape(played.failures[0].detail.rpartition(chr(10))[2], 80)}"
                if played.failures
                else ""
            )
            lines.append(f"{what}|{score}|{why or returns}")
        return fence("\n".join(lines), "text")

    def _play(self, line: str, code: str) -> str:
        match = _PLAY_ITERATION.fullmatch(line)
        source = self._source(match[1] if match else None, code)
        if source is None:
            raise _Unanswerable("write the policy, its changed functions or a diff below `play`")
        seeds = self._seeds(_PLAYED)
        self._require_room(2 * _PLAYED)
        judge, until = self.judge, self._until
        results, trace = collect_results(
            judge, source, [], judge.protocol, seeds, self.progress, until=until
        )
        if self.hints == "none":
            trace = trace.without_names()
        n = len(results.evaluation.episodes)
        if not n:
            raise _Unanswerable("its first game had not ended when the time for questions was up")
        parts = [fence(diff_of_logic(self.parent, source, _MOST_CODE), "diff")]
        if n < _PLAYED:
            parts.append(f"When the time for questions was up, {n} of {_PLAYED} games had ended.")
        parts += [describe_results(results, trace), *trace.notes]
        parts.append(describe_losses(trace.losses, seeds[:n], _MOST_LOSSES))
        parts.append(describe_stalls(trace.stalls, 1))
        for window in [w for w in trace.windows if w.steps and (w.is_ending or w.failure)][:1]:
            table, _ = self._table(window.steps, _TOKENS_OF_END, last=True)
            parts.append(f"The last steps of the worst episode, seed {window.seed}:\n\n{table}")
        known = self.judge.cached(self.parent, seeds)
        if known.mean_return is not None and len(known.episodes) == len(seeds):
            returns = " ".join(f"{value:g}" for value in known.returns)
            mean = format_points(known.mean_return)
            parts.insert(
                1, f"The present policy's mean return on these seeds is {mean} ({returns})."
            )
        return "\n\n".join(part for part in parts if part)

    def _measure(self, line: str, code: str) -> str:
        code = code.strip() or f"def probe(obs):\n    return {line.partition(' ')[2]}"
        named = {
            node.name
            for node in parse(code).body
            if isinstance(node, ast.ClassDef | ast.FunctionDef)
        }
        if not named & {"probe", "Probe"}:
            raise _Unanswerable("write `def probe(obs):` or `class Probe:` below `measure`")
        is_class = "Probe" in named
        has_numbers = bool(spec_of(self.judge.protocol).controls)
        sees_action = _n_parameters(code) > 1 + is_class
        called = "Probe().probe" if is_class else "probe"

        def probe_of(actions: bytes) -> PolicySource:
            if sees_action and (has_numbers or max(actions, default=0) >= _MOST_ACTIONS):
                raise _Unanswerable("`action` is known where actions are few indices")
            played = "".join(chr(97 + n) for n in actions) if sees_action else ""
            arguments = "obs" + _ACTION * sees_action
            return PolicySource(
                code + _PROBE.format(probe=called, played=played, arguments=arguments)
            )

        check_policy(probe_of(b""))
        played = self._evaluate(self.parent)
        self._require_room(_PLAYED)
        trajectories = []
        for episode in played.episodes:
            if episode.outcome.is_scored:
                actions = unpack_actions(episode.actions)
                task = self._task(probe_of(actions), episode.seed)
                trajectories.append(self._follow(Replay(task, actions=actions), 0))
        shown = fence(escape_lines(code, _MOST_CODE), "python")
        for trajectory in trajectories:
            if len(trajectory.values) < trajectory.result.n_steps or not trajectory.values:
                why = fence(escape_lines(trajectory.result.detail, _MOST_WHY), "text")
                return f"{shown}\n\nThe probe failed in step {len(trajectory.values)}:\n\n{why}"
        return f"{shown}\n\n{_describe_values(trajectories)}"

    def _table(
        self, steps: Sequence[TracedStep], max_tokens: int, *, last: bool = False
    ) -> tuple[str, Sequence[TracedStep]]:
        names = field_names(self.judge.protocol)
        if self.hints == "none":
            names, steps = {}, [step.without_names() for step in steps]
        return fit_steps(steps, names, max_tokens, last=last)

    def _source(self, iteration: str | None, code: str) -> PolicySource | None:
        """Return the candidate of an iteration, or the policy in ``code``; None without either."""
        if iteration is not None:
            found = [a.source for a in self.attempts if a.iteration == int(iteration) and a.source]
            if not found:
                raise _Unanswerable(f"no candidate of iteration {iteration} is at hand")
            source = PolicySource(found[-1])
        elif code.strip():
            source, _ = read_code(code, self.parent)
        else:
            return None
        check_policy(source)
        return source

    # -- playing -------------------------------------------------------------------------------

    def _seed(self, seed: int) -> int:
        seeds = self._seeds(FEEDBACK_EPISODES)
        if seed < len(seeds):
            return seeds[seed]
        if seed not in seeds:
            raise _Unanswerable(f"the seeds are {seeds[0]} to {seeds[-1]}")
        return seed

    @staticmethod
    def _seeds(n: int) -> range:
        return Stream.FEEDBACK.seeds(0, n)

    def _task(self, source: PolicySource, seed: int) -> Rollout:
        return Rollout(source.text, (seed,), self.judge.protocol, self.judge.require)

    @property
    def _until(self) -> float:
        return min(self.deadline, time.perf_counter() + MOST_QUESTIONS_S - self.seconds)

    @property
    def _most_steps(self) -> int:
        return _MOST_STEPS if self.most_steps is None else min(_MOST_STEPS, self.most_steps)

    def _describe_left(self, rounds: int) -> str:
        steps = max(0, self._most_steps - self.n_steps)
        minutes = max(0.0, self._until - time.perf_counter()) / 60
        return f"left: rounds {rounds}, steps {steps:,}, minutes of play {minutes:.0f}"

    def _require_room(self, n_episodes: int) -> None:
        """Refuse to play more episodes than there are steps and time for."""
        known = self.judge.cached(self.parent, self._seeds(FEEDBACK_EPISODES)).episodes
        usual = statistics.fmean([e.n_steps for e in known]) if known else 0
        if time.perf_counter() >= self._until:
            raise _Unanswerable("the time is up")
        if self.n_steps + n_episodes * usual > self._most_steps:
            most = f"the {self._most_steps:,} steps for the questions of an iteration"
            raise _Unanswerable(f"{most} are used up")

    def _evaluate(self, source: PolicySource) -> Evaluation:
        seeds = self._seeds(_PLAYED)
        if len(self.judge.cached(source, seeds).episodes) < _PLAYED:
            self._require_room(_PLAYED)
        begun = self.judge.n_steps

        def watch(done: int, n: int) -> None:
            self.progress(Playing("answering questions", done, n, self.judge.n_steps - begun))

        played = self.judge.evaluate(source, seeds, watch, until=self._until)
        if len(played.episodes) < _PLAYED:
            raise _Unanswerable(f"the time was up after {len(played.episodes)} episodes")
        return played

    def _follow(self, replay: Replay, end: int) -> Trajectory:
        """Play an episode again; its steps are counted."""
        self._require_room(1)

        def play() -> _Followed:
            (trajectory,) = self.judge.pool.map(follow, [replay])
            return _Followed(
                trajectory, Evaluation((), self.judge.protocol.stamp), trajectory.result.n_steps
            )

        what = ("question", replay.task.seeds, replay.spans, end, replay.actions is not None)
        return self.judge.record(PolicySource(replay.task.source), what, play).trajectory


@dataclass(frozen=True, slots=True)
class _Followed:
    """An episode that was played again, for `Judge.record`."""

    trajectory: Trajectory
    evaluation: Evaluation
    n_steps: int


def _only(step: TracedStep, names: Collection[str]) -> TracedStep:
    """Return a step with what has one of ``names``."""
    return replace(
        step,
        objects={name: boxes for name, boxes in step.objects.items() if name in names},
        values={words: value for words, value in step.values.items() if words in names},
        calls=tuple(call for call in step.calls if call.name in names),
    )


def _with_constant(source: PolicySource, name: str, value: str) -> PolicySource:
    """Return a policy with another value of a constant of the module or of its class."""
    try:
        ast.literal_eval(value)
    except (ValueError, SyntaxError, RecursionError, MemoryError):
        raise _Unanswerable(f"{quote(value, 60)} is not a literal") from None
    tree = parse(source.text)
    bodies = [tree.body, *(node.body for node in tree.body if isinstance(node, ast.ClassDef))]
    for row in (row for body in bodies for row in body):
        if isinstance(row, ast.Assign):
            targets, given = row.targets, row.value
        elif isinstance(row, ast.AnnAssign) and row.value is not None:
            targets, given = [row.target], row.value
        else:
            continue
        if any(isinstance(target, ast.Name) and target.id == name for target in targets):
            start, end = Positions(source.text).span(given)
            changed = PolicySource(source.text[:start] + value + source.text[end:])
            check_policy(changed)
            return changed
    raise _Unanswerable(f"the policy has no constant {quote(name, 60)}")


def _n_parameters(code: str) -> int:
    """Return how many parameters the function `probe` has, of a method ``self`` included."""
    probes = [
        node
        for node in ast.walk(parse(code))
        if isinstance(node, ast.FunctionDef) and node.name == "probe"
    ]
    return len(probes[0].args.args) if probes else 0


def _describe_values(trajectories: Sequence[Trajectory]) -> str:
    """Return what a probe returned, overall and before losses, and when it began to hold."""
    near: list[float] = []
    rows = []
    for trajectory in trajectories:
        losses = sorted(set(trajectory.deaths) | {step for step, r in trajectory.rewards if r < 0})
        if trajectory.result.outcome is Outcome.GAME_OVER:
            losses = sorted({*losses, trajectory.last_step})
        steps = {s for loss in losses for s in range(max(0, loss - _BEFORE), loss + 1)}
        near += [trajectory.values[step] for step in steps if step < len(trajectory.values)]
        values = trajectory.values
        begins = [s for s, v in enumerate(values) if v and (s == 0 or not values[s - 1])]
        more = f" and {len(begins) - _MOST_ROWS} more" if len(begins) > _MOST_ROWS else ""
        begun = " ".join(map(str, begins[:_MOST_ROWS])) + more
        lost = " ".join(map(str, losses[:_MOST_ROWS]))
        rows.append(f"{trajectory.result.seed}|{_summary(values)}|{begun}|{lost}")
    everything = [value for trajectory in trajectories for value in trajectory.values]
    lines = ["seed|values in all steps|steps in which it becomes true|losses", *rows]
    told = f"In all {len(everything):,} steps: {_summary(everything)}."
    if near:
        told += f" In the {len(near):,} steps up to {_BEFORE} before a loss: {_summary(near)}."
    return f"{told}\n\n{fence(chr(10).join(lines), 'text')}"


def _summary(values: Sequence[float]) -> str:
    share, counts = sum(map(bool, values)) / len(values), Counter(values)
    text = f"true in {share:.1%}"
    if not set(counts) - {0.0, 1.0}:
        return text
    text += f", mean {statistics.fmean(values):.4g}, {min(values):.4g} to {max(values):.4g}"
    if len(counts) <= _MOST_DISTINCT:
        told = (f"{value:.4g} in {n:,}" for value, n in sorted(counts.items()))
        return f"{text} ({', '.join(told)} steps)"
    ordered = sorted(values)
    told = (f"{ordered[len(ordered) * part // 100]:.4g}" for part in _QUANTILES)
    text += f", quantiles {'/'.join(map(str, _QUANTILES))} %: {' '.join(told)}"
    often = [(value, n) for value, n in counts.most_common(_MOST_DISTINCT) if n > 1]
    if sum(n for _, n in often) < _OFTEN * len(values):
        return text
    return f"{text}, most often {', '.join(f'{value:.6g} in {n:,}' for value, n in often)} steps"
