"""A server that drops part of a conversation betrays itself by its token counts."""

from __future__ import annotations

import pytest

from redbutton.llm_controller.brain import Message
from redbutton.llm_controller.truncation import HALF_WINDOW_SLACK, TruncationWatch

GOAL = Message(role="user", content="Fetch a coffee.")


def grown(n: int, chars: int = 400) -> list[Message]:
    return [GOAL, *(Message(role="assistant", content="a" * chars) for _ in range(n))]


def test_a_growing_prompt_is_fine() -> None:
    watch = TruncationWatch()
    assert [watch.problem(grown(n), 100 + 100 * n, 8_192) for n in range(10)] == [""] * 10


@pytest.mark.parametrize("tokens", [2_047, 2_048, 2_100])
def test_a_prompt_that_fills_the_window_was_cut(tokens: int) -> None:
    assert "fills the whole window" in TruncationWatch().problem(grown(1), tokens, 2_048)


def test_one_token_of_room_is_no_sign() -> None:
    assert TruncationWatch().problem(grown(1), 2_046, 2_048) == ""


def test_a_prompt_that_falls_while_the_history_grows_was_cut() -> None:
    watch = TruncationWatch()
    assert watch.problem(grown(4), 900, None) == ""
    assert "fell from 900 to 700" in watch.problem(grown(5), 700, None)


def test_a_new_conversation_may_be_shorter() -> None:
    watch = TruncationWatch()
    assert watch.problem(grown(4), 900, None) == ""
    other = [Message(role="user", content="Another goal."), *grown(5)[1:]]
    assert watch.problem(other, 100, None) == ""


def test_a_conversation_that_was_shortened_on_purpose_may_be_shorter() -> None:
    watch = TruncationWatch()
    assert watch.problem(grown(4), 900, None) == ""
    shortened = [GOAL, Message(role="assistant", content="(left out)"), *grown(4)[2:], Message(role="user")]
    assert watch.problem(shortened, 500, None) == ""


def test_thinking_that_a_template_drops_is_no_truncation() -> None:
    watch = TruncationWatch()
    history = [GOAL, Message(role="assistant", content="ok", thinking="t" * 800)]
    assert watch.problem(history, 300, None) == ""
    assert watch.problem([*history, GOAL], 120, None) == ""
    watch.problem(history, 900, None)
    assert "fell" in watch.problem([*history, GOAL], 120, None)


@pytest.mark.parametrize("off", [-HALF_WINDOW_SLACK, 0, HALF_WINDOW_SLACK])
def test_half_the_window_with_far_too_much_text_was_cut(off: int) -> None:
    watch = TruncationWatch()
    assert "half the window" in watch.problem(grown(20), 512 + 2 + off, 1_024)


def test_half_the_window_by_chance_is_fine() -> None:
    assert TruncationWatch().problem(grown(5), 514, 1_024) == ""


def test_tool_schemas_count_as_text_at_half_the_window() -> None:
    assert "half the window" in TruncationWatch().problem(grown(1), 514, 1_024, extra_chars=4_000)
