"""From what a person types to a specification, from rules of play to an environment."""

from __future__ import annotations

import difflib
import re
import sys
from collections.abc import Sequence
from dataclasses import replace
from importlib import metadata
from pathlib import Path

import gymnasium
from gymnasium.envs.registration import EnvSpec

from gco_agent.core.errors import UsageError
from gco_agent.core.records import PlayProtocol
from gco_agent.envs import atari
from gco_agent.envs.fingerprint import module_digest, require_versions
from gco_agent.envs.generic import PlainEnvironment, import_users, register_for, require_own_name
from gco_agent.envs.objects import ObjectObservation
from gco_agent.envs.wrappers import DisturbedPlain
from gco_agent.games import (
    SOLVED,
    Control,
    Field,
    GameSpec,
    Score,
    find_game,
    imports_code,
    is_atari,
    likeness,
    nearest_game,
    why_not_played,
)
from gco_agent.games.documented import DOCUMENTED
from gco_agent.games.starting import random_policy
from gco_agent.policy import PolicySource, environment_of

Environment = ObjectObservation | PlainEnvironment

_LONGEST = 27_000
_MOST_FIELDS = 400
_WORD = re.compile(r"[A-Z]+(?=[A-Z][a-z])|[A-Z]?[a-z]+|[A-Z]+|\d+x\d+|\d+")


def named_environment(source: PolicySource) -> str | None:
    """The environment that a policy names itself, or None; nothing is imported for its sake.

    Raises:
        UsageError: It names code. A policy is text that a model or a stranger wrote, and plays in
            a jail; what it names would be loaded outside of it.
        ContractViolation: The text is not Python.
    """
    name = environment_of(source)
    if name is not None and imports_code(name):
        raise UsageError(
            f"the policy's docstring says `Environment: {name}`, which is code, and a policy is "
            "not believed about what to load and run outside the jail. If you know that code and "
            f"trust it, name it yourself: --env {name} (in Python: game={name!r})"
        )
    return name


def find_spec(name: str) -> GameSpec:
    """What ``name`` means: a game, a Gymnasium id, ``module:id``, or a file with a ``SPEC``.

    The latter two run code outside any jail, so such a name has to come from a person.

    Raises:
        UsageError: Nothing is called that, or it cannot be made.
    """
    if name.endswith(".py"):
        return load_spec(Path(name))
    if ":" in name:
        return _of_module(name)
    try:
        return find_game(name)
    except UsageError as error:
        register_for(name)
        env_id = _registered(name)
        if env_id is None:
            raise UsageError(_with_nearest_id(name, str(error))) from None
        return _describe(env_id)


def load_spec(path: Path) -> GameSpec:
    """The specification in a file of the user's; its folder becomes importable.

    Raises:
        UsageError: There is no such file, it has the name of another module, something in it
            fails, or there is no ``SPEC`` in it.
    """
    if not path.is_file():
        raise UsageError(f"there is no file {path}")
    make_importable(path.parent)
    require_own_name(path)
    return _of_module(path.stem)


def make_importable(folder: Path) -> None:
    """Let modules in ``folder`` be imported, here and in worker processes started later."""
    where = str(folder.resolve())
    if where not in sys.path:
        sys.path.append(where)


def _of_module(name: str) -> GameSpec:
    """The ``SPEC`` of a module, or what ``module:id`` registers."""
    module_name, _, env_id = name.partition(":")
    module = import_users(module_name)
    spec = getattr(module, "SPEC", None)
    if isinstance(spec, GameSpec) and env_id in ("", spec.env_id, spec.env_id.partition(":")[2]):
        return _with_module(spec, module_name)
    if not env_id:
        raise UsageError(f"{module_name} has no SPEC = GameSpec(...)")
    if env_id not in gymnasium.registry:
        raise UsageError(f"the module {module_name} registers no environment {env_id}")
    return _describe(name)


def _with_module(spec: GameSpec, module_name: str) -> GameSpec:
    env_id = spec.env_id if ":" in spec.env_id else f"{module_name}:{spec.env_id}"
    return replace(spec, env_id=env_id, module=module_name)


