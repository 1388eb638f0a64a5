"""Every optimizer keeps to the protocol, and the kit that says so notices when one does not."""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from gco_agent.core.errors import ProposalError, UsageError
from gco_agent.evaluation.workers import WorkerPool
from gco_agent.llm.base import ScriptedModel
from gco_agent.optimizers.base import Optimizer, Proposal, Request, Tools, Unusable
from gco_agent.optimizers.registry import GROUP, make_optimizer, optimizer_names
from gco_agent.optimizers.testing import check_optimizer, example_config
from gco_agent.policy.source import PolicySource, format_policy
from gco_agent.store.config import RunConfig
from tests.engine.pong_policies import FOLLOW, STILL

DOCS = Path(__file__).parents[2] / "docs/optimizers.md"
ANSWER = f"Summary: follow it\n\nBecause it helps.\n\n```python\n{FOLLOW}```\n"
WITH_CONSTANT = FOLLOW.replace("class", "MARGIN = 3\n\n\nclass").replace("cy <", "cy + MARGIN <")
PART = "def select_action(self, obs, target_y):\n    return MOVES_UP\n"


@pytest.fixture
def pool() -> Iterator[WorkerPool]:
    with WorkerPool(0) as pool:
        yield pool


def named(name: str, tools: Tools) -> Optimizer:
    return make_optimizer(name, tools)


@pytest.mark.parametrize(
    "name",
    [
        "search",
        "tune",
        "simplify",
        "reflect",
        "optoprime",
        "exchange",
        "best-of-n",
        "random-search",
    ],
)
def test_the_optimizers_of_this_package(name: str, pool: WorkerPool, tmp_path: Path) -> None:
    if name == "optoprime":
        pytest.importorskip("opto", reason="trace-opt is not installed")

    def open_model() -> ScriptedModel:
        return ScriptedModel([PART if name == "optoprime" else ANSWER])

    reply = ANSWER if name == "exchange" else None
    tools = Tools(pool, open_models=[open_model], folder=tmp_path / "run", reply=reply)
    policy = {"tune": WITH_CONSTANT, "random-search": WITH_CONSTANT, "simplify": FOLLOW}.get(name)
    config = replace(example_config(max_steps=80), slice_steps=300)
    check_optimizer(lambda tools: named(name, tools), tools, config, policy)


def test_every_optimizer_is_among_those_checked() -> None:
    names = ["search", "optoprime", "reflect", "exchange", "tune", "simplify"]
    assert optimizer_names() == [*names, "best-of-n", "random-search"]


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", DOCS.read_text("utf-8"), re.DOTALL)


