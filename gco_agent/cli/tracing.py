"""``trace``: what an optimizer is told of a policy's results."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import click

from gco_agent.cli.options import (
    AtLeast,
    Given,
    all_of,
    env_option,
    examples,
    hints_option,
    jail_option,
    json_option,
    workers_option,
)
from gco_agent.cli.place import CliContext, find_run, make_judge, open_workers, read_config
from gco_agent.cli.targets import find_target, protocol_of
from gco_agent.core.errors import ContractViolation, NotARun, StoreError, UsageError

if TYPE_CHECKING:
    from gco_agent.core.records import Evaluation
    from gco_agent.games import Hints
    from gco_agent.optimizers.feedback import Feedback
    from gco_agent.store.view import RunView

_EPISODES = 8
_MOST_EPISODES = 1000
_MAX_STEPS = 4_500


@click.command(
    short_help="Show what a language model is told of a policy's results.",
    epilog=examples(
        "gco-agent trace                           the policy of the run that is checked out",
        "gco-agent trace policies/breakout.py --tokens 3000",
        "gco-agent trace HEAD~3 --seeds 0:4",
        "gco-agent trace my.py --env gco/Pong-v5 --json | jq '.windows[0].steps[0]'",
    ),
)
@click.argument("target", required=False)
@click.option(
    "--seeds",
    "seed_text",
    metavar="A:B",
    help=f"Play these seeds.  [default: the first {_EPISODES} feedback seeds, as a run does]",
)
@click.option(
    "--tokens",
    type=AtLeast(100),
    default=6_000,
    show_default=True,
    metavar="N",
    help="Length of the text in tokens, as estimated without a tokenizer.",
)
@click.option(
    "--max-steps",
    type=AtLeast(1),
    default=_MAX_STEPS,
    show_default=True,
    metavar="N",
    help="Steps after which an episode is cut.",
)
@all_of(hints_option(None), env_option, workers_option, jail_option, json_option)
@click.pass_obj
def trace(place: CliContext, /, target: str | None, **given: Given) -> None:
    """Show what a language model is told of a policy's results.

    Plays the policy, chooses the moments that decided its episodes, and plays these again with
    every call of its components recorded: inputs, output, the lines that ran. TARGET is as for
    `gco-agent eval`. Of a run it is told, too, what changed since the policy before, and what was
    tried and turned down.

    \b
    JSON: policy, policy_sha256, stage, text, tokens, mean_return (null if an
    episode failed), standard_error, confidence_interval (95 %), returns, seeds,
    protocol, jail, notes, ranges, extents, names, windows: [title, is_good, seed,
    event, n_steps, episode_return, failure, steps: [step, lives, objects, values,
    calls: [name, depth, inputs, output, lines, error], action, action_name,
    reward]].
    """  # noqa: D301 - click wants the character
    from gco_agent.cli.display import open_display
    from gco_agent.loop.session import read_attempts
    from gco_agent.optimizers.briefing import collect_results
    from gco_agent.optimizers.feedback import compose_feedback
    from gco_agent.policy import check_policy

    seeds = _seeds(given["seed_text"])
    wanted = find_target(place, target)
    try:
        check_policy(wanted.source)
    except ContractViolation as error:
        raise ContractViolation(
            f"{wanted.name} breaks the contract of a policy file:\n{error}", line=error.line
        ) from None
    rules = protocol_of(place, wanted, given["env_id"], None)
    limited = replace(rules, max_steps=min(rules.max_steps, given["max_steps"]))
    view = _view(place, target)
    with open_display(None, following=0) as display, open_workers(given["workers"]) as pool:
        judge = make_judge(pool, limited, given["jail"])
        attempts = read_attempts(view) if view else ()
        results, found = collect_results(judge, wanted.source, attempts, rules, seeds, display)
        results = replace(results, hints=given["hints"] or _hints(view))
        feedback = compose_feedback(results, found, given["tokens"])
    if not given["as_json"]:
        click.echo(feedback.text, nl=False)
        return
    from gco_agent.cli.results import print_json

    data = {"policy": wanted.name, "policy_sha256": wanted.source.digest}
    told = {"seeds": results.seeds, "jail": judge.jail}
    print_json({**data, **_as_json(feedback, results.evaluation), **told})


def _seeds(text: str | None) -> range:
    """The seeds to play.

    Raises:
        UsageError: They hold nothing, or too many.
    """
    from gco_agent.core.seeds import Stream, parse_seed_range

    if text is None:
        return Stream.FEEDBACK.seeds(0, _EPISODES)
    seeds = parse_seed_range(text)
    if len(seeds) > _MOST_EPISODES:
        raise UsageError(f"{len(seeds):,} episodes are too many; at most {_MOST_EPISODES:,}")
    return seeds


def _view(place: CliContext, target: str | None) -> RunView | None:
    """The run, where the target is one and no file or single revision."""
    if target is not None and (place.directory / target).exists():
        return None
    try:
        runs = place.runs()
        return runs.view(find_run(runs, target))
    except (NotARun, StoreError):
        return None


def _hints(view: RunView | None) -> Hints:
    """How much the prompts of the run tell of its game."""
    return read_config(view).hints if view is not None else "interface"


def _as_json(feedback: Feedback, evaluation: Evaluation) -> dict[str, Any]:
    from gco_agent.core.statistics import confidence_interval
    from gco_agent.traces.records import trace_json
    from gco_agent.traces.render import estimate_tokens

    interval = confidence_interval(evaluation.returns) if evaluation.is_valid else None
    return {
        "stage": feedback.stage,
        "text": feedback.text,
        "tokens": estimate_tokens(feedback.text),
        "mean_return": evaluation.mean_return,
        "standard_error": evaluation.standard_error,
        "confidence_interval": list(interval) if interval else None,
        "returns": list(evaluation.returns),
        "protocol": evaluation.protocol,
        **trace_json(feedback.trace),
    }
