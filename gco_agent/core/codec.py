"""JSON for records: one codec for every dataclass that is stored, sent or printed as JSON.

Records are plain (frozen, slotted) dataclasses; pydantic reads their annotations. Values are
checked strictly: "5" is not an integer and NaN is not a number, but a JSON list may fill a tuple
and the value of an enum its member. Unknown keys are ignored and missing ones take the field's
default, so files of older versions can be read.
"""

from __future__ import annotations

import contextlib
import functools
import json
import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, TypeVar, cast

from gco_agent.core.errors import StoreError

if TYPE_CHECKING:
    from pydantic import TypeAdapter, ValidationError

T = TypeVar("T")
Json = Any


def encode(value: object) -> Json:
    """Return a record, or a list or dictionary of records, as data for `json.dumps`."""
    kind: Any = type(value)
    return _adapter(kind).dump_python(value, mode="json")


def dumps(value: object, *, indent: int | None = None) -> str:
    """Return a record as JSON text, on one line unless ``indent`` is given."""
    return json.dumps(encode(value), indent=indent, ensure_ascii=False, allow_nan=False)


def decode(kind: type[T], data: Json, what: str) -> T:
    """Build a ``kind`` from JSON data.

    Args:
        what: File and commit that the data are from, for the error message.
    """
    from pydantic import ValidationError

    adapter = _adapter(cast(Any, kind))
    with readable(what):
        # strict validation takes a list for a tuple only where it parses the JSON itself
        text = json.dumps(data, allow_nan=False)
        try:
            found: T = adapter.validate_json(text, strict=True)
        except ValidationError as error:
            raise ValueError(_first_error(error)) from None
    return found


def loads(kind: type[T], text: str | bytes, what: str) -> T:
    """Build a ``kind`` from JSON text; as `decode` otherwise."""
    with readable(what):
        data = json.loads(text)
    return decode(kind, data, what)


def require_schema(found: object, known: int, what: str) -> None:
    """Refuse a record of another schema than this version reads."""
    if str(found) != str(known):
        raise StoreError(
            f"{what} has schema {found}, and this version of gco-agent reads {known}: install the "
            "version that wrote it, or the newest one"
        )


@contextlib.contextmanager
def readable(what: str) -> Iterator[None]:
    """Turn errors of code that takes stored data apart into a `StoreError`."""
    try:
        yield
    except KeyError as error:
        raise _unreadable(what, f"{error} is missing") from error
    except (ValueError, TypeError, AttributeError, IndexError, RecursionError) as error:
        raise _unreadable(what, str(error)) from error


def finite_number(data: object, name: str = "number") -> float:
    """Return ``data`` as a float."""
    if isinstance(data, bool) or not isinstance(data, int | float) or not math.isfinite(data):
        raise ValueError(f"{name} is not a finite number: {data!r}")
    return float(data)


@functools.cache
def _adapter(kind: Any) -> TypeAdapter[Any]:  # noqa: ANN401 - any type pydantic knows
    from pydantic import TypeAdapter

    return TypeAdapter(kind)


def _first_error(error: ValidationError) -> str:
    first = error.errors(include_url=False, include_context=False)[0]
    field = ".".join(map(str, first["loc"]))
    return f"{field}: {first['msg']}" if field else first["msg"]


def _unreadable(what: str, why: str) -> StoreError:
    return StoreError(
        f"{what} cannot be read ({why}); was it edited, or written by another version? "
        "`git log -p -- iterations/` shows its history"
    )
