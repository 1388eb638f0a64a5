"""Environments with mistakes: each ends in one error that says where and what to change."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import redirect_stdout
from pathlib import Path

import numpy as np
import pytest

from gco_agent.core.errors import UsageError
from gco_agent.core.statistics import INTERIM_ANALYSES, Verdict
from gco_agent.envs.environment import find_spec, make_importable, make_protocol
from gco_agent.evaluation.check_game import check_game
from gco_agent.evaluation.episode import (
    Rollout,
    play_episodes,
)
from gco_agent.evaluation.judge import Judge, Stop
from gco_agent.evaluation.workers import WorkerPool
from gco_agent.optimizers.vectors.play import Probe, probe
from gco_agent.policy.source import PolicySource
from gco_agent.traces.moments import values_of

ROOT = Path(__file__).parents[2]
POLICY = "def act(obs):\n    return 1\n"
TEXT = """
import ctypes, os, subprocess, sys, threading, time
import gymnasium, numpy as np
{top}
class E(gymnasium.Env):
    observation_space = gymnasium.spaces.{space}
    action_space = gymnasium.spaces.Discrete(2)
    {reset}
        super().reset(seed=seed)
        self.t = 0
        {begin}
        return {first}
    def obs(self):
        return {obs}
    def step(self, a):
        self.t += 1
        {act}
        return {step}
    {more}
gymnasium.register("{name}-v0", entry_point=E, max_episode_steps=50)
"""
USUAL = {
    "top": "",
    "space": "Box(-1000, 1000, (2,), np.float32)",
    "reset": "def reset(self, *, seed=None, options=None):",
    "begin": "",
    "first": "self.obs(), {}",
    "obs": "np.array([self.np_random.uniform(-1, 1), self.t], np.float32)",
    "act": "",
    "step": "self.obs(), 1.0 * a, self.t >= 20, False, {}",
    "more": "",
}
Write = Callable[..., str]


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Write:
    """Write an environment with some parts of `USUAL` replaced; its name for --env."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    make_importable(tmp_path)

    def write(name: str, **parts: str) -> str:
        (tmp_path / f"{name}.py").write_text(TEXT.format(**{**USUAL, **parts, "name": name}))
        return f"{name}:{name}-v0"

    return write


def task_of(env_id: str, *seeds: int) -> Rollout:
    return Rollout(POLICY, seeds or (1,), make_protocol("default", env_id))


@pytest.mark.parametrize(
    ("name", "parts", "told"),
    [
        ("oldstep", {"step": "self.obs(), 1.0, False, {}"}, r"line 1\d: step has to return five"),
        ("oldreset3", {"first": "np.zeros(3)"}, r"line 8: reset has to return two values"),
        ("oldreset2", {"first": "self.obs()"}, r"line 8: reset has to return two values"),
        ("noinfo", {"first": "self.obs(), None"}, r"line 8: reset has to return two values"),
        ("noseed", {"reset": "def reset(self, seed_=None):\n        seed=1"}, "takes no seed"),
        ("nonereward", {"step": "self.obs(), None, False, False, {}"}, "reward is None"),
        ("vecreward", {"step": "self.obs(), np.ones(2), False, False, {}"}, r"reward is array"),
        ("nanreward", {"step": "self.obs(), np.nan, False, False, {}"}, r"nanreward-v0.* nan"),
        ("infreward", {"step": "self.obs(), np.inf, False, False, {}"}, r"infreward-v0.* inf"),
        ("customobs", {"first": "object(), {}"}, r"object of the class object"),
        ("insideobs", {"first": "{'a': (object(),)}, {}"}, r"object of the class object"),
        ("objectarray", {"first": "np.array([object()]), {}"}, r"array of Python objects"),
        ("exits", {"act": "sys.exit(0)"}, r"exits.py, line 17: SystemExit: 0"),
        ("exitsatreset", {"begin": "sys.exit()"}, r"exitsatreset.py, line 11: SystemExit"),
        ("fails", {"act": "{}['x']"}, r"fails.py, line 17: KeyError: 'x'"),
    ],
)
def test_a_mistake_is_one_error_with_its_line(
    name: str, parts: dict[str, str], told: str, write: Write
) -> None:
    env_id = write(name, **parts)
    with pytest.raises(UsageError, match=rf"^{name}\.py.*{told}|{told}"):
        play_episodes(task_of(env_id))
    [finding] = check_game(find_spec(env_id), 100)
    assert finding.about == "environment"


