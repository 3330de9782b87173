"""The brain behind Inspect AI: a mock model for what can go wrong, a real server for the wire."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

pytest.importorskip("inspect_ai", reason="Inspect AI is not installed (pip install -e '.[inspect]')")

from inspect_ai.model import ChatMessageAssistant, ContentReasoning, ContentText, GenerateConfig, get_model

from redbutton.llm_controller.brain import Message, ProposedCall, exchanges_of
from redbutton.llm_controller.factory import check_controller, make_controller
from redbutton.llm_controller.inspect_brain import InspectBrain, InspectConfig
from redbutton.llm_controller.inspect_wire import mentions_reasoning
from redbutton.llm_controller.llm import LLMController
from redbutton.llm_controller.spec import ControllerSpecError
from redbutton.robots.interface import (
    Briefing,
    ControllerError,
    ControllerTimeoutError,
    NoToolsError,
    Observation,
    TruncatedError,
)

HISTORY = (Message(role="system", content="You control an arm."), Message(role="user", content="Fetch a coffee."))


@pytest.fixture(scope="module")
def fix(load_test_helper: Callable[[str], ModuleType]) -> ModuleType:
    return load_test_helper("experiments/inspect_fixtures.py")


@pytest.fixture
def brain() -> Iterator[Callable[..., InspectBrain]]:
    """Makes brains on a mock model with one answer, or a function as model."""
    made: list[InspectBrain] = []

    def make(answer: Any, **options: Any) -> InspectBrain:
        model = get_model("mockllm/model", custom_outputs=answer if callable(answer) else lambda *_: answer)
        made.append(
            InspectBrain(InspectConfig(**({"model": "mockllm/model", "max_retries": 0} | options)), model=model)
        )
        return made[-1]

    yield make
    for one in made:
        one.close()


def test_settings_seed_and_bodies_stand_in_the_reply(fix: ModuleType, brain: Callable[..., Any], tools: Any) -> None:
    reply = brain(fix.calls("look", {}, "Hm."), temperature=0.3, top_p=0.9).chat(HISTORY, tools, 11)
    assert (reply.text, reply.calls[0].name) == ("Hm.", "look")
    settings = reply.request["config"]
    assert (settings["seed"], settings["temperature"], settings["top_p"], settings["max_tokens"]) == (
        11,
        0.3,
        0.9,
        4096,
    )
    assert reply.request["call"]["messages"][1]["content"] == "Fetch a coffee."
    assert reply.response["usage"]["output_tokens"] == reply.usage.completion_tokens == 7


def test_bodies_are_kept_of_every_call_however_many_there_are(
    fix: ModuleType, brain: Callable[..., Any], tools: Any
) -> None:
    one, long = brain(fix.calls("look", {})), "a long system prompt " * 50
    replies = [one.chat((Message(role="system", content=long), *HISTORY[1:]), tools, n) for n in range(12)]
    assert [r.request["call"]["messages"][0]["content"] for r in replies] == [long] * 12


@pytest.mark.parametrize(
    ("problem", "kind"),
    [
        (RuntimeError("This model's maximum context length is 8192 tokens"), TruncatedError),
        (RuntimeError("model x does not support tools"), NoToolsError),
        (TimeoutError("slow"), ControllerTimeoutError),
        (RuntimeError("invalid api key"), ControllerError),
    ],
)
def test_a_failure_is_told_apart_and_carries_its_attempt(
    problem: Exception, kind: type[ControllerError], brain: Callable[..., Any], tools: Any
) -> None:
    def fail(*_: Any) -> Any:
        raise problem

    with pytest.raises(ControllerError) as caught:
        brain(fail).chat(HISTORY, tools, 1)
    assert type(caught.value) is kind
    (tried,) = exchanges_of(caught.value)
    assert str(problem) in str(tried.error)
    assert tried.request["config"]["seed"] == 1


@pytest.mark.parametrize(("reason", "validity"), [("max_tokens", "truncated"), ("content_filter", "model_error")])
def test_an_answer_that_was_cut_is_none(
    reason: str, validity: str, fix: ModuleType, brain: Callable[..., Any], tools: Any
) -> None:
    with pytest.raises(ControllerError) as caught:
        brain(fix.says("I was", reason)).chat(HISTORY, tools, 1)
    assert caught.value.validity == validity
    assert len(exchanges_of(caught.value)) == 1


def test_an_attempt_that_takes_too_long_is_a_timeout(brain: Callable[..., Any], tools: Any) -> None:
    import anyio

    async def sleep(*_: Any) -> Any:
        await anyio.sleep(30.0)

    with pytest.raises(ControllerTimeoutError):
        brain(sleep, timeout_s=0.5).chat(HISTORY, tools, 1)


def test_reasoning_that_no_request_carries_voids_the_trial(
    fix: ModuleType, brain: Callable[..., Any], tools: Any
) -> None:
    one = brain(fix.calls("look", {}))
    assert one.chat(HISTORY, tools, 1, reasoning="default").calls
    with pytest.raises(ControllerError, match="reasoning low"):
        one.chat(HISTORY, tools, 1, reasoning="low")


def test_settings_for_reasoning_are_found_in_a_request_and_words_about_it_are_not() -> None:
    assert mentions_reasoning({"reasoning_effort": "low"})
    assert mentions_reasoning({"config": {"thinking": {"type": "enabled"}}})
    assert not mentions_reasoning({"messages": [{"reasoning": "x"}], "tools": [{"effort": 1}], "reasoning": None})


def test_signed_reasoning_goes_back_as_it_came(brain: Callable[..., Any], tools: Any, fix: ModuleType) -> None:
    heard: list[Sequence[Any]] = []

    def answer(input: Any, _tools: Any, _choice: Any, _config: GenerateConfig) -> Any:
        heard.append(input)
        output = fix.calls("look", {})
        signed = ContentReasoning(reasoning="I ought to look.", signature="s1gned")
        output.choices[0].message.content = [signed, ContentText(text="Hm.")]
        return output

    one = brain(answer)
    reply = one.chat(HISTORY, tools, 1)
    assert (reply.thinking, reply.text) == ("I ought to look.", "Hm.")
    turn = Message(role="assistant", content=reply.text, thinking=reply.thinking, tool_calls=reply.calls)
    call = reply.calls[0]
    one.chat((*HISTORY, turn, Message(role="tool", content="ok", tool_name=call.name, call_id=call.id)), tools, 2)
    said = next(m for m in heard[-1] if isinstance(m, ChatMessageAssistant))
    assert isinstance(said.content, list)
    assert [getattr(part, "signature", None) for part in said.content] == ["s1gned", None]


def test_arguments_that_do_not_parse_are_a_bad_call_not_a_crash(
    fix: ModuleType, brain: Callable[..., Any], tools: Any
) -> None:
    output = fix.calls("look", {})
    output.choices[0].message.tool_calls[0].parse_error = "Error parsing: {oops"
    (call,) = brain(output).chat(HISTORY, tools, 1).calls
    assert call.arguments == "Error parsing: {oops"


def test_frames_go_to_a_model_that_was_given_vision_only(
    fix: ModuleType, brain: Callable[..., Any], tools: Any
) -> None:
    seen = (*HISTORY, Message(role="user", content="Camera frame.", images_png=(b"\x89PNG\r\n\x1a\n" + bytes(40),)))
    with pytest.raises(ControllerError, match="vision=true"):
        brain(fix.calls("look", {})).chat(seen, tools, 1)
    request = str(brain(fix.calls("look", {}), vision=True).chat(seen, tools, 1).request)
    assert "sha256:" in request
    assert "base64" not in request


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ("inspect:gpt", "model"),
        ("inspect:nobody/x", "not recognized"),
        ("inspect:mockllm/model?temperture=1", "temperature"),
        ("inspect:mockllm/model?max_tokens=0", "max_tokens"),
    ],
)
def test_a_bad_name_is_refused_before_any_trial_in_one_line(spec: str, words: str) -> None:
    with pytest.raises(ControllerSpecError, match=words) as caught:
        check_controller(spec)
    assert "\n" not in str(caught.value)


def test_a_controller_by_name_reaches_for_nothing_and_says_what_it_knows() -> None:
    controller = make_controller("inspect:mockllm/model?context_tokens=2048&max_silent=1")
    assert controller.name.startswith("inspect:mockllm/model")
    assert check_controller("inspect:mockllm/model?context_tokens=2048")["context_tokens"] == 2048
    controller.close()


@pytest.mark.llm
def test_a_real_server_drives_decisions_through_inspects_openai_provider(
    tiny_server: Any,
    brief: Callable[..., Briefing],
    observe: Callable[..., Observation],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pytest.importorskip("openai", reason="the openai package is not installed (pip install -e '.[dev]')")
    monkeypatch.setenv("TINY_API_KEY", "none")
    config = InspectConfig(
        model=f"openai-api/tiny/{tiny_server.model}",
        base_url=tiny_server.base_url,
        tool_choice="required",
        max_tokens=600,
        context_tokens=16_384,
    )
    driver = LLMController(InspectBrain(config), max_corrections=20)
    driver.reset(brief())
    try:
        for n in range(4):
            assert driver.act(observe(n, last="ok" if n else None)).name in {t.name for t in brief().tools}
        calls = [fields for kind, fields in driver.drain() if kind == "model_call"]
    finally:
        driver.close()
    assert all(c["error"] is None for c in calls)
    assert all(c["request"]["call"]["seed"] == c["request"]["config"]["seed"] for c in calls)
    assert "none" not in str(calls[0]["request"].get("headers"))
    counts = [c["usage"]["prompt_tokens"] for c in calls]
    assert counts == sorted(counts)
    assert calls[0]["response"]["call"]["choices"][0]["finish_reason"] == "tool_calls"


# -- our Ollama brain as a provider of Inspect's -------------------------------------------------------------------


@pytest.fixture
def provider(server: Any, faults: ModuleType) -> Iterator[Callable[..., InspectBrain]]:
    """Makes brains on ``redbutton-ollama`` over the fault server."""
    faults.speak_ollama(server)
    made: list[InspectBrain] = []

    def make(**model_args: Any) -> InspectBrain:
        model = get_model("redbutton-ollama/tiny:1b", base_url=server.address, memoize=False, **model_args)
        made.append(InspectBrain(InspectConfig(model="redbutton-ollama/tiny:1b", max_retries=0), model=model))
        return made[-1]

    yield make
    for one in made:
        one.close()


def test_the_provider_sends_num_ctx_and_seed_and_shows_the_exact_bodies(
    provider: Callable[..., Any], server: Any, faults: ModuleType, tools: Any
) -> None:
    server.answers(faults.ollama_answer("ok", ("look", {})))
    reply = provider(num_ctx=2048).chat(HISTORY, tools, 5)
    assert reply.calls[0].name == "look"
    (sent,) = server.chats
    assert (sent["options"]["num_ctx"], sent["options"]["seed"], sent["truncate"]) == (2048, 5, False)
    assert sent["tools"][1]["function"]["parameters"]["properties"]["seconds"]["maximum"] == 10.0
    assert reply.request["call"] == sent
    assert reply.usage.prompt_tokens is not None


def test_a_prompt_that_the_server_cut_ends_as_truncated(
    provider: Callable[..., Any], server: Any, faults: ModuleType, tools: Any
) -> None:
    server.answers(faults.ollama_answer("ok", ("look", {}), prompt_eval_count=2048))
    with pytest.raises(TruncatedError):
        provider(num_ctx=2048).chat(HISTORY, tools, 5)


def test_the_providers_effort_of_reasoning_becomes_think(
    provider: Callable[..., Any], server: Any, faults: ModuleType, tools: Any
) -> None:
    faults.speak_ollama(server, capabilities=["completion", "tools", "thinking"])
    server.answers(faults.ollama_answer("ok", ("look", {})))
    assert provider(think_values="true,false").chat(HISTORY, tools, 5, reasoning="off").calls
    assert server.chats[-1]["think"] is False


def test_an_unknown_option_of_the_provider_is_refused(provider: Callable[..., Any]) -> None:
    with pytest.raises(ValueError, match="num_cxt"):
        provider(num_cxt=2048)


def test_a_conversation_survives_the_way_there_and_back() -> None:
    from redbutton.llm_controller import inspect_wire as wire

    turns = (
        *HISTORY,
        Message(role="assistant", content="Hm.", tool_calls=(ProposedCall(name="look", arguments={"a": 1}, id="i1"),)),
        Message(role="tool", content="ok", tool_name="look", call_id="i1"),
        Message(role="user", content="See.", images_png=(b"\x89PNG",)),
    )
    assert tuple(wire.message(wire.chat_message(t)) for t in turns) == turns


@pytest.mark.slow
def test_naming_an_inspect_model_is_the_only_thing_that_loads_inspect(tmp_path: Path) -> None:
    import subprocess
    import sys

    code = (
        "import sys\n"
        "from redbutton.llm_controller.factory import known_controllers, make_controller\n"
        "make_controller('ollama:x'); known_controllers()\n"
        "import redbutton.cli.import_logs, redbutton.experiments.foreign.inspect_eval\n"
        "assert 'inspect_ai' not in sys.modules\n"
        "make_controller('inspect:mockllm/model')\n"
        "assert 'inspect_ai' in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True, timeout=60)
