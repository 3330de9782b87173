"""The memory never overflows silently: frames go first, then results, and every loss is told."""

from __future__ import annotations

import pytest

from redbutton.llm_controller.brain import Message, ProposedCall
from redbutton.llm_controller.conversation import (
    FRAME_NOTE,
    IMAGE_TOKENS,
    KEEP_TURNS,
    RESULT_NOTE,
    Conversation,
)
from redbutton.robots.interface import TruncatedError


def talk(budget: int | None, turns: int, *, frames: bool = False, result: str = "x" * 300) -> Conversation:
    conversation = Conversation(system="S", user="goal", budget_tokens=budget)
    for n in range(turns):
        call = ProposedCall(name="look", arguments={}, id=str(n))
        conversation.add(Message(role="assistant", tool_calls=(call,)))
        conversation.add(Message(role="tool", content=f"{n} {result}", tool_name="look", call_id=str(n)))
        if frames:
            conversation.add(Message(role="user", content="Camera frame.", images_png=(b"png",)))
    return conversation


def test_without_a_budget_everything_is_kept() -> None:
    conversation = talk(None, 50, frames=True)
    before = conversation.messages
    assert list(conversation.fit()) == []
    assert conversation.messages == before


def test_within_the_budget_everything_is_kept() -> None:
    conversation = talk(100_000, 10)
    before = conversation.messages
    assert list(conversation.fit()) == []
    assert conversation.messages == before


def test_old_frames_go_before_any_result() -> None:
    turns = KEEP_TURNS + 4
    full = talk(None, turns, frames=True).estimated_tokens
    conversation = talk(full - 2 * IMAGE_TOKENS + 100, turns, frames=True)
    notes = list(conversation.fit())
    assert len(notes) == 2
    assert all("camera frame" in note for note in notes)
    frames = [m for m in conversation.messages if m.content == FRAME_NOTE]
    assert len(frames) == 2
    assert all(m.images_png == () for m in frames)
    assert all(m.content != RESULT_NOTE for m in conversation.messages)


def test_the_oldest_frame_goes_first() -> None:
    turns = KEEP_TURNS + 3
    conversation = talk(talk(None, turns, frames=True).estimated_tokens - 10, turns, frames=True)
    assert len(list(conversation.fit())) == 1
    users = [m for m in conversation.messages if m.role == "user"][1:]
    assert users[0].content == FRAME_NOTE
    assert all(m.images_png for m in users[1:])


def test_results_go_when_there_are_no_frames_left() -> None:
    turns = KEEP_TURNS + 3
    full = talk(None, turns).estimated_tokens
    conversation = talk(full - 150, turns)
    notes = list(conversation.fit())
    assert notes == [
        "left out the result of look in message 3 to save room",
        "left out the result of look in message 5 to save room",
    ]
    assert conversation.estimated_tokens <= full - 150


def test_system_prompt_goal_and_last_turns_are_never_touched() -> None:
    turns = KEEP_TURNS + 5
    whole = talk(None, turns, frames=True)
    smallest = talk(None, KEEP_TURNS, frames=True).estimated_tokens + 5 * 80
    conversation = talk(smallest, turns, frames=True)
    assert list(conversation.fit())
    assert conversation.messages[:2] == whole.messages[:2]
    assert conversation.messages[-3 * KEEP_TURNS :] == whole.messages[-3 * KEEP_TURNS :]


def test_calls_of_the_model_are_never_left_out() -> None:
    conversation = talk(650, KEEP_TURNS + 5, result="y" * 150)
    assert list(conversation.fit())
    assert sum(len(m.tool_calls) for m in conversation.messages) == KEEP_TURNS + 5


def test_what_cannot_fit_voids_the_trial() -> None:
    with pytest.raises(TruncatedError, match="and 200 are left"):
        list(talk(200, KEEP_TURNS + 5).fit())


def test_what_was_left_out_is_told_even_when_it_was_not_enough() -> None:
    told: list[str] = []
    with pytest.raises(TruncatedError):
        told.extend(talk(200, KEEP_TURNS + 5).fit())
    assert len(told) == 5
    assert all("left out the result" in note for note in told)


def test_the_first_turns_alone_can_be_too_much() -> None:
    with pytest.raises(TruncatedError):
        list(Conversation(system="S" * 9_000, user="goal", budget_tokens=1_000).fit())


def test_tool_schemas_count() -> None:
    with pytest.raises(TruncatedError):
        list(Conversation(system="S", user="goal", budget_tokens=1_000, fixed_chars=9_000).fit())


def test_the_count_of_the_server_replaces_the_estimate() -> None:
    conversation = talk(5_000, 3)
    conversation.counted(4_990)
    conversation.add(Message(role="user", content="z" * 90))
    assert conversation.estimated_tokens == 4_990 + 30 + 8
    with pytest.raises(TruncatedError):
        list(conversation.fit())


def test_a_frame_in_the_goal_turn_is_never_left_out() -> None:
    conversation = Conversation(system="S", user="goal", images_png=(b"first",), budget_tokens=1_400)
    for n in range(KEEP_TURNS + 4):
        conversation.add(Message(role="assistant", content=f"{n}"))
        conversation.add(Message(role="tool", content="x" * 300, tool_name="look"))
    with pytest.raises(TruncatedError):
        list(conversation.fit())
    assert conversation.messages[1].images_png == (b"first",)
