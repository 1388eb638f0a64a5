"""``enjoy``, ``card``, ``report``: the commands, on a run with four iterations."""

from __future__ import annotations

import html
import json
import re
import sys

import pytest
from PIL import Image, ImageSequence

import gco_agent
from gco_agent.report.robustness import conditions
from tests.cli.scripted import FOLLOW, RAISES
from tests.store.samples import commit_file, git

SHORT = ("--max-steps", "24")


def test_enjoy_writes_the_episode_that_eval_scores(cli, played):
    shown = cli(played, "enjoy", "1", "--video", "x.gif", *SHORT, "--seeds", "5:7", "--json")
    assert shown.exit_code == 0, shown.output
    assert "x.gif" in shown.stderr  # progress, while it renders
    data = json.loads(shown.stdout)
    assert {e["outcome"] for e in data["episodes"]} == {"truncated"}
    scored = json.loads(cli(played, "eval", "1", "--seeds", "5:7", *SHORT, "--json").stdout)
    assert [e["return"] for e in data["episodes"]] == scored["returns"]
    assert [e["seed"] for e in data["episodes"]] == [5, 6]
    with Image.open(played / "x.gif") as animation:
        assert sum(1 for _ in ImageSequence.Iterator(animation)) > 25
        assert animation.width == 480
    assert data["pictures"] == 2 * (25 + 15)


def test_enjoy_two_side_by_side_with_all_that_can_be_drawn(cli, played):
    drawn = ("--objects", "--velocities", "--scale", "2", "--speed", "5")
    result = cli(played, "enjoy", "1", "--beside", "0", "--video", "x.webp", *SHORT, *drawn)
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert [line.split(",")[0] for line in lines[:2]] == [
        "iteration 1 of gco/pong/first",
        "iteration 0 of gco/pong/first",
    ]
    assert re.search(r"x\.webp \(plays for \d+ s, [\d.]+ [kM]B\)$", lines[2])
    with Image.open(played / "x.webp") as animation:
        assert animation.width == 2 * 320 + 8


def test_enjoy_draws_over_one_policy_or_two(cli, played):
    plain = json.loads(cli(played, "enjoy", "1", "--video", "x.gif", *SHORT, "--json").stdout)
    options = ("--objects", "--velocities", "--scale", "2", "--speed", "8", *SHORT, "--json")
    for name, extra in (("one.gif", ()), ("two.gif", ("--beside", "0"))):
        result = cli(played, "enjoy", "1", "--video", name, *options, *extra)
        assert result.exit_code == 0, result.output
        data = json.loads(result.stdout)
        assert data["episodes"][0] == plain["episodes"][0]
    with Image.open(played / "one.gif") as one, Image.open(played / "two.gif") as two:
        assert (one.width, two.width) == (320, 2 * 320 + 8)


def test_enjoy_card_and_exports_of_another_environment(cli, played):
    pytest.importorskip("minari")
    pytest.importorskip("pygame")
    text = "class Policy:\n    def act(self, obs):\n        return int(obs[2] + obs[3] > 0)\n"
    (played / "pole.py").write_text(f'"""Pole.\n\nEnvironment: CartPole-v1\n"""\n\n\n{text}')
    shown = cli(played, "enjoy", "pole.py", "--video", "p.gif", "--objects", "--speed", "9", *SHORT)
    assert shown.exit_code == 0, shown.output
    assert "return 24, 24 steps, truncated" in shown.stdout
    kept = cli(played, "export", "minari", "pole.py", "--episodes", "1", *SHORT, "-o", "sets",
               "--json")  # fmt: skip
    assert kept.exit_code == 0, kept.output
    assert json.loads(kept.stdout)["id"] == "cart_pole/gco-agent-v0"
    told = cli(played, "export", "model-card", "pole.py", "--episodes", "2", *SHORT)
    assert told.exit_code == 0, told.output
    assert "# CartPole: a policy of gco-agent" in told.stdout
    assert "atari" not in told.stdout
    assert "OCAtari" not in told.stdout
    card = cli(played, "card", "pole.py", "--episodes", "2", "--workers", "1", *SHORT)
    assert card.exit_code == 0, card.output


def test_enjoy_without_a_screen_writes_a_video(cli, played, monkeypatch):
    pytest.importorskip("imageio_ffmpeg")
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    result = cli(played, "enjoy", *SHORT)
    assert result.exit_code == 0, result.output
    assert "There is no screen here, so pong.mp4 is written." in result.stderr
    assert (played / "pong.mp4").stat().st_size > 1000


def test_enjoy_in_a_window(cli, played, monkeypatch):
    monkeypatch.setenv("DISPLAY", ":99")
    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")
    data = json.loads(cli(played, "enjoy", "--max-steps", "3", "--json").stdout)
    assert (data["video"], data["pictures"]) == (None, 4 + 15)


