"""How fast judged play is: steps a second of CPU time, beside the emulator alone.

For every game the same episodes, action for action, are played by

* raw       ale-py's emulator: `act` with frame skip 4 and `getRAM`, nothing else
* judged    our judge: emulator, extraction, message, sealed jail, policy; one episode at once as in
            final scoring, two as in a race, and four
* ocatari   OCAtari's own environment, and the same policy called in this process, no jail
* traced    the same, the policy's two functions and the step decorated by Trace (trace-opt), as in
            the reference implementation of the method; left out where that is not installed

in one alternating run: every round plays a slice of each, in random order, a fresh process plays
twenty rounds, and a variant's ratio is the median over all rounds of (CPU time of raw / CPU time of
the variant). CPU time is that of this process and of the jail's together, so other load on the
machine matters little. What happens once an episode (resets, jails) is left out; two workers
against one are measured on the clock, with it.
"""

from __future__ import annotations

import argparse
import importlib.util
import inspect
import itertools
import json
import os
import platform
import random
import statistics
import sys
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from multiprocessing import get_context
from typing import Any

import ale_py
import benchmark_policies
import numpy as np
from ale_py import roms

from gco_agent.envs.atari import default_protocol
from gco_agent.evaluation.episode import Episode, JailedPlayer, begin_episode, play_steps
from gco_agent.evaluation.judge import Judge
from gco_agent.evaluation.workers import WorkerPool, usable_cores
from gco_agent.games.registry import GAMES
from gco_agent.jail import Jail
from gco_agent.policy.source import PolicySource

SLICE = 25
BLOCK = 20
"""Rounds that one process plays."""
LANES = (4, 2, 1)
"""Episodes side by side."""
RACE = "judged of 2"
HORIZON = 400
"""Steps after which the traced loop begins a new graph, as the reference does."""
FIRST_SEED = 5_000
HAS_TRACE = importlib.util.find_spec("opto") is not None
COLUMNS = ("judged of 4", RACE, "judged of 1", "ocatari", *(["traced"] if HAS_TRACE else []))
GOALS = {"mean": 0.80, "least": 0.65, "workers": 1.8}

_numbers = itertools.count()

Plan = list[tuple[int, list[int]]]
"""Episodes one after the other: seed, and the actions played."""


def policy_functions(game: str) -> tuple[Callable[..., Any], Callable[..., Any]]:
    """What the policy of a game is made of."""
    return tuple(getattr(benchmark_policies, f"{game}_{name}") for name in ("analyze", "select"))


def policy_text(game: str) -> str:
    """The same as a policy file."""
    parts = [inspect.getsource(function) for function in policy_functions(game)]
    act = f"    def act(self, obs):\n        return {game}_select(obs, {game}_analyze(obs))\n"
    return "\n\n".join([*parts, f"class Policy:\n{act}"])


class Clock:
    """CPU time of this process and of one other, while it runs."""

    def __init__(self) -> None:
        self.used, self.other = 0.0, None
        self._began = 0.0

    def start(self) -> None:
        """Go on."""
        self._began = self._now()

    def stop(self) -> None:
        """Pause."""
        self.used += self._now() - self._began

    def _now(self) -> float:
        child = time.clock_gettime((~self.other << 3) | 2) if self.other else 0.0
        return time.process_time() + child


