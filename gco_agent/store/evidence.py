"""Episodes on record: what an iteration's ``evaluation.json`` holds, and whether to believe it.

A record is authenticated with a key that is kept outside of any repository, so that only what this
user's machine played is taken over without playing it again. Anybody may have written the rest.
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import json
import os
import platform
import secrets
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gco_agent.core.codec import finite_number, readable
from gco_agent.core.records import EpisodeResult, Evaluation, Outcome
from gco_agent.jail.limits import weakest_jail
from gco_agent.policy import PolicySource

SCHEMA = 2
_READ = (1, 2)
_MAC = "hmac-sha256"
_KEY_BYTES = 32


@dataclass(frozen=True, slots=True)
class Evidence:
    """The content of an ``evaluation.json``.

    Attributes:
        protocol: Stamp of the rules of play.
        policies: Digest of a policy's text to its episodes.
        made_in: Weakest jail, Python and machine, as far as the record says.
        is_authentic: It was written by this user on this machine.
        schema: Version of the record; in the first, digests leave docstrings out.
    """

    protocol: str
    policies: Mapping[str, tuple[EpisodeResult, ...]]
    made_in: Mapping[str, str]
    is_authentic: bool
    schema: int = SCHEMA

    def of(self, source: PolicySource) -> tuple[EpisodeResult, ...]:
        """Return the episodes of a policy, of which there may be none."""
        return self.policies.get(source.digest, ())


def format_evidence(evaluations: Iterable[tuple[PolicySource, Evaluation]]) -> str:
    """Return the text of an ``evaluation.json``; `parse_evidence` reads it."""
    played = list(evaluations)
    data: dict[str, Any] = {
        "schema": SCHEMA,
        "protocol": played[0][1].protocol,
        **conditions(episode for _, evaluation in played for episode in evaluation.episodes),
        "jails": {source.digest: weakest_jail(one.episodes) for source, one in played},
        "policies": {source.digest: [_to_json(e) for e in one.episodes] for source, one in played},
    }
    key = _user_key()
    if key is not None:
        data[_MAC] = _authenticate(data, key)
    return json.dumps(data, indent=1) + "\n"


def parse_evidence(text: str, name: str) -> Evidence:
    """Read an ``evaluation.json``.

    Args:
        text: Its text.
        name: What to call it in an error.

    Raises:
        StoreError: It cannot be read.
    """
    with readable(name):
        data = json.loads(text)
        if data["schema"] not in _READ:
            raise ValueError(f"schema {data['schema']!r}; this version reads 1 and 2")
        levels, level = data.get("jails", {}), data.get("jail") or ""
        policies = {
            str(digest): tuple(_from_json(e, str(levels.get(digest, level))) for e in episodes)
            for digest, episodes in data["policies"].items()
        }
        made_in, is_authentic = told_conditions(data), _is_authentic(data)
        protocol, schema = str(data["protocol"]), int(data["schema"])
        return Evidence(protocol, policies, made_in, is_authentic, schema)


def conditions(episodes: Iterable[EpisodeResult]) -> dict[str, str]:
    """Return what is no rule of play but may explain a difference: jail, Python and machine."""
    return {
        "jail": weakest_jail(episodes),
        "python": "{}.{}".format(*sys.version_info),
        "machine": platform.machine(),
    }


def told_conditions(record: Mapping[str, Any]) -> dict[str, str]:
    """Return the conditions that a record names."""
    return {name: str(record[name]) for name in ("jail", "python", "machine") if record.get(name)}


def key_path() -> Path:
    """Return where the user's key is kept."""
    state = os.environ.get("XDG_STATE_HOME", "")
    folder = Path(state) if os.path.isabs(state) else Path.home() / ".local" / "state"  # noqa: PTH117
    return folder / "gco-agent" / "evidence.key"


def _user_key() -> bytes | None:
    """Return the user's key, made at its first use; None where it cannot be kept."""
    path = key_path()
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0)
    with contextlib.suppress(OSError):
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with os.fdopen(os.open(path, flags, 0o600), "w") as file:
            file.write(secrets.token_hex(_KEY_BYTES))
    try:
        key = bytes.fromhex(path.read_text("ascii"))
    except (OSError, ValueError):
        return None
    return key if len(key) == _KEY_BYTES else None


def _is_authentic(data: Mapping[str, Any]) -> bool:
    claimed = data.get(_MAC)
    key = _user_key() if isinstance(claimed, str) else None
    return key is not None and hmac.compare_digest(str(claimed), _authenticate(data, key))


def _authenticate(data: Mapping[str, Any], key: bytes) -> str:
    content = {name: value for name, value in data.items() if name != _MAC}
    canonical = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return hmac.new(key, canonical.encode(), hashlib.sha256).hexdigest()


def _to_json(episode: EpisodeResult) -> dict[str, Any]:
    detail = {"detail": episode.detail} if episode.detail else {}
    return {
        "seed": episode.seed,
        "return": episode.episode_return,
        "steps": episode.n_steps,
        "outcome": episode.outcome.value,
        "digest": episode.digest,
        **detail,
    }


def _from_json(data: Mapping[str, Any], jail: str) -> EpisodeResult:
    return EpisodeResult(
        int(data["seed"]),
        finite_number(data["return"], "return"),
        int(data["steps"]),
        Outcome(data["outcome"]),
        str(data.get("detail", "")),
        str(data["digest"]),
        jail=jail,
    )
