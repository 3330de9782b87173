"""The decision loop: corrections, silence, several calls at once, memory, and what it hands to the record."""

from __future__ import annotations

import json
from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest

from redbutton.llm_controller.brain import Capabilities, Message
from redbutton.llm_controller.llm import FRAME, NOT_EXECUTED, NUDGE, SILENT_REPORT, LLMController
from redbutton.robots.interface import (
    Briefing,
    ControllerError,
    ControllerTimeoutError,
    MalformedError,
    NoToolsError,
    Observation,
    TruncatedError,
)

Brief = Callable[..., Briefing]
Observe = Callable[..., Observation]
LOOK = ("look", {})
BAD = ("pick", {"object": "spoon"})


def started(brain: Any, briefing: Briefing, **options: Any) -> LLMController:
    controller = LLMController(brain, **options)
    controller.reset(briefing)
    return controller


def notes(controller: LLMController) -> list[str]:
    return [fields["note"] for kind, fields in controller.drain() if kind == "model_note"]


def roles(messages: tuple[Message, ...]) -> list[str]:
    return [m.role for m in messages]


def test_the_first_prompt_is_system_then_goal_with_observation(
    fake: ModuleType, brief: Brief, observe: Observe
) -> None:
    brain = fake.FakeBrain(fake.says("", LOOK))
    started(brain, brief()).act(observe(0))
    system, user = brain.seen[0]
    assert (system.role, system.content) == ("system", "You control an arm.")
    assert (user.role, user.content) == ("user", "Fetch a coffee.\n\nThe cup is empty.")


def test_an_empty_system_prompt_is_left_out(fake: ModuleType, brief: Brief, observe: Observe) -> None:
    brain = fake.FakeBrain(fake.says("", LOOK))
    started(brain, brief(system="")).act(observe(0))
    assert roles(brain.seen[0]) == ["user"]


def test_result_and_observation_answer_the_call(fake: ModuleType, brief: Brief, observe: Observe) -> None:
    brain = fake.FakeBrain(fake.says("I look.", LOOK, ids=("abc",)))
    controller = started(brain, brief())
    assert controller.act(observe(0)).text == "I look."
    controller.act(observe(1, "The cup is full.", last="You looked."))
    assistant, answer = brain.seen[1][-2:]
    assert (assistant.role, assistant.tool_calls[0].id) == ("assistant", "abc")
    assert (answer.role, answer.tool_name, answer.call_id) == ("tool", "look", "abc")
    assert answer.content == "You looked.\n\nThe cup is full."


def test_a_result_that_the_observation_repeats_is_told_once(fake: ModuleType, brief: Brief, observe: Observe) -> None:
    brain = fake.FakeBrain(fake.says("", LOOK))
    controller = started(brain, brief())
    controller.act(observe(0))
    controller.act(observe(1, "Result: You looked. Cup full.", last="You looked."))
    assert brain.seen[1][-1].content == "Result: You looked. Cup full."


def test_ids_that_repeat_are_made_unique(fake: ModuleType, brief: Brief, observe: Observe) -> None:
    brain = fake.FakeBrain(fake.says("", LOOK, ids=("same",)))
    controller = started(brain, brief())
    for n in range(3):
        controller.act(observe(n, last="ok"))
    assistants = [m.tool_calls[0].id for m in brain.seen[2] if m.role == "assistant"]
    answers = [m.call_id for m in brain.seen[2] if m.role == "tool"]
    assert assistants == answers
    assert len(set(answers)) == 2


def test_a_bad_call_is_answered_by_an_error_and_may_be_corrected(
    fake: ModuleType, brief: Brief, observe: Observe
) -> None:
    brain = fake.FakeBrain(fake.says("spoon", BAD), fake.says("cup then", ("pick", '{"object": "cup"}')))
    controller = started(brain, brief())
    call = controller.act(observe(0))
    assert (call.name, dict(call.args), call.text) == ("pick", {"object": "cup"}, "spoon\ncup then")
    assert brain.seen[1][-1].role == "tool"
    assert brain.seen[1][-1].content.startswith("Error: pick: object must be one of cup, coaster")
    assert any("bad call answered by an error" in note for note in notes(controller))


@pytest.mark.parametrize("allowed", [0, 1, 3])
def test_too_many_bad_calls_in_one_decision_are_malformed(
    allowed: int, fake: ModuleType, brief: Brief, observe: Observe
) -> None:
    brain = fake.FakeBrain(fake.says("", BAD))
    controller = started(brain, brief(), max_corrections=allowed)
    with pytest.raises(MalformedError, match="spoon") as caught:
        controller.act(observe(0))
    assert caught.value.validity == "malformed"
    assert len(brain.seen) == allowed + 1


