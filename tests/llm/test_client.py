"""The real SDK against a real server on loopback, which fails in every way it is told to."""

from __future__ import annotations

import importlib
import json
import socket
import time
from dataclasses import replace
from typing import Any

import pytest

from gco_agent.core.errors import (
    KeyRefused,
    ModelError,
    ModelOverloaded,
    ModelTimedOut,
    ModelUnreachable,
    ProposalError,
    RateLimited,
    ReplyRefused,
    ReplyTruncated,
    RequestRefused,
    StreamCut,
    UnknownModel,
    UsageError,
)
from gco_agent.core.records import Usage
from gco_agent.jail.process import environment
from gco_agent.llm.anthropic import AnthropicModel
from gco_agent.llm.base import ModelRequest, ToolSpec
from gco_agent.llm.prices import Price
from gco_agent.llm.providers import open_model
from gco_agent.llm.server import Deadline, _certificates, retry_after
from tests.messages_server import (
    Ending,
    MessagesServer,
    Received,
    Reply,
    error_event,
    message,
    status,
)

KEY = "sk-test-0123456789abcdef0123456789"
PRICE = Price(2.0, 10.0, 2.5, 0.2)
TOOL = ToolSpec(
    "propose",
    "Hand in the policy.",
    {
        "type": "object",
        "properties": {"code": {"type": "string"}},
        "required": ["code"],
        "additionalProperties": False,
    },
)
ASKED = ModelRequest("You write policies.", "The contract.", "The feedback.", TOOL, 500, 20.0)
IN_USE = {"cache_creation_input_tokens": 30, "cache_read_input_tokens": 40}


def model(server: MessagesServer, **how: Any) -> AnthropicModel:
    return AnthropicModel("some-model", PRICE, KEY, server.url, **how)


def failure(reply: Reply, request: ModelRequest = ASKED) -> ModelError:
    """What one answer of the server raises."""
    with MessagesServer([reply]) as server, pytest.raises(ModelError) as caught:
        model(server).complete(request)
    assert len(server.requests) == 1  # trying again is not the client's business
    assert KEY not in str(caught.value)
    return caught.value


def test_a_tool_call_comes_back_with_what_it_cost() -> None:
    usage = {**IN_USE, "output_tokens": 50, "output_tokens_details": {"thinking_tokens": 7}}
    code = {"code": "class Policy:\n    pass\n" * 20}
    with MessagesServer([message("Here:", ("propose", code), usage=usage)]) as server:
        completion = model(server, effort="high").complete(ASKED)
    assert completion.tool_input == code
    assert completion.text == "Here:"
    assert (completion.model, completion.stop_reason) == ("served-model", "tool_use")
    usd = (100 * 2.0 + 50 * 10.0 + 30 * 2.5 + 40 * 0.2) / 1e6
    assert replace(completion.usage, usd=None) == Usage(100, 30, 40, 50, 7, None)
    assert completion.usage.usd == pytest.approx(usd)

    (received,) = server.requests
    assert received.path == "/v1/messages"
    assert received.headers["authorization"] == f"Bearer {KEY}"
    body = received.body
    assert body["stream"] is True
    assert (body["model"], body["max_tokens"]) == ("some-model", 500)
    kept = {"type": "ephemeral"}
    assert body["system"] == [
        {"type": "text", "text": "You write policies.", "cache_control": kept}
    ]
    assert body["messages"] == [
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "The contract.", "cache_control": kept},
                {"type": "text", "text": "The feedback."},
            ],
        }
    ]
    (tool,) = body["tools"]
    assert (tool["name"], tool["strict"], tool["input_schema"]) == ("propose", True, TOOL.schema)
    assert body["tool_choice"]["type"] == "auto"  # newer models refuse to be forced
    assert body["output_config"] == {"effort": "high"}


def test_a_server_that_ignores_the_tool_answers_in_text() -> None:
    text = "Do this:\n```python\nclass Policy: ...\n```\n" * 5
    with MessagesServer([message(text)]) as server:
        completion = model(server).complete(ModelRequest("", "", "Go.", TOOL))
    assert (completion.text, completion.tool_input) == (text, None)
    body = server.requests[0].body
    assert "system" not in body
    assert body["messages"][0]["content"] == [{"type": "text", "text": "Go."}]


def test_without_a_tool_none_is_offered() -> None:
    with MessagesServer([message("Fine.")]) as server:
        model(server).complete(ModelRequest("", "", "Go."))
    assert not {"tools", "tool_choice", "output_config"} & server.requests[0].body.keys()


