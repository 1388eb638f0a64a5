"""Data that a run's commits hold, and that anybody may have edited."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator

from gco_agent.errors import StoreError


@contextlib.contextmanager
def readable(what: str) -> Iterator[None]:
    """Around what takes data of a commit apart: what is wrong with them is a `StoreError`.

    Args:
        what: File and commit, for the message.
    """
    try:
        yield
    except KeyError as error:
        raise StoreError(_told(what, f"{error} is missing")) from error
    except (ValueError, TypeError, AttributeError, IndexError, RecursionError) as error:
        raise StoreError(_told(what, str(error))) from error


def finite_number(data: object, name: str = "number") -> float:
    """``data`` as a number.

    Raises:
        ValueError: It is none, or not finite.
    """
    if isinstance(data, bool) or not isinstance(data, int | float) or not math.isfinite(data):
        raise ValueError(f"{name} is no finite number: {data!r}")
    return float(data)


def _told(what: str, why: str) -> str:
    return (
        f"{what} cannot be read ({why}); was it edited, or written by another version? "
        "`git log -p -- iterations/` shows what became of it"
    )
