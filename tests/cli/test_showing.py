"""One iteration whole; the log as CSV; a run followed from elsewhere."""

from __future__ import annotations

import contextlib
import csv
import io
import json
import os
import re
import subprocess
import sys
import threading
import time
from types import SimpleNamespace

import pytest

from gco_agent.cli import look
from gco_agent.cli.display import Ledger
from gco_agent.cli.output import fit, sparkline
from gco_agent.cli.run import _outlook
from gco_agent.core.events import Searching
from gco_agent.core.records import Verdict
from gco_agent.store.control import Limits, Status, status_path, write_status
from gco_agent.store.entries import Facts
from tests.cli.scripted import FOLLOW, IDLE
from tests.report.samples import make_run
from tests.store.samples import commit_file, git

BRANCH = "gco/pong/first"


def on_a_terminal(folder, surroundings, columns: int, *arguments: str) -> list[str]:
    """The lines that a command prints on a terminal of so many columns."""
    controller, terminal = os.openpty()
    command = [sys.executable, "-m", "gco_agent", "-C", str(folder), *arguments]
    size = {"COLUMNS": str(columns), "LINES": "24", "TERM": "dumb", "NO_COLOR": "1"}
    subprocess.run(command, stdout=terminal, env={**surroundings, **size}, check=True)
    os.close(terminal)
    said = b""
    with contextlib.suppress(OSError), open(controller, "rb", buffering=0) as screen:  # noqa: PTH123
        while chunk := screen.read(4096):
            said += chunk
    return [line.rstrip() for line in said.decode().splitlines()]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_lines_break_between_words(monkeypatch):
    monkeypatch.setenv("COLUMNS", "30")
    text = "  policy of gco/pong/20260131-1f0c, which is long\n\nshort"
    assert fit(text, io.StringIO()) == text
    assert fit(text, Terminal()) == (
        "  policy of\n    gco/pong/20260131-1f0c,\n    which is long\n\nshort"
    )
    name = "gco/" + "x" * 40  # is not cut, so that it can be copied
    assert fit(name, Terminal()) == name


@pytest.mark.parametrize("columns", [60, 80, 100])
def test_log_on_a_narrow_terminal_keeps_the_numbers_whole(played, surroundings, columns):
    lines = on_a_terminal(played, surroundings, columns, "log")
    assert max(map(len, lines)) <= columns
    heads, rows = lines[2].split(), lines[3:]
    assert heads[:4] == ["it", "verdict", "return", "gain"]
    assert heads[-1] == "summary"
    assert ("CC" in heads) == (columns == 100)
    assert ("time" in heads) == (columns > 60)
    assert [row.split()[0] for row in rows[:4]] == ["0", "1", "2", "3"]
    assert rows[4].split()[:3] == ["*", "4", "reported"]
    facts = rows[1].partition("follow")[0]
    assert re.search(r"1 +accepted +-?[\d.]+ ± [\d.]+ +\+[\d.]+ ± [\d.]+ ", facts)
    assert "…" not in facts


def test_log_by_optimizer_on_a_narrow_terminal(project, surroundings):
    make_run(project, 20)
    lines = on_a_terminal(project, surroundings, 60, "log", "sample")
    head, *rows = lines[lines.index("by optimizer") + 1 :]
    assert max(map(len, lines)) <= 60
    assert head.split()[0] == "optimizer"
    assert "gain of the accepted" in head
    assert "…" not in head + "".join(rows)


def test_show_is_the_last_iteration_by_default(cli, played):
    result = cli(played, "show")
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert lines[0] == f"{BRANCH}, iteration 4: reported"
    assert lines[2].endswith(", in force")
    assert "\x1b" not in result.stdout


def test_show_an_accepted_iteration(cli, played):
    text = cli(played, "show", "1").stdout
    assert text.startswith(f"{BRANCH}, iteration 1: accepted\nfollow the [bold]ball[/bold]\n")
    assert "Because follow the [bold]ball[/bold]" in text
    assert re.search(r"gain \+\S+ ± \S+ over the policy it was raced against, \d+ pairs", text)
    assert re.search(r"^ *11\d{8} +-?\d+ +-?\d+ +\+?-?\d+ +300  truncated$", text, re.MULTILINE)
    assert '-"""Pong: the policy of a new run.' in text or re.search(r"^-\S*", text, re.MULTILINE)
    assert re.search(r"^\+ +gap = obs\[.Ball.\]\[0\]\.y", text, re.MULTILINE)
    assert text.rstrip().endswith("evidence: actions.json, evaluation.json, proposal.json")


def test_show_a_failed_iteration_says_where_it_failed(cli, played):
    text = cli(played, "show", "3").stdout
    assert f"{BRANCH}, iteration 3: failed" in text
    assert "policy-raised" in text
    assert "AttributeError" in text


