"""``enjoy``: look at a policy play."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gco_agent.cli.options import (
    Given,
    all_of,
    env_option,
    examples,
    jail_option,
    json_option,
    max_steps_option,
)
from gco_agent.cli.place import CliContext
from gco_agent.cli.targets import Target, find_target, protocol_of, require_contract
from gco_agent.cli.words import count, one_line, tell
from gco_agent.core.errors import UsageError

if TYPE_CHECKING:
    from PIL.Image import Image

    from gco_agent.core.records import EpisodeResult, PlayProtocol
    from gco_agent.jail.limits import JailLevel
    from gco_agent.report.video.code import SidePanel
    from gco_agent.report.video.drawing import Overlay
    from gco_agent.report.video.film import Moment

_FRAMES_A_SECOND = 60
_MOST_SEEDS = 100
_SCALE = 3
_LAST_PICTURE_S = 1.0
"""How long the end of an episode stays."""


@dataclass(frozen=True, slots=True)
class _Show:
    """What is to be seen.

    Attributes:
        targets: The policies, side by side.
        protocols: The rules that each is played by.
        seeds: The episodes, one after the other.
        require: The jail must be at least this good.
        overlay: What is drawn over the screen.
        has_code: Show the text of each policy beside it.
        every: Of how many steps one is shown.
        results: Filled while it is seen: target, and what its episode came to.
    """

    targets: list[Target]
    protocols: list[PlayProtocol]
    seeds: range
    require: JailLevel
    overlay: Overlay
    has_code: bool
    every: int
    results: list[tuple[Target, EpisodeResult]]

    @property
    def frames_per_second(self) -> float:
        """Steps a second, as the console plays them; where there is none, half as many frames."""
        skip = self.protocols[0].frame_skip
        return _FRAMES_A_SECOND / (skip if skip > 1 else 2)

    @property
    def is_recorded(self) -> bool:
        """Whether what the policies call has to be known."""
        return self.has_code or self.overlay.places

    @property
    def title(self) -> str:
        """For a window."""
        return " against ".join(one_line(target.name) for target in self.targets)


@click.command(
    short_help="Look at a policy play, in a window or a video.",
    epilog=examples(
        "gco-agent enjoy                                     the policy of the run here",
        "gco-agent enjoy policies/pong.py --video pong.mp4 --objects --velocities",
        "gco-agent enjoy 12 --beside 0 --video before-after.gif --speed 4 --max-steps 400",
        "gco-agent enjoy policies/breakout.py --code --components --video code.mp4 --scale 2",
        "gco-agent enjoy main:policies/pong.py --seeds 0:3",
    ),
)
@click.argument("target", required=False)
@click.option("--beside", metavar="TARGET", help="Another policy to its right, on the same seeds.")
@click.option(
    "--video",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Write a video (.mp4, .gif or .webp).  [default: a window, or GAME.mp4 without a screen]",
)
@click.option(
    "--seeds",
    "seed_text",
    metavar="A:B",
    default="feedback 0:1",
    show_default=True,
    help='Episodes to see: plain seeds, or those of a stream, as in "report 0:3".',
)
@click.option("--objects", is_flag=True, help="Draw boxes round the objects that the policy sees.")
@click.option("--velocities", is_flag=True, help="Draw where objects will be in four steps.")
@click.option(
    "--code",
    is_flag=True,
    help="Show the policy's text beside the picture, with the lines that ran.",
)
@click.option(
    "--components",
    is_flag=True,
    help="Tell what each component returned, and draw the places that they name where they are.",
)
@click.option(
    "--status/--no-status", default=True, help="Tell action, step and return.  [default: --status]"
)
@click.option(
    "--scale",
    type=click.IntRange(1, 8),
    metavar="N",
    help="Size of a pixel of the screen.  [default: 3, or 1 where it is no Atari game]",
)
@click.option(
    "--speed",
    type=click.IntRange(1, 100),
    default=1,
    show_default=True,
    metavar="N",
    help="Show every N-th step only.",
)
@all_of(max_steps_option, env_option, jail_option, json_option)
@click.pass_context
def enjoy(
    context: click.Context,
    /,
    target: str | None,
    beside: str | None,
    video: Path | None,
    **given: Given,
) -> None:
    """Look at a policy play, in a window or a video.

    TARGET is a file, a run, a git revision, the number of an iteration or REV:PATH, as for eval.
    What is seen is the very episode that eval scores on that seed; the policy plays in the jail.
    In the window, space pauses, the right arrow goes one step on, q leaves. A policy that fails in
    an episode is shown up to there, and the exit code is 2.

    With --components a number counts as a place on the screen where its name says on which axis
    (crossing_x, target_y), or where it is called a target, a prediction or the like and the player
    moves along one axis only; it is a line over the screen and a mark level with the player. Of a
    component that returns an object, that object is framed.

    \b
    JSON: video (null for a window), pictures, episodes: [policy, seed, return,
    steps, outcome, detail, digest].
    """  # noqa: D301 - click wants the character
    place: CliContext = context.obj
    shown = _prepare(place, [target, beside] if beside else [target], given)
    path = _path(place, video, shown)
    if path is None:
        from gco_agent.report.video.window import show

        pictures = _Counted(_pictures(shown))
        show(pictures, shown.title, shown.frames_per_second)
        n_pictures = pictures.n
    else:
        from gco_agent.report.video.encoding import write_video

        n_pictures = write_video(path, _pictures(shown), shown.frames_per_second)
    _print(shown, path, n_pictures, as_json=given["as_json"])
    if any(not result.outcome.is_scored for _, result in shown.results):
        context.exit(2)


class _Counted:
    """Pictures, and how many were taken."""

    def __init__(self, pictures: Iterator[Image]) -> None:
        self._pictures, self.n = pictures, 0

    def __iter__(self) -> Iterator[Image]:
        for picture in self._pictures:
            self.n += 1
            yield picture


def _prepare(place: CliContext, names: list[str | None], given: dict[str, Any]) -> _Show:
    """Refuse what cannot be seen before anything is played.

    Raises:
        GcoError: There is no such policy, or the policies play different games.
    """
    from gco_agent.core.seeds import parse_seed_range
    from gco_agent.envs.environment import spec_of
    from gco_agent.jail.limits import JailLevel
    from gco_agent.report.video.drawing import Overlay

    seeds = parse_seed_range(given["seed_text"])
    if len(seeds) > _MOST_SEEDS:
        raise UsageError(f"{len(seeds)} episodes are too many to look at; at most {_MOST_SEEDS}")
    targets = [find_target(place, name) for name in names]
    for target in targets:
        require_contract(target)
    protocols = [protocol_of(place, t, given["env_id"], given["max_steps"]) for t in targets]
    if len({(rules.env_id, rules.frame_skip) for rules in protocols}) > 1:
        games = " and ".join(rules.env_id for rules in protocols)
        raise UsageError(f"{games} cannot be seen side by side: they are not played alike")
    spec = spec_of(protocols[0])
    overlay = Overlay(
        objects=given["objects"],
        velocities=given["velocities"],
        status=given["status"],
        places=given["components"],
        scale=given["scale"] or (_SCALE if spec.has_objects else 1),
        axis=_axis_of(spec.effects.values()),
    )
    require = JailLevel.parse(given["jail"])
    return _Show(targets, protocols, seeds, require, overlay, given["code"], given["speed"], [])


def _axis_of(effects: Iterable[tuple[int, int]]) -> str:
    """The one axis along which actions move the player, or ""."""
    moves = list(effects)
    along = {"x": any(dx for dx, _ in moves), "y": any(dy for _, dy in moves)}
    found = [axis for axis, is_moved in along.items() if is_moved]
    return found[0] if len(found) == 1 else ""


def _path(place: CliContext, video: Path | None, shown: _Show) -> Path | None:
    """The file to write; None for a window.

    Raises:
        UsageError: It cannot be written.
    """
    from gco_agent.report.video.encoding import require_format
    from gco_agent.report.video.window import has_screen

    if video is None and has_screen():
        return None
    if video is None:
        from gco_agent.envs.environment import spec_of

        video = Path(f"{spec_of(shown.protocols[0]).name}.mp4")
        tell(f"There is no screen here, so {video} is written.")
    path = place.directory / video
    require_format(path)
    return path


def _pictures(shown: _Show) -> Iterator[Image]:
    """All pictures, seed after seed; where one of two policies ends first, its end stays."""
    from gco_agent.report.video.drawing import beside
    from gco_agent.report.video.film import film

    linger = max(1, round(_LAST_PICTURE_S * shown.frames_per_second))
    views = [_View(target, shown) for target in shown.targets]
    for seed in shown.seeds:
        films = [
            film(
                target.source.text,
                rules,
                seed,
                require=shown.require,
                is_recorded=shown.is_recorded,
            )
            for target, rules in zip(shown.targets, shown.protocols, strict=True)
        ]
        last: Image | None = None
        for number, moments in enumerate(_together(films)):
            is_end = all(moment.result is not None for moment in moments)
            if number % shown.every and not is_end:
                continue
            last = beside([view.draw(m) for view, m in zip(views, moments, strict=True)])
            yield last
            if is_end:
                ends = [moment.result for moment in moments if moment.result is not None]
                shown.results.extend(zip(shown.targets, ends, strict=True))
        if last is not None:
            yield from itertools.repeat(last, linger)


class _View:
    """How one policy is drawn: its screen, and beside it what it is and does, if that is wanted."""

    def __init__(self, target: Target, shown: _Show) -> None:
        from gco_agent.report.video.predicted import component_names

        self._text, self._shown = target.source.text, shown
        self._title = target.name if len(shown.targets) > 1 else ""
        self._overlay = replace(shown.overlay, components=tuple(component_names(self._text)))
        self._panel: SidePanel | None = None

    def draw(self, moment: Moment) -> Image:
        """The picture of a moment."""
        from gco_agent.report.video.code import SidePanel
        from gco_agent.report.video.drawing import beside, draw

        picture = draw(moment, self._overlay, self._title)
        if not self._shown.is_recorded:
            return picture
        if self._panel is None:
            has_values = self._shown.overlay.places
            self._panel = SidePanel(
                self._text, picture.height, has_code=self._shown.has_code, has_values=has_values
            )
        return beside([picture, self._panel.draw(moment)])


def _together(films: Sequence[Iterator[Moment]]) -> Iterator[list[Moment]]:
    """The moments of several films, side by side; the last of each is held."""
    now = [next(film) for film in films]
    yield now
    while any(moment.result is None for moment in now):
        now = [
            next(film) if moment.result is None else moment
            for film, moment in zip(films, now, strict=True)
        ]
        yield now


def _print(shown: _Show, path: Path | None, n_pictures: int, *, as_json: bool) -> None:
    from gco_agent.core.text import clean_text

    if as_json:
        from gco_agent.cli.results import print_json

        episodes = [
            {
                "policy": target.name,
                "seed": result.seed,
                "return": result.episode_return,
                "steps": result.n_steps,
                "outcome": result.outcome.value,
                "detail": result.detail,
                "digest": result.digest,
            }
            for target, result in shown.results
        ]
        file = None if path is None else str(path)
        print_json({"video": file, "pictures": n_pictures, "episodes": episodes})
        return
    for target, result in shown.results:
        click.echo(
            f"{clean_text(target.name)}, seed {result.seed}: return {result.episode_return:g}, "
            f"{count(result.n_steps, 'step')}, {result.outcome.value}"
        )
        for line in clean_text(result.detail).splitlines():
            click.echo(f"    {line}")
    if path is not None:
        seconds = n_pictures / shown.frames_per_second
        size = path.stat().st_size
        told = f"{size / 1e6:.1f} MB" if size >= 1e6 else f"{size / 1e3:.0f} kB"  # noqa: PLR2004
        click.echo(f"{path} (plays for {seconds:.0f} s, {told})")
