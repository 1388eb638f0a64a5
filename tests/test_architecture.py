"""What may import what, and other rules of the house that a reader relies on."""

from __future__ import annotations

import ast
import graphlib
import importlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import gco_agent

ROOT = Path(gco_agent.__file__).parent

LEVELS: tuple[tuple[str, ...], ...] = (
    ("action_record", "calls", "errors", "observation", "records", "unseen"),
    (
        *("budget", "clusters", "complexity", "config", "games", "header", "llm", "policy"),
        *("progress", "seeds", "stages", "statistics", "status", "workers"),
    ),
    ("envs", "jail", "store"),
    ("feedback", "optimizers", "rollout", "traces"),
    ("judge",),
    (
        *(
            "accounts",
            "anchoring",
            "briefing",
            "checking",
            "export",
            "improving",
            "measuring",
            "proposing",
        ),
        *("replay", "report", "requesting", "robustness", "scoring", "sentences", "sources"),
        *("testing", "train", "tries", "verification", "video"),
    ),
    ("", "__main__", "cli"),
)
"""Parts of the package, lowest first; a part imports from its own level and from lower ones."""

LEVEL = {part: number for number, parts in enumerate(LEVELS) for part in parts}

DOORS = {
    "ale_py": ("envs.objects", "envs.atari"),
    "imageio_ffmpeg": ("video.encoding",),
    "jinja2": ("report.page",),
    "markupsafe": ("report.page",),
    "matplotlib": ("robustness", "report.static", "video.code"),
    "PIL": ("video", "cli.enjoying"),
    "plotly": ("report.figures",),
    "pygame": ("video.window",),
    "anthropic": ("llm",),
    "black": ("policy.formatting",),
    "click": ("cli",),
    "cma": ("optimizers.evolution", "optimizers.vectors.tuning"),
    "concurrent": ("clusters", "workers"),
    "dask": ("clusters",),
    "distributed": ("clusters",),
    "git": ("store.git",),
    "gymnasium": ("envs",),
    "httpx2": ("llm",),
    "multiprocessing": ("workers",),
    "ocatari": (),
    "opto": ("optimizers.optoprime",),
    "radon": ("complexity",),
    "rich": ("cli",),
    "scipy": ("statistics",),
    "tomlkit": ("config",),
}
"""Foreign library to the modules that may import it; ocatari's files are loaded by path."""

HEAVY = (
    *("opto", "litellm", "anthropic", "httpx2", "cv2", "numpy", "ale_py", "gymnasium", "ocatari"),
    *("plotly", "jinja2", "PIL", "matplotlib", "pygame", "imageio_ffmpeg", "minari", "distributed"),
    *("git", "black", "radon", "scipy", "cma", "tomlkit", "multiprocessing"),
)


def module_name(path: Path) -> str:
    """Name below the package: "", "train", "store.git"."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {
    module_name(path): path for path in ROOT.rglob("*.py") if ROOT / "initial" not in path.parents
}
TREES = {name: ast.parse(path.read_text("utf-8")) for name, path in MODULES.items()}
each_module = pytest.mark.parametrize("name", sorted(MODULES))


def part_of(name: str) -> str:
    return name.partition(".")[0]


def imported(nodes: Iterator[ast.AST]) -> Iterator[str]:
    """Full names that the import statements among ``nodes`` name."""
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "relative import"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def own(full_name: str) -> str | None:
    """The module of ours that a full name is of or in, or None."""
    name = full_name.removeprefix("gco_agent").removeprefix(".")
    if name == full_name:
        return None
    while name not in MODULES:
        name = name.rpartition(".")[0]
    return name


def outside_functions(tree: ast.AST) -> Iterator[ast.AST]:
    """Nodes that run when a module is imported."""
    for node in ast.iter_child_nodes(tree):
        is_for_types = isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
        if not is_for_types and not isinstance(node, ast.FunctionDef | ast.Lambda):
            yield node
            yield from outside_functions(node)


def test_every_part_has_a_level_and_every_level_is_of_parts() -> None:
    assert {part_of(name) for name in MODULES} == set(LEVEL)


@each_module
def test_imports_never_point_up(name: str) -> None:
    level = LEVEL[part_of(name)]
    for full_name in imported(ast.walk(TREES[name])):
        target = own(full_name)
        assert target is None or LEVEL[part_of(target)] <= level, full_name


def test_modules_that_load_each_other_make_no_circle() -> None:
    graph = {
        name: {
            target
            for full_name in imported(outside_functions(tree))
            if (target := own(full_name)) is not None and target != name
        }
        for name, tree in TREES.items()
    }
    assert len(list(graphlib.TopologicalSorter(graph).static_order())) == len(MODULES)


@each_module
def test_a_foreign_library_has_one_door(name: str) -> None:
    for full_name in imported(ast.walk(TREES[name])):
        library = full_name.partition(".")[0]
        doors = DOORS.get(library)
        if doors is not None:
            assert any(name == door or name.startswith(f"{door}.") for door in doors), full_name


@each_module
def test_habits(name: str) -> None:
    """Limits of size stand in STYLE; names that say nothing, and prints, are refused."""
    path, tree = MODULES[name], TREES[name]
    assert ast.get_docstring(tree), "a module says what it owns"
    assert path.stem not in {"utils", "common", "manager", "handler", "misc"}
    assert len(path.read_text("utf-8").splitlines()) <= 400
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef):
            assert node.name != "Agent"
        is_call = isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
        if is_call and part_of(name) != "cli":
            assert node.func.id != "print", f"line {node.lineno}"  # type: ignore[attr-defined]


@each_module
def test_all_is_exact(name: str) -> None:
    module = importlib.import_module(f"gco_agent.{name}" if name else "gco_agent")
    public = getattr(module, "__all__", None)
    if public is None or name == "__main__":
        return
    assert len(set(public)) == len(public)
    for word in public:
        assert getattr(module, word) is not None
    if name in {"policy", "jail"}:  # packages that only pass names on
        imports = (n for n in TREES[name].body if isinstance(n, ast.ImportFrom))
        assert set(public) == {alias.name for node in imports for alias in node.names}


def test_the_public_names_are_lazy_and_exact() -> None:
    assert set(gco_agent._HOMES) | {"__version__"} == set(gco_agent.__all__)
    assert set(gco_agent.__all__) <= set(dir(gco_agent))
    with pytest.raises(AttributeError, match="module 'gco_agent' has no attribute 'agent'"):
        _ = gco_agent.agent
    assert gco_agent.__version__.count(".") >= 2


@pytest.mark.parametrize("module", ["gco_agent", "gco_agent.cli"])
def test_importing_loads_nothing_heavy(module: str) -> None:
    script = (
        f"import sys, {module}\nprint(sorted(set(sys.modules) & set({HEAVY!r})))\n"
        f"print(len([name for name in sys.modules if name.startswith('gco_agent.')]))"
    )
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", script], capture_output=True, text=True, check=True
    )
    heavy, n_modules = done.stdout.splitlines()
    assert heavy == "[]"
    assert module != "gco_agent" or n_modules == "0"
