"""Inspect AI's chat values as plain JSON: ours to its, and back. No I/O, and no import of ``inspect_ai``.

Source: the fields of ``ChatMessage``, ``ToolInfo``, ``ModelOutput`` and ``ModelEvent`` of Inspect 0.3.285, as their
``model_dump`` gives them.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from redbutton.llm_controller.brain import Exchange, Message, ProposedCall, Reply, Usage, as_object
from redbutton.llm_controller.ollama_wire import OVERFLOW_WORDS as OLLAMA_OVERFLOW
from redbutton.llm_controller.openai_wire import OVERFLOW_WORDS as OPENAI_OVERFLOW
from redbutton.llm_controller.transport import DATA_URL, without_images
from redbutton.robots.interface import (
    ControllerError,
    ControllerTimeoutError,
    NoToolsError,
    ToolSpec,
    TruncatedError,
)

SPOKEN = frozenset({"messages", "contents", "input", "tools", "system", "prompt"})
"""Keys of a request that hold the conversation; what stands there is no setting."""
REASONING = ("reason", "think", "effort")
"""What the names of providers' settings for reasoning have in common."""
ATTACHMENT = "attachment://"
OVERFLOW_WORDS = frozenset((*OLLAMA_OVERFLOW, *OPENAI_OVERFLOW))


@dataclass(frozen=True, kw_only=True)
class ForeignTool(ToolSpec):
    """A tool with any JSON Schema, from a task that is none of ours."""

    schema: Mapping[str, Any] = field(default_factory=dict)

    def parameters_schema(self) -> dict[str, Any]:
        """The schema as it came."""
        return dict(self.schema)


def chat_message(message: Message) -> dict[str, Any]:
    """One of our turns as a ``ChatMessage``."""
    body: dict[str, Any] = {"role": message.role, "content": _content(message)}
    if message.role == "tool":
        body |= {"tool_call_id": message.call_id, "function": message.tool_name}
    if message.tool_calls:
        body["tool_calls"] = [
            {"id": c.id, "function": c.name, "arguments": dict(as_object(c.arguments)), "type": "function"}
            for c in message.tool_calls
        ]
    return body


def _content(message: Message) -> str | list[dict[str, Any]]:
    parts: list[dict[str, Any]] = []
    if message.thinking and message.role == "assistant":
        parts.append({"type": "reasoning", "reasoning": message.thinking})
    parts += [{"type": "image", "image": DATA_URL + base64.b64encode(png).decode()} for png in message.images_png]
    if not parts:
        return message.content
    return [{"type": "text", "text": message.content}, *parts] if message.content else parts


def tool_info(tool: ToolSpec) -> dict[str, Any]:
    """One of our tools as a ``ToolInfo``."""
    return {"name": tool.name, "description": tool.description, "parameters": tool.parameters_schema()}


def message(body: Mapping[str, Any]) -> Message:
    """A ``ChatMessage`` as one of our turns. Raises ``ControllerError`` for content that we cannot hand on."""
    parts = body["content"] if isinstance(body["content"], list) else [{"type": "text", "text": body["content"]}]
    if other := next((p["type"] for p in parts if p["type"] not in ("text", "reasoning", "image")), None):
        raise ControllerError(f"This provider takes text and images. Received content of type {other}.")
    images = tuple(_image(p["image"]) for p in parts if p["type"] == "image")
    if images and body["role"] != "user":
        raise ControllerError(f"This provider takes images in user turns only. Received one from {body['role']}.")
    return Message(
        role=body["role"],
        content="\n".join(p["text"] for p in parts if p["type"] == "text"),
        thinking=_thinking(parts) if body["role"] == "assistant" else "",
        tool_calls=_calls(body.get("tool_calls") or ()),
        images_png=images,
        tool_name=body.get("function") or "",
        call_id=str(body.get("tool_call_id") or "") if body["role"] == "tool" else "",
    )


def _image(url: str) -> bytes:
    head, _, data = url.partition(",")
    try:
        if not head.startswith("data:image/"):
            raise ValueError(head)
        return base64.b64decode(data, validate=True)
    except (ValueError, binascii.Error):
        raise ControllerError("This provider takes images as data URLs only.") from None


def _thinking(parts: Sequence[Mapping[str, Any]]) -> str:
    """What a model showed of its reasoning: the text, or its summary where the text is withheld."""
    shown = [p.get("summary") if p.get("redacted") else p.get("reasoning") for p in parts if p["type"] == "reasoning"]
    return "\n".join(text for text in shown if text)


def _calls(raw: Sequence[Mapping[str, Any]]) -> tuple[ProposedCall, ...]:
    """Calls; arguments that Inspect could not parse come as its message, which is no object and so a bad call."""
    return tuple(
        ProposedCall(name=c["function"], arguments=c.get("parse_error") or c["arguments"], id=c["id"]) for c in raw
    )


