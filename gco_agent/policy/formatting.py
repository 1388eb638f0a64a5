"""Black, at one place and with one set of options, so that a diff shows the edit alone."""

from __future__ import annotations

from gco_agent.errors import ContractViolation
from gco_agent.policy.source import PolicySource, parse, quiet

_MOST_PASSES = 4


def format_policy(text: str) -> str:
    r"""``text`` as black writes it (line length 88, for Python 3.11), with ``\n`` line ends.

    Formatting what was formatted changes nothing. Must be done before a policy is judged or
    committed: an edit that only moves white space then shows as no edit. Depends on ``text`` and
    on black's version; black keeps its style within a calendar year.

    Raises:
        ContractViolation: Not a text a policy may be, not Python, or nothing that black can read.
    """
    from black import Mode, format_str
    from black.mode import TargetVersion
    from black.parsing import InvalidInput

    mode = Mode(target_versions={TargetVersion.PY311})
    text = PolicySource(text).text.replace("\r\n", "\n")
    parse(text)  # for our messages, and for the limit on nesting
    for _ in range(_MOST_PASSES):  # black says itself that rare texts need a second pass
        try:
            with quiet():
                formatted = format_str(text, mode=mode)
        except (InvalidInput, RecursionError) as exc:
            raise ContractViolation(f"black cannot format the policy: {exc}") from None
        if formatted == text:
            return formatted
        text = formatted
    raise ContractViolation(
        "black does not come to rest on this policy; rewrite its longest statement more simply"
    )
