"""The configuration of a run: frozen when the run starts, kept on its branch as ``run.toml``."""

from __future__ import annotations

import dataclasses
import tomllib
from dataclasses import dataclass
from typing import Any

from gco_agent.errors import UsageError
from gco_agent.records import PlayProtocol

SCHEMA = 1
FILE = "run.toml"


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
        protocol: Rules of play.
    """

    game: str
    protocol: PlayProtocol
    optimizer: str = "search"
    seed: int = 0
    slice_steps: int = 60_000
    slice_seconds: float = 30.0


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
        UsageError: It is no TOML, of another schema, or a value is missing or of a wrong type.
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
        return _build(RunConfig, {**_without(data, "schema", "protocol"), "protocol": protocol})
    except (KeyError, TypeError, AttributeError) as error:
        raise UsageError(f"{FILE} lacks or misnames a value: {error}") from error


def _without(data: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: value for name, value in data.items() if name not in names}


def _build(kind: type[Any], values: dict[str, Any]) -> Any:
    """An instance of ``kind``, each value of the type that its default or annotation has."""
    types = {"int": int, "float": (int, float), "str": str}
    for part in dataclasses.fields(kind):
        wanted = types.get(str(part.type))
        if wanted is not None and part.name in values:
            value = values[part.name]
            if isinstance(value, bool) or not isinstance(value, wanted):
                raise TypeError(f"{part.name} = {value!r} should be of type {part.type}")
            values[part.name] = float(value) if part.type == "float" else value
    return kind(**values)
