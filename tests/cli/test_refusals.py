"""What cannot be done is said in one line that helps, with exit code 2, and nothing is lost."""

from __future__ import annotations

import os
import re
import resource
import subprocess
from pathlib import Path

import pytest

from gco_agent.cli import main
from gco_agent.core.errors import GcoError
from tests.cli.conftest import SHORT
from tests.cli.scripted import FOLLOW
from tests.optimizers.test_tune import LATE
from tests.store.samples import commit_file, git

INIT = ("init", "pong", "--name", "new", "--optimizer", "scripted", *SHORT)


def refused(result) -> str:
    """The message of a command that was refused."""
    assert result.exit_code == 2, result.output
    assert "Traceback" not in result.output
    assert result.stdout == ""
    return str(result.stderr)


@pytest.mark.parametrize(
    "arguments", [INIT, ("run", "pong"), ("log",), ("step",), ("rollback", "0"), ("publish",)]
)
def test_no_repository(cli, tmp_path, arguments):
    message = refused(cli(tmp_path, *arguments))
    assert message.startswith(f"Error: not a git repository: {tmp_path}")
    assert "--create-repo" in message


@pytest.mark.parametrize("command", [INIT, ("run", "pong"), ("tune", "x.py")])
def test_a_seed_that_no_generator_takes(cli, tmp_path, command):
    message = refused(cli(tmp_path, *command, "--seed", str(2**32)))
    assert "4294967296 is not in the range 0 to 4,294,967,295" in message


def test_a_repository_is_made_on_request(cli, tmp_path):
    result = cli(tmp_path / "fresh", *INIT, "--create-repo")
    assert result.exit_code == 0, result.output
    assert git(tmp_path / "fresh", "branch", "--show-current") == "gco/pong/new"
    assert re.search(r"^  git switch main +back to where you were$", result.stdout, re.MULTILINE)
    git(tmp_path / "fresh", "switch", "--quiet", "main")
    assert git(tmp_path / "fresh", "ls-files") == ""


def test_no_repository_is_made_for_somebody_whom_git_does_not_know(cli, tmp_path, monkeypatch):
    (tmp_path / ".gitconfig").write_text("[user]\n\tuseConfigOnly = true\n")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("EMAIL", raising=False)
    message = refused(cli(tmp_path / "fresh", *INIT, "--create-repo"))
    assert "git does not know who commits" in message
    assert not (tmp_path / "fresh/.git").exists()


@pytest.mark.parametrize("command", ["eval", "enjoy", "card", "trace", "tune", "simplify"])
def test_without_a_repository_a_file_is_asked_for(cli, tmp_path, command):
    assert "Or name a policy file." in refused(cli(tmp_path, command))


@pytest.mark.parametrize("arguments", [INIT, ("run", "pong")])
def test_a_dirty_work_tree(cli, project, arguments):
    (project / "README.md").write_text("changed\n")
    message = refused(cli(project, *arguments))
    assert "not committed: README.md" in message
    assert "git stash" in message
    assert git(project, "branch", "--list", "gco/*") == ""
    assert (project / "README.md").read_text() == "changed\n"


def test_a_dirty_run(cli, played):
    (played / "policies/pong.py").write_text("changed\n")
    assert "not committed: policies/pong.py" in refused(cli(played, "step"))
    assert "not committed" in refused(cli(played, "rollback", "0"))
    git(played, "stash", "--quiet")
    git(played, "switch", "--quiet", "main")
    (played / "README.md").write_text("changed\n")
    assert "not committed: README.md" in refused(cli(played, "publish", "pong"))


def test_a_detached_head(cli, played):
    git(played, "switch", "--quiet", "--detach", "main")
    git(played, "branch", "gco/pong/second", "gco/pong/first")
    for arguments in (("step",), ("rollback", "0"), ("eval",)):
        message = refused(cli(played, *arguments))
        assert "HEAD is detached" in message
        assert "gco/pong/first" in message
    assert "HEAD is detached" in refused(cli(played, "publish", "first"))