def test_enjoy_of_a_policy_that_fails_is_exit_code_2(cli, played):
    (played / "bad.py").write_text(RAISES)
    result = cli(played, "enjoy", "bad.py", "--video", "x.gif")
    assert result.exit_code == 2
    assert "policy-raised" in result.stdout
    assert "AttributeError" in result.stdout
    assert (played / "x.gif").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--video", "x.avi"), "does not end in .mp4, .gif, .webp"),
        (("--seeds", "0:1000", "--video", "x.gif"), "1,000 episodes are too many"),
        (("--beside", "other.py", "--video", "x.gif"), "side by side"),
        (("nosuch.py", "--video", "x.gif"), "there is no file nosuch.py"),
        (("99", "--video", "x.gif"), "gco/pong/first has iterations 0 to 4, not 99"),
        (("nosuch", "--video", "x.gif"), "unknown revision 'nosuch'"),
    ],
)
def test_what_cannot_be_seen(cli, played, arguments, message):
    (played / "other.py").write_text(FOLLOW.replace("gco/Pong-v5", "gco/Breakout-v5"))
    result = cli(played, "enjoy", *arguments)
    assert result.exit_code == 2
    assert message in result.stderr
    assert not (played / "x.gif").exists()


def test_card(cli, played):
    options = ("--episodes", "2", "--max-steps", "40", "--workers", "1", "--picture", "card.svg")
    result = cli(played, "card", "1", *options, "--json")
    assert result.exit_code == 0, result.output
    data = json.loads(result.stdout)
    assert (data["policy"], data["seeds"]) == ("iteration 1 of gco/pong/first", "report 0:2")
    names = [line["name"] for line in data["conditions"]]
    assert names[:4] == ["as scored (sticky 0.25)", "sticky 0", "no-op start, up to 30 frames",
                         "frame skip 3"]  # fmt: skip
    assert len(names) == len(set(names)) == 13
    assert len({line["protocol"] for line in data["conditions"]}) == 13
    assert data["conditions"][0]["change"] is None
    for line in data["conditions"][1:]:
        expected = line["mean_return"] - data["conditions"][0]["mean_return"]
        assert line["change"] == pytest.approx(expected)
    picture = (played / "card.svg").read_text()
    assert picture.count("frame skip 3") >= 1 or "<svg" in picture


def test_a_card_says_where_the_policy_fails(cli, played):
    (played / "bad.py").write_text(RAISES)
    options = ("--episodes", "2", "--max-steps", "40", "--workers", "1", "--picture", "x.png")
    result = cli(played, "card", "bad.py", *options)
    assert result.exit_code == 0, result.output
    assert re.search(r"as scored \(sticky 0.25\) +failed in 2 of 2", result.stdout)
    with Image.open(played / "x.png") as picture:
        assert picture.width > 600
    assert cli(played, "card", "--picture", "x.bmp").exit_code == 2


def test_report_of_a_played_run(cli, played):
    result = cli(played, "report", "--clips", "0", "--json")
    assert result.exit_code == 0, result.output
    data = json.loads(result.stdout)
    path = played / "pong-first.html"
    assert data == {
        "path": str(path),
        "bytes": path.stat().st_size,
        "runs": [{"run": "gco/pong/first", "commit": git(played, "rev-parse", "HEAD"),
                  "iterations": 3}],
        "shortened": 0,
        "clips": 0,
        "traces": 2,
    }  # fmt: skip
    again = ("report", "first", "gco/pong/first", "--no-trace", "--clips", "0")
    assert cli(played, *again).exit_code == 0  # overwrites its own


def test_report_has_the_trace_of_the_last_failure_and_of_the_worst_episode(cli, played):
    result = cli(played, "report", "-o", "x.html", "--clips", "0")
    assert result.exit_code == 0, result.output
    text = html.unescape((played / "x.html").read_text("utf-8"))
    titles = re.findall(r"<summary>((?:Iteration|Worst)[^<]*)</summary>", text)
    assert re.fullmatch(r"Iteration 3 failed: policy-raised, seed \d+, step [\d,]+", titles[0])
    assert re.fullmatch(
        r"Worst episode of iteration 1, accepted: return -?\d+, seed \d+", titles[1]
    )
    assert "AttributeError" in text
    assert re.search(r"^step +Player y +.*action", text, re.MULTILINE)
    assert "this is another episode" not in text
    plain = cli(played, "report", "-o", "y.html", "--no-trace", "--clips", "0", "--json")
    assert json.loads(plain.stdout)["traces"] == 0
    assert "What went wrong last" not in (played / "y.html").read_text("utf-8")


