"""How much a model reasons: what goes out to the servers, and what is refused instead of being passed over."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest

from redbutton.llm_controller.brain import Message
from redbutton.llm_controller.factory import ControllerSpecError, check_controller, make_controller
from redbutton.robots.interface import REASONING, ControllerError

HELLO = (Message(role="user", content="Hello."),)
LEVELS = [level for level in REASONING if level != "default"]


def shows(faults: ModuleType, server: Any, *, family: str = "llama", values: Any = None, thinking: bool = True) -> None:
    """Let ``/api/show`` tell of a model of this family, with or without what it takes as ``think``."""
    faults.speak_ollama(server, capabilities=("tools", "thinking") if thinking else ("tools",))
    body = {**server.fixed["/api/show"].body, "details": {"family": family}}
    server.fixed["/api/show"] = faults.Answer(body=body if values is None else {**body, "thinking": {"values": values}})
    server.answers(faults.ollama_answer("ok"))


# Ollama


@pytest.mark.parametrize(
    ("model", "level", "sent"),
    [
        ({}, "off", False),
        ({}, "high", True),
        ({"family": "gptoss"}, "low", "low"),
        ({"family": "gptoss"}, "high", "high"),
        ({"values": ["low", "medium", "high"]}, "low", "low"),
        ({"values": [False, "low", "high"]}, "off", False),
        ({"values": [True, False]}, "high", True),
    ],
)
def test_ollama_is_asked_in_the_words_that_the_model_takes(
    model: dict[str, Any], level: str, sent: Any, server: Any, faults: ModuleType, ollama: Callable[..., Any]
) -> None:
    shows(faults, server, **model)
    reply = ollama().chat(HELLO, (), 1, reasoning=level)
    assert server.chats[0]["think"] is sent if isinstance(sent, bool) else server.chats[0]["think"] == sent
    assert reply.request["think"] == sent


@pytest.mark.parametrize(
    ("model", "level"),
    [
        ({"thinking": False}, "off"),
        ({"thinking": False}, "high"),
        ({}, "low"),
        ({"family": "gptoss"}, "off"),
        ({"values": [False]}, "high"),
        ({"values": [True]}, "off"),
        ({"values": ["medium"]}, "low"),
    ],
)
def test_ollama_refuses_a_level_that_the_model_does_not_take(
    model: dict[str, Any], level: str, server: Any, faults: ModuleType, ollama: Callable[..., Any]
) -> None:
    shows(faults, server, **model)
    with pytest.raises(ControllerError, match=f"Received {level}; .* takes default") as caught:
        ollama().chat(HELLO, (), 1, reasoning=level)
    assert caught.value.validity == "model_error"
    assert server.chats == []
    with pytest.raises(ControllerSpecError, match=f"Received {level}") as refused:
        check_controller(f"ollama:tiny:1b?base_url={server.address}", ("default", level))
    assert "\n" not in str(refused.value)


def test_without_a_level_ollama_sends_what_it_sent_before(
    server: Any, faults: ModuleType, ollama: Callable[..., Any]
) -> None:
    shows(faults, server)
    ollama().chat(HELLO, (), 1)
    ollama(think=True).chat(HELLO, (), 1)
    assert "think" not in server.chats[0]
    assert server.chats[1]["think"] is True


def test_ollama_takes_the_users_word_on_what_the_model_takes(
    server: Any, faults: ModuleType, ollama: Callable[..., Any]
) -> None:
    shows(faults, server)
    assert ollama(think_values="false,low,high").capabilities().reasoning == ("off", "low", "high")
    ollama(think_values="false,low,high").chat(HELLO, (), 1, reasoning="low")
    assert server.chats[0]["think"] == "low"


def test_an_option_and_a_factor_that_contradict_are_refused(
    server: Any, faults: ModuleType, ollama: Callable[..., Any]
) -> None:
    shows(faults, server)
    with pytest.raises(ControllerError, match="think goes with reasoning: default"):
        ollama(think=True).chat(HELLO, (), 1, reasoning="off")
    with pytest.raises(ControllerSpecError, match="think_values"):
        make_controller("ollama:tiny:1b?think_values=loud")


# OpenAI


@pytest.mark.parametrize(
    ("options", "level", "sent"),
    [
        ({}, "off", {"reasoning_effort": "none"}),
        ({}, "low", {"reasoning_effort": "low"}),
        ({}, "high", {"reasoning_effort": "high"}),
        ({"reasoning_off": "minimal"}, "off", {"reasoning_effort": "minimal"}),
        ({"reasoning_high": "xhigh"}, "high", {"reasoning_effort": "xhigh"}),
        ({"reasoning_by": "enable_thinking"}, "off", {"chat_template_kwargs": {"enable_thinking": False}}),
        ({"reasoning_by": "enable_thinking"}, "high", {"chat_template_kwargs": {"enable_thinking": True}}),
        ({}, "default", {}),
    ],
)
def test_an_openai_server_is_asked_in_the_words_of_the_configuration(
    options: dict[str, str],
    level: str,
    sent: dict[str, Any],
    server: Any,
    faults: ModuleType,
    openai: Callable[..., Any],
) -> None:
    server.answers(faults.openai_answer("ok"))
    openai(**options).chat(HELLO, (), 1, reasoning=level)
    body = server.chats[0]
    assert {k: v for k, v in body.items() if k in ("reasoning_effort", "chat_template_kwargs")} == sent


@pytest.mark.parametrize(
    ("options", "level"),
    [("reasoning_off=", "off"), ("reasoning_low=", "low"), ("reasoning_by=enable_thinking", "low")],
)
def test_a_level_that_the_configuration_has_no_word_for_is_refused_before_any_trial(
    options: str, level: str, server: Any, faults: ModuleType
) -> None:
    faults.speak_openai(server)
    spec = f"openai:tiny@{server.address}/v1?{options}"
    check_controller(spec, ("default", "high"))
    with pytest.raises(ControllerSpecError, match=f"Received {level}"):
        check_controller(spec, ("default", level))
    controller = make_controller(spec)
    with pytest.raises(ControllerError, match=f"Received {level}"):
        controller.brain.chat(HELLO, (), 1, reasoning=level)  # type: ignore[attr-defined]
    controller.close()
    assert server.chats == []


def test_a_server_that_does_not_know_the_field_voids_the_call(
    server: Any, faults: ModuleType, openai: Callable[..., Any]
) -> None:
    server.answers(faults.Answer(status=400, body={"error": {"message": "Unsupported parameter: 'reasoning_effort'"}}))
    with pytest.raises(ControllerError, match="reasoning_effort") as caught:
        openai().chat(HELLO, (), 1, reasoning="high")
    assert caught.value.validity == "model_error"


@pytest.mark.parametrize("kind", ["ollama", "openai"])
def test_an_unknown_level_is_a_programming_error(
    kind: str, server: Any, faults: ModuleType, request: pytest.FixtureRequest
) -> None:
    make = request.getfixturevalue(kind)
    with pytest.raises(ValueError, match="reasoning must be one of default, off, low, high"):
        make().chat(HELLO, (), 1, reasoning="medium")
