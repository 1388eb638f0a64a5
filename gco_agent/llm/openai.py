"""Models behind a server of the chat-completions API, through the openai SDK.

vLLM, Ollama, llama.cpp and many gateways speak this API, with differences: a server that refuses
tools, a strict schema, an effort, or the count of what a stream used is asked again without it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from gco_agent.llm.base import ModelRequest
from gco_agent.llm.server import Api, PartialReply, ServerModel, StatedError, mapping, text_of

if TYPE_CHECKING:
    import httpx2

API = Api(
    "chat-completions API (addresses of it usually end in /v1)",
    "https://api.openai.com/v1",
    "OPENAI_BASE_URL",
    ("OPENAI_API_KEY",),
    {
        "strict": "strict",
        "tools": "tool|function|schema",
        "reasoning_effort": "reasoning|effort",
        "stream_options": "stream_options|include_usage",
        "max_tokens": "max_tokens",
    },
)

_TEXT = "text"
_THINKING = ("reasoning_content", "reasoning")
"""Names under which servers stream what a model thinks."""
_SERVER_ERROR = 500


@dataclass(frozen=True)
class OpenAIModel(ServerModel):
    """A model of the chat-completions API."""

    base_url: str = API.home
    api = API

    @classmethod
    def sdk_errors(cls) -> tuple[type[Exception], ...]:
        """Import the SDK, and return the errors that it raises."""
        import openai

        return (openai.OpenAIError,)

    def stated(self, error: Exception) -> StatedError | None:
        """Return what the server stated, in place of an answer or within its stream."""
        import openai

        if not isinstance(error, openai.APIError) or error.body is None:
            return None
        body = mapping(error.body)
        said = body.get("message", error.body)
        kinds = (body.get("type"), body.get("code"))
        if isinstance(error, openai.APIStatusError):
            return StatedError(kinds, error.status_code, said, error.response.headers)
        code = str(body.get("code"))  # in a stream, vLLM states an HTTP status here
        is_status = code.isdecimal() and len(code) == len(str(_SERVER_ERROR))
        return StatedError(kinds, int(code) if is_status else _SERVER_ERROR, said)

    def stream(self, request: ModelRequest, http: httpx2.Client) -> Any:  # noqa: ANN401 - a Stream
        """Send ``request`` and return the SDK's stream of events."""
        import openai

        client = openai.OpenAI(**self.client_settings(http))
        return client.chat.completions.create(**self._arguments(request), stream=True)

    def _arguments(self, request: ModelRequest) -> dict[str, Any]:
        """Return the request in the API's words; what lasts stands first."""
        asked = "\n\n".join(filter(None, (request.cached, request.user)))
        messages = [{"role": "system", "content": request.system}] if request.system else []
        options, tool = self.options(request), request.tool
        limit = "max_tokens" if "max_tokens" in options else "max_completion_tokens"
        arguments: dict[str, Any] = {
            "model": self.name,
            limit: request.max_tokens,
            "messages": [*messages, {"role": "user", "content": asked}],
        }
        if tool is not None and "tools" in options:
            strict = {"strict": True} if "strict" in options else {}
            function = {"name": tool.name, "description": tool.description, **strict}
            function["parameters"] = dict(tool.schema)
            arguments["tools"] = [{"type": "function", "function": function}]
        if "reasoning_effort" in options:
            arguments["reasoning_effort"] = self.effort
        if "stream_options" in options:
            arguments["stream_options"] = {"include_usage": True}
        return arguments

    def wanted_options(self, request: ModelRequest) -> list[str]:
        """Return the optional parts of a request, most dispensable first."""
        wanted = ["strict", "tools"] if request.tool is not None else []
        wanted += ["reasoning_effort"] if self.effort is not None else []
        wanted += ["stream_options"]
        # OpenAI's newer models refuse the old name, and some servers ignore the new one
        return wanted + (["max_tokens"] if self.base_url != API.home else [])

    def add_whole(self, reply: PartialReply, data: Mapping[str, Any]) -> None:
        """Add an answer that came as one JSON document."""
        self.add_event(reply, data)

    def add_event(self, reply: PartialReply, event: Mapping[str, Any]) -> None:
        """Add a chunk of the stream, or a whole answer; either may be malformed."""
        reply.is_begun = True
        reply.model = text_of(event, "model") or reply.model
        _count(reply, mapping(event.get("usage")))
        choices = event.get("choices")
        for choice in choices[:1] if isinstance(choices, list) else ():
            said = mapping(mapping(choice).get("delta") or mapping(choice).get("message"))
            reply.append(_TEXT, text_of(said, "content"))
            for name in _THINKING:
                reply.lengthen(text_of(said, name))
            calls = said.get("tool_calls")
            for position, call in enumerate(calls if isinstance(calls, list) else ()):
                _add_call(reply, position, mapping(call))
            stop = text_of(mapping(choice), "finish_reason")
            reply.stop_reason = stop or reply.stop_reason
            if text_of(said, "refusal"):
                reply.stop_reason = "refusal"


def _add_call(reply: PartialReply, position: int, call: Mapping[str, Any]) -> None:
    function, index = mapping(call.get("function")), call.get("index", position)
    if (name := text_of(function, "name")) and not reply.tool_of(index):
        reply.begin(index, name)
    if reply.tool_of(index):
        reply.append(index, text_of(function, "arguments"))


def _count(reply: PartialReply, usage: Mapping[str, Any]) -> None:
    """Take over what the server counted, in the words of the Messages API."""
    read, written = usage.get("prompt_tokens"), usage.get("completion_tokens")
    if not isinstance(read, int) or not isinstance(written, int):
        return
    cached = mapping(usage.get("prompt_tokens_details")).get("cached_tokens")
    cached = min(max(cached, 0), read) if isinstance(cached, int) else 0
    thought = mapping(usage.get("completion_tokens_details")).get("reasoning_tokens")
    reply.has_final_count = True
    reply.count(
        {
            "input_tokens": read - cached,
            "cache_read_input_tokens": cached,
            "output_tokens": written,
            "thinking_tokens": thought,
        }
    )
