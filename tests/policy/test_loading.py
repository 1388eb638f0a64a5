"""Policies as objects in this process."""

import inspect
import sys
import traceback
from pathlib import Path

import pytest

from gco_agent.core.errors import ContractViolation, PolicyError
from gco_agent.policy.contract import load_policy
from gco_agent.policy.source import PolicySource

COUNTING = '''"""Counts."""
from __future__ import annotations

from dataclasses import dataclass


@dataclass
class Memory:
    n: int = 0


class Policy:
    def __init__(self):
        self.memory = Memory()

    def act(self, obs):
        self.memory.n += 1
        return self.memory.n // obs
'''


@pytest.fixture(autouse=True)
def modules_as_before():
    before = set(sys.modules)
    yield
    for name in set(sys.modules) - before:
        if name.startswith("gco_policy_"):
            del sys.modules[name]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "counting.py"
    path.write_text(COUNTING)
    return path


def test_each_call_gives_a_fresh_policy(path):
    first, second = load_policy(path), load_policy(str(path))
    assert [first.act(1), first.act(1), second.act(1)] == [1, 2, 1]


def test_nothing_is_written_beside_the_file(path):
    load_policy(path)
    assert [p.name for p in path.parent.iterdir()] == ["counting.py"]


def test_function_is_a_policy_as_well():
    assert load_policy(PolicySource("def act(obs):\n    return obs + 1\n")).act(1) == 2


def test_static_and_class_methods_are_called_alike():
    for decorator, first in (("staticmethod", ""), ("classmethod", "cls, ")):
        text = f"class Policy:\n    @{decorator}\n    def act({first}obs):\n        return obs\n"
        assert load_policy(PolicySource(text)).act(7) == 7


def test_module_is_known_under_its_name():
    policy = load_policy(PolicySource(COUNTING), origin="a/counting.py")
    name = type(policy).__module__
    assert name.startswith("gco_policy_counting_")
    assert sys.modules[name].Policy is type(policy)


def test_crlf_text_is_loaded():
    text = COUNTING.replace("\n", "\r\n")
    assert load_policy(PolicySource(text)).act(1) == 1


def test_source_can_be_inspected():
    policy = load_policy(PolicySource(COUNTING), origin="policies/counting.py@a1b2c3d")
    assert inspect.getsource(type(policy).act).startswith("    def act(self, obs):\n")
    assert inspect.getfile(type(policy)) == "policies/counting.py@a1b2c3d"


def test_traceback_shows_the_line_of_the_revision():
    policy = load_policy(PolicySource(COUNTING), origin="policies/counting.py@a1b2c3d")
    try:
        policy.act(0)
    except ZeroDivisionError:
        shown = traceback.format_exc()
    assert 'File "policies/counting.py@a1b2c3d", line 18, in act\n' in shown
    assert "return self.memory.n // obs" in shown


def test_text_without_an_origin_is_called_by_its_digest():
    source = PolicySource(COUNTING)
    policy = load_policy(source)
    assert inspect.getfile(type(policy)) == f"policy@{source.digest[:9]}"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x = 1\ny = {}['a']\n", r"pong\.py:2: the policy raised .* loaded: KeyError: 'a'"),
        ("import numpy.nonsense\n", r"pong\.py:1: .*ModuleNotFoundError"),
        ("raise SystemExit('over')\n", r"pong\.py:1: .*SystemExit: over"),
        (
            "def f():\n    raise ValueError('deep')\nf()\n",
            r"pong\.py:2: the policy raised while it was loaded: ValueError: deep",
        ),
    ],
)
def test_error_while_loading_has_file_and_line(text, message):
    before = set(sys.modules)
    with pytest.raises(PolicyError, match=message):
        load_policy(PolicySource(text + "def act(obs): ...\n"), origin="pong.py")
    assert not {name for name in set(sys.modules) - before if "pong" in name}


def test_error_outside_of_the_text_names_the_file_alone():
    text = "class Policy(metaclass=abs):\n    def act(self, obs): ...\n"
    with pytest.raises(PolicyError, match=r"^pong\.py:1: .*TypeError"):
        load_policy(PolicySource(text), origin="pong.py")
    text = (
        "import abc\nclass Policy(abc.ABC):\n    @abc.abstractmethod\n    def act(self, obs): ...\n"
    )
    with pytest.raises(PolicyError, match=r"^pong\.py: the policy raised.*TypeError"):
        load_policy(PolicySource(text), origin="pong.py")


def test_interrupt_passes_and_leaves_nothing():
    text = "def act(obs): ...\nraise KeyboardInterrupt\n"
    before = set(sys.modules)
    with pytest.raises(KeyboardInterrupt):
        load_policy(PolicySource(text))
    assert set(sys.modules) == before


def test_breach_of_the_contract_runs_nothing():
    text = "raise RuntimeError\nimport os\ndef act(obs): ...\n"
    with pytest.raises(ContractViolation, match="may not import os"):
        load_policy(PolicySource(text))


def test_missing_file_is_named(tmp_path):
    with pytest.raises(PolicyError, match=r"cannot read the policy .*none\.py"):
        load_policy(tmp_path / "none.py")
