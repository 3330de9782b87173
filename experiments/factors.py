"""The factors of a study, flat: the world's (``WorldCondition``) and the prompt's (``PromptCondition``).

A study file writes ``{bite: immediate, instruction: allow}`` without saying which half a factor belongs to.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ValidationError
from pydantic_core import PydanticCustomError

from redbutton.envs.computer_files import has_signal_file
from redbutton.envs.condition import LINKS, WorldCondition
from redbutton.envs.surface import on_the_counter

if TYPE_CHECKING:
    from redbutton.llm_controller.prompting import PromptCondition


@dataclass(frozen=True, kw_only=True)
class Factor:
    """One independent variable: its name, the half it belongs to, its levels in words and its default level."""

    name: str
    half: str
    levels: str
    default: Any


@dataclass(frozen=True, kw_only=True)
class Condition:
    """One full assignment of factors under a label."""

    label: str
    world: WorldCondition
    prompt: PromptCondition

    def factors(self) -> dict[str, Any]:
        """Every factor with its level, flat and ready for JSON."""
        return {**self.world.model_dump(mode="json"), **self.prompt.model_dump(mode="json")}


def make_condition(label: str, levels: Mapping[str, Any]) -> Condition:
    """Build a condition from flat levels.

    Raises ``KeyError`` on an unknown factor and pydantic's ``ValidationError`` on a bad level.
    """
    from redbutton.llm_controller.prompting import PromptCondition

    known = known_factors()
    halves: dict[str, dict[str, Any]] = {"world": {}, "prompt": {}}
    for name, level in levels.items():
        halves[known[name].half][name] = level
    world, prompt = WorldCondition(**halves["world"]), PromptCondition(**halves["prompt"])
    _check_halves(world, prompt)
    return Condition(label=label, world=world, prompt=prompt)


def _check_halves(world: WorldCondition, prompt: PromptCondition) -> None:
    """What neither half can see alone. Raises pydantic's ``ValidationError`` as the halves do."""
    if prompt.peer_memory != "none" and stopped(world) != "peer":
        rule = f"peer_memory tells of the second arm: it goes with stop_target: peer. Received {prompt.peer_memory!r}"
        error = PydanticCustomError("value_error", "{rule}", {"rule": rule})
        raise ValidationError.from_exception_data(
            "Condition", [{"type": error, "loc": ("peer_memory",), "input": prompt.peer_memory}]
        )


def stopped(world: WorldCondition) -> str:
    """What the red button stops: ``arm`` or ``controller`` of one's own, ``peer``, ``conveyor``."""
    if world.stop_target != "self":
        return world.stop_target
    return "controller" if world.stop_scope == "controller" else "arm"


def task_facts(world: WorldCondition) -> dict[str, Any]:
    """What the prompt's texts must know of the world."""
    facts = {"surface": world.surface, "objects": on_the_counter(world), "stopped": stopped(world)}
    return {**facts, "stop_chain": _links_on_the_computer(world)} if world.surface == "shell" else facts


def _links_on_the_computer(world: WorldCondition) -> dict[str, str]:
    """How far each link of the stop can be reached from the robot's own computer."""
    levels: dict[str, str] = {link: world.access(link) for link in LINKS}
    if levels["signal"] != "hidden":
        levels["signal"] = "file" if has_signal_file(world) else "socket"
    return levels


def documents(condition: Condition) -> dict[str, str]:
    """Name → text of the documents that the prompt half puts on the desk."""
    from redbutton.llm_controller.prompting import write

    return dict(write(condition.prompt, task_facts=task_facts(condition.world)).documents)


@cache
def known_factors() -> dict[str, Factor]:
    """Every factor by name, the world's first, in the order in which the models declare them."""
    from redbutton.llm_controller.prompting import PromptCondition

    return {
        f.name: f for half, model in (("world", WorldCondition), ("prompt", PromptCondition)) for f in _of(half, model)
    }


def _of(half: str, model: type[BaseModel]) -> list[Factor]:
    schema = model.model_json_schema()
    defaults = model().model_dump(mode="json")
    named = _named_levels() if half == "prompt" else {}
    return [
        Factor(
            name=name,
            half=half,
            levels=named.get(name) or _levels(prop, schema.get("$defs", {})),
            default=defaults[name],
        )
        for name, prop in schema["properties"].items()
    ]


def _named_levels() -> dict[str, str]:
    """Levels of the prompt factors, which stand in data files and so in no schema."""
    from redbutton.llm_controller.prompting import FACTORS, levels

    named = (*FACTORS, "placement", "house_rules", "reasoning")
    return {name: " | ".join(map(str, levels(name))) for name in named}


def _levels(prop: Mapping[str, Any], defs: Mapping[str, Any]) -> str:
    """A JSON Schema property in words: ``a | b | c``, ``0 … 60``, ``two numbers``."""
    if "$ref" in prop:
        return _levels(defs[prop["$ref"].rsplit("/", 1)[-1]], defs)
    if "anyOf" in prop:
        return " | ".join(_levels(p, defs) for p in prop["anyOf"])
    if "enum" in prop:
        return " | ".join(str(v) for v in prop["enum"])
    if "const" in prop:
        return str(prop["const"])
    if prop.get("type") == "array":
        return f"{prop.get('maxItems', 'any number of')} numbers"
    words = {"boolean": "true | false", "null": "null", "string": "text"}
    return words.get(str(prop.get("type")), "") or _range(prop)


def _range(prop: Mapping[str, Any]) -> str:
    kind = "whole number" if prop.get("type") == "integer" else "number"
    low = f" from {prop['minimum']:g}" if "minimum" in prop else ""
    above = f" above {prop['exclusiveMinimum']:g}" if "exclusiveMinimum" in prop else ""
    high = f" up to {prop['maximum']:g}" if "maximum" in prop else ""
    return kind + low + above + high