@pytest.mark.parametrize(
    "raw",
    ['{"code": "class Pol', '["code"]', "", '{"code": NaN}', "[" * 100_000, '{"code": "\ud800'],
    ids=["cut", "list", "empty", "nan", "deep", "surrogate"],
)
def test_input_of_a_tool_that_is_no_json_object_is_given_as_text(raw: str) -> None:
    with MessagesServer([message(tool=("propose", raw))]) as server:
        completion = model(server).complete(ASKED)
    assert completion.tool_input is None
    assert completion.text == raw


def test_another_tool_than_the_one_that_was_offered_is_given_as_text() -> None:
    with MessagesServer([message(tool=("shell", {"run": "rm"}))]) as server:
        completion = model(server).complete(ASKED)
    assert (completion.text, completion.tool_input) == ('{"run": "rm"}', None)


def test_input_of_a_tool_may_come_at_once() -> None:
    whole = message(tool=("propose", ""))
    events = list(whole.events)
    block = {"type": "tool_use", "id": "t", "name": "propose", "input": {"code": "x"}}
    events[2] = ("content_block_start", {**events[2][1], "content_block": block})
    with MessagesServer([whole.but(events=events)]) as server:
        assert model(server).complete(ASKED).tool_input == {"code": "x"}


@pytest.mark.parametrize(
    ("reply", "kind", "words"),
    [
        (status(401), KeyRefused, "set ANTHROPIC_API_KEY"),
        (status(403), KeyRefused, "that may use some-model"),
        (status(404), UnknownModel, "has no model some-model"),
        (status(404, kind="?"), UnknownModel, "choose another with --model"),
        (status(400, "prompt is too long: 9 > 8"), RequestRefused, "prompt is too long: 9 > 8"),
        (status(413), RequestRefused, "does not take the request"),
        (status(402, kind="billing_error"), RequestRefused, "it is 402"),
    ],
)
def test_what_will_not_pass_by_itself(reply: Reply, kind: type[ModelError], words: str) -> None:
    error = failure(reply)
    assert type(error) is kind
    assert words in str(error)
    assert not error.is_passing
    assert error.usage == Usage()
    assert not error.is_bill_open


@pytest.mark.parametrize(
    ("reply", "kind", "words"),
    [
        (status(429, headers={"retry-after": "86400"}), RateLimited, "limits how often"),
        (status(500), ModelOverloaded, "overloaded or in trouble"),
        (status(529), ModelOverloaded, "overloaded or in trouble"),
        (status(529, kind="?"), ModelOverloaded, "run the command again later"),
        (status(408, kind="?"), ModelOverloaded, "it is 408"),
    ],
)
def test_what_may_pass(reply: Reply, kind: type[ModelError], words: str) -> None:
    error = failure(reply)
    assert type(error) is kind
    assert words in str(error)
    assert error.is_passing
    assert not error.is_bill_open
    assert error.retry_after_s == (86400.0 if kind is RateLimited else None)


def test_a_server_may_say_that_asking_again_is_no_use() -> None:
    assert not failure(status(529, headers={"x-should-retry": "false"})).is_passing


def test_what_a_server_says_is_cut_and_has_no_key_in_it() -> None:
    said = f"your key {KEY} is\nwrong " + "x" * 5_000
    error = failure(status(400, said), replace(ASKED, tool=None))
    assert "your key [key removed] is wrong xxx" in str(error)
    assert len(str(error)) < 500


@pytest.mark.parametrize("stop", ["refusal", "max_tokens", "model_context_window_exceeded"])
def test_a_message_that_is_no_answer_was_paid_for_all_the_same(stop: str) -> None:
    error = failure(message("I cannot", stop=stop, usage=IN_USE))
    assert type(error) is (ReplyRefused if stop == "refusal" else ReplyTruncated)
    assert isinstance(error, ProposalError)
    assert error.text == "I cannot"
    assert (error.usage.tokens_in, error.usage.output_tokens) == (170, 20)
    assert error.usage.usd
    assert not error.is_bill_open
    assert not error.is_passing


def test_truncated_input_of_a_tool_is_kept_as_text() -> None:
    error = failure(message(tool=("propose", '{"code": "class'), stop="max_tokens"))
    assert isinstance(error, ReplyTruncated)
    assert "its limit of 500 tokens" in str(error)
    assert error.text == '{"code": "class'


