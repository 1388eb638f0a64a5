"""``prompt``, ``apply`` and ``estimate``: a chat or a person as the optimizer; what models cost."""

from __future__ import annotations

import sys
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

import click

from gco_agent.cli.context import CliContext, exchange_folder, with_model
from gco_agent.cli.options import (
    Given,
    all_of,
    candidates_option,
    command,
    hints_option,
    json_option,
    model_options,
    number_option,
    play_options,
    run_argument,
)
from gco_agent.cli.output import count, echo, say, tell
from gco_agent.core.errors import NotARun, UsageError
from gco_agent.llm.prices import (
    AS_OF,
    DEFAULT_MODEL,
    PRICES,
    REPLY_TOKENS,
    Plan,
    Price,
    find_price,
)
from gco_agent.llm.providers import model_price

if TYPE_CHECKING:
    from gco_agent.core.records import Usage
    from gco_agent.store.config import RunConfig
    from gco_agent.store.view import RunView

_STDIO = "-"
_BYTES_A_TOKEN = 8
"""More bytes than a token of a trace has on the whole, as its length is estimated."""


@command(
    "gco-agent prompt                    writes a file, prints its name",
    "gco-agent prompt -o -               prints the prompt itself",
    "gco-agent prompt gco/pong/first -o ask.md",
)
@run_argument
@click.option(
    "-o",
    "--output",
    metavar="FILE",
    help="Where to write it; - for standard output.  "
    "[default: gco-exchange/GAME-RUN/NNNN-prompt.md]",
)
@play_options
@click.pass_obj
def prompt(place: CliContext, /, output: str | None) -> None:
    """Write everything that is needed to improve a run's policy into one Markdown file.

    It holds the contract of a policy file, the interface of the game, the present policy, its
    score, a trace of the moments that decided its episodes, and what was tried before. Give it to
    any chat, coding agent or person, and the answer to `gco-agent apply`. The policy is played for
    the trace; the run is not changed. JSON: run, iteration, path (null for stdout), prompt.
    """
    from gco_agent.cli.display import open_display
    from gco_agent.loop.budget import Budget
    from gco_agent.loop.checks import read_config, require_same_versions
    from gco_agent.loop.recording import recall_episodes
    from gco_agent.loop.selection import Archive
    from gco_agent.loop.session import compose_request
    from gco_agent.optimizers.exchange import letter_for

    view = place.view()
    config = read_config(view)
    require_same_versions(config)
    with open_display() as display, place.open_workers() as pool:
        judge = place.judge(pool, config.selection_protocol)
        recall_episodes(view, judge)
        request = compose_request(Archive(view), judge, config, Budget(), display)
        letter = letter_for(exchange_folder(place, view.ref), request)
        text = letter.compose(request)
    path = output or str(letter.prompt)
    data = {"run": view.ref.branch, "iteration": request.iteration, "path": path, "prompt": text}
    if output == _STDIO:
        place.emit({**data, "path": None}, lambda: echo(text, nl=False))
        return
    if output is not None:
        place.write(output, text)
    # where `apply` finds it, to be kept with the iteration
    if aside := letter.write_prompt(text):
        tell(f"There was an answer to another prompt; it is now {aside}")
    place.emit(data, lambda: echo(path))
    tell(
        "Give this file to any chat, coding agent or person. Then:\n"
        f"  gco-agent apply ANSWER {view.ref.branch}"
    )


@command(
    "gco-agent apply answer.md",
    "gco-agent apply policies/pong.py        a whole policy file will do",
    "gco-agent apply change.diff gco/pong/first",
    "pbpaste | gco-agent apply -",
    name="apply",
)
@click.argument("reply", metavar="[ANSWER]", required=False)
@run_argument
@play_options
@click.pass_obj
def apply_(place: CliContext, /, reply: str | None) -> None:
    """Race an answer to `gco-agent prompt` against the present policy, and commit the result.

    ANSWER is a file, - for standard input, or nothing for the file that the newest prompt asks to
    be written. It may hold a whole policy file, the functions that changed, or a diff; bare, or in
    fenced blocks with words around them, of which the summary and the reason become the message of
    the commit. An answer without a usable policy is refused with the reason, and the run is not
    changed. JSON as of run.
    """
    from gco_agent.cli.run import Extras, advance
    from gco_agent.loop.budget import Budget
    from gco_agent.optimizers.replies import parse_reply
    from gco_agent.policy import PolicySource

    if reply not in (None, _STDIO) and not place.path(reply).exists() and not place.run_name:
        place.run_name, reply = _as_run(place, reply)
    view = place.view()
    text = _read_answer(place, view, reply)
    parse_reply(text, PolicySource(view.policy()))  # an answer of no use is no iteration
    advance(
        place,
        Budget(iterations=1),
        lambda config: replace(config, optimizer="exchange", candidates=1, horizon=0),
        extras=Extras(reply=text),
        again="Go on with: gco-agent apply ANSWER {run}",
    )


def _as_run(place: CliContext, name: str) -> tuple[str | None, str | None]:
    """Take the only argument for a run, where it is the name of one and not of a file."""
    try:
        place.runs().find(name)
    except NotARun:
        return None, name
    return name, None


