"""Episodes to look at: what is played, what is drawn, and the files that come out."""

from __future__ import annotations

import itertools
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageSequence

from gco_agent.core.errors import GcoError, UsageError
from gco_agent.core.records import EpisodeResult, Outcome
from gco_agent.envs.atari import default_protocol
from gco_agent.envs.environment import make_protocol
from gco_agent.evaluation.episode import Rollout, play_episodes
from gco_agent.jail import JailLimits
from gco_agent.report.drawing import Overlay, beside, draw
from gco_agent.report.film import Moment, film, has_screen
from gco_agent.report.video import (
    FORMATS,
    _best_segment,
    clip_scale,
    film_decision,
    require_format,
    show,
    write_video,
)
from tests.cli.scripted import FOLLOW, RAISES

RULES = default_protocol("pong", 90)
ROW = (20, 40, 6, 8, 3, -2, None, None, None)


def moment(**changed) -> Moment:
    values: dict[str, Any] = {
        "step": 7,
        "frame": np.zeros((210, 160, 3), np.uint8),
        "rows": {"Ball": [ROW]},
        "lives": 3,
        "total": 4.0,
        "action": "RIGHT",
        **changed,
    }
    return Moment(**values)


def test_a_film_is_the_episode_that_is_scored():
    moments = list(film(FOLLOW, RULES, 3))
    scored = play_episodes(Rollout(FOLLOW, (3,), RULES))[0]
    assert moments[-1].result == scored
    assert [m.step for m in moments] == list(range(91))
    assert all(m.result is None and m.action for m in moments[:-1])
    assert moments[-1].action == ""
    assert moments[-1].total == scored.episode_return
    shapes = {m.frame.shape for m in moments}
    assert shapes == {(210, 160, 3)}
    assert not np.array_equal(moments[0].frame, moments[80].frame)


def test_a_film_of_any_environment_is_the_episode_that_is_scored():
    rules = make_protocol("default", "CartPole-v1")
    text = "class Policy:\n    def act(self, obs):\n        return int(obs[2] + obs[3] > 0)\n"
    scored = play_episodes(Rollout(text, (3,), rules))[0]
    moments = list(film(text, rules, 3))
    assert moments[-1].result == scored
    assert len({m.frame.shape for m in moments}) == 1
    assert {m.action for m in moments[:-1]} == {"LEFT", "RIGHT"}
    assert isinstance(moments[0].raw, np.ndarray)
    assert moments[0].raw.shape == (4,)
    assert draw(moments[0], Overlay(scale=1, objects=True)).size[0] == moments[0].frame.shape[1]


def test_what_the_policy_sees_is_where_the_frame_has_it():
    ball = next(m for m in film(FOLLOW, RULES, 3) if m.rows.get("Ball") and m.step > 70)
    x, y, w, h = ball.rows["Ball"][0][:4]
    inside = ball.frame[y : y + h, x : x + w].reshape(-1, 3)
    assert (inside == (236, 236, 236)).all()


@pytest.mark.parametrize(
    ("text", "outcome"),
    [
        (RAISES, Outcome.POLICY_RAISED),
        ("def act(obs):\n    while True: pass\n", Outcome.TIMED_OUT),
        ("raise OSError('at import')\n", Outcome.POLICY_RAISED),
        ("def act(obs):\n    return 99\n", Outcome.BAD_ACTION),
    ],
)
def test_a_policy_that_fails_is_shown_up_to_there(text, outcome):
    *before, last = film(text, RULES, 3, limits=JailLimits(step_seconds=0.3))
    assert last.result is not None
    assert last.result.outcome is outcome
    assert last.result.n_steps == len(before) == last.step
    assert last.result.detail


def test_a_film_that_nobody_sees_to_its_end_leaves_no_process(recwarn):
    started = film(FOLLOW, RULES, 3)
    next(started)
    started.close()
    assert not [w for w in recwarn if w.category is ResourceWarning]


