"""Evidence: the episodes in an iteration's ``evaluation.json``, and what this user's machine wrote.

Evidence and commit messages are authenticated with a key outside of any repository, so that results
are reused without playing again only if this user's machine produced them.
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
from gco_agent.core.seeds import MOST_EPISODES
from gco_agent.jail.limits import weakest_jail
from gco_agent.policy.source import PolicySource

SCHEMA = 2
_READ = (1, 2)
_MAC = "hmac-sha256"
_SIGNATURE = "\nGco-Signature: "
_KEY_BYTES = 32
_CONDITIONS = ("jail", "python", "machine")


@dataclass(frozen=True, slots=True)
class Evidence:
    """The content of an ``evaluation.json``.

    Attributes:
        made_in: Weakest jail, Python and machine, as far as the record says.
        is_authentic: It was written by this user on this machine.
        schema: Version of the record; in the first, digests leave docstrings out.
    """

    protocol: str
    policies: Mapping[str, tuple[EpisodeResult, ...]]
    made_in: Mapping[str, str]
    is_authentic: bool
    is_commit_signed: bool = False
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
        "signed_commit": True,
    }
    if (key := _user_key()) is not None:
        data[_MAC] = _authenticate(data, key)
    return json.dumps(data, indent=1) + "\n"


def parse_evidence(text: str, name: str) -> Evidence:
    """Read an ``evaluation.json``."""
    with readable(name):
        data = json.loads(text)
        if data["schema"] not in _READ:
            raise ValueError(f"schema {data['schema']!r}; this version reads 1 and 2")
        levels, level = data.get("jails", {}), data.get("jail") or ""
        policies = {
            str(digest): tuple(_from_json(e, str(levels.get(digest, level))) for e in episodes)
            for digest, episodes in data["policies"].items()
        }
        if any(len(episodes) > MOST_EPISODES for episodes in policies.values()):
            raise ValueError(f"a policy has more than {MOST_EPISODES:,} episodes")
        claimed, key = data.get(_MAC), _user_key()
        return Evidence(
            str(data["protocol"]),
            policies,
            {name: str(data[name]) for name in _CONDITIONS if data.get(name)},
            key is not None and _is_same(claimed, _authenticate(data, key)),
            data.get("signed_commit") is True,
            int(data["schema"]),
        )


def conditions(episodes: Iterable[EpisodeResult]) -> dict[str, str]:
    """Return what is no rule of play but may explain a difference: jail, Python and machine."""
    values = (weakest_jail(episodes), "{}.{}".format(*sys.version_info), platform.machine())
    return dict(zip(_CONDITIONS, values, strict=True))


def sign(message: str, after: Iterable[str], *files: bytes | None) -> str:
    """Return a commit message with a trailer by which `is_signed` knows the commit again.

    Of ``after``, the messages of its parents and of theirs, the signed ones are signed along, so
    that no commit before it can be left out, moved or edited. A run can be rebased.
    """
    key = _user_key()
    if key is None:
        return message
    return f"{message.rstrip()}{_SIGNATURE}{_sign(message, after, files, key)}\n"


def is_signed(message: str, after: Iterable[str], *files: bytes | None) -> bool:
    """Return whether this user's machine composed the message of a commit, here, for these files.

    Earlier versions did not sign the place of a commit; their signatures are valid, too.
    """
    words, separator, signature = message.strip().rpartition(_SIGNATURE)
    key = _user_key() if separator else None
    return key is not None and any(
        _is_same(signature, _sign(words, before, files, key)) for before in (after, ())
    )


def authenticate(text: str) -> str:
    """Return a code by which `is_authentic` knows a text again; "" if there is no key."""
    key = _user_key()
    return "" if key is None else hmac.new(key, b"text\0" + _utf8(text), hashlib.sha256).hexdigest()


def is_authentic(text: str, code: str) -> bool:
    """Return whether this user's machine wrote a text."""
    expected = authenticate(text)
    return bool(expected) and _is_same(code, expected)


def key_path() -> Path:
    """Return where the user's key is kept."""
    state = Path(os.environ.get("XDG_STATE_HOME", ""))
    if not state.is_absolute():
        with contextlib.suppress(RuntimeError):  # a user without a home
            state = Path.home() / ".local" / "state"
    if not state.is_absolute():  # a relative one may be in a clone
        state = Path(os.devnull)
    return state / "gco-agent" / "evidence.key"


def _user_key() -> bytes | None:
    """Return the user's key, made at its first use; None where it cannot be kept."""
    path = key_path()
    try:
        if not path.exists():
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
            with (
                contextlib.suppress(FileExistsError),
                os.fdopen(os.open(path, flags, 0o600), "w") as file,
            ):
                file.write(secrets.token_hex(_KEY_BYTES))
        key = bytes.fromhex(path.read_text("ascii"))
    except (OSError, ValueError):
        return None
    return key if len(key) == _KEY_BYTES else None


def _sign(message: str, after: Iterable[str], files: Iterable[bytes | None], key: bytes) -> str:
    before = [_utf8(one.strip()) for one in after if _SIGNATURE in one]
    parts = [_utf8(message.strip()), *files, *before]
    digests = ["" if part is None else hashlib.sha256(part).hexdigest() for part in parts]
    return hmac.new(key, f"commit {' '.join(digests)}".encode(), hashlib.sha256).hexdigest()


def _utf8(text: str) -> bytes:
    return text.encode("utf-8", "backslashreplace")


def _authenticate(data: Mapping[str, Any], key: bytes) -> str:
    content = {name: value for name, value in data.items() if name != _MAC}
    canonical = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return hmac.new(key, canonical.encode(), hashlib.sha256).hexdigest()


def _is_same(claimed: object, expected: str) -> bool:
    return hmac.compare_digest(str(claimed).encode("utf-8", "replace"), expected.encode())


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
