"""The Python front door, as a program uses it."""

from __future__ import annotations

import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium.wrappers import TimeLimit

import gco_agent
from gco_agent.core.errors import ContractViolation, NotARun, UsageError
from gco_agent.core.records import Verdict
from gco_agent.core.seeds import Stream
from gco_agent.envs import environment, local
from gco_agent.jail.limits import JailLevel
from gco_agent.store.config import PATIENT_SLICE_S, parse_config
from tests.engine.pong_policies import FOLLOW, STILL
from tests.messages_server import MessagesServer, chat, message
from tests.store.samples import git

LEAN = '''"""CartPole: push to where the pole leans.

Environment: CartPole-v1
"""


def act(obs):
    return 1 if obs[2] > 0 else 0
'''
BETTER = LEAN.replace("obs[2] > 0", "obs[2] + 0.3 * obs[3] > 0")


class Once(gco_agent.Optimizer):
    name = "once"
    capabilities = gco_agent.Capabilities(may_tie=True)

    def propose(self, request: gco_agent.Request) -> gco_agent.Proposal:
        return gco_agent.Proposal(gco_agent.PolicySource(BETTER), "damp it", "It overshoots.")


class Lean:
    def act(self, obs: Any) -> Any:
        return np.int64(obs[2] > 0)


def short() -> gymnasium.Env[Any, Any]:
    return TimeLimit(gymnasium.make("CartPole-v1").unwrapped, 30)


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / ".gitconfig").write_text("[user]\n\tname = T\n\temail = t@example.org\n")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(environment, "KNOWN", {})
    monkeypatch.setattr(local, "KNOWN", environment.KNOWN)
    return tmp_path


def started(**given: Any) -> gco_agent.Run:
    settings = {"name": "first", "iterations": 1, "max_steps": 60, **given}
    return gco_agent.run("CartPole-v1", Once(), repo="runs", start=LEAN, **settings)


