"""``card``: how a policy plays where things are not quite as it knows them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gco_agent.cli.options import (
    AtLeast,
    Given,
    all_of,
    env_option,
    examples,
    jail_option,
    json_option,
    max_steps_option,
    workers_option,
)
from gco_agent.cli.place import CliContext, open_workers
from gco_agent.cli.targets import Target, find_target, protocol_of, require_contract
from gco_agent.cli.words import number_with_error

if TYPE_CHECKING:
    from gco_agent.core.records import PlayProtocol
    from gco_agent.report.robustness import Line

_EPISODES = 10


@click.command(
    short_help="Play a policy under harder conditions.",
    epilog=examples(
        "gco-agent card                                     the policy of the run here",
        "gco-agent card policies/pong.py --episodes 20 --picture pong-card.svg",
        "gco-agent card HEAD~3 --json",
    ),
)
@click.argument("target", required=False)
@click.option(
    "--episodes",
    type=AtLeast(2),
    default=_EPISODES,
    show_default=True,
    metavar="N",
    help="Episodes under each condition, on the first report seeds.",
)
@click.option(
    "--picture",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Also draw the card (.svg, .png or .pdf).",
)
@all_of(max_steps_option, env_option, workers_option, jail_option, json_option)
@click.pass_obj
def card(
    place: CliContext, /, target: str | None, episodes: int, picture: Path | None, **given: Given
) -> None:
    """Play a policy under harder conditions and say what is left of its score.

    TARGET is a file, a run, a git revision, the number of an iteration or REV:PATH, as for eval.
    The conditions: sticky actions 0 and 0.25, starts after up to 30 frames of doing nothing, frame
    skip 3 and 5, ALE's other difficulties and modes, objects displaced by 1 and 2 pixels
    (velocities with them), objects missed in 5 % and 20 % of the steps. Of an environment that is
    no Atari game: sticky actions 0.25, every number of an observation off by 1 % and 5 %, the
    observation before instead of the present one in 5 % and 20 % of the steps. Every condition is
    played on the same seeds; the change is against the first line, paired by seed, ± standard
    error. A condition under which the policy fails has no score.

    \b
    JSON: policy, episodes, seeds, conditions: [name, mean_return, standard_error,
    confidence_interval (95 %), change, change_se, returns, failures, protocol].
    """  # noqa: D301 - click wants the character
    from gco_agent.core.seeds import Stream
    from gco_agent.report.robustness import draw
    from gco_agent.report.static import require_picture

    path = None if picture is None else place.directory / picture
    if path is not None:
        require_picture(path)
    wanted = find_target(place, target)
    require_contract(wanted)
    rules = protocol_of(place, wanted, given["env_id"], given["max_steps"])
    lines = _measure(wanted, rules, episodes, given)
    if given["as_json"]:
        from gco_agent.cli.results import print_json

        print_json(
            {
                "policy": wanted.name,
                "episodes": episodes,
                "seeds": Stream.REPORT.label(0, episodes),
                "conditions": [_as_json(line) for line in lines],
            }
        )
    else:
        _print(wanted, lines, Stream.REPORT.label(0, episodes))
    if path is not None:
        draw(lines, f"{wanted.name}, {episodes} episodes a row", path)
        if not given["as_json"]:
            click.echo(str(path))


def _measure(
    target: Target, rules: PlayProtocol, episodes: int, given: dict[str, Any]
) -> list[Line]:
    from gco_agent.cli.display import open_display
    from gco_agent.core.events import Playing
    from gco_agent.core.seeds import Stream
    from gco_agent.jail.limits import JailLevel
    from gco_agent.report.robustness import conditions, measure

    found = conditions(rules)
    what = f"{target.name} under {len(found)} conditions"
    with (
        open_display(None, following=0) as display,
        open_workers(given["workers"]) as pool,
    ):
        display(Playing(what, 0, len(found) * episodes))
        return list(
            measure(
                target.source,
                found,
                Stream.REPORT.seeds(0, episodes),
                pool,
                JailLevel.parse(given["jail"]),
                watch=lambda k, n: display(Playing(what, k, n)),
            )
        )


def _as_json(line: Line) -> dict[str, Any]:
    played, change = line.evaluation, line.change
    return {
        "name": line.condition.name,
        "mean_return": played.mean_return,
        "standard_error": played.standard_error,
        "confidence_interval": list(line.interval) if line.interval else None,
        "change": change.mean if change else None,
        "change_se": change.standard_error if change else None,
        "returns": list(played.returns),
        "failures": [
            {"seed": e.seed, "step": e.n_steps, "outcome": e.outcome.value, "detail": e.detail}
            for e in played.failures
        ],
        "protocol": played.protocol,
    }


def _print(target: Target, lines: list[Line], seeds: str) -> None:
    from rich.table import Table
    from rich.text import Text

    from gco_agent.cli.reading import print_table
    from gco_agent.core.text import clean_line

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    table.add_column("condition", no_wrap=True)
    for heading in ("mean return", "95 % interval", "change"):
        table.add_column(heading, justify="right", no_wrap=True)
    for line in lines:
        played, change = line.evaluation, line.change
        if played.is_valid:
            score = number_with_error(played.mean_return, played.standard_error)
        else:
            score = f"failed in {len(played.failures)} of {len(played.episodes)}"
        between = "" if line.interval is None else "{:.4g} to {:.4g}".format(*line.interval)
        told = "" if change is None else number_with_error(change.mean, change.standard_error, "+")
        table.add_row(*(Text(cell) for cell in (line.condition.name, score, between, told)))
    n = len(lines[0].evaluation.episodes)
    print_table(table, heading=f"{clean_line(target.name)}: {n} episodes a line, seeds {seeds}")
