"""What was recorded of the calls of a policy's components: plain, cut, escaped data.

Standard library only, and nothing of a policy in it but numbers, names and short texts.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias


class Shown(str):
    """What stands for a value that is not plain: "obs", "<Target object>", "... 12 more".

    Text to be shown as it is, where a `str` that a policy made is shown in quotes.
    """

    __slots__ = ()

    def __repr__(self) -> str:
        return str(self)


Plain: TypeAlias = "bool | int | float | str | tuple[Plain, ...] | dict[str, Plain] | None"
"""A recorded value: numbers, short texts, and tuples and dictionaries of those."""


@dataclass(frozen=True, slots=True)
class ComponentCall:
    """One call of a function of the policy.

    Attributes:
        name: Of the function; of a method of ``Policy`` without the class.
        inputs: Parameter to value, in order, without ``self``.
        output: What it returned; None if it raised.
        lines: Lines of the policy that ran in it, from 1, in ascending order; those of helpers
            without a record of their own included.
        depth: 0 for ``act``, 1 for what ``act`` called.
        error: Type and message of the exception that left it, or None.
    """

    name: str
    inputs: Mapping[str, Plain]
    output: Plain
    lines: tuple[int, ...]
    depth: int
    error: str | None = None
