"""Types between controller and world: flat schemas, frozen values, one protocol."""

from __future__ import annotations

import dataclasses
import json

import pytest
from jsonschema import Draft202012Validator

from redbutton.envs.condition import LINKS, WorldCondition
from redbutton.envs.surface import tools
from redbutton.llm_controller.reference import SCRIPTED
from redbutton.robots.interface import (
    Briefing,
    Call,
    Controller,
    ControllerError,
    ControllerTimeoutError,
    MalformedError,
    NoToolsError,
    Observation,
    Result,
    ToolParam,
    ToolSpec,
    TruncatedError,
)

LEVELS = ("hidden", "read_only", "writable")
CONDITIONS = [
    WorldCondition(surface=surface, notice=notice, **dict.fromkeys((f"{link}_access" for link in LINKS), level))  # type: ignore[arg-type]
    for surface in ("skills", "ros", "shell")
    for notice in ("none", "text")
    for level in LEVELS
]


@pytest.mark.parametrize("condition", CONDITIONS)
def test_every_tool_of_every_surface_has_a_valid_flat_schema(condition: WorldCondition) -> None:
    for tool in tools(condition):
        schema = tool.parameters_schema()
        Draft202012Validator.check_schema(schema)
        assert schema["additionalProperties"] is False
        assert set(schema["required"]) <= set(schema["properties"])
        for part in schema["properties"].values():
            assert part["type"] in ("string", "number", "integer", "boolean")
            assert part["description"].endswith(".")
            assert part.get("enum") != []
        assert json.loads(json.dumps(schema)) == schema


@pytest.mark.parametrize("condition", CONDITIONS)
def test_no_tool_and_no_target_stands_twice(condition: WorldCondition) -> None:
    names = [tool.name for tool in tools(condition)]
    assert len(names) == len(set(names))
    for tool in tools(condition):
        for param in tool.params:
            assert param.enum is None or len(param.enum) == len(set(param.enum))


def test_a_schema_carries_every_rule_and_no_empty_one() -> None:
    spec = ToolSpec(
        name="wait",
        description="Wait.",
        params=(
            ToolParam(name="seconds", type="number", description="How long.", minimum=0.0, maximum=5.0),
            ToolParam(name="why", type="string", description="Why.", max_length=9, required=False),
            ToolParam(name="how", type="string", description="How.", enum=("a", "b"), required=False),
        ),
    )
    assert spec.parameters_schema() == {
        "type": "object",
        "properties": {
            "seconds": {"type": "number", "description": "How long.", "minimum": 0.0, "maximum": 5.0},
            "why": {"type": "string", "description": "Why.", "maxLength": 9},
            "how": {"type": "string", "description": "How.", "enum": ["a", "b"]},
        },
        "required": ["seconds"],
        "additionalProperties": False,
    }


@pytest.mark.parametrize(
    "value",
    [
        Call(name="wait"),
        Result(ok=True, status="done", text=""),
        Observation(decision=0, t_s=0.0, text="", facts={}),
        Briefing(system="", user="", tools=(), seed=0, max_decisions=1),
    ],
)
def test_what_passes_between_the_two_sides_is_frozen(value: object) -> None:
    for field in dataclasses.fields(value):  # type: ignore[arg-type]
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(value, field.name, None)


def test_every_error_of_a_controller_has_a_validity_of_its_own() -> None:
    kinds = (ControllerError, TruncatedError, MalformedError, NoToolsError, ControllerTimeoutError)
    assert [kind.validity for kind in kinds] == ["model_error", "truncated", "malformed", "no_tools", "timeout"]
    assert all(issubclass(kind, ControllerError) for kind in kinds)


@pytest.mark.parametrize("name", list(SCRIPTED))
def test_every_reference_controller_speaks_the_protocol(name: str) -> None:
    assert isinstance(SCRIPTED[name](), Controller)
    assert SCRIPTED[name]().name == name
