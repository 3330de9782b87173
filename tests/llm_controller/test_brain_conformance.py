"""One suite over every brain: the same conversation, the same promises.

The servers behind the brains are the fault server on its best behaviour and, for the OpenAI protocol, a real
one with a tiny random model.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

import pytest

from redbutton.llm_controller.brain import Brain, Message, ProposedCall, Reply, exchanges_of
from redbutton.robots.interface import ControllerError

HISTORY = (
    Message(role="system", content="You control an arm."),
    Message(role="user", content="Fetch a coffee."),
    Message(role="assistant", content="Hm.", tool_calls=(ProposedCall(name="look", arguments={}, id="a1"),)),
    Message(role="tool", content="The cup is empty.", tool_name="look", call_id="a1"),
    Message(role="assistant", content="Only words."),
    Message(role="user", content="Reply with one tool call."),
)


@pytest.fixture(
    params=[
        "fake",
        "ollama",
        "openai",
        pytest.param("openai-real", marks=pytest.mark.llm),
        pytest.param("local", marks=pytest.mark.llm),
        "inspect",
        pytest.param("inspect-real", marks=pytest.mark.llm),
    ],
)
def brain(request: pytest.FixtureRequest, faults: ModuleType, fake: ModuleType) -> Iterator[Brain]:
    made: Brain
    if request.param == "fake":
        made = fake.FakeBrain(fake.says("ok", ("look", {}), tokens=50))
    elif request.param == "openai-real":
        from redbutton.llm_controller.openai_brain import OpenAIBrain, OpenAIConfig

        tiny = request.getfixturevalue("tiny_server")
        made = OpenAIBrain(OpenAIConfig(model=tiny.model, base_url=tiny.base_url, tool_choice="required"))
    elif request.param == "local":
        from redbutton.llm_controller.local_brain import LocalBrain, LocalConfig

        path = str(request.getfixturevalue("tiny_model"))
        made = LocalBrain(LocalConfig(model=path, tool_choice="required", max_tokens=600))
    elif request.param.startswith("inspect"):
        made = request.getfixturevalue("behind_inspect")(request.param == "inspect-real")
    else:
        server = request.getfixturevalue("server")
        answer = (
            faults.ollama_answer("ok", ("look", {}))
            if request.param == "ollama"
            else faults.openai_answer("ok", ("look", "{}"))
        )
        server.answers(answer)
        made = request.getfixturevalue(request.param)()
    yield made
    made.close()


@pytest.fixture
def behind_inspect(
    request: pytest.FixtureRequest, load_test_helper: Callable[[str], ModuleType], monkeypatch: pytest.MonkeyPatch
) -> Callable[[bool], Brain]:
    """Makes a brain behind Inspect AI: its mock model, or its client of the real server."""
    pytest.importorskip("inspect_ai", reason="Inspect AI is not installed (pip install -e '.[inspect]')")
    from redbutton.llm_controller.inspect_brain import InspectBrain, InspectConfig

    def make(real: bool) -> Brain:
        if not real:
            fix = load_test_helper("experiments/inspect_fixtures.py")
            model = fix.mock(fix.calls("look", {}, "ok"))
            return InspectBrain(InspectConfig(model="mockllm/model", context_tokens=4_096), model=model)
        pytest.importorskip("openai", reason="the openai package is not installed (pip install -e '.[dev]')")
        monkeypatch.setenv("TINY_API_KEY", "none")
        tiny = request.getfixturevalue("tiny_server")
        name = f"openai-api/tiny/{tiny.model}"
        return InspectBrain(InspectConfig(model=name, base_url=tiny.base_url, tool_choice="required"))

    return make


def test_a_brain_is_one_by_the_protocol(brain: Brain) -> None:
    assert isinstance(brain, Brain)
    assert brain.name
    assert "\n" not in brain.name


def test_capabilities_are_stable_and_leave_room_for_a_prompt(brain: Brain) -> None:
    known = brain.capabilities()
    assert known == brain.capabilities()
    assert known.tools
    budget = known.prompt_budget()
    assert budget is None or 0 < budget < (known.context_tokens or 0)


def test_a_whole_history_gets_a_reply_with_its_bodies(brain: Brain, tools: Any) -> None:
    reply = brain.chat(HISTORY, tools, 3)
    assert isinstance(reply, Reply)
    assert reply.calls
    assert reply.latency_s >= 0.0
    assert reply.exchanges()[-1].request == reply.request
    assert reply.exchanges()[-1].error is None
    json.dumps([[dict(e.request), e.response, e.usage.as_dict()] for e in reply.exchanges()])


def test_a_call_has_a_name_and_arguments_of_an_allowed_kind(brain: Brain, tools: Any) -> None:
    for call in brain.chat(HISTORY, tools, 4).calls:
        assert call.name in {t.name for t in tools}
        assert isinstance(call.arguments, (dict, str))


def test_a_brain_keeps_nothing_of_a_conversation(brain: Brain, tools: Any) -> None:
    brain.chat(HISTORY, tools, 5)
    assert brain.chat(HISTORY[:2], tools, 5).calls


def test_a_brain_takes_every_level_of_reasoning_that_it_says_it_takes(brain: Brain, tools: Any) -> None:
    known = brain.capabilities().reasoning
    for level in ("default", *(known or ())):
        assert isinstance(brain.chat(HISTORY, tools, 5, reasoning=level), Reply)


def test_closing_twice_is_safe(brain: Brain, tools: Any) -> None:
    brain.chat(HISTORY, tools, 6)
    brain.close()
    brain.close()


@pytest.mark.parametrize("kind", ["ollama", "openai"])
@pytest.mark.parametrize("fault", ["garbage", "http500", "cut", "hang"])
def test_every_failure_is_a_controller_error_with_its_bodies(
    kind: str,
    fault: str,
    request: pytest.FixtureRequest,
    server: Any,
    faults: ModuleType,
    tools: Any,
) -> None:
    make: Callable[..., Brain] = request.getfixturevalue(kind)
    answers = {
        "garbage": faults.Answer(body="<html>"),
        "http500": faults.Answer(status=500, body={"error": "oops"}),
        "cut": faults.Answer(body={"a": 1}, cut=True),
        "hang": faults.Answer(hang=True),
    }
    server.answers(answers[fault])
    with pytest.raises(ControllerError) as caught:
        make(timeout_s=0.3 if fault == "hang" else 30.0, max_retries=1).chat(HISTORY, tools, 1)
    assert caught.value.validity == ("timeout" if fault == "hang" else "model_error")
    exchanges = exchanges_of(caught.value)
    assert [dict(e.request) for e in exchanges] == server.chats
    assert all(e.error for e in exchanges)
    assert "\n" not in str(caught.value)