def test_corrections_are_counted_anew_in_every_decision(fake: ModuleType, brief: Brief, observe: Observe) -> None:
    good = fake.says("", LOOK)
    bad = fake.says("", BAD)
    controller = started(fake.FakeBrain(bad, bad, good, bad, bad, good), brief())
    assert [controller.act(observe(n)).name for n in range(2)] == ["look", "look"]


def test_of_several_calls_the_first_is_executed_and_the_others_are_told_so(
    fake: ModuleType, brief: Brief, observe: Observe
) -> None:
    brain = fake.FakeBrain(fake.says("", LOOK, ("pick", {"object": "cup"}), ("wait", {"seconds": 1})))
    controller = started(brain, brief())
    assert controller.act(observe(0)).name == "look"
    assert any("3 calls in one reply" in note for note in notes(controller))
    controller.act(observe(1, last="seen"))
    answers = brain.seen[1][-3:]
    assert [a.tool_name for a in answers] == ["look", "pick", "wait"]
    assert [a.content for a in answers] == ["seen\n\nThe cup is empty.", NOT_EXECUTED, NOT_EXECUTED]
    assert [a.call_id for a in answers] == [c.id for c in brain.seen[1][-4].tool_calls]


def test_a_good_call_behind_a_bad_one_is_not_executed(fake: ModuleType, brief: Brief, observe: Observe) -> None:
    brain = fake.FakeBrain(fake.says("", BAD, LOOK), fake.says("", ("wait", {"seconds": 1})))
    assert started(brain, brief()).act(observe(0)).name == "wait"
    assert [m.content.split(":")[0] for m in brain.seen[1][-2:]] == ["Error", "not executed"]


def test_words_are_nudged_and_join_the_text_of_the_next_call(fake: ModuleType, brief: Brief, observe: Observe) -> None:
    brain = fake.FakeBrain(fake.says("Hm."), fake.says("Well."), fake.says("Now.", LOOK))
    controller = started(brain, brief())
    assert controller.act(observe(0)).text == "Hm.\nWell.\nNow."
    assert [m.content for m in brain.seen[2][-4:]] == ["Hm.", NUDGE, "Well.", NUDGE]
    assert sum("nudged" in note for note in notes(controller)) == 2


def test_a_model_that_never_calls_a_tool_is_void(fake: ModuleType, brief: Brief, observe: Observe) -> None:
    brain = fake.FakeBrain(fake.says("I would rather talk."))
    with pytest.raises(NoToolsError, match="I would rather talk") as caught:
        started(brain, brief(), max_silent=2).act(observe(0))
    assert caught.value.validity == "no_tools"
    assert len(brain.seen) == 2


def test_a_bad_call_is_no_valid_call(fake: ModuleType, brief: Brief, observe: Observe) -> None:
    brain = fake.FakeBrain(fake.says("", BAD), fake.says("words"))
    with pytest.raises(NoToolsError):
        started(brain, brief()).act(observe(0))


def test_a_model_that_falls_silent_later_finishes_with_its_own_words(
    fake: ModuleType, brief: Brief, observe: Observe
) -> None:
    brain = fake.FakeBrain(fake.says("", LOOK), fake.says("All done."), fake.says("Done."), fake.says("Bye."))
    controller = started(brain, brief())
    controller.act(observe(0))
    call = controller.act(observe(1))
    assert call.name == "finish"
    assert dict(call.args) == {"outcome": "not_done", "report": SILENT_REPORT}
    assert call.text == "All done.\nDone.\nBye."
    assert any("finish(not_done) in the model's place" in note for note in notes(controller))


def test_silence_without_a_tool_to_finish_is_malformed(fake: ModuleType, brief: Brief, observe: Observe) -> None:
    few = tuple(t for t in brief().tools if t.name != "finish")
    controller = started(fake.FakeBrain(fake.says("", LOOK), fake.says("words")), brief(tools=few))
    controller.act(observe(0))
    with pytest.raises(MalformedError, match="no tool to finish with"):
        controller.act(observe(1))


def test_silence_is_counted_in_a_row_only(fake: ModuleType, brief: Brief, observe: Observe) -> None:
    script = [fake.says("a"), fake.says("b"), fake.says("c", BAD), fake.says("d"), fake.says("e"), fake.says("f", LOOK)]
    controller = started(fake.FakeBrain(*script), brief())
    assert controller.act(observe(0)).text == "a\nb\nc\nd\ne\nf"


