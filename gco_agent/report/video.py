"""Show episodes: in a window, in a file (mp4, gif, webp), and as short clips for a report.

The only module that imports imageio_ffmpeg and pygame, lazily; both are in the extra ``video``.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from PIL import Image, features

from gco_agent.core.errors import GcoError, UsageError, how_to_install
from gco_agent.core.files import new_file, work_tree_of
from gco_agent.core.records import EpisodeResult, PlayProtocol
from gco_agent.core.text import clean_line
from gco_agent.jail import JailLevel
from gco_agent.loop.checks import require_trusted, rules_here
from gco_agent.policy.source import PolicySource
from gco_agent.report.drawing import Overlay, beside, draw
from gco_agent.report.film import Moment, film, play_together
from gco_agent.store.config import RunConfig
from gco_agent.store.view import RunView, Trial

FORMATS = (".mp4", ".gif", ".webp")
_GIF_COLOURS = 128
_FRAMES_PER_SECOND = 60
_END_SECONDS = 1.0
_PAUSED_HZ = 20
_CLIP_FRAMES_PER_SECOND = 15
_CLIP_STEPS = 75
_CLIP_MOST_STEPS = 3_000
_CLIP_MOST_PX = 640


@dataclass(slots=True)
class Scenes:
    """Episodes of one policy, or of two side by side, as pictures."""

    policies: Sequence[tuple[str, PolicySource]]
    protocols: Sequence[PlayProtocol]
    seeds: range
    require: JailLevel
    overlay: Overlay
    every: int = 1
    results: list[tuple[str, EpisodeResult]] = field(default_factory=list)
    n_pictures: int = 0

    @property
    def frames_per_second(self) -> float:
        """Steps per second of the console; without a console, 30."""
        skip = self.protocols[0].frame_skip
        return _FRAMES_PER_SECOND / (skip if skip > 1 else 2)

    @property
    def title(self) -> str:
        """Title of a window."""
        return " against ".join(clean_line(name) for name, _ in self.policies)

    def pictures(self) -> Iterator[Image.Image]:
        """Play the episodes and yield their pictures; the end of an episode is shown longer."""
        titles = [name if len(self.policies) > 1 else "" for name, _ in self.policies]
        for seed in self.seeds:
            films = [
                film(source.text, rules, seed, require=self.require)
                for (_, source), rules in zip(self.policies, self.protocols, strict=True)
            ]
            for number, moments in enumerate(play_together(films)):
                is_end = all(moment.result is not None for moment in moments)
                if number % self.every and not is_end:
                    continue
                both = zip(moments, titles, strict=True)
                last = beside([draw(moment, self.overlay, title) for moment, title in both])
                self.n_pictures += 1
                yield last
            for (name, _), moment in zip(self.policies, moments, strict=True):
                assert moment.result is not None
                self.results.append((name, moment.result))
            for _ in range(max(1, round(_END_SECONDS * self.frames_per_second))):
                self.n_pictures += 1
                yield last


def film_decision(
    before: str, after: str, rules: PlayProtocol, seed: int, require: JailLevel = JailLevel.NONE
) -> tuple[str, bytes]:
    """Film the five seconds in which the second policy gains most on the first.

    They begin while both still play, within the first 3,000 steps. If it never gains, the last
    seconds are shown.

    Returns:
        A caption, and the mp4 file.
    """

    @contextlib.contextmanager
    def playing(*, is_seen: bool = True) -> Iterator[Iterator[list[Moment]]]:
        with contextlib.ExitStack() as stack:
            films = [
                film(text, rules, seed, require=require, is_seen=is_seen)
                for text in (before, after)
            ]
            for each in films:
                stack.enter_context(contextlib.closing(each))
            yield itertools.islice(play_together(films), _CLIP_MOST_STEPS)

    with playing(is_seen=False) as pairs:
        scores = [(a.total, b.total, bool(a.result or b.result)) for a, b in pairs]
    begin, gained = _best_segment(scores)
    with playing() as pairs:  # again: the pictures of a whole episode need too much memory
        moments = list(itertools.islice(pairs, begin, begin + _CLIP_STEPS))
    left, right = moments[-1]
    where = f"steps {begin} to {begin + len(moments) - 1}"
    what = f"gains most, {gained:+g} in {where}" if gained > 0 else f"gains nothing; {where}"
    caption = (
        f"Seed {seed}: the new policy {what}; then {left.total:g} before, {right.total:g} after."
    )
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "clip.mp4"
        overlay = Overlay(objects=True, scale=clip_scale(left.frame.shape[1]))
        pictures = (
            beside([draw(a, overlay, "before"), draw(b, overlay, "after")]) for a, b in moments
        )
        write_video(path, pictures, _CLIP_FRAMES_PER_SECOND)
        return caption, path.read_bytes()


def clip_scale(width: int) -> int:
    """Return the magnification of a clip, so that a page need not shrink the words in it."""
    return 2 if 2 * width <= _CLIP_MOST_PX else 1


def film_gain(
    view: RunView, config: RunConfig, trial: Trial, require: JailLevel = JailLevel.NONE
) -> tuple[str, bytes] | None:
    """Film an accepted candidate beside its parent, on the seed of its race where it gained most.

    Returns:
        As `film_decision`; None if there was no race.
    """
    require_trusted(view.repo, config.protocol, view.ref.branch)
    (details,) = view.details([trial])
    gains = [(p.difference, p.seed) for p in details.played if p.difference is not None]
    if not gains or details.after is None:
        return None
    rules = rules_here(config.selection_protocol)
    return film_decision(details.before, details.after, rules, max(gains)[1], require)


def _best_segment(scores: Sequence[tuple[float, float, bool]]) -> tuple[int, float]:
    """Return where the second total gains most on the first, and how much.

    Args:
        scores: Both totals after every step, and whether one of the episodes is over.
    """
    leads = [second - first for first, second, _ in scores]
    last = len(leads) - 1
    n_together = next((n for n, (_, _, is_over) in enumerate(scores) if is_over), last)
    gains = [leads[min(n + _CLIP_STEPS - 1, last)] - leads[n] for n in range(n_together + 1)]
    begin = max(range(len(gains)), key=gains.__getitem__)
    if gains[begin] <= 0:
        return max(0, last - _CLIP_STEPS + 1), 0.0
    return begin, gains[begin]


# -- files -----------------------------------------------------------------------------------------


def require_format(path: Path) -> None:
    """Check, before anything is played, that a video can be written to ``path``."""
    suffix = path.suffix.lower()
    if suffix not in FORMATS:
        raise UsageError(f"{path.name} does not end in {', '.join(FORMATS)}")
    if not path.parent.is_dir():
        raise UsageError(f"there is no folder {path.parent}")
    if path.is_dir():
        raise UsageError(f"{path} is a folder")
    if suffix == ".mp4" and not _has_ffmpeg():
        raise UsageError(
            f"mp4 needs ffmpeg: {how_to_install('video')}; or name a .gif or .webp file"
        )
    if suffix == ".webp" and not features.check("webp"):
        raise UsageError("this Pillow was built without webp: name a .gif or an .mp4 file")


def write_video(path: Path, pictures: Iterable[Image.Image], frames_per_second: float) -> None:
    """Write pictures of one size as a video; the file appears whole or not at all.

    Args:
        frames_per_second: Speed; gif rounds it to hundredths of a second.
    """
    require_format(path)
    write = _write_mp4 if path.suffix.lower() == ".mp4" else _write_animation
    try:
        with new_file(path, root=work_tree_of(path)) as file:
            write(Path(file.name), iter(pictures), frames_per_second)
    except OSError as error:
        raise GcoError(f"cannot write {path}: {error.strerror or error}") from error


def _has_ffmpeg() -> bool:
    try:
        import imageio_ffmpeg

        imageio_ffmpeg.get_ffmpeg_exe()
    except (ImportError, RuntimeError):
        return False
    return True


def _write_mp4(path: Path, pictures: Iterator[Image.Image], frames_per_second: float) -> None:
    """Write H.264 in 4:2:0, which every browser and player shows."""
    import imageio_ffmpeg

    first = next(pictures)
    writer = imageio_ffmpeg.write_frames(
        path,
        first.size,
        fps=frames_per_second,
        codec="libx264",
        macro_block_size=2,
        output_params=["-crf", "18", "-preset", "veryfast", "-movflags", "+faststart"],
        ffmpeg_log_level="error",
    )
    writer.send(None)
    try:
        for picture in itertools.chain([first], pictures):
            writer.send(picture.tobytes())
    finally:
        writer.close()


def _write_animation(path: Path, pictures: Iterator[Image.Image], frames_per_second: float) -> None:
    options: dict[str, Any] = {"lossless": True, "quality": 40, "method": 2}
    if path.suffix.lower() == ".gif":
        pictures = (p.quantize(_GIF_COLOURS, dither=Image.Dither.NONE) for p in pictures)
        options = {}
    first = next(pictures)
    duration = round(1000 / frames_per_second)
    with path.open("wb") as file:
        first.save(
            file,
            path.suffix.removeprefix("."),
            save_all=True,
            append_images=pictures,
            duration=duration,
            loop=0,
            **options,
        )


# -- windows ---------------------------------------------------------------------------------------


def show(pictures: Iterable[Image.Image], title: str, frames_per_second: float) -> bool:
    """Show pictures in a window: space pauses, the right arrow steps, q or Escape quits."""
    os.environ.setdefault("PYGAME_HIDE_SUPPORT_PROMPT", "1")
    import pygame

    try:
        pygame.display.init()
        return _show(pictures, title, frames_per_second)
    except pygame.error as error:
        raise GcoError(f"cannot open a window: {error}. Use --video FILE.") from error
    finally:
        pygame.quit()


def _show(pictures: Iterable[Image.Image], title: str, frames_per_second: float) -> bool:
    import pygame

    clock = pygame.time.Clock()
    window: pygame.Surface | None = None
    is_paused = False
    for picture in pictures:
        if window is None:
            window = pygame.display.set_mode(picture.size)
            pygame.display.set_caption(title)
        window.blit(pygame.image.frombytes(picture.tobytes(), picture.size, "RGB"), (0, 0))
        pygame.display.flip()
        clock.tick(frames_per_second)
        while True:
            keys = _pressed_keys()
            if keys & {pygame.K_q, pygame.K_ESCAPE}:
                return False
            is_paused ^= pygame.K_SPACE in keys
            if not is_paused or pygame.K_RIGHT in keys:
                break
            clock.tick(_PAUSED_HZ)
    return True


def _pressed_keys() -> set[int]:
    """Return the keys pressed since the last call; closing the window counts as Escape."""
    import pygame

    events = pygame.event.get()
    closed = {pygame.K_ESCAPE for event in events if event.type == pygame.QUIT}
    return closed | {event.key for event in events if event.type == pygame.KEYDOWN}
