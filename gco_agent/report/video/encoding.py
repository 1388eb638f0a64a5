"""Pictures to a file: mp4 by ffmpeg, gif and webp by Pillow.

The only module that imports imageio_ffmpeg, lazily: it is in the extra ``video``.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from pathlib import Path

from PIL import Image, features

from gco_agent.core.errors import GcoError, UsageError

FORMATS = (".mp4", ".gif", ".webp")
_MS_A_SECOND = 1000
_GIF_COLOURS = 128


def require_format(path: Path) -> None:
    """Find out before anything is played that ``path`` cannot be written.

    Raises:
        UsageError: Its name ends in no format that is known, its folder is not there, or what
            writes the format is not installed.
    """
    suffix = path.suffix.lower()
    if suffix not in FORMATS:
        raise UsageError(f"{path.name} ends in none of {', '.join(FORMATS)}")
    if not path.parent.is_dir():
        raise UsageError(f"there is no folder {path.parent}")
    if path.is_dir():
        raise UsageError(f"{path} is a folder")
    if suffix == ".mp4" and not _has_ffmpeg():
        raise UsageError(
            "mp4 needs ffmpeg, which the extra brings: pip install 'gco-agent[video]'. "
            "A name that ends in .gif or .webp needs nothing more."
        )
    if suffix == ".webp" and not features.check("webp"):
        raise UsageError("this Pillow was built without webp: name a .gif or an .mp4 file")


def write_video(path: Path, pictures: Iterable[Image.Image], frames_per_second: float) -> int:
    """Write pictures of one size as a video; how many there were.

    The file is there whole or not at all, whatever happens meanwhile.

    Args:
        path: Ends in one of `FORMATS`.
        pictures: At least one.
        frames_per_second: Of the film; gif knows hundredths of a second only.

    Raises:
        UsageError: As `require_format`.
        GcoError: The file could not be written.
    """
    require_format(path)
    counted = _Counted(pictures)
    beside = path.with_name(f".{path.stem}.part{path.suffix}")
    write = _write_mp4 if path.suffix.lower() == ".mp4" else _write_animation
    try:
        write(beside, counted, frames_per_second)
        beside.replace(path)
    except OSError as error:
        raise GcoError(f"cannot write {path}: {error.strerror or error}") from error
    finally:
        beside.unlink(missing_ok=True)
    return counted.n


class _Counted:
    """An iterable that knows how many it gave."""

    def __init__(self, pictures: Iterable[Image.Image]) -> None:
        self._pictures, self.n = pictures, 0

    def __iter__(self) -> Iterator[Image.Image]:
        for picture in self._pictures:
            self.n += 1
            yield picture


def _has_ffmpeg() -> bool:
    try:
        import imageio_ffmpeg

        imageio_ffmpeg.get_ffmpeg_exe()
    except (ImportError, RuntimeError):
        return False
    return True


def _write_mp4(path: Path, pictures: Iterable[Image.Image], frames_per_second: float) -> None:
    """H.264 in 4:2:0, which every browser and player shows."""
    import imageio_ffmpeg

    left = iter(pictures)
    first = next(left)
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
        for picture in itertools.chain([first], left):
            writer.send(picture.tobytes())
    finally:
        writer.close()


def _write_animation(path: Path, pictures: Iterable[Image.Image], frames_per_second: float) -> None:
    is_gif = path.suffix.lower() == ".gif"
    left = (_with_few_colours(p) if is_gif else p for p in pictures)
    first = next(left)
    with path.open("wb") as file:
        first.save(
            file,
            "GIF" if is_gif else "WEBP",
            save_all=True,
            append_images=left,
            duration=round(_MS_A_SECOND / frames_per_second),
            loop=0,
            **({} if is_gif else {"lossless": True, "quality": 40, "method": 2}),
        )


def _with_few_colours(picture: Image.Image) -> Image.Image:
    return picture.quantize(_GIF_COLOURS, dither=Image.Dither.NONE)
