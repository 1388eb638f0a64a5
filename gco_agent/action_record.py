"""The actions of an episode as a short text, so that two plays of it can be compared step by step.

An episode of 4,500 steps takes some 1 to 2 kB. A digest says that two plays differ; this record
says where.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import zlib

_LONGEST = 1 << 22
"""No episode has more steps than this; a longer record is no record of ours."""


def digest_actions(actions: bytes | bytearray) -> str:
    """Hash of the actions, one byte each."""
    return hashlib.sha256(actions).hexdigest()[:16]


def pack_actions(actions: bytes | bytearray) -> str:
    """The actions, one byte each, as text without quotes or backslashes."""
    return base64.b85encode(zlib.compress(actions, 9)).decode("ascii")


def unpack_actions(text: str) -> bytes:
    """Inverse of `pack_actions`; records come from repositories of strangers, so it is careful.

    Raises:
        ValueError: It is no such record, or one of more than four million steps.
    """
    try:
        packed = base64.b85decode(text.encode("ascii"))
        stream = zlib.decompressobj()
        actions = stream.decompress(packed, _LONGEST)
    except (UnicodeEncodeError, ValueError, binascii.Error, zlib.error) as error:
        raise ValueError(f"no record of actions: {error}") from None
    if not stream.eof or stream.unused_data:
        raise ValueError("no record of actions: it is cut, or too long")
    return actions


def first_different_step(one: bytes, other: bytes) -> int | None:
    """The first step, from 0, at which two plays differ; None if they are the same.

    Where one is the beginning of the other that is the step after its last.
    """
    if one == other:
        return None
    for step, (a, b) in enumerate(zip(one, other, strict=False)):
        if a != b:
            return step
    return min(len(one), len(other))
