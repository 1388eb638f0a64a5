"""What the documentation tells people to type is typed, on a short run.

A block of commands that is not run says why in its first line, as in ``sh untested="a key"``; its
commands are parsed all the same.
"""

from __future__ import annotations

import ast
import re
import shlex
import sys
from pathlib import Path

import click
import gymnasium
import pytest

from gco_agent.cli import main
from gco_agent.cli.context import CliContext
from tests.cli.conftest import SHORT, Cli
from tests.cli.scripted import FOLLOW
from tests.store.samples import git

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted(DOCS.glob("*.md"))]
SESSIONS = (
    "exchange",
    "games",
    "looking",
    "method",
    "own-game",
    "policy-file",
    "README",
    "recipes",
)
"""Pages whose commands are typed where a run is checked out; two more have tests of their own."""
PROGRAMS = ("gco-agent", "scripts/gco-agent", "git", "source")
FASTER = {
    "doctor": (),
    "run": ("--iterations", "1", "--report-episodes", "2", "--optimizer", "scripted", *SHORT),
    "init": SHORT,
    "prompt": (),
    "step": ("-n", "1", "--workers", "1"),
    "report": ("--clips", "0"),
    "eval": ("--episodes", "2", "--max-steps", "60", "--workers", "1"),
    "card": ("--episodes", "2", "--max-steps", "20", "--workers", "1"),
    "enjoy": ("--max-steps", "20"),
    "publish": ("--episodes", "2", "--workers", "1"),
    "export model-card": ("--episodes", "2", "--max-steps", "20", "--workers", "1"),
    "export minari": ("--max-steps", "20"),
}
"""What the test adds so that minutes become seconds; the last of an option counts."""


