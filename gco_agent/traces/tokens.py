"""How many tokens a text is, estimated without anybody's tokenizer. Pure."""

from __future__ import annotations

import re

_PIECES = re.compile(r"[^\W\d_]+|\d+|\s+|[^\w\s]|_", re.ASCII)
_LETTERS_A_TOKEN = 6
_DIGITS_A_TOKEN = 2
_ENDS_LINE = "\n"


def estimate_tokens(text: str) -> int:
    """An upper estimate of the tokens of ``text``: a budget in it is kept by most tokenizers.

    Counts a token for every six letters of a word, every two digits of a number, every mark of
    punctuation, every line end, and every space that no word follows; other scripts count their
    bytes.
    """
    return sum(_tokens(piece) for piece in _PIECES.findall(text)) + _foreign_bytes(text)


def _tokens(piece: str) -> int:
    if piece[0].isdigit():
        return -(-len(piece) // _DIGITS_A_TOKEN)
    if piece[0].isspace():
        return piece.count(_ENDS_LINE) or int(len(piece) > 1)
    return -(-len(piece) // _LETTERS_A_TOKEN)


def _foreign_bytes(text: str) -> int:
    return len(text.encode("utf-8", "replace")) - len(text)