def _read_answer(place: CliContext, view: RunView, name: str | None) -> str:
    from gco_agent.optimizers.exchange import newest_letter, read_reply

    if name == _STDIO:
        return sys.stdin.buffer.read().decode("utf-8", "replace")
    if name is not None:
        return read_reply(place.path(name))
    letter = newest_letter(exchange_folder(place, view.ref), view.last_iteration + 1)
    if not letter.reply.exists():
        raise UsageError(
            f"there is no answer in {letter.reply}: name the file that holds it, or write the "
            "prompt first with `gco-agent prompt`"
        )
    if not letter.is_written_for(view.tip):
        raise UsageError(
            f"the answer in {letter.reply} is to a prompt for another state of the run: write the "
            "present one with `gco-agent prompt`, or name the file if you mean this answer"
        )
    return letter.read_reply()


@command(
    "gco-agent estimate pong",
    "gco-agent estimate breakout -n 30 --candidates 2 --model claude-sonnet-5-5",
    "gco-agent estimate pong --json | jq .most.usd",
)
@click.argument("game")
@all_of(
    hints_option("interface"),
    number_option("-n", "iterations", default=10, help="Iterations of the run."),
    candidates_option,
    model_options,
    json_option,
)
@click.pass_obj
def estimate(place: CliContext, /, game: str, iterations: int, **given: Given) -> None:
    """Estimate the cost of a run of GAME with the optimizer reflect, before it is started.

    GAME is as for run. Asks no model and needs no key. The prompt is composed as for the first
    iteration, with a trace of full length; later prompts also show what was tried. How long a
    model thinks is not known beforehand: --usd is the limit that holds.

    \b
    JSON: model, price (null if it is not known), as_of, prompt: [lasting_tokens,
    new_tokens], iterations, candidates, usual and most: [tokens_in, tokens_out,
    usd].
    """  # noqa: D301 - click wants the character
    from gco_agent.envs.environment import make_protocol
    from gco_agent.store.config import RunConfig

    spec = place.find_spec(game)
    config = RunConfig(
        spec.name,
        make_protocol("default", spec.env_id),
        optimizer="reflect",
        candidates=given["candidates"],
        hints=given["hints"],
        model=DEFAULT_MODEL,
    )
    config = with_model(config, given)
    plan, price = _plan(config, iterations), model_price(config.model)
    usual, most = plan.usual(price), plan.most(price)

    def of(usage: Usage) -> dict[str, Any]:
        return {"tokens_in": usage.tokens_in, "tokens_out": usage.output_tokens, "usd": usage.usd}

    data = {
        "model": config.model,
        "price": None if price is None else asdict(price),
        "as_of": AS_OF.isoformat(),
        "prompt": {"lasting_tokens": plan.lasting_tokens, "new_tokens": plan.new_tokens},
        "iterations": plan.iterations,
        "candidates": plan.candidates,
        "usual": of(usual),
        "most": of(most),
    }

    def text() -> None:
        prompt = plan.lasting_tokens + plan.new_tokens
        reply = f"with replies of {min(REPLY_TOKENS, plan.max_tokens):,} tokens"
        say(_price_text(config.model, price))
        say(f"Prompt: about {prompt:,} tokens, {plan.lasting_tokens:,} of them the same each time.")
        say(f"{count(plan.iterations, 'iteration')} of {count(plan.candidates, 'candidate')}:")
        say(f"  about {_cost(usual)}, {reply}")
        say(
            f"  up to {_cost(most)}, with replies of {plan.max_tokens:,} tokens and a repair in "
            "every iteration"
        )
        if price is not None:
            say("`gco-agent run --usd N` sets a limit that is checked before each request.")

    place.emit(data, text)


def _plan(config: RunConfig, iterations: int) -> Plan:
    """Measure the prompt of the first iteration, without playing for its feedback."""
    from gco_agent.core.records import Evaluation
    from gco_agent.envs.environment import initial_policy
    from gco_agent.llm import ModelRequest
    from gco_agent.optimizers.base import Request
    from gco_agent.optimizers.feedback import Feedback
    from gco_agent.optimizers.prompts import compose_prompt
    from gco_agent.optimizers.reflect import HOW, TOOL
    from gco_agent.policy import PolicySource, format_policy
    from gco_agent.traces.records import ExecutionTrace
    from gco_agent.traces.render import estimate_tokens

    request = Request(
        PolicySource(format_policy(initial_policy(config.protocol))),
        Evaluation((), config.protocol.stamp),
        1,
        config,
        [],
        lambda _: None,
        float("inf"),
        feedback=lambda: Feedback("", "", ExecutionTrace(())),
    )
    prompt = compose_prompt(request, HOW)
    asked = ModelRequest(prompt.system, prompt.cached, prompt.user, TOOL, config.max_tokens)
    return Plan(
        iterations,
        config.candidates,
        estimate_tokens(f"{prompt.system}{prompt.cached}{TOOL}"),
        estimate_tokens(prompt.user) + config.trace_tokens,
        asked.most_input_tokens + _BYTES_A_TOKEN * config.trace_tokens,
        config.max_tokens,
    )


def _price_text(model: str, price: Price | None) -> str:
    if price is None:
        return (
            f"The price of the model {model} is not known: what follows is in tokens, and --usd is "
            "refused.\nState it in a file that GCO_AGENT_PRICES names, in US dollars for a million "
            f'tokens:\n  ["{model}"]\n  input = 0.0\n  output = 0.0'
        )
    is_listed = price == find_price(model, PRICES)
    source = f"list price of {AS_OF}" if is_listed else "by the file that GCO_AGENT_PRICES names"
    return f"{model}: ${price.input:g} in and ${price.output:g} out per million tokens ({source})."


def _cost(usage: Usage) -> str:
    return f"{usage.total_tokens:,} tokens" if usage.usd is None else f"${usage.usd:.2f}"
