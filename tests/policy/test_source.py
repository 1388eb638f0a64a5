"""Which bytes may be a policy."""

import hashlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gco_agent.core.errors import ContractViolation, PolicyError
from gco_agent.policy.source import MAX_BYTES, MAX_DEPTH, PolicySource, parse, split_lines

ACT = "def act(obs):\n    return 0\n"


def test_text_is_kept_as_it_is():
    source = PolicySource.from_bytes(b"# \xc3\xa9\r\nx = 1")
    assert source.text == str(source) == "# é\r\nx = 1"


def test_digest_is_the_hash_of_the_bytes():
    assert PolicySource("é").digest == hashlib.sha256("é".encode()).hexdigest()


def test_equal_text_is_an_equal_value():
    assert PolicySource(ACT) == PolicySource(ACT)
    assert len({PolicySource(ACT), PolicySource(ACT)}) == 1


def test_byte_order_mark_is_no_part_of_the_text():
    assert PolicySource.from_bytes(b"\xef\xbb\xbf" + ACT.encode()).text == ACT


@pytest.mark.parametrize(
    ("data", "message", "line"),
    [
        (b"a = 1\nb = '\xe9'\n", r"pong\.py: line 2: byte 0xe9 is not UTF-8", 2),
        (b"a = 1\n\0", r"pong\.py: line 2: a NUL character", 2),
        (b"a = 1\nb = '\x1b[2J'\n", r"pong\.py: line 2: a control character", 2),
        (b"# \x0c\n", "line 1: a control character", 1),
        ("# \x9b1;31m\n".encode(), "line 1: a control character", 1),
        (b"a = 1\rb = 2", "line 1: a carriage return without a line feed", 1),
        (b"a = 1\r\r\n", "line 1: a carriage return without a line feed", 1),
        ("a\n\u202eb".encode(), "line 2: a character that reorders text", 2),
        (b"\xed\xa0\x80", "line 1: byte 0xed is not UTF-8", 1),
        (b"# -*- coding: latin-1 -*-\n", "line 1: the encoding 'latin-1' is declared", 1),
        (b"#!/usr/bin/python\n# vim: fileencoding=utf-7\n", "line 2: the encoding 'utf-7'", 2),
        (b"\n# coding: cp1252", "line 2: the encoding 'cp1252'", 2),
        (b"#" * (MAX_BYTES + 1), "has 262,145 bytes; at most 262,144", None),
    ],
)
def test_bytes_that_are_no_policy_are_refused(data, message, line):
    with pytest.raises(ContractViolation, match=message) as caught:
        PolicySource.from_bytes(data, "pong.py")
    assert caught.value.line == line


def test_half_a_surrogate_pair_is_refused():
    with pytest.raises(ContractViolation, match="line 2: half of a surrogate pair"):
        PolicySource("a\n\ud800")


@pytest.mark.parametrize(
    "text",
    [
        "# coding: utf-8\n",
        "# -*- coding: UTF_8 -*-\n",
        "# vim: set fileencoding=utf8 :\n",
        "# coding: utf-8-unix\n",
        "x = 1\n# coding: latin-1\n",  # no cookie below code
        "#\n\n# coding: latin-1\n",  # nor in the third line
        "x = 'coding: latin-1'\n",
        "#" * MAX_BYTES,
    ],
)
def test_harmless_text_is_accepted(text):
    assert PolicySource(text).text == text


def test_file_is_read(tmp_path: Path):
    path = tmp_path / "pong.py"
    path.write_bytes(ACT.replace("\n", "\r\n").encode())
    assert PolicySource.from_file(str(path)).text == ACT.replace("\n", "\r\n")


def test_file_that_is_too_large_is_refused(tmp_path: Path):
    path = tmp_path / "pong.py"
    path.write_bytes(b"#" * (MAX_BYTES + 100))
    with pytest.raises(ContractViolation, match=r"pong\.py: the file has more than 262,144 bytes"):
        PolicySource.from_file(path)


def test_missing_file_is_named(tmp_path: Path):
    with pytest.raises(PolicyError, match=r"cannot read the policy .*none\.py: No such file"):
        PolicySource.from_file(tmp_path / "none.py")


@given(st.text(alphabet="a\n\r\f\x0b\u2028", max_size=20))
def test_lines_are_those_of_python(text):
    assert "".join(split_lines(text)) == text
    assert len(split_lines(text)) == text.count("\n") + (not text.endswith("\n") and text != "")


@pytest.mark.parametrize(
    "bomb",
    [
        "x = " + "-" * 100_000 + "1",
        "x = a" + ".b" * 60_000,
        "x = a" + ".b" * (MAX_DEPTH + 1),
        "x = 1" + "+1" * 60_000,
        "if a: pass\n" + "elif a: pass\n" * 10_000,
        "x = " + "lambda: " * 20_000 + "1",
        "a = " * (MAX_DEPTH + 1) + "1",  # flat for the parser, but not for black
    ],
    ids=lambda bomb: bomb[:12],
)
def test_parser_bombs_are_refused(bomb):
    with pytest.raises(ContractViolation, match="nested too deeply"):
        parse(bomb)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x = = 1\n", r"^line 1: invalid syntax\n    x = = 1\n        \^$"),
        ("def f():\n\tif x:\n\treturn\n", "line 3: expected an indented block"),
        ("if x:\n        y = 1\n\tz = 1\n", "line 3: inconsistent use of tabs"),
        ("x = 'abc\n", "line 1: unterminated string literal"),
        ("x = (1,\ny = 2\n", r"line 1: '\(' was never closed"),
        ("x = " + "(" * 300, "too many nested parentheses"),
        ("x = 9" + "0" * 5000, "line 1: Exceeds the limit"),
        (
            "x = '\x1b[2J' = = 2",
            r"    x = ' \[2J' = = 2\n    +\^",
        ),  # nothing for a terminal to obey
        ("", None),
    ],
)
def test_syntax_errors_show_the_place(text, message):
    if message is None:
        parse(text)
        return
    with pytest.raises(ContractViolation, match=message):
        parse(text)


def test_long_line_is_shown_around_the_error():
    with pytest.raises(ContractViolation) as caught:
        parse("x = " + "a + " * 10_000 + "= 1" + " + a" * 10_000)
    message = str(caught.value)
    assert len(message) < 300
    shown, caret = message.splitlines()[1:]
    assert shown[caret.index("^")] == "="


def test_error_at_the_end_of_the_text_has_a_line():
    with pytest.raises(ContractViolation, match="line 2: ") as caught:
        parse("def f():\n    x = '''")
    assert caught.value.line == 2


def test_odd_escapes_do_not_warn():
    parse('"\\d"\nx = 1 is 1\n')  # warnings are errors in this test run


@pytest.mark.parametrize("text", ["a\0b", "\ud800"])
def test_text_that_no_source_holds_is_refused_by_the_parser_too(text):
    with pytest.raises(ContractViolation, match=r"is not Python|cannot compile"):
        parse(text)


def test_deepest_tree_a_policy_may_have_is_accepted():
    parse("x = a" + ".b" * (MAX_DEPTH - 4))
