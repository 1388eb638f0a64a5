"""OptoPrime over a graph of recorded calls, answered by a scripted model."""

from __future__ import annotations

import itertools
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace

import pytest

from gco_agent.core.errors import BudgetSpent, ModelError, ModelTimedOut, UsageError
from gco_agent.evaluation.judge import Judge
from gco_agent.evaluation.workers import WorkerPool
from gco_agent.jail.limits import JailLevel
from gco_agent.llm.asking import Spending
from gco_agent.llm.base import Completion, ScriptedModel
from gco_agent.optimizers.base import PastIteration, Request, Tools, Unusable
from gco_agent.optimizers.feedback import Feedback
from gco_agent.policy.contract import check_policy
from gco_agent.policy.edit import components
from gco_agent.store.config import RunConfig
from gco_agent.traces.moments import capture
from gco_agent.traces.records import ExecutionTrace
from tests.engine.pong_policies import RULES
from tests.optimizers.corpus import CORPUS, GOOD, PARENT, suggest

pytest.importorskip("opto", reason="trace-opt is not installed")

from gco_agent.optimizers.optoprime import OptoPrimeOptimizer, PolicyGraph, load_opto

CONFIG = RunConfig("pong", RULES, optimizer="optoprime")
NAME = "select_action__code0"


@pytest.fixture(scope="module")
def trace() -> ExecutionTrace:
    with WorkerPool(0) as pool:
        return capture(pool, PARENT.text, [1], RULES, JailLevel.NONE).trace


@pytest.fixture
def feedback(trace: ExecutionTrace) -> Feedback:
    return Feedback(
        "outplayed", "### Stage: outplayed\n\nMove.\n\n### Execution trace\n\nrows", trace
    )


@pytest.fixture
def request_(feedback: Feedback) -> Request:
    with WorkerPool(0) as pool:
        return Request(
            parent=PARENT,
            evaluation=Judge(pool, RULES).cached(PARENT),
            iteration=2,
            config=CONFIG,
            attempts=[PastIteration(1, "rejected", "wait", -1.5, "optoprime", "", PARENT.text)],
            recall=lambda _: None,
            deadline=float("inf"),
            feedback=lambda: feedback,
            budget=Spending(),
        )


@pytest.fixture(autouse=True)
def _nothing_is_left() -> Iterator[None]:
    yield
    assert len(load_opto().GRAPH._nodes) == 0


def propose(
    request: Request, *script: str | Completion | Exception
) -> tuple[ScriptedModel, object]:
    model = ScriptedModel(script)
    try:
        return model, OptoPrimeOptimizer(model).propose(request)
    except (Unusable, ModelError, BudgetSpent) as error:
        return model, error


def test_a_suggestion_becomes_a_candidate(request_: Request) -> None:
    _, proposal = propose(request_, suggest(GOOD, NAME))
    source = proposal.source  # type: ignore[attr-defined]
    check_policy(source)
    before, after = components(PARENT), components(source)
    changed = [new.name for old, new in zip(before, after, strict=True) if old.text != new.text]
    assert changed == ["select_action"]
    assert proposal.usage.total_tokens > 0  # type: ignore[attr-defined]


def test_a_tool_call_becomes_a_candidate(request_: Request) -> None:
    fields = {"reasoning": "Down.", "summary": "go down", "suggestion": {NAME: GOOD}}
    model, proposal = propose(request_, Completion("", fields))
    assert (proposal.summary, proposal.reason) == ("go down", "Down.")  # type: ignore[attr-defined]
    tool = model.requests[0].tool
    assert tool is not None
    assert sorted(tool.schema["properties"]["suggestion"]["properties"]) == [
        *("act__code0", "predict_ball_trajectory__code0", NAME)
    ]


def test_the_prompt_has_graph_feedback_and_memory(request_: Request) -> None:
    model, _ = propose(request_, suggest(GOOD, NAME))
    (asked,) = model.requests
    text = asked.user
    assert "You're tasked to solve a coding/algorithm problem" in asked.system
    assert f"(code) {NAME}:def select_action(self, predicted_ball_y, obs):" in text
    assert "Keep the name and the parameters: def select_action" in text
    assert "= select_action(code=select_action__code0, predicted_ball_y=predict_ball" in text
    assert "predict_ball_trajectory0 = predict_ball_trajectory(code=" in text
    assert "'Ball': [{'x':" in text
    assert "### Stage: outplayed" in text
    assert "rows" not in text.partition("#Feedback")[2]
    assert "rejected, -1.50 points an episode: wait" in text
    assert "2 UP (RIGHT in the emulator): moves the paddle up" in text
    assert " object at 0x" not in text


def test_the_same_request_gives_the_same_prompt(request_: Request) -> None:
    first, _ = propose(request_, suggest(GOOD, NAME))
    second, _ = propose(request_, suggest(GOOD, NAME))
    assert first.requests[0].user == second.requests[0].user


