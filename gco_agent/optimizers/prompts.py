"""Prompts: the contract, the interface, the policy, its results, and what was tried before.

The words for actions in `gco_agent.games` were checked in the emulator. Where there are none, as
in games without a description of their own, a random policy plays and what each action moved is
measured.
"""

from __future__ import annotations

import functools
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from typing import Any

from gco_agent.core.records import PlayProtocol, Verdict
from gco_agent.core.seeds import probe_seeds
from gco_agent.core.text import fence, quote
from gco_agent.envs.environment import complete_spec, spec_of
from gco_agent.evaluation.judge import FREE_CPU_MS
from gco_agent.games.describe import describe_interface
from gco_agent.games.spec import GameSpec
from gco_agent.llm.base import ToolSpec
from gco_agent.optimizers.base import (
    MOST_AT_ONCE,
    MOST_QUESTIONS_S,
    MOST_SHOWN,
    MOST_VALUES,
    ROUNDS,
    SHOWN_TOKENS,
    Request,
    turned_down_since,
)
from gco_agent.policy.contract import ALLOWED_IMPORTS, FORBIDDEN_NAMES
from gco_agent.policy.source import PolicySource, diff_of_logic, is_same_but_for_score
from gco_agent.store.config import RunConfig

_PROBES, _PROBE_STEPS = 2, 800
_WAYS = {
    (0, -1): "moves {player} up (y gets smaller)",
    (0, 1): "moves {player} down (y grows)",
    (-1, 0): "moves {player} left (x gets smaller)",
    (1, 0): "moves {player} right (x grows)",
    (-1, -1): "moves {player} up and left",
    (1, -1): "moves {player} up and right",
    (-1, 1): "moves {player} down and left",
    (1, 1): "moves {player} down and right",
}
_NO_EFFECT = "no clear effect on the position of {player}"

_DATA: dict[str, Any] = tomllib.loads(
    resources.files("gco_agent.optimizers").joinpath("prompts.toml").read_text("utf-8")
)
REFLECT_TEXTS = _DATA.pop("reflect")
TEXTS: dict[str, str] = _DATA
HEADING = "## Your questions"
"""Begins the answers to questions in a prompt."""
_TRIED = {
    (Verdict.REJECTED, Verdict.FAILED): TEXTS["rejected"],
    (Verdict.INCONCLUSIVE,): TEXTS["inconclusive"],
}
_MOST_SHOWN = 3
_DIFF_CHARACTERS, _OLD_DIFF_CHARACTERS, _SUMMARY_CHARACTERS = 4_000, 1_200, 240
_TRIED_CHARACTERS = 12_000


@dataclass(frozen=True, slots=True)
class Prompt:
    """A prompt in three parts, the most lasting first.

    Attributes:
        system: Role and task of the model.
        cached: The same in every iteration of a run.
        user: New each time.
    """

    system: str
    cached: str
    user: str

    @property
    def markdown(self) -> str:
        """All of it as one text."""
        return f"{self.system}\n\n{self.cached}\n\n{self.user}\n"


def compose_prompt(request: Request, how: str = "") -> Prompt:
    """Compose the prompt for a better policy.

    Calls `Request.feedback`, which plays. Otherwise depends on the request alone.

    Args:
        how: Another paragraph on how to answer. Text in the form that is asked for anyway can be
            read by `gco_agent.optimizers.replies.parse_reply`.
    """
    spec = spec_of_run(request.config)
    scores = _scores(spec) if request.config.hints != "none" else ""
    cached = [
        f"# {spec.title}\n\n{scores}".rstrip(),
        compose_contract(spec),
        f"## The interface of {spec.title}\n\n{describe_run(request.config)}",
        f"{TEXTS['answer']}\n\n{how}".rstrip(),
        TEXTS["questions"].format(
            at_once=MOST_AT_ONCE,
            heading=HEADING.removeprefix("## "),
            rounds=ROUNDS,
            minutes=MOST_QUESTIONS_S / 60,
            tokens=SHOWN_TOKENS,
            steps=MOST_SHOWN,
            values=MOST_VALUES,
        ),
    ]
    user = [
        f"# Iteration {request.iteration}",
        f"## The present policy\n\n{fence(request.parent.text, 'python')}",
        _last_accepted(request),
        f"## How it plays\n\n{request.feedback().text.strip()}",
    ]
    if request.repair is None:
        user += [_tried(request, verdicts, heading) for verdicts, heading in _TRIED.items()]
    user += [_siblings(request), _repair(request)]
    return Prompt(TEXTS["system"], "\n\n".join(cached), "\n\n".join(part for part in user if part))


def answer_tool(name: str, description: str, fields: Mapping[str, object]) -> ToolSpec:
    """Return a tool whose input has exactly ``fields``: the description of a text, or a schema."""
    properties = {
        key: {"type": "string", "description": field} if isinstance(field, str) else field
        for key, field in fields.items()
    }
    schema = {"type": "object", "properties": properties, "required": list(fields)}
    return ToolSpec(name, description, {**schema, "additionalProperties": False})


