"""The configuration of a run: frozen when the run starts, kept on its branch as ``run.toml``."""

from __future__ import annotations

import dataclasses
import tomllib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from gco_agent.core.errors import UsageError
from gco_agent.core.records import OBJECTS, PlayProtocol
from gco_agent.core.seeds import HIGHEST_SEED
from gco_agent.games import HINTS, Hints

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

Record = TypeVar("Record", bound="DataclassInstance")

SCHEMA = 1
_SLICE_STEPS, _CHEAP_SLICE_STEPS = 70_000, 1_000_000
FILE = "run.toml"
_TYPES: dict[str, tuple[type, ...]] = {
    "bool": (bool,),
    "int": (int,),
    "float": (int, float),
    "str": (str,),
}


@dataclass(frozen=True, slots=True)
class RunConfig:
    """What a run does, whoever runs it and wherever.

    Attributes:
        game: Name in snake case.
        optimizer: Which one proposes.
        seed: Of the optimizer's own chance; the seeds of play are fixed streams.
        slice_steps: Steps that an iteration of the embedded search may play.
        slice_seconds: Wall time after which such an iteration ends all the same. A run that
            never meets it repeats to the letter.
        candidates: How many candidates an iteration asks for and races.
        horizon: If not 0, optoprime is shown the first so many steps of an episode, as in the
            paper, instead of the moments that decided several.
        hints: How much prompts tell of the game: "none", the types alone; "interface", what things
            mean; "paper", the advice of the paper's authors too.
        trace_tokens: What a language model is told of results has at most so many tokens, as
            `gco_agent.traces.render` estimates them.
        model: Language model that is asked, as its server knows it; empty for the usual one.
        effort: How much it is to think, in the words of the Messages API; empty leaves that to
            the server.
        max_tokens: Most tokens of a reply of the language model, its thinking included.
        protocol: Rules of play, of what is reported.
        selection_steps: Steps after which the judge cuts an episode when it selects: a race need
            not wait for rallies without an end. 4,500 are the five minutes of Machado et al. 2018
            (arXiv:1709.06009).
    """

    game: str
    protocol: PlayProtocol
    selection_steps: int = 4_500
    optimizer: str = "search"
    seed: int = 0
    slice_steps: int = _SLICE_STEPS
    slice_seconds: float = 30.0
    hints: Hints = "interface"
    trace_tokens: int = 6_000
    candidates: int = 1
    horizon: int = 0
    model: str = ""
    effort: str = ""
    max_tokens: int = 32_000

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
    """The names in "reflect, search"."""
    return tuple(part.strip() for part in text.split(","))


def default_slice(protocol: PlayProtocol) -> int:
    """Steps that an iteration of the search may play: those of an emulator are dear."""
    return _CHEAP_SLICE_STEPS if protocol.is_cheap else _SLICE_STEPS


def format_config(config: RunConfig) -> str:
    """The text of ``run.toml``; `parse_config` gives the configuration back."""
    import tomlkit

    document = tomlkit.document()
    document.add(tomlkit.comment("What this run was started with. Frozen: its commits rely on it."))
    document.add("schema", tomlkit.item(SCHEMA))
    for part in dataclasses.fields(config):
        if part.name != "protocol":
            document.add(part.name, tomlkit.item(getattr(config, part.name)))
    rules = tomlkit.table()
    for part in dataclasses.fields(config.protocol):
        if part.name != "versions":
            rules.add(part.name, getattr(config.protocol, part.name))
    versions = tomlkit.table()
    for name, version in config.protocol.versions:
        versions.add(name, version)
    rules.add("versions", versions)
    document.add("protocol", rules)
    return tomlkit.dumps(document)


def parse_config(text: str) -> RunConfig:
    """The configuration that ``text`` holds.

    Raises:
        UsageError: It is no TOML, of another schema, or has a value too many, of a wrong type or
            out of range, or lacks one that has no default.
    """
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"{FILE} is not TOML: {error}") from error
    if data.get("schema") != SCHEMA:
        raise UsageError(
            f"{FILE} has schema {data.get('schema')!r} and this version reads {SCHEMA}: "
            "use the version of gco-agent that started the run."
        )
    try:
        rules = dict(data["protocol"])
        versions = tuple((str(k), str(v)) for k, v in rules.pop("versions").items())
        protocol = _build(PlayProtocol, {**rules, "versions": versions})
        del data["schema"]
        return _checked(_build(RunConfig, {**data, "protocol": protocol}))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise UsageError(f"{FILE} has a missing, misnamed or wrong value: {error}") from error


def _build(kind: type[Record], values: dict[str, Any]) -> Record:
    """An instance of ``kind``, each value of the type that its annotation names."""
    for part in dataclasses.fields(kind):
        wanted = _TYPES.get(str(part.type))
        if wanted is not None and part.name in values:
            value = values[part.name]
            if not isinstance(value, wanted) or (isinstance(value, bool) and bool not in wanted):
                raise TypeError(f"{part.name} = {value!r} should be of type {part.type}")
            if part.type == "float":
                values[part.name] = float(values[part.name])
    return kind(**values)


def _checked(config: RunConfig) -> RunConfig:
    rules = config.protocol
    if not 0 <= rules.sticky <= 1:
        raise ValueError(f"sticky = {rules.sticky} is no probability")
    if not 0 <= config.seed <= HIGHEST_SEED:
        raise ValueError(f"seed = {config.seed} is not from 0 to {HIGHEST_SEED}")
    if config.horizon < 0:
        raise ValueError(f"horizon = {config.horizon} should not be below 0")
    counts = {
        "frame_skip": rules.frame_skip,
        "max_steps": rules.max_steps,
        "selection_steps": config.selection_steps,
        "slice_steps": config.slice_steps,
        "slice_seconds": config.slice_seconds,
        "max_tokens": config.max_tokens,
        "trace_tokens": config.trace_tokens,
        "candidates": config.candidates,
    }
    if rules.actions not in {"minimal", "all"} or rules.objects not in OBJECTS:
        raise ValueError(f"actions = {rules.actions!r}, objects = {rules.objects!r}")
    if config.hints not in HINTS:
        raise ValueError(f"hints = {config.hints!r} should be one of {', '.join(HINTS)}")
    if rules.restarts < 0:
        raise ValueError(f"restarts = {rules.restarts} should not be below 0")
    for name, value in counts.items():
        if not value > 0:
            raise ValueError(f"{name} = {value} should be above 0")
    return config
