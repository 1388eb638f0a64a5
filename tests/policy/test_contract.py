"""Every way in which a policy can break its contract has words of its own."""

import os
import time
from pathlib import Path

import pytest

from gco_agent.core.errors import ContractViolation
from gco_agent.policy.contract import ALLOWED_IMPORTS, FORBIDDEN_NAMES, check_policy
from gco_agent.policy.source import PolicySource, format_policy

ROOT = Path(__file__).parents[2]
CORPORA = (
    Path(os.environ.get("GCO_HOSTILE_CORPUS") or ROOT.parent / "shared/hostile"),
    ROOT / "tests/jail/hostile",
)
HOSTILE = [path for folder in CORPORA for path in sorted(folder.glob("*.py"))]
ACT = "def act(obs):\n    return 0\n"
METHOD = "class Policy:\n    def act(self, obs):\n        return 0\n"


def check(text: str) -> None:
    check_policy(PolicySource(text))


@pytest.mark.parametrize(
    "text",
    [
        ACT,
        METHOD,
        METHOD + ACT,  # the class is the policy
        "def act(obs, extra=1, *more, key=None, **rest):\n    return 0\n",
        "def act(*args):\n    return 0\n",
        "class Policy:\n    @staticmethod\n    def act(obs):\n        return 0\n",
        "class Policy:\n    @classmethod\n    def act(cls, obs, /):\n        return 0\n",
        "class Policy:\n    def act(*args):\n        return 0\n",
        "class Policy:\n    def __init__(self, n=1, *args, m=2, **kw): ...\n" + METHOD[14:],
        "from dataclasses import dataclass\n@dataclass\nclass Policy:\n    n: int = 0\n"
        "    K: 'ClassVar[int]'\n" + METHOD[14:],
        "class Policy:\n    n: int\n" + METHOD[14:],
        "import numpy.random as r, math\nfrom numpy.linalg import norm\n" + ACT,
        "from __future__ import annotations\nfrom collections.abc import Mapping\n" + ACT,
        "def act(obs):\n    def inner():\n        yield 1\n    return sum(inner())\n",
        "def act(obs):\n    return (lambda: (yield))\n",
        "class Policy:\n    @property\n    def n(me): ...\n    @n.setter\n    def n(me, v): ...\n"
        + METHOD[14:],
        "import re\ndef act(obs, input=0):\n    input = re.compile('a')\n    return input\n",
        "def open(x): ...\ndef act(obs):\n    return open(obs)\n",
        "from math import exp as eval\ndef act(obs):\n    return eval(obs)\n",
        "def act(obs):\n    print(obs)\n    try:\n        return 1\n    finally:\n        pass\n",
        "def act(obs):\n  try:\n    return\n  except* OSError:\n    pass\n  finally:\n    pass\n",
    ],
)
def test_policies_within_the_contract(text):
    check(text)