def compose_contract(spec: GameSpec) -> str:
    """Return what a policy file may be, in words; `check_policy` checks it."""
    return (
        TEXTS["contract"]
        .format(
            action="a list of numbers, the action" if spec.controls else "the index of an action",
            imports=", ".join(sorted(ALLOWED_IMPORTS)),
            names=", ".join(FORBIDDEN_NAMES),
            guard=TEXTS["guard"] if spec.categories else "",
            free=FREE_CPU_MS,
        )
        .rstrip()
    )


def _scores(spec: GameSpec) -> str:
    """Return the reference scores, as far as they are known."""
    if spec.solved_return is not None:
        return f"It counts as solved at {spec.solved_return:g} points an episode."
    if spec.random_return is None or spec.human_return is None:
        return ""
    return (
        f"Random play scores {spec.random_return:g} points an episode, a professional games "
        f"tester {spec.human_return:g}."
    )


# The interface


@functools.lru_cache(maxsize=8)
def spec_of_run(config: RunConfig) -> GameSpec:
    """Return the specification of a run's game, with the bounds of actions that are numbers.

    Raises:
        UsageError: The game is not known here.
    """
    return complete_spec(spec_of(config.protocol))


@functools.lru_cache(maxsize=8)
def describe_run(config: RunConfig) -> str:
    """Describe what ``act`` gets and may return in a run; depends on its configuration alone.

    Raises:
        UsageError: The game is not known here.
    """
    from gco_agent.evaluation.episode import environment_of

    rules, hints, spec = config.protocol, config.hints, spec_of_run(config)
    if not rules.has_objects:
        return describe_interface(spec, hints, rules=rules)
    names = environment_of(rules).action_names
    is_explained = hints == "none" or all(spec.actions.get(name) for name in names)
    moved = {} if is_explained else _measure_actions(rules)
    return describe_interface(spec, hints, action_names=names, moved=moved, rules=rules)


def _measure_actions(rules: PlayProtocol) -> dict[str, str]:
    """Return for each action what it was seen to do in random play."""
    from gco_agent.optimizers.search.play import Probe, names_of, probe
    from gco_agent.optimizers.search.world import identify

    found = [probe(Probe(rules, seed, _PROBE_STEPS)) for seed in probe_seeds(_PROBES)]
    world = identify(names_of(rules).actions, found)
    moved = {}
    for name, sign in zip(world.action_names, world.signs, strict=True) if world.player else ():
        effect = _WAYS.get(sign, _NO_EFFECT).format(player=world.player)
        presses = "; presses the button" if "FIRE" in name else ""
        moved[name] = f"{effect} in random play{presses}"
    return moved


# What was tried


def _tried(request: Request, verdicts: Sequence[str], heading: str) -> str:
    """Return what was tried since the present policy was accepted, as differences from it."""
    since = turned_down_since(request.attempts)
    shown = [a for a in since if a.verdict in verdicts and a.source is not None]
    parts = [
        f"### Iteration {a.iteration}: {a.outcome}\n\n{quote(a.summary, _SUMMARY_CHARACTERS)}\n\n"
        + _show_change(
            request.parent,
            a.source or "",
            _DIFF_CHARACTERS if a is since[-1] else _OLD_DIFF_CHARACTERS,
        )
        for a in shown[::-1][:_MOST_SHOWN]
    ]
    return "\n\n".join([heading, *parts]) if parts else ""


def _last_accepted(request: Request) -> str:
    """Return what the present policy changed, in a line; "" if it was not accepted as it stands."""
    kept = [a for a in request.attempts if a.gave_policy]
    step = kept[-1] if kept else None
    if step is None or step.verdict != Verdict.ACCEPTED:
        return ""
    if not is_same_but_for_score(request.parent.text, step.source or ""):  # changed by a person
        return ""
    summary = quote(step.summary, _SUMMARY_CHARACTERS)
    return f"The present policy is that of iteration {step.iteration}, {step.outcome}: {summary}"


def _show_change(before: PolicySource, after: str, most: int = _DIFF_CHARACTERS) -> str:
    """Return what a policy changes in the code of ``before``, as a diff in a code block."""
    return fence(diff_of_logic(before, PolicySource(after), most), "diff")


def _cut(text: str, limit: int) -> str:
    return text if len(text) <= limit else text[:limit].rpartition("\n")[0] + "\n... (cut)"


def _siblings(request: Request) -> str:
    parts = [
        f"### {proposal.summary}\n\n{_show_change(request.parent, proposal.source.text)}"
        for proposal in request.siblings
    ]
    return "\n\n".join([TEXTS["siblings"], *parts]) if parts else ""


def _repair(request: Request) -> str:
    """Return the last section: the errors of a first try, and what to do now."""
    if request.repair is None:
        return TEXTS["go_on"]
    tried = _cut((request.tried or "").strip(), _TRIED_CHARACTERS)
    answer = f"The answer was:\n\n{fence(tried, 'text')}\n\n" if tried else ""
    return TEXTS["repair"].format(error=fence(request.repair, "text"), answer=answer)