def test_a_strangers_own_is_found_by_its_entry_point(
    pool: WorkerPool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The example of the documentation, installed as its reader would, and put to the kit."""
    code, test = blocks("python")
    (entry,) = blocks("toml")
    assert f'"{GROUP}"' in entry
    name, value = re.findall(r'^(\w+) = "(.*)"$', entry, re.M)[0]
    (tmp_path / "nudge.py").write_text(code)
    info = tmp_path / "nudge-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: nudge\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[{GROUP}]\n{name} = {value}\nbroken = nudge:nothing\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert optimizer_names()[-2:] == ["broken", "nudge"]
    assert make_optimizer("nudge", Tools(pool)).name == "nudge"
    relay = make_optimizer("nudge,search", Tools(pool))
    assert relay.name == "nudge,search"
    with pytest.raises(UsageError, match=r"'broken' of nudge cannot be loaded \(nudge:nothing\)"):
        make_optimizer("broken", Tools(pool))
    scope: dict[str, object] = {}
    exec(test, scope)
    scope["test_nudge"]()  # type: ignore[operator]
    sys.modules.pop("nudge", None)


FILE = """
from gco_agent.optimizers.base import Optimizer, Proposal, Request, Tools

class Mine(Optimizer):
    name = "mine"

    def propose(self, request: Request) -> Proposal:
        raise NotImplementedError
"""


@pytest.mark.parametrize("ending", ["", "mine = Mine()", "def make(tools: Tools): return Mine()"])
def test_an_optimizer_in_a_file(ending: str, pool: WorkerPool, tmp_path: Path) -> None:
    (tmp_path / "my.py").write_text(FILE + ending)
    assert make_optimizer("my.py", Tools(pool), files_in=tmp_path).name == "mine"
    assert make_optimizer("my.py,search", Tools(pool), files_in=tmp_path).name == "mine,search"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "no optimizers"),
        (FILE + "class Other(Mine): pass", "2 optimizers"),
        ("x = 1 / 0", "ZeroDivisionError"),
        ("def make(tools): return 3", "of type int"),
        (None, "there is no optimizer file"),
    ],
)
def test_a_file_without_an_optimizer(
    text: str | None, said: str, pool: WorkerPool, tmp_path: Path
) -> None:
    if text is not None:
        (tmp_path / "my.py").write_text(text)
    with pytest.raises(UsageError, match=said):
        make_optimizer("my.py", Tools(pool), files_in=tmp_path)


def test_a_file_that_only_run_toml_names_is_not_loaded(pool: WorkerPool, tmp_path: Path) -> None:
    (tmp_path / "my.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')")
    with pytest.raises(UsageError, match=r"--optimizer .*my\.py"):
        make_optimizer(str(tmp_path / "my.py"), Tools(pool))
    assert not (tmp_path / "ran").exists()


class Wrong(Optimizer):
    """Proposes something else at every call, or whatever it is told."""

    name = "wrong"
    n = 0

    def __init__(self, **changes: object) -> None:
        self.changes = changes

    def propose(self, request: Request) -> Proposal:
        good = Proposal(PolicySource(format_policy(STILL)), "stand", "To see.", {"a.txt": "x"}, 3)
        return replace(good, **self.changes)  # type: ignore[arg-type]


class Counting(Wrong):
    def propose(self, request: Request) -> Proposal:
        Wrong.n += 1
        return replace(super().propose(request), reason=f"Call {Wrong.n}.")


class Printing(Wrong):
    def propose(self, request: Request) -> Proposal:
        sys.stdout.write("thinking")
        return super().propose(request)


class Meddling(Wrong):
    def propose(self, request: Request) -> Proposal:
        request.attempts.clear()  # type: ignore[attr-defined]
        return super().propose(request)


class Parent(Wrong):
    def propose(self, request: Request) -> Proposal:
        return replace(super().propose(request), source=request.parent)


class Silent(Wrong):
    def propose(self, request: Request) -> Proposal:
        raise ProposalError("")


class Kindless(Wrong):
    def propose(self, request: Request) -> Proposal:
        raise Unusable("no", kind=" ")


class Nameless(Wrong):
    name = ""


class Odd(Wrong):
    capabilities = True  # type: ignore[assignment]


@pytest.mark.parametrize(
    ("optimizer", "message"),
    [
        (Counting(), "answers the same request differently"),
        (Printing(), "it printed 'thinking"),
        (Meddling(), "it changed the request"),
        (Parent(), "the proposed policy is the parent"),
        (Silent(), "ProposalError says nothing"),
        (Kindless(), "an Unusable needs a kind"),
        (Nameless(), "name is empty"),
        (Odd(), "capabilities is True"),
        (Wrong(source="text"), "source should be a PolicySource"),
        (Wrong(source=PolicySource("import os\n" + STILL)), "breaks the contract"),
        (Wrong(source=PolicySource(STILL.replace("0", "( 0 )"))), "is not formatted"),
        (Wrong(summary=""), "summary is empty"),
        (Wrong(summary="a\nb"), "summary has several lines"),
        (Wrong(summary="a" * 300), "summary has 300 characters"),
        (Wrong(reason=" "), "reason is empty"),
        (Wrong(n_steps=-1), "n_steps is -1"),
        (Wrong(usage=3), "usage is 3"),
        (Wrong(files={"a.txt": b"x"}), "holds bytes, not text"),
        (Wrong(files={"../a": "x"}), "leads elsewhere"),
        (Wrong(files={"/a": "x"}), "should be relative"),
        (Wrong(files={"a//b": "x"}), "should be written 'a/b'"),
        (Wrong(files=3), "files is 3"),
    ],
    ids=lambda value: value if isinstance(value, str) else type(value).__name__,
)
def test_the_kit_notices(optimizer: Optimizer, message: str, blank: Request) -> None:
    with pytest.raises(AssertionError, match=message):
        check_against(optimizer, blank)


@pytest.fixture(scope="module")
def blank() -> Request:
    """A request for which nothing was played."""
    from gco_agent.core.records import Evaluation
    from gco_agent.core.seeds import Stream

    config: RunConfig = example_config()
    return Request(
        parent=PolicySource(format_policy(FOLLOW)),
        evaluation=Evaluation((), Stream.FEEDBACK.label(0, 1)),
        iteration=1,
        config=config,
        attempts=[],
        recall=lambda _: None,
        deadline=time.perf_counter() + 60,
    )


def check_against(optimizer: Optimizer, request: Request) -> None:
    """The kit, without play."""
    from gco_agent.optimizers import testing as kit
    from gco_agent.optimizers.base import PastIteration

    request = replace(request, attempts=[PastIteration(0, "initial", "Start", None)])
    with WorkerPool(0) as pool:
        tools = Tools(pool)
        kit.check_name(optimizer)
        first = kit.check_answer(lambda _: optimizer, tools, request)
        kit.check_repeats(first, kit.check_answer(lambda _: optimizer, tools, request))
