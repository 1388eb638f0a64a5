"""Every argument and option of every command, given wrong: one line, code 2, nothing written."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from gco_agent.cli import main
from gco_agent.cli.context import CliContext
from tests.cli.conftest import ROOT, SHORT, Cli
from tests.store.samples import git

LONG, CODES = "x" * 5_000, "\x1b[31mx"
TARGETS = ("nope.py", "policies", "binary.py", "nope:policies/pong.py", CODES, LONG)
BY_TYPE = {
    "AtLeast": ("x", "-7", "1.5", "", "9" * 30),
    "Duration": ("x", "-5", "nan", "", "9" * 30),
    "FloatRange": ("x", "-1"),
    "Choice": ("nope", ""),
    "OutputFile": ("nowhere/x.svg", "policies", "/dev/null/x.html"),
    "OutputFolder": ("", "binary.py", "binary.py/x", "/dev/null"),
}
"""Values that are refused while the command line is parsed."""
BY_NAME = {
    "answer": ("", "'"),
    "beside": TARGETS,
    "env_id": ("nope", "nope.py", "os:system", CODES, LONG),
    "executor": ("nope", "dask://", "http://x"),
    "file_name": ("nope", "../run.toml", CODES),
    "game": ("pnog", "", "../x", "os:system", "nope.py", CODES, LONG),
    "model": ("a,,b",),
    "name": ("../x", "a b", CODES, LONG),
    "names": ("nope", "../x", CODES, LONG),
    "optimizer": ("nope", "search,,", "nope.py", CODES),
    "recording": ("nope.json", "README.md", "binary.py", "", CODES, LONG),
    "reply": ("nope.md", "policies", "binary.py", "README.md", CODES, LONG),
    "repo": ("", "x", "a/b/c", "../x", CODES),
    "run_name": ("nope", "../x", "other/pong.py", CODES, LONG),
    "seed_text": ("x", "5", "3:1", "-1:5", "0:99999999999", ""),
    "skill": ("", "return >", "nope", "moment:", "nope.py", "__import__('os')", LONG),
    "start": TARGETS,
    "target": TARGETS,
}
GIVEN = {
    "apply": ("answer.md",),
    "baseline": ("pong", "--method", "best-of-n", "--frames", "1000"),
    "bisect": ("--skill", "return > 1"),
    "check-game": ("CartPole-v1",),
    "export tensorboard": ("-o", "scalars"),
    "fork": ("1", "--name", "other"),
    "init": ("pong", "--name", "bad"),
    "note": ("first", "text"),
    "push": ("policies/pong.py", "me/right"),
    "replay": ("gco/pong/first",),
    "rollback": ("0",),
    "run": ("pong", "--name", "bad"),
}
"""What each command needs besides the wrong value."""


def walk(group: click.Group, above: str = "") -> Iterator[tuple[str, click.Command]]:
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        if isinstance(command, click.Group):
            yield from walk(command, f"{name} ")
        else:
            yield above + name, command


COMMANDS = dict(walk(main))


def wrong(name: str, values: dict[str, tuple[str, ...]], by: str) -> Iterator[list[str]]:
    """Each parameter of a command with each of its wrong values."""
    given = list(GIVEN.get(name, ()))
    arguments = [p for p in COMMANDS[name].params if isinstance(p, click.Argument)]
    for parameter in COMMANDS[name].params:
        key = type(parameter.type).__name__ if by == "type" else parameter.name or ""
        for value in values.get(key, ()):
            if isinstance(parameter, click.Argument):
                place = arguments.index(parameter)
                yield [*given[:place], value, *given[place + 1 :]]
            else:
                yield [*given, f"{parameter.opts[-1]}={value}"]


def state(root: Path) -> tuple[str, str, list[Path], str]:
    files = sorted(path for path in root.rglob("*") if ".git" not in path.parts)
    refs = git(root, "for-each-ref") + git(root, "rev-parse", "HEAD")
    return refs, git(root, "status", "--porcelain"), files, (root / ".git/config").read_text()


@pytest.fixture(scope="module")
def place(_played: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the repository with a run, which no command of this module changes."""
    root = shutil.copytree(_played, tmp_path_factory.mktemp("bad") / "played")
    (root / "binary.py").write_bytes(b"\x00\x01\xff")
    (root / "answer.md").write_text("Nothing.\n")
    return root


@pytest.mark.parametrize("name", COMMANDS)
def test_what_cannot_be_parsed(place: Path, name: str) -> None:
    given = GIVEN.get(name, ())
    cases = [[*given, "--nope"], [*given, "a", "b", "c", "d"], *wrong(name, BY_TYPE, "type")]
    if any(p.required for p in COMMANDS[name].params):
        cases.append([])
    if any(getattr(p, "nargs", 1) == -1 for p in COMMANDS[name].params):
        del cases[1]  # it takes any number
    root = click.Context(main, obj=CliContext(place))
    root.params["directory"] = place
    for arguments in cases:
        with pytest.raises(click.UsageError) as refused:
            COMMANDS[name].make_context(name, list(arguments), parent=root)
        assert refused.value.exit_code == 2, arguments
        assert len(refused.value.format_message()) < 300, arguments