def test_a_branch_that_is_no_run(cli, played):
    git(played, "switch", "--quiet", "main")
    for arguments in (("log",), ("show",), ("watch",)):  # there is only one run to look at
        result = cli(played, *arguments)
        assert result.exit_code == 0, result.output
        assert "gco/pong/first" in result.output
    git(played, "branch", "gco/pong/second", "gco/pong/first")
    for arguments in (("log",), ("show",), ("watch",), ("report",), ("step",), ("eval",)):
        message = refused(cli(played, *arguments))
        assert "the branch main" in message
        assert "name one, as in `gco-agent log gco/pong/" in message
    git(played, "switch", "--quiet", "-c", "gco/pong/mine")
    assert "is not a run of gco-agent" in refused(cli(played, "log"))


def test_a_run_that_there_is_not(cli, played):
    for name in ("second", "gco/pong/second", "../x", ""):
        message = refused(cli(played, "log", name or "nothing"))
        assert "there is no run" in message
    assert "there is no run 'freeway'" in refused(cli(played, "publish", "freeway"))


@pytest.mark.parametrize(
    ("game", "nearest"),
    [("pnog", "pong"), ("SpaceInvader", "space_invaders"), ("zork", ""), ("time_pilot", "")],
)
def test_an_unknown_game(cli, project, game, nearest):
    message = refused(cli(project, "run", game))
    assert message.count("Did you mean") == bool(nearest)
    assert (f"Did you mean {nearest}?" in message) == bool(nearest)
    told = f"{game} cannot be played with objects: " if "_" in game else f"no game called {game!r}"
    assert told in message
    assert message.endswith(".\n")


def test_an_environment_that_is_nearer_than_any_game(cli, project):
    message = refused(cli(project, "run", "CartPole-v9"))
    assert "called 'CartPole-v9'. Did you mean CartPole-v1? " in message
    assert "carnival" not in message


def test_a_name_that_is_taken_or_is_none(cli, played):
    assert "there is a run gco/pong/first already" in refused(
        cli(played, "init", "pong", "--name", "first")
    )
    assert "cannot name a run" in refused(cli(played, "init", "pong", "--name", "a b"))


@pytest.mark.parametrize("command", [("run", "pong"), ("init", "pong"), ("step",)])
def test_an_optimizer_that_there_is_not_is_noticed_before_anything_is_announced(
    cli, played, command
):
    message = refused(cli(played, *command, "--optimizer", "reflect,serch"))
    assert message.startswith("Error: no optimizer is called 'serch'. Did you mean search? ")
    assert "Did you mean" not in refused(cli(played, *command, "--optimizer", "magic"))


@pytest.mark.parametrize("command", [("run", "pong"), ("init", "pong"), ("step",)])
def test_a_missing_key_is_noticed_before_anything_is_announced(cli, played, command, monkeypatch):
    for name in ("ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN", "ANTHROPIC_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
    message = refused(cli(played, *command, "--optimizer", "search,reflect"))
    assert message.startswith("Error: there is no key for a language model")
    assert git(played, "branch", "--list", "gco/*") == "* gco/pong/first"


@pytest.mark.parametrize("command", [("run", "pong"), ("step",)])
def test_a_limit_in_dollars_is_refused_where_nothing_costs_any(cli, played, command):
    message = refused(cli(played, *command, "--optimizer", "search,tune", "--usd", "5"))
    assert "--usd limits the cost of a language model, and search,tune uses none" in message


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (b"\xff\xfe", "is not UTF-8"),
        (b"def act(obs):\n    return (\n", "line 2"),
        (b"import os\n\ndef act(obs):\n    return 0\n", "line 1: a policy may not import"),
        (b"x = 1\n", "act"),
        (b"def act():\n    return 0\n", "line 1"),
        (FOLLOW.replace("gco/Pong-v5", "gco/Nothing-v5").encode(), "no game called"),
        (FOLLOW.replace("Environment:", "").encode(), "--env"),
    ],
)
def test_a_file_that_is_no_policy(cli, tmp_path, text, words):
    (tmp_path / "policy.py").write_bytes(text)
    message = refused(cli(tmp_path, "eval", "policy.py"))
    assert words in message


