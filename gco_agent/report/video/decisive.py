"""The moment at which one policy did better than another on the same seed, side by side."""

from __future__ import annotations

import contextlib
import itertools
import tempfile
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from gco_agent.core.records import PlayProtocol
from gco_agent.jail import JailLevel
from gco_agent.report.video.drawing import Overlay, beside, draw
from gco_agent.report.video.encoding import write_video
from gco_agent.report.video.film import Moment, film

FRAMES_A_SECOND = 15
_STEPS = 75
"""Of a clip: five seconds."""
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
    """Play two policies and keep the five seconds in which the second gained most on the first.

    They begin while both still play, within the first 3,000 steps. Where it never gains, the last
    seconds are kept.

    Raises:
        JailError: The jail cannot be built, or not as good as required.
        UsageError: ffmpeg is not installed.
    """
    with _together((before, after), rules, seed, require) as pairs:
        scores = [(a.total, b.total, bool(a.result or b.result)) for a, b in pairs]
    begin, gained = _best_stretch(scores)
    with _together((before, after), rules, seed, require) as pairs:  # too large to be kept
        moments = list(itertools.islice(pairs, begin, begin + _STEPS))
    left, right = moments[-1]
    where = f"steps {begin} to {begin + len(moments) - 1}"
    what = f"gains most, {gained:+g} in {where}" if gained > 0 else f"gains nothing; {where}"
    caption = (
        f"Seed {seed}: the new policy {what}; then {left.total:g} before, {right.total:g} after."
    )
    return Clip(caption, _encoded(moments))


def _best_stretch(scores: Sequence[tuple[float, float, bool]]) -> tuple[int, float]:
    """Where the stretch begins in which the second total gains most on the first, and how much.

    Args:
        scores: Both totals after every step, and whether one of the episodes is over.
    """
    leads = [second - first for first, second, _ in scores]
    last = len(leads) - 1
    n_together = next((n for n, (_, _, is_over) in enumerate(scores) if is_over), last)
    gains = [leads[min(n + _STEPS - 1, last)] - leads[n] for n in range(n_together + 1)]
    begin = max(range(len(gains)), key=gains.__getitem__)
    if gains[begin] <= 0:
        return max(0, last - _STEPS + 1), 0.0
    return begin, gains[begin]


@contextlib.contextmanager
def _together(
    texts: Sequence[str], rules: PlayProtocol, seed: int, require: JailLevel
) -> Iterator[Iterator[tuple[Moment, Moment]]]:
    """Both episodes side by side, so far as they are looked at."""
    films = [film(text, rules, seed, require=require) for text in texts]
    try:
        yield itertools.islice(_pairs(films), _MOST_STEPS)
    finally:
        for each in films:
            each.close()


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