@pytest.mark.parametrize("module", sorted(ALLOWED_IMPORTS))
def test_allowed_modules_exist(module):
    __import__(module)
    check(f"import {module}\n{ACT}" if module != "__future__" else ACT)


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("", None, "there is no policy here"),
        ("x = 1\n", None, "needs `class Policy` with `def act"),
        ("if True:\n    def act(obs): ...\n", None, "at its top level"),
        ("class Policy:\n    pass\n", 1, "line 1: class Policy defines no act"),
        ("class Policy:\n    act = abs\n", 1, "class Policy defines no act"),
        (ACT + "class Policy:\n    pass\n", 3, "line 3: class Policy defines no act"),
        ("async def act(obs): ...\n", 1, "line 1: act is async .* write `def act.obs.:`"),
        ("def act(obs):\n    yield 1\n", 1, "line 1: act has a yield"),
        ("def act(obs):\n    if obs:\n        x = yield from obs\n", 1, "act has a yield"),
        ("def act():\n    ...\n", 1, r"act takes \(\), but it is called with the observation"),
        ("def act(obs, state): ...\n", 1, r"act takes \(obs, state\)"),
        ("def act(obs, *, state): ...\n", 1, r"act takes \(obs, \*, state\)"),
        ("def act(*, obs=1): ...\n", 1, r"act takes \(\*, obs=1\)"),
        ("class Policy:\n    def act(obs): ...\n", 2, r"takes \(obs\).* `def act\(self, obs\):`"),
        ("class Policy:\n    def act(self): ...\n", 2, r"act takes \(self\)"),
        ("class Policy:\n    def act(self, a, b): ...\n", 2, r"act takes \(self, a, b\)"),
        ("class Policy:\n    @staticmethod\n    def act(self, a): ...\n", 3, r"takes \(self, a\)"),
        ("class Policy:\n    @property\n    def act(self): ...\n", 3, "act is a property"),
        (
            "class Policy:\n    def __init__(self, n): ...\n" + METHOD[14:],
            2,
            "__init__ needs n, but",
        ),
        (
            "class Policy:\n    def __new__(cls, *, n): ...\n" + METHOD[14:],
            2,
            "__new__ needs n, but",
        ),
        ("class Policy:\n    async def __init__(self): ...\n" + METHOD[14:], 2, "is async"),
        ("@dataclass(frozen=True)\nclass Policy:\n    n: int\n" + METHOD[14:], 3, "needs n, but"),
        (METHOD + "\n" + METHOD, 5, r"Policy is defined a second time \(first in line 1\)"),
        (METHOD + METHOD[14:], 4, r"line 4: act is defined a second time \(first in line 2\)"),
        (ACT + ACT, 3, r"act is defined a second time \(first in line 1\); keep one"),
        ("import os\n" + ACT, 1, r"line 1: a policy may not import os \(the jail has no files"),
        ("import math, os.path\n" + ACT, 1, r"may not import os\.path"),
        ("from os import path\n" + ACT, 1, "may not import os"),
        ("def act(obs):\n    import time\n", 2, "line 2: .*time.*count the calls of act on self"),
        ("import torch\n" + ACT, 1, "may not import torch\nthe modules it may import: __future__"),
        ("from gco_agent import observation\n" + ACT, 1, "a policy file stands alone"),
        ("from . import x\n" + ACT, 1, "line 1: a relative import"),
        ("from .a import x\n" + ACT, 1, "line 1: a relative import"),
        ("from __future__ import braces\n" + ACT, 1, "not a chance"),
        ("def act(obs):\n    return 0\nreturn 1\n", 3, "line 3: 'return' outside function"),
        (
            "def act(obs):\n    try:\n        pass\n    finally:\n        break\n",
            5,
            "'break' outside",
        ),
        ("def act(obs):\n    nonlocal x\n", 2, "line 2: no binding for nonlocal 'x' found"),
        ("def act(obs):\n    obs = = 1\n", 2, "line 2: invalid syntax"),
    ],
)
def test_breaches_are_named_with_their_line(text, line, message):
    with pytest.raises(ContractViolation, match=message) as caught:
        check(text)
    assert caught.value.line == line


@pytest.mark.parametrize("name", FORBIDDEN_NAMES)
def test_forbidden_names_say_what_to_do(name):
    with pytest.raises(ContractViolation) as caught:
        check(f"def act(obs):\n    return {name}\n")
    assert str(caught.value) == f"line 2: a policy may not use {name}: {FORBIDDEN_NAMES[name]}"


def test_homoglyphs_are_read_as_python_reads_them():
    with pytest.raises(ContractViolation, match="may not use eval"):
        check("def act(obs):\n    return \uff45val('0')\n")


def test_findings_come_in_the_order_of_the_file_and_not_without_end():
    imports = "".join(f"import m{i}\n" for i in range(9))
    with pytest.raises(ContractViolation) as caught:
        check(imports + "x = open\n")
    lines = str(caught.value).splitlines()
    assert lines[0].startswith("there is no policy here")
    assert [line.partition(":")[0] for line in lines[1:5]] == [f"line {n}" for n in range(1, 5)]
    assert lines[5] == "and 6 more like these"
    assert lines[6].startswith("the modules it may import: ")


def nested_finally(depth: int) -> str:
    heads = [f"{' ' * (i + 1)}try: a\n{' ' * (i + 1)}finally:\n" for i in range(depth)]
    return "def act(obs):\n" + "".join(heads) + " " * (depth + 1) + "b\n"


@pytest.mark.parametrize(
    "text",
    [
        nested_finally(30),  # 2**30 copies of b, were it compiled as it stands
        ACT + "def f():\n try:\n" + "  if a: return\n" * 4000 + " finally:\n" + "  b()\n" * 4000,
    ],
    ids=["nested", "returns"],
)
def test_compiler_bombs_cost_nothing(text):
    start = time.perf_counter()
    check(text)
    assert time.perf_counter() - start < 5


@pytest.mark.skipif(not HOSTILE, reason="the corpus is not here")
@pytest.mark.parametrize("path", HOSTILE, ids=lambda path: path.stem)
def test_corpus_gets_an_answer_promptly(path):
    start = time.perf_counter()
    try:
        source = PolicySource.from_file(path)
        check_policy(source)
    except ContractViolation:
        assert "ok_" not in path.stem
        assert "benign_" not in path.stem
    else:
        formatted = format_policy(source.text)
        check_policy(PolicySource(formatted))
        assert format_policy(formatted) == formatted
    assert time.perf_counter() - start < 2
