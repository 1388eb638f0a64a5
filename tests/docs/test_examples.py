"""What the documentation tells people to type is typed, on a short run."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import click
import pytest

from gco_agent.cli import main
from gco_agent.cli.context import CliContext
from tests.cli.conftest import SHORT, Cli
from tests.store.samples import git

DOCS = Path(__file__).parents[2] / "docs"
PAGES = ("quickstart.md", "method.md", "policy-file.md", "looking.md", "recipes.md")
FASTER = {
    "doctor": (),
    "run": ("--iterations", "1", "--report-episodes", "2", "--optimizer", "scripted", *SHORT),
    "step": ("--workers", "1"),
    "publish": ("--episodes", "2", "--workers", "1"),
    "eval": ("--episodes", "2", "--max-steps", "60", "--workers", "1"),
    "card": ("--episodes", "2", "--max-steps", "20", "--workers", "1"),
    "enjoy": ("--max-steps", "20"),
    "export model-card": ("--episodes", "2", "--max-steps", "20", "--workers", "1"),
    "export minari": ("--max-steps", "20"),
}
"""What the test adds so that minutes become seconds; the last of an option counts."""


def blocks(page: str, language: str) -> list[str]:
    text = (DOCS / page).read_text("utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)


def commands(page: str) -> list[list[str]]:
    lines = [line for block in blocks(page, "sh") for line in block.splitlines()]
    return [words for line in lines if (words := shlex.split(line, comments=True))]


def run(cli: Cli, root: Path, words: list[str]) -> None:
    program, *arguments = words
    if program == "git":
        git(root, *arguments)
        return
    assert program == "gco-agent", words
    name = next(
        name for name in (" ".join(arguments[:2]), arguments[0], "") if name in FASTER or not name
    )
    result = cli(root, *arguments, *FASTER.get(name, ()))
    assert result.exit_code == 0, f"{words}: {result.output}"


@pytest.fixture(autouse=True)
def _nobody_looks(monkeypatch):
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    for module in ("imageio_ffmpeg", "minari", "tensorboardX"):
        pytest.importorskip(module)


def test_the_quickstart_is_one_session(cli, project):
    for words in commands("quickstart.md"):
        run(cli, project, words)
    assert (project / "policies" / "pong.py").exists()
    assert (project / "pong-first.html").exists()
    assert git(project, "branch", "--show-current") == "main"


@pytest.mark.parametrize("page", PAGES[1:])
def test_every_command_runs(cli, played, page):
    for words in commands(page):
        run(cli, played, words)


def test_the_policy_of_the_docs_is_one(cli, played):
    policy, loop = blocks("policy-file.md", "python")
    (played / "policies" / "pong.py").write_text(policy)
    assert cli(played, "eval", "policies/pong.py", "--episodes", "1", *SHORT).exit_code == 0
    loop = loop.replace("policies/pong.py", str(played / "policies" / "pong.py"))
    names: dict[str, object] = {}
    exec(loop.replace("done = terminated or truncated", "done = True"), names)
    assert names["done"]


def test_the_python_page_is_one_program(project, monkeypatch):
    monkeypatch.chdir(project)
    names: dict[str, object] = {"__name__": "notebook"}
    for block in blocks("python.md", "python"):
        exec(compile(block, "python.md", "exec"), names)
    assert (project / "first.html").exists()


def test_the_loop_of_the_recipes_plays(played, monkeypatch):
    monkeypatch.chdir(played)
    names: dict[str, object] = {}
    for block in blocks("recipes.md", "python"):
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


def test_the_page_on_comparing(cli, project):
    for words in commands("comparing-runs.md"):
        run(cli, project, [word.replace("0:5", "0:1") for word in words])


def test_the_commands_of_the_readme_exist():
    text = (DOCS.parent / "README.md").read_text("utf-8")
    found = re.findall(r"^```sh\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    lines = [shlex.split(line, comments=True) for block in found for line in block.splitlines()]
    typed = [words[1:] for words in lines if words and words[0].endswith("gco-agent")]
    assert len(typed) > 10
    for name, *arguments in typed:
        command = main.get_command(click.Context(main), name)
        assert command is not None, name
        above = click.Context(main, obj=CliContext(Path()))
        command.make_context(name, arguments, parent=above)  # parses, and runs nothing