def test_show_as_json(cli, played):
    data = json.loads(cli(played, "show", "1", "--json").stdout)
    assert (data["run"], data["iteration"]) == (BRANCH, 1)
    (trial,) = data["trials"]
    assert trial["verdict"] == "accepted"
    assert trial["gain"] > 0
    low, high = trial["confidence_interval"]
    assert low <= trial["mean_return"] <= high
    returns = [seed["return"] for seed in trial["seeds"]]
    parents = [seed["parent_return"] for seed in trial["seeds"]]
    assert sum(returns) / len(returns) == pytest.approx(trial["mean_return"])
    gains = [a - b for a, b in zip(returns, parents, strict=True)]
    assert sum(gains) / len(gains) == pytest.approx(trial["gain"])
    assert "gap = obs" in trial["policy"]
    assert FOLLOW.splitlines()[-1] in trial["policy"]
    assert trial["evidence"] == ["actions.json", "evaluation.json", "proposal.json"]
    assert all(line[:1] in "+- @" for line in trial["difference"].splitlines())


def test_show_finds_revisions_on_the_line_and_beside_it(cli, played):
    side = git(played, "rev-parse", "HEAD~2^2")
    for rev in ("HEAD~2", side, side[:10], "2"):
        trial = json.loads(cli(played, "show", rev, "--json").stdout)["trials"][0]
        assert (trial["verdict"], trial["commit"]) == ("rejected", side), rev


def test_show_tells_what_the_optimizer_was_told(cli, tmp_path):
    git(tmp_path, "init", "--quiet", "-b", "main")
    make_run(tmp_path, 5)
    text = cli(tmp_path, "show", "sample", "4").stdout
    assert "what the optimizer was told\nYou lost the ball </script>" in text
    assert "\x1b" not in text
    data = json.loads(cli(tmp_path, "show", "sample", "4", "--json").stdout)
    assert data["trials"][0]["feedback"].startswith("You lost the ball")


def test_show_one_file_of_the_evidence(cli, played):
    shown = cli(played, "show", "1", "--file", "evaluation.json").stdout
    assert shown == git(played, "show", "HEAD:iterations/0001/evaluation.json") + "\n"


def test_show_a_commit_by_hand(cli, played):
    commit_file(played, "policies/pong.py", IDLE, "mine \x1b[31m")
    text = cli(played, "show").stdout
    assert text.startswith(f"{BRANCH}, a commit by hand: by hand\nmine")
    assert "\x1b" not in text


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("show", "17"), "gco/pong/first has iterations 0 to 4, not 17"),
        (("show", "nosuch"), "unknown revision 'nosuch'"),
        (("show", "main"), "is not a commit of the run gco/pong/first"),
        (("show", "1", "--file", "prompt.md"), "no file 'prompt.md'; its files: actions.json"),
        (("show", "second", "1"), "there is no run 'second'"),
        (("log", "--json", "--csv"), "--json and --csv exclude each other"),
        (("watch", "second"), "there is no run 'second'"),
    ],
)
def test_what_is_not_there(cli, played, arguments, message):
    result = cli(played, *arguments)
    assert result.exit_code == 2
    assert message in result.stderr


def test_evidence_of_an_older_schema_is_refused(cli, played):
    path = "iterations/0001/evaluation.json"
    text = (played / path).read_text().replace('"schema": 2', '"schema": 0')
    commit_file(played, path, text, "by hand")
    data = {"facts": git(played, "log", "-1", "--format=%B", "HEAD~4")}
    git(played, "commit", "--allow-empty", "--quiet", "-m", data["facts"])
    result = cli(played, "show", "1")
    assert result.exit_code == 2
    assert "schema 0; this version reads 1 and 2" in result.stderr


def test_log_as_csv_has_the_numbers_of_the_json(cli, played):
    rows = list(csv.DictReader(io.StringIO(cli(played, "log", "--csv").stdout)))
    data = json.loads(cli(played, "log", "--json").stdout)["iterations"]
    assert [row["verdict"] for row in rows] == [entry["verdict"] for entry in data]
    assert float(rows[1]["gain"]) == data[1]["gain"]
    assert rows[3]["mean_return"] == ""
    assert set(rows[0]) == set(data[0]) - {"confidence_interval"}


def test_no_summary_is_a_formula_to_a_spreadsheet(cli, played):
    commit_file(played, "NOTES.md", "x\n", "=HYPERLINK(1)")
    rows = list(csv.DictReader(io.StringIO(cli(played, "log", "--csv").stdout)))
    assert rows[-1]["summary"] == "'=HYPERLINK(1)"


def test_log_draws_how_the_return_went(cli, played):
    second = cli(played, "log").stdout.splitlines()[1]
    assert re.fullmatch(r"return ▁█ -?\d+\.\d+ to -?\d+\.\d+", second)