@pytest.mark.parametrize("name", [n for n, case in CORPUS.items() if case.reply is not None])
def test_what_opto_alone_loses_is_used_or_has_a_reason(request_: Request, name: str) -> None:
    case = CORPUS[name]
    model, came = propose(request_, case.reply or "")
    assert len(model.requests) == 1  # opto asks twice on its own account
    made = came.kind if isinstance(came, Unusable) else "usable"
    assert made == case.made


def test_a_word_that_opto_takes_for_the_end_is_no_end(request_: Request) -> None:
    code = GOOD.replace("return 2", 'return {"TERMINATE": 2}["TERMINATE"]')
    _, proposal = propose(request_, suggest(code, NAME))
    assert "TERMINATE" in proposal.source.text  # type: ignore[attr-defined]


def test_a_change_outside_of_components_is_kept(request_: Request) -> None:
    text = "import math\n\nFAR = 7\n\n\n" + GOOD.replace("return 2", "return int(math.sqrt(FAR))")
    _, proposal = propose(request_, suggest(text, NAME))
    assert "FAR = 7" in proposal.source.text  # type: ignore[attr-defined]


@pytest.mark.parametrize("error", [ModelError("down"), BudgetSpent("$1")])
def test_an_error_is_paid_for_once_and_comes_out(request_: Request, error: Exception) -> None:
    model, came = propose(request_, error, suggest(GOOD, NAME))
    assert came is error
    assert len(model.requests) == 1


def test_without_time_nothing_is_asked(request_: Request) -> None:
    model, came = propose(replace(request_, deadline=0.0), suggest(GOOD, NAME))
    assert isinstance(came, BudgetSpent)
    assert model.requests == []


def test_the_error_of_a_first_try_is_in_the_feedback(request_: Request) -> None:
    again = replace(request_, repair="The code is not Python: line 2")
    model, _ = propose(again, suggest(GOOD, NAME))
    assert "correct it. The code is not Python: line 2" in model.requests[0].user


def test_a_trace_without_windows_still_shows_every_component(request_: Request) -> None:
    empty = replace(request_, feedback=lambda: Feedback("lost", "Words.", ExecutionTrace()))
    model, _ = propose(empty, suggest(GOOD, NAME))
    assert f"(code) {NAME}:" in model.requests[0].user
    assert "act__code0" in model.requests[0].user


def test_a_horizon_puts_every_step_into_the_graph(request_: Request) -> None:
    whole = replace(request_, config=replace(CONFIG, horizon=400))
    few, _ = propose(request_, suggest(GOOD, NAME))
    all_steps, _ = propose(whole, suggest(GOOD, NAME))
    n_few = few.requests[0].user.count("= select_action(")
    assert 0 < n_few < all_steps.requests[0].user.count("= select_action(")


def test_backward_takes_time_in_proportion_to_the_graph(trace: ExecutionTrace) -> None:
    import time

    graph = PolicyGraph(load_opto(), components(PARENT))
    window = trace.windows[0]
    steps = itertools.islice(itertools.cycle(window.steps), 600)
    many = replace(window, steps=tuple(replace(s, step=n) for n, s in enumerate(steps)))
    begun = time.process_time()
    graph.add_trace(ExecutionTrace((many,)), {}, whole=True)
    optimizer = graph.opto.OptoPrime(
        list(graph.parameters.values()),
        llm=lambda **_: None,
        propagator=graph.opto.Propagator(),
    )
    optimizer.backward(graph.report, "feedback")
    summary = optimizer.summarize()
    assert time.process_time() - begun < 10  # opto's own propagator takes minutes
    graph.close()
    assert len(summary.graph) > 1_000


def test_importing_opto_is_silent_and_loads_no_client() -> None:
    script = (
        "import sys\n"
        "from gco_agent.optimizers.optoprime import load_opto\n"
        "load_opto()\n"
        "print(sorted({'litellm', 'openai', 'xgboost', 'sklearn'} & set(sys.modules)))\n"
    )
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", script], capture_output=True, text=True, check=True
    )
    assert (done.stdout, done.stderr) == ("[]\n", "")


def test_what_is_missing_is_said_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    from importlib import metadata

    with pytest.raises(UsageError, match="needs a language model"):
        OptoPrimeOptimizer.create(Tools(WorkerPool(0)))
    load_opto.cache_clear()
    with monkeypatch.context() as patch:
        patch.setattr(metadata, "version", lambda _: "0.2.0")
        with pytest.raises(UsageError, match=r"needs trace-opt 0.1.3.8, and version 0.2.0 is inst"):
            OptoPrimeOptimizer.create(Tools(WorkerPool(0)))

    def absent(_: str) -> str:
        raise metadata.PackageNotFoundError

    with monkeypatch.context() as patch:
        patch.setattr(metadata, "version", absent)
        with pytest.raises(UsageError, match=r"not installed: .*pip install 'gco-agent\[trace\]'"):
            OptoPrimeOptimizer.create(Tools(WorkerPool(0)))
    load_opto.cache_clear()


def test_a_reply_that_comes_too_late_ends_the_run(request_: Request) -> None:
    soon = replace(request_, deadline=time.perf_counter() + 60.0)
    _, error = propose(soon, ModelTimedOut("no whole answer"))
    assert isinstance(error, BudgetSpent)
    assert "the time: " in str(error)