def test_arrays_of_one_number_are_rewards(write: Write) -> None:
    env_id = write("onereward", step="self.obs(), np.ones(1), self.t >= 20, False, {}")
    [episode] = play_episodes(task_of(env_id))
    assert episode.episode_return == 20


@pytest.mark.parametrize(
    ("name", "parts", "about", "told"),
    [
        ("chance", {"top": "N = [0]", "begin": "N[0] += 1",
                    "step": "self.obs(), 1.0 * N[0], self.t >= 20, False, {}"},
         "seed", "other rewards"),
        ("ends", {"top": "N = [0]", "begin": "N[0] += 1",
                  "step": "self.obs(), 1.0, self.t >= 18 + N[0], False, {}"},
         "seed", "give other"),
        ("cut", {"top": "N = [0]", "begin": "N[0] += 1",
                 "step": "self.obs(), 1.0, self.t > 19 and N[0] % 2 > 0, self.t > 19, {}"},
         "seed", "other ends"),
        ("nan", {"obs": "np.array([np.nan, self.t], np.float32)"}, "obs", "NaN in 1 of"),
        ("masked", {"obs": "np.ma.array([self.t, 1], np.float32, mask=[0, 1])"}, "obs", "masked"),
        ("dtype", {"obs": "np.array([1e6, self.np_random.uniform()])"}, "observation_space",
         "float64 of shape (2,)"),
        ("key", {"space": "Dict({'a': gymnasium.spaces.Discrete(3)})",
                 "obs": "{'b': self.np_random.integers(3)}"}, "observation_space", "obs['b']"),
        ("inside", {"space": "Dict({'a': gymnasium.spaces.Box(0, 1, (2,), np.float32)})",
                    "obs": "{'a': self.np_random.random(3, dtype=np.float32)}"},
         "observation_space", "obs['a'] is float32 of shape (3,)"),
        ("value", {"space": "Dict({'a': gymnasium.spaces.Box(0, 1, (2,), np.float32)})",
                   "obs": "{'a': 2 + self.np_random.random(2, dtype=np.float32)}"},
         "observation_space", "does not hold"),
    ],
)  # fmt: skip
def test_check_game_finds_what_is_not_as_gymnasium_has_it(
    name: str, parts: dict[str, str], about: str, told: str, write: Write
) -> None:
    findings = check_game(find_spec(write(f"check{name}", **parts)), 100)
    assert any(f.about == about and told in f.text for f in findings), [*map(str, findings)]


def test_check_game_is_content_with_a_good_one(write: Write) -> None:
    assert check_game(find_spec(write("good")), 100) == []


def test_text_is_refused_at_the_start(write: Write) -> None:
    with pytest.raises(UsageError, match="text as observations"):
        find_spec(write("texts", space="Text(5)", obs="'abc'"))


PRINTS = {
    "top": "print('imported')",
    "begin": "print('reset'); os.system('echo child')",
    "act": "print('step'); os.system('echo child')",
}


@pytest.mark.parametrize("n_workers", [0, 1])
def test_what_an_environment_prints_goes_to_stderr(
    n_workers: int, write: Write, capfd: pytest.CaptureFixture[str]
) -> None:
    env_id = write(f"prints{n_workers}", **PRINTS)
    with WorkerPool(n_workers) as pool:
        [played] = pool.map(play_episodes, [task_of(env_id)])
    assert played[0].n_steps == 20
    assert check_game(find_spec(env_id), 30) == []
    out, err = capfd.readouterr()
    assert out == ""
    assert {"imported", "reset", "step", "child"} <= set(err.split())
    with redirect_stdout(io.StringIO()) as elsewhere:
        sys.stdout.write("ours\n")
    assert elsewhere.getvalue() == "ours\n"


