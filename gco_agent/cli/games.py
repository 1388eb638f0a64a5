"""``games`` and ``check-game``: what can be played, and whether a specification is true."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from gco_agent.cli.context import CliContext
from gco_agent.cli.options import HINTS, all_of, command, json_option, number_option
from gco_agent.cli.output import Column, count, echo, print_table, say, tell
from gco_agent.games import GAMES, describe_interface, every_game, generated_games, measured

if TYPE_CHECKING:
    from gco_agent.games import GameSpec, Hints


@command(
    "gco-agent games",
    "gco-agent games seaquest                           what a model is told about it",
    "gco-agent games pong --hints paper",
    "gco-agent games freeway --policy reference > freeway.py",
    "gco-agent games --json",
)
@click.argument("name", required=False)
@click.option(
    "--hints",
    type=click.Choice(HINTS),
    default="interface",
    show_default=True,
    help="How much to say about NAME: types alone, what things mean, or the paper's advice too.",
)
@click.option(
    "--policy",
    type=click.Choice(("initial", "reference")),
    help="Print a policy for NAME instead: the one that a run starts from, or one that behaves as "
    "the paper's authors start.",
)
@json_option
@click.pass_obj
def games(place: CliContext, /, *, name: str | None, hints: Hints, policy: str | None) -> None:
    """List the Atari games that can be played, or describe one environment.

    NAME is a game, a Gymnasium id, module:id, or a file with a SPEC. The list has the status of
    every game (first class, generated, or broken upstream and why) and the scores of random play
    and of people by Mnih et al. 2015 (doi:10.1038/nature14236).

    \b
    JSON, of each: name, title, env_id, goal, status, why (it is broken, or ""),
    random_return, human_return, scores: [label, value, source], actions,
    categories, fields; env_id and what follows are null or empty where it is broken.
    """  # noqa: D301 - click wants the character
    if name is None:
        _list(place)
        return
    spec = place.find_spec(name)
    if policy is not None:
        text = _policy(spec, policy)
        place.emit({"name": spec.name, "policy": text}, lambda: echo(text, nl=False))
        return
    place.emit(_spec_json(spec), lambda: _describe(spec, hints))


def _policy(spec: GameSpec, which: str) -> str:
    from gco_agent.envs.environment import initial_policy, make_protocol

    if which == "reference":
        return spec.reference_policy()
    return initial_policy(make_protocol("default", spec.env_id))


def _describe(spec: GameSpec, hints: Hints) -> None:
    from gco_agent.envs.environment import complete_spec

    echo(describe_interface(complete_spec(spec), hints))
    if spec.scores:
        echo("\nMean returns that others report:")
    for score in spec.scores:
        how = f"; {score.played}" if score.played else ""
        say(f"- {score.label}: {score.value:g} ({score.source}{how})")


def _status(spec: GameSpec) -> str:
    if GAMES.get(spec.name) is spec:
        return "first class"
    return "generated" if generated_games().get(spec.name) is spec else "described"


def _spec_json(spec: GameSpec) -> dict[str, Any]:
    keys = ("name", "title", "env_id", "goal", "random_return", "human_return")
    return {
        **{key: getattr(spec, key) for key in keys},
        "status": _status(spec),
        "why": "",
        "scores": [
            {"label": s.label, "value": s.value, "source": s.source, "played": s.played}
            for s in spec.scores
        ],
        "actions": list(spec.actions),
        "categories": [category.name for category in spec.categories],
        "fields": [part.name for part in spec.fields],
    }


def _broken_json(name: str, why: str) -> dict[str, Any]:
    blank = dict.fromkeys(("title", "env_id", "goal", "random_return", "human_return"))
    lists: dict[str, Any] = {key: [] for key in ("scores", "actions", "categories", "fields")}
    return {"name": name, **blank, "status": "broken upstream", "why": why, **lists}


def _list(place: CliContext) -> None:
    specs = list(every_game().values())
    broken = {m.name: m.why for m in measured().values() if m.why}

    def text() -> None:
        columns = [
            Column("game"),
            Column("status", rank=3),
            Column("random", "right", 2),
            Column("human", "right", 1),
            Column("goal", text="wrap"),
        ]
        rows = [
            [spec.name, _status(spec), _points(spec.random_return), _points(spec.human_return),
             spec.goal]
            for spec in specs
        ]  # fmt: skip
        rows += [[name, "broken upstream", "", "", why] for name, why in broken.items()]
        print_table(columns, rows)

    data = [*map(_spec_json, specs), *(_broken_json(name, why) for name, why in broken.items())]
    place.emit(data, text)


def _points(value: float | None) -> str:
    return "" if value is None else f"{value:g}"


@command("gco-agent check-game my_game.py", "gco-agent check-game seaquest", name="check-game")
@click.argument("target")
@all_of(
    number_option("--steps", least=10, default=3_000, help="Steps of random play to look at."),
    json_option,
)
@click.pass_context
def check_game(context: click.Context, /, target: str, *, steps: int) -> None:
    """Check every statement of a game's specification in its environment.

    TARGET is a file with SPEC = GameSpec(...), a game, a Gymnasium id or module:id. What is wrong
    is printed with the word that it is about, and the exit code is 2 if anything is.

    \b
    JSON: game, env_id, steps, findings: [about, text].
    """  # noqa: D301 - click wants the character
    from gco_agent.evaluation import check_game as checking

    place: CliContext = context.obj
    spec = place.find_spec(target)
    findings = checking.check_game(spec, steps)
    data = {
        "game": spec.name,
        "env_id": spec.env_id,
        "steps": steps,
        "findings": [{"about": finding.about, "text": finding.text} for finding in findings],
    }

    def text() -> None:
        for finding in findings:
            say(str(finding))
        if not findings:
            say(f"{spec.title}: nothing wrong found in {count(steps, 'step')} of random play")

    place.emit(data, text)
    if findings:
        tell(f"{spec.title} differs from its SPEC: {count(len(findings), 'finding')}")
        context.exit(2)
