"""Pictures on a screen: the only door to pygame."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING

from gco_agent.core.errors import GcoError

if TYPE_CHECKING:
    from PIL import Image

_SCREENS = ("DISPLAY", "WAYLAND_DISPLAY")
_PAUSED_HZ = 20


def has_screen() -> bool:
    """Whether this session has a screen that a window could be on."""
    if sys.platform in ("darwin", "win32"):
        return True
    return any(os.environ.get(name) for name in _SCREENS)


def prepare_for_no_screen() -> None:
    """Where there is none, have what draws with pygame look for none: it would complain aloud."""
    if not has_screen():
        os.environ.setdefault("SDL_VIDEODRIVER", "dummy")


def show(pictures: Iterable[Image.Image], title: str, frames_per_second: float) -> bool:
    """Show pictures in a window: space pauses, the right arrow goes one on, q or Escape leaves.

    Returns:
        Whether all were shown.

    Raises:
        GcoError: No window can be opened.
    """
    os.environ.setdefault("PYGAME_HIDE_SUPPORT_PROMPT", "1")
    import pygame

    try:
        pygame.display.init()
        return _show(pictures, title, frames_per_second)
    except pygame.error as error:
        raise GcoError(f"no window: {error}. `--video FILE` keeps the episode instead.") from error
    finally:
        pygame.quit()


def _show(pictures: Iterable[Image.Image], title: str, frames_per_second: float) -> bool:
    import pygame

    clock = pygame.time.Clock()
    window: pygame.Surface | None = None
    keys = _Keys()
    for picture in pictures:
        if window is None:
            window = pygame.display.set_mode(picture.size)
            pygame.display.set_caption(title)
        window.blit(pygame.image.frombytes(picture.tobytes(), picture.size, "RGB"), (0, 0))
        pygame.display.flip()
        clock.tick(frames_per_second)
        keys.read()
        while keys.is_paused and not keys.wants_out and not keys.wants_one:
            clock.tick(_PAUSED_HZ)
            keys.read()
        if keys.wants_out:
            return False
    return True


class _Keys:
    """What the person at the keyboard wants."""

    def __init__(self) -> None:
        self.is_paused = self.wants_out = self.wants_one = False

    def read(self) -> None:
        """Take in what was pressed since the last call."""
        import pygame

        self.wants_one = False
        for event in pygame.event.get():
            if event.type == pygame.QUIT:
                self.wants_out = True
            if event.type != pygame.KEYDOWN:
                continue
            if event.key in (pygame.K_q, pygame.K_ESCAPE):
                self.wants_out = True
            elif event.key == pygame.K_SPACE:
                self.is_paused = not self.is_paused
            elif event.key == pygame.K_RIGHT:
                self.wants_one = True