@pytest.mark.parametrize("name", [name for name in COMMANDS if [*wrong(name, BY_NAME, "name")]])
def test_what_is_not_there(
    cli: Cli, place: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable in ("DISPLAY", "WAYLAND_DISPLAY", "HF_TOKEN"):
        monkeypatch.delenv(variable, raising=False)
    before = state(place)
    for arguments in wrong(name, BY_NAME, "name"):
        result = cli(place, *name.split(), *arguments)
        shown = f"{arguments}: {result.output[-1_000:]} {result.exception!r}"
        assert result.exit_code == 2, shown
        assert result.stdout == "", shown
        (message,) = (line for line in result.stderr.splitlines() if line.startswith("Error: "))
        assert result.stderr.endswith(f"{message}\n"), shown
        assert len(message) < 1_000, shown
        assert "\x1b" not in message, shown
    assert state(place) == before


RUN = ("run", "pong", "--name", "bad", "--iterations", "1", "--no-switch", "--max-steps", "50")
REFLECT = (*RUN, "--optimizer", "reflect")
EXTRAS = {
    "hub": (
        ("huggingface_hub", ("push", "policies/pong.py", "me/right")),
        ("huggingface_hub", ("eval", "hf://me/right")),
    ),
    "ppo": (("stable_baselines3", ("baseline", "pong", "--method", "ppo", "--frames", "5000")),),
    "report": (
        ("jinja2", ("compare", "-o", "x.html")),
        ("jinja2", ("report", "-o", "x.html")),
        ("jinja2", ("export", "model-card", "policies/pong.py", *SHORT)),
    ),
    "wandb": (("wandb", (*RUN, "--log", "wandb")),),
    "mlflow": (("mlflow", (*RUN, "--log", "mlflow")),),
    "export": (
        ("tensorboardX", (*RUN, "--log", "tensorboard")),
        ("tensorboardX", ("export", "tensorboard", "-o", "scalars")),
        ("minari", ("export", "minari", "policies/pong.py", "--max-steps", "50", "-o", "sets")),
    ),
    "dask": (("distributed", (*RUN, "--executor", "dask://127.0.0.1:9")),),
    "models": (("anthropic", REFLECT),),
    "openai": (("openai", (*REFLECT, "--model", "openai:x")),),
}
"""Commands that need each extra, with the module that may be missing."""


@pytest.mark.parametrize(
    ("extra", "module", "arguments"),
    [(extra, *case) for extra, cases in EXTRAS.items() for case in cases],
)
def test_an_extra_that_is_missing(
    cli: Cli,
    place: Path,
    extra: str,
    module: str,
    arguments: tuple[str, ...],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    for key in ("ANTHROPIC_API_KEY", "OPENAI_API_KEY"):
        monkeypatch.setenv(key, "x")
    before = state(place)
    refused = cli(place, *arguments)
    assert refused.exit_code == 2, refused.output
    assert f"scripts/install --extra {extra}, or pip install 'gco-agent[{extra}]'" in refused.stderr
    assert refused.stderr.startswith("Error: ")
    assert len(refused.stderr.splitlines()) == 1
    assert state(place) == before


OFFLINE = """
import socket
resolve = socket.getaddrinfo
def refuse(host, *others, **more):
    if host != "127.0.0.1":
        raise socket.gaierror(-3, "no network")
    return resolve(host, *others, **more)
socket.getaddrinfo = refuse
from gco_agent.cli import main
main()
"""
LOGGED = (
    ("mlflow", {"MLFLOW_TRACKING_URI": "http://["}),
    ("mlflow", {"MLFLOW_TRACKING_URI": "http://127.0.0.1:9"}),
    ("mlflow", {"MLFLOW_TRACKING_URI": "sqlite:////dev/null/x.db"}),
    ("wandb", {"WANDB_MODE": "nonsense"}),
    ("wandb", {"WANDB_MODE": "online"}),
    ("wandb", {"WANDB_API_KEY": "bad"}),
)


@pytest.mark.parametrize(
    ("arguments", "settings"),
    [
        (("push", "policies/pong.py", "me/right"), {}),
        (("push", "policies/pong.py", "me/right"), {"HF_TOKEN": "hf_é"}),
        (("push", "policies/pong.py", "me/right"), {"HTTPS_PROXY": "socks9://x"}),
        (("eval", "hf://me/right"), {"HF_ENDPOINT": "nonsense"}),
        (("eval", "hf://me/right"), {"HF_ENDPOINT": "http://127.0.0.1:9"}),
        ((*RUN, "--executor", "dask://127.0.0.1:99999"), {}),
        ((*RUN, "--seeds", "0:2", "--seed", "1"), {}),
        (REFLECT, {}),
        ((*REFLECT, "--model", "openai:x"), {}),
        *(
            pytest.param((*RUN, "--log", name), settings, marks=pytest.mark.nightly)
            for name, settings in LOGGED
        ),
    ],
)
def test_no_network_no_key_and_settings_that_cannot_be_used(
    place: Path,
    surroundings: dict[str, str],
    tmp_path: Path,
    arguments: tuple[str, ...],
    settings: dict[str, str],
) -> None:
    """In a process of its own: these libraries read settings once, and leave threads behind."""
    secret = ("KEY", "TOKEN", "proxy", "PROXY", "BASE_URL")
    kept = {name: text for name, text in surroundings.items() if not name.endswith(secret)}
    before = state(place)
    done = subprocess.run(
        [sys.executable, "-c", OFFLINE, "-C", str(place), *arguments],
        cwd=tmp_path,
        env={**kept, **settings, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (2, ""), done.stderr
    assert done.stderr.startswith("Error: ")
    assert len(done.stderr.splitlines()) == 1, done.stderr
    assert len(done.stderr) < 600
    assert state(place) == before