def blocks(page: Path, language: str) -> list[str]:
    """The blocks whose first line is exactly this."""
    text = page.read_text("utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)


def commands(page: Path, language: str = "sh") -> list[list[str]]:
    lines = [line for block in blocks(page, language) for line in block.splitlines()]
    return [words for line in lines if (words := shlex.split(line, comments=True))]


def run(cli: Cli, root: Path, words: list[str]) -> None:
    program, *arguments = words
    if program == "git":
        git(root, *arguments)
    if program in ("git", "source"):
        return
    assert program in PROGRAMS, words
    arguments, target = (arguments[:-2], arguments[-1]) if ">" in words else (arguments, None)
    name = next(
        name for name in (" ".join(arguments[:2]), arguments[0], "") if name in FASTER or not name
    )
    result = cli(root, *arguments, *FASTER.get(name, ()))
    assert result.exit_code == 0, f"{words}: {result.output}"
    if target:
        (root / target).write_text(result.stdout)


@pytest.fixture(autouse=True)
def _modules_of_pages():
    """Forget modules and environments of a page: another test may have some of the same name."""
    before, environments = set(sys.modules), set(gymnasium.registry)
    yield
    for name in set(sys.modules) - before:
        if "pytest-of-" in (getattr(sys.modules[name], "__file__", None) or ""):
            del sys.modules[name]
    for name in set(gymnasium.registry) - environments:
        del gymnasium.registry[name]


@pytest.fixture(autouse=True)
def _nobody_looks(monkeypatch):
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    for module in ("imageio_ffmpeg", "minari", "tensorboardX"):
        pytest.importorskip(module)


def test_the_quickstart_is_one_session(cli, project):
    for words in commands(DOCS / "quickstart.md"):
        run(cli, project, words)
    assert (project / "policies" / "pong.py").exists()
    assert (project / "pong-first.html").exists()
    assert git(project, "branch", "--show-current") == "main"


@pytest.mark.parametrize("name", SESSIONS)
def test_every_command_runs(cli, played, monkeypatch, name):
    monkeypatch.chdir(played)
    monkeypatch.syspath_prepend(played)
    page = next(page for page in PAGES if page.stem == name)
    for block in blocks(page, "python"):
        if file := re.match(r"# (\w+\.py)\n", block):
            (played / file[1]).write_text(block)
    (played / "answer.md").write_text(f"```python\n{FOLLOW}```\n")
    for words in commands(page):
        if words[1] != "dashboard":  # runs until Ctrl-C
            run(cli, played, words)


def test_no_other_block_has_commands():
    """Every block is run above, or says why not, or shows what was printed."""
    for page in PAGES:
        tested = page.stem in (*SESSIONS, "quickstart", "comparing-runs")
        for language, body in re.findall(
            r"^```([^\n]*)\n(.*?)^```$", page.read_text("utf-8"), re.DOTALL | re.MULTILINE
        ):
            program = body.split()[0]
            if program in PROGRAMS or language.startswith("sh"):
                assert language == "sh" or re.fullmatch('sh untested="[^"]+"', language), body
                assert tested or language != "sh", f"{page}: {body}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_command_exists_and_every_snippet_is_python(page):
    untested = commands(page, 'sh untested="[^"\n]+"')
    printed = [words[1:] for words in commands(page, "console") if words[0] == "$"]
    above = click.Context(main, obj=CliContext(Path()))
    for words in (*commands(page), *untested, *printed):
        start = next((i for i, word in enumerate(words) if word.endswith("gco-agent")), None)
        if start is None or words[0] == "git":
            continue
        given = words[start + 1 :]
        if given[0].startswith("--trust"):
            given = given[2:]
        command = main.get_command(click.Context(main), given[0])
        assert command is not None, given
        end = given.index(">") if ">" in given else None
        command.make_context(given[0], given[1:end], parent=above)  # parses, and runs nothing
    for block in blocks(page, "python"):
        ast.parse(block if not block.startswith(" ") else f"if True:\n{block}")


@pytest.mark.parametrize("page", ["policy-file.md", "../README.md"])
def test_the_policy_of_the_docs_is_one(cli, played, monkeypatch, page):
    monkeypatch.chdir(played)
    monkeypatch.syspath_prepend(played)
    found = blocks(DOCS / page, "python")
    policy = next(block for block in found if block.startswith('"""Pong'))
    loop = next(block for block in found if block.startswith("import gymnasium"))
    (played / "policies" / "pong.py").write_text(policy)
    assert cli(played, "eval", "policies/pong.py", "--episodes", "1", *SHORT).exit_code == 0
    monkeypatch.delitem(sys.modules, "policies", raising=False)
    monkeypatch.delitem(sys.modules, "policies.pong", raising=False)
    names: dict[str, object] = {}
    exec(loop.replace("done = terminated or truncated", "done = True"), names)
    assert names["done"]


def test_the_python_page_is_one_program(project, monkeypatch):
    monkeypatch.chdir(project)
    names: dict[str, object] = {"__name__": "notebook"}
    for block in blocks(DOCS / "python.md", "python"):
        exec(compile(block, "python.md", "exec"), names)
    assert (project / "first.html").exists()


def test_the_loop_of_the_recipes_plays(played, monkeypatch):
    monkeypatch.chdir(played)
    names: dict[str, object] = {}
    for block in blocks(DOCS / "recipes.md", "python"):
        exec(block, names)
    assert names["done"]


@pytest.mark.parametrize("page", [*DOCS.glob("*.md"), *DOCS.parent.glob("*.md")], ids=str)
def test_links_between_pages_lead_somewhere(page):
    for target in re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text("utf-8")):
        assert (page.parent / target).exists(), f"{page}: {target}"


def test_every_page_is_listed_and_every_package_described():
    index = (DOCS / "README.md").read_text("utf-8")
    assert all(f"({page.name})" in index for page in DOCS.glob("*.md") if page.name != "README.md")
    text = (DOCS / "architecture.md").read_text("utf-8")
    package = DOCS.parent / "gco_agent"
    names = [path.name for path in package.iterdir() if (path / "__init__.py").exists()]
    assert all(f"| `{name}` |" in text for name in (*names, "api"))


def test_the_page_on_comparing(cli, project, monkeypatch):
    monkeypatch.chdir(project)
    for words in commands(DOCS / "comparing-runs.md"):
        run(cli, project, [word.replace("0:5", "0:1") for word in words])
    for block in blocks(DOCS / "comparing-runs.md", "python"):
        exec(block, {})
    assert (project / "cart-pole.html").exists()
