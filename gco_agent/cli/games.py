"""``games``, ``check-game`` and ``doctor``: what can be played, and what this machine offers."""

from __future__ import annotations

import platform
import re
import sys
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import click

from gco_agent.cli import options as o
from gco_agent.cli.context import CliContext
from gco_agent.cli.options import command, number, option
from gco_agent.cli.output import Column, Result, count, echo, fit, pick, print_table, say, tell
from gco_agent.core.errors import GcoError

if TYPE_CHECKING:
    from gco_agent.games.describe import Hints
    from gco_agent.games.spec import GameSpec
    from gco_agent.jail.limits import JailReport

Found = dict[str, Any]


@command(
    click.argument("name", required=False),
    option("--hints", kind=o.HINTS, default="interface"),
    option("--policy", kind=("initial", "reference")),
    o.json_option,
)
def games(place: CliContext, /, *, name: str | None, hints: Hints, policy: str | None) -> Result:
    """List the Atari games that can be played, or describe one environment."""
    if name is None:
        return _list()
    spec = place.find_spec(name)
    if policy is None:
        return Result(_spec_json(spec), lambda: _describe(spec, hints))
    text = _policy(spec, policy)
    return Result({"name": spec.name, "policy": text}, lambda: echo(text, nl=False))


def _policy(spec: GameSpec, which: str) -> str:
    from gco_agent.envs.environment import initial_policy, make_protocol

    if which == "reference":
        return spec.reference_policy()
    return initial_policy(make_protocol("default", spec.env_id))


def _describe(spec: GameSpec, hints: Hints) -> None:
    from gco_agent.envs.environment import complete_spec
    from gco_agent.games.describe import describe_interface

    echo(fit(describe_interface(complete_spec(spec), hints)))
    if spec.scores:
        echo("\nMean returns that others report:")
    for score in spec.scores:
        how = f"; {score.played}" if score.played else ""
        say(f"- {score.label}: {score.value:g} ({score.source}{how})")


def _status(spec: GameSpec) -> str:
    from gco_agent.games.registry import GAMES, generated_games

    if GAMES.get(spec.name) is spec:
        return "first class"
    return "generated" if generated_games().get(spec.name) is spec else "described"


def _spec_json(spec: GameSpec) -> dict[str, Any]:
    return {
        **pick(spec, "name title env_id goal random_return human_return"),
        "status": _status(spec),
        "why": "",
        "scores": [pick(score, "label value source played") for score in spec.scores],
        "actions": list(spec.actions),
        "categories": [category.name for category in spec.categories],
        "fields": [part.name for part in spec.fields],
    }


def _broken_json(name: str, why: str) -> dict[str, Any]:
    blank = dict.fromkeys(("title", "env_id", "goal", "random_return", "human_return"))
    lists: dict[str, Any] = {key: [] for key in ("scores", "actions", "categories", "fields")}
    return {"name": name, **blank, "status": "broken upstream", "why": why, **lists}


def _list() -> Result:
    from gco_agent.games.registry import broken_games, every_game

    data = [_spec_json(spec) for spec in every_game().values()]
    data += [_broken_json(name, why) for name, why in broken_games().items()]

    def text() -> None:
        columns = [*Column.row("game|status<3|random>2|human>1"), Column("goal", text="wrap")]
        rows = [
            (row["name"], row["status"], _points(row["random_return"]),
             _points(row["human_return"]), row["goal"] or row["why"])
            for row in data
        ]  # fmt: skip
        print_table(columns, rows)

    return Result(data, text)


def _points(value: float | None) -> str:
    return "" if value is None else f"{value:g}"


@command(
    click.argument("target"),
    number("--steps", least=10, default=3_000),
    o.json_option,
    name="check-game",
)
def check_game(place: CliContext, /, target: str, *, steps: int) -> Result:
    """Check an environment, and every statement of its specification."""
    from gco_agent.evaluation import check_game as checking

    spec = place.find_spec(target)
    findings = checking.check_game(spec, steps)
    data = {
        "game": spec.name,
        "env_id": spec.env_id,
        "steps": steps,
        "findings": [pick(finding, "about text") for finding in findings],
    }
    if not findings:
        what = f"{spec.title}: nothing wrong found in {count(steps, 'step')} of random play"
        return Result(data, what)
    tell(f"{spec.title} differs from its SPEC: {count(len(findings), 'finding')}")
    return Result(data, "\n".join(map(str, findings)), is_good=False)


# Doctor


