"""Policy text: what a policy file may be, how it is read, edited, formatted and loaded.

Text is parsed and compiled here, never run, with the one exception of `load_policy`.
"""

from gco_agent.policy.contract import (
    ALLOWED_IMPORTS,
    FORBIDDEN_NAMES,
    LoadedPolicy,
    check_policy,
    load_policy,
)
from gco_agent.policy.header import docstring_of, environment_of, replace_docstring
from gco_agent.policy.source import MAX_BYTES, PolicySource, format_policy

__all__ = [
    "ALLOWED_IMPORTS",
    "FORBIDDEN_NAMES",
    "MAX_BYTES",
    "LoadedPolicy",
    "PolicySource",
    "check_policy",
    "docstring_of",
    "environment_of",
    "format_policy",
    "load_policy",
    "replace_docstring",
]