def test_the_json_of_a_command_is_json(write: Write, tmp_path: Path) -> None:
    env_id = write("printer", **PRINTS)
    (tmp_path / "p.py").write_text(POLICY)
    command = "eval", "p.py", "--env", env_id, "--episodes", "2", "--json"
    done = subprocess.run(
        [sys.executable, "-m", "gco_agent", *command],
        cwd=tmp_path,
        env={"PATH": "/usr/bin:/bin", "PYTHONPATH": f"{ROOT}:{tmp_path}", "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert json.loads(done.stdout)["mean_return"] == 20


def test_environments_are_closed_and_their_children_end(write: Write, tmp_path: Path) -> None:
    started, closed = tmp_path / "started", tmp_path / "closed"
    env_id = write(
        "children",
        top=f"started, closed = {str(started)!r}, {str(closed)!r}",
        begin="self.child = subprocess.Popen(['sleep', '600']); self.note(started)",
        more="def note(self, path): open(path, 'a').write(f'{self.child.pid} ')\n"
        "    def close(self):\n        self.child.kill(); self.child.wait(); self.note(closed)",
    )
    with WorkerPool(2) as pool:
        pool.map(play_episodes, [task_of(env_id, 1), task_of(env_id, 2)])
    assert set(started.read_text().split()) == set(closed.read_text().split()) != set()


def test_a_thread_of_an_environment_does_not_keep_its_worker(write: Write) -> None:
    env_id = write("threads", begin="threading.Thread(target=time.sleep, args=(600,)).start()")
    before = time.monotonic()
    with WorkerPool(1) as pool:
        pool.map(play_episodes, [task_of(env_id)])
    assert time.monotonic() - before < 60


def test_a_crash_is_told_by_its_line(write: Write) -> None:
    env_id = write("crashes", act="ctypes.string_at(0)")
    with WorkerPool(1) as pool, pytest.raises(UsageError, match=r"^crashes\.py, line 17: .*crash"):
        pool.map(play_episodes, [task_of(env_id)])


@pytest.mark.parametrize("where", ["begin", "act"])
def test_a_hang_is_ended_and_told_by_its_line(where: str, write: Write) -> None:
    env_id = write(f"hangs{where}", **{where: "time.sleep(600)"})
    told = rf"^hangs{where}\.py, line 1\d: .*1.5 s"
    with WorkerPool(1, hang_s=1.5) as pool, pytest.raises(UsageError, match=told):
        pool.map(play_episodes, [task_of(env_id)])


def test_no_result_is_awaited_after_the_deadline_and_the_pool_plays_on(write: Write) -> None:
    hangs, good = task_of(write("hanging", begin="time.sleep(600)")), task_of(write("quick"))
    with WorkerPool(2) as pool:
        assert len(pool.map(play_episodes, [good])) == 1
        begun = time.perf_counter()
        results = list(pool.imap(play_episodes, [good, hangs, good], begun + 2))
        assert len(results) == 1
        assert time.perf_counter() - begun < 10
        assert list(pool.imap(play_episodes, [good], begun)) == []
        assert len(pool.map(play_episodes, [good])) == 1
    with WorkerPool(0) as pool:
        assert list(pool.imap(play_episodes, [good], begun)) == []


@pytest.mark.parametrize("n_workers", [0, 2])
def test_a_race_ends_by_the_clock_where_resets_are_slow(
    n_workers: int, write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gco_agent.evaluation.judge._LEAST_S", 0.5)
    rules = make_protocol("default", write(f"slowrace{n_workers}", begin="time.sleep(1)"))
    better, worse = PolicySource(POLICY), PolicySource(POLICY.replace("1", "0"))
    with WorkerPool(n_workers) as pool:
        judge, begun = Judge(pool, rules), time.perf_counter()
        race = judge.race(better, worse, deadline=begun + 3)
        assert time.perf_counter() - begun < 15
    assert (race.stop, race.verdict) == (Stop.TIME, Verdict.INCONCLUSIVE)
    assert 2 <= race.n_pairs < INTERIM_ANALYSES[1]
    assert race.gain is not None
    assert race.gain.mean == 20
    assert len(race.parent.episodes) == race.n_pairs


def test_a_file_of_a_package_is_named_with_its_package(tmp_path: Path) -> None:
    package = tmp_path / "pkg_of_games"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "relative_game.py").write_text("from . import other\n")
    with pytest.raises(UsageError, match=r"name it pkg_of_games\.relative_game:ID"):
        find_spec(str(package / "relative_game.py"))


def test_a_program_without_main_guard_is_told_so_once(tmp_path: Path) -> None:
    script = tmp_path / "no_guard.py"
    script.write_text(
        "from gco_agent.evaluation.workers import WorkerPool\n"
        "with WorkerPool(2) as pool:\n    pool.map(abs, [1, 2])\n"
    )
    done = subprocess.run(
        [sys.executable, str(script)],
        env={"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("gco_agent.core.errors.UsageError: worker")
    assert "__main__" in done.stderr.splitlines()[-1]
    assert "freeze_support" not in done.stderr
    assert done.stderr.count("Process SpawnProcess") == 0


@pytest.mark.parametrize("victim", ["worker", "tracker"])
def test_a_killed_process_leaves_no_tracebacks(victim: str, tmp_path: Path) -> None:
    script = tmp_path / "killed.py"
    script.write_text(
        "import os, signal, sys, time\n"
        "from multiprocessing import resource_tracker\n"
        "from gco_agent.evaluation.workers import WorkerPool\n"
        "def pid(_):\n    time.sleep(0.2)\n    return os.getpid()\n"
        "if __name__ == '__main__':\n"
        "    with WorkerPool(2) as pool:\n"
        "        pids = pool.map(pid, range(4))\n"
        "        tracker = resource_tracker._resource_tracker._pid\n"
        "        os.kill(pids[0] if sys.argv[1] == 'worker' else tracker, signal.SIGKILL)\n"
        "        time.sleep(0.2)\n"
        "        print(len(pool.map(pid, range(4))))\n"
    )
    done = subprocess.run(
        [sys.executable, str(script), victim],
        env={"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "4\n", "")


def test_a_probe_ends_by_the_clock_and_pictures_are_known_after_one_reset(write: Write) -> None:
    slow = make_protocol("default", write("slowreset", begin="time.sleep(0.2)"))
    begun = time.perf_counter()
    assert len(probe(Probe(slow, 1, 2_000, begun + 0.5)).scale) == 2
    assert time.perf_counter() - begun < 5
    space = "Box(0, 255, (210, 160, 3), np.uint8)"
    big = make_protocol("default", write("big", space=space, obs="self.observation_space.sample()"))
    assert len(probe(Probe(big, 1, 2_000)).scale) == 210 * 160 * 3
    assert time.perf_counter() - begun < 15


@pytest.mark.parametrize("number", ["nan", "inf"])
def test_a_probe_names_an_environment_whose_observations_are_no_numbers(
    number: str, write: Write
) -> None:
    env_id = write(f"probe{number}", obs=f"np.array([1, np.{number} if self.t > 3 else 0])")
    with pytest.raises(UsageError, match=rf"^probe{number}:probe{number}-v0 .* number 1 is NaN or"):
        probe(Probe(make_protocol("default", env_id), 1, 100))


def test_nested_observations_reach_the_trace() -> None:
    seen = values_of({"a": {"b": np.float32(0.5), "c": {"d": 2}}, "e": np.array([1.0, 2.0])})
    assert seen == {"obs['a']['b']": 0.5, "obs['a']['c']['d']": 2, "obs['e']": (1.0, 2.0)}
