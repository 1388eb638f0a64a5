"""``games`` and ``check-game``: what can be played, and whether what is said of it is true."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from gco_agent.cli.options import HINTS, AtLeast, examples, json_option
from gco_agent.cli.place import CliContext
from gco_agent.cli.reading import print_table
from gco_agent.cli.words import count, tell

if TYPE_CHECKING:
    from gco_agent.games import GameSpec


@click.command(
    short_help="List the games, or describe one.",
    epilog=examples(
        "gco-agent games",
        "gco-agent games seaquest                           what a model is told of it",
        "gco-agent games pong --hints paper",
        "gco-agent games freeway --policy reference > freeway.py",
        "gco-agent games --json",
    ),
)
@click.argument("name", required=False)
@click.option(
    "--hints",
    type=click.Choice(HINTS),
    default="interface",
    show_default=True,
    help="How much to tell of NAME: types alone, what things mean, or the paper's advice too.",
)
@click.option(
    "--policy",
    "policy",
    type=click.Choice(("initial", "reference")),
    help="Print a policy for NAME instead: the one that a run starts from, or one that behaves as "
    "the paper's authors start.",
)
@json_option
@click.pass_obj
def games(
    place: CliContext, /, *, name: str | None, hints: str, policy: str | None, as_json: bool
) -> None:
    """List the Atari games that can be played, or describe one environment.

    NAME is a game, a Gymnasium id, module:id, or a file with a SPEC. The list has the status of
    every game (first class, generated, or broken upstream and why) and what random play and people
    score by Mnih et al. 2015 (doi:10.1038/nature14236).

    \b
    JSON, of each: name, title, env_id, goal, status, why (it is broken, or ""),
    random_return, human_return, scores: [label, value, source], actions,
    categories, fields; env_id and what follows are null or empty where it is broken.
    """  # noqa: D301 - click wants the character
    if name is None:
        _list(as_json=as_json)
        return
    spec = place.find_spec(name)
    if policy is not None:
        click.echo(_policy(spec, policy), nl=False)
    elif as_json:
        from gco_agent.cli.results import print_json

        print_json(_as_json(spec, _status(spec)))
    else:
        _describe(spec, hints)


def _policy(spec: GameSpec, which: str) -> str:
    if which == "reference":
        return spec.reference_policy()
    from gco_agent.envs.environment import initial_policy, make_protocol

    return initial_policy(make_protocol("default", spec.env_id))


def _describe(spec: GameSpec, hints: Any) -> None:  # noqa: ANN401 - one of HINTS
    from gco_agent.envs.environment import complete_spec
    from gco_agent.games import describe_interface

    click.echo(describe_interface(complete_spec(spec), hints))
    if spec.scores:
        click.echo("\nMean returns that others report:")
    for score in spec.scores:
        how = f"; {score.played}" if score.played else ""
        click.echo(f"- {score.label}: {score.value:g} ({score.source}{how})")


def _status(spec: GameSpec) -> str:
    from gco_agent.games import GAMES, generated_games

    if spec.name in GAMES and GAMES[spec.name] is spec:
        return "first class"
    return "generated" if generated_games().get(spec.name) is spec else "described"


def _as_json(spec: GameSpec, status: str) -> dict[str, Any]:
    keys = ("name", "title", "env_id", "goal", "random_return", "human_return")
    data: dict[str, Any] = {key: getattr(spec, key) for key in keys}
    scores = [
        {"label": s.label, "value": s.value, "source": s.source, "played": s.played}
        for s in spec.scores
    ]
    return {
        **data,
        "status": status,
        "why": "",
        "scores": scores,
        "actions": list(spec.actions),
        "categories": [category.name for category in spec.categories],
        "fields": [part.name for part in spec.fields],
    }


def _broken_json(name: str, why: str) -> dict[str, Any]:
    blank = dict.fromkeys(("title", "env_id", "goal", "random_return", "human_return"))
    lists: dict[str, Any] = {key: [] for key in ("scores", "actions", "categories", "fields")}
    return {"name": name, **blank, "status": "broken upstream", "why": why, **lists}


def _list(*, as_json: bool) -> None:
    from gco_agent.games import every_game, measured

    broken = {m.name: m.why for m in measured().values() if m.why}
    if as_json:
        from gco_agent.cli.results import print_json

        records = [_as_json(spec, _status(spec)) for spec in every_game().values()]
        print_json([*records, *(_broken_json(name, why) for name, why in broken.items())])
        return
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for heading, side in (("game", "left"), ("status", "left"), ("random", "right")):
        table.add_column(heading, justify=side, no_wrap=True)  # type: ignore[arg-type]
    table.add_column("human", justify="right", no_wrap=True)
    table.add_column("goal", overflow="fold")
    for spec in every_game().values():
        numbers = (spec.random_return, spec.human_return)
        shown = ("" if number is None else f"{number:g}" for number in numbers)
        table.add_row(spec.name, _status(spec), *shown, Text(spec.goal))
    for name, why in broken.items():
        table.add_row(name, "broken upstream", "", "", Text(why))
    print_table(table)


@click.command(
    "check-game",
    short_help="Try whether a game's specification is true.",
    epilog=examples("gco-agent check-game my_game.py", "gco-agent check-game seaquest"),
)
@click.argument("target")
@click.option(
    "--steps",
    type=AtLeast(10),
    default=3_000,
    show_default=True,
    metavar="N",
    help="Steps of random play to look at.",
)
@json_option
@click.pass_context
def check_game(context: click.Context, /, target: str, *, steps: int, as_json: bool) -> None:
    """Try every word of a game's specification in its environment.

    TARGET is a file with SPEC = GameSpec(...), a game, a Gymnasium id or module:id. What is wrong
    is printed with the word that it is about, and the exit code is 2 if anything is.

    \b
    JSON: game, env_id, steps, findings: [about, text].
    """  # noqa: D301 - click wants the character
    from gco_agent.evaluation import check_game as checking

    place: CliContext = context.obj
    spec = place.find_spec(target)
    findings = checking.check_game(spec, steps)
    if as_json:
        from gco_agent.cli.results import print_json

        told = [{"about": finding.about, "text": finding.text} for finding in findings]
        print_json({"game": spec.name, "env_id": spec.env_id, "steps": steps, "findings": told})
    elif findings:
        for finding in findings:
            click.echo(finding)
    else:
        click.echo(f"{spec.title}: nothing wrong found in {count(steps, 'step')} of random play")
    if findings:
        tell(f"{spec.title} differs from its SPEC: {count(len(findings), 'finding')}")
        context.exit(2)
