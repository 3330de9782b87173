"""Checks a proposed call against the tool's own schema and says in one line what is wrong with it.

The model reads that line, so it names the rule, what came and what is allowed. Nothing is coerced: a number
in quotes is an error, because a world that guesses would hide how well a model uses its tools. Only two
things are accepted beyond the letter: arguments as JSON text, and a whole number written ``3.0``.
"""

from __future__ import annotations

import difflib
import json
import math
from collections.abc import Mapping, Sequence
from typing import Any, NoReturn

from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError

from redbutton.llm_controller.brain import ProposedCall
from redbutton.robots.interface import ArgValue, Call, ToolSpec

SHOWN = 80


class InvalidCallError(ValueError):
    """Raised when a proposed call does not fit the tools. Its text is the one line for the model."""


def validated(proposed: ProposedCall, tools: Sequence[ToolSpec], text: str = "") -> Call:
    """The call with checked arguments. Raises ``InvalidCallError``."""
    spec = _tool(proposed.name, tools)
    args = _object(proposed, spec)
    _refuse_non_finite(spec, args)
    errors = list(Draft202012Validator(spec.parameters_schema()).iter_errors(args))
    if errors:
        # The most basic fault first: a missing or an unknown argument explains a wrong value.
        raise InvalidCallError(_line(spec, min(errors, key=_rank)))
    return Call(name=spec.name, args=_whole_numbers(spec, args), text=text)


def _tool(name: str, tools: Sequence[ToolSpec]) -> ToolSpec:
    for spec in tools:
        if spec.name == name:
            return spec
    names = [t.name for t in tools]
    raise InvalidCallError(f"No tool is named {_shown(name)}. Tools: {', '.join(names)}.{did_you_mean(name, names)}")


def did_you_mean(name: str, known: Sequence[str]) -> str:
    """`` Did you mean "x"?`` for the closest known name, else nothing."""
    near = difflib.get_close_matches(str(name), known, n=1, cutoff=0.6)
    return f' Did you mean "{near[0]}"?' if near else ""


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
            f"{spec.name}: the arguments must be a JSON object. Received {_shown(raw)}. {_signature(spec)}"
        ) from None
    if not isinstance(parsed, dict):
        raise InvalidCallError(
            f"{spec.name}: the arguments must be a JSON object. Received {_shown(parsed)}. {_signature(spec)}"
        )
    return parsed


def _refuse_constant(name: str) -> NoReturn:
    raise InvalidCallError(f"numbers must be finite. Received {name}.")


def _refuse_non_finite(spec: ToolSpec, args: Mapping[str, Any]) -> None:
    for name, value in args.items():
        if isinstance(value, float) and not math.isfinite(value):
            raise InvalidCallError(f"{spec.name}: {name} must be finite. Received {value}.")


def _rank(error: ValidationError) -> tuple[int, str]:
    order = ("required", "additionalProperties", "type")
    rule = str(error.validator)
    return (order.index(rule) if rule in order else len(order), error.json_path)


def _line(spec: ToolSpec, error: ValidationError) -> str:
    rule = str(error.validator)
    name = str(error.path[0]) if error.path else ""
    names = [p.name for p in spec.params]
    received: Any = error.instance
    if rule == "required":
        missing = [p.name for p in spec.params if p.required and p.name not in received]
        return f"{spec.name}: {', '.join(missing)} is missing. {_signature(spec)}"
    if rule == "additionalProperties":
        unknown = next(key for key in received if key not in names)
        return f"{spec.name}: there is no argument {_shown(unknown)}. {_signature(spec)}{did_you_mean(unknown, names)}"
    got = f"Received {_shown(received)}."
    limit: Any = error.validator_value
    if rule == "enum":
        allowed = [str(v) for v in limit]
        return f"{spec.name}: {name} must be one of {', '.join(allowed)}. {got}{did_you_mean(received, allowed)}"
    rules = {
        "type": f"must be {'an' if limit == 'integer' else 'a'} {limit}",
        "minimum": f"must be at least {limit}",
        "maximum": f"must be at most {limit}",
        "maxLength": f"must have at most {limit} characters",
    }
    return f"{spec.name}: {name} {rules.get(rule, error.message)}. {got}"


def _signature(spec: ToolSpec) -> str:
    if not spec.params:
        return "It takes no arguments."
    parts = [
        f"{p.name}{'' if p.required else ' (optional)'}: {'|'.join(p.enum) if p.enum else p.type}" for p in spec.params
    ]
    return f"Arguments: {', '.join(parts)}."


def _shown(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}…"


def _whole_numbers(spec: ToolSpec, args: Mapping[str, Any]) -> dict[str, ArgValue]:
    whole = {p.name for p in spec.params if p.type == "integer"}
    return {k: int(v) if k in whole and isinstance(v, float) else v for k, v in args.items()}
