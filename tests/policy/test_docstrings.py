"""The header of a policy, read and replaced."""

import ast

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from gco_agent.core.errors import ContractViolation
from gco_agent.policy.source import PolicySource, docstring_of, environment_of, replace_docstring

CODE = "x = 'é'\ndef act(obs):\n    return 0\n"
WITHOUT = [
    CODE,
    "",
    "\n" + CODE,
    "#!/usr/bin/env python",
    "#!/usr/bin/env python\n# coding: utf-8\n# A comment.\n" + CODE,
    "# A comment.\n# coding: utf-8\n" + CODE,
    "from __future__ import annotations\n" + CODE,
    "b'bytes'\n",
    "f'text {1}'\n",
    CODE.replace("\n", "\r\n"),
]
WITH = [
    '"""Old."""\n' + CODE,
    "'old'; x = 1\n" + CODE,
    "# é\nr'''Old\\\n\nlines é'''  # comment\n" + CODE,
    '(\n    "o"  # part\n    "ld é"\n)\n' + CODE,
    '"""Old.\n"""\n'.replace("\n", "\r\n"),
    "#!/x\n'old'",
]


@pytest.mark.parametrize("text", WITHOUT)
def test_no_docstring(text):
    assert docstring_of(PolicySource(text)) is None


@pytest.mark.parametrize("text", WITH)
def test_docstring_is_pythons(text):
    assert docstring_of(PolicySource(text)) == ast.get_docstring(ast.parse(text), clean=False)


@settings(deadline=None)
@given(st.sampled_from(WITHOUT + WITH), st.text(max_size=60))
@example(CODE, '"')
@example(CODE, '""""')
@example(CODE, '"""\\"""')
@example(CODE, "ends with \\")
@example(CODE, "\r\n\r\0\ud800\u202e\U0001f3ae")
@example(WITH[4], "two\nlines")
@example("#!/x\n", "# coding: latin-1")
def test_any_text_comes_back(text, new):
    changed = replace_docstring(PolicySource(text), new)
    assert docstring_of(changed) == new
    assert docstring_of(replace_docstring(changed, text)) == text
    old, now = ast.parse(text).body, ast.parse(changed.text).body
    code = old[1:] if docstring_of(PolicySource(text)) is not None else old
    assert [ast.dump(node) for node in now[1:]] == [ast.dump(node) for node in code]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (WITH[0], '"""New."""\n' + CODE),
        (WITH[1], '"""New."""; x = 1\n' + CODE),
        (WITH[2], '# é\n"""New."""  # comment\n' + CODE),
        (WITH[3], '(\n    """New."""\n)\n' + CODE),
        (WITHOUT[0], '"""New."""\n\n' + CODE),
        (WITHOUT[1], '"""New."""\n'),
        (WITHOUT[3], '#!/usr/bin/env python\n"""New."""\n'),
        (
            WITHOUT[4],
            '#!/usr/bin/env python\n# coding: utf-8\n"""New."""\n\n# A comment.\n' + CODE,
        ),
        (WITHOUT[5], '# A comment.\n# coding: utf-8\n"""New."""\n\n' + CODE),
        (WITHOUT[9], '"""New."""\r\n\r\n' + CODE.replace("\n", "\r\n")),
    ],
)
def test_every_other_byte_stays(text, expected):
    assert replace_docstring(PolicySource(text), "New.").text == expected


def test_lines_of_the_docstring_end_as_those_of_the_file():
    changed = replace_docstring(PolicySource("x = 1\r\n"), "Two\nlines.")
    assert changed.text == '"""Two\r\nlines."""\r\n\r\nx = 1\r\n'


@pytest.mark.parametrize(
    ("docstring", "expected"),
    [
        ("Pong.\n\nEnvironment: ALE/Pong-v5. Mean return 14.2.\n", "ALE/Pong-v5"),
        ("Environment: CartPole-v1", "CartPole-v1"),
        ("A.\n\n    Environment:   my-games:Catch.Small-v0,\n", "my-games:Catch.Small-v0"),
        ("Plays in the Environment: Pong", None),
        ("Environment: ...", None),
        ("Environment:", None),
        ("Nothing.", None),
    ],
)
def test_environment_is_read_from_the_header(docstring, expected):
    assert environment_of(replace_docstring(PolicySource(CODE), docstring)) == expected


def test_no_header_names_no_environment():
    assert environment_of(PolicySource(CODE)) is None


def test_text_that_is_not_python_has_no_docstring():
    with pytest.raises(ContractViolation, match="line 1"):
        docstring_of(PolicySource("x ="))
