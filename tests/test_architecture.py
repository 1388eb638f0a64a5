"""Importing the package stays cheap, and its public names are what they say.

Which package may import which, and which module a foreign library, is checked by import-linter.
"""

from __future__ import annotations

import re
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

HEAVY = (
    *("opto", "litellm", "anthropic", "openai", "httpx2", "cv2", "numpy", "ale_py", "gymnasium"),
    *("ocatari", "plotly", "jinja2", "PIL", "matplotlib", "pygame", "imageio_ffmpeg", "minari"),
    *("distributed", "wandb", "mlflow", "huggingface_hub", "scipy", "cma", "tomlkit"),
    *("git", "black", "libcst", "pydantic", "radon", "multiprocessing"),
)


def test_the_public_names_are_lazy_and_exact() -> None:
    package = import_module("gco_agent")  # as a module, without the types of its stub
    assert {*package._homes(), "__version__"} == set(package.__all__)
    assert all(getattr(package, name) for name in package.__all__)
    assert set(package.__all__) <= set(dir(package))
    with pytest.raises(AttributeError, match="module 'gco_agent' has no attribute 'agent'"):
        _ = package.agent
    assert package.__version__.count(".") >= 2


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


def test_every_fault_of_the_table_has_its_tests() -> None:
    here = Path(__file__).parent
    rows = (here / "faults.md").read_text("utf-8").split("|---|---|")[1].strip().splitlines()
    for row in rows:
        named = re.findall(r"([\w/]+\.py)::(\w+)", row)
        assert named, row
        for path, name in named:
            assert f"def {name}(" in (here / path).read_text("utf-8"), name
