"""Policy text: what a policy file may be, how it is read, edited, formatted and loaded.

* `source`    the text as a value: tree, format, size, docstring
* `contract`  what a policy has to define and may use; loading it
* `edit`      components, parts and diffs put into a policy
* `removals`  what could be taken out of a policy
* `constants` the numbers of a policy that can be tuned

Text is parsed and compiled here, never run, with the one exception of `load_policy`.
"""

from gco_agent.policy.source import PolicySource, format_policy

__all__ = ["PolicySource", "format_policy"]
