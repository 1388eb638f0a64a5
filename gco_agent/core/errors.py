"""Everything gco-agent raises on purpose.

* GcoError                what the user can act on; the CLI prints it and exits with 2
  x UsageError, FileRefused, JailError, ProposalError
  x PolicyError           the text cannot be used (not: the policy plays badly)
    + ContractViolation (PolicyTooLarge), EditRejected
  x ModelError            the language model was not reached, or gave no complete answer
    + ModelUnreachable, ModelOverloaded, RateLimited, ModelTimedOut, StreamCut, RequestAbandoned,
      KeyRefused, UnknownModel, RequestRefused; ReplyRefused, ReplyTruncated (ProposalErrors too)
  x StoreError            git refused
    + NotARun, DirtyWorkTree, RunBusy, RunMoved, NoIdentity
* BudgetSpent             control flow: the run ends normally

A policy that misbehaves while it plays is data (`records.Outcome`), never an exception.
"""

from __future__ import annotations

from gco_agent.core.records import Usage

_NOTHING = Usage()


class GcoError(Exception):
    """Base of every error meant for the user: what happened, where, what to do next."""


class UsageError(GcoError):
    """The arguments are wrong."""


class FileRefused(GcoError):  # noqa: N818 - names the event
    """A file is not read or written: a symbolic link, outside of the repository, or too large."""


def how_to_install(extra: str) -> str:
    """Say how to add an optional part, for a message about a library that is missing."""
    return f"scripts/install --extra {extra}, or pip install 'gco-agent[{extra}]'"


class PolicyError(GcoError):
    """The policy text cannot be used."""


class ContractViolation(PolicyError):  # noqa: N818 - names the event
    """The policy text breaks the contract of a policy file.

    Attributes:
        line: Line of the offending text, from 1, or None.
    """

    def __init__(self, message: str, *, line: int | None = None) -> None:
        super().__init__(message)
        self.line = line


class PolicyTooLarge(ContractViolation):
    """A policy file has more bytes than any may have."""


class EditRejected(PolicyError):  # noqa: N818 - names the event
    """A new component does not fit into the policy it is meant for."""


class JailError(GcoError):
    """The jail could not be built, or broke, through no fault of the policy."""


class ProposalError(GcoError):
    """The optimizer returned nothing that could be a candidate."""


class ModelError(GcoError):
    """The language model was not reached, or gave no complete answer.

    Attributes:
        what: What happened, without what to do.
        is_passing: Whether the same request may succeed later.
        usage: What the server said that the request used.
        is_bill_open: Whether more may be billed than ``usage``.
        text: The part of the answer that was received.
        retry_after_s: Seconds after which the server asks to retry, or None.
    """

    is_passing = False

    def __init__(
        self,
        what: str,
        *,
        advice: str = "",
        usage: Usage = _NOTHING,
        is_bill_open: bool = False,
        text: str = "",
        retry_after_s: float | None = None,
    ) -> None:
        super().__init__(f"{what}: {advice}" if advice else what)
        self.what = what
        self.usage, self.is_bill_open = usage, is_bill_open
        self.text, self.retry_after_s = text, retry_after_s


class ModelUnreachable(ModelError):  # noqa: N818 - names the event
    """There is no connection to the model's server."""

    is_passing = True


class ModelOverloaded(ModelError):  # noqa: N818 - names the event
    """The model's server is overloaded or has an error."""

    is_passing = True


class RateLimited(ModelError):  # noqa: N818 - names the event
    """The account's rate limit is reached."""

    is_passing = True


class ModelTimedOut(ModelError):  # noqa: N818 - names the event
    """There was no complete answer within the timeout."""


class StreamCut(ModelError):  # noqa: N818 - names the event
    """The answer broke off before its end."""

    is_passing = True


class RequestAbandoned(ModelError):  # noqa: N818 - names the event
    """The command was ended during a request.

    Handled as any error of a request, so that its usage is recorded; the loop then raises
    ``signal``.
    """

    def __init__(self, signal: KeyboardInterrupt, *, is_bill_open: bool = False) -> None:
        super().__init__(
            f"the command was ended ({str(signal) or 'Ctrl-C'}) while the language model was asked",
            is_bill_open=is_bill_open,
        )
        self.signal = signal


class KeyRefused(ModelError):  # noqa: N818 - names the event
    """The API key is missing or not accepted."""


class UnknownModel(ModelError):  # noqa: N818 - names the event
    """The server has no model of that name."""


class RequestRefused(ModelError):  # noqa: N818 - names the event
    """The server rejects the request."""


class ReplyRefused(ModelError, ProposalError):  # noqa: N818 - names the event
    """The language model declined to answer."""

    kind = "refused"


class ReplyTruncated(ModelError, ProposalError):  # noqa: N818 - names the event
    """The answer of the language model is longer than it may be."""

    kind = "truncated"


class StoreError(GcoError):
    """Git refused an operation."""


class NotARun(StoreError):  # noqa: N818 - names the event
    """A branch or revision holds no run of gco-agent."""


class DirtyWorkTree(StoreError):  # noqa: N818 - names the event
    """Uncommitted changes are in the way."""


class RunBusy(StoreError):  # noqa: N818 - names the event
    """Another process is advancing this run."""


class RunMoved(StoreError):  # noqa: N818 - names the event
    """The run's branch is not where this process left it."""

    def __init__(self, ref: str, *, expected: str, found: str) -> None:
        super().__init__(
            f"{ref} is at {found[:9]} but was expected at {expected[:9]}: another process moved "
            "it. Nothing was overwritten; run the command again to continue from there."
        )
        self.ref, self.expected, self.found = ref, expected, found


class NoIdentity(StoreError):  # noqa: N818 - names the event
    """Git has no name and address to commit with."""


class BudgetSpent(Exception):  # noqa: N818 - control flow, not an error
    """The next thing to do would pass a limit of the run.

    Attributes:
        limit: Which one, in words: "30 iterations", "300 s", "2,000,000 frames".
    """

    def __init__(self, limit: str) -> None:
        super().__init__(f"budget spent: {limit}")
        self.limit = limit
