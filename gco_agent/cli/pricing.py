"""``estimate``: what a run with a language model is going to cost."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import click

from gco_agent.cli.models import model_options, model_price, with_model
from gco_agent.cli.options import AtLeast, Given, all_of, examples, hints_option, json_option
from gco_agent.cli.place import CliContext
from gco_agent.llm.prices import DEFAULT_MODEL

if TYPE_CHECKING:
    from gco_agent.llm.prices import Plan, Price
    from gco_agent.store.config import RunConfig

_BYTES_A_TOKEN = 8
"""More bytes than a token of a trace has on the whole, as its length is estimated."""


@click.command(
    short_help="Say what a run with a language model is going to cost.",
    epilog=examples(
        "gco-agent estimate pong",
        "gco-agent estimate breakout -n 30 --candidates 2 --model claude-sonnet-5-5",
        "gco-agent estimate pong --json | jq .most.usd",
    ),
)
@click.argument("game")
@all_of(
    hints_option("interface"),
    click.option(
        "-n",
        "iterations",
        type=AtLeast(1),
        default=10,
        show_default=True,
        metavar="N",
        help="Iterations of the run.",
    ),
    click.option(
        "--candidates",
        type=AtLeast(1),
        default=1,
        show_default=True,
        metavar="N",
        help="Candidates that each iteration asks for.",
    ),
    model_options,
    json_option,
)
@click.pass_obj
def estimate(
    place: CliContext, /, game: str, iterations: int, candidates: int, **given: Given
) -> None:
    """Say what a run of GAME with the optimizer reflect is going to cost, before it is begun.

    GAME is as for run. Asks nobody and needs no key. The prompt is composed as for the first
    iteration, with a trace of full length; later prompts also show what was tried. How long a
    model thinks nobody knows beforehand: the limit that holds is --usd.

    \b
    JSON: model, price (null if it is not known), as_of, prompt: [lasting_tokens,
    new_tokens], iterations, candidates, usual and most: [tokens_in, tokens_out,
    usd].
    """  # noqa: D301 - click wants the character
    from dataclasses import replace

    from gco_agent.envs.environment import make_protocol
    from gco_agent.store.config import RunConfig

    spec = place.find_spec(game)
    config = RunConfig(
        spec.name,
        make_protocol("default", spec.env_id),
        optimizer="reflect",
        candidates=candidates,
        hints=given["hints"],
    )
    config = with_model(config, given)
    config = replace(config, model=config.model or DEFAULT_MODEL)
    plan, price = _plan(config, iterations), model_price(config.model)
    if given["as_json"]:
        from gco_agent.cli.results import print_json

        print_json(_as_json(config, plan, price))
        return
    for line in _lines(config, plan, price):
        click.echo(line)


def _plan(config: RunConfig, iterations: int) -> Plan:
    """The prompt of the first iteration, measured without playing for its feedback."""
    from gco_agent.core.records import Evaluation
    from gco_agent.envs.environment import initial_policy
    from gco_agent.llm import ModelRequest
    from gco_agent.llm.prices import Plan
    from gco_agent.optimizers.base import Request
    from gco_agent.optimizers.feedback import Feedback
    from gco_agent.optimizers.prompts import compose_prompt
    from gco_agent.optimizers.reflect import ANSWER, TOOL
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
    prompt = compose_prompt(request, ANSWER)
    asked = ModelRequest(prompt.system, prompt.cached, prompt.user, TOOL, config.max_tokens)
    return Plan(
        iterations,
        config.candidates,
        estimate_tokens(f"{prompt.system}{prompt.cached}{TOOL}"),
        estimate_tokens(prompt.user) + config.trace_tokens,
        asked.most_input_tokens + _BYTES_A_TOKEN * config.trace_tokens,
        config.max_tokens,
    )


def _as_json(config: RunConfig, plan: Plan, price: Price | None) -> Mapping[str, Any]:
    from dataclasses import asdict

    from gco_agent.llm.prices import AS_OF

    def of(usage: Any) -> dict[str, Any]:  # noqa: ANN401 - a `Usage`, which is not imported here
        return {"tokens_in": usage.tokens_in, "tokens_out": usage.output_tokens, "usd": usage.usd}

    return {
        "model": config.model,
        "price": None if price is None else asdict(price),
        "as_of": AS_OF.isoformat(),
        "prompt": {"lasting_tokens": plan.lasting_tokens, "new_tokens": plan.new_tokens},
        "iterations": plan.iterations,
        "candidates": plan.candidates,
        "usual": of(plan.usual(price)),
        "most": of(plan.most(price)),
    }


def _lines(config: RunConfig, plan: Plan, price: Price | None) -> list[str]:
    from gco_agent.cli.words import count
    from gco_agent.llm.prices import REPLY_TOKENS

    usual, most = plan.usual(price), plan.most(price)
    reply = f"with replies of {min(REPLY_TOKENS, plan.max_tokens):,} tokens"
    longest = f"with replies of {plan.max_tokens:,} tokens and a repair every time"
    prompt = plan.lasting_tokens + plan.new_tokens
    lines = [
        *_price_lines(config.model, price),
        f"Prompt: about {prompt:,} tokens, {plan.lasting_tokens:,} of them the same each time.",
        f"{count(plan.iterations, 'iteration')} of {count(plan.candidates, 'candidate')}:",
        f"  about {_cost(usual.usd, usual.total_tokens)}, {reply}",
        f"  up to {_cost(most.usd, most.total_tokens)}, {longest}",
    ]
    if price is not None:
        lines.append("`--usd N` is a limit that is held before each request.")
    return lines


def _price_lines(model: str, price: Price | None) -> list[str]:
    from gco_agent.llm.prices import AS_OF, PRICES, find_price

    if price is None:
        return [
            f"No price of the model {model} is known: what follows is in tokens, --usd is refused.",
            "State it in a file that GCO_AGENT_PRICES names, in US dollars for a million tokens:",
            f'  ["{model}"]',
            "  input = 0.0",
            "  output = 0.0",
        ]
    is_listed = price == find_price(model, PRICES)
    whence = f"list price of {AS_OF}" if is_listed else "by the file that GCO_AGENT_PRICES names"
    return [
        f"{model}: ${price.input:g} in and ${price.output:g} out for a million tokens ({whence})."
    ]


def _cost(usd: float | None, tokens: int) -> str:
    return f"{tokens:,} tokens" if usd is None else f"${usd:.2f}"
