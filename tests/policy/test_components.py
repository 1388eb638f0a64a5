"""Components: found as they stand, and replaced without touching a byte besides."""

import ast
import textwrap

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gco_agent.core.errors import ContractViolation, EditRejected, PolicyError
from gco_agent.policy.edit import Component, complete_policy, components
from gco_agent.policy.source import PolicySource

POLICY = '''\
"""Pong."""

import math

# not attached

class Policy:
    """One an episode."""

    speed = 3

    # Where the ball lands,
    # in pixels.
    @staticmethod
    def predict(ball: object, /, steps: int = 1, *rest, fast=True, **more) -> float:
        """Where it lands.

        Slowly.
        """
        text = """
  def act(self, obs):
"""
        return math.floor(steps) if text else ball
        # a last word

    # loose

    def act(self, obs):
        return self.predict(obs["Ball"][0])  # beside

    # below
'''
SOURCE = PolicySource(POLICY)


def by_name(source: PolicySource) -> dict[str, Component]:
    return {component.name: component for component in components(source)}


def replaced(text: str, new: str) -> str:
    return complete_policy(PolicySource(text), new).text


def test_components_are_the_methods_of_the_policy():
    predict, act = components(SOURCE)
    assert (predict.name, act.name) == ("predict", "act")
    assert predict.text.startswith("    # Where the ball lands,\n    # in pixels.\n    @static")
    assert predict.text.endswith("        # a last word")
    assert predict.text in POLICY
    assert predict.signature == (
        "def predict(ball: object, /, steps: int=1, *rest, fast=True, **more) -> float"
    )
    assert act.text == POLICY[POLICY.index("    def act(self, obs):\n        ret") :][:77]


def test_dedented_text_leaves_strings_alone():
    predict, act = components(SOURCE)
    assert act.dedented == textwrap.dedent(act.text)
    assert predict.dedented.splitlines()[2:4] == [
        "@staticmethod",
        "def predict(ball: object, /, steps: int = 1, *rest, fast=True, **more) -> float:",
    ]
    assert "\n  def act(self, obs):\n" in predict.dedented
    assert "\n        Slowly.\n" in predict.dedented


def test_without_a_class_components_are_the_functions():
    found = components(PolicySource("def f(): ...\nasync def act(obs): ...\nx = 1\n"))
    assert [c.signature for c in found] == ["def f()", "async def act(obs)"]


def test_with_a_class_functions_of_the_module_are_none():
    text = "def f(): ...\nclass Policy:\n  def act(self, obs): ...\n  class In:\n    def g(): ...\n"
    assert list(by_name(PolicySource(text))) == ["act"]


def test_name_with_two_meanings_is_none():
    text = "class Policy:\n  @property\n  def n(self): ...\n  @n.setter\n  def n(self, v): ...\n"
    assert components(PolicySource(text)) == ()


@pytest.mark.parametrize(
    ("text", "first", "last"),
    [
        ("#!/bin/x\ndef f(obs): ...\n", 2, 2),
        ("# coding: utf-8\ndef f(obs): ...\n", 2, 2),
        ("#!/bin/x\n# mine\ndef f(obs): ...\n", 2, 3),
        ("x = '''\n# in a string'''\ndef f(obs): ...\n", 3, 3),
        ("x = (1,\n# in a tuple\n)\ndef f(obs): ...\n", 4, 4),
        ("x = 1  # beside\ndef f(obs): ...\n", 2, 2),
        ("@(\n  a\n)\n@b\ndef f(obs): ...\n", 1, 5),
        ("def f(obs): ...\n# not this\n    # nor this\n", 1, 1),
        ("def f(obs):\n    return (1,\n2)\n\n    # in it\nx = 1\n", 1, 5),
        ("def f(obs):\n    return 1 \\\n# joined\n", 1, 3),
        ("def f(obs):\n    return '''\n    # in a string'''; x = 1", 1, 3),
    ],
)
def test_rows_of_a_component(text, first, last):
    (f,) = components(PolicySource(text))
    assert f.text == "\n".join(text.split("\n")[first - 1 : last])
    assert replaced(text, f"\n{f.text}\n") == text


NEW = (
    '@staticmethod\ndef predict(ball, /, steps=2, *rest, fast=0, **more):\n    return """\n a"""\n'
)
INDENTED = (
    "    @staticmethod\n    def predict(ball, /, steps=2, *rest, fast=0, **more):\n"
    '        return """\n a"""'
)


@pytest.mark.parametrize(
    "new",
    [
        NEW,
        INDENTED,
        INDENTED.strip(),
        "\n\n  " + NEW.replace("\n", "\n  ").replace('\n   a"""', '\n a"""'),
        NEW.replace("\n", "\r\n"),
        f"import math\n{NEW}",
        f"# A word of the model.\n\n{NEW}\n# Another.\n",
    ],
)
def test_new_text_may_come_in_any_dress(new):
    before, _, rest = POLICY.partition("    # Where the ball lands,")
    after = rest.partition("        # a last word")[2]
    assert replaced(POLICY, new) == before + INDENTED + after