def test_the_picture_is_the_screen_with_a_strip_below():
    plain = draw(moment(frame=np.full((210, 160, 3), 77, np.uint8)), Overlay(status=False))
    assert plain.size == (480, 630)
    assert plain.getcolors() == [(480 * 630, (77, 77, 77))]
    told = draw(moment(), Overlay(), "policies/pong.py")
    assert told.size[0] == 480
    assert all(side % 2 == 0 for side in told.size)
    for scale in range(1, 9):
        assert all(side % 2 == 0 for side in draw(moment(), Overlay(scale=scale)).size)


def test_boxes_and_velocities_are_where_the_objects_are():
    empty = draw(moment(), Overlay(status=False))
    boxes = np.asarray(draw(moment(), Overlay(objects=True, status=False)))
    arrows = np.asarray(draw(moment(), Overlay(velocities=True, status=False)))
    assert np.asarray(empty).max() == 0
    assert boxes[40 * 3 - 1, 20 * 3].any()  # the upper edge
    assert not boxes[40 * 3 + 9, 20 * 3 + 9].any()  # not the inside
    end_x, end_y = (23 + 4 * 3) * 3, (44 - 4 * 2) * 3
    assert arrows[end_y, end_x].any()
    still = moment(rows={"Ball": [(*ROW[:4], 0, 0, *ROW[6:])]})
    assert not np.asarray(draw(still, Overlay(velocities=True, status=False))).any()


def test_an_end_that_is_a_failure_looks_other_than_one_that_is_not():
    ends = [
        np.asarray(draw(moment(action="", result=EpisodeResult(1, 4.0, 7, outcome)), Overlay()))
        for outcome in (Outcome.GAME_OVER, Outcome.DIED)
    ]
    assert not np.array_equal(ends[0], ends[1])


def test_side_by_side():
    one = draw(moment(), Overlay(), "a" * 500)
    assert beside([one]) is one
    both = beside([one, one])
    assert both.height == one.height
    assert both.width >= 2 * one.width
    assert both.width % 2 == 0


def pictures(n: int) -> list[Image.Image]:
    return [Image.new("RGB", (64, 48), (i * 9 % 256, 80, 200 - i)) for i in range(n)]


def test_the_clip_is_of_the_seconds_in_which_most_was_gained(tmp_path):
    imageio_ffmpeg = pytest.importorskip("imageio_ffmpeg")
    texts = ("def act(obs):\n    return 3\n", FOLLOW)
    rules = default_protocol("pong", 400)
    caption, mp4 = film_decision(*texts, rules, 3)
    idle, follower = ([m.total for m in film(text, rules, 3)] for text in texts)
    leads = [b - a for a, b in zip(idle, follower, strict=True)]
    gains = [leads[min(n + 74, 400)] - leads[n] for n in range(401)]
    begin = gains.index(max(gains))
    assert max(gains) > 0
    told = f"Seed 3: the new policy gains most, {max(gains):+g} in steps {begin} to {begin + 74};"
    assert caption.startswith(told)
    (tmp_path / "x.mp4").write_bytes(mp4)
    n, seconds = imageio_ffmpeg.count_frames_and_secs(tmp_path / "x.mp4")
    assert n == 75
    assert seconds == pytest.approx(5, abs=0.1)


def test_a_page_does_not_shrink_the_words_in_a_clip() -> None:
    assert [clip_scale(width) for width in (160, 320, 600)] == [2, 2, 1]


def test_a_clip_of_two_that_play_alike_is_of_the_end():
    pytest.importorskip("imageio_ffmpeg")
    caption, _ = film_decision(FOLLOW, FOLLOW, default_protocol("pong", 100), 3)
    assert caption.startswith("Seed 3: the new policy gains nothing; steps 26 to 100;")
    short, _ = film_decision(FOLLOW, FOLLOW, default_protocol("pong", 20), 3)
    assert "steps 0 to 20;" in short