class Variant:
    """One way to play the plans."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.total = 0.0

    def play(self, n_steps: int) -> float:
        """CPU seconds of so many steps of every lane."""
        self.clock.used = 0.0
        self.clock.start()
        for _ in range(n_steps):
            self.step()
        self.clock.stop()
        return self.clock.used

    def step(self) -> None:
        """One step of every lane."""
        raise NotImplementedError

    def close(self) -> None:
        """Let go."""


class Judged(Variant):
    """The judge's own loop, over several episodes at once; also what makes the plans."""

    def __init__(self, game: str, n_lanes: int, first_seed: int = FIRST_SEED) -> None:
        super().__init__()
        self.first_seed = first_seed
        # environments are kept by protocol and lane; another name gives this variant its own
        name = f"benchmark {next(_numbers)}"
        self.protocol = replace(default_protocol(game), name=name)
        self.plans: list[Plan] = [[] for _ in range(n_lanes)]
        self._first = [begin_episode(self.protocol, first_seed + n, n) for n in range(n_lanes)]
        self._jail = Jail(
            policy_text(game), n_actions=self._first[0].env.n_actions, n_lanes=n_lanes
        )
        self._jail.start()
        self.level = self._jail.level.word
        self.clock.other = self._jail.pid
        self._playing: list[Episode] = []
        for episode in self._first:
            self._begin(episode)
        self._steps = self._play()

    def _begin(self, episode: Episode) -> None:
        self._jail.reset(episode.lane, episode.seed)
        self._playing.append(episode)
        self._playing.sort(key=lambda one: one.lane)
        self.plans[episode.lane].append((episode.seed, episode.actions))

    def _play(self) -> Iterator[Sequence[Episode]]:
        return play_steps(JailedPlayer(self._jail), self._playing, self.protocol.max_steps)

    def step(self) -> None:
        """One message for all."""
        played = next(self._steps)
        self.total += sum(episode.reward for episode in played)
        ended = [episode for episode in played if episode.result is not None]
        if ended:
            self.clock.stop()
            for episode in ended:
                if episode.result is not None and not episode.result.outcome.is_scored:
                    raise SystemExit(f"the benchmark's policy failed: {episode.result.detail}")
                self._playing.remove(episode)
                seed = episode.seed + len(self.plans)
                self._begin(begin_episode(self.protocol, seed, episode.lane))
            self._steps = self._play()
            self.clock.start()

    def close(self) -> None:
        """End the jail."""
        self._jail.close()


class Replayed(Variant):
    """Plays plans that are there, whatever a policy says."""

    def __init__(self, plans: Sequence[Plan]) -> None:
        super().__init__()
        self.plans = plans
        self._at = [(-1, 0)] * len(plans)
        for number in range(len(plans)):
            self._next_episode(number)

    def _next_episode(self, number: int) -> None:
        episode = self._at[number][0] + 1
        self._at[number] = (episode, 0)
        self.reset(number, self.plans[number][episode][0])

    def step(self) -> None:
        """The action that was recorded, in every lane."""
        for number, plan in enumerate(self.plans):
            episode, position = self._at[number]
            if position == len(plan[episode][1]):
                self.clock.stop()
                self._next_episode(number)
                self.clock.start()
                episode, position = self._at[number]
            self.total += self.act(number, plan[episode][1][position])
            self._at[number] = (episode, position + 1)

    def reset(self, number: int, seed: int) -> None:
        """Begin an episode in a lane."""
        raise NotImplementedError

    def act(self, number: int, action: int) -> float:
        """Play one step in a lane; its reward."""
        raise NotImplementedError


class Raw(Replayed):
    """The emulator and nothing else."""

    def __init__(self, game: str, plans: Sequence[Plan]) -> None:
        self._rom = roms.get_rom_path(game)
        self._ales = [ale_py.ALEInterface() for _ in plans]
        for ale in self._ales:
            ale.setInt("frame_skip", 4)
            ale.setFloat("repeat_action_probability", 0.25)
            ale.setInt("max_num_frames_per_episode", 108_000)
        self._ram = np.zeros(128, np.uint8)
        super().__init__(plans)

    def reset(self, number: int, seed: int) -> None:
        """As Gymnasium seeds the emulator, which resets it once more after loading."""
        ale = self._ales[number]
        words = np.random.SeedSequence(seed).generate_state(2)
        ale.setInt("random_seed", int(words[1].astype(np.int32)))
        ale.loadROM(self._rom)
        ale.reset_game()
        self._actions = ale.getMinimalActionSet()

    def act(self, number: int, action: int) -> float:
        """Act and look at the RAM."""
        ale = self._ales[number]
        reward = ale.act(self._actions[action])
        ale.getRAM(self._ram)
        return reward