def test_a_policy_that_is_not_there(cli, tmp_path, project):
    assert "there is no file gone.py" in refused(cli(tmp_path, "eval", "gone.py"))
    assert "there is no file gone.py" in refused(cli(project, "eval", "gone.py"))
    assert "is a folder" in refused(cli(project, "eval", "."))
    assert "HEAD has no file gone.py" in refused(cli(project, "eval", "HEAD:gone.py"))
    assert "unknown revision 'nowhere'" in refused(cli(project, "eval", "nowhere:gone.py"))


def test_control_characters_do_not_reach_the_terminal(cli, tmp_path):
    message = refused(cli(tmp_path, "eval", "\x1b[31m\x07.py"))
    assert "\x1b" not in message
    assert "\x07" not in message


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("run", "pong", "--time", "soon"), "'soon' is not a duration"),
        (("run", "pong", "--time", "0"), "'0' is not a duration"),
        (("run", "pong", "--time", "-5"), "'-5' is not a duration"),
        (("run", "pong", "--time", "5m3h"), "is not a duration"),
        (("run", "pong", "--iterations", "0"), "0 is not in the range 1 or more"),
        (("run", "pong", "--iterations", "few"), "'few' is not a valid integer"),
        (("step", "-n", "-1"), "-1 is not in the range 0 or more"),
        (("eval", "x.py", "--episodes", "0"), "0 is not in the range 1 or more"),
        (("eval", "x.py", "--seeds", "3"), "seeds are given as A:B"),
        (("eval", "x.py", "--seeds", "5:5"), "hold nothing"),
        (("eval", "x.py", "--seeds", "7:5"), "hold nothing"),
        (("eval", "x.py", "--seeds", "0:9999999999"), "seeds"),
        (("eval", "x.py", "--seeds", "0:3", "--episodes", "3"), "exclude each other"),
        (("eval", "x.py", "--env", "gco/Pnog-v5"), "Did you mean pong?"),
        (("eval", "x.py", "--require-jail", "iron"), "'iron' is not one of"),
        (("publish", "--episodes", "1"), "1 is not in the range 2"),
        (("eval", "x.py", "--seeds", "0:200000"), "200,000 episodes are too many"),
        (("eval", "x.py", "--episodes", "1000000000"), "too many"),
        (("rollback",), "Missing argument"),
        (("fly",), "No such command 'fly'"),
    ],
)
def test_what_was_typed_wrong(cli, played, arguments, words):
    (played / "x.py").write_text(FOLLOW)
    assert words in refused(cli(played, *arguments))


def test_rollback_to_nowhere(cli, played):
    assert "unknown revision 'nowhere'" in refused(cli(played, "rollback", "nowhere"))
    assert "is not a commit of the run" in refused(cli(played, "rollback", "main"))
    assert "nothing to roll back" in refused(cli(played, "rollback", "4"))


def test_publish_refuses_the_branch_of_a_run_before_it_plays(cli, played):
    message = refused(cli(played, "publish"))
    assert "gco/pong/first is the branch of a run" in message
    assert "`git switch main`" in message


def test_publish_asks_which_run(cli, played):
    git(played, "branch", "gco/pong/second")
    git(played, "switch", "--quiet", "main")
    assert "There is gco/pong/" in refused(cli(played, "publish"))