@pytest.mark.parametrize(
    ("scores", "expected"),
    [
        ([(0, n // 50, False) for n in range(300)], (50 - 24, 2)),
        # what comes after the end of one of them counts only from before it on
        ([(0, 0, False)] * 100 + [(0, 9 * (n > 200), True) for n in range(100, 400)], (325, 0)),
        ([(0, 0, False)] * 100 + [(0, 9 * (n > 150), True) for n in range(100, 400)], (77, 9)),
        ([(5, 0, False)] * 10, (0, 0)),
    ],
)
def test_the_best_segment_begins_while_both_play(scores, expected):
    assert _best_segment(scores) == expected


@pytest.mark.parametrize("suffix", [".gif", ".webp"])
def test_animations(tmp_path, suffix):
    path = tmp_path / f"x{suffix}"
    write_video(path, iter(pictures(12)), 15)
    with Image.open(path) as animation:
        frames = [frame.convert("RGB") for frame in ImageSequence.Iterator(animation)]
        assert len(frames) == 12
        assert animation.info["loop"] == 0
        assert animation.info["duration"] in (60, 66, 67, 70)
    near = np.abs(np.asarray(frames[5], int) - np.asarray(pictures(6)[5], int))
    assert near.max() <= 8
    assert list(tmp_path.iterdir()) == [path]


def test_mp4(tmp_path):
    imageio_ffmpeg = pytest.importorskip("imageio_ffmpeg")
    path = tmp_path / "x.mp4"
    write_video(path, iter(pictures(30)), 15)
    decode = [
        imageio_ffmpeg.get_ffmpeg_exe(),
        "-i",
        path,
        "-f",
        "rawvideo",
        "-pix_fmt",
        "rgb24",
        "-",
    ]
    done = subprocess.run(decode, check=True, capture_output=True)
    about = done.stderr.decode()
    assert all(word in about for word in ("h264", "yuv420p", "64x48", "15 fps"))
    frames = np.frombuffer(done.stdout, np.uint8).reshape(-1, 48, 64, 3)
    assert len(frames) == 30
    assert np.abs(frames[10].astype(int) - np.asarray(pictures(11)[10], int)).max() < 12
    assert list(tmp_path.iterdir()) == [path]


def test_nothing_is_left_of_a_video_that_was_broken_off(tmp_path):
    def breaks():
        yield from pictures(2)
        raise KeyboardInterrupt

    for suffix in FORMATS:
        with pytest.raises(KeyboardInterrupt):
            write_video(tmp_path / f"x{suffix}", breaks(), 15)
    assert list(tmp_path.iterdir()) == []


def test_what_cannot_be_written_is_told_before_anything_is_played(tmp_path, monkeypatch):
    (tmp_path / "folder.gif").mkdir()
    for name, message in (
        ("x.avi", "x.avi does not end in .mp4, .gif, .webp"),
        ("nowhere/x.gif", "there is no folder"),
        ("folder.gif", "is a folder"),
    ):
        with pytest.raises(UsageError, match=message):
            require_format(tmp_path / name)
    monkeypatch.setitem(sys.modules, "imageio_ffmpeg", None)
    with pytest.raises(UsageError, match=r"mp4 needs ffmpeg.*gco-agent\[video\]"):
        require_format(tmp_path / "x.mp4")
    require_format(tmp_path / "x.gif")


def test_a_window_shows_them_all(monkeypatch):
    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")
    assert show(pictures(5), "x", 200)


def test_keys_pause_step_and_leave(monkeypatch):
    pygame = pytest.importorskip("pygame")
    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")
    presses = itertools.chain(
        [[pygame.K_SPACE], [], [pygame.K_RIGHT], [], [pygame.K_SPACE], [pygame.K_q]],
        itertools.repeat([]),
    )

    def events():
        return [pygame.event.Event(pygame.KEYDOWN, key=key) for key in next(presses)]

    monkeypatch.setattr(pygame.event, "get", events)
    seen = []

    def noted():
        for picture in pictures(100):
            seen.append(picture)
            yield picture

    assert not show(noted(), "x", 200)
    assert len(seen) == 3


def test_where_there_is_no_screen(monkeypatch):
    monkeypatch.setattr(sys, "platform", "linux")
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    assert not has_screen()
    monkeypatch.setenv("SDL_VIDEODRIVER", "x11")
    with pytest.raises(GcoError, match="--video FILE"):
        show(pictures(1), "x", 10)
    monkeypatch.setenv("WAYLAND_DISPLAY", "wayland-0")
    assert has_screen()
