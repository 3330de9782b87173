"""The OpenAI-compatible brain against a server that replays faults; ``test_real_server.py`` has a real one."""

from __future__ import annotations

import json
from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest

from redbutton.llm_controller.brain import Message, ProposedCall, exchanges_of, tool_definitions
from redbutton.robots.interface import (
    ControllerError,
    ControllerTimeoutError,
    NoToolsError,
    ToolParam,
    ToolSpec,
    TruncatedError,
)

Make = Callable[..., Any]
HELLO = (Message(role="system", content="S"), Message(role="user", content="Fetch."))
PNG = b"\x89PNG\r\n\x1a\n" + bytes(20)
KEY = "sk-secret-0123456789"


@pytest.fixture
def chat(tools: Any) -> Callable[..., Any]:
    return lambda brain, messages=HELLO, seed=5: brain.chat(messages, tools, seed)


def test_the_request_is_what_the_options_say(openai: Make, server: Any, faults: ModuleType, chat: Any) -> None:
    server.answers(faults.openai_answer("", ("look", "{}")))
    chat(openai(tool_choice="required", temperature=0.5, parallel_tool_calls=False, max_tokens=77))
    (body,) = server.chats
    assert (body["model"], body["seed"], body["stream"]) == ("tiny", 5, False)
    assert (body["tool_choice"], body["temperature"], body["parallel_tool_calls"]) == ("required", 0.5, False)
    assert body["max_tokens"] == 77
    assert len(body["tools"]) == 6


def test_what_is_not_set_is_not_sent(openai: Make, server: Any, faults: ModuleType, chat: Any) -> None:
    server.answers(faults.openai_answer("", ("look", "{}")))
    chat(openai(max_tokens_field="max_completion_tokens"))
    assert {"temperature", "top_p", "parallel_tool_calls", "max_tokens"}.isdisjoint(server.chats[0])
    assert server.chats[0]["max_completion_tokens"] == 4_096


def test_a_reply_is_read(openai: Make, server: Any, faults: ModuleType, chat: Any) -> None:
    server.answers(faults.openai_answer("Hm", ("wait", '{"seconds": 1}'), finish="tool_calls"))
    reply = chat(openai())
    assert (reply.text, reply.done_reason) == ("Hm", "tool_calls")
    assert reply.calls == (ProposedCall(name="wait", arguments='{"seconds": 1}', id="id0"),)
    assert (reply.usage.prompt_tokens, reply.usage.completion_tokens) == (100, 5)
    assert reply.request == server.chats[0]


@pytest.mark.parametrize("field", ["reasoning_content", "reasoning"])
def test_thinking_is_kept_apart_from_the_words(
    field: str, openai: Make, server: Any, faults: ModuleType, chat: Any
) -> None:
    choice = {"finish_reason": "stop", "message": {"content": None, field: "well"}}
    server.answers(faults.openai_answer(choices=[choice]))
    reply = chat(openai())
    assert (reply.text, reply.thinking) == ("", "well")


def test_results_name_the_id_that_they_answer(openai: Make, server: Any, faults: ModuleType, chat: Any) -> None:
    server.answers(faults.openai_answer("", ("look", "{}")))
    calls = (ProposedCall(name="look", arguments={}, id="a"), ProposedCall(name="wait", arguments="{broken", id="b"))
    history = (
        *HELLO,
        Message(role="assistant", tool_calls=calls),
        Message(role="tool", content="seen", tool_name="look", call_id="a"),
        Message(role="tool", content="bad", tool_name="wait", call_id="b"),
    )
    chat(openai(), history)
    sent = server.chats[0]["messages"][2:]
    assert [c["id"] for c in sent[0]["tool_calls"]] == ["a", "b"]
    assert [json.loads(c["function"]["arguments"]) for c in sent[0]["tool_calls"]] == [{}, {"arguments": "{broken"}]
    assert [(m["role"], m["tool_call_id"], m["content"]) for m in sent[1:]] == [
        ("tool", "a", "seen"),
        ("tool", "b", "bad"),
    ]


def test_images_go_out_as_data_urls_and_are_recorded_by_digest(
    openai: Make, server: Any, faults: ModuleType, chat: Any
) -> None:
    server.answers(faults.openai_answer("", ("look", "{}")))
    reply = chat(openai(vision=True), (*HELLO, Message(role="user", content="Frame.", images_png=(PNG,))))
    text, image = server.chats[0]["messages"][2]["content"]
    assert text == {"type": "text", "text": "Frame."}
    assert image["image_url"]["url"].startswith("data:image/png;base64,")
    recorded = reply.request["messages"][2]["content"][1]["image_url"]["url"]
    assert recorded.startswith("sha256:")
    assert recorded.endswith(f" {len(PNG)} bytes")


