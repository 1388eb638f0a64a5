"""What looks like a key never leaves the process in a record or a message."""

from __future__ import annotations

import re
from typing import Any

PLACE = "[key removed]"
"""What stands where a key stood."""

_KEYS = re.compile(
    r"\bsk-[A-Za-z0-9_-]{16,}"  # model providers
    r"|\b(?:gh[pousr]_|github_pat_|glpat-|xox[abprs]-|hf_)[A-Za-z0-9_-]{16,}"
    r"|\bAKIA[0-9A-Z]{16}\b"
    r"|(?<=Bearer )[A-Za-z0-9._~+/-]{16,}=*"
    r"|-----BEGIN [A-Z ]*PRIVATE KEY-----[^-]*(?:-----END [A-Z ]*PRIVATE KEY-----)?"
)


def scrub(text: str, *secrets: str) -> str:
    """Take out what looks like a key, and every one of ``secrets``."""
    for secret in secrets:
        if secret:
            text = text.replace(secret, PLACE)
    return _KEYS.sub(PLACE, text)


def scrubbed(data: Any) -> Any:  # noqa: ANN401 - anything that JSON can hold
    """A copy of JSON data in which every text is scrubbed."""
    if isinstance(data, str):
        return scrub(data)
    if isinstance(data, dict):
        return {scrub(key): scrubbed(value) for key, value in data.items()}
    if isinstance(data, list | tuple):
        return [scrubbed(item) for item in data]
    return data
