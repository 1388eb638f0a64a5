"""The settings of a run, ``run.toml`` on its branch, fixed when it starts; and trust in modules."""

from __future__ import annotations

import dataclasses
import re
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gco_agent.core.codec import decode
from gco_agent.core.errors import StoreError, UsageError
from gco_agent.core.records import OBJECTS, PlayProtocol
from gco_agent.core.seeds import HIGHEST_SEED
from gco_agent.core.text import clean_line
from gco_agent.games.describe import Hints
from gco_agent.store.evidence import authenticate, is_authentic

if TYPE_CHECKING:
    from gco_agent.store.git import GitRepo

SCHEMA = 1
FILE = "run.toml"
_SLICE_STEPS, _CHEAP_SLICE_STEPS = 70_000, 1_000_000
_SLICE_S, PATIENT_SLICE_S = 30.0, 3_600.0
"""Time limit of a slice, in seconds: usually, and where only its steps are meant to end it."""
_SLICES = 8
"""A slice takes one in so many of the frames of a run, if that is more than the default."""
_LONGEST_EPISODE = 4_000_000
_MOST_TOKENS = 10_000_000
_LONGEST_TEXT, _LONGEST_WORDS = 65_536, 1_000
_BOUNDS: dict[str, tuple[float, float]] = {
    "seed": (0, HIGHEST_SEED),
    "slice_steps": (1, 10**12),
    "slice_seconds": (1e-3, 10**9),
    "candidates": (1, 1_000),
    "horizon": (0, _LONGEST_EPISODE),
    "trace_tokens": (1, _MOST_TOKENS),
    "max_tokens": (1, _MOST_TOKENS),
    "selection_steps": (1, _LONGEST_EPISODE),
    "frame_skip": (1, 1_000),
    "sticky": (0, 1),
    "max_steps": (1, _LONGEST_EPISODE),
    "restarts": (0, 1_000),
    "mode": (0, 255),
    "difficulty": (0, 255),
    "noop_frames": (0, 10_000),
    "noise_px": (0, 1_000),
    "noise_share": (0, 1_000),
    "dropout": (0, 1),
}
"""Least and largest value of every number of `RunConfig` and its protocol."""


@dataclass(frozen=True, slots=True)
class RunConfig:
    """The settings of a run, the same for everybody who advances it.

    Attributes:
        selection_steps: Steps after which a race cuts an episode, so that it need not wait for
            endless rallies. 4,500 are the five minutes of Machado et al. 2018 (arXiv:1709.06009).
        optimizer: Name of the optimizer, or several that take turns: "reflect, search".
        seed: Seed of the optimizer's own random choices; seeds of episodes are fixed streams.
        slice_steps: Steps that an iteration of the embedded search may play; of objects, up to
            three times as many after rejected candidates. See `default_slice`.
        slice_seconds: Wall time limit for as many steps. Where it is never reached, the speed of
            the machine does not decide what is proposed.
        hints: What prompts say about the game: "none", only types; "interface", what things mean;
            "paper", the advice of the paper's authors too.
        trace_tokens: Limit of the results shown to a language model, in estimated tokens.
        candidates: Candidates that an iteration asks for and races.
        horizon: If not 0, optoprime is shown the first steps of an episode, this many, as in the
            paper, instead of the moments that decided several.
        model: Language model, as its server names it; empty for the default one.
        effort: Effort in the words of the Messages API; empty leaves that to the server.
    """

    game: str
    protocol: PlayProtocol
    selection_steps: int = 4_500
    optimizer: str = "search"
    seed: int = 0
    slice_steps: int = _SLICE_STEPS
    slice_seconds: float = _SLICE_S
    hints: Hints = "interface"
    trace_tokens: int = 6_000
    candidates: int = 1
    horizon: int = 0
    model: str = ""
    effort: str = ""
    max_tokens: int = 32_000

    def __post_init__(self) -> None:
        rules = self.protocol
        for name, (least, most) in _BOUNDS.items():
            value = getattr(self, name) if hasattr(self, name) else getattr(rules, name)
            if not least <= value <= most:
                raise UsageError(f"{name} = {value} is not from {least:,} to {most:,}")
        for words in (self.game, self.optimizer, self.model, self.effort, rules.name, rules.env_id):
            if len(words) > _LONGEST_WORDS or not words.isprintable():
                raise UsageError(f"{clean_line(words)[:40]!r} is too long, or not printable")
        if rules.actions not in {"minimal", "all"} or rules.objects not in OBJECTS:
            raise UsageError(f"actions = {rules.actions!r}, objects = {rules.objects!r} is unknown")

    @property
    def selection_protocol(self) -> PlayProtocol:
        """Rules of play of a race."""
        shortest = min(self.selection_steps, self.protocol.max_steps)
        return dataclasses.replace(self.protocol, max_steps=shortest)

    @property
    def optimizers(self) -> tuple[str, ...]:
        """Names of the optimizers that take turns."""
        return split_optimizers(self.optimizer)