def test_images_are_refused_without_vision(openai: Make, server: Any, faults: ModuleType, chat: Any) -> None:
    server.answers(faults.openai_answer())
    with pytest.raises(ControllerError, match="vision=true"):
        chat(openai(), (*HELLO, Message(role="user", images_png=(PNG,))))


def test_the_key_is_sent_but_never_recorded(
    openai: Make, server: Any, faults: ModuleType, chat: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    echo = faults.Answer(status=400, body={"error": {"message": f"bad request with key {KEY}"}})
    server.answers(faults.openai_answer("", ("look", "{}")), echo)
    brain = openai()
    reply = chat(brain)
    assert server.headers[0]["Authorization"] == f"Bearer {KEY}"
    with pytest.raises(ControllerError) as caught:
        chat(brain)
    assert KEY not in repr(reply)
    assert KEY not in str(caught.value) + repr(exchanges_of(caught.value))
    assert "***" in str(caught.value)


def test_no_key_means_no_header(
    openai: Make, server: Any, faults: ModuleType, chat: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    server.answers(faults.openai_answer("", ("look", "{}")))
    chat(openai())
    assert "Authorization" not in server.headers[0]


def test_a_model_that_is_not_served_is_named_with_those_that_are(openai: Make) -> None:
    with pytest.raises(ControllerError, match=r'serves no model "tinny"\. It serves: tiny'):
        openai(model="tinny").capabilities()


def test_a_server_that_lists_nothing_is_taken_at_its_word(openai: Make, server: Any) -> None:
    del server.fixed["/v1/models"]
    known = openai(model="anything").capabilities()
    assert (known.tools, known.context_tokens) == (True, None)


@pytest.mark.parametrize("entry", [{"max_model_len": 4_096}, {"meta": {"n_ctx": 4_096}}])
def test_the_window_is_taken_from_the_list_of_models(
    entry: dict[str, Any], openai: Make, server: Any, faults: ModuleType
) -> None:
    faults.speak_openai(server, {"id": "other", "max_model_len": 9}, {"id": "tiny"} | entry)
    assert openai().capabilities().context_tokens == 4_096
    assert openai(context_tokens=1_000).capabilities().context_tokens == 1_000


@pytest.mark.parametrize("status", [401, 403])
def test_a_refused_key_names_the_variable(
    status: int, openai: Make, server: Any, faults: ModuleType, chat: Any
) -> None:
    refused = faults.Answer(status=status, body={"error": {"message": "invalid api key"}})
    server.fixed["/v1/models"] = refused
    server.answers(refused)
    with pytest.raises(ControllerError, match="set OPENAI_API_KEY"):
        openai().capabilities()
    with pytest.raises(ControllerError, match="set OPENAI_API_KEY"):
        chat(openai())


def test_an_unreachable_server_is_a_model_error(openai: Make, server: Any) -> None:
    brain = openai()
    server.close()
    with pytest.raises(ControllerError, match="No server answers at") as caught:
        brain.capabilities()
    assert caught.value.validity == "model_error"


def test_an_answer_cut_by_a_limit_is_truncated(openai: Make, server: Any, faults: ModuleType, chat: Any) -> None:
    server.answers(faults.openai_answer("", ("wait", '{"seco'), finish="length"))
    with pytest.raises(TruncatedError, match="cut off by a limit") as caught:
        chat(openai())
    assert exchanges_of(caught.value)[0].response is not None


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (400, {"error": {"code": "context_length_exceeded", "message": "too long"}}),
        (400, {"error": {"message": "This model's maximum context length is 4096 tokens."}}),
        (500, {"error": {"type": "exceed_context_size_error", "message": "request exceeds the available size"}}),
        (413, {"error": "the prompt is too long"}),
    ],
)
def test_a_context_overflow_is_truncated_and_not_tried_again(
    status: int, body: Any, openai: Make, server: Any, faults: ModuleType, chat: Any
) -> None:
    server.answers(faults.Answer(status=status, body=body))
    with pytest.raises(TruncatedError):
        chat(openai())
    assert len(server.chats) == 1


def test_a_prompt_that_shrinks_while_the_history_grows_is_truncated(
    openai: Make, server: Any, faults: ModuleType, chat: Any
) -> None:
    counts = [{"prompt_tokens": 900}, {"prompt_tokens": 500}]
    server.answers(*(faults.openai_answer("", ("look", "{}"), usage=usage) for usage in counts))
    brain = openai()
    chat(brain)
    with pytest.raises(TruncatedError, match="fell from 900 to 500"):
        chat(brain, (*HELLO, Message(role="assistant", content="more")))