def test_report_with_a_video_of_what_got_better(cli, played):
    pytest.importorskip("imageio_ffmpeg")
    data = json.loads(cli(played, "report", "--no-trace", "--json").stdout)
    assert data["clips"] == 1
    assert data["bytes"] < 5_000_000
    text = (played / "pong-first.html").read_text()
    assert re.search(
        r'"clips":\{"1":\["Seed 11\d+: the new policy gains (most, \+\d+ in|nothing;) steps',
        text,
    )
    with gco_agent.dashboard(played) as server:
        clip = server.dashboard.clip("gco/pong/first")
        assert clip[4:8] == b"ftyp"
        assert server.dashboard.clip("gco/pong/first") is clip  # filmed once


def test_report_goes_without_a_video_where_none_can_be_made(cli, played, monkeypatch):
    monkeypatch.setattr("gco_agent.report.video._has_ffmpeg", lambda: False)
    result = cli(played, "report", "--no-trace", "--json")
    assert json.loads(result.stdout)["clips"] == 0
    assert "so there is no video" in result.stderr
    assert cli(played, "report", "--clips", "1").exit_code == 2


def test_report_with_a_commit_by_hand(cli, played):
    commit_file(played, "policies/pong.py", FOLLOW.replace("< 3", "< 4"), "</script>by hand")
    plain = ("--no-trace", "--clips", "0")
    assert cli(played, "report", "-o", "x.html", *plain).exit_code == 0
    assert "</script>by hand" not in (played / "x.html").read_text()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("nosuch",), "there is no run 'nosuch'"),
        (("-o", "README.md"), "is not a report"),
        (("-o", "notes.md"), "is not a report"),
        (("-o", "nowhere/x.html"), "there is no folder"),
        (("first", "other"), "returns of different games cannot be compared (breakout, pong)"),
    ],
)
def test_what_cannot_be_reported(cli, played, arguments, message):
    git(played, "branch", "gco/breakout/other", "gco/pong/first")
    notes = played / "notes.md"
    notes.write_text("How to make a gco-agent report of a run\n")
    result = cli(played, "report", *arguments)
    assert result.exit_code == 2
    assert message in result.stderr
    assert notes.read_text().startswith("How to")


def test_a_run_that_was_killed_early_can_be_reported(cli, played):
    git(played, "switch", "--quiet", "main")
    first = git(played, "rev-list", "--first-parent", "gco/pong/first").splitlines()[-2]
    git(played, "branch", "gco/pong/early", first)
    result = cli(played, "report", "gco/pong/early", "-o", "x.html")
    assert result.exit_code == 0, result.output
    assert cli(played, "show", "early").exit_code == 0


def test_a_revision_where_no_run_is_checked_out(cli, played):
    git(played, "switch", "--quiet", "main")
    result = cli(played, "enjoy", "nosuch")
    assert result.exit_code == 2
    assert "nosuch is not a file" in result.stderr
    assert "main:policies/pong.py" in result.stderr


def test_there_is_no_run_here(cli, project):
    for command in ("report", "show", "watch", "enjoy", "card"):
        result = cli(project, command)
        assert result.exit_code == 2, command
        assert "Start one with `gco-agent run GAME`" in result.stderr


def test_conditions_of_another_protocol():
    from gco_agent.envs.atari import default_protocol

    names = conditions(default_protocol("freeway", 500))
    assert "ALE mode 3" in names
    assert "ALE mode 4" not in names
    three = conditions(default_protocol("pong", 300))["frame skip 3"]
    assert three.max_steps * three.frame_skip == 1200


@pytest.mark.parametrize("module", ["jinja2", "plotly.offline"])
def test_an_extra_that_is_missing_is_named(cli, played, monkeypatch, module):
    monkeypatch.setitem(sys.modules, module, None)
    result = cli(played, "report", "--no-trace", "--clips", "0", "--force", "-o", "x.html")
    assert result.exit_code == 2
    assert "gco-agent[report]" in result.stderr


def test_exports(cli, played, monkeypatch):
    pytest.importorskip("tensorboardX")
    pytest.importorskip("minari")
    data = json.loads(cli(played, "export", "tensorboard", "-o", "tb", "--json").stdout)
    assert data["scalars"] > 20
    result = cli(played, "export", "minari", "1", "--episodes", "2", *SHORT, "-o", "ds", "--json")
    data = json.loads(result.stdout)
    assert (data["id"], data["episodes"], data["steps"]) == ("pong/gco-agent-v0", 2, 48)
    again = cli(played, "export", "minari", "1", "--episodes", "1", *SHORT, "-o", "ds")
    assert again.exit_code == 2
    assert "choose another name or version" in again.stderr
    card = ("export", "model-card", "--episodes", "2", *SHORT)
    result = cli(played, *card)
    assert "## Origin" in result.stdout
    assert "- run `gco/pong/first`" in result.stdout
    assert cli(played, *card, "-o", "CARD.md").exit_code == 0
    assert (played / "CARD.md").read_text() == result.stdout
    assert "exists already" in cli(played, *card, "-o", "CARD.md").stderr
    assert "## Origin" not in cli(played, *card[:2], "policies/pong.py", *card[2:]).stdout
