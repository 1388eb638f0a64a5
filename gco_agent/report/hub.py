"""Policies on the Hugging Face hub: ``hf://OWNER/NAME[@REVISION]``.

A repository on the hub holds a policy, as ``policy.py``, and its model card. What is downloaded is
text: nothing here runs it. `gco_agent.evaluate` and the commands play it in the jail.
"""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from gco_agent.core.errors import GcoError, UsageError
from gco_agent.core.text import clean_line
from gco_agent.llm.base import scrub
from gco_agent.policy.source import MAX_BYTES, PolicySource

SCHEME = "hf://"
FILE, CARD = "policy.py", "README.md"
_ADDRESS = re.compile(r"hf://(?P<repo>[\w.-]+/[\w.-]+)(@(?P<revision>[\w./-]+))?", re.ASCII)
_MOST_QUOTED = 300


class HubError(GcoError):
    """The hub was not reached, or refused."""


def pull_policy(address: str) -> PolicySource:
    """Download the text of a policy; nothing of it is run.

    Args:
        address: ``hf://OWNER/NAME``, or ``hf://OWNER/NAME@REVISION`` for a branch, tag or commit.
    """
    found = _ADDRESS.fullmatch(address)
    if found is None:
        raise UsageError(f"{address} is not an address such as hf://owner/name or hf://o/n@v1")
    repo, revision, endpoint = found["repo"], found["revision"] or "main", _endpoint()
    with _hub() as hub, tempfile.TemporaryDirectory() as folder:
        url = hub.hf_hub_url(repo, FILE, revision=revision, endpoint=endpoint)
        size = hub.get_hf_file_metadata(url, endpoint=endpoint).size
        if size is None or size > MAX_BYTES:
            raise HubError(f"{FILE} of {address} has more than {MAX_BYTES:,} bytes")
        path = hub.hf_hub_download(
            repo, FILE, revision=revision, endpoint=endpoint, local_dir=folder
        )
        source = PolicySource.from_file(path)
    return PolicySource.from_bytes(source.text.encode(), address)


def require_access(repo: str) -> str:
    """Check the name of a repository and the user's token, and return the user's name."""
    if not _ADDRESS.fullmatch(SCHEME + repo) or "@" in repo:
        raise UsageError(f"{repo} is not the name of a repository, such as owner/name")
    with _hub() as hub:
        return str(hub.HfApi(endpoint=_endpoint()).whoami()["name"])


def push(repo: str, files: Mapping[str, str], message: str, *, private: bool = False) -> str:
    """Commit files to a repository, created if there is none, and return the commit's address."""
    with _hub() as hub:
        adding = [hub.CommitOperationAdd(name, text.encode()) for name, text in files.items()]
        api = hub.HfApi(endpoint=_endpoint())
        api.create_repo(repo, private=private, exist_ok=True)
        return str(api.create_commit(repo, adding, commit_message=message).commit_url)


def _endpoint() -> str | None:
    return os.environ.get("HF_ENDPOINT", "").rstrip("/") or None


@contextmanager
def _hub() -> Iterator[Any]:
    """Yield the library; what it raises is the network's, the hub's, or in the user's settings."""
    try:
        import huggingface_hub

        yield huggingface_hub
    except (GcoError, ModuleNotFoundError):
        raise
    except Exception as error:
        from huggingface_hub import errors

        if isinstance(error, (errors.EntryNotFoundError, errors.RepositoryNotFoundError)):
            raise HubError(
                f"the hub has no such repository, or none with a {FILE} that you may see: check "
                "the name, and HF_TOKEN if it is private"
            ) from error
        why = clean_line(scrub(str(error)))[:_MOST_QUOTED].rstrip(". ") or type(error).__name__
        raise HubError(
            f"the Hugging Face hub: {why}. Check the network and its proxy, HF_TOKEN (or `hf auth "
            "login`), and HF_ENDPOINT if it is set"
        ) from error