def test_comments_of_the_new_text_come_along():
    new = "# Why.\ndef act(self, obs):\n    return 1\n    # Done.\n"
    (_, act) = components(complete_policy(SOURCE, new))
    assert act.text == "    # Why.\n    def act(self, obs):\n        return 1\n        # Done."


def test_crlf_file_stays_one():
    text = POLICY.replace("\n", "\r\n")
    changed = replaced(text, "def act(self, obs):\n    return 1\n")
    assert "\n" not in changed.replace("\r\n", "")
    assert changed.replace("\r\n", "\n") == replaced(
        POLICY, "def act(self, obs):\r\n    return 1\r\n"
    )


def test_tabs_of_the_file_are_used():
    text = "class Policy:\n\tdef act(self, obs):\n\t\treturn 0\n\n\tx = 1\n"
    changed = replaced(text, "def act(self, obs):\n    return 1\n")
    assert changed == "class Policy:\n\tdef act(self, obs):\n\t\treturn 1\n\n\tx = 1\n"
    ast.parse(changed)


def test_last_line_without_an_end_stays_so():
    assert replaced("def f(obs): return 0", "def f(obs): return 1\n") == ("def f(obs): return 1")


def test_rows_that_hang_out_stay_where_they_are():
    new = "def act(self, obs):\n    return (1 +\n2)\n# end\n"
    assert "\n        return (1 +\n2)\n" in replaced(POLICY, new)
    new = "    def act(self, obs):\n        return (1 +\n2)\n"
    assert "\n        return (1 +\n2)\n" in replaced(POLICY, new)


def test_known_imports_are_dropped_and_others_come_along():
    text = "import numpy as np\nfrom math import floor as f, ceil\ndef f(obs): ...\n"
    new = "from math import floor as f, ceil\nimport numpy as np\ndef f(obs):\n    return 1\n"
    assert replaced(text, new) == text.replace(" ...", "\n    return 1")
    new = "import random\ndef f(obs):\n    return 1\n"
    wanted = text.replace(" ...", "\n    return 1").replace("def f", "import random\ndef f")
    assert replaced(text, new) == wanted


def test_async_function_is_replaced_by_one():
    text = "async def helper(x): ...\ndef act(obs): ...\n"
    assert replaced(text, "async def helper(x): pass") == text.replace("...", "pass", 1)


@pytest.mark.parametrize(
    ("new", "message"),
    [
        ("", "defines nothing"),
        ("# only a comment", "defines nothing"),
        ("I would not change anything.", "line 1: invalid"),
        ("def act(self, obs):\n    return = 1", "line 2: invalid syntax"),
        ("def act(self, obs):\nreturn 1", "line 2: expected an indented block"),
        ("def act(self, obs):\n    x = '''", "line 2: unterminated"),
        ("def act(self, obs):\n    return (", "line 2"),
        ("def act(self, obs):\r    return 1", "line 1: a carriage return"),
        ("def act(self, obs):\n    '\0'", "a NUL character"),
        ("def move(self, obs): pass", "defines move"),
        (
            "def act(self, state): pass",
            r"keep its parameters .*act\(self, obs\)`, .*act\(self, state\)",
        ),
        ("def act(self, obs, n=1): pass", r"act\(self, obs, n\)"),
        ("def act(self, *, obs): pass", "must keep its parameters"),
        ("def act(self, *obs): pass", "must keep its parameters"),
        (
            "@staticmethod\ndef predict(ball, steps=1, *rest, fast=1, **more): pass",
            "keep its param",
        ),
        ("async def act(self, obs): pass", "keep its .* `async def act"),
        ("@staticmethod\ndef act(self, obs): pass", "keep its .* `@staticmethod def act"),
        ("def act(self, obs):\n    return x" + ".b" * 500, "nested too deeply"),
        ("def act(self, obs):\n    return 1 \\", "unexpected EOF"),
        ("def act(self, obs):\n    # " + "x" * 300_000, "the policy has"),
    ],
)
def test_text_that_does_not_fit_is_refused(new, message):
    with pytest.raises(PolicyError, match=message):
        complete_policy(SOURCE, new)


def test_default_that_callers_rely_on_stays():
    with pytest.raises(EditRejected, match="predict: its callers may rely on the default of steps"):
        complete_policy(SOURCE, NEW.replace("steps=2", "steps"))
    with pytest.raises(EditRejected, match="default of fast"):
        complete_policy(SOURCE, NEW.replace("fast=0", "fast"))


def test_static_method_stays_one():
    with pytest.raises(EditRejected, match="keep its parameters and decorators"):
        complete_policy(SOURCE, NEW.removeprefix("@staticmethod\n"))


def test_rows_joined_to_a_function_by_a_backslash_are_refused():
    with pytest.raises(ContractViolation, match="backslash"):
        components(PolicySource("x = 1\n\\\ndef act(obs): ...\n"))


def test_text_that_would_make_the_policy_too_large_is_refused():
    text = f"{'#' * 262_000}\n\ndef f(obs): ...\n"
    with pytest.raises(ContractViolation, match="the policy has 262,"):
        replaced(text, f"def f(obs):\n    return '{'x' * 200}'")


