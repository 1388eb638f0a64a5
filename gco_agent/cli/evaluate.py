"""``eval``, ``verify``, ``card`` and ``enjoy``: what a policy scores, and how it plays."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gco_agent.cli import options as o
from gco_agent.cli.context import CliContext, pick_seeds
from gco_agent.cli.display import open_display
from gco_agent.cli.options import Given, command, flag, number, option
from gco_agent.cli.output import (
    Column,
    Result,
    count,
    duration,
    echo,
    evaluation_json,
    pick,
    print_table,
    say,
    score_text,
    tell,
)
from gco_agent.core.errors import UsageError
from gco_agent.core.events import Playing
from gco_agent.core.seeds import MOST_EPISODES, Stream, format_seeds
from gco_agent.core.text import clean_line, format_points, format_score

if TYPE_CHECKING:
    from PIL.Image import Image

    from gco_agent.core.records import Evaluation
    from gco_agent.loop.verify import Difference, Verified
    from gco_agent.report.robustness import Line
    from gco_agent.report.video import Scenes

_EPISODES = 30
_MOST_FAILURES = 3
_MOST_SHOWN = 100
_SCALE = 3
_MEGABYTE = 1e6


@command(
    o.target_argument,
    number("--episodes"),
    o.seeds_option(),
    o.env_option,
    o.protocol_option,
    o.objects_option,
    o.max_steps_option,
    o.play_options,
    o.executor_option,
    name="eval",
)
def evaluate(place: CliContext, /, target: str | None, **given: Given) -> Result:
    """Play a policy and print what it scores."""
    from gco_agent.envs.environment import spec_of

    if given["seed_text"] is not None and given["episodes"] is not None:
        raise UsageError("--episodes and --seeds exclude each other: --seeds A:B plays B - A")
    n = pick_seeds(None, range(given["episodes"] or _EPISODES))
    seeds = pick_seeds(given["seed_text"], Stream.REPORT.seeds(0, len(n)))
    wanted = place.find_target(target)
    rules = place.rules_of(wanted, given)
    for unknown in spec_of(rules).unknown_categories(wanted.source.text):
        tell(f"Warning: {unknown}")
    played, jail, seconds = place.play(wanted, seeds, rules)
    data = {
        "policy": wanted.name,
        "policy_sha256": wanted.source.digest,
        **evaluation_json(played),
        "episodes": len(played.episodes),
        "seeds": format_seeds(seeds),
        "failures": _failures_json(played),
        "protocol": played.protocol,
        "jail": jail,
        "digest": played.digest,
        "seconds": round(seconds, 2),
        "steps_per_second": round(played.n_steps / seconds),
    }
    return Result(data, lambda: _print_score(data), played.is_valid)


def _failures_json(played: Evaluation) -> list[dict[str, Any]]:
    return [
        {"seed": e.seed, "step": e.n_steps, "outcome": e.outcome.value, "detail": e.detail}
        for e in played.failures
    ]


def _print_score(data: dict[str, Any]) -> None:
    failures = data["failures"]
    if failures:
        say(f"no score: the policy failed in {len(failures)} of {data['episodes']} episodes")
        for failure in failures[:_MOST_FAILURES]:
            say(f"  seed {failure['seed']}, step {failure['step']}: {failure['outcome']}")
            say("\n".join(f"    {line}" for line in failure["detail"].splitlines()))
        if len(failures) > _MOST_FAILURES:
            say(f"  and {len(failures) - _MOST_FAILURES} more")
    else:
        low, high = min(data["returns"]), max(data["returns"])
        say(f"mean return {score_text(data)}")
        spread = f"; returns from {low:g} to {high:g}" if low < high else ""
        say(f"  {count(data['episodes'], 'episode')}, seeds {data['seeds']}{spread}")
    say(f"  policy {data['policy']}")
    say(f"  protocol {data['protocol']}")
    say(
        f"  jail {data['jail'] or 'not reached'}, {duration(data['seconds'])}, "
        f"{data['steps_per_second']:,} steps/s, digest of all actions {data['digest']}"
    )


# Verify


@command(
    o.target_argument,
    flag("--all", "is_all"),
    number("--episodes", least=2),
    o.play_options,
    o.executor_option,
)
def verify(
    place: CliContext, /, target: str | None, *, is_all: bool, episodes: int | None
) -> Result:
    """Play again what commits claim, and compare every digit."""
    from gco_agent.api import find_revision
    from gco_agent.loop import checks
    from gco_agent.loop.verify import Answer, Verifier, read_claims

    if target is not None and place.path(target).is_file():
        raise UsageError(
            f"{target} is a file, and only commits make claims that can be verified. "
            f"`gco-agent eval {target}` plays it on the first report seeds, to be compared with "
            "its docstring; `gco-agent verify RUN` plays what a run claims"
        )
    if target is None or is_all:
        place.run_name = target
        view, rev = place.view(), None
    else:
        view, rev = find_revision(place.runs(), target)
    claims = read_claims(view, None if is_all else rev or view.standing.commit)
    config = checks.read_config(view)
    rules = (checks.rules_here(config.selection_protocol), checks.rules_here(config.protocol))
    begun, found = time.perf_counter(), []
    with open_display() as display, place.players.judge(config.protocol) as judge:
        verifier = Verifier(judge.pool, judge.require, episodes or MOST_EPISODES)
        for claim in claims:
            watch = _watch(display, f"iteration {claim.facts.iteration}")
            found.append(verifier.verify(claim, rules, watch))
            if not place.as_json:
                _print_claim(found[-1])
    counts = {answer: sum(one.answer is answer for one in found) for answer in Answer}
    data = {
        "run": view.ref.branch,
        "holds": counts[Answer.HOLDS],
        "part_holds": counts[Answer.PART_HOLDS],
        "differs": counts[Answer.DIFFERS],
        "incomparable": counts[Answer.INCOMPARABLE],
        "seconds": round(time.perf_counter() - begun, 2),
        "claims": [_claim_json(one) for one in found],
    }
    n_held = counts[Answer.HOLDS] + counts[Answer.PART_HOLDS]
    return Result(data, lambda: _print_sum(data, found), n_held == len(found))


def _watch(display: Callable[[Playing], None], what: str) -> Callable[[int, int], None]:
    return lambda done, n: display(Playing(what, done, n))


def _print_claim(found: Verified) -> None:
    facts = found.claim.facts
    score = format_score(facts.return_mean, facts.return_se)
    episodes = clean_line(f"{count(facts.episodes or 0, 'episode')}, {facts.seeds}")
    say(
        f"iteration {facts.iteration:<4} {facts.verdict:<11} {score:>16} ({episodes})  "
        f"{found.answer.value}{_part_text(found)}"
    )
    for difference in found.differences:
        say(f"    {_difference_text(difference)}")
    if found.first is not None:
        say(f"    first difference: {_difference_text(found.first)}")
    if found.played is not None and (found.differences or found.first):
        for name, there in found.claim.made_in.items():
            here = found.played_in.get(name, "none")
            if there != here:
                say(f"    it was claimed under {name} {clean_line(there)}; here is {here}")


def _part_text(found: Verified) -> str:
    from gco_agent.loop.verify import Answer

    if found.answer is not Answer.PART_HOLDS or found.played is None:
        return ""
    return f": {len(found.played.episodes)} of {found.claim.facts.episodes} episodes"


def _difference_text(difference: Difference) -> str:
    where = "" if difference.seed is None else f"seed {difference.seed}, "
    where += "" if difference.step is None else f"step {difference.step}, "
    claimed, here = (_value_text(v, difference.what) for v in (difference.claimed, difference.here))
    return clean_line(f"{where}{difference.what}: {claimed} claimed, {here} here")


def _value_text(value: object, what: str) -> str:
    if value is None:
        return "the end of the episode" if what == "action" else "nothing"
    return f"{value:.10g}" if isinstance(value, float) else str(value)


def _claim_json(found: Verified) -> dict[str, Any]:
    facts, first, played = found.claim.facts, found.first, found.played
    return {
        **pick(facts, "iteration verdict"),
        "commit": found.claim.commit,
        "answer": found.answer.name.lower(),
        "is_signed": found.claim.is_signed,
        "mean_return": facts.return_mean,
        **pick(facts, "seeds protocol digest"),
        "claimed_in": found.claim.made_in,
        "played_in": found.played_in,
        "played_episodes": len(played.episodes) if played else 0,
        "played_mean_return": played.mean_return if played else None,
        "played_digest": played.digest if played else None,
        "differences": [pick(difference, "what claimed here") for difference in found.differences],
        "first_difference": first,
    }


def _print_sum(data: dict[str, Any], found: list[Verified]) -> None:
    levels = {one.played_in["jail"] for one in found if one.played_in.get("jail")}
    counts = [f"{data['holds']} {'holds' if data['holds'] == 1 else 'hold'}"]
    if data["part_holds"]:
        counts.append(f"{data['part_holds']} as far as played")
    if data["differs"]:
        counts.append(f"{data['differs']} {'differs' if data['differs'] == 1 else 'differ'}")
    if data["incomparable"]:
        counts.append(f"{data['incomparable']} cannot be compared")
    jails = f", jail {' and '.join(sorted(levels))}" if levels else ""
    lead = f"of {count(len(found), 'claim')} of {data['run']}, "
    say(f"{lead}{', '.join(counts)} ({duration(data['seconds'])}{jails})")
    if n_unsigned := sum(not one.claim.is_signed for one in found):
        say(
            f"{n_unsigned} not signed on this machine: words, times, levels of the jail and the "
            "order of the commits are their author's"
        )


# Card


@command(
    o.target_argument,
    number("--episodes", least=2, default=10),
    option("--picture", kind=o.OutputFile()),
    o.max_steps_option,
    o.env_option,
    o.play_options,
)
def card(
    place: CliContext, /, target: str | None, episodes: int, picture: Path | None, **given: Given
) -> Result:
    """Play a policy under harder conditions and print what is left of its score."""
    from gco_agent.report.pictures import draw_card, require_picture
    from gco_agent.report.robustness import conditions, measure

    path = None if picture is None else place.path(picture)
    if path is not None:
        require_picture(path)
    wanted = place.find_target(target)
    rules = place.rules_of(wanted, given)
    found = conditions(rules)
    seeds, label = Stream.REPORT.seeds(0, episodes), Stream.REPORT.label(0, episodes)
    with open_display() as display, place.players.judge(rules) as judge:
        watch = _watch(display, f"{wanted.name} under {len(found)} conditions")
        watch(0, len(found) * episodes)
        lines = list(measure(wanted.source, found, seeds, judge.pool, judge.require, watch=watch))
    if path is not None:
        draw_card(lines, f"{wanted.name}, {episodes} episodes a row", path)
    data = {
        "policy": wanted.name,
        "episodes": episodes,
        "seeds": label,
        "picture": path,
        "conditions": [_line_json(line) for line in lines],
    }

    def text() -> None:
        heading = f"{clean_line(wanted.name)}: {episodes} episodes a line, seeds {label}"
        columns = Column.row("condition|mean return>|95 % interval>1|change>")
        print_table(columns, [_cells(line) for line in lines], heading=heading)
        if path is not None:
            echo(str(path))

    return Result(data, text)


def _line_json(line: Line) -> dict[str, Any]:
    played, change = line.evaluation, line.change
    return {
        "name": line.name,
        **evaluation_json(played),
        "change": change.mean if change else None,
        "change_se": change.standard_error if change else None,
        "failures": _failures_json(played),
        "protocol": played.protocol,
    }


def _cells(line: Line) -> tuple[str, str, str, str]:
    played, change = line.evaluation, line.change
    if played.is_valid:
        score = format_score(played.mean_return, played.standard_error)
    else:
        score = f"failed in {len(played.failures)} of {len(played.episodes)}"
    between = " to ".join(map(format_points, line.interval)) if line.interval else ""
    told = format_score(change.mean, change.standard_error, "+") if change else ""
    return line.name, score, between, told


# Enjoy


def _with_progress(
    display: Callable[[Playing], None], name: str, scenes: Scenes
) -> Iterator[Image]:
    """Yield the pictures of a video, and display how far it is."""
    n_wanted = len(scenes.seeds) * len(scenes.policies)
    for picture in scenes.pictures():
        n_steps = scenes.n_pictures * scenes.every
        display(Playing(name, len(scenes.results), n_wanted, n_steps))
        yield picture


@command(
    o.target_argument,
    option("--beside", metavar="TARGET"),
    option("--video", kind=o.OutputFile()),
    o.seeds_option("feedback 0:1"),
    flag("--objects"),
    flag("--velocities"),
    option("--status/--no-status", default=True),
    option("--scale", kind=o.AtLeast(1, 8)),
    option("--speed", kind=o.AtLeast(1, 100), default=1),
    o.max_steps_option,
    o.env_option,
    o.jail_option,
    o.json_option,
)
def enjoy(
    place: CliContext, /, target: str | None, beside: str | None, video: Path | None, **given: Given
) -> Result:
    """Watch a policy play, in a window or a video."""
    from gco_agent.envs.environment import spec_of
    from gco_agent.report.drawing import Overlay
    from gco_agent.report.film import has_screen
    from gco_agent.report.video import Scenes, require_format, show, write_video

    seeds = pick_seeds(given["seed_text"], range(0), _MOST_SHOWN)
    targets = [place.find_target(name) for name in ([target, beside] if beside else [target])]
    shows_objects = given.pop("objects")
    protocols = [place.rules_of(each, given) for each in targets]
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
            objects=shows_objects,
            velocities=given["velocities"],
            status=given["status"],
            scale=given["scale"] or (_SCALE if spec.has_objects else 1),
        ),
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
        with open_display() as display:
            pictures = _with_progress(display, path.name, scenes)
            write_video(path, pictures, scenes.frames_per_second)
    data = {
        "video": path,
        "pictures": scenes.n_pictures,
        "episodes": [
            {
                "policy": name,
                "return": result.episode_return,
                "steps": result.n_steps,
                "outcome": result.outcome.word,
                **pick(result, "seed detail digest"),
            }
            for name, result in scenes.results
        ],
    }

    lines = []
    for name, result in scenes.results:
        lines.append(
            f"{name}, seed {result.seed}: return {result.episode_return:g}, "
            f"{count(result.n_steps, 'step')}, {result.outcome.word}"
        )
        lines += [f"    {line}" for line in result.detail.splitlines()]
    if path is not None:
        seconds, n_bytes = scenes.n_pictures / scenes.frames_per_second, path.stat().st_size
        size = f"{n_bytes / 1e6:.1f} MB" if n_bytes >= _MEGABYTE else f"{n_bytes / 1e3:.0f} kB"
        lines.append(f"{path} (plays for {seconds:.0f} s, {size})")
    is_good = all(result.outcome.is_scored for _, result in scenes.results)
    return Result(data, "\n".join(lines), is_good)