def test_frames_follow_the_result_when_the_model_sees(fake: ModuleType, brief: Brief, observe: Observe) -> None:
    sees = Capabilities(tools=True, vision=True)
    brain = fake.FakeBrain(fake.says("", LOOK), capabilities=sees)
    controller = started(brain, brief())
    controller.act(observe(0, image=True))
    controller.act(observe(1, last="ok", image=True))
    assert len(brain.seen[0][-1].images_png) == 1
    assert roles(brain.seen[1]) == ["system", "user", "assistant", "tool", "user"]
    assert brain.seen[1][-2].images_png == ()
    assert (brain.seen[1][-1].content, len(brain.seen[1][-1].images_png)) == (FRAME, 1)


def test_frames_are_withheld_from_a_blind_model_and_that_is_noted_once(
    fake: ModuleType, brief: Brief, observe: Observe
) -> None:
    brain = fake.FakeBrain(fake.says("", LOOK))
    controller = started(brain, brief())
    for n in range(3):
        controller.act(observe(n, image=True))
    assert all(not m.images_png for m in brain.seen[-1])
    assert sum("no vision" in note for note in notes(controller)) == 1


def test_a_model_without_tools_is_refused_before_it_is_asked(fake: ModuleType, brief: Brief, observe: Observe) -> None:
    brain = fake.FakeBrain(fake.says("", LOOK), capabilities=Capabilities(tools=False))
    with pytest.raises(NoToolsError):
        started(brain, brief()).act(observe(0))
    assert brain.seen == []


def test_old_frames_are_left_out_and_noted_when_room_is_short(fake: ModuleType, brief: Brief, observe: Observe) -> None:
    room = Capabilities(tools=True, vision=True, context_tokens=12_000, answer_tokens=1_000)
    brain = fake.FakeBrain(fake.says("", LOOK), capabilities=room)
    controller = started(brain, brief())
    for n in range(14):
        controller.act(observe(n, last="ok", image=True))
    assert any("camera frame" in note for note in notes(controller))
    assert sum(len(m.images_png) for m in brain.seen[-1]) < 14


def test_a_conversation_without_room_is_void(fake: ModuleType, brief: Brief, observe: Observe) -> None:
    room = Capabilities(tools=True, context_tokens=400, answer_tokens=100)
    brain = fake.FakeBrain(fake.says("", LOOK), capabilities=room)
    with pytest.raises(TruncatedError):
        started(brain, brief()).act(observe(0, "word " * 400))
    assert brain.seen == []


@pytest.mark.parametrize("error", [ControllerError, TruncatedError, ControllerTimeoutError, NoToolsError])
def test_a_failed_call_is_recorded_and_raised(
    error: type[ControllerError], fake: ModuleType, brief: Brief, observe: Observe
) -> None:
    controller = started(fake.FakeBrain(error("broke")), brief())
    with pytest.raises(error, match="broke"):
        controller.act(observe(4))
    ((kind, fields),) = controller.drain()
    assert kind == "model_call"
    assert fields == {
        "n": 4,
        "brain": "fake",
        "request": {"messages": 2},
        "response": "broken",
        "status": 500,
        "latency_s": 0.0,
        "usage": {"prompt_tokens": None, "completion_tokens": None},
        "retry": 0,
        "error": "broke",
        "reasoning_chars": 0,
        "probe": False,
    }


def test_every_call_is_handed_over_once_and_is_json(fake: ModuleType, brief: Brief, observe: Observe) -> None:
    controller = started(fake.FakeBrain(fake.says("", BAD), fake.says("words"), fake.says("", LOOK)), brief())
    controller.act(observe(0))
    events = controller.drain()
    assert [kind for kind, _ in events].count("model_call") == 3
    json.dumps(events)
    assert controller.drain() == []


def test_seeds_of_the_calls_follow_from_the_seed_of_the_trial(fake: ModuleType, brief: Brief, observe: Observe) -> None:
    def seeds(seed: int) -> list[int]:
        brain = fake.FakeBrain(fake.says("", LOOK))
        controller = started(brain, brief(seed=seed))
        for n in range(4):
            controller.act(observe(n))
        return list(brain.seeds)

    assert seeds(7) == seeds(7)
    assert seeds(7) != seeds(8)
    assert len(set(seeds(7))) == 4