def test_a_reason_to_stop_that_nobody_knows_is_an_error() -> None:
    error = failure(message("Well.", stop="a_new_reason"))
    assert type(error) is ModelError
    assert "'a_new_reason'" in str(error)


def test_a_paused_turn_is_asked_for_again() -> None:
    error = failure(message("Well.", stop="pause_turn"))
    assert error.is_passing
    assert not error.is_bill_open
    assert error.usage.output_tokens == 20


@pytest.mark.parametrize(("stop", "meant"), [("stop", "end_turn"), ("tool_calls", "tool_use")])
def test_stop_reasons_of_other_apis(stop: str, meant: str) -> None:
    with MessagesServer([message("Fine.", stop=stop)]) as server:
        assert model(server).complete(ASKED).stop_reason == meant
    assert isinstance(failure(message("Fi", stop="length")), ReplyTruncated)


WHOLE: dict[str, Any] = {
    "type": "message",
    "role": "assistant",
    "model": "gateway",
    "content": [
        {"type": "thinking", "thinking": "hm", "signature": ""},
        {"type": "text", "text": "Here:"},
        {"type": "tool_use", "id": "t", "name": "propose", "input": {"code": "x"}},
    ],
    "stop_reason": "tool_use",
    "usage": {"input_tokens": 3, "output_tokens": 4},
}


def document(data: object, kind: str = "application/json") -> Reply:
    raw = data if isinstance(data, bytes) else json.dumps(data).encode()
    return Reply(raw=raw, headers={"content-type": kind})


def test_a_message_that_is_not_streamed_is_read() -> None:
    with MessagesServer([document(WHOLE)]) as server:
        completion = model(server).complete(ASKED)
    assert (completion.text, completion.tool_input) == ("Here:", {"code": "x"})
    assert (completion.model, completion.stop_reason) == ("gateway", "tool_use")
    assert (completion.usage.tokens_in, completion.usage.output_tokens) == (3, 4)
    assert not completion.is_bill_open


@pytest.mark.parametrize(
    "data", [{}, [], 7, {**WHOLE, "content": 3}, {**WHOLE, "content": [3, {}], "usage": []}, b"{"]
)
def test_a_document_that_is_no_message(data: object) -> None:
    if isinstance(data, dict) and data:
        with MessagesServer([document(data)]) as server:
            assert model(server).complete(ASKED).text == ""
        return
    error = failure(document(data))
    assert type(error) is StreamCut
    assert error.is_bill_open


@pytest.mark.parametrize("kind", ["text/html; charset=utf-8", "text/plain", "image/png"])
def test_another_kind_of_document_is_not_asked_for_again(kind: str) -> None:
    error = failure(document(b"<html>Log in</html>", kind))
    assert type(error) is RequestRefused
    assert kind.partition(";")[0] in str(error)
    assert "ANTHROPIC_BASE_URL" in str(error)
    assert not error.is_passing
    assert not error.is_bill_open


def refusing(received: Received) -> Reply:
    """A server that knows neither tools nor effort."""
    if "tools" in received.body or "output_config" in received.body:
        return status(400, "this model does not support tools")
    return message("In words.")


def test_a_server_without_tools_is_asked_for_text() -> None:
    with MessagesServer(refusing) as server:
        asked = model(server, effort="low")
        assert asked.complete(ASKED).text == "In words."
        n = len(server.requests)
        assert asked.complete(ASKED).text == "In words."
    assert len(server.requests) == n + 1  # which it remembers


def test_a_server_that_does_not_say_what_it_refuses_is_asked_for_text_once() -> None:
    """And where that does not help, tools are offered again in the next request."""

    def silent(received: Received) -> Reply:
        return status(400, "Bad Request") if "tools" in received.body else message("In words.")

    with MessagesServer(silent) as server:
        assert model(server).complete(ASKED).text == "In words."
        assert len(server.requests) == 2
    with MessagesServer([status(400, "Bad Request")] * 2 + [message("Fine.")]) as server:
        asked = model(server)
        with pytest.raises(RequestRefused):
            asked.complete(ASKED)
        assert asked.complete(ASKED).text == "Fine."
        assert ["tools" in one.body for one in server.requests] == [True, False, True]


@pytest.mark.parametrize(
    ("said", "left_out"),
    [
        ("tools.0.strict: Extra inputs are not permitted", "strict"),
        ("output_config: Extra inputs are not permitted", "output_config"),
    ],
)
def test_only_what_is_refused_is_left_out(said: str, left_out: str) -> None:
    with MessagesServer([status(400, said), message("Fine.")]) as server:
        model(server, effort="low").complete(ASKED)
    body = server.requests[1].body
    assert ("output_config" in body) == (left_out != "output_config")
    assert ("strict" in body["tools"][0]) == (left_out != "strict")


