"""What a policy can import: loaded before the seal, because nothing can be loaded after it."""

from __future__ import annotations

import importlib
import sys

STANDARD_LIBRARY = (
    "__future__",
    "abc",
    "array",
    "bisect",
    "cmath",
    "collections",
    "collections.abc",
    "contextlib",
    "copy",
    "dataclasses",
    "datetime",
    "decimal",
    "enum",
    "fractions",
    "functools",
    "graphlib",
    "heapq",
    "itertools",
    "json",
    "math",
    "numbers",
    "operator",
    "pprint",
    "random",
    "re",
    "secrets",
    "statistics",
    "string",
    "struct",
    "textwrap",
    "time",
    "traceback",
    "types",
    "typing",
    "uuid",
    "warnings",
    "weakref",
)
"""Modules that a policy may rely on; what these import is there as well."""

_ON_DEMAND = (
    "_strptime",
    "encodings.ascii",
    "encodings.idna",
    "encodings.latin_1",
    "encodings.unicode_escape",
    "encodings.utf_16",
    "encodings.utf_8_sig",
    "stringprep",
    "unicodedata",
)
"""What those modules, or the interpreter, import only when a certain function is called."""

_NUMPY = (
    "numpy",
    "numpy.fft",
    "numpy.lib.recfunctions",
    "numpy.lib.stride_tricks",
    "numpy.linalg",
    "numpy.ma",
    "numpy.polynomial",
    "numpy.random",
)


def preload(numpy_parent: str) -> None:
    """Import everything; numpy only if ``numpy_parent``, the folder it is in, is given."""
    for name in STANDARD_LIBRARY + _ON_DEMAND:
        importlib.import_module(name)
    if numpy_parent:
        sys.path.append(numpy_parent)
        for name in _NUMPY:
            importlib.import_module(name)
        sys.path.remove(numpy_parent)
