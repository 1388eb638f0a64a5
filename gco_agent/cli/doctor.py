"""``doctor``: what this machine offers, and what is missing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from gco_agent.cli.options import examples
from gco_agent.cli.place import Place
from gco_agent.errors import GcoError

if TYPE_CHECKING:
    from gco_agent.jail.limits import JailReport

_PACKAGES = (
    "gco-agent", "gymnasium", "ale-py", "ocatari", "numpy", "scipy", "cma", "black", "radon",
    "gitpython", "click", "rich", "anthropic", "trace-opt", "distributed",
)  # fmt: skip


@click.command(short_help="Say what this machine offers.", epilog=examples("gco-agent doctor"))
@click.pass_obj
def doctor(place: Place, /) -> None:
    """Say what this machine offers: Python, git, cores, the jail's level, the emulator's version.

    The exit code is 2 if something is missing without which nothing can be played.
    """
    import platform
    import sys

    from gco_agent.workers import usable_cores

    _say("python", f"{platform.python_version()} ({sys.executable})")
    _say("platform", platform.platform())
    _say("cores", str(usable_cores()))
    is_well = _check_git(place)
    _say_versions()
    is_well = _check_jail() and is_well
    is_well = _check_emulator() and is_well
    if not is_well:
        raise click.exceptions.Exit(2)


def _say(what: str, text: str) -> None:
    click.echo(f"{what:<10} {text}")


def _check_git(place: Place) -> bool:
    """Git itself, the repository here, and who commits; only git itself must be there."""
    from gco_agent.store.git import GitRepo

    try:
        anywhere = GitRepo(place.directory, place.directory, None)  # asked for nothing but this:
        _say("git", anywhere.attempt("version").text.removeprefix("git version "))
    except GcoError as error:
        _say("git", f"MISSING: {error}")
        return False
    try:
        repo = place.repository()
        _say("repository", str(repo.place))
        repo.require_identity()
        _say("identity", "known to git")
    except GcoError as error:
        for line in str(error).splitlines():
            _say("", line)
    return True


def _say_versions() -> None:
    from importlib import metadata

    found = []
    for name in _PACKAGES:
        try:
            found.append(f"{name} {metadata.version(name)}")
        except metadata.PackageNotFoundError:
            found.append(f"{name} not installed")
    _say("packages", ", ".join(found))


def _check_jail() -> bool:
    """The level of the jail, layer by layer; what is off says why."""
    from gco_agent.jail.host import probe_level

    try:
        report = probe_level()
    except GcoError as error:
        _say("jail", f"FAILS: {error}")
        return False
    _say("jail", report.line.removeprefix("jail: "))
    _say_missing(report)
    return True


def _say_missing(report: JailReport) -> None:
    for name, state in report.layers:
        if not state.startswith("on"):
            _say("", f"{name}: {state}")
    for name, result in report.probes:
        if result == "POSSIBLE":
            _say("", f"a policy can still do this: {name}")


def _check_emulator() -> bool:
    """Whether the emulator starts, with the ROM of one game."""
    try:
        from gco_agent.envs.atari import default_protocol, open_environment

        protocol = default_protocol("pong")
        open_environment(protocol).close()
    except (ImportError, OSError, GcoError) as error:
        _say("emulator", f"FAILS: {error}")
        return False
    _say("emulator", f"works: {protocol.stamp}")
    return True
