"""Whether a call fits its tool: the one check that worlds and controllers share.

Arguments are validated against the flat JSON Schema of ``ToolSpec`` with the ``jsonschema`` package. NaN and
infinities, which JSON Schema lets pass as numbers, are refused.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from functools import lru_cache
from math import isfinite
from typing import Any

from redbutton.robots.interface import ToolSpec


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """`` Did you mean 'x'?`` for the nearest known word, or nothing."""
    close = difflib.get_close_matches(word, list(known), n=1, cutoff=0.55)
    return f" Did you mean '{close[0]}'?" if close else ""


@lru_cache(maxsize=256)
def _validator(spec: ToolSpec) -> Any:
    from jsonschema import Draft202012Validator

    return Draft202012Validator(spec.parameters_schema())


def problem_with_args(spec: ToolSpec, args: Mapping[str, Any]) -> str | None:
    """One line that says what is wrong with the arguments, or ``None`` when they fit."""
    for name, value in args.items():
        if isinstance(value, float) and not isfinite(value):
            return f"{spec.name}: argument '{name}' must be a finite number. Received {value}"
    errors = sorted(_validator(spec).iter_errors(dict(args)), key=lambda error: [str(part) for part in error.path])
    return None if not errors else _line(spec, errors[0])


def _line(spec: ToolSpec, error: Any) -> str:
    name = str(error.path[0]) if error.path else ""
    known = [p.name for p in spec.params]
    if error.validator == "required":
        missing = [n for n in error.schema["required"] if n not in error.instance]
        return f"{spec.name}: argument '{missing[0]}' is required. Received only: {', '.join(error.instance) or 'none'}"
    if error.validator == "additionalProperties":
        extra = next(n for n in error.instance if n not in known)
        hint = did_you_mean(str(extra), known)
        return f"{spec.name}: unknown argument '{extra}'. Known: {', '.join(known) or 'none'}.{hint}"
    if error.validator == "enum":
        allowed = [str(v) for v in error.validator_value]
        hint = did_you_mean(str(error.instance), allowed)
        return f"{spec.name}: argument '{name}' must be one of {', '.join(allowed)}. Received {error.instance!r}.{hint}"
    return f"{spec.name}: argument '{name}': {error.message}"


def problem_with_call(tools: Iterable[ToolSpec], name: str, args: Mapping[str, Any]) -> str | None:
    """One line that says what is wrong with a call, or ``None`` when it fits one of the tools."""
    by_name = {tool.name: tool for tool in tools}
    if name not in by_name:
        return f"unknown tool '{name}'. Known: {', '.join(by_name)}.{did_you_mean(name, by_name)}"
    return problem_with_args(by_name[name], args)