def test_policy_that_is_not_python_is_the_callers_fault():
    with pytest.raises(ContractViolation, match="line 1"):
        replaced("def act(obs)", "def act(obs): ...")
    with pytest.raises(ContractViolation, match="line 1"):
        components(PolicySource("def act(obs)"))


# Policies of many forms, built from rows (level of indentation, or None for column 0; text).
Row = tuple[int | None, str]
BODIES: list[list[Row]] = [
    [(1, "x = 1")],
    [(1, '"""Doc."""'), (1, "return (1,"), (1, "2)")],
    [(1, "x = '''"), (None, "  def f(): # no"), (None, "    # no comment"), (None, "'''")],
    [
        (1, "# first"),
        (1, "if x:"),
        (2, "y = f'''"),
        (None, "{x}"),
        (None, "  '''"),
        (1, "else: pass"),
    ],
    [(1, "def inner(a):"), (2, "return a"), (None, "# out"), (None, ""), (1, "return inner")],
    [(1, "x = 1 + \\"), (2, "2"), (None, ""), (1, "# last"), (3, "# deeper")],
    [(1, "x = [  # beside"), (2, "# between"), (2, "1,"), (1, "]")],
    [(1, "return 'é \u2028' '\\"), (None, "more'")],
]
HEADS: list[list[Row]] = [
    [(0, "def {name}(self, obs):")],
    [(0, "# attached"), (0, "def {name}(self, obs):  # beside")],
    [(0, "# a"), (0, "# b"), (0, "@deco"), (0, "# between"), (0, "@d('''"), (None, "# x"),
     (None, "''')"), (0, "async def {name}("), (2, "self,"), (0, "obs=(1, 2),"), (0, ") -> int:")],
    [(0, "@staticmethod"), (0, "def {name}(a, /, b: int = 1, *c, d, **e):")],
]  # fmt: skip
BETWEEN: list[list[Row]] = [
    [],
    [(None, "")],
    [(None, ""), (0, "# loose"), (None, "")],
    [(0, "y = '''"), (None, "# in a string"), (None, "'''")],
    [(None, "    "), (0, "z = 1  # beside")],
    [(None, "# at the margin")],
]


@st.composite
def policies(draw: st.DrawFn) -> tuple[PolicySource, dict[str, list[Row]]]:
    """A policy, and of each component the name and the rows above its body."""
    unit, newline = draw(st.sampled_from([("    ", "\n"), ("\t", "\r\n"), ("  ", "\n")]))
    in_class = draw(st.booleans())
    rows: list[Row] = [(None, "class Policy:")] if in_class else [(None, "import math")]
    heads: dict[str, list[Row]] = {}
    for name in [f"f{i}" for i in range(draw(st.integers(1, 4)))]:
        rows += draw(st.sampled_from(BETWEEN))
        head: list[Row] = [
            (n, row.replace("{name}", name)) for n, row in draw(st.sampled_from(HEADS))
        ]
        heads[name] = head
        rows += head + draw(st.sampled_from(BODIES))
    rows += draw(st.sampled_from(BETWEEN))
    text = newline.join(written(rows, unit, in_class)) + draw(st.sampled_from(["", newline]))
    return PolicySource(text), heads


def written(rows: list[Row], unit: str, shift: int = 0) -> list[str]:
    return [text if level is None else unit * (level + shift) + text for level, text in rows]


@settings(deadline=None, max_examples=60)
@given(policies())
def test_components_are_pieces_of_the_text(drawn):
    source, heads = drawn
    found = components(source)
    assert [c.name for c in found] == list(heads)
    place = 0
    for component in found:
        place = source.text.index(component.text, place) + len(component.text)
        (node,) = ast.parse(component.dedented).body
        assert isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        assert node.name == component.name


@settings(deadline=None, max_examples=60)
@given(policies())
def test_putting_a_component_back_changes_nothing(drawn):
    source, _ = drawn
    for component in components(source):
        assert complete_policy(source, component.text) == source
        padded = f"\n{component.text}\n\n"
        assert complete_policy(source, padded) == source


@settings(deadline=None, max_examples=60)
@given(policies(), st.data())
def test_replacing_one_leaves_the_rest_alone(drawn, data):
    source, heads = drawn
    name = data.draw(st.sampled_from(list(heads)))
    rows = heads[name] + data.draw(st.sampled_from(BODIES))
    new = "\n".join(written(rows, "    ", data.draw(st.integers(0, 2))))
    old = by_name(source)[name]
    changed = complete_policy(source, new)

    start = source.text.index(old.text)
    before, after = source.text[:start], source.text[start + len(old.text) :]
    assert changed.text.startswith(before)
    assert changed.text.endswith(after)
    now = by_name(changed)
    assert now.pop(name).text == changed.text[len(before) : len(changed.text) - len(after)]
    assert {c.name: c.text for c in now.values()} == {
        c.name: c.text for c in components(source) if c.name != name
    }
    expected = ast.parse("\n".join(written(rows, "    "))).body[0]
    assert ast.dump(ast.parse(by_name(changed)[name].dedented).body[0]) == ast.dump(expected)
    assert complete_policy(changed, old.text) == source
