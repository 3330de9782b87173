"""One suite over every controller that is no script: the same trial, the same promises."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from redbutton.baselines.policy import Policy, Table
from redbutton.experiments.controllers import make_controller
from redbutton.llm_controller.brain import ProposedCall
from redbutton.llm_controller.llm import LLMController
from redbutton.llm_controller.validation import validated
from redbutton.robots.interface import Briefing, Call, Controller, ControllerError, Observation

DECISIONS = 3
KINDS = ["fake", "replay", "policy", "ollama", "openai", pytest.param("openai-real", marks=pytest.mark.llm)]


def write_trial(path: Path) -> Path:
    events: list[dict[str, Any]] = [{"type": "trial_start", "seed": 1}]
    events += [{"type": "decision", "n": n, "name": "look", "args": {}, "text": ""} for n in range(DECISIONS)]
    path.write_text("".join(json.dumps(e) + "\n" for e in events), encoding="utf-8")
    return path


def write_policy(folder: Path) -> Path:
    """One that has seen nothing but the observation of this suite, and chooses between two of its tools."""
    calls = (Call(name="look"), Call(name="pick", args={"object": "cup"}))
    net = Table(keys=np.array([[1, 0]], np.float32), values=np.array([[0.5, 0.5]]))
    features = ("cup_counter", "filled")
    Policy(actions=("look", "pick cup"), features=features, calls=calls, net=net, output="probabilities").save(folder)
    return folder


@pytest.fixture(params=KINDS)
def controller(
    request: pytest.FixtureRequest, faults: ModuleType, fake: ModuleType, tmp_path: Path
) -> Iterator[Controller]:
    made: Controller
    if request.param == "fake":
        made = LLMController(fake.FakeBrain(fake.says("ok", ("look", {}))))
    elif request.param == "replay":
        made = make_controller(f"replay:{write_trial(tmp_path / 'trial.jsonl')}")
    elif request.param == "policy":
        made = make_controller(f"rl:{write_policy(tmp_path / 'policy')}")
    elif request.param == "openai-real":
        tiny = request.getfixturevalue("tiny_server")
        made = make_controller(f"openai:{tiny.model}@{tiny.base_url}?tool_choice=required&max_corrections=20")
    elif request.param == "ollama":
        server = request.getfixturevalue("server")
        faults.speak_ollama(server)
        server.answers(faults.ollama_answer("ok", ("look", {})))
        made = make_controller(f"ollama:tiny:1b?base_url={server.address}")
    else:
        server = request.getfixturevalue("server")
        faults.speak_openai(server)
        server.answers(faults.openai_answer("ok", ("look", "{}")))
        made = make_controller(f"openai:tiny@{server.address}/v1")
    yield made
    made.close()


def play(
    controller: Controller, briefing: Briefing, observe: Callable[..., Observation]
) -> tuple[list[Call], list[tuple[str, Any]]]:
    controller.reset(briefing)
    calls, events = [], []
    for n in range(DECISIONS):
        calls.append(controller.act(observe(n, last="ok" if n else None)))
        events += controller.drain()
    return calls, events


def test_a_controller_is_one_by_the_protocol(controller: Controller) -> None:
    assert isinstance(controller, Controller)
    assert controller.name
    assert "\n" not in controller.name


def test_every_call_fits_the_tools(
    controller: Controller, brief: Callable[..., Briefing], observe: Callable[..., Observation]
) -> None:
    calls, _ = play(controller, brief(), observe)
    for call in calls:
        again = validated(ProposedCall(name=call.name, arguments=dict(call.args)), brief().tools)
        assert dict(again.args) == dict(call.args)


def test_two_trials_in_a_row_do_not_touch_each_other(
    controller: Controller, brief: Callable[..., Briefing], observe: Callable[..., Observation]
) -> None:
    first, _ = play(controller, brief(), observe)
    controller.reset(brief())
    assert controller.drain() == []
    second, _ = play(controller, brief(), observe)
    assert len(first) == len(second) == DECISIONS


def test_what_is_handed_over_is_json_of_known_types(
    controller: Controller, brief: Callable[..., Briefing], observe: Callable[..., Observation]
) -> None:
    _, events = play(controller, brief(), observe)
    wanted = {
        "model_call": {"n", "brain", "request", "response", "status", "latency_s", "usage", "retry", "error"}
        | {"reasoning_chars", "probe"},
        "model_note": {"n", "note"},
        "policy": {"n", "policy", "digest", "features", "probabilities", "action"},
    }
    for kind, fields in events:
        assert set(fields) == wanted[kind]
        json.dumps(fields, allow_nan=False)
    assert controller.drain() == []


def test_drain_and_close_are_safe_at_any_time(controller: Controller, brief: Callable[..., Briefing]) -> None:
    assert controller.drain() == []
    controller.reset(brief())
    controller.close()
    controller.close()
    assert controller.drain() == []


def test_one_decision_too_many_of_a_replay_is_void(
    tmp_path: Path, brief: Callable[..., Briefing], observe: Callable[..., Observation]
) -> None:
    controller = make_controller(f"replay:{write_trial(tmp_path / 'trial.jsonl')}")
    play(controller, brief(), observe)
    with pytest.raises(ControllerError):
        controller.act(observe(DECISIONS))
