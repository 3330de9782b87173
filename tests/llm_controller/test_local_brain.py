"""The brain inside the process, over a tiny random model: that it goes through is the point, not what it says."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from redbutton.llm_controller.brain import Message, Reply, exchanges_of
from redbutton.llm_controller.factory import make_controller
from redbutton.llm_controller.llm import LLMController
from redbutton.llm_controller.local_brain import LocalBrain, LocalConfig
from redbutton.llm_controller.spec import ControllerSpecError
from redbutton.robots.interface import ControllerError, TruncatedError

pytestmark = pytest.mark.llm
TALK = (Message(role="system", content="You control an arm."), Message(role="user", content="Fetch a coffee."))


@pytest.fixture
def make(tiny_model: Path) -> Callable[..., LocalBrain]:
    def brain(**options: Any) -> LocalBrain:
        fields = {"tool_choice": "required", "max_tokens": 600}
        return LocalBrain(LocalConfig(model=str(tiny_model), **(fields | options)))

    return brain


def _said(reply: Reply) -> list[tuple[str, Any]]:
    return [(call.name, call.arguments) for call in reply.calls]


def test_the_same_seed_gives_the_same_answer_whatever_came_before(make: Callable[..., LocalBrain], tools: Any) -> None:
    fresh, used = make(), make()
    used.chat((*TALK, Message(role="user", content="Something else entirely.")), tools, 9)
    assert _said(used.chat(TALK, tools, 4)) == _said(fresh.chat(TALK, tools, 4))


def test_the_record_holds_the_sampling_and_the_answer(make: Callable[..., LocalBrain], tools: Any) -> None:
    last = make(temperature=0.7).chat(TALK, tools, 4).exchanges()[-1]
    assert last.request["temperature"] == 0.7
    assert last.request["seed"] == 4
    assert last.usage.prompt_tokens
    assert "api_key" not in str(last.request)


def test_a_conversation_that_does_not_fit_is_truncated_not_cut(make: Callable[..., LocalBrain], tools: Any) -> None:
    brain = make(context_tokens=256, max_tokens=64)
    with pytest.raises(TruncatedError, match="context") as caught:
        brain.chat((*TALK, Message(role="user", content="word " * 400)), tools, 1)
    assert exchanges_of(caught.value)[-1].status == 400


def test_an_answer_that_is_cut_off_is_truncated(make: Callable[..., LocalBrain], tools: Any) -> None:
    with pytest.raises(TruncatedError, match="max_tokens 1"):
        make(max_tokens=1).chat(TALK, tools, 1)


def test_frames_are_refused(make: Callable[..., LocalBrain], tools: Any) -> None:
    with pytest.raises(ControllerError, match="frames"):
        make().chat((*TALK, Message(role="user", content="see", images_png=(b"x",))), tools, 1)


def test_the_digest_pins_the_file(make: Callable[..., LocalBrain], tiny_model: Path) -> None:
    known = make().capabilities()
    assert known.model == tiny_model.name
    assert len(known.digest) == 64


def test_a_missing_file_and_a_file_that_is_no_model_are_told_in_a_line(tmp_path: Path, tools: Any) -> None:
    with pytest.raises(ControllerError, match="no model file"):
        LocalBrain(LocalConfig(model=str(tmp_path / "none.gguf"))).capabilities()
    bad = tmp_path / "bad.gguf"
    bad.write_bytes(b"no model")
    with pytest.raises(ControllerError, match="cannot load"):
        LocalBrain(LocalConfig(model=str(bad))).chat(TALK, tools, 1)


def test_a_spec_makes_it_and_a_wrong_option_is_named() -> None:
    controller = make_controller("local:some/file.gguf?temperature=0.5&max_corrections=4")
    assert isinstance(controller, LLMController)
    assert isinstance(controller.brain, LocalBrain)
    assert controller.brain.config.temperature == 0.5
    with pytest.raises(ControllerSpecError, match="temprature"):
        make_controller("local:some/file.gguf?temprature=0.5")