@command(o.json_option)
def doctor(place: CliContext, /) -> Result:
    """Show what this machine offers: Python, git, cores, extras, the jail's level, the emulator."""
    from gco_agent.evaluation.workers import usable_cores
    from gco_agent.report.film import has_screen

    needed = _requirements()
    found: Found = {
        "python": platform.python_version(),
        "executable": sys.executable,
        "platform": platform.platform(),
        "cores": usable_cores(),
        "git": _look_at_git(place),
        "packages": _versions(["gco-agent", *needed.pop("")]),
        "extras": {extra: _versions(names) for extra, names in needed.items()},
        "has_screen": has_screen(),
    }
    found["jail"], report = _look_at_jail()
    found["emulator"] = _look_at_emulator()
    is_well = bool(found["git"]["version"] and report and not found["emulator"]["problem"])
    lines = [f"{heading:<10} {text}" for heading, text in _doctor_lines(found, report)]
    return Result({"is_well": is_well, **found}, "\n".join(lines), is_well)


def _look_at_git(place: CliContext) -> Found:
    """Return git's version, the repository here, and whether git knows who commits."""
    from gco_agent.store.git import GitRepo

    found: Found = {"version": None, "repository": None, "has_identity": False, "problem": None}
    try:
        anywhere = GitRepo(place.directory, place.directory, None)  # asked for nothing but this:
        found["version"] = anywhere.attempt("version").text.removeprefix("git version ")
        repo = place.repository()
        found["repository"] = str(repo.place)
        repo.require_identity()
        found["has_identity"] = True
    except GcoError as error:
        found["problem"] = str(error)
    return found


def _requirements() -> dict[str, list[str]]:
    """Return the packages that each extra needs; the key "" has those that are always needed."""
    from importlib import metadata

    found: dict[str, list[str]] = {"": []}
    for text in metadata.requires("gco-agent") or ():
        name = re.match(r"([\w.-]+)(?:\[([\w.-]+)\])?", text)
        extra = re.search(r"extra == .([\w-]+)", text)
        names = found.setdefault(extra[1] if extra else "", [])
        if name is not None and name[1] != "gco-agent":  # gymnasium[box2d] brings box2d
            names.append(name[2] or name[1])
    return found


def _versions(names: Sequence[str]) -> Found:
    from importlib import metadata

    found: Found = {}
    for name in names:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = None
    return found


def _look_at_jail() -> tuple[Found, JailReport | None]:
    """Return the level of the jail, layer by layer; what is off says why."""
    from gco_agent.jail.host import probe_level

    try:
        report = probe_level()
    except GcoError as error:
        return {"level": None, "layers": {}, "probes": {}, "problem": str(error)}, None
    told = {"layers": dict(report.layers), "probes": dict(report.probes), "problem": None}
    return {"level": report.level.word, **told}, report


def _look_at_emulator() -> Found:
    """Return whether the emulator starts, with the ROM of one game."""
    try:
        from gco_agent.envs.atari import default_protocol, open_environment

        protocol = default_protocol("pong")
        open_environment(protocol).close()
    except (ImportError, OSError, GcoError) as error:
        return {"protocol": None, "problem": str(error)}
    return {"protocol": protocol.stamp, "problem": None}


def _doctor_lines(found: Found, report: JailReport | None) -> Iterator[tuple[str, str]]:
    """Yield the words of the report, each with its heading, or "" below one."""
    git, emulator = found["git"], found["emulator"]
    yield "python", f"{found['python']} ({found['executable']})"
    yield "platform", found["platform"]
    yield "cores", str(found["cores"])
    yield "git", git["version"] or f"MISSING: {git['problem']}"
    if git["repository"]:
        yield "repository", git["repository"]
    if git["has_identity"]:
        yield "identity", "known to git"
    for line in (git["problem"] or "").splitlines() if git["version"] else ():
        yield "", line
    packages = found["packages"].items()
    yield "packages", ", ".join(f"{name} {v or 'not installed'}" for name, v in packages)
    there = [name for name, parts in found["extras"].items() if all(parts.values())]
    missing = ", ".join(name for name in found["extras"] if name not in there)
    lacking = f"; not installed: {missing}" if missing else ""
    yield "extras", (", ".join(there) or "none") + lacking
    yield "screen", "there is one" if found["has_screen"] else "none: enjoy writes a video"
    jail = report.line.removeprefix("jail: ") if report else f"FAILS: {found['jail']['problem']}"
    yield "jail", jail
    for name, state in report.layers if report else ():
        if not state.startswith("on"):
            yield "", f"{name}: {state}"
    for name, result in report.probes if report else ():
        if result == "POSSIBLE":
            yield "", f"a policy can still do this: {name}"
    problem = emulator["problem"]
    yield "emulator", f"FAILS: {problem}" if problem else f"works: {emulator['protocol']}"
