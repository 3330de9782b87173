"""The OpenAI brain and the decision loop over a real inference server: llama.cpp with a tiny random model.

Tokenizer, chat template, grammar, sampler and limits are real; what the model says means nothing, and no
pretrained model was run. What must hold for any model: every decision is a valid call or a void trial with the
right reason.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from redbutton.llm_controller.conversation import RESULT_NOTE
from redbutton.llm_controller.llm import LLMController
from redbutton.llm_controller.openai_brain import OpenAIBrain, OpenAIConfig
from redbutton.robots.interface import (
    Briefing,
    ControllerError,
    ControllerTimeoutError,
    MalformedError,
    NoToolsError,
    Observation,
    TruncatedError,
)

pytestmark = [pytest.mark.llm, pytest.mark.wall_clock]
Make = Callable[..., LLMController]


@pytest.fixture
def controller() -> Iterator[Make]:
    made: list[LLMController] = []

    def make(server: Any, *, loop: dict[str, int] | None = None, **options: Any) -> LLMController:
        fields = {"model": server.model, "base_url": server.base_url, "max_tokens": 600, "temperature": 1.0}
        brain = OpenAIBrain(OpenAIConfig(**(fields | options)), sleep=lambda _: None)
        # Random weights put numbers out of range that the grammar lets pass: leave room to correct them.
        made.append(LLMController(brain, **({"max_corrections": 20} | (loop or {}))))
        return made[-1]

    yield make
    for one in made:
        one.close()


def test_the_server_says_what_it_serves(tiny_server: Any) -> None:
    assert [m["id"] for m in tiny_server.models()["data"]] == [tiny_server.model]


def test_a_loop_of_many_decisions_with_required_calls(
    tiny_server: Any, controller: Make, brief: Callable[..., Briefing], observe: Callable[..., Observation]
) -> None:
    driver = controller(tiny_server, tool_choice="required", parallel_tool_calls=False)
    driver.reset(brief())
    names = {tool.name for tool in brief().tools}
    for n in range(8):
        assert driver.act(observe(n, last="ok" if n else None)).name in names
    events = driver.drain()
    calls = [fields for kind, fields in events if kind == "model_call"]
    assert len(calls) >= 8
    assert all(c["error"] is None and c["status"] == 200 for c in calls)
    counts = [c["usage"]["prompt_tokens"] for c in calls]
    assert counts == sorted(counts)
    assert counts[-1] > counts[0] > 500
    assert len(calls[-1]["request"]["messages"]) >= 2 + 2 * 7


def test_free_choice_gives_calls_words_and_nudges_but_never_anything_else(
    tiny_server: Any, controller: Make, brief: Callable[..., Briefing], observe: Callable[..., Observation]
) -> None:
    made, nudged = 0, 0
    for seed in range(5):
        driver = controller(tiny_server, tool_choice="auto", loop={"max_silent": 6, "max_corrections": 2})
        driver.reset(brief(seed=seed))
        try:
            for n in range(3):
                driver.act(observe(n, last="ok" if n else None))
                made += 1
        except (NoToolsError, MalformedError):
            continue
        finally:
            nudged += sum("nudged" in str(fields.get("note")) for _, fields in driver.drain())
    assert made > 0
    assert nudged > 0


def test_a_window_that_the_server_finds_too_small_is_truncated(
    start_tiny_server: Callable[..., Any],
    controller: Make,
    brief: Callable[..., Briefing],
    observe: Callable[..., Observation],
) -> None:
    small = start_tiny_server(n_ctx=512)
    driver = controller(small, tool_choice="required", context_tokens=100_000)
    driver.reset(brief())
    with pytest.raises(TruncatedError, match="does not fit the model's context"):
        driver.act(observe(0))
    ((_, fields),) = driver.drain()
    assert fields["status"] == 400
    assert fields["response"]["error"]["type"] == "exceed_context_size_error"


def test_a_window_that_is_known_to_be_small_is_truncated_before_the_call(
    start_tiny_server: Callable[..., Any],
    controller: Make,
    brief: Callable[..., Briefing],
    observe: Callable[..., Observation],
) -> None:
    driver = controller(start_tiny_server(n_ctx=512), tool_choice="required")
    assert driver.brain.capabilities().context_tokens == 512
    driver.reset(brief())
    with pytest.raises(TruncatedError, match="are left for it"):
        driver.act(observe(0))
    assert driver.drain() == []


@pytest.mark.slow
def test_a_window_that_fills_up_makes_old_results_go_first(
    start_tiny_server: Callable[..., Any],
    controller: Make,
    brief: Callable[..., Briefing],
    observe: Callable[..., Observation],
) -> None:
    server = start_tiny_server(n_ctx=7_168)
    driver = controller(server, tool_choice="required")
    driver.reset(brief())
    events: list[Any] = []
    for n in range(12):
        driver.act(observe(n, "The cup is empty. " * 20, last="ok" if n else None))
        events += driver.drain()
    assert any("left out the result" in fields["note"] for kind, fields in events if kind == "model_note")
    last = [fields["request"]["messages"] for kind, fields in events if kind == "model_call"][-1]
    assert any(m["content"] == RESULT_NOTE for m in last)
    assert last[1]["content"].startswith("Fetch a coffee.")


def test_a_call_cut_off_by_the_token_limit_is_truncated(
    tiny_server: Any, controller: Make, brief: Callable[..., Briefing], observe: Callable[..., Observation]
) -> None:
    driver = controller(tiny_server, tool_choice="required", max_tokens=6)
    driver.reset(brief())
    with pytest.raises(TruncatedError, match="cut off by a limit"):
        driver.act(observe(0))
    ((_, fields),) = driver.drain()
    assert fields["response"]["choices"][0]["finish_reason"] == "length"
    assert "cut off" in fields["error"]


def test_a_server_killed_in_the_middle_of_a_trial_is_a_model_error(
    start_tiny_server: Callable[..., Any],
    controller: Make,
    brief: Callable[..., Briefing],
    observe: Callable[..., Observation],
) -> None:
    server = start_tiny_server()
    driver = controller(server, tool_choice="required")
    driver.reset(brief())
    driver.act(observe(0))
    server.kill()
    with pytest.raises(ControllerError) as caught:
        driver.act(observe(1, last="ok"))
    assert caught.value.validity == "model_error"
    assert not isinstance(caught.value, ControllerTimeoutError)
    assert [fields["error"] is None for kind, fields in driver.drain() if kind == "model_call"][-1] is False


def test_an_answer_that_takes_too_long_is_a_timeout(
    tiny_server: Any, controller: Make, brief: Callable[..., Briefing], observe: Callable[..., Observation]
) -> None:
    driver = controller(tiny_server, tool_choice="required", timeout_s=0.003)
    driver.brain._capabilities = controller(tiny_server).brain.capabilities()  # type: ignore[attr-defined]
    driver.reset(brief())
    with pytest.raises(ControllerTimeoutError):
        driver.act(observe(0, "word " * 800))
