"""Files of a report, a card or a video are not written through links that a repository brings."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from gco_agent.core.errors import FileRefused
from gco_agent.core.records import EpisodeResult, Evaluation, Outcome
from gco_agent.envs.atari import default_protocol
from gco_agent.report.export import Trajectory, write_dataset, write_scalars
from gco_agent.report.page import PageRun, write_page
from gco_agent.report.pictures import draw_card
from gco_agent.report.robustness import Line
from gco_agent.report.video import write_video
from gco_agent.store.view import RunView

SECRET = "the owner's own\n"
EPISODE = EpisodeResult(1, 0.0, 2, Outcome.GAME_OVER)


def page(view: RunView, to: Path) -> None:
    write_page(to / "x.html", [PageRun.read(view)])


def card(_: RunView, to: Path) -> None:
    draw_card([Line("as scored", Evaluation((EPISODE,), "rules"), None)], "x", to / "x.svg")


def video(view: RunView, to: Path) -> None:
    write_video(to / "x.gif", [Image.new("RGB", (4, 4))], 10)


def events(view: RunView, to: Path) -> None:
    pytest.importorskip("tensorboardX")
    write_scalars(view, to)


def dataset(view: RunView, to: Path) -> None:
    pytest.importorskip("minari")
    one = Trajectory(EPISODE, np.zeros((3, 128), np.uint8), np.zeros(2, np.int64), np.zeros(2))
    write_dataset([one], "x-v0", to, default_protocol("pong", 3), "")


WRITERS = (page, card, video, events, dataset)


@pytest.mark.parametrize("write", WRITERS)
def test_a_folder_that_is_a_link_is_refused(write: Callable[[RunView, Path], None], view, tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    clone = tmp_path / "clone"
    (clone / ".git").mkdir(parents=True)
    (clone / "folder").symlink_to(outside)
    with pytest.raises(FileRefused):
        write(view, clone / "folder")
    assert list(outside.iterdir()) == []


@pytest.mark.parametrize("write", [page, card, video])
def test_a_file_that_is_a_link_is_refused(write: Callable[[RunView, Path], None], view, tmp_path):
    secret = tmp_path / "secret"
    secret.write_text(SECRET)
    clone = tmp_path / "clone"
    (clone / ".git").mkdir(parents=True)
    for suffix in (".html", ".svg", ".gif"):
        (clone / f"x{suffix}").symlink_to(secret)
    with pytest.raises(FileRefused):
        write(view, clone)
    assert secret.read_text() == SECRET
    assert all(path.is_symlink() for path in clone.glob("x.*"))


@pytest.mark.parametrize("write", WRITERS)
def test_without_links_it_is_written(write: Callable[[RunView, Path], None], view, tmp_path):
    (tmp_path / ".git").mkdir()
    write(view, tmp_path)
    assert any(path.name != ".git" for path in tmp_path.iterdir())
