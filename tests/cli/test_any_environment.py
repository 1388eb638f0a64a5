"""Language-model optimizers on environments that are no Atari game, from end to end."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from gco_agent.optimizers.reflect import TOOL
from tests.cli.conftest import Cli, Start
from tests.messages_server import MessagesServer, Reply, message
from tests.store.samples import git

BALANCE = '''"""CartPole: push towards the side that the pole falls to.

Environment: CartPole-v1
"""


class Policy:
    """One instance plays one episode."""

    def fall(self, obs):
        """How far the pole will lean soon."""
        return obs[2] + 0.3 * obs[3] + 0.02 * obs[0] + 0.05 * obs[1]

    def act(self, obs):
        """Return the index of the action to play."""
        return 1 if self.fall(obs) > 0 else 0
'''
PART = "def select_action(self, obs):\n    return int(obs[2] + 0.3 * obs[3] > 0)\n"
TINY = '''"""An environment of one's own."""

import gymnasium
import numpy as np
from gymnasium.spaces import Box

from gco_agent.games import Field, GameSpec


class Follow(gymnasium.Env):
    """Answer with the number that is shown: the nearer, the better."""

    observation_space = Box(-1.0, 1.0, (2,), np.float64)
    action_space = Box(-1.0, 1.0, (1,), np.float64)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self._n = 0
        return self._look(), {}

    def _look(self):
        self._obs = self.np_random.uniform(-1, 1, 2)
        return self._obs

    def step(self, action):
        reward = -abs(float(action[0]) - float(self._obs[0]))
        self._n += 1
        return self._look(), reward, False, self._n >= 30, {}


gymnasium.register("Follow-v0", Follow, max_episode_steps=30)
SPEC = GameSpec(
    name="follow",
    title="Follow",
    env_id="Follow-v0",
    goal="Answer with the number that is shown.",
    fields=(Field("shown", "what to answer"), Field("noise")),
)
'''
COPY = '''"""Follow: answer with what is shown."""


class Policy:
    """One instance plays one episode."""

    def act(self, obs):
        """Return the numbers of the action to play."""
        return [float(obs[0])]