def test_sparklines():
    assert sparkline([]) == ""
    assert sparkline([3]) == "▁"
    assert sparkline([1, 2, 3]) == "▁▄█" or sparkline([1, 2, 3]) == "▁▅█"
    assert sparkline([0, 0, 0]) == "▁▁▁"
    assert len(sparkline(list(range(1000)))) == 60
    assert list(sparkline(list(range(1000)))) == sorted(sparkline(list(range(1000))))


def test_evidence_that_was_half_written_is_named(cli, played):
    path = "iterations/0004/evaluation.json"
    whole = git(played, "show", f"HEAD:{path}")
    (played / path).write_text(whole[: len(whole) // 2])
    git(played, "commit", "--quiet", "--all", "--amend", "--no-edit")
    commit = git(played, "rev-parse", "--short=9", "HEAD")
    for command in (("log", "--json"), ("log", "--csv"), ("show",), ("report", "--no-trace")):
        result = cli(played, *command)
        assert result.exit_code == 2, result.output
        assert f"evaluation.json of commit {commit} cannot be read" in result.stderr
    for command in (("log",), ("watch",)):
        assert cli(played, *command).exit_code == 0
    result = cli(played, "step", "--workers", "1")
    assert result.exit_code == 2, result.output
    assert f"evaluation.json of commit {commit} cannot be read" in result.stderr


# -- watch --------------------------------------------------------------------------------------


def test_watch_where_nobody_works_shows_the_last_iterations_and_ends(cli, played):
    result = cli(played, "watch", "--last", "2")
    assert result.exit_code == 0
    lines = result.stderr.splitlines()
    assert lines[0] == f"{BRANCH}: not running"
    assert [line.split(":")[0] for line in lines[1:]] == [
        "iteration 3 failed", "iteration 4 reported", f"3 iterations on {BRANCH}.",
    ]  # fmt: skip


def test_watch_follows_a_run_that_another_process_advances(cli, start, played):
    status = status_path(played / ".git", "pong-first")
    git(played, "switch", "--quiet", "main")
    process = start(played, "step", "-n", "2", "first", "--workers", "2")
    end = time.monotonic() + 60
    while not status.exists():
        assert time.monotonic() < end
        assert process.poll() is None, process.communicate()[1]
        time.sleep(0.02)
    result = cli(played, "watch", "first", "--last", "0")
    assert process.wait(60) == 0
    lines = result.stderr.splitlines()
    assert lines[0] == f"{BRANCH}: process {process.pid} advances it"
    assert [line.split(":")[0] for line in lines if re.match(r"iteration \d+ \w+:", line)] == [
        "iteration 5 failed", "iteration 6 failed",
    ]  # fmt: skip
    assert not status.exists()


def test_watch_shows_what_is_under_way(cli, played):
    path = status_path(played / ".git", "pong-first")
    event = Searching("dream", 0.5, 1000, "")
    limits = Limits(iterations=9)
    write_status(path, Status(os.getpid(), time.perf_counter(), 5, 0.0, limits, event))
    threading.Timer(1.0, path.unlink).start()
    assert "iteration 5: dream" in cli(played, "watch", "--last", "0").stderr


def test_watch_has_the_limits_and_the_account_of_the_process_at_work():
    limits = Limits(3, None, 10**6, 50_000, 2.0)
    budget = look._budget(Status(1, 0.0, 5, 0.0, limits, None, 10_500, 0.75))
    assert Ledger(budget, 5).used() == [
        *("0 of 3 iterations", "0 of 1.0M frames", "10.5k of 50.0k tokens", "$0.75 of $2.00"),
    ]


def test_a_status_file_that_cannot_be_written_stops_nothing(cli, project):
    folder = project / ".git" / "gco-agent"
    folder.mkdir()
    status_path(project / ".git", "cart_pole-x").mkdir()
    result = cli(
        project, "run", "CartPole-v1", "--optimizer", "scripted", "--name", "x",
        "--iterations", "1", "--report-episodes", "0", "--max-steps", "60", "--workers", "1",
    )  # fmt: skip
    assert result.exit_code == 0, result.output


@pytest.mark.parametrize(
    ("tried", "said"),
    [
        ([("accepted", 5.0)] * 2, "too few"),
        (
            [("accepted", 5.0), ("rejected", -1.0), ("failed", None), ("inconclusive", 0.5)],
            "nothing",
        ),
        (
            [("accepted", 9.0), ("rejected", -1.0), ("accepted", 2.0), ("accepted", 0.5)],
            "brought +2.50 points in 2 races; expect no more of as many: AGAIN",
        ),
    ],
)
def test_what_more_frames_would_bring_is_told_by_the_later_half(tried, said):
    history = [
        SimpleNamespace(
            verdict=Verdict(word),
            facts=Facts("x", number, Verdict(word), gain=gain, frames=1_000 * number),
        )
        for number, (word, gain) in enumerate([("initial", None), *tried, ("reported", None)])
    ]
    assert said in _outlook(history, "AGAIN")  # type: ignore[arg-type]
