"""``enjoy``: watch a policy play."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import click

from gco_agent.cli.context import CliContext, pick_seeds
from gco_agent.cli.options import (
    AtLeast,
    Given,
    all_of,
    command,
    env_option,
    file_option,
    jail_option,
    json_option,
    max_steps_option,
    target_argument,
)
from gco_agent.cli.output import count, outcome_text, say, tell
from gco_agent.core.errors import UsageError

_MOST_SEEDS = 100
_SCALE = 3


@command(
    "gco-agent enjoy                                     the policy of the run here",
    "gco-agent enjoy policies/pong.py --video pong.mp4 --objects --velocities",
    "gco-agent enjoy 12 --beside 0 --video before-after.gif --speed 4 --max-steps 400",
    "gco-agent enjoy policies/breakout.py --code --components --video code.mp4 --scale 2",
    "gco-agent enjoy main:policies/pong.py --seeds 0:3",
)
@target_argument
@click.option("--beside", metavar="TARGET", help="Another policy to its right, on the same seeds.")
@file_option(
    "--video",
    help="Write a video (.mp4, .gif or .webp).  [default: a window, or GAME.mp4 without a screen]",
)
@click.option(
    "--seeds",
    "seed_text",
    metavar="A:B",
    default="feedback 0:1",
    show_default=True,
    help='Episodes to show: plain seeds, or those of a stream, as in "report 0:3".',
)
@click.option("--objects", is_flag=True, help="Draw boxes around the objects that it sees.")
@click.option("--velocities", is_flag=True, help="Draw where objects will be in four steps.")
@click.option(
    "--code",
    is_flag=True,
    help="Show the policy's text beside the picture, with the lines that ran.",
)
@click.option(
    "--components",
    is_flag=True,
    help="Show what each component returned, and draw the places that they name.",
)
@click.option(
    "--status/--no-status", default=True, help="Show action, step and return.  [default: --status]"
)
@click.option(
    "--scale",
    type=AtLeast(1, 8),
    metavar="N",
    help="Size of a pixel of the screen.  [default: 3, or 1 where it is not an Atari game]",
)
@click.option(
    "--speed",
    type=AtLeast(1, 100),
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
    """Watch a policy play, in a window or a video.

    TARGET is as for eval. What is shown is the very episode that eval scores on that seed; the
    policy plays in the jail. In the window, space pauses, the right arrow goes one step on, q
    quits. A policy that fails in an episode is shown up to there, and the exit code is 2.

    With --components a number counts as a place on the screen where its name says on which axis
    (crossing_x, target_y), or where it is called a target, a prediction or the like and the player
    moves along one axis only; it is a line over the screen and a mark level with the player. Of a
    component that returns an object, that object is framed.

    \b
    JSON: video (null for a window), pictures, episodes: [policy, seed, return,
    steps, outcome, detail, digest].
    """  # noqa: D301 - click wants the character
    from gco_agent.envs.environment import spec_of
    from gco_agent.report.drawing import Overlay
    from gco_agent.report.film import has_screen
    from gco_agent.report.video import Scenes, require_format, show, write_video

    place: CliContext = context.obj
    seeds = pick_seeds(given["seed_text"], range(0), _MOST_SEEDS)
    targets = [place.find_target(name) for name in ([target, beside] if beside else [target])]
    protocols = [place.protocol_of(each, given["env_id"], given["max_steps"]) for each in targets]
    if len({(rules.env_id, rules.frame_skip) for rules in protocols}) > 1:
        games = " and ".join(rules.env_id for rules in protocols)
        raise UsageError(f"{games} cannot be shown side by side: they are not played alike")
    spec = spec_of(protocols[0])
    scenes = Scenes(
        [(each.name, each.source) for each in targets],
        protocols,
        seeds,
        place.jail_level,
        Overlay(
            objects=given["objects"],
            velocities=given["velocities"],
            status=given["status"],
            places=given["components"],
            scale=given["scale"] or (_SCALE if spec.has_objects else 1),
            axis=_axis_of(spec.effects.values()),
        ),
        has_code=given["code"],
        every=given["speed"],
    )
    path = None if video is None else place.path(video)
    if path is None and not has_screen():
        path = place.path(f"{spec.name}.mp4")
        tell(f"There is no screen here, so {path.name} is written.")
    if path is None:
        show(scenes.pictures(), scenes.title, scenes.frames_per_second)
    else:
        require_format(path)
        write_video(path, scenes.pictures(), scenes.frames_per_second)
    data = {
        "video": path,
        "pictures": scenes.n_pictures,
        "episodes": [
            {
                "policy": name,
                "seed": result.seed,
                "return": result.episode_return,
                "steps": result.n_steps,
                "outcome": result.outcome.value,
                "detail": result.detail,
                "digest": result.digest,
            }
            for name, result in scenes.results
        ],
    }

    def text() -> None:
        for name, result in scenes.results:
            say(
                f"{name}, seed {result.seed}: return {result.episode_return:g}, "
                f"{count(result.n_steps, 'step')}, {outcome_text(result.outcome.value)}"
            )
            if result.detail:
                say("\n".join(f"    {line}" for line in result.detail.splitlines()))
        if path is not None:
            seconds, n_bytes = scenes.n_pictures / scenes.frames_per_second, path.stat().st_size
            size = f"{n_bytes / 1e6:.1f} MB" if n_bytes >= 1e6 else f"{n_bytes / 1e3:.0f} kB"  # noqa: PLR2004
            say(f"{path} (plays for {seconds:.0f} s, {size})")

    place.emit(data, text)
    if any(not result.outcome.is_scored for _, result in scenes.results):
        context.exit(2)


def _axis_of(effects: Iterable[tuple[int, int]]) -> str:
    """Return the one axis along which actions move the player, or ""."""
    moves = list(effects)
    moved = {"x": any(dx for dx, _ in moves), "y": any(dy for _, dy in moves)}
    axes = [axis for axis, is_moved in moved.items() if is_moved]
    return axes[0] if len(axes) == 1 else ""
