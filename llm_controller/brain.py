"""What a language model looks like to the decision loop: messages in, one reply out.

A *brain* is the language model behind an LLM controller; a *controller* is what chooses actions.
Four brains are meant to exist: ``ollama``, ``openai`` (any compatible server), ``inspect`` and ``local``.
All of them share the values below, and one conformance suite runs over them.

CAVEAT: no real Ollama server and no pretrained model was available while this was written. The OpenAI
brain was run against a real inference server with a tiny random model, the Ollama brain against a
server that replays the protocol and its known defects.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, TypeVar, runtime_checkable

from redbutton.robots.interface import REASONING, ControllerError, ToolSpec

Role = Literal["system", "user", "assistant", "tool"]
E = TypeVar("E", bound=ControllerError)
LONGEST_SENT = 1000
"""A text that may be longer than this is sent to a server without its length [characters]."""


@dataclass(frozen=True, kw_only=True)
class ProposedCall:
    """A tool call as the model wrote it; nothing about it has been checked."""

    name: str
    arguments: Mapping[str, Any] | str
    """An object, or the raw text when it did not parse as one."""
    id: str = ""


@dataclass(frozen=True, kw_only=True)
class Message:
    """One turn of the conversation."""

    role: Role
    content: str = ""
    thinking: str = ""
    """What a thinking model wrote before an assistant turn."""
    tool_calls: tuple[ProposedCall, ...] = ()
    images_png: tuple[bytes, ...] = ()
    """Camera frames; in user turns only, because servers support them unevenly in tool turns."""
    tool_name: str = ""
    """For a tool turn: the tool that it answers."""
    call_id: str = ""
    """For a tool turn: the id of the call that it answers."""


@dataclass(frozen=True, kw_only=True)
class Usage:
    """Tokens as the server counted them; ``None`` where it did not say."""

    prompt_tokens: int | None = None
    completion_tokens: int | None = None

    def as_dict(self) -> dict[str, int | None]:
        """For the record."""
        return {"prompt_tokens": self.prompt_tokens, "completion_tokens": self.completion_tokens}


@dataclass(frozen=True, kw_only=True)
class Exchange:
    """One request and what came back, successful or not, as it goes into the record.

    Images in ``request`` are replaced by ``sha256:<hex> <n> bytes``, so that records stay small.
    """

    request: Mapping[str, Any]
    response: Mapping[str, Any] | str | None
    """The parsed body, the raw text where it was no JSON object, ``None`` when nothing came back."""
    status: int | None = None
    """HTTP status; ``None`` when there was none."""
    latency_s: float = 0.0
    """Wall seconds from request to answer; the time to load a model is subtracted."""
    usage: Usage = field(default_factory=Usage)
    retry: int = 0
    """0 for the first attempt of a call."""
    error: str | None = None


@dataclass(frozen=True, kw_only=True)
class Reply:
    """What the model answered, and the exact bodies of the attempt that brought it."""

    text: str = ""
    thinking: str = ""
    calls: tuple[ProposedCall, ...] = ()
    done_reason: str = ""
    usage: Usage = field(default_factory=Usage)
    latency_s: float = 0.0
    request: Mapping[str, Any] = field(default_factory=dict)
    response: Mapping[str, Any] | str | None = None
    status: int | None = None
    retry: int = 0
    earlier: tuple[Exchange, ...] = ()
    """Attempts that failed before this one, oldest first."""

    def exchanges(self) -> tuple[Exchange, ...]:
        """Every attempt, oldest first; the last one is the one that brought this reply."""
        last = Exchange(
            request=self.request,
            response=self.response,
            status=self.status,
            latency_s=self.latency_s,
            usage=self.usage,
            retry=self.retry,
        )
        return (*self.earlier, last)


@dataclass(frozen=True, kw_only=True)
class Capabilities:
    """What a model can do, and how much of a conversation it can hold."""

    tools: bool
    vision: bool = False
    thinking: bool = False
    context_tokens: int | None = None
    """Tokens that one request may fill, prompt and answer together; ``None`` when the server does not say."""
    answer_tokens: int = 1024
    """Tokens set aside for the answer."""
    reasoning: tuple[str, ...] | None = None
    """Levels of ``REASONING`` besides ``default`` that it can be asked for; ``None`` when that cannot be known."""
    model: str = ""
    digest: str = ""
    """Identity of the weights, for ``run.json``; empty when the server does not give one."""

    def prompt_budget(self) -> int | None:
        """Tokens that a prompt may take, or ``None`` without a known limit."""
        if self.context_tokens is None:
            return None
        return max(1, self.context_tokens - self.answer_tokens - 8)


@runtime_checkable
class Brain(Protocol):
    """A language model. Every failure is a ``ControllerError`` whose ``validity`` says why the trial is void.

    A brain attaches the bodies of the failed attempts to the error (``with_exchanges``), so that they are
    recorded too. It keeps nothing of a conversation: the messages of each call are the whole of it.
    """

    @property
    def name(self) -> str:
        """Short name for records, e.g. ``ollama:qwen3:8b``."""

    def capabilities(self) -> Capabilities:
        """Ask once what the model can do; later calls answer from memory. May reach for the server."""

    def chat(
        self, messages: Sequence[Message], tools: Sequence[ToolSpec], seed: int, reasoning: str = "default"
    ) -> Reply:
        """One reply to the whole conversation. Raises a ``ControllerError`` when there is none to trust.

        ``reasoning``: one of ``REASONING``. A model that cannot be asked for it is an error, never passed over.
        """

    def close(self) -> None:
        """Release what is held. Safe to call twice."""


def with_exchanges(error: E, exchanges: Sequence[Exchange]) -> E:
    """The same error, carrying the bodies of the attempts that led to it."""
    error.__dict__["exchanges"] = tuple(exchanges)
    return error


def exchanges_of(error: ControllerError) -> tuple[Exchange, ...]:
    """What ``with_exchanges`` attached; empty for an error that never met a server."""
    found: tuple[Exchange, ...] = error.__dict__.get("exchanges", ())
    return found


def refuse_reasoning(known: Capabilities, reasoning: str) -> None:
    """Raise ``ControllerError`` where a model is known not to take this level."""
    if reasoning not in REASONING:
        raise ValueError(f"reasoning must be one of {', '.join(REASONING)}. Received {reasoning!r}")
    if reasoning == "default" or known.reasoning is None or reasoning in known.reasoning:
        return
    takes = ", ".join(("default", *known.reasoning))
    raise ControllerError(
        f'reasoning must be a level that the model takes. Received {reasoning}; "{known.model}" takes {takes}. '
        "Leave the level out of the study, or say by options what the model takes (docs/controllers.md)."
    )


def tool_definitions(tools: Sequence[ToolSpec]) -> list[dict[str, Any]]:
    """The tools as both protocols want them: a list of function schemas."""
    return [
        {"type": "function", "function": {"name": t.name, "description": t.description, "parameters": _sent(t)}}
        for t in tools
    ]


def _sent(tool: ToolSpec) -> dict[str, Any]:
    """The schema of the arguments without the lengths of long texts, which are checked here all the same.

    llama.cpp's server makes a grammar of the schema and refuses the whole request where a text may have 2,000
    characters or more (its issues 17473 and 27087; builds of November 2025 to September 2026).
    """
    schema = tool.parameters_schema()
    for prop in schema["properties"].values():
        if prop.get("maxLength", 0) > LONGEST_SENT:
            del prop["maxLength"]
    return schema


def tools_chars(tools: Sequence[ToolSpec]) -> int:
    """Characters that the tool definitions add to a prompt."""
    return len(json.dumps(tool_definitions(tools)))


def as_object(arguments: Mapping[str, Any] | str) -> Mapping[str, Any]:
    """Arguments as a JSON object, for sending a call back: what is none goes as text under one key.

    Strictly: a server that reads ``1e999`` or ``NaN`` back from its own model answers with HTTP 500.
    """
    try:
        parsed = json.loads(arguments) if isinstance(arguments, str) else dict(arguments)
        json.dumps(parsed, allow_nan=False)
    except ValueError:
        return {"arguments": str(arguments)}
    return parsed if isinstance(parsed, dict) else {"arguments": str(arguments)}


def retry_seed(seed: int, retry: int) -> int:
    """The seed of the ``retry``-th attempt: the first keeps its own, later ones get new ones that fit 31 bits."""
    return (seed + 7_919 * retry) % 2**31