def exchange(attempt: Mapping[str, Any], retry: int) -> Exchange:
    """One attempt from its plain values: settings and raw bodies as far as Inspect shows them."""
    call = attempt.get("call") or {}
    settings = {k: v for k, v in attempt["config"].items() if v is not None}
    request = {"model": attempt["model"], "config": settings, "tool_choice": attempt["tool_choice"]}
    output = attempt["output"]
    shown = ("model", "stop_reason", "usage", "fallback", "response_id", "error")
    choice = (output.get("choices") or [{}])[0]
    response = {k: v for k, v in {**output, **choice}.items() if k in shown and v is not None}
    answered = {**response, "message": _said(choice)} if not attempt.get("error") else {}
    return Exchange(
        request=without_images({**request, "call": call.get("request")}),
        response={**answered, "call": call.get("response")},
        latency_s=attempt["latency_s"],
        usage=usage(output.get("usage")),
        retry=retry,
        error=" ".join(attempt["error"].split())[:300] if attempt.get("error") else None,
    )


def _said(choice: Mapping[str, Any]) -> dict[str, Any] | None:
    said = choice.get("message")
    return None if said is None else {k: said[k] for k in ("content", "tool_calls") if said.get(k)}


def usage(raw: Mapping[str, Any] | None) -> Usage:
    """Tokens of one call; those read from or written to a provider's cache are part of the prompt."""
    if raw is None:
        return Usage()
    cached = [raw.get(f"input_tokens_cache_{way}") or 0 for way in ("read", "write")]
    return Usage(prompt_tokens=raw["input_tokens"] + sum(cached), completion_tokens=raw["output_tokens"])


def reply(body: Mapping[str, Any], last: Exchange, earlier: Sequence[Exchange]) -> Reply:
    """The reply in the dump of a ``ModelOutput``. Raises ``ControllerError`` when it has none."""
    choices = body.get("choices") or ()
    if not choices:
        raise ControllerError(f"The provider's answer has no message. {body.get('error') or ''}".strip())
    said = message({**choices[0]["message"], "role": "assistant"})
    return Reply(
        text=said.content,
        thinking=said.thinking,
        calls=said.tool_calls,
        done_reason=choices[0]["stop_reason"],
        usage=last.usage,
        latency_s=last.latency_s,
        request=last.request,
        response=last.response,
        retry=last.retry,
        earlier=tuple(earlier),
    )


def cut_off(reason: str) -> ControllerError | None:
    """What a stop reason says against a reply; ``None`` when nothing."""
    if reason == "max_tokens":
        return TruncatedError("The answer was cut off by a limit. Raise max_tokens.")
    if reason == "model_length":
        return TruncatedError("The conversation does not fit the model's context.")
    if reason == "content_filter":
        return ControllerError("The provider's filter cut the answer, so it is not the model's own.")
    return None


def failure(error: BaseException) -> ControllerError:
    """What an exception out of Inspect or a provider means for the trial."""
    chain = list(_causes(error))
    text = " ".join(str(chain[-1]).split())[:300] or type(chain[-1]).__name__
    low = " ".join(str(e) for e in chain).lower()
    if any(isinstance(e, TimeoutError) or "Timeout" in type(e).__name__ for e in chain):
        return ControllerTimeoutError(f"No answer from the model in time. {text}")
    if any(words in low for words in OVERFLOW_WORDS):
        return TruncatedError(f"The conversation does not fit the model's context. {text}")
    if "support" in low and "tool" in low:
        return NoToolsError(f"The model or its server does not take tools. {text}")
    return ControllerError(f"The call of the model failed in Inspect. {text}")


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """The exception and what it was raised from, outermost first."""
    seen = 0
    while error is not None and seen < 20:
        yield error
        attempt = getattr(error, "last_attempt", None)  # a retry that gave up keeps its last failure there
        error = attempt.exception() if attempt is not None else error.__cause__
        seen += 1


def mentions_reasoning(body: Any) -> bool:
    """Whether a raw request holds a setting for reasoning, outside the conversation."""
    if isinstance(body, Mapping):
        settings = {k: v for k, v in body.items() if k not in SPOKEN}
        return any(
            (v is not None and any(word in str(k).lower() for word in REASONING)) or mentions_reasoning(v)
            for k, v in settings.items()
        )
    return isinstance(body, (list, tuple)) and any(map(mentions_reasoning, body))


def resolved(body: Any, attachments: Mapping[str, str]) -> Any:
    """A copy in which every reference to an attachment is the attachment."""
    if isinstance(body, Mapping):
        return {k: resolved(v, attachments) for k, v in body.items()}
    if isinstance(body, (list, tuple)):
        return [resolved(v, attachments) for v in body]
    if isinstance(body, str) and body.startswith(ATTACHMENT):
        return attachments.get(body[len(ATTACHMENT) :], body)
    return body


def key_of(said: Message) -> str:
    """What tells one assistant turn of a conversation from another, without its ids."""
    calls = [(c.name, dict(as_object(c.arguments))) for c in said.tool_calls]
    return json.dumps([said.content, said.thinking, calls], sort_keys=True, default=str)
