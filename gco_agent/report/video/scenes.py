"""Episodes of one policy, or of two side by side, as pictures."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace

from PIL.Image import Image

from gco_agent.core.records import EpisodeResult, PlayProtocol
from gco_agent.core.text import clean_line
from gco_agent.jail.limits import JailLevel
from gco_agent.policy import PolicySource
from gco_agent.report.video.code import SidePanel
from gco_agent.report.video.drawing import Overlay, beside, draw
from gco_agent.report.video.film import Moment, film
from gco_agent.report.video.predicted import component_names

_FRAMES_A_SECOND = 60
_LAST_PICTURE_S = 1.0
"""How long the end of an episode stays."""


@dataclass(slots=True)
class Scenes:
    """Episodes to be shown, one seed after the other.

    Attributes:
        policies: Name and text of each policy, side by side.
        protocols: The rules that each is played by.
        seeds: The episodes.
        require: The jail must be at least this strong.
        overlay: What is drawn over the screen.
        has_code: Show the text of each policy beside it.
        every: Of how many steps one is shown.
        results: Name and result of each episode that was shown.
        n_pictures: How many pictures there were.
    """

    policies: Sequence[tuple[str, PolicySource]]
    protocols: Sequence[PlayProtocol]
    seeds: range
    require: JailLevel
    overlay: Overlay
    has_code: bool = False
    every: int = 1
    results: list[tuple[str, EpisodeResult]] = field(default_factory=list)
    n_pictures: int = 0

    @property
    def frames_per_second(self) -> float:
        """Steps a second, as the console plays them; without a console, half as many frames."""
        skip = self.protocols[0].frame_skip
        return _FRAMES_A_SECOND / (skip if skip > 1 else 2)

    @property
    def is_recorded(self) -> bool:
        """Whether the calls of the policies are needed."""
        return self.has_code or self.overlay.places

    @property
    def title(self) -> str:
        """Title for a window."""
        return " against ".join(clean_line(name) for name, _ in self.policies)

    def pictures(self) -> Iterator[Image]:
        """Play and yield the pictures; where one of two policies ends first, its end stays."""
        for picture in self._pictures():
            self.n_pictures += 1
            yield picture

    def _pictures(self) -> Iterator[Image]:
        linger = max(1, round(_LAST_PICTURE_S * self.frames_per_second))
        views = [_View(name, source, self) for name, source in self.policies]
        for seed in self.seeds:
            films = [
                film(
                    source.text,
                    rules,
                    seed,
                    require=self.require,
                    is_recorded=self.is_recorded,
                )
                for (_, source), rules in zip(self.policies, self.protocols, strict=True)
            ]
            last: Image | None = None
            for number, moments in enumerate(_together(films)):
                is_end = all(moment.result is not None for moment in moments)
                if number % self.every and not is_end:
                    continue
                last = beside([view.draw(m) for view, m in zip(views, moments, strict=True)])
                yield last
                if is_end:
                    for (name, _), moment in zip(self.policies, moments, strict=True):
                        if moment.result is not None:
                            self.results.append((name, moment.result))
            if last is not None:
                yield from itertools.repeat(last, linger)


class _View:
    """How one policy is drawn: its screen, and beside it its text and values, if wanted."""

    def __init__(self, name: str, source: PolicySource, scenes: Scenes) -> None:
        self._text, self._scenes = source.text, scenes
        self._title = name if len(scenes.policies) > 1 else ""
        self._overlay = replace(scenes.overlay, components=tuple(component_names(source.text)))
        self._panel: SidePanel | None = None

    def draw(self, moment: Moment) -> Image:
        """Draw a moment."""
        picture = draw(moment, self._overlay, self._title)
        if not self._scenes.is_recorded:
            return picture
        if self._panel is None:
            has_values = self._scenes.overlay.places
            self._panel = SidePanel(
                self._text, picture.height, has_code=self._scenes.has_code, has_values=has_values
            )
        return beside([picture, self._panel.draw(moment)])


def axis_of(effects: Iterable[tuple[int, int]]) -> str:
    """Return the one axis along which actions move the player, or ""."""
    moves = list(effects)
    along = {"x": any(dx for dx, _ in moves), "y": any(dy for _, dy in moves)}
    found = [axis for axis, is_moved in along.items() if is_moved]
    return found[0] if len(found) == 1 else ""


def _together(films: Sequence[Iterator[Moment]]) -> Iterator[list[Moment]]:
    """Yield the moments of several films side by side; the last one of each is held."""
    now = [next(film) for film in films]
    yield now
    while any(moment.result is None for moment in now):
        now = [
            next(film) if moment.result is None else moment
            for film, moment in zip(films, now, strict=True)
        ]
        yield now