def test_publish_keeps_what_states_no_score_or_one_by_other_rules(cli, played):
    git(played, "switch", "--quiet", "main")
    commit_file(played, "policies/pong.py", FOLLOW, "A policy of mine")
    message = refused(cli(played, "publish", "pong"))
    assert "policies/pong.py on main states no score" in message
    stated = "\n\nEnvironment: gco/Pong-v5\nMean return: 15.67 ± 0.68 (30 episodes, report 0:30)\n"
    rules = "Measured: default protocol, frame skip 4, sticky 0.25, 27000 steps at most\n"
    text = FOLLOW.replace("\n\nEnvironment: gco/Pong-v5\n", stated + rules)
    commit_file(played, "policies/pong.py", text, "With a score")
    message = refused(cli(played, "publish", "pong"))
    assert "states 15.67 ± 0.68 (30 episodes, report 0:30) by other rules" in message
    assert git(played, "log", "-1", "--format=%s") == "With a score"


def test_publish_keeps_a_better_score_unless_it_is_forced(cli, played):
    git(played, "switch", "--quiet", "main")
    publish = ("publish", "Pong-v5", "--episodes", "2", "--workers", "2")
    assert cli(played, *publish).exit_code == 0
    text = (played / "policies/pong.py").read_text()
    stated = re.sub(r"Mean return: \S+", "Mean return: 15.67", text)
    commit_file(played, "policies/pong.py", stated, "A better score")
    message = refused(cli(played, *publish))
    assert "states 15.67 ±" in message
    assert "(2 episodes, report 0:2)" in message
    assert "--force" in message
    assert git(played, "log", "-1", "--format=%s") == "A better score"
    assert cli(played, *publish, "--force").exit_code == 0
    assert (played / "policies/pong.py").read_text() == text


def test_a_number_beyond_the_iterations(cli, played):
    for command in ("eval", "rollback", "show", "enjoy"):
        message = refused(cli(played, command, "99"))
        assert "gco/pong/first has iterations 0 to 4, not 99" in message


def test_a_branch_without_a_commit(cli, tmp_path):
    git(tmp_path, "init", "--quiet", "empty")
    message = refused(cli(tmp_path / "empty", "log"))
    assert "the branch main has no commit yet. Start one with `gco-agent run GAME`" in message


def test_nobody_commits(cli, project, monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("EMAIL", "")
    git(project, "config", "user.useConfigOnly", "true")
    message = refused(cli(project, *INIT))
    assert "git does not know who commits" in message
    assert 'git config --global user.name "Your Name"' in message


def test_other_versions_are_not_compared(cli, played):
    text = (played / "run.toml").read_text()
    (played / "run.toml").write_text(text.replace('ale-py = "', 'ale-py = "0.0'))
    git(played, "commit", "--quiet", "-am", "another emulator")
    assert "cannot be compared" in refused(cli(played, "step"))


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_repository_that_cannot_be_written(cli, project):  # pragma: no cover - not as root
    (project / ".git").chmod(0o500)
    try:
        assert "cannot be written" in refused(cli(project, *INIT))
    finally:
        (project / ".git").chmod(0o700)


def test_a_lock_that_cannot_be_written(cli, played):
    lock = played / ".git/gco-agent"
    for path in lock.iterdir():
        path.unlink()
    lock.rmdir()
    lock.write_text("in the way\n")
    message = refused(cli(played, "step"))
    assert "cannot lock" in message


def test_a_full_disk(cli, played):
    """A limit on the size of files stands for the disk."""
    before = git(played, "rev-parse", "HEAD")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (512, hard))
    try:
        message = refused(cli(played, "rollback", "0"))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert "Free space" in message
    assert git(played, "rev-parse", "HEAD") == before
    git(played, "fsck", "--strict")
    assert cli(played, "rollback", "0").exit_code == 0


def test_a_second_process_on_the_same_run_is_refused(start, cli, played):
    first = start(played, "step", "-n", "50", "--workers", "1")
    assert first.stderr is not None
    assert first.stderr.readline()  # it has the run, and has said so
    message = refused(cli(played, "step"))
    assert f"is being advanced by process {first.pid}" in message
    assert cli(played, "log").exit_code == 0


