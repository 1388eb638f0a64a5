"""Policy text: what a policy file may be, how it is read, edited, formatted and loaded.

* `source`    the text as a value: tree, format, size, docstring
* `contract`  what a policy has to define and may use; loading it
* `edit`      components, parts and diffs put into a policy
* `removals`  what could be taken out of a policy
* `constants` the numbers of a policy that can be tuned

Text is parsed and compiled here, never run, with the one exception of `load_policy`.
"""

from gco_agent.policy.contract import (
    ALLOWED_IMPORTS,
    FORBIDDEN_NAMES,
    LoadedPolicy,
    check_policy,
    load_policy,
)
from gco_agent.policy.source import (
    MAX_BYTES,
    Claim,
    Complexity,
    PolicySource,
    Size,
    claim_of,
    describe_rules,
    describe_score,
    docstring_of,
    environment_of,
    format_policy,
    is_same_but_for_score,
    measure,
    replace_docstring,
    size_of,
    with_environment,
    with_measured_header,
)

__all__ = [
    "ALLOWED_IMPORTS",
    "FORBIDDEN_NAMES",
    "MAX_BYTES",
    "Claim",
    "Complexity",
    "LoadedPolicy",
    "PolicySource",
    "Size",
    "check_policy",
    "claim_of",
    "describe_rules",
    "describe_score",
    "docstring_of",
    "environment_of",
    "format_policy",
    "is_same_but_for_score",
    "load_policy",
    "measure",
    "replace_docstring",
    "size_of",
    "with_environment",
    "with_measured_header",
]
