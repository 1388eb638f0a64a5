"""The chat-completions API: the real SDK against a real server on loopback."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from gco_agent.core.errors import (
    KeyRefused,
    ModelError,
    ModelOverloaded,
    ModelUnreachable,
    RateLimited,
    ReplyRefused,
    ReplyTruncated,
    RequestRefused,
    StreamCut,
    UnknownModel,
    UsageError,
)
from gco_agent.core.records import Usage
from gco_agent.llm.asking import Spending, ask
from gco_agent.llm.base import ModelRequest
from gco_agent.llm.openai import API, OpenAIModel
from gco_agent.llm.providers import MOST_MODELS, open_model, split_models, split_provider
from tests.llm.test_client import ASKED, KEY, PRICE, TOOL
from tests.messages_server import Ending, MessagesServer, Received, Reply, chat

CODE = {"code": "class Policy:\n    pass\n" * 20}


def model(server: MessagesServer, **how: Any) -> OpenAIModel:
    return OpenAIModel("some-model", PRICE, KEY, server.url + "/v1", **how)


def failure(reply: Reply) -> ModelError:
    with MessagesServer([reply]) as server, pytest.raises(ModelError) as caught:
        model(server).complete(ASKED)
    assert len(server.requests) == 1
    assert KEY not in str(caught.value)
    return caught.value


def refusal(status: int, said: object, **more: Any) -> Reply:
    return Reply(status, body={"error": {"message": said, "param": None, **more}})


def test_a_tool_call_comes_back_with_what_it_cost() -> None:
    usage = {
        "prompt_tokens": 100,
        "completion_tokens": 50,
        "prompt_tokens_details": {"cached_tokens": 40},
        "completion_tokens_details": {"reasoning_tokens": 7},
    }
    answer = chat("Here:", ("propose", json.dumps(CODE)), "tool_calls", usage)
    with MessagesServer([answer]) as server:
        completion = model(server, effort="high").complete(ASKED)
    assert completion.tool_input == CODE
    assert completion.text == "Here:"
    assert (completion.model, completion.stop_reason) == ("served-model", "tool_use")
    assert replace(completion.usage, usd=None) == Usage(60, 0, 40, 50, 7, None)
    assert completion.usage.usd == pytest.approx((60 * 2.0 + 50 * 10.0 + 40 * 0.2) / 1e6)
    assert not completion.is_bill_open

    (received,) = server.requests
    assert received.path == "/v1/chat/completions"
    assert received.headers["authorization"] == f"Bearer {KEY}"
    body = received.body
    assert body["stream"] is True
    assert (body["model"], body["max_tokens"], body["reasoning_effort"]) == (
        *("some-model", 500, "high"),
    )
    assert body["messages"] == [
        {"role": "system", "content": "You write policies."},
        {"role": "user", "content": "The contract.\n\nThe feedback."},
    ]
    (tool,) = body["tools"]
    assert (tool["type"], tool["function"]["name"]) == ("function", "propose")
    assert tool["function"]["parameters"] == TOOL.schema


def test_text_without_a_tool() -> None:
    with MessagesServer([chat("Fine.")]) as server:
        completion = model(server).complete(ModelRequest("", "", "Go."))
    assert (completion.text, completion.stop_reason) == ("Fine.", "end_turn")
    body = server.requests[0].body
    assert not {"tools", "reasoning_effort"} & body.keys()
    assert body["messages"] == [{"role": "user", "content": "Go."}]


def test_openai_itself_is_asked_in_its_newer_words() -> None:
    asked = OpenAIModel("m", None, KEY)
    assert asked.base_url == API.home
    assert asked._arguments(ASKED)["max_completion_tokens"] == 500
    assert "max_tokens" not in asked._arguments(ASKED)


def test_a_whole_answer_that_is_not_streamed() -> None:
    call = {"id": "1", "function": {"name": "propose", "arguments": json.dumps(CODE)}}
    said = {"role": "assistant", "content": None, "tool_calls": [call]}
    body = {
        "model": "served-model",
        "choices": [{"message": said, "finish_reason": "tool_calls"}],
        "usage": {"prompt_tokens": 9, "completion_tokens": 5},
    }
    with MessagesServer([Reply(raw=json.dumps(body).encode())]) as server:
        completion = model(server).complete(ASKED)
    assert completion.tool_input == CODE
    assert (completion.usage.tokens_in, completion.usage.output_tokens) == (9, 5)


def test_thinking_is_not_the_answer() -> None:
    thought = ("", {"choices": [{"delta": {"reasoning_content": "Hm, hm."}}]})
    answer = chat("Up.")
    with MessagesServer([answer.but(events=[thought, *answer.events])]) as server:
        assert model(server).complete(ASKED).text == "Up."


REFUSED = {
    "tools": "registry.ollama.ai/library/phi does not support tools",
    "strict": "Unknown parameter: 'tools[0].function.strict'.",
    "reasoning_effort": "Unsupported value: 'reasoning_effort' does not support 'max'",
    "stream_options": "stream_options is not permitted",
    "max_tokens": "Use 'max_completion_tokens' instead of max_tokens",
}


def knows_nothing(received: Received) -> Reply:
    body = received.body
    has = {**body, "strict": "tools" in body and "strict" in body["tools"][0]["function"]}
    named = next((said for name, said in REFUSED.items() if has.get(name)), None)
    return chat("In words.", usage={}) if named is None else refusal(400, named)


def test_what_a_server_refuses_is_left_out() -> None:
    with MessagesServer(knows_nothing) as server:
        asked = model(server, effort="max")
        completion = asked.complete(ASKED)
        n = len(server.requests)
        assert asked.complete(ASKED).text == "In words."
    assert completion.text == "In words."
    assert completion.is_bill_open  # nothing was counted
    assert len(server.requests) == n + 1 <= 7  # the rest is remembered
    assert server.requests[-1].body["max_completion_tokens"] == 500


def test_llama_cpp_without_templates_is_asked_without_tools() -> None:
    error = refusal(500, "tools param requires --jinja flag", code=500, type="server_error")
    with MessagesServer([error, chat("In words.")]) as server:
        assert model(server).complete(ASKED).text == "In words."


@pytest.mark.parametrize(
    ("reply", "kind", "words", "is_passing"),
    [
        (refusal(401, "Bad key", code="invalid_api_key"), KeyRefused, "OPENAI_API_KEY", False),
        (refusal(404, "model 'x' not found"), UnknownModel, "OPENAI_BASE_URL", False),
        (Reply(404, raw=b"404 page not found"), UnknownModel, "/v1", False),
        (refusal(429, "slow down", code="rate_limit_exceeded"), RateLimited, "slow", True),
        (refusal(429, "no credit", code="insufficient_quota"), RateLimited, "credit", False),
        (refusal(503, "loading model"), ModelOverloaded, "loading", True),
        (refusal(400, "maximum context length is 4096"), RequestRefused, "--trace-tokens", False),
        (refusal(413, {"not": "text"}), RequestRefused, "does not take the request", False),
        (chat("x", stop="length"), ReplyTruncated, "500 tokens", False),
        (chat("x", stop="content_filter"), ReplyRefused, "declined", False),
        (Reply(raw=b"[]"), StreamCut, "ended early", True),
        (Reply(events=[("", "{no json")]), StreamCut, "broke off", True),
        (Reply(events=[("", {"choices": 5}), ("", 3)]), StreamCut, "ended early", True),
        (chat("x" * 99, n_events=2, ending=Ending.CLEAN), StreamCut, "ended early", True),
        (chat("x" * 99, n_events=2, ending=Ending.RESET), StreamCut, "broke off", True),
    ],
)  # fmt: skip
def test_errors_have_a_kind(
    reply: Reply, kind: type[ModelError], words: str, is_passing: bool
) -> None:
    error = failure(reply)
    assert type(error) is kind
    assert words in str(error)
    assert error.is_passing == is_passing


@pytest.mark.parametrize(("code", "kind"), [(400, RequestRefused), ("x", ModelOverloaded)])
def test_an_error_within_a_stream(code: object, kind: type[ModelError]) -> None:
    event = ("", {"error": {"message": f"broken {KEY}", "type": "Bad", "code": code}})
    answer = chat("x" * 99)
    error = failure(answer.but(events=[*answer.events[:2], event]))
    assert type(error) is kind
    assert error.is_bill_open
    assert error.text.startswith("x")


def test_a_refusal_in_words() -> None:
    answer = chat("")
    event = ("", {"choices": [{"delta": {"refusal": "I cannot"}, "finish_reason": None}]})
    last: tuple[str, Any] = ("", {"choices": [{"delta": {}, "finish_reason": None}]})
    assert type(failure(answer.but(events=[event, last]))) is ReplyRefused


def test_no_server_at_all() -> None:
    with pytest.raises(ModelUnreachable, match="OPENAI_BASE_URL"):
        OpenAIModel("m", None, KEY, "http://127.0.0.1:9/v1").complete(ASKED)


def test_the_limit_of_tokens_holds_without_a_price() -> None:
    spending = Spending()
    with MessagesServer([chat("Fine.")]) as server:
        asked = OpenAIModel("m", None, KEY, server.url)
        assert ask(asked, ASKED, spending).usage.usd is None
        with pytest.raises(UsageError, match="the price of m"):
            ask(asked, ASKED, replace(spending, usd_cap=1.0))
    assert spending.spent.total_tokens == 120


def test_names_of_models_state_their_provider(monkeypatch: pytest.MonkeyPatch) -> None:
    assert split_provider("claude-opus-5-5") == ("anthropic", "claude-opus-5-5")
    assert split_provider("openai:llama3:8b") == ("openai", "llama3:8b")
    assert split_provider("anthropic:x") == ("anthropic", "x")
    assert split_provider("llama3:8b") == ("anthropic", "llama3:8b")
    assert split_models("") == [""]
    assert split_models("openai:a, b") == ["openai:a", "b"]
    with pytest.raises(UsageError, match="empty name"):
        split_models("a,,b")
    with pytest.raises(UsageError, match=f"at most {MOST_MODELS}"):
        split_models(",".join("a" * (MOST_MODELS + 1)))
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    with pytest.raises(KeyRefused, match="Set OPENAI_API_KEY"):
        open_model("openai:m")
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:11434/v1/")
    opened = open_model("openai:a/b:c")
    assert isinstance(opened, OpenAIModel)
    assert (opened.name, opened.base_url) == ("a/b:c", "http://127.0.0.1:11434/v1")
