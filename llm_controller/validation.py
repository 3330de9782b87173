"""Checks a proposed call against the tool's own schema and says in one line what is wrong with it.

The model reads that line, so it names the rule, what came and what is allowed. Nothing is coerced: a number
in quotes is an error, because a world that guesses would hide how well a model uses its tools. Only two
things are accepted beyond the letter: arguments as JSON text, and a whole number written ``3.0``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, NoReturn

from redbutton.llm_controller.brain import ProposedCall
from redbutton.robots.calls import problem_with_args, problem_with_call, shown, signature
from redbutton.robots.interface import ArgValue, Call, ToolSpec


class InvalidCallError(ValueError):
    """Raised when a proposed call does not fit the tools. Its text is the one line for the model."""


def validated(proposed: ProposedCall, tools: Sequence[ToolSpec], text: str = "") -> Call:
    """The call with checked arguments. Raises ``InvalidCallError``."""
    spec = _tool(proposed.name, tools)
    args = _object(proposed, spec)
    problem = problem_with_args(spec, args)
    if problem is not None:
        raise InvalidCallError(problem)
    return Call(name=spec.name, args=_whole_numbers(spec, args), text=text)


def _tool(name: str, tools: Sequence[ToolSpec]) -> ToolSpec:
    for spec in tools:
        if spec.name == name:
            return spec
    raise InvalidCallError(problem_with_call(tools, name, {}))


def _object(proposed: ProposedCall, spec: ToolSpec) -> dict[str, Any]:
    raw = proposed.arguments
    if isinstance(raw, Mapping):
        return dict(raw)
    try:
        parsed = json.loads(raw, parse_constant=_refuse_constant) if raw.strip() else {}
    except InvalidCallError as problem:
        raise InvalidCallError(f"{spec.name}: {problem}") from None
    except ValueError:
        raise InvalidCallError(
            f"{spec.name}: the arguments must be a JSON object. Received {shown(raw)}. {signature(spec)}"
        ) from None
    if not isinstance(parsed, dict):
        raise InvalidCallError(
            f"{spec.name}: the arguments must be a JSON object. Received {shown(parsed)}. {signature(spec)}"
        )
    return parsed


def _refuse_constant(name: str) -> NoReturn:
    raise InvalidCallError(f"numbers must be finite. Received {name}.")


def _whole_numbers(spec: ToolSpec, args: Mapping[str, Any]) -> dict[str, ArgValue]:
    whole = {p.name for p in spec.params if p.type == "integer"}
    return {k: int(v) if k in whole and isinstance(v, float) else v for k, v in args.items()}
