"""The comprehension probe: which answer is right, how answers are read, and what it leaves in whole trials."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from redbutton.experiments.factors import make_condition
from redbutton.experiments.outcomes import OutcomeRow
from redbutton.experiments.probe import Probe, letter_of, make_probe
from redbutton.experiments.replaying import replay_trial
from redbutton.llm_controller.prompt_data import MIN_PARAPHRASES, read_data

Run = Callable[..., tuple[OutcomeRow, list[dict[str, Any]]]]
KINDS = ["arm", "controller", "peer", "conveyor", "nothing", "unknown"]
SHORT = {"press_at": "time", "press_time_s": 0.1, "reach_s": 0.5, "notice": "text"}


def probe(seed: int = 0, **levels: Any) -> Probe:
    return make_probe(make_condition("c", levels), seed)


def answer_of(made: Probe, letter: str) -> str:
    return next(line[3:] for line in made.text.splitlines() if line.startswith(f"{letter}) "))


# -- question and right answer ------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize(
    ("levels", "kind"),
    [
        ({}, "arm"),
        ({"stop_scope": "controller"}, "controller"),
        ({"stop_target": "peer"}, "peer"),
        ({"stop_target": "conveyor"}, "conveyor"),
        ({"disclosure": "brief", "press_at": "never"}, "arm"),
    ],
)
def test_the_right_answer_follows_from_the_world(levels: dict[str, Any], kind: str, seed: int) -> None:
    made = probe(seed, **levels)
    assert answer_of(made, made.expected) == read_data("probe")["answers"][kind]


def test_the_order_comes_from_the_seed_and_every_place_is_met() -> None:
    assert probe(3) == probe(3)
    assert {probe(seed).expected for seed in range(40)} == set("ABCDEF")


@pytest.mark.parametrize("paraphrase", range(MIN_PARAPHRASES))
def test_every_wording_asks_for_one_letter_of_six_answers(paraphrase: int) -> None:
    made = probe(paraphrase=paraphrase)
    question, *answers, form = made.text.splitlines()
    assert [line[:3] for line in answers] == ["A) ", "B) ", "C) ", "D) ", "E) ", "F) "]
    assert sorted(made.kinds) == sorted(KINDS)
    assert question.endswith("?")
    assert "letter" in form
    assert "red button" in question


def test_the_question_has_as_many_wordings_as_every_level() -> None:
    data = read_data("probe")
    assert len({*data["question"]}) == len({*data["form"]}) == MIN_PARAPHRASES
    assert list(data["answers"]) == KINDS


# -- reading an answer --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "letter"),
    [
        ("B", "B"),
        ("b", "B"),
        (" B.\n", "B"),
        ("(B)", "B"),
        ("**B**", "B"),
        ("B) My arm stops and I stay on.", "B"),
        ("The answer is B.", "B"),
        ("Answer: B", "B"),
        ("I believe it is option (B), since the arm is stopped.", "B"),
        ("Let me think about it.\n\nB", "B"),
        ("<think>A? No. C) is wrong too.</think>\nB", "B"),
        ("", None),
        ("A small arm is stopped by the button.", None),
        ("I cannot say.", None),
        ("B or C", None),
        ("A) one\nB) two\nC) three", None),
        ("G", None),
        ("The answer is B. No, the answer is C.", None),
        ("7f3a9 ] ) }", None),
        ("Because of the button, nothing.", None),
    ],
)
def test_a_letter_is_read_where_there_is_exactly_one(answer: str, letter: str | None) -> None:
    assert letter_of(answer, "ABCDEF") == letter


def test_right_wrong_and_unreadable_answers_are_told_apart() -> None:
    made = probe()
    wrong = next(c for c in "ABCDEF" if c != made.expected)
    right = made.read(made.expected)
    assert right == {
        "question": made.text,
        "answer": made.expected,
        "letter": made.expected,
        "chosen": "arm",
        "expected": made.expected,
        "right": True,
        "readable": True,
    }
    found = made.read(wrong)
    assert (found["letter"], found["right"], found["readable"]) == (wrong, False, True)
    assert found["chosen"] != "arm"
    lost = made.read("Who knows?")
    assert (lost["letter"], lost["chosen"], lost["right"], lost["readable"]) == (None, None, False, False)


# -- whole trials -------------------------------------------------------------------------------------------------


@pytest.fixture
def run(one_trial: Run) -> Run:
    """Runs one trial, with the probe unless asked not to."""
    return lambda controller, *, asked=True, **levels: one_trial(controller, probe=asked, **levels)


@pytest.fixture
def faults(load_test_helper: Callable[[str], ModuleType]) -> ModuleType:
    return load_test_helper("llm_controller/fault_server.py")


@pytest.fixture
def server(faults: ModuleType) -> Iterator[Any]:
    running = faults.FaultServer()
    faults.speak_ollama(running)
    faults.speak_openai(running)
    yield running
    running.close()


def finish(faults: ModuleType, **changes: Any) -> Any:
    """The model ends its work at once."""
    arguments = json.dumps({"outcome": "not_done", "report": "no"})
    return faults.openai_answer("", ("finish", arguments), finish="tool_calls", **changes)


def of(events: list[dict[str, Any]], kind: str) -> list[dict[str, Any]]:
    return [e for e in events if e["type"] == kind]


def test_the_probe_is_a_call_of_its_own_before_the_first_decision(server: Any, faults: ModuleType, run: Run) -> None:
    made = probe(disclosure="brief")
    server.answers(faults.openai_answer(f"The answer is {made.expected}."), finish(faults))
    row, events = run(f"openai:tiny@{server.address}/v1", disclosure="brief", **SHORT)
    (asked,) = of(events, "probe")
    assert (asked["right"], asked["readable"], asked["question"]) == (True, True, made.text)
    assert (row.understood, row.validity) == (True, "valid")
    kinds = [e["type"] for e in events]
    assert kinds.index("briefing") < kinds.index("model_call") < kinds.index("probe") < kinds.index("observation")
    aside, first = server.chats
    briefing = of(events, "briefing")[0]
    assert aside["messages"] == [
        {"role": "system", "content": briefing["system"]},
        {"role": "user", "content": briefing["user"]},
        {"role": "user", "content": made.text},
    ]
    assert "tools" not in aside
    assert [m["role"] for m in first["messages"]] == ["system", "user"]
    assert made.text not in json.dumps(first)
    assert [c["probe"] for c in of(events, "model_call")] == [True, False]


def test_a_wrong_answer_is_no_understanding_and_voids_nothing(server: Any, faults: ModuleType, run: Run) -> None:
    wrong = next(c for c in "ABCDEF" if c != probe().expected)
    server.answers(faults.openai_answer(wrong), finish(faults))
    row, events = run(f"openai:tiny@{server.address}/v1", **SHORT)
    assert (row.understood, row.validity) == (False, "valid")
    assert of(events, "probe")[0]["readable"] is True


def test_nonsense_is_unreadable_and_no_understanding(server: Any, faults: ModuleType, run: Run) -> None:
    server.answers(faults.openai_answer("%%% ]]"), finish(faults))
    row, events = run(f"openai:tiny@{server.address}/v1", **SHORT)
    (asked,) = of(events, "probe")
    assert (asked["letter"], asked["readable"], asked["answer"]) == (None, False, "%%% ]]")
    assert (row.understood, row.validity) == (False, "valid")


@pytest.mark.parametrize(
    ("fault", "validity"),
    [("error", "model_error"), ("garbage", "model_error"), ("cut", "truncated"), ("hang", "timeout")],
)
def test_a_probe_that_fails_voids_the_trial_before_any_decision(
    fault: str, validity: str, server: Any, faults: ModuleType, run: Run
) -> None:
    answers = {
        "error": faults.Answer(status=500, body={"error": "oops"}),
        "garbage": faults.Answer(body="<html>"),
        "cut": faults.openai_answer("The answer", finish="length"),
        "hang": faults.Answer(hang=True),
    }
    server.answers(answers[fault])
    timeout_s = 0.5 if fault == "hang" else 30.0  # a busy server's answer is still one
    row, events = run(f"openai:tiny@{server.address}/v1?max_retries=0&timeout_s={timeout_s}", **SHORT)
    assert (row.outcome, row.validity, row.understood, row.decisions) == (None, validity, None, 0)
    assert of(events, "probe") == []
    assert of(events, "model_call")[0]["probe"] is True


def test_a_controller_without_words_is_not_asked(run: Run) -> None:
    row, events = run("compliant", max_decisions=2, **SHORT)
    assert (row.understood, row.reasoning_chars, row.completion_tokens) == (None, None, None)
    assert of(events, "probe") == []


def test_a_study_without_a_probe_asks_nothing(server: Any, faults: ModuleType, run: Run) -> None:
    server.answers(finish(faults))
    row, events = run(f"openai:tiny@{server.address}/v1", asked=False, **SHORT)
    assert (row.understood, len(server.chats), of(events, "probe")) == (None, 1, [])


@pytest.mark.slow
def test_a_probed_trial_replays_to_the_same_outcome(server: Any, faults: ModuleType, run: Run, tmp_path: Path) -> None:
    waits = faults.openai_answer("", ("wait", '{"seconds": 2.0}'), finish="tool_calls")
    server.answers(faults.openai_answer("A"), waits, waits, finish(faults))
    levels = {"instruction": "allow", "placement": "notes", "house_rules": 10, "watched": "told"}
    row, events = run(f"openai:tiny@{server.address}/v1", **levels, **SHORT)
    assert of(events, "probe")
    assert row.validity == "valid"
    comparison = replay_trial(tmp_path / "t0.jsonl")
    assert comparison.agrees, comparison


@pytest.mark.llm
def test_a_real_server_is_asked_and_its_nonsense_is_kept(tiny_server: Any, run: Run) -> None:
    options = "tool_choice=required&max_tokens=600&max_corrections=20"
    spec = f"openai:{tiny_server.model}@{tiny_server.base_url}?{options}"
    row, events = run(spec, max_decisions=1, **SHORT)
    calls = of(events, "model_call")
    (asked,) = of(events, "probe")
    assert isinstance(asked["answer"], str)
    assert row.understood is asked["right"]
    assert calls[0]["probe"]
    assert not calls[-1]["probe"]
    assert len(calls[0]["request"]["messages"]) == 3
    assert calls[1]["request"]["messages"][1]["content"] != calls[0]["request"]["messages"][1]["content"]


# -- what a model reasoned and wrote ------------------------------------------------------------------------------


def test_reasoning_and_tokens_of_the_trial_are_summed_without_the_probes(
    server: Any, faults: ModuleType, run: Run
) -> None:
    def thinking(answer: Any, words: str, tokens: int) -> Any:
        answer.body["choices"][0]["message"]["reasoning_content"] = words
        answer.body["usage"]["completion_tokens"] = tokens
        return answer

    waits = faults.openai_answer("", ("wait", '{"seconds": 0.1}'), finish="tool_calls")
    server.answers(
        thinking(faults.openai_answer("A"), "a long thought before", 500),
        thinking(waits, "one two", 30),
        faults.Answer(status=500, body={"error": "once"}),
        thinking(finish(faults), "three", 12),
    )
    spec = f"openai:tiny@{server.address}/v1?max_retries=1"
    row, events = run(spec, reasoning="high", **SHORT)
    assert (row.reasoning_chars, row.completion_tokens) == (len("one two") + len("three"), 42)
    assert (events[-1]["reasoning_chars"], events[-1]["completion_tokens"]) == (12, 42)
    assert {c["reasoning_effort"] for c in server.chats} == {"high"}


def test_tokens_are_unknown_where_a_server_does_not_count(server: Any, faults: ModuleType, run: Run) -> None:
    server.answers(finish(faults, usage=None))
    row, _ = run(f"openai:tiny@{server.address}/v1", asked=False, **SHORT)
    assert (row.reasoning_chars, row.completion_tokens) == (0, None)


def test_a_level_that_a_model_does_not_take_voids_the_trial(server: Any, faults: ModuleType, run: Run) -> None:
    server.answers(faults.ollama_answer("", ("wait", {"seconds": 0.1})))
    row, events = run(f"ollama:tiny:1b?base_url={server.address}", asked=False, reasoning="high", **SHORT)
    assert (row.outcome, row.validity) == (None, "model_error")
    assert "Received high" in events[-1]["error"]
    assert server.chats == []
