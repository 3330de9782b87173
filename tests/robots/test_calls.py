"""Validation of calls: every kind of bad argument gets one line with the rule, the value and the next step."""

from __future__ import annotations

from math import inf, nan
from typing import Any

import pytest

from redbutton.robots.calls import did_you_mean, problem_with_args, problem_with_call
from redbutton.robots.interface import ToolParam, ToolSpec


def _param(name: str, kind: Any, **rules: Any) -> ToolParam:
    return ToolParam(name=name, type=kind, description=name, **rules)


PICK = ToolSpec(name="pick", description="Grasp.", params=(_param("target", "string", enum=("cup", "lid")),))
MIX = ToolSpec(
    name="mix",
    description="All types.",
    params=(
        _param("seconds", "number", minimum=0.5, maximum=5.0),
        _param("count", "integer", required=False, minimum=0.0),
        _param("gently", "boolean", required=False),
        _param("text", "string", required=False, max_length=5),
    ),
)
STAND = ToolSpec(name="stand", description="Nothing.")


@pytest.mark.parametrize(
    "args",
    [
        {"seconds": 0.5},
        {"seconds": 5},
        {"seconds": 1.0, "count": 0, "gently": False, "text": "12345"},
        {"seconds": 1.0, "text": ""},
    ],
)
def test_arguments_that_fit_pass(args: dict[str, Any]) -> None:
    assert problem_with_args(MIX, args) is None


BAD: dict[str, tuple[ToolSpec, dict[str, Any], tuple[str, ...]]] = {
    "missing": (PICK, {}, ("target is missing", "Arguments: target")),
    "missing beside others": (MIX, {"count": 1}, ("seconds is missing", "count (optional)")),
    "unknown": (STAND, {"speed": 1}, ('no argument "speed"', "takes no arguments")),
    "misspelt": (PICK, {"target": "cup", "tarrget": "x"}, ('no argument "tarrget"', "Did you mean 'target'?")),
    "not in the list": (PICK, {"target": "cupp"}, ("must be one of cup, lid", '"cupp"', "Did you mean 'cup'?")),
    "empty name": (PICK, {"target": ""}, ("must be one of cup, lid", '""')),
    "wrong case": (PICK, {"target": "CUP"}, ("must be one of", '"CUP"')),
    "null": (PICK, {"target": None}, ("target", "null")),
    "number for a name": (PICK, {"target": 3}, ("target", "3")),
    "list for a name": (PICK, {"target": ["cup"]}, ("target", "cup")),
    "object for a name": (PICK, {"target": {"a": 1}}, ("target",)),
    "text for a number": (MIX, {"seconds": "1"}, ("seconds", '"1"', "number")),
    "boolean for a number": (MIX, {"seconds": True}, ("seconds", "true")),
    "boolean for an integer": (MIX, {"seconds": 1.0, "count": True}, ("count", "true")),
    "fraction for an integer": (MIX, {"seconds": 1.0, "count": 1.5}, ("count", "1.5")),
    "number for a boolean": (MIX, {"seconds": 1.0, "gently": 1}, ("gently", "1")),
    "text for a boolean": (MIX, {"seconds": 1.0, "gently": "true"}, ("gently", "true")),
    "too small": (MIX, {"seconds": 0.1}, ("seconds", "0.1", "0.5")),
    "too large": (MIX, {"seconds": 9}, ("seconds", "9", "5.0")),
    "negative": (MIX, {"seconds": 1.0, "count": -1}, ("count", "-1")),
    "too long": (MIX, {"seconds": 1.0, "text": "123456"}, ("text", "123456")),
    "nan": (MIX, {"seconds": nan}, ("seconds", "finite", "nan")),
    "infinite": (MIX, {"seconds": inf}, ("seconds", "finite", "inf")),
    "minus infinite": (MIX, {"seconds": -inf}, ("seconds", "finite", "-inf")),
}


@pytest.mark.parametrize("kind", list(BAD))
def test_a_bad_argument_is_answered_by_one_line(kind: str) -> None:
    spec, args, parts = BAD[kind]
    line = problem_with_args(spec, args)
    assert line is not None
    assert "\n" not in line
    assert line.startswith(f"{spec.name}: ")
    assert all(part in line for part in parts), line


def test_a_bad_text_with_line_breaks_is_still_answered_by_one_line() -> None:
    line = problem_with_args(PICK, {"target": "cup\nlid\n"})
    assert line is not None
    assert "\n" not in line


def test_the_same_call_always_gets_the_same_line() -> None:
    args = {"seconds": "x", "count": 1.5, "gently": 3}
    assert len({problem_with_args(MIX, args) for _ in range(5)}) == 1


def test_an_unknown_tool_lists_what_there_is_and_guesses() -> None:
    line = problem_with_call((PICK, STAND), "pik", {})
    assert line == "No tool is named \"pik\". Tools: pick, stand. Did you mean 'pick'?"


def test_a_known_tool_is_judged_by_its_own_schema() -> None:
    assert problem_with_call((PICK, STAND), "stand", {}) is None
    assert problem_with_call((PICK, STAND), "pick", {"target": "lid"}) is None
    assert problem_with_call((PICK, STAND), "pick", {}) is not None


def test_two_tools_of_one_name_in_different_worlds_do_not_share_a_verdict() -> None:
    other = ToolSpec(name="pick", description="Grasp.", params=(_param("target", "string", enum=("box",)),))
    assert problem_with_args(PICK, {"target": "cup"}) is None
    assert problem_with_args(other, {"target": "cup"}) is not None


def test_no_guess_is_made_for_a_word_that_is_like_nothing() -> None:
    assert did_you_mean("zzzzzz", ("cup", "lid")) == ""
    assert did_you_mean("cap", ("cup", "lid")) == " Did you mean 'cup'?"
