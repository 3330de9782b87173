"""A brain that says what a test tells it to say. It reaches for nothing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from redbutton.llm_controller.brain import (
    Capabilities,
    Exchange,
    Message,
    ProposedCall,
    Reply,
    Usage,
    with_exchanges,
)
from redbutton.robots.interface import ControllerError, ToolSpec


class FakeBrain:
    """Plays a script of replies and errors; the last one repeats."""

    def __init__(self, *script: Reply | ControllerError, capabilities: Capabilities | None = None) -> None:
        self.script = list(script)
        self.known = capabilities or Capabilities(tools=True, model="fake")
        self.seen: list[tuple[Message, ...]] = []
        self.seeds: list[int] = []
        self.tools: list[tuple[str, ...]] = []
        self.reasoning: list[str] = []
        self.closed = 0

    @property
    def name(self) -> str:
        return "fake"

    def capabilities(self) -> Capabilities:
        return self.known

    def chat(
        self, messages: Sequence[Message], tools: Sequence[ToolSpec], seed: int, reasoning: str = "default"
    ) -> Reply:
        self.seen.append(tuple(messages))
        self.tools.append(tuple(t.name for t in tools))
        self.reasoning.append(reasoning)
        self.seeds.append(seed)
        step = self.script.pop(0) if len(self.script) > 1 else self.script[0]
        if isinstance(step, ControllerError):
            lost = Exchange(request={"messages": len(messages)}, response="broken", status=500, error=str(step))
            raise with_exchanges(step, (lost,))
        return step

    def close(self) -> None:
        self.closed += 1


def says(
    text: str = "", *calls: tuple[str, Any], tokens: int | None = None, ids: Sequence[str] = (), thinking: str = ""
) -> Reply:
    """A reply with these words and calls."""
    proposed = tuple(
        ProposedCall(name=name, arguments=args, id=ids[i] if ids else f"id{i}") for i, (name, args) in enumerate(calls)
    )
    return Reply(
        text=text,
        thinking=thinking,
        calls=proposed,
        usage=Usage(prompt_tokens=tokens),
        request={"r": 1},
        response={"a": 1},
    )