def split_optimizers(text: str) -> tuple[str, ...]:
    """Return the names in "reflect, search"."""
    return tuple(part.strip() for part in text.split(","))


def default_slice(protocol: PlayProtocol, frames: int | None = None) -> tuple[int, float]:
    """Return how many steps and seconds an iteration of the search may play.

    Args:
        frames: Budget of the whole run, if there is one. Then no slice is cut by the clock, and a
            large budget makes larger slices.
    """
    seconds = _SLICE_S if frames is None else PATIENT_SLICE_S
    if not protocol.has_objects:
        return _CHEAP_SLICE_STEPS, seconds
    return max(_SLICE_STEPS, (frames or 0) // (_SLICES * protocol.frame_skip)), seconds


def format_config(config: RunConfig) -> str:
    """Return the text of ``run.toml``; `parse_config` is the inverse."""
    import tomlkit

    data = dataclasses.asdict(config)
    rules = data.pop("protocol")
    rules["versions"] = dict(rules.pop("versions"))  # a table, so last
    document = tomlkit.document()
    document.add(tomlkit.comment("What this run was started with. Frozen: its commits rely on it."))
    for name, value in {"schema": SCHEMA, **data, "protocol": rules}.items():
        document.add(name, tomlkit.item(value))
    return tomlkit.dumps(document)


def parse_config(text: str) -> RunConfig:
    """Parse ``run.toml``."""
    if len(text) > _LONGEST_TEXT:
        raise UsageError(f"{FILE} has {len(text):,} characters; at most {_LONGEST_TEXT:,} are read")
    try:
        data = tomllib.loads(text)
    except (ValueError, RecursionError) as error:  # also of a number with thousands of digits
        raise UsageError(f"{FILE} is not TOML: {error}") from error
    if data.pop("schema", None) != SCHEMA:
        raise UsageError(
            f"{FILE} is not of schema {SCHEMA}, which this version reads: use the version of "
            "gco-agent that started the run"
        )
    try:
        _require_known(RunConfig, data)
        rules = _require_known(PlayProtocol, data["protocol"])
        data["protocol"] = {**rules, "versions": list(dict(rules["versions"]).items())}
        return decode(RunConfig, data, FILE)
    except (KeyError, TypeError, ValueError, AttributeError, StoreError, UsageError) as error:
        raise UsageError(f"{FILE} has a missing, unknown or wrong value: {error}") from error


def _require_known(kind: type, data: dict[str, Any]) -> dict[str, Any]:
    known = {field.name for field in dataclasses.fields(kind)}
    if unknown := data.keys() - known:
        raise UsageError(f"{', '.join(sorted(unknown))} is unknown")
    return data


# -- modules that a user lets the runs of a repository import --------------------------------------

TRUST = "gco.trust"
"""Setting in git's config; each value is ``module=folder=code``, the folder empty if not needed.

The code is made with the user's key: a repository that is received as a whole folder brings its
config along.
"""
_trusted_now: dict[tuple[Path, str], Path | None] = {}
"""What was trusted in this process, where the user's key cannot be kept."""


def trust_module(repo: GitRepo, module: str, folder: Path | None = None) -> None:
    """Remember in the repository's config that the user trusts a module.

    Args:
        folder: Folder to import it from; None if it is installed.
    """
    same = f"^{re.escape(module)}="
    value = f"{module}={folder.resolve() if folder else ''}"
    value += f"={authenticate(f'{TRUST} {value}')}"
    _trusted_now[repo.common_dir, module] = folder
    repo.run("config", "--local", "--replace-all", TRUST, value, same)


def trusted_modules(repo: GitRepo) -> dict[str, Path | None]:
    """Return the modules that the user trusts, with the folder of each; None if installed."""
    found = repo.attempt("config", "--local", "--null", "--get-all", TRUST)
    trusted = {name: folder for (where, name), folder in _trusted_now.items()
               if where == repo.common_dir}  # fmt: skip
    for value in found.names:
        stated, _, code = value.rpartition("=")
        if is_authentic(f"{TRUST} {stated}", code):
            module, _, folder = stated.partition("=")
            trusted[module] = Path(folder) if folder else None
    return trusted
