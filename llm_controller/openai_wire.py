"""The OpenAI-compatible chat protocol: our values to its JSON and back. No I/O.

Source: the chat-completions reference that vLLM, llama.cpp, LM Studio and hosted providers follow. They differ
in the words of their errors, so a context overflow is recognised by any of several phrases.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from redbutton.llm_controller.attempts import RetryableError
from redbutton.llm_controller.brain import Exchange, Message, ProposedCall, Reply, Usage, as_object, tool_definitions
from redbutton.llm_controller.transport import DATA_URL
from redbutton.robots.interface import ControllerError, NoToolsError, ToolSpec, TruncatedError

if TYPE_CHECKING:
    from redbutton.llm_controller.openai_brain import OpenAIConfig

OVERFLOW_WORDS = (
    "context length",
    "context_length",
    "context size",
    "context_size",
    "context window",
    "maximum context",
    "prompt is too long",
    "too many tokens",
)


def reasoning_levels(config: OpenAIConfig) -> tuple[str, ...]:
    """Levels that the configuration has a word for; a switch has nothing between on and off."""
    if config.reasoning_by == "enable_thinking":
        return ("off", "high")
    return tuple(level for level in ("off", "low", "high") if getattr(config, f"reasoning_{level}"))


def reasoning_fields(config: OpenAIConfig, reasoning: str) -> dict[str, Any]:
    """What a level adds to the body; nothing for ``default``."""
    if reasoning == "default":
        return {}
    if config.reasoning_by == "enable_thinking":
        return {"chat_template_kwargs": {"enable_thinking": reasoning != "off"}}
    return {"reasoning_effort": getattr(config, f"reasoning_{reasoning}")}


def chat_body(
    config: OpenAIConfig, messages: Sequence[Message], tools: Sequence[ToolSpec], seed: int, reasoning: str = "default"
) -> dict[str, Any]:
    """The body of ``/chat/completions``."""
    body: dict[str, Any] = {
        "model": config.model,
        "messages": [message_body(m) for m in messages],
        "seed": seed,
        "stream": False,
        config.max_tokens_field: config.max_tokens,
    }
    if tools:
        body |= {"tools": tool_definitions(tools), "tool_choice": config.tool_choice}
    for key in ("temperature", "top_p", "parallel_tool_calls"):
        if getattr(config, key) is not None:
            body[key] = getattr(config, key)
    return body | reasoning_fields(config, reasoning)


def message_body(message: Message) -> dict[str, Any]:
    """One turn. Arguments go as text, images as data URLs, a tool turn names the id that it answers."""
    body: dict[str, Any] = {"role": message.role, "content": _content(message)}
    if message.role == "tool":
        body["tool_call_id"] = message.call_id
    if message.tool_calls:
        body["tool_calls"] = [
            {"id": c.id, "type": "function", "function": {"name": c.name, "arguments": _as_text(c.arguments)}}
            for c in message.tool_calls
        ]
    return body


def _content(message: Message) -> str | list[dict[str, Any]]:
    if not message.images_png:
        return message.content
    parts: list[dict[str, Any]] = [{"type": "text", "text": message.content}] if message.content else []
    for png in message.images_png:
        parts.append({"type": "image_url", "image_url": {"url": DATA_URL + base64.b64encode(png).decode()}})
    return parts


def _as_text(arguments: Mapping[str, Any] | str) -> str:
    """Servers parse this text back, so what is no object goes back to the model under one key."""
    return json.dumps(dict(as_object(arguments)))


def reply(exchange: Exchange, body: Mapping[str, Any]) -> Reply:
    """The reply in a 200 body. Raises ``RetryableError`` when the body has not the protocol's shape."""
    choices = body.get("choices")
    choice = choices[0] if isinstance(choices, list) and choices else None
    message = choice.get("message") if isinstance(choice, Mapping) else None
    if not isinstance(choice, Mapping) or not isinstance(message, Mapping):
        raise RetryableError("The server's answer has no choice with a message.")
    return Reply(
        text=_text(message.get("content")),
        thinking=_text(message.get("reasoning_content") or message.get("reasoning")),
        calls=_calls(message.get("tool_calls") or ()),
        done_reason=str(choice.get("finish_reason") or ""),
        usage=_usage(body.get("usage")),
        latency_s=exchange.latency_s,
        request=exchange.request,
        response=body,
        status=exchange.status,
        retry=exchange.retry,
    )


def _text(content: Any) -> str:
    if isinstance(content, list):
        return "".join(str(part.get("text", "")) for part in content if isinstance(part, Mapping))
    return str(content or "")


def _calls(raw: Any) -> tuple[ProposedCall, ...]:
    calls = []
    for index, item in enumerate(raw):
        function = item.get("function") if isinstance(item, Mapping) else None
        if not isinstance(function, Mapping):
            raise RetryableError("The server's answer has a tool call without a function.")
        arguments = function.get("arguments") or "{}"
        if not isinstance(arguments, (Mapping, str)):
            arguments = json.dumps(arguments)
        calls.append(
            ProposedCall(
                name=str(function.get("name", "")), arguments=arguments, id=str(item.get("id") or f"call_{index}")
            )
        )
    return tuple(calls)


def _usage(raw: Any) -> Usage:
    def count(key: str) -> int | None:
        value = raw.get(key) if isinstance(raw, Mapping) else None
        return value if isinstance(value, int) and not isinstance(value, bool) else None

    return Usage(prompt_tokens=count("prompt_tokens"), completion_tokens=count("completion_tokens"))


def http_error(exchange: Exchange, api_key_env: str) -> ControllerError:
    """What an HTTP error status means for the trial."""
    text = exchange.error or ""
    low = text.lower() + json.dumps(exchange.response).lower()
    if any(words in low for words in OVERFLOW_WORDS):
        return TruncatedError(f"The conversation does not fit the model's context. {text}")
    if exchange.status in (401, 403):
        return ControllerError(f"The server wants a valid key: set {api_key_env}. {text}")
    if "support" in low and "tool" in low and (exchange.status or 0) < 500:
        return NoToolsError(f"The model or its server does not take tools. {text}")
    if exchange.status == 429 or (exchange.status or 0) >= 500:
        return RetryableError(f"The server failed to answer. {text}")
    return ControllerError(f"The server refused the request. {text}")


def models(body: Any) -> list[Mapping[str, object]]:
    """The entries of ``/models`` that have an id."""
    data = body.get("data") if isinstance(body, Mapping) else None
    return [m for m in data if isinstance(m, Mapping) and "id" in m] if isinstance(data, list) else []


def window(listed: Sequence[Mapping[str, object]], model: str) -> int | None:
    """Tokens of context as vLLM (``max_model_len``) or llama.cpp (``meta.n_ctx``) list them; else ``None``."""
    for entry in listed:
        meta = entry.get("meta")
        found = entry.get("max_model_len") or (meta.get("n_ctx") if isinstance(meta, Mapping) else None)
        if entry["id"] == model and isinstance(found, int):
            return found
    return None