def test_a_server_that_counts_nothing_is_accepted(openai: Make, server: Any, faults: ModuleType, chat: Any) -> None:
    server.answers(faults.openai_answer("", ("look", "{}"), usage=None))
    assert chat(openai()).usage.prompt_tokens is None


@pytest.mark.parametrize("status", [429, 500, 502, 503])
def test_a_busy_or_broken_server_is_asked_again_with_a_new_seed(
    status: int, openai: Make, server: Any, faults: ModuleType, chat: Any
) -> None:
    server.answers(faults.Answer(status=status, body="busy"), faults.openai_answer("", ("look", "{}")))
    reply = chat(openai())
    assert [e.status for e in reply.exchanges()] == [status, 200]
    assert server.chats[0]["seed"] != server.chats[1]["seed"]


@pytest.mark.parametrize(
    "answer",
    [
        {"status": 500, "body": {"error": {"message": "Failed to parse tool call"}}},
        {"body": '{"choices": [{"mess'},
        {"body": "<html>"},
        {"body": {"choices": []}},
        {"body": {"choices": None}},
        {"body": {"choices": [{"finish_reason": "stop"}]}},
        {"body": {"choices": [{"message": {"tool_calls": [{"id": "x"}]}}]}},
        {"body": {}},
    ],
)
def test_a_broken_answer_that_stays_is_a_model_error(
    answer: dict[str, Any], openai: Make, server: Any, faults: ModuleType, chat: Any
) -> None:
    server.answers(faults.Answer(**answer))
    with pytest.raises(ControllerError, match="Gave up after 3 attempts") as caught:
        chat(openai())
    assert caught.value.validity == "model_error"
    assert len(exchanges_of(caught.value)) == len(server.chats) == 3


def test_a_refused_request_is_not_tried_again(openai: Make, server: Any, faults: ModuleType, chat: Any) -> None:
    server.answers(faults.Answer(status=400, body={"error": {"message": "unknown field"}}))
    with pytest.raises(ControllerError, match="unknown field"):
        chat(openai())
    assert len(server.chats) == 1


def test_a_server_without_tool_support_is_no_tools(openai: Make, server: Any, faults: ModuleType, chat: Any) -> None:
    server.answers(faults.Answer(status=400, body={"error": {"message": "tools are not supported by this model"}}))
    with pytest.raises(NoToolsError):
        chat(openai())


def test_an_answer_that_a_filter_cut_is_a_model_error(openai: Make, server: Any, faults: ModuleType, chat: Any) -> None:
    server.answers(faults.openai_answer("I", finish="content_filter"))
    with pytest.raises(ControllerError, match="filter"):
        chat(openai())


def test_a_slow_answer_is_a_timeout(openai: Make, server: Any, faults: ModuleType, chat: Any) -> None:
    server.answers(faults.Answer(hang=True))
    with pytest.raises(ControllerTimeoutError):
        chat(openai(timeout_s=0.3))


def test_a_connection_lost_in_the_middle_is_a_model_error(
    openai: Make, server: Any, faults: ModuleType, chat: Any
) -> None:
    server.answers(faults.Answer(body=faults.openai_answer("x").body, cut=True))
    with pytest.raises(ControllerError, match="broke before") as caught:
        chat(openai())
    assert caught.value.validity == "model_error"


@pytest.mark.parametrize(
    "address", ["127.0.0.1:80/v1", "file:///x", "http://", "http://me:pw@host/v1", "http://h/?k=1"]
)
def test_an_address_must_be_plain_http(address: str, openai: Make) -> None:
    with pytest.raises(ValueError, match="a server's address"):
        openai(base_url=address)


@pytest.mark.parametrize("raw", ['{"seconds": 1e999}', '{"seconds": NaN}', '{"seconds"', "[1]", "7"])
def test_arguments_that_a_server_could_not_read_back_are_sent_as_text(
    raw: str, openai: Make, server: Any, faults: ModuleType, chat: Any
) -> None:
    server.answers(faults.openai_answer("", ("look", "{}")))
    call = ProposedCall(name="wait", arguments=raw, id="a")
    chat(openai(), (*HELLO, Message(role="assistant", tool_calls=(call,))))
    sent = server.chats[0]["messages"][2]["tool_calls"][0]["function"]["arguments"]
    assert json.loads(sent) == {"arguments": raw}


def test_the_length_of_a_long_text_is_not_sent_and_that_of_a_short_one_is() -> None:
    params = tuple(
        ToolParam(name=str(n), type="string", description="d", max_length=n) for n in (200, 1000, 2000, 8000)
    )
    (sent,) = tool_definitions([ToolSpec(name="say", description="d", params=params)])
    lengths = {name: prop.get("maxLength") for name, prop in sent["function"]["parameters"]["properties"].items()}
    assert lengths == {"200": 200, "1000": 1000, "2000": None, "8000": None}