def _registered(name: str) -> str | None:
    """The id that Gymnasium knows ``name`` by: letter case and version may be left out."""
    if name in gymnasium.registry:
        return name
    wanted = name.lower()
    found = [
        env_id
        for env_id in gymnasium.registry
        if wanted in (env_id.lower(), env_id.lower().rpartition("-v")[0])
    ]
    return max(found, key=_version, default=None)


def _version(env_id: str) -> int:
    digits = env_id.rpartition("-v")[2]
    return int(digits) if digits.isdigit() else 0


def _with_nearest_id(name: str, refusal: str) -> str:
    """The refusal of a name that no game has, and the id of Gymnasium's that may be meant."""
    if why_not_played(name):
        return refusal
    known = {env_id.lower(): env_id for env_id in gymnasium.registry if "/" not in env_id}
    near = difflib.get_close_matches(name.lower(), known, n=1, cutoff=0.7)
    if not near:
        return f"{refusal} Any id of Gymnasium will do too, such as CartPole-v1."
    env_id = known[near[0]]
    if likeness(name, env_id) > likeness(name, nearest_game(name)):
        return (
            f"no game or environment is called {name!r}. Did you mean {env_id}? `gco-agent games` "
            "lists the games of Atari; any id of Gymnasium will do too."
        )
    return refusal


def _describe(env_id: str) -> GameSpec:
    """A specification made from what Gymnasium and its documentation say."""
    env = PlainEnvironment(env_id)
    base = env_id.rpartition(":")[2].rpartition("/")[2]
    base = re.sub(r"-v\d+$", "", base)
    documented = DOCUMENTED.get(base)
    words = documented.actions if documented and env.n_actions else {}
    if not words and env.n_actions:
        words = {str(number): "" for number in range(env.n_actions)}
    fields, seen = documented.fields if documented else (), ""
    if len(fields) != env.n_numbers:
        fields, seen = _unnamed(env)
    controls = _controls(env, documented.controls if documented else ())
    solved = env.reward_threshold
    env.close()
    return GameSpec(
        name="_".join(_WORD.findall(base)).lower() or base.lower(),
        title=base,
        env_id=env_id,
        goal=documented.goal if documented else "Make the sum of rewards large.",
        actions=words,
        controls=controls,
        fields=fields,
        seen=seen,
        scores=() if solved is None else (Score(SOLVED, solved, "Gymnasium's reward_threshold"),),
        module=env_id.partition(":")[0] if ":" in env_id else "",
        most_a_step=documented.most_a_step if documented else None,
    )


def complete_spec(spec: GameSpec) -> GameSpec:
    """The specification with what its environment says of itself where it is silent.

    Raises:
        UsageError: The environment cannot be made.
    """
    is_complete = (spec.actions or spec.controls) and (spec.fields or spec.seen)
    if is_atari(spec.env_id) or is_complete:
        return spec
    env = PlainEnvironment(spec.env_id)
    try:
        fields, seen = (spec.fields, spec.seen) if spec.fields or spec.seen else _unnamed(env)
        actions = spec.actions or {str(number): "" for number in range(env.n_actions)}
        controls = spec.controls or _controls(env, ())
    finally:
        env.close()
    return replace(spec, fields=fields, seen=seen, actions=actions, controls=controls)


def _controls(env: PlainEnvironment, meanings: Sequence[str]) -> tuple[Control, ...]:
    """The numbers of an action, with their bounds; none where an action is an integer."""
    low, high = env.bounds
    if len(meanings) != len(low):
        meanings = [""] * len(low)
    return tuple(Control(a, b, word) for a, b, word in zip(low, high, meanings, strict=True))


def _unnamed(env: PlainEnvironment) -> tuple[tuple[Field, ...], str]:
    """Fields of a vector that nobody names; or none, and what an observation is."""
    shape = getattr(env.observation_space, "shape", None)
    if shape is not None and len(shape) == 1 and env.n_numbers <= _MOST_FIELDS:
        return tuple(Field(f"obs[{number}]") for number in range(env.n_numbers)), ""
    return (), f"of the Gymnasium space {env.observation_space}"


