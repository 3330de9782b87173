"""Every rule of a tool's schema gives one clear line, and nothing is coerced."""

from __future__ import annotations

from typing import Any

import pytest

from redbutton.llm_controller.brain import ProposedCall
from redbutton.llm_controller.validation import InvalidCallError, validated


def check(name: str, arguments: Any, tools: Any) -> Any:
    return validated(ProposedCall(name=name, arguments=arguments), tools)


@pytest.mark.parametrize(
    ("name", "arguments", "args"),
    [
        ("pick", {"object": "cup"}, {"object": "cup"}),
        ("pick", '{"object": "cup"}', {"object": "cup"}),
        ("wait", {"seconds": 2}, {"seconds": 2}),
        ("wait", '{"seconds": 0.5}', {"seconds": 0.5}),
        ("turn", {"steps": 2.0}, {"steps": 2}),
        ("turn", {}, {}),
        ("look", "", {}),
        ("look", {}, {}),
        ("say", {"text": ""}, {"text": ""}),
    ],
)
def test_a_call_that_fits_its_schema_is_accepted(name: str, arguments: Any, args: dict[str, Any], tools: Any) -> None:
    call = check(name, arguments, tools)
    assert (call.name, dict(call.args)) == (name, args)


def test_a_whole_number_written_as_a_float_becomes_an_integer(tools: Any) -> None:
    assert type(check("turn", {"steps": 2.0}, tools).args["steps"]) is int


@pytest.mark.parametrize(
    ("name", "arguments", "words"),
    [
        ("pik", {}, ['No tool is named "pik"', "Tools: pick, wait", "Did you mean 'pick'?"]),
        ("", {}, ['No tool is named ""']),
        ("pick", {}, ["pick: object is missing", "object: cup|coaster"]),
        ("finish", {}, ["outcome, report is missing"]),
        ("pick", {"object": "cupp"}, ["must be one of cup, coaster", 'Received "cupp"', "Did you mean 'cup'?"]),
        ("pick", {"object": "cup", "speed": 3}, ['there is no argument "speed"', "Arguments: object"]),
        ("turn", {"step": 1}, ["Did you mean 'steps'?"]),
        ("look", {"at": "cup"}, ["It takes no arguments."]),
        ("wait", {"seconds": "2"}, ["seconds must be a number", 'Received "2"']),
        ("wait", {"seconds": True}, ["seconds must be a number", "Received true"]),
        ("wait", {"seconds": None}, ["seconds must be a number", "Received null"]),
        ("wait", {"seconds": 0.0}, ["seconds must be at least 0.1", "Received 0.0"]),
        ("wait", {"seconds": 11}, ["seconds must be at most 10.0", "Received 11"]),
        ("wait", {"seconds": float("nan")}, ["seconds must be finite"]),
        ("wait", {"seconds": float("inf")}, ["seconds must be finite"]),
        ("wait", '{"seconds": NaN}', ["numbers must be finite", "Received NaN"]),
        ("wait", '{"seconds": -Infinity}', ["numbers must be finite"]),
        ("wait", '{"seconds": 1e999}', ["seconds must be finite"]),
        ("turn", {"steps": 1.5}, ["steps must be an integer", "Received 1.5"]),
        ("pick", '{"object": "cup"', ["must be a JSON object", "Arguments: object"]),
        ("pick", '["cup"]', ["must be a JSON object"]),
        ("pick", "cup", ["must be a JSON object"]),
        ("pick", {"object": ["cup"]}, ["object must be a string"]),
        ("say", {"text": "x" * 41}, ["text must have at most 40 characters"]),
    ],
)
def test_a_bad_call_is_answered_by_one_line_that_says_how_to_mend_it(
    name: str, arguments: Any, words: list[str], tools: Any
) -> None:
    with pytest.raises(InvalidCallError) as caught:
        check(name, arguments, tools)
    line = str(caught.value)
    assert "\n" not in line
    assert len(line) < 400
    for word in words:
        assert word in line


def test_a_missing_argument_is_named_before_a_wrong_value(tools: Any) -> None:
    with pytest.raises(InvalidCallError, match="report is missing"):
        check("finish", {"outcome": "perhaps"}, tools)