def test_models_of_two_providers_take_turns(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def text(worse: str) -> str:
        return f"Try it.\n\n```python\n{LEAN.replace('1 if obs[2] > 0 else 0', worse)}```\n"

    replies = [message(text("0")), message(text("0 if obs[2] > 0 else 1"))]
    with MessagesServer(replies) as first, MessagesServer([chat(text("1"))]) as second:
        monkeypatch.setenv("ANTHROPIC_BASE_URL", first.url)
        monkeypatch.setenv("OPENAI_BASE_URL", second.url + "/v1")
        run = gco_agent.run(
            "CartPole-v1", "reflect", model="claude-haiku-5-5,openai:org/local:8b",
            repo="runs", start=LEAN, iterations=3, max_steps=60,
        )  # fmt: skip
    assert [each.body["model"] for each in first.requests] == ["claude-haiku-5-5"] * 2
    assert [each.body["model"] for each in second.requests] == ["org/local:8b"]
    assert {each.optimizer for each in run.history[1:]} == {"reflect"}
    priced = [each.usd is not None for each in run.history[1:]]
    assert priced == [True, False, True]  # no price of the second is known


def test_a_run_from_start_to_report(home: Path) -> None:
    events: list[gco_agent.Event] = []
    run = started(callbacks=[events.append])
    assert (run.name, run.stopped_by) == ("gco/cart_pole/first", "1 iteration")
    assert [each.verdict for each in run.history] == [Verdict.INITIAL, Verdict.ACCEPTED]
    assert run.best == run.history[-1]
    assert (run.best.number, run.best.optimizer, run.best.return_mean) == (1, "once", 60.0)
    assert (run.best.gain or 0) > 0
    assert run.policy.text == BETTER == run.policy_of(1).text
    assert run.policy_of(0).text == LEAN
    assert [e.iteration for e in events if isinstance(e, gco_agent.Committed)] == [0, 1]
    assert run.evaluate(episodes=2).returns == (60.0, 60.0)
    assert "gco/cart_pole/first: 1 iteration," in repr(run)
    assert "Worst episode of iteration 1" in run.report("page.html", clips=0).read_text()

    again = gco_agent.open_run("runs", optimizer=Once())
    [rejected] = again.step()
    assert (rejected.number, rejected.verdict) == (2, Verdict.REJECTED)
    assert again.rollback(0, reason="to see").verdict is Verdict.ROLLED_BACK
    assert again.policy.text == LEAN
    measured = again.measure(episodes=2)
    assert again.history[-1].verdict is Verdict.REPORTED
    assert again.best.return_mean == measured.mean_return
    assert again.policy.text == LEAN
    [page] = gco_agent.write_report("page.html", ["first"], repo="runs", clips=1, traces=False)
    assert (list(page.clips), page.failures, page.report.n_tried) == ([1], [], 2)
    Path("mine.html").write_text("mine")
    with pytest.raises(UsageError, match="not a report"):
        again.report("mine.html")


def test_the_clock_ends_no_slice_where_frames_are_the_budget(home: Path) -> None:
    run = started(iterations=0, frames=1_000)
    text = git(home / "runs", "show", f"{run.name}:run.toml")
    assert parse_config(text).slice_seconds == PATIENT_SLICE_S


def test_a_function_answers_and_the_end_is_simplified(home: Path) -> None:
    wordy = BETTER.replace("def act(obs):", "UNUSED = 3\n\n\ndef act(obs):\n    wasted = 0")
    run = gco_agent.run(
        "CartPole-v1",
        "exchange",
        repo=home / "runs",
        name="first",
        start=LEAN,
        answer=lambda prompt: f"```python\n{wordy}```" if "# CartPole" in prompt else "",
        iterations=1,
        simplify_seconds=20,
        max_steps=60,
    )
    assert [(i.optimizer, i.verdict) for i in run.history[1:]] == [
        ("exchange", Verdict.ACCEPTED),
        ("simplify", Verdict.ACCEPTED),
    ]
    assert "wasted" not in run.policy.text
    assert run.stopped_by == "1 iteration"
    with pytest.raises(UsageError, match="add --optimizer exchange"):
        gco_agent.open_run(home / "runs", "first", optimizer="search", answer="agent {prompt}")


def test_what_cannot_be_started_is_refused(home: Path) -> None:
    started(iterations=0)
    with pytest.raises(UsageError, match="there is a run gco/cart_pole/first already"):
        started()
    with pytest.raises(UsageError, match="no optimizer is called 'magic'"):
        gco_agent.run("CartPole-v1", "magic", repo="other")
    with pytest.raises(UsageError, match="not an object"):
        gco_agent.run("CartPole-v1", Once(), repo="runs", start=Lean)
    with pytest.raises(ContractViolation):
        gco_agent.run("CartPole-v1", Once(), repo="runs", start="import os\n" + LEAN)
    assert not (home / "other").exists()
    with pytest.raises(NotARun):
        gco_agent.open_run("runs", "nothing")
    with pytest.raises(UsageError, match="no optimizer is called 'once'"):
        gco_agent.open_run("runs").step()


def test_games_of_the_program_itself() -> None:
    run = gco_agent.run(short, Once(), repo="runs", name="mine", start=LEAN, iterations=1)
    assert 25.0 < (run.best.return_mean or 0.0) <= 30.0  # by the seeds, which the settings change
    assert gco_agent.open_run("runs", game=short, optimizer=Once()).step()[0].number == 2
    env = TimeLimit(gymnasium.make("CartPole-v1").unwrapped, 20)
    played = gco_agent.evaluate(lambda obs: int(obs[2] > 0), env, seeds=range(2))
    made = gymnasium.make("CartPole-v1")
    assert gco_agent.evaluate(LEAN, made, seeds=[1]) == gco_agent.evaluate(LEAN, seeds=[1])
    assert played.returns == (20.0, 20.0)
    env.reset(seed=1)  # it is still open
    assert gco_agent.evaluate(Lean, short, seeds=range(2)).returns == (30.0, 30.0)
    spec = gco_agent.GameSpec("cart", "Cart", "CartPole-v1", "Balance.", {"0": "", "1": ""})
    assert gco_agent.evaluate(Lean, spec, seeds=[1]).n_steps > 0
    with pytest.raises(UsageError, match="is not a game"):
        gco_agent.evaluate(Lean, 7, seeds=[1])  # type: ignore[arg-type]


def test_policies_of_every_kind(home: Path) -> None:
    run = started()
    seeds = range(2)
    (home / "lean.py").write_text(LEAN)
    texts: list[Any] = ["lean.py", home / "lean.py", LEAN, gco_agent.PolicySource(LEAN)]
    found = [gco_agent.evaluate(each, seeds=seeds) for each in texts]
    found.append(gco_agent.evaluate(run.history[0].commit, repo="runs", seeds=seeds))
    rev = f"{run.history[0].commit}:policies/cart_pole.py"
    found.append(gco_agent.evaluate(rev, repo="runs", seeds=seeds))
    assert found == [found[0]] * len(found)
    assert all(JailLevel.parse(e.jail) > JailLevel.NONE for e in found[0].episodes)
    objects: list[Any] = [
        Lean,
        Lean(),
        Lean().act,
        gco_agent.load_policy(gco_agent.PolicySource(LEAN)),
    ]
    here = [gco_agent.evaluate(each, "CartPole-v1", seeds=seeds) for each in objects]
    assert {evaluation.digest for evaluation in here} == {found[0].digest}
    assert {episode.jail for episode in here[0].episodes} == {"none"}
    pong = gco_agent.evaluate(
        lambda obs: 2 if obs["Ball"] else 0, "pong", seeds=[1], max_steps=30
    )  # fmt: skip
    assert pong.n_steps == 30


def test_what_cannot_be_played_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="name the game"):
        gco_agent.evaluate(gco_agent.PolicySource(STILL))
    with pytest.raises(UsageError, match="no game called 'chess'"):
        gco_agent.evaluate(gco_agent.PolicySource(STILL), "chess")
    with pytest.raises(ContractViolation, match="import os"):
        gco_agent.evaluate(gco_agent.PolicySource("import os\n" + STILL), "pong")
    for missing in (tmp_path / "nothing.py", "nothing.py", "no-such-revision"):
        with pytest.raises(gco_agent.GcoError):
            gco_agent.evaluate(missing, "pong")
    with pytest.raises(UsageError, match="a seed is given twice"):
        gco_agent.evaluate(gco_agent.PolicySource(FOLLOW), seeds=[5, 6, 5])
    with pytest.raises(UsageError, match="either episodes or seeds"):
        gco_agent.evaluate(LEAN, seeds=[5], episodes=2)
    with pytest.raises(UsageError, match="without a jail"):
        gco_agent.evaluate(Lean, "CartPole-v1", require=JailLevel.BASIC)
    with pytest.raises(UsageError, match="an action of this game is an integer"):
        gco_agent.evaluate(lambda obs: "left", "CartPole-v1", seeds=[1])
    rules = gco_agent.make_protocol("default", "pong")
    with pytest.raises(UsageError, match="the protocol is for"):
        gco_agent.evaluate(LEAN, protocol=rules, seeds=[1])
    with pytest.raises(ZeroDivisionError):
        gco_agent.evaluate(lambda obs: 1 // 0, "CartPole-v1", seeds=[1])


def test_the_default_seeds_are_the_first_report_seeds() -> None:
    played = gco_agent.evaluate(LEAN, episodes=3, max_steps=5)
    assert [episode.seed for episode in played.episodes] == list(Stream.REPORT.seeds(0, 3))


def script(home: Path, text: str) -> subprocess.CompletedProcess[str]:
    (home / "lean.py").write_text(LEAN)
    (home / "score.py").write_text(text)
    return subprocess.run(
        [sys.executable, "score.py"], cwd=home, capture_output=True, text=True, check=False
    )


def test_a_script_needs_no_main_guard_unless_it_uses_workers(home: Path) -> None:
    call = "gco_agent.evaluate('lean.py', seeds=range(2), max_steps=9, workers={})"
    done = script(home, f"import gco_agent\nprint({call.format(0)}.mean_return)\n")
    assert (done.stdout, done.stderr) == ("9.0\n", "")
    unguarded = script(home, f"import gco_agent\nprint({call.format(1)})\n")
    assert unguarded.returncode != 0
    assert 'if __name__ == "__main__"' in unguarded.stderr
    guarded = (
        f"import gco_agent\nif __name__ == '__main__':\n    print({call.format(1)}.mean_return)\n"
    )
    assert script(home, guarded).stdout == "9.0\n"


def test_a_function_in_a_module_is_played_by_workers(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(home))
    (home / "my_envs.py").write_text(
        "import gymnasium\n\n\ndef make_short():\n"
        "    return gymnasium.wrappers.TimeLimit(gymnasium.make('CartPole-v1').unwrapped, 25)\n"
    )
    import my_envs  # type: ignore[import-not-found]

    played = gco_agent.evaluate(LEAN, my_envs.make_short, seeds=range(2), workers=1)
    assert played.returns == (25.0, 25.0)
    with pytest.raises(UsageError, match="exists in this process alone"):
        gco_agent.evaluate(LEAN, partial(my_envs.make_short), seeds=range(2), workers=1)