class Theirs(Replayed):
    """OCAtari's environment, with the policy in this process."""

    def __init__(self, game: str, plans: Sequence[Plan]) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            from ocatari.core import OCAtari

            title = "".join(word.capitalize() for word in game.split("_"))
            self._env = OCAtari(
                f"ALE/{title}-v5", mode="ram", obs_mode="ori", hud=False,
                create_buffer_stacks=["ori"], repeat_action_probability=0.25, frameskip=4,
            )  # fmt: skip
        self._analyze, self._select = policy_functions(game)
        super().__init__(plans)

    def reset(self, number: int, seed: int) -> None:
        """Begin an episode."""
        del number  # there is one
        self._env.reset(seed=seed)

    def act(self, number: int, action: int) -> float:
        """Ask the policy, and play what the plan says."""
        del number
        obs = objects_of(self._env)
        self._select(obs, self._analyze(obs))
        return float(self._env.step(action)[1])


class Traced(Theirs):
    """The same with every function and every step in Trace's graph."""

    def __init__(self, game: str, plans: Sequence[Plan]) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            from opto import trace

        self._trace, self._n, self._planned = trace, 0, 0
        super().__init__(game, plans)
        self._analyze = trace.bundle(trainable=True)(self._analyze)
        self._select = trace.bundle(trainable=True)(self._select)

        @trace.bundle()
        def step(action: int) -> dict[str, list[Any]]:
            """Play one step."""
            del action  # what is played is the plan's
            self._reward = float(self._env.step(self._planned)[1])
            return objects_of(self._env)

        self._step = step

    def reset(self, number: int, seed: int) -> None:
        """Begin an episode, and a graph."""
        super().reset(number, seed)
        self._begin_graph()

    def _begin_graph(self) -> None:
        self._trace.GRAPH.clear()
        self._obs = self._trace.node(objects_of(self._env))

    def act(self, number: int, action: int) -> float:
        """One step of the graph."""
        del number
        self._n += 1
        if self._n % HORIZON == 0:
            self._begin_graph()
        self._planned = action
        self._obs = self._step(self._select(self._obs, self._analyze(self._obs)))
        return self._reward


def objects_of(env: Any) -> dict[str, list[Any]]:  # noqa: ANN401 - OCAtari has no types
    """OCAtari's objects by category: all that the policies here ask for."""
    found: dict[str, list[Any]] = {}
    for thing in env.objects:
        if thing:
            found.setdefault(thing.category, []).append(thing)
    return found


def measure_game(game: str, n_rounds: int) -> dict[str, Any]:
    """Ratios to the emulator alone, and steps a second of CPU time."""
    times: dict[str, list[float]] = {}
    level = ""
    for first in range(0, n_rounds, BLOCK):
        # where its memory happens to lie makes an emulator faster or slower for a whole process
        with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as fresh:
            block = fresh.submit(measure_block, game, min(BLOCK, n_rounds - first), first)
            level, found = block.result()
        for name, spent in found.items():
            times.setdefault(name, []).extend(spent)
    ratios = {
        name: statistics.median(
            a / b for a, b in zip(times[f"raw of {_lanes_of(name)}"], spent, strict=True)
        )
        for name, spent in times.items()
        if not name.startswith("raw")
    }
    speed = SLICE / statistics.median(times["raw of 1"])
    return {"game": game, "raw_steps_per_cpu_second": round(speed), "jail": level, **ratios}


def measure_block(game: str, n_rounds: int, first: int) -> tuple[str, dict[str, list[float]]]:
    """The jail's level, and CPU seconds of every slice of every way to play.

    Args:
        game: Which.
        n_rounds: Slices of each.
        first: Of these rounds; the episodes of others are others.
    """
    makers = {n: Judged(game, n, FIRST_SEED + 1000 * first) for n in LANES}
    for maker in makers.values():
        for _ in range(n_rounds + 2):
            maker.play(SLICE)
    solo = makers[1].plans
    variants: dict[str, Variant] = {
        **{f"raw of {n}": Raw(game, maker.plans) for n, maker in makers.items()},
        **{f"judged of {n}": Judged(game, n, maker.first_seed) for n, maker in makers.items()},
        "ocatari": Theirs(game, solo),
        **({"traced": Traced(game, solo)} if HAS_TRACE else {}),
    }
    times: dict[str, list[float]] = {name: [] for name in variants}
    rng = random.Random(first)  # noqa: S311 - no secret
    names = list(variants)
    for variant in variants.values():
        variant.play(SLICE)
    for _ in range(n_rounds):
        rng.shuffle(names)
        for name in names:
            times[name].append(variants[name].play(SLICE))
    for name, variant in variants.items():
        expected = makers[_lanes_of(name)].total
        variant.play(SLICE)
        if variant.total != expected:
            raise SystemExit(f"{game}: {name} earned {variant.total}, the plan {expected}")
    level = variants["judged of 1"].level
    for closing in (*makers.values(), *variants.values()):
        closing.close()
    return level, times


