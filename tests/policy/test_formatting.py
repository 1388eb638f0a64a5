"""Black behind one function."""

import ast
from typing import TypeGuard

import black
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gco_agent.core.errors import ContractViolation
from gco_agent.policy.source import format_policy


def test_text_becomes_blacks():
    assert format_policy("def act( obs ) :\r\n  return {'a':1}\r\n") == (
        'def act(obs):\n    return {"a": 1}\n'
    )


def test_lines_have_88_columns():
    names = ", ".join("abcdefgh"[i % 8] * 9 for i in range(9))
    longest = max(format_policy(f"x = [{names}]\n").splitlines(), key=len)
    assert len(longest) <= 88


def test_python_311_is_written():
    names = ", ".join(f"open_a_thing() as thing_{i}" for i in range(4))
    assert "with (\n" in format_policy(f"with {names}:\n    pass\n")


@pytest.mark.parametrize("text", ["", "\n", "# only a comment", '"""Doc."""'])
def test_small_texts(text):
    assert format_policy(format_policy(text)) == format_policy(text)


def test_strings_keep_their_values():
    text = 'x= """a\r\n  b\t"""\r\ny = 1\r\n'
    (value,) = (n.value for n in ast.walk(ast.parse(format_policy(text))) if is_string(n))
    assert value == "a\n  b\t"


def is_string(node: ast.AST) -> TypeGuard[ast.Constant]:
    return isinstance(node, ast.Constant) and isinstance(node.value, str)


@settings(deadline=None, max_examples=30)
@given(
    st.lists(
        st.sampled_from(
            [
                "x=1",
                "def  f(a,b = 2) :\n  '''Doc  '''\n  return a",
                "class  A : pass",
                "# note",
                "",
                "y = {'a':[1,2,],}",
                "if x : y=(1)\nelse : pass",
                "z = lambda  a:a if  a else 'b' ;w=1",
            ]
        ),
        max_size=8,
    ).map("\n".join)
)
def test_formatted_text_stays(text):
    formatted = format_policy(text)
    assert format_policy(formatted) == formatted
    assert ast.dump(ast.parse(formatted)).replace("Doc  ", "Doc") == ast.dump(
        ast.parse(text)
    ).replace("Doc  ", "Doc")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x = = 1", "line 1: invalid syntax"),
        ("x = a" + ".b" * 5000, "nested too deeply"),
        ("a\0", "a NUL character"),
    ],
)
def test_text_that_cannot_be_formatted(text, message):
    with pytest.raises(ContractViolation, match=message):
        format_policy(text)


def test_error_of_black_is_translated(monkeypatch):
    def refuse(*_, **__):
        raise black.parsing.InvalidInput("Cannot parse: 1:2: x")

    monkeypatch.setattr(black, "format_str", refuse)
    with pytest.raises(ContractViolation, match="black cannot format the policy: Cannot parse"):
        format_policy("x = 1\n")


def test_text_that_black_never_leaves_alone(monkeypatch):
    monkeypatch.setattr(black, "format_str", lambda text, mode: text + "#\n")
    with pytest.raises(ContractViolation, match="differently each time"):
        format_policy("x = 1\n")
