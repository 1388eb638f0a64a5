"""The moment at which one policy did better than another on the same seed, side by side."""

from __future__ import annotations

import itertools
import tempfile
from collections import deque
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from gco_agent.jail import JailLevel
from gco_agent.records import PlayProtocol
from gco_agent.video.drawing import Overlay, beside, draw
from gco_agent.video.encoding import write_video
from gco_agent.video.film import Moment, film

FRAMES_A_SECOND = 15
_STEPS_BEFORE, _STEPS_AFTER = 45, 30
_MOST_STEPS = 3_000
_OVERLAY = Overlay(objects=True, scale=2)


@dataclass(frozen=True, slots=True)
class Clip:
    """A few seconds of two episodes on one seed.

    Attributes:
        caption: What it shows, in a sentence.
        mp4: The video.
    """

    caption: str
    mp4: bytes


def film_decision(
    before: str, after: str, rules: PlayProtocol, seed: int, require: JailLevel = JailLevel.NONE
) -> Clip:
    """Play two policies until their returns first differ, and keep the seconds round it.

    Where they do not differ within 3,000 steps, the last seconds are kept.

    Raises:
        JailError: The jail cannot be built, or not as good as required.
        UsageError: ffmpeg is not installed.
    """
    films = [film(text, rules, seed, require=require) for text in (before, after)]
    try:
        moments, decided_at = _round_the_decision(films)
    finally:
        for each in films:
            each.close()
    left, right = moments[-1]
    at = f"returns first differ at step {decided_at}" if decided_at is not None else "no difference"
    caption = (
        f"Seed {seed}: {at}; at the end of the clip {left.total:g} before, {right.total:g} after."
    )
    return Clip(caption, _encoded(moments))


def _round_the_decision(
    films: Sequence[Generator[Moment, None, None]],
) -> tuple[list[tuple[Moment, Moment]], int | None]:
    """The moments round the first difference of the returns, and its step."""
    kept: deque[tuple[Moment, Moment]] = deque(maxlen=_STEPS_BEFORE + _STEPS_AFTER)
    decided_at, left = None, _STEPS_AFTER
    for pair in itertools.islice(_pairs(films), _MOST_STEPS):
        kept.append(pair)
        if decided_at is None and pair[0].total != pair[1].total:
            decided_at = max(moment.step for moment in pair)
        if decided_at is not None:
            left -= 1
            if left <= 0:
                break
    return list(kept), decided_at


def _pairs(films: Sequence[Generator[Moment, None, None]]) -> Iterator[tuple[Moment, Moment]]:
    """Both films in step; the end of the shorter one is held."""
    first, second = (next(each) for each in films)
    yield first, second
    while first.result is None or second.result is None:
        first = next(films[0]) if first.result is None else first
        second = next(films[1]) if second.result is None else second
        yield first, second


def _encoded(moments: Sequence[tuple[Moment, Moment]]) -> bytes:
    def picture(pair: tuple[Moment, Moment]) -> Image.Image:
        titles = ("before", "after")
        return beside([draw(m, _OVERLAY, t) for m, t in zip(pair, titles, strict=True)])

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "clip.mp4"
        write_video(path, map(picture, moments), FRAMES_A_SECOND)
        return path.read_bytes()
