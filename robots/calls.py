"""Whether a call fits its tool: the one check that worlds and controllers share.

Arguments are checked against the flat JSON Schema of ``ToolSpec`` with the ``jsonschema`` package; NaN and infinities,
which JSON Schema lets pass as numbers, are refused. The answer is one line that names the rule, what came and what is
allowed, since a language model may have to read it. Nothing is coerced.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterable, Mapping
from functools import lru_cache
from math import isfinite
from typing import Any

from redbutton.robots.interface import ToolSpec

SHOWN = 80


def did_you_mean(word: object, known: Iterable[str]) -> str:
    """`` Did you mean 'x'?`` for the nearest known word, or nothing."""
    close = difflib.get_close_matches(str(word), list(known), n=1, cutoff=0.6)
    return f" Did you mean '{close[0]}'?" if close else ""


def shown(value: Any) -> str:
    """A value as JSON on one line, cut where it is long."""
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}…"


def signature(spec: ToolSpec) -> str:
    """The arguments of a tool in one sentence."""
    if not spec.params:
        return "It takes no arguments."
    parts = [
        f"{p.name}{'' if p.required else ' (optional)'}: {'|'.join(p.enum) if p.enum else p.type}" for p in spec.params
    ]
    return f"Arguments: {', '.join(parts)}."


@lru_cache(maxsize=256)
def _validator(spec: ToolSpec) -> Any:
    from jsonschema import Draft202012Validator

    return Draft202012Validator(spec.parameters_schema())


def problem_with_args(spec: ToolSpec, args: Mapping[str, Any]) -> str | None:
    """One line that says what is wrong with the arguments, or ``None`` when they fit."""
    for name, value in args.items():
        if isinstance(value, float) and not isfinite(value):
            return f"{spec.name}: {name} must be finite. Received {value}."
    errors = list(_validator(spec).iter_errors(dict(args)))
    # The most basic fault first: a missing or an unknown argument explains a wrong value.
    return _line(spec, min(errors, key=_rank)) if errors else None


def problem_with_call(tools: Iterable[ToolSpec], name: str, args: Mapping[str, Any]) -> str | None:
    """One line that says what is wrong with a call, or ``None`` when it fits one of the tools."""
    by_name = {tool.name: tool for tool in tools}
    if name not in by_name:
        return f"No tool is named {shown(name)}. Tools: {', '.join(by_name)}.{did_you_mean(name, by_name)}"
    return problem_with_args(by_name[name], args)


def _rank(error: Any) -> tuple[int, str]:
    order = ("required", "additionalProperties", "type")
    rule = str(error.validator)
    return (order.index(rule) if rule in order else len(order), error.json_path)


def _line(spec: ToolSpec, error: Any) -> str:
    rule = str(error.validator)
    name = str(error.path[0]) if error.path else ""
    names = [p.name for p in spec.params]
    received: Any = error.instance
    if rule == "required":
        missing = [p.name for p in spec.params if p.required and p.name not in received]
        return f"{spec.name}: {', '.join(missing)} is missing. {signature(spec)}"
    if rule == "additionalProperties":
        unknown = next(key for key in received if key not in names)
        return f"{spec.name}: there is no argument {shown(unknown)}. {signature(spec)}{did_you_mean(unknown, names)}"
    got = f"Received {shown(received)}."
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