'''
COMMON = ("--workers", "1")


def handed_in(policy: str) -> Reply:
    fields = {"diagnosis": "It falls.", "change": "Push.", "summary": "balance", "policy": policy}
    return message(tool=(TOOL.name, fields), usage={"input_tokens": 900, "output_tokens": 90})


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch):
    def at(*replies: Reply) -> MessagesServer:
        server = MessagesServer(list(replies))
        monkeypatch.setenv("ANTHROPIC_BASE_URL", server.url)
        return server

    return at


def subjects(project: Path, run: str) -> list[str]:
    return git(project, "log", "--first-parent", "--format=%s", run).splitlines()


def test_cart_pole_with_reflect(cli: Cli, project: Path, server) -> None:
    run = ("run", "CartPole-v1", "--name", "asked", "--optimizer", "reflect", "--iterations", "1")
    with server(handed_in(BALANCE)) as answering:
        result = cli(project, *run, "--report-episodes", "2", "--json", *COMMON)
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["mean_return"] == 500.0
    [received] = answering.requests
    asked = json.dumps(received.body)
    assert "obs[2], angle: of the pole in radians" in asked
    assert "It counts as solved at 475 points an episode." in asked
    assert "the end of the worst episode: the game is over" in asked
    assert "step|obs[0] x|obs[1] speed|obs[2] angle|obs[3] spin|action" in asked
    for word in ("video game", "pixel", "category", "Random play"):
        assert word not in asked
    assert "accepted" in git(project, "log", "-2", "--format=%B", "gco/cart_pole/asked")


@pytest.mark.parametrize(("limit", "is_timed"), [("--frames", False), ("--time", True)])
def test_a_run_has_no_time_limit_where_another_one_is_given(
    cli: Cli, project: Path, limit: str, *, is_timed: bool
) -> None:
    """Else the same frames would not give the same run on a slower machine."""
    how = ("--report-episodes", "0", "--iterations", "1", "--slice-steps", "1000")
    result = cli(project, "run", "CartPole-v1", *how, limit, "900", *COMMON)
    assert result.exit_code == 0, result.output
    assert (" left]" in result.output) == is_timed


def test_cart_pole_with_optoprime(cli: Cli, project: Path, server) -> None:
    pytest.importorskip("opto", reason="trace-opt is not installed")
    run = ("run", "CartPole-v1", "--name", "graph", "--optimizer", "optoprime", "--iterations", "1")
    suggestion = {"reasoning": "It falls.", "summary": "balance",
                  "suggestion": {"__select_action__code0": PART}}  # fmt: skip
    with server(message(tool=("suggest", suggestion))) as answering:
        result = cli(project, *run, "--report-episodes", "0", "--json", *COMMON)
    assert result.exit_code == 0, result.output
    [received] = answering.requests
    asked = json.dumps(received.body)
    assert "'obs[2]': " in asked
    assert "obs[2], angle: of the pole in radians" in asked
    told = git(project, "log", "-1", "--format=%B", "gco/cart_pole/graph")
    assert "Gco-Outcome: accepted" in told
    assert "obs[2] + 0.3 * obs[3]" in (project / "policies/cart_pole.py").read_text()


def test_cart_pole_with_exchange(cli: Cli, project: Path) -> None:
    init = ("init", "CartPole-v1", "--name", "first", "--optimizer", "exchange", "--hints", "none")
    assert cli(project, *init, *COMMON).exit_code == 0
    asked = cli(project, "prompt", *COMMON)
    assert asked.exit_code == 0, asked.output
    text = Path(asked.stdout.strip()).read_text()
    assert "returns an int, the index of an action; obs is a numpy" in text
    for word in ("angle", "|LEFT|", "solved at", "pushes the cart"):
        assert word not in text
    assert 'hints = "none"' in (project / "run.toml").read_text()
    (project / "answer.md").write_text(
        f"Summary: balance\n\nIt falls.\n\n```python\n{BALANCE}```\n"
    )
    applied = cli(project, "apply", "answer.md", *COMMON)
    assert applied.exit_code == 0, applied.output
    assert "mean return 500" in applied.stdout
    assert "balance" in subjects(project, "gco/cart_pole/first")[0]
    again = cli(project, "prompt", "-o", "-", *COMMON).stdout
    assert "iteration 2" in again
    assert "## How it plays" in again


def test_an_environment_of_one_s_own_with_actions_that_are_numbers(
    cli: Cli, project: Path, server, monkeypatch: pytest.MonkeyPatch
) -> None:
    (project / "tiny_follow.py").write_text(TINY)
    monkeypatch.chdir(project)
    git(project, "add", "tiny_follow.py")
    git(project, "commit", "-qm", "A game")
    run = ("run", "tiny_follow.py", "--name", "own", "--optimizer", "reflect", "--iterations", "1")
    with server(handed_in(COPY)) as answering:
        result = cli(project, *run, "--report-episodes", "0", "--json", "--no-switch", *COMMON)
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["mean_return"] == pytest.approx(0.0)
    asked = json.dumps(answering.requests[0].body)
    assert "obs[0], shown: what to answer" in asked
    assert "- number 0: -1 to 1" in asked
    assert "the 40 steps" not in asked  # an episode has but 30
    assert "step|obs[0] shown|obs[1] noise|" in asked


@pytest.mark.parametrize("command", ["tune", "simplify"])
def test_constants_and_text_of_a_policy_without_objects(
    cli: Cli, tmp_path: Path, command: str
) -> None:
    text = BALANCE.replace("class Policy", "WEIGHT = 0.1\nIDLE = 3\n\n\nclass Policy").replace(
        "0.3 *", "WEIGHT *"
    )
    (tmp_path / "pole.py").write_text(text)
    how = ("--steps", "4000", "--time", "60s", "--max-steps", "60", "--json", *COMMON)
    result = cli(tmp_path, command, "pole.py", "--output", "new.py", *how)
    assert result.exit_code == 0, result.output
    told = json.loads(result.stdout)
    if command == "simplify":
        assert "IDLE" not in (tmp_path / "new.py").read_text()
        assert told["same_actions"] > 0
    else:
        assert told["steps"] > 0


def test_an_environment_that_a_package_of_its_own_registers(start: Start, project: Path) -> None:
    """A worker has to import that package too."""
    pytest.importorskip("minigrid")
    begun = start(
        project, "init", "MiniGrid-Empty-5x5-v0", "--name", "grid", "--no-switch",
        "--max-steps", "30", "--workers", "1",
    )  # fmt: skip
    printed, errors = begun.communicate(timeout=120)
    assert begun.returncode == 0, errors
    assert "gco/mini_grid_empty_5x5/grid" in printed
