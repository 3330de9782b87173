"""Ollama's native chat protocol: our values to its JSON and back. No I/O.

Source: the API page of the Ollama repository (``/api/chat``, ``/api/show``). Tool-call ids are not part of
the older protocol, so results go back with ``tool_name`` and in the order of the calls.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from redbutton.llm_controller.attempts import RetryableError
from redbutton.llm_controller.brain import (
    Capabilities,
    Exchange,
    Message,
    ProposedCall,
    Reply,
    Usage,
    as_object,
    tool_definitions,
)
from redbutton.robots.interface import (
    ControllerError,
    ControllerTimeoutError,
    NoToolsError,
    ToolSpec,
    TruncatedError,
)

if TYPE_CHECKING:
    from redbutton.llm_controller.ollama_brain import OllamaConfig

OVERFLOW_WORDS = ("context length", "context window", "context size", "exceeds the available context", "too long")


def capabilities(listed: Sequence[str], info: Mapping[str, Any], digest: str, model: str) -> Capabilities:
    """From the fields of ``/api/show``; the context length hides under ``<architecture>.context_length``."""
    length = next((int(v) for k, v in info.items() if k.endswith(".context_length")), None)
    return Capabilities(
        tools="tools" in listed,
        vision="vision" in listed,
        thinking="thinking" in listed,
        context_tokens=length,
        model=model,
        digest=digest,
    )


def clamp(found: Capabilities, num_ctx: int, num_predict: int) -> Capabilities:
    """The window that will be asked for: ``num_ctx``, but never more than the model was made for."""
    window = num_ctx if found.context_tokens is None else min(num_ctx, found.context_tokens)
    return replace(found, context_tokens=window, answer_tokens=min(num_predict, window // 2))


def think_values(told: str, shown: Mapping[str, Any], family: str) -> tuple[bool | str, ...]:
    """What a thinking model takes as ``think``.

    By the user's own word, else by ``thinking.values`` of ``/api/show``, which older servers do not give; else by
    family: gpt-oss takes words and cannot be kept from thinking, all others take true and false.
    """
    if told:
        return tuple({"true": True, "false": False}.get(word, word) for word in told.split(","))
    listed = shown.get("thinking")
    values = listed.get("values") if isinstance(listed, Mapping) else None
    if isinstance(values, list):
        return tuple(v for v in values if isinstance(v, (bool, str)))
    return ("low", "medium", "high") if family in ("gptoss", "gpt-oss") else (True, False)


def reasoning_levels(values: Sequence[bool | str]) -> tuple[str, ...]:
    """Our levels that such a model takes. ``low`` needs the word: what is only on or off has nothing between."""
    by_level = {"off": (False,), "low": ("low",), "high": ("high", True)}
    return tuple(level for level, words in by_level.items() if any(w in values for w in words))


def think(values: Sequence[bool | str], reasoning: str, default: bool | None) -> bool | str | None:
    """The value of ``think`` for a level that the model takes; ``None`` sends none."""
    if reasoning == "default":
        return default
    if reasoning == "off":
        return False
    return reasoning if reasoning in values else True


def same_model(installed: str, asked: str) -> bool:
    """Whether two names mean one model; without a tag ``:latest`` is meant."""
    return installed == asked or installed == f"{asked}:latest"


def installed_names(client: Any) -> list[str]:
    """Names of the installed models, for an error message; none when the server will not tell."""
    import ollama

    try:
        return [m.model or "" for m in client.list().models]
    except (ollama.ResponseError, ConnectionError, ValueError):
        return []


def chat_body(
    config: OllamaConfig,
    known: Capabilities,
    messages: Sequence[Message],
    tools: Sequence[ToolSpec],
    seed: int,
    think: bool | str | None = None,
) -> dict[str, Any]:
    """The body of ``/api/chat``. ``truncate`` and ``shift`` ask newer servers to refuse instead of dropping turns."""
    options: dict[str, Any] = {"num_ctx": known.context_tokens, "num_predict": config.num_predict, "seed": seed}
    for key in ("temperature", "top_p"):
        if getattr(config, key) is not None:
            options[key] = getattr(config, key)
    body: dict[str, Any] = {
        "model": config.model,
        "messages": [message_body(m, known.thinking) for m in messages],
        "tools": tool_definitions(tools),
        "stream": False,
        "truncate": False,
        "shift": False,
        "keep_alive": config.keep_alive,
        "options": options,
    }
    if known.thinking and think is not None:
        body["think"] = think
    return body


def message_body(message: Message, thinking: bool) -> dict[str, Any]:
    """One turn. A tool turn carries ``tool_name``; images go as bare base64."""
    body: dict[str, Any] = {"role": message.role, "content": message.content}
    if message.images_png:
        body["images"] = [base64.b64encode(png).decode() for png in message.images_png]
    if message.role == "tool":
        body["tool_name"] = message.tool_name
    if message.thinking and thinking:
        body["thinking"] = message.thinking
    if message.tool_calls:
        body["tool_calls"] = [
            {"function": {"name": c.name, "arguments": as_object(c.arguments)}} for c in message.tool_calls
        ]
    return body


def reply(exchange: Exchange, body: Mapping[str, Any]) -> Reply:
    """The reply in a 200 body. Raises ``RetryableError`` when the body has not the protocol's shape."""
    message = body.get("message")
    if not isinstance(message, Mapping) or not body.get("done", False):
        raise RetryableError("Ollama's answer has no finished message.")
    load_s = _number(body.get("load_duration")) / 1e9
    return Reply(
        text=str(message.get("content") or ""),
        thinking=str(message.get("thinking") or ""),
        calls=_calls(message.get("tool_calls") or ()),
        done_reason=str(body.get("done_reason") or ""),
        usage=Usage(prompt_tokens=_count(body, "prompt_eval_count"), completion_tokens=_count(body, "eval_count")),
        latency_s=max(0.0, exchange.latency_s - load_s),
        request=exchange.request,
        response=body,
        status=exchange.status,
        retry=exchange.retry,
    )


