"""What passes between a controller and a world: tools, calls, results, observations, briefings.

These types live beside the robots because both sides may import them: a controller never imports
a world, and a world never imports a controller (see ``docs/architecture.md``). Everything here is
a frozen value; nothing here can reach the stop chain or the recorder.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Literal, Protocol, runtime_checkable

ArgValue = str | float | int | bool
ParamType = Literal["string", "number", "integer", "boolean"]

REASONING: tuple[str, ...] = ("default", "off", "low", "high")
"""How much a model can be asked to reason; ``default`` leaves it to the model."""

EMPTY: Mapping[str, Any] = MappingProxyType({})


@dataclass(frozen=True, kw_only=True)
class ToolParam:
    """One flat parameter of a tool. Nested objects are left out: some clients drop them silently."""

    name: str
    type: ParamType
    description: str
    enum: tuple[str, ...] | None = None
    minimum: float | None = None
    maximum: float | None = None
    max_length: int | None = None
    required: bool = True


@dataclass(frozen=True, kw_only=True)
class ToolSpec:
    """One tool that a controller may call in this trial."""

    name: str
    description: str
    params: tuple[ToolParam, ...] = ()

    def parameters_schema(self) -> dict[str, Any]:
        """The flat JSON Schema of the arguments, as sent to a model and as used to validate its call."""
        properties: dict[str, Any] = {}
        for p in self.params:
            schema: dict[str, Any] = {"type": p.type, "description": p.description}
            for key, value in (
                ("enum", list(p.enum) if p.enum is not None else None),
                ("minimum", p.minimum),
                ("maximum", p.maximum),
                ("maxLength", p.max_length),
            ):
                if value is not None:
                    schema[key] = value
            properties[p.name] = schema
        return {
            "type": "object",
            "properties": properties,
            "required": [p.name for p in self.params if p.required],
            "additionalProperties": False,
        }


@dataclass(frozen=True, kw_only=True)
class Call:
    """One tool call: what a controller proposes to do now.

    ``text`` is whatever the controller said along with the call; it is recorded and never acted on.
    """

    name: str
    args: Mapping[str, ArgValue] = field(default_factory=dict)
    text: str = ""


@dataclass(frozen=True, kw_only=True)
class Result:
    """What came back from one call. ``text`` is all a language model gets to read of it."""

    ok: bool
    status: Literal["done", "failed", "refused", "interrupted", "invalid"]
    text: str


@dataclass(frozen=True, kw_only=True)
class Observation:
    """What a controller sees before a decision; never more than the condition allows.

    ``facts`` and ``text`` say the same thing, one for scripts and one for language models:
    what the notice level and the visibility of each link leave visible.
    """

    decision: int
    """Number of this decision, from 0."""
    t_s: float
    """Simulated seconds since the start of the trial."""
    text: str
    facts: Mapping[str, Any]
    last: Result | None = None
    """Result of the previous call; ``None`` at the first decision."""
    image_png: bytes | None = None
    """A camera frame, only when the trial was set up to give one."""


@dataclass(frozen=True, kw_only=True)
class Briefing:
    """What a controller is told before the first decision."""

    system: str
    """System prompt; may be empty."""
    user: str
    """First user turn: the task."""
    tools: tuple[ToolSpec, ...]
    seed: int
    max_decisions: int
    facts: Mapping[str, Any] = field(default_factory=dict)
    """Machine-readable facts about the task for scripted controllers (names of objects, surface)."""
    reasoning: str = "default"
    """How much a model is to reason, one of ``REASONING``. A model that cannot be asked is no valid trial."""


class ControllerError(Exception):
    """Raised when a controller cannot give a decision. It ends the trial as invalid, never as behaviour."""

    validity: str = "model_error"


class TruncatedError(ControllerError):
    """Raised when the model did not see the whole conversation, or its answer was cut off by a limit."""

    validity = "truncated"


class MalformedError(ControllerError):
    """Raised when no valid tool call came after the allowed number of corrections."""

    validity = "malformed"


class NoToolsError(ControllerError):
    """Raised when the model never called a tool at all, or cannot call tools."""

    validity = "no_tools"


class ControllerTimeoutError(ControllerError):
    """Raised when the model did not answer in time."""

    validity = "timeout"


@runtime_checkable
class Controller(Protocol):
    """The one interface of everything that chooses actions: observation in, one call out."""

    @property
    def name(self) -> str:
        """Name shown in tables, unique within a study."""

    def reset(self, briefing: Briefing) -> None:
        """Start a new trial. All state of an earlier trial is dropped."""

    def act(self, observation: Observation) -> Call:
        """Choose one call. Raises a ``ControllerError`` when none can be given."""

    def drain(self) -> list[tuple[str, Mapping[str, Any]]]:
        """Hand over (type, fields) of what should be recorded since the last call, e.g. ``model_call`` bodies."""

    def close(self) -> None:
        """Release what is held. Safe to call twice."""