def _lanes_of(name: str) -> int:
    """Episodes side by side of a variant."""
    last = name.rpartition(" ")[2]
    return int(last) if last.isdecimal() else 1


def measure_workers(n_rounds: int) -> float:
    """How many times as fast two worker processes are, on the clock."""
    rules = replace(default_protocol("pong"), max_steps=600)
    source = PolicySource(policy_text("pong"))
    spent: dict[int, list[float]] = {1: [], 2: []}
    pools = {n: WorkerPool(n) for n in spent}
    for round_number in range(n_rounds + 1):
        for n, pool in pools.items():
            begun = time.perf_counter()
            Judge(pool, rules).evaluate(source, range(16))
            if round_number:  # the first starts processes and loads what they need
                spent[n].append(time.perf_counter() - begun)
    for pool in pools.values():
        pool.close()
    return statistics.median(a / b for a, b in zip(spent[1], spent[2], strict=True))


def geometric_mean(values: Sequence[float]) -> float:
    """Of ratios."""
    return statistics.geometric_mean(values)


def report(rows: list[dict[str, Any]], workers: float | None) -> dict[str, Any]:
    """Everything, as data."""
    means = {name: geometric_mean([row[name] for row in rows]) for name in COLUMNS}
    return {
        "python": platform.python_version(),
        "machine": platform.machine(),
        "cores": usable_cores(),
        "load": os.getloadavg()[0],
        "games": rows,
        "geometric_mean": means,
        "two_workers": workers,
        "goals": {
            "judged at least 0.80 of raw in the geometric mean": means[RACE] >= GOALS["mean"],
            "no game under 0.65": min(row[RACE] for row in rows) >= GOALS["least"],
            "never slower than OCAtari's environment": all(
                min(row["judged of 1"], row[RACE]) > row["ocatari"] for row in rows
            ),
            **(
                {"two workers at least 1.8 times one": workers >= GOALS["workers"]}
                if workers is not None
                else {}
            ),
        },
    }


def show(data: dict[str, Any]) -> None:
    """The table."""
    print(f"{'game':<16}{'raw steps/s':>12}" + "".join(f"{name:>13}" for name in COLUMNS))
    for row in data["games"]:
        cells = "".join(f"{row[name]:>13.2f}" for name in COLUMNS)
        print(f"{row['game']:<16}{row['raw_steps_per_cpu_second']:>12,}{cells}")
    means = data["geometric_mean"]
    print(f"{'geometric mean':<28}" + "".join(f"{means[name]:>13.2f}" for name in COLUMNS))
    if data["two_workers"] is not None:
        print(f"two workers are {data['two_workers']:.2f} times as fast as one")
    for goal, is_met in data["goals"].items():
        print(f"{'met' if is_met else 'MISSED':<7} {goal}")
    print(
        f"jail {data['games'][0]['jail']}, Python {data['python']}, {data['cores']} cores, "
        f"load {data['load']:.1f}; 1.00 is the emulator alone"
    )


def main() -> None:
    """Measure what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--games", default=",".join(GAMES), help="comma-separated")
    parser.add_argument("--rounds", type=int, default=80, help=f"slices of {SLICE} steps each")
    parser.add_argument("--no-workers", action="store_true", help="skip two workers against one")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    rows = []
    everywhere = usable_cores()
    if hasattr(os, "sched_setaffinity"):  # as every worker process of the judge does
        cores = os.sched_getaffinity(0)
        os.sched_setaffinity(0, {max(cores)})
    for game in given.games.split(","):
        print(f"{game}...", file=sys.stderr)
        rows.append(measure_game(game, given.rounds))
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, cores)
    workers = (
        None if given.no_workers or everywhere == 1 else measure_workers(max(1, given.rounds // 8))
    )
    data = report(rows, workers)
    print(json.dumps(data, indent=2)) if given.json else show(data)


if __name__ == "__main__":
    main()