def _calls(raw: Any) -> tuple[ProposedCall, ...]:
    calls = []
    for index, item in enumerate(raw):
        function = item.get("function") if isinstance(item, Mapping) else None
        if not isinstance(function, Mapping):
            raise RetryableError("Ollama's answer has a tool call without a function.")
        arguments = function.get("arguments", {})
        if not isinstance(arguments, (Mapping, str)):
            arguments = json.dumps(arguments)
        # Ollama drops ids: one of our own keeps call and result together inside the conversation.
        calls.append(
            ProposedCall(
                name=str(function.get("name", "")), arguments=arguments, id=str(item.get("id") or f"call_{index}")
            )
        )
    return tuple(calls)


def _count(body: Mapping[str, Any], key: str) -> int | None:
    value = body.get(key)
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _number(value: Any) -> float:
    return float(value) if isinstance(value, (int, float)) else 0.0


def http_error(model: str, exchange: Exchange) -> ControllerError:
    """What an HTTP error status means for the trial."""
    text = exchange.error or ""
    low = text.lower()
    if any(words in low for words in OVERFLOW_WORDS):
        return TruncatedError(f"The conversation does not fit the model's context. {text}")
    if "does not support tools" in low:
        return NoToolsError(no_tools(model))
    if (exchange.status or 0) >= 500:
        # Above all "error parsing tool call": the server could not read its own model, which is no behaviour.
        return RetryableError(f"Ollama failed to answer. {text}")
    return ControllerError(f"Ollama refused the request. {text}")


def no_tools(model: str) -> str:
    """The line for a model without tools."""
    return (
        f'The model "{model}" cannot call tools, so it cannot drive the arm. '
        "Choose one whose `ollama show` lists the capability tools."
    )


def timed_out(url: str, seconds: float) -> ControllerTimeoutError:
    """The line for a server that does not answer."""
    return ControllerTimeoutError(f"No answer from {url} within {seconds:g} s.")


def address(host: str) -> str:
    """``OLLAMA_HOST`` as an address: scheme and port may be left out, 0.0.0.0 is where a server listens."""
    address = host if "://" in host else f"http://{host}"
    parts = urlsplit(address)
    name = "127.0.0.1" if parts.hostname in ("0.0.0.0", None) else parts.hostname
    return f"{parts.scheme}://{name}:{parts.port or 11434}"
