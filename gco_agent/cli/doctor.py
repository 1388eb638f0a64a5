"""``doctor``: what this machine offers, and what is missing."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from gco_agent.cli.context import CliContext
from gco_agent.cli.options import command, json_option
from gco_agent.cli.output import say
from gco_agent.core.errors import GcoError

if TYPE_CHECKING:
    from gco_agent.jail.limits import JailReport

Found = dict[str, Any]


@command("gco-agent doctor", "gco-agent doctor --json")
@json_option
@click.pass_context
def doctor(context: click.Context, /) -> None:
    """Show what this machine offers: Python, git, cores, extras, the jail's level, the emulator.

    The exit code is 2 if something is missing that every game needs.

    \b
    JSON: is_well, python, executable, platform, cores, git: {version,
    repository, has_identity, problem}, packages: {name: version or null},
    extras: {extra: {name: version or null}}, has_screen,
    jail: {level, layers: {name: state}, probes: {name: result}, problem},
    emulator: {protocol, problem}.
    """  # noqa: D301 - click wants the character
    import platform
    import sys

    from gco_agent.evaluation.workers import usable_cores
    from gco_agent.report.film import has_screen

    place: CliContext = context.obj
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
    is_well = bool(
        found["git"]["version"] and report is not None and not found["emulator"]["problem"]
    )
    place.emit({"is_well": is_well, **found}, lambda: _print(found, report))
    if not is_well:
        raise click.exceptions.Exit(2)


def _look_at_git(place: CliContext) -> Found:
    """Git itself, the repository here, and who commits; only git itself must be there."""
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
    """Return the packages that each extra needs; those of the key "" are needed in any case."""
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
    """The level of the jail, layer by layer; what is off says why."""
    from gco_agent.jail.host import probe_level

    try:
        report = probe_level()
    except GcoError as error:
        return {"level": None, "layers": {}, "probes": {}, "problem": str(error)}, None
    told = {
        "level": report.level.word,
        "layers": dict(report.layers),
        "probes": dict(report.probes),
        "problem": None,
    }
    return told, report


def _look_at_emulator() -> Found:
    """Whether the emulator starts, with the ROM of one game."""
    try:
        from gco_agent.envs.atari import default_protocol, open_environment

        protocol = default_protocol("pong")
        open_environment(protocol).close()
    except (ImportError, OSError, GcoError) as error:
        return {"protocol": None, "problem": str(error)}
    return {"protocol": protocol.stamp, "problem": None}


def _print(found: Found, report: JailReport | None) -> None:
    _say("python", f"{found['python']} ({found['executable']})")
    _say("platform", found["platform"])
    _say("cores", str(found["cores"]))
    _print_git(found["git"])
    packages = found["packages"].items()
    _say(
        "packages", ", ".join(f"{name} {version or 'not installed'}" for name, version in packages)
    )
    there = [name for name, parts in found["extras"].items() if all(parts.values())]
    missing = [name for name in found["extras"] if name not in there]
    lacking = f"; not there: {', '.join(missing)}" if missing else ""
    _say("extras", (", ".join(there) or "none") + lacking)
    _say("screen", "there is one" if found["has_screen"] else "none: enjoy writes a video")
    if report is None:
        _say("jail", f"FAILS: {found['jail']['problem']}")
    else:
        _say("jail", report.line.removeprefix("jail: "))
        _print_missing(report)
    problem = found["emulator"]["problem"]
    _say("emulator", f"FAILS: {problem}" if problem else f"works: {found['emulator']['protocol']}")


def _print_git(git: Found) -> None:
    if git["version"] is None:
        _say("git", f"MISSING: {git['problem']}")
        return
    _say("git", git["version"])
    if git["repository"]:
        _say("repository", git["repository"])
    if git["has_identity"]:
        _say("identity", "known to git")
    for line in (git["problem"] or "").splitlines():
        _say("", line)


def _print_missing(report: JailReport) -> None:
    for name, state in report.layers:
        if not state.startswith("on"):
            _say("", f"{name}: {state}")
    for name, result in report.probes:
        if result == "POSSIBLE":
            _say("", f"a policy can still do this: {name}")


def _say(what: str, text: str) -> None:
    say(f"{what:<10} {text}")
