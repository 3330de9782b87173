"""The Ollama brain against a server that replays the native protocol and its known defects.

No real Ollama server was run: what is tested is that each defect, as documented, ends in the right validity.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest

from redbutton.llm_controller.brain import Message, ProposedCall, exchanges_of
from redbutton.llm_controller.ollama_brain import OllamaConfig
from redbutton.robots.interface import (
    ControllerError,
    ControllerTimeoutError,
    NoToolsError,
    TruncatedError,
)

Make = Callable[..., Any]
HELLO = (Message(role="system", content="S"), Message(role="user", content="Fetch."))
PNG = b"\x89PNG\r\n\x1a\n" + bytes(20)


@pytest.fixture
def chat(tools: Any) -> Callable[..., Any]:
    return lambda brain, messages=HELLO, seed=5: brain.chat(messages, tools, seed)


def test_the_request_says_window_seed_and_no_truncation(
    ollama: Make, server: Any, faults: ModuleType, chat: Any
) -> None:
    server.answers(faults.ollama_answer("", ("look", {})))
    chat(ollama(temperature=0.7, top_p=0.9))
    (body,) = server.chats
    assert body["options"] == {"num_ctx": 2_048, "num_predict": 4_096, "seed": 5, "temperature": 0.7, "top_p": 0.9}
    assert (body["truncate"], body["shift"], body["stream"]) == (False, False, False)
    assert "think" not in body
    assert "format" not in body
    assert body["keep_alive"] == "30m"
    wait = next(t for t in body["tools"] if t["function"]["name"] == "wait")
    assert wait["function"]["parameters"]["properties"]["seconds"]["maximum"] == 10.0


def test_the_window_is_clamped_to_the_model(ollama: Make, server: Any, faults: ModuleType, chat: Any) -> None:
    faults.speak_ollama(server, context_length=1_500)
    server.answers(faults.ollama_answer("", ("look", {})))
    brain = ollama(num_ctx=100_000)
    chat(brain)
    assert server.chats[0]["options"]["num_ctx"] == 1_500
    assert brain.capabilities().context_tokens == 1_500
    assert brain.capabilities().prompt_budget() == 1_500 - 750 - 8


def test_the_model_is_loaded_once_with_the_window_of_the_calls(
    ollama: Make, server: Any, faults: ModuleType, chat: Any
) -> None:
    server.answers(faults.ollama_answer("", ("look", {})))
    brain = ollama()
    chat(brain)
    chat(brain)
    assert [load["options"] for load in server.loads] == [{"num_ctx": 2_048}]
    assert server.loads[0]["keep_alive"] == "30m"


def test_a_model_that_does_not_load_is_a_model_error(ollama: Make, server: Any, faults: ModuleType, chat: Any) -> None:
    server.fixed["load"] = faults.Answer(status=500, body={"error": "model requires more system memory"})
    with pytest.raises(ControllerError, match="more system memory") as caught:
        chat(ollama())
    assert caught.value.validity == "model_error"


def test_a_reply_is_read(ollama: Make, server: Any, faults: ModuleType, chat: Any) -> None:
    message = {
        "content": "Hm",
        "thinking": "well",
        "tool_calls": [{"function": {"name": "wait", "arguments": {"seconds": 1}}}],
    }
    server.answers(faults.ollama_answer(message=message))
    reply = chat(ollama())
    assert (reply.text, reply.thinking, reply.done_reason) == ("Hm", "well", "stop")
    assert reply.calls == (ProposedCall(name="wait", arguments={"seconds": 1}, id="call_0"),)
    assert (reply.usage.prompt_tokens, reply.usage.completion_tokens) == (100, 10)
    assert reply.status == 200
    assert reply.request == server.chats[0]
    assert reply.response["message"] == message


def test_dropped_ids_are_replaced_in_order(ollama: Make, server: Any, faults: ModuleType, chat: Any) -> None:
    server.answers(faults.ollama_answer("", ("look", {}), ("look", {})))
    assert [c.id for c in chat(ollama()).calls] == ["call_0", "call_1"]


def test_results_go_back_by_name_and_in_order(ollama: Make, server: Any, faults: ModuleType, chat: Any) -> None:
    server.answers(faults.ollama_answer("", ("look", {})))
    calls = (ProposedCall(name="look", arguments={}, id="a"), ProposedCall(name="wait", arguments="{broken", id="b"))
    history = (
        *HELLO,
        Message(role="assistant", tool_calls=calls),
        Message(role="tool", content="seen", tool_name="look", call_id="a"),
        Message(role="tool", content="bad", tool_name="wait", call_id="b"),
    )
    chat(ollama(), history)
    sent = server.chats[0]["messages"][2:]
    assert [c["function"] for c in sent[0]["tool_calls"]] == [
        {"name": "look", "arguments": {}},
        {"name": "wait", "arguments": {"arguments": "{broken"}},
    ]
    assert [(m["role"], m["tool_name"], m["content"]) for m in sent[1:]] == [
        ("tool", "look", "seen"),
        ("tool", "wait", "bad"),
    ]


def test_loading_time_is_not_counted_as_latency(ollama: Make, server: Any, faults: ModuleType, chat: Any) -> None:
    server.answers(faults.ollama_answer("", ("look", {}), load_duration=3_600 * 10**9))
    assert chat(ollama()).latency_s == 0.0


def test_images_go_out_whole_and_are_recorded_by_digest(
    ollama: Make, server: Any, faults: ModuleType, chat: Any
) -> None:
    faults.speak_ollama(server, capabilities=("completion", "tools", "vision"))
    server.answers(faults.ollama_answer("", ("look", {})))
    reply = chat(ollama(), (*HELLO, Message(role="user", content="Frame.", images_png=(PNG,))))
    assert base64.b64decode(server.chats[0]["messages"][2]["images"][0]) == PNG
    assert reply.request["messages"][2]["images"] == [f"sha256:{hashlib.sha256(PNG).hexdigest()} {len(PNG)} bytes"]


def test_images_are_refused_without_vision(ollama: Make, server: Any, faults: ModuleType, chat: Any) -> None:
    server.answers(faults.ollama_answer())
    with pytest.raises(ControllerError, match="has no vision"):
        chat(ollama(), (*HELLO, Message(role="user", images_png=(PNG,))))
    assert server.chats == []


def test_thinking_is_asked_for_only_where_the_model_can(
    ollama: Make, server: Any, faults: ModuleType, chat: Any
) -> None:
    server.answers(faults.ollama_answer("", ("look", {})))
    with pytest.raises(ControllerError, match="cannot think"):
        chat(ollama(think=True))
    chat(ollama(think=False))
    assert "think" not in server.chats[0]
    faults.speak_ollama(server, capabilities=("tools", "thinking"))
    chat(ollama(think=False), (*HELLO, Message(role="assistant", content="a", thinking="t")))
    assert server.chats[1]["think"] is False
    assert server.chats[1]["messages"][2]["thinking"] == "t"


def test_a_model_without_tools_is_refused(ollama: Make, server: Any, faults: ModuleType, chat: Any) -> None:
    faults.speak_ollama(server, capabilities=("completion",))
    with pytest.raises(NoToolsError, match="cannot call tools") as caught:
        chat(ollama())
    assert caught.value.validity == "no_tools"


def test_a_server_that_says_no_tools_only_when_asked_is_no_tools(
    ollama: Make, server: Any, faults: ModuleType, chat: Any
) -> None:
    server.answers(faults.Answer(status=400, body={"error": "tiny:1b does not support tools"}))
    with pytest.raises(NoToolsError):
        chat(ollama())


def test_a_missing_model_names_the_nearest_installed_ones(ollama: Make, server: Any, faults: ModuleType) -> None:
    faults.speak_ollama(server, model="tinny:1b")
    with pytest.raises(ControllerError) as caught:
        ollama(model="tinny:1b").capabilities()
    line = str(caught.value)
    assert 'no model "tinny:1b" (installed: tiny:1b' in line
    assert "ollama pull tinny:1b" in line


def test_no_model_at_all_is_said_plainly(ollama: Make, server: Any, faults: ModuleType) -> None:
    faults.speak_ollama(server, installed=())
    with pytest.raises(ControllerError, match="no model is installed"):
        ollama().capabilities()


def test_the_digest_of_the_weights_is_known(ollama: Make, server: Any, faults: ModuleType) -> None:
    faults.speak_ollama(server, model="tiny", installed=("tiny", "tiny:1b"))
    assert ollama(model="tiny").capabilities().digest == "sha-tiny"
    faults.speak_ollama(server, model="smol", installed=("smol", "smol:latest"))
    server.fixed["/api/tags"] = faults.Answer(body={"models": [{"model": "smol:latest", "digest": "d"}]})
    assert ollama(model="smol").capabilities().digest == "d"


def test_an_unreachable_server_says_how_to_start_it(ollama: Make, server: Any) -> None:
    brain = ollama()
    server.close()
    with pytest.raises(ControllerError, match="Start one with `ollama serve`") as caught:
        brain.capabilities()
    assert caught.value.validity == "model_error"
    assert "\n" not in str(caught.value)


def test_something_else_on_the_port_is_a_model_error(ollama: Make, server: Any, faults: ModuleType) -> None:
    server.fixed["/api/show"] = faults.Answer(body="<html>hello</html>")
    with pytest.raises(ControllerError, match="does not answer as an Ollama server"):
        ollama().capabilities()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"done_reason": "length"}, "cut off by a limit"),
        ({"prompt_eval_count": 2_047}, "fills the whole window"),
        ({"prompt_eval_count": 2_048}, "fills the whole window"),
        ({"prompt_eval_count": None}, "no prompt_eval_count"),
    ],
)
def test_a_cut_prompt_or_answer_is_truncated(
    changes: dict[str, Any], words: str, ollama: Make, server: Any, faults: ModuleType, chat: Any
) -> None:
    server.answers(faults.ollama_answer("", ("look", {}), **changes))
    with pytest.raises(TruncatedError, match=words) as caught:
        chat(ollama())
    (exchange,) = exchanges_of(caught.value)
    assert exchange.request == server.chats[0]
    assert exchange.response is not None
    assert exchange.error is not None
    assert words in exchange.error


def test_a_prompt_that_shrinks_while_the_history_grows_is_truncated(
    ollama: Make, server: Any, faults: ModuleType, chat: Any
) -> None:
    server.answers(
        faults.ollama_answer("", ("look", {}), prompt_eval_count=1_500),
        faults.ollama_answer("", ("look", {}), prompt_eval_count=1_200),
    )
    brain = ollama()
    chat(brain)
    with pytest.raises(TruncatedError, match="fell from 1500 to 1200"):
        chat(brain, (*HELLO, Message(role="assistant", content="more")))


def test_a_prompt_at_half_the_window_with_too_much_text_is_truncated(
    ollama: Make, server: Any, faults: ModuleType, chat: Any
) -> None:
    server.answers(faults.ollama_answer("", ("look", {}), prompt_eval_count=1_026))
    with pytest.raises(TruncatedError, match="half the window"):
        chat(ollama(), (*HELLO, Message(role="user", content="word " * 1_700)))


def test_an_overflow_that_the_server_reports_is_truncated(
    ollama: Make, server: Any, faults: ModuleType, chat: Any
) -> None:
    server.answers(faults.Answer(status=400, body={"error": "input length exceeds the context length"}))
    with pytest.raises(TruncatedError, match="does not fit"):
        chat(ollama())
    assert len(server.chats) == 1


def test_an_error_parsing_a_tool_call_is_tried_again_with_a_new_seed(
    ollama: Make, server: Any, faults: ModuleType, chat: Any
) -> None:
    broken = faults.Answer(status=500, body={"error": "error parsing tool call: raw='{'"})
    server.answers(broken, broken, faults.ollama_answer("", ("look", {})))
    reply = chat(ollama())
    seeds = [body["options"]["seed"] for body in server.chats]
    assert seeds[0] == 5
    assert len(set(seeds)) == 3
    assert [e.retry for e in reply.exchanges()] == [0, 1, 2]
    assert [e.status for e in reply.exchanges()] == [500, 500, 200]
    assert [e.request["options"]["seed"] for e in reply.exchanges()] == seeds
    assert "error parsing tool call" in (reply.earlier[0].error or "")


def test_an_error_parsing_a_tool_call_that_stays_is_a_model_error(
    ollama: Make, server: Any, faults: ModuleType, chat: Any
) -> None:
    server.answers(faults.Answer(status=500, body={"error": "error parsing tool call: raw='{'"}))
    with pytest.raises(ControllerError, match="Gave up after 3 attempts") as caught:
        chat(ollama())
    assert caught.value.validity == "model_error"
    assert [e.retry for e in exchanges_of(caught.value)] == [0, 1, 2]
    assert all(e.response == {"error": "error parsing tool call: raw='{'"} for e in exchanges_of(caught.value))


@pytest.mark.parametrize(
    "body",
    [
        "not json at all",
        "",
        "[1, 2]",
        {"done": True},
        {"message": {"content": "x"}},
        {"done": True, "message": {"tool_calls": [{"id": "x"}]}},
    ],
)
def test_a_garbage_body_is_a_model_error_after_bounded_retries(
    body: Any, ollama: Make, server: Any, faults: ModuleType, chat: Any
) -> None:
    server.answers(faults.Answer(body=body))
    with pytest.raises(ControllerError, match="Gave up after 2 attempts") as caught:
        chat(ollama(max_retries=1))
    assert caught.value.validity == "model_error"
    assert len(server.chats) == 2
    assert all(e.response == body or isinstance(body, str) for e in exchanges_of(caught.value))


def test_a_refused_request_is_not_tried_again(ollama: Make, server: Any, faults: ModuleType, chat: Any) -> None:
    server.answers(faults.Answer(status=400, body={"error": "invalid options"}))
    with pytest.raises(ControllerError, match="invalid options"):
        chat(ollama())
    assert len(server.chats) == 1


def test_a_slow_answer_is_a_timeout(ollama: Make, server: Any, faults: ModuleType, chat: Any) -> None:
    server.answers(faults.Answer(hang=True))
    with pytest.raises(ControllerTimeoutError, match=r"within 0\.3 s") as caught:
        chat(ollama(timeout_s=0.3))
    assert caught.value.validity == "timeout"
    (exchange,) = exchanges_of(caught.value)
    assert exchange.request == server.chats[0]
    assert exchange.response is None


def test_a_death_in_the_middle_of_an_answer_is_a_model_error(
    ollama: Make, server: Any, faults: ModuleType, chat: Any
) -> None:
    server.answers(faults.Answer(body=faults.ollama_answer("x").body, cut=True))
    with pytest.raises(ControllerError, match="broke before the answer was complete") as caught:
        chat(ollama())
    assert caught.value.validity == "model_error"
    assert exchanges_of(caught.value)[0].request == server.chats[0]


def test_a_server_that_dies_between_two_calls_is_a_model_error(
    ollama: Make, server: Any, faults: ModuleType, chat: Any
) -> None:
    server.answers(faults.ollama_answer("", ("look", {})))
    brain = ollama()
    chat(brain)
    server.close()
    with pytest.raises(ControllerError) as caught:
        chat(brain)
    assert caught.value.validity == "model_error"


@pytest.mark.parametrize(
    "options", [{"num_ctx": 10}, {"temperature": -1}, {"model": ""}, {"base_url": "ftp://x"}, {"colour": "red"}]
)
def test_impossible_options_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(options))):
        OllamaConfig(**({"model": "m"} | options))


@pytest.mark.parametrize("number", ["1e999", "NaN", "-Infinity"])
def test_a_number_that_no_record_can_hold_stays_text(
    number: str, ollama: Make, server: Any, faults: ModuleType, chat: Any
) -> None:
    body = json.dumps(faults.ollama_answer("", ("wait", {"seconds": 0})).body)
    server.answers(faults.Answer(body=body.replace('"seconds": 0', f'"seconds": {number}')))
    reply = chat(ollama())
    assert reply.calls[0].arguments == {"seconds": number}
    json.dumps(reply.response, allow_nan=False)