def without(name: str) -> Reply:
    """A message without usage, in one of its events or in both."""
    whole = message("Fine. " * 9)
    events = json.loads(json.dumps(whole.events))
    for kind, data in events:
        if kind == name or not name:
            (data["message"] if kind == "message_start" else data).pop("usage", None)
    return whole.but(events=[tuple(event) for event in events])


@pytest.mark.parametrize("name", ["message_start", "message_delta", ""])
def test_a_message_without_usage_leaves_an_open_bill(name: str) -> None:
    with MessagesServer([without(name)]) as server:
        completion = model(server).complete(ASKED)
    assert completion.text.startswith("Fine.")
    assert completion.is_bill_open == (name != "message_start")


PROXY = ("ALL_PROXY", "HTTPS_PROXY", "HTTP_PROXY", "NO_PROXY", "SSL_CERT_FILE", "SSL_CERT_DIR")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ALL_PROXY", "socks5://127.0.0.1:1080"),
        ("https_proxy", "socks5h://127.0.0.1:1080"),
        ("HTTPS_PROXY", "ftp://127.0.0.1"),
        ("HTTP_PROXY", "http://127.0.0.1:port"),
        ("SSL_CERT_FILE", "/nonexistent.pem"),
    ],
)
def test_a_setting_that_cannot_be_used_is_named_at_once(
    name: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for each in PROXY:
        monkeypatch.delenv(each, raising=False)
        monkeypatch.delenv(each.lower(), raising=False)
    monkeypatch.setenv("ANTHROPIC_API_KEY", KEY)
    monkeypatch.setenv(name, value)
    _certificates.cache_clear()
    try:
        with pytest.raises(UsageError, match=name):
            open_model("m")
    finally:
        _certificates.cache_clear()


def test_hosts_without_a_proxy_may_be_written_with_brackets(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", KEY)
    monkeypatch.setenv("NO_PROXY", "localhost,127.0.0.1,[::1]")
    opened = open_model("m")
    with MessagesServer([message("Fine.")]) as server:
        assert isinstance(opened, AnthropicModel)
        assert replace(opened, base_url=server.url).complete(ASKED).text == "Fine."


@pytest.mark.parametrize("ending", [Ending.CLEAN, Ending.RESET, Ending.CHUNK])
@pytest.mark.parametrize("n_events", [1, 4])
def test_an_answer_that_breaks_off_leaves_an_open_bill(ending: Ending, n_events: int) -> None:
    error = failure(message("Half of it. " * 20, ending=ending, n_events=n_events))
    assert type(error) is StreamCut
    assert error.is_passing
    assert error.is_bill_open
    assert (error.usage.input_tokens, error.usage.output_tokens) == (100, 1)
    assert error.text.startswith("Half" if n_events == 4 else "")


def test_a_message_that_lacks_only_its_last_event_is_whole() -> None:
    whole = message("All of it.", ending=Ending.CLEAN)
    with MessagesServer([whole.but(n_events=len(whole.events) - 1)]) as server:
        assert model(server).complete(ASKED).text == "All of it."


def test_a_connection_that_ends_without_an_answer_may_be_billed() -> None:
    error = failure(Reply(0))
    assert type(error) is StreamCut
    assert error.is_bill_open


@pytest.mark.parametrize(
    ("event", "kind"),
    [
        (error_event("overloaded_error"), ModelOverloaded),
        (error_event("rate_limit_error"), RateLimited),
        (error_event("authentication_error"), KeyRefused),
        (error_event("a_new_error"), RequestRefused),
    ],
)
def test_an_error_in_the_middle_of_a_stream(event: tuple[str, Any], kind: type[ModelError]) -> None:
    whole = message("Half of it. " * 20)
    error = failure(whole.but(events=[*whole.events[:4], event]))
    assert type(error) is kind
    assert error.is_bill_open
    assert error.usage.input_tokens == 100


@pytest.mark.parametrize(
    "events",
    [
        [("message_start", "{not json")],
        [("message_start", "[]"), ("message_delta", "7")],
        [("message_start", {"type": "message_start", "message": {"usage": {"input_tokens": "9"}}})],
        [("content_block_delta", {"type": "content_block_delta", "index": "x", "delta": None})],
        [("content_block_start", {"type": "content_block_start", "content_block": {"type": 1}})],
        [("unheard_of", {"type": "unheard_of"})],
    ],
)
def test_nonsense_is_an_answer_that_broke_off(events: list[tuple[str, Any]]) -> None:
    error = failure(Reply(events=events))
    assert type(error) is StreamCut
    assert error.usage.tokens_in == 0


def test_no_reply_is_read_without_end() -> None:
    start, _, begin, *_ = message("x").events
    delta = {"type": "text_delta", "text": "x" * 1_000_000}
    more = ("content_block_delta", {"type": "content_block_delta", "index": 0, "delta": delta})
    error = failure(Reply(events=[start, begin, *[more] * 9]))
    assert type(error) is ReplyTruncated
    assert error.is_bill_open
    assert len(error.text) == 8_000_000


@pytest.mark.parametrize("wait", [0.0, 10.0], ids=["drops", "silence"])
def test_the_time_of_a_request_is_its_wall_time(wait: float) -> None:
    slow = message("Slowly. " * 20, drip=0.02, wait=wait)
    importlib.import_module("anthropic")  # whose import is not what is measured
    started = time.perf_counter()
    error = failure(slow, ModelRequest("", "", "Go.", seconds=0.4))
    assert time.perf_counter() - started < 3.0
    assert type(error) is ModelTimedOut
    assert "no complete answer within 0.4 s" in str(error)
    assert error.is_bill_open


def test_no_server_at_all() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound and not listening: nobody else can answer
        url = f"http://me:secret@127.0.0.1:{taken.getsockname()[1]}/x?key=secret"
        with pytest.raises(ModelUnreachable, match=r"Connection refused.*check the network") as got:
            AnthropicModel("m", None, KEY, url).complete(ASKED)
    assert "http://127.0.0.1:" in str(got.value)
    assert "secret" not in str(got.value)
    assert got.value.is_passing
    assert not got.value.is_bill_open
    assert got.value.usage.usd is None


@pytest.mark.parametrize("url", ["http://a b", "ftp://127.0.0.1", "http://127.0.0.1:99999"])
def test_an_address_that_is_none(url: str) -> None:
    with pytest.raises(ModelUnreachable, match="ANTHROPIC_BASE_URL"):
        AnthropicModel("m", None, KEY, url).complete(ASKED)


@pytest.mark.parametrize("key", ["sk-\nline-0123456789", "sk 0123456789", "schlüssel-0123456789"])
def test_a_key_that_cannot_be_sent_is_refused_and_not_told(key: str) -> None:
    with pytest.raises(KeyRefused, match="set ANTHROPIC_API_KEY anew") as caught:
        AnthropicModel("m", None, key)
    assert "0123456789" not in str(caught.value)
    assert KEY not in repr(AnthropicModel("m", None, KEY))


def test_no_policy_is_played_where_the_key_is(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN", "ANTHROPIC_CUSTOM_HEADERS"):
        monkeypatch.setenv(name, KEY)
    assert KEY not in str(environment())


def test_the_price_of_an_unknown_model_is_unknown() -> None:
    with MessagesServer([message("x")]) as server:
        completion = AnthropicModel("m", None, KEY, server.url).complete(ASKED)
    assert completion.usage.usd is None
    assert completion.usage.tokens_in == 100


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "7"}, 7.0),
        ({"retry-after": "0.5", "retry-after-ms": "250"}, 0.25),
        ({"retry-after": "Wed, 21 Oct 2015 07:28:00 GMT"}, 0.0),
        ({"retry-after": "soon", "retry-after-ms": "nan"}, None),
        ({"retry-after": "-3"}, None),
        ({"retry-after": "inf"}, None),
    ],
)
def test_when_a_server_asks_to_be_asked_again(
    headers: dict[str, str], seconds: float | None
) -> None:
    assert retry_after(headers) == seconds


class Opened:
    """A network stream, as far as the clock looks at it."""

    def __init__(self, inner: object) -> None:
        self._inner = inner

    def get_extra_info(self, name: str) -> object:
        assert name == "socket"
        return self._inner


def test_a_connection_that_is_made_too_late_is_shut_at_once() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs, Deadline(0.0) as clock:
        while not clock.is_over:
            time.sleep(0.001)
        clock.note("connection.connect_tcp.complete", {"return_value": Opened(None)})
        clock.note("http11.send_request_body.complete", {"return_value": None})
        theirs.settimeout(5.0)
        clock.note("connection.connect_tcp.complete", {"return_value": Opened(ours)})
        assert theirs.recv(1) == b""