def spec_of(protocol: PlayProtocol) -> GameSpec:
    """The specification of what ``protocol`` plays; raises as `find_spec`."""
    return find_spec(protocol.env_id)


def make_protocol(
    name: str, game: str, max_steps: int | None = None, objects: str | None = None
) -> PlayProtocol:
    """The rules called ``name`` for anything that `find_spec` finds.

    Args:
        name: "default"; for Atari games also the others of `atari.PROTOCOLS`.
        game: As `find_spec` takes it.
        max_steps: Steps after which an episode is cut, if not those of the protocol; where
            Gymnasium cuts earlier, that holds.
        objects: Of an Atari game, what is observed, if not as the protocol has it.

    Raises:
        UsageError: There is no such protocol, or it is not for this environment.
    """
    spec = find_spec(game)
    if is_atari(spec.env_id):
        return atari.make_protocol(name, spec.env_id, max_steps, objects)
    spec.require_rules(name, objects)
    env = PlainEnvironment(spec.env_id)
    limit = min(max_steps or _LONGEST, env.max_steps or _LONGEST)
    env.close()
    return PlayProtocol(
        "default",
        spec.env_id,
        frame_skip=1,
        sticky=0.0,
        max_steps=limit,
        versions=_versions(spec.env_id),
    )


def _versions(env_id: str) -> tuple[tuple[str, str], ...]:
    """What decides the numbers of an environment that is no Atari game."""
    packages = ["gymnasium", *_library(env_id)]
    versions = [(package, metadata.version(package)) for package in packages]
    if ":" in env_id:
        entry = gymnasium.spec(env_id.rpartition(":")[2]).entry_point
        home = (
            entry.partition(":")[0] if isinstance(entry, str) else getattr(entry, "__module__", "")
        )
        digest = module_digest([env_id.partition(":")[0], home or ""])
        versions += [("module", digest)] if digest else []
    return tuple(versions)


def _library(env_id: str) -> list[str]:
    """The package whose version decides the numbers beside Gymnasium's."""
    entry = str(gymnasium.spec(env_id.rpartition(":")[2]).entry_point)
    for module, package in (("box2d", "box2d"), ("mujoco", "mujoco"), ("minigrid", "minigrid")):
        if module in entry:
            return [package]
    return []


def open_environment(protocol: PlayProtocol) -> Environment:
    """The environment that ``protocol`` describes.

    Raises:
        UsageError: It is not known, or cannot be made.
        GcoError: What is installed here is not what the rules name.
    """
    if is_atari(protocol.env_id):
        return atari.open_environment(protocol)
    if ":" in protocol.env_id:
        _of_module(protocol.env_id)
    else:
        register_for(protocol.env_id)  # a worker has imported nothing that does
    require_versions(protocol, _versions(protocol.env_id))
    if protocol.sticky or protocol.is_disturbed:
        return DisturbedPlain(protocol)
    return PlainEnvironment(protocol.env_id)


def environment_spec(protocol: PlayProtocol) -> EnvSpec:
    """What Gymnasium makes the environment of ``protocol`` from, without gco-agent."""
    if is_atari(protocol.env_id):
        return atari.emulator_spec(protocol)
    spec_of(protocol)  # makes an id of somebody's own module known
    return gymnasium.spec(protocol.env_id.rpartition(":")[2])


def initial_policy(protocol: PlayProtocol) -> str:
    """Text of the policy that a run under ``protocol`` starts from.

    Raises:
        UsageError: What it plays is not known.
    """
    if is_atari(protocol.env_id):
        return atari.initial_policy(protocol)
    env = open_environment(protocol)
    assert isinstance(env, PlainEnvironment), protocol.env_id
    spec = spec_of(protocol)
    low, high = env.bounds
    env.close()
    if spec.start:
        return spec.start
    return random_policy(spec.title, protocol.env_id, env.n_actions, low, high)