def test_a_bug_keeps_its_traceback(cli, project, monkeypatch):
    def broken(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("gco_agent.store.git.GitRepo.find", broken)
    assert isinstance(cli(project, "log").exception, ZeroDivisionError)
    assert not issubclass(ZeroDivisionError, GcoError)


def test_a_closed_pipe_ends_quietly(played):
    command = f"{Path(os.sys.executable)} -m gco_agent -C {played} log --json | head -1"  # type: ignore[attr-defined]
    done = subprocess.run(command, shell=True, capture_output=True, text=True, check=False)
    assert done.stdout == "{\n"
    assert done.stderr == ""


def test_the_group_is_the_entry_point():
    assert main.name == "main"


@pytest.mark.parametrize(
    "evidence",
    [
        "no JSON",
        "[]",
        '{"schema": 1, "policies": []}',
        '{"schema": 1, "policies": {"x": [{"seed": 1, "return": 1e999, "steps": 5}]}}',
    ],
)
def test_evidence_that_was_edited_ends_no_command_in_a_traceback(cli, played, evidence):
    """It may be the branch of a stranger."""
    for path in played.glob("iterations/*/evaluation.json"):
        path.write_text(evidence)
    git(played, "commit", "--quiet", "--amend", "--no-edit", "--all")
    for command in ("log --json", "show 4", "report", "verify --workers 1", "step --workers 1"):
        result = cli(played, *command.split())
        assert result.exit_code in (0, 2), f"{command}: {result.output}"
        assert "Traceback" not in result.output


def test_a_horizon_is_refused_where_nobody_looks_at_it(cli, project):
    said = cli(project, "run", "pong", "--optimizer", "reflect,search", "--horizon", "400")
    assert said.exit_code == 2
    assert "--horizon has no effect with --optimizer reflect,search" in said.stderr
    assert git(project, "branch", "--list", "gco/*") == ""


@pytest.mark.parametrize(
    ("command", "link"),
    [
        (("prompt", "-o", "ask.md", *SHORT[2:]), "ask.md"),
        (("replay", "gco/pong/first", "--record", "run.json"), "run.json"),
        (("tune", "policy.py", "--output", "out.py", "--steps", "1000", *SHORT), "out.py"),
        (("export", "model-card", "policy.py", "-o", "card/README.md", *SHORT), "card"),
        (("report", "-o", "page/x.html", "--no-trace"), "page"),
    ],
)
def test_nothing_is_written_through_links_of_a_repository(cli, played, tmp_path, command, link):
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "README.md").touch()
    target = outside if "/" in str(command) and link in ("card", "page") else outside / "README.md"
    (played / link).symlink_to(target)
    (played / "policy.py").write_text(LATE if command[0] == "tune" else FOLLOW)
    git(played, "add", link)
    git(played, "commit", "--quiet", "-m", "A link")
    result = cli(played, *command)
    assert result.exit_code == 2, result.output
    assert [path.name for path in outside.iterdir()] == ["README.md"]
    assert (outside / "README.md").read_text() == ""


@pytest.mark.parametrize("date", ["", "1769860800 +9999", "253402300800 +0000", "1 -0000 x"])
def test_odd_dates_of_a_commit_end_no_command_in_a_traceback(cli, played, date):
    """As other tools leave them: none at all, no such time zone, a year of five digits."""
    raw = git(played, "cat-file", "commit", "HEAD")
    odd = re.sub(r"(?m)^(author|committer) (.*>) .*$", rf"\1 \2 {date}".rstrip(), raw)
    (played / "odd").write_text(odd + "\n")
    made = git(played, "hash-object", "-t", "commit", "-w", "--literally", "odd")
    git(played, "update-ref", "HEAD", made)
    for command in (["log"], ["show"], ["runs"], ["rollback", "0"], ["log", "--json"]):
        done = cli(played, *command)
        assert done.exit_code == 0, (command, done.output)
        if command == ["show"]:
            assert made in done.output