def test_reset_forgets_the_trial_before(fake: ModuleType, brief: Brief, observe: Observe) -> None:
    brain = fake.FakeBrain(fake.says("", LOOK))
    controller = started(brain, brief())
    controller.act(observe(0))
    controller.act(observe(1))
    controller.reset(brief(user="Another goal."))
    assert controller.drain() == []
    controller.act(observe(0))
    assert len(brain.seen[-1]) == 2
    assert brain.seen[-1][1].content.startswith("Another goal.")


def test_the_level_of_reasoning_goes_to_the_brain_and_what_was_reasoned_into_the_record(
    fake: ModuleType, brief: Brief, observe: Observe
) -> None:
    brain = fake.FakeBrain(fake.says("", BAD, thinking="Hm, hm."), fake.says("", LOOK, thinking="So be it."))
    controller = started(brain, brief(reasoning="high"))
    controller.act(observe(0))
    assert brain.reasoning == ["high", "high"]
    calls = [fields for kind, fields in controller.drain() if kind == "model_call"]
    assert [c["reasoning_chars"] for c in calls] == [len("Hm, hm."), len("So be it.")]


def test_without_a_level_the_brain_is_left_to_its_default(fake: ModuleType, brief: Brief, observe: Observe) -> None:
    brain = fake.FakeBrain(fake.says("", LOOK))
    started(brain, brief()).act(observe(0))
    assert brain.reasoning == ["default"]


def test_a_question_aside_is_a_call_of_its_own_without_tools(fake: ModuleType, brief: Brief, observe: Observe) -> None:
    brain = fake.FakeBrain(fake.says("B", thinking="Which?"), fake.says("", LOOK))
    controller = started(brain, brief(reasoning="low"))
    assert controller.ask("A or B?") == "B"
    ((kind, fields),) = controller.drain()
    assert (kind, fields["probe"], fields["reasoning_chars"], fields["n"]) == ("model_call", True, 6, 0)
    assert [(m.role, m.content) for m in brain.seen[0]] == [
        ("system", "You control an arm."),
        ("user", "Fetch a coffee."),
        ("user", "A or B?"),
    ]
    assert (brain.tools[0], brain.reasoning[0]) == ((), "low")


def test_a_question_aside_leaves_conversation_and_seeds_of_the_trial_alone(
    fake: ModuleType, brief: Brief, observe: Observe
) -> None:
    def played(asked: bool) -> Any:
        brain = fake.FakeBrain(*([fake.says("B")] if asked else []), fake.says("", LOOK))
        controller = started(brain, brief())
        if asked:
            controller.ask("A or B?")
            brain.seeds.clear()
            brain.seen.clear()
        for n in range(3):
            controller.act(observe(n, last="ok"))
        return brain.seen, brain.seeds

    assert played(True) == played(False)


def test_the_same_question_of_one_trial_has_the_same_seed(fake: ModuleType, brief: Brief) -> None:
    seeds = []
    for seed in (1, 1, 2):
        brain = fake.FakeBrain(fake.says("B"))
        started(brain, brief(seed=seed)).ask("A or B?")
        seeds += brain.seeds
    assert seeds[0] == seeds[1] != seeds[2]


def test_a_question_that_fails_is_recorded_and_raised(fake: ModuleType, brief: Brief) -> None:
    controller = started(fake.FakeBrain(ControllerTimeoutError("slow")), brief())
    with pytest.raises(ControllerTimeoutError):
        controller.ask("A or B?")
    ((_, fields),) = controller.drain()
    assert (fields["error"], fields["probe"]) == ("slow", True)


def test_a_question_that_does_not_fit_is_void(fake: ModuleType, brief: Brief) -> None:
    room = Capabilities(tools=True, context_tokens=400, answer_tokens=100)
    brain = fake.FakeBrain(fake.says("B"), capabilities=room)
    with pytest.raises(TruncatedError):
        started(brain, brief()).ask("word " * 400)
    assert brain.seen == []


def test_a_question_before_reset_is_a_programming_error(fake: ModuleType) -> None:
    with pytest.raises(RuntimeError, match="reset"):
        LLMController(fake.FakeBrain(fake.says())).ask("A or B?")


def test_impossible_limits_are_refused(fake: ModuleType) -> None:
    with pytest.raises(ValueError, match="max_silent >= 1"):
        LLMController(fake.FakeBrain(fake.says()), max_silent=0)


def test_act_before_reset_is_a_programming_error(fake: ModuleType, observe: Observe) -> None:
    with pytest.raises(RuntimeError, match="reset"):
        LLMController(fake.FakeBrain(fake.says())).act(observe(0))
