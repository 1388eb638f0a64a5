"""Models behind a server of the Messages API, through the anthropic SDK."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from gco_agent.llm.base import ModelRequest
from gco_agent.llm.server import Api, PartialReply, ServerModel, StatedError, mapping, text_of

if TYPE_CHECKING:
    import httpx2

API = Api(
    "Messages API",
    "https://api.anthropic.com",
    "ANTHROPIC_BASE_URL",
    ("ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN"),
    {"strict": "strict", "tools": "tool|schema", "output_config": "output_config|effort"},
)

_CACHED = {"cache_control": {"type": "ephemeral"}}


@dataclass(frozen=True)
class AnthropicModel(ServerModel):
    """A model of the Messages API."""

    base_url: str = API.home
    api = API

    @classmethod
    def sdk_errors(cls) -> tuple[type[Exception], ...]:
        """Import the SDK, and return the errors that it raises."""
        import anthropic

        return (anthropic.AnthropicError,)

    def stated(self, error: Exception) -> StatedError | None:
        """Return what the server stated, in place of a message or within it."""
        import anthropic

        if not isinstance(error, anthropic.APIStatusError):
            return None
        headers = error.response.headers
        return StatedError((error.type,), error.status_code, error.api_message, headers)

    def stream(self, request: ModelRequest, http: httpx2.Client) -> Any:  # noqa: ANN401 - a Stream
        """Send ``request`` and return the SDK's stream of events."""
        import anthropic

        client = anthropic.Anthropic(**self.client_settings(http))
        return client.messages.create(**self._arguments(request), stream=True)

    def _arguments(self, request: ModelRequest) -> dict[str, Any]:
        """Return the request in the API's words; what lasts stands first and is cached."""
        content: list[dict[str, Any]] = [{"type": "text", "text": request.user}]
        if request.cached:
            content.insert(0, {"type": "text", "text": request.cached, **_CACHED})
        arguments: dict[str, Any] = {
            "model": self.name,
            "max_tokens": request.max_tokens,
            "messages": [{"role": "user", "content": content}],
        }
        if request.system:
            arguments["system"] = [{"type": "text", "text": request.system, **_CACHED}]
        options, tool = self.options(request), request.tool
        if tool is not None and "tools" in options:
            strict = {"strict": True} if "strict" in options else {}
            offered = {"name": tool.name, "description": tool.description, **strict}
            arguments["tools"] = [{**offered, "input_schema": dict(tool.schema)}]
            # Newer models refuse a request that forces a tool (Claude Opus 5.5, "What's new"),
            # and older ones refuse one that does so while they think.
            arguments["tool_choice"] = {"type": "auto", "disable_parallel_tool_use": True}
        if "output_config" in options:
            arguments["output_config"] = {"effort": self.effort}
        return arguments

    def wanted_options(self, request: ModelRequest) -> list[str]:
        """Return the optional parts of a request."""
        wanted = ["strict", "tools"] if request.tool is not None else []
        return wanted + (["output_config"] if self.effort is not None else [])

    def add_whole(self, reply: PartialReply, data: Mapping[str, Any]) -> None:
        """Add a message that came as one JSON document."""
        self.add_event(reply, {"type": "message_start", "message": data})
        content = data.get("content")
        for index, block in enumerate(content if isinstance(content, list) else ()):
            _begin_block(reply, index, mapping(block))
        self.add_event(reply, {"type": "message_delta", "delta": data, "usage": data.get("usage")})

    def add_event(self, reply: PartialReply, event: Mapping[str, Any]) -> None:
        """Add an event of the stream, which may be malformed."""
        index, delta = event.get("index"), mapping(event.get("delta"))
        usage = mapping(event.get("usage"))
        match event.get("type"):
            case "message_start":
                message = mapping(event.get("message"))
                reply.is_begun = True
                reply.model = text_of(message, "model")
                reply.stop_reason = text_of(message, "stop_reason")
                reply.count(mapping(message.get("usage")))
            case "content_block_start":
                _begin_block(reply, index, mapping(event.get("content_block")))
            case "content_block_delta":
                is_input = bool(reply.tool_of(index))
                if delta.get("type") == ("input_json_delta" if is_input else "text_delta"):
                    reply.append(index, text_of(delta, "partial_json" if is_input else "text"))
            case "message_delta":
                reply.stop_reason = text_of(delta, "stop_reason") or reply.stop_reason
                reply.has_final_count |= isinstance(usage.get("output_tokens"), int)
                reply.count(usage)


def _begin_block(reply: PartialReply, index: object, block: Mapping[str, Any]) -> None:
    tool = text_of(block, "name") if block.get("type") == "tool_use" else ""
    if tool or block.get("type") == "text":
        reply.begin(index, tool)
        whole = block.get("input")  # some servers send it at once
        reply.append(index, json.dumps(whole) if whole else text_of(block, "text"))
