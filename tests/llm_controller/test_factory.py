"""Controllers by name: every spec that works, and one clear line for every one that does not."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from redbutton.llm_controller.factory import (
    ControllerSpecError,
    check_controller,
    known_controllers,
    make_controller,
)
from redbutton.llm_controller.llm import LLMController
from redbutton.llm_controller.replay import ReplayController
from redbutton.robots.interface import Briefing, Call, Controller, Observation


class Idle:
    """Does nothing, for ever."""

    name = "idle"

    def reset(self, briefing: Briefing) -> None: ...

    def act(self, observation: Observation) -> Call:
        return Call(name="look")

    def drain(self) -> list[Any]:
        return []

    def close(self) -> None: ...


def make_nothing() -> None:
    return None


def needs_an_argument(size: int) -> int:
    return size


@pytest.fixture(autouse=True)
def scripted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Scripted controllers of this test's own, so that it does not hang on which ones there are."""
    module = ModuleType("redbutton.llm_controller.reference")
    module.SCRIPTED = {"idle": Idle, "busy": Idle}  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, module.__name__, module)
    monkeypatch.delenv("OLLAMA_HOST", raising=False)


@pytest.fixture
def made() -> Iterator[Callable[[str], Any]]:
    controllers: list[Controller] = []

    def make(spec: str) -> Controller:
        controllers.append(make_controller(spec))
        return controllers[-1]

    yield make
    for controller in controllers:
        controller.close()


@pytest.mark.parametrize("spec", ["idle", "scripted:idle", " idle "])
def test_a_scripted_controller_is_named_alone_or_with_its_kind(spec: str) -> None:
    assert make_controller(spec).name == "idle"


def test_an_ollama_model_keeps_its_tag_and_its_options(made: Callable[[str], Any]) -> None:
    spec = "ollama:qwen3:8b?num_ctx=4096&temperature=0.7&think=false&max_silent=5&base_url=http://box:1/"
    controller = made(spec)
    assert isinstance(controller, LLMController)
    config = controller.brain.config  # type: ignore[attr-defined]
    assert (config.model, config.num_ctx, config.temperature, config.think) == ("qwen3:8b", 4096, 0.7, False)
    assert config.base_url == "http://box:1"
    assert controller.name == spec


@pytest.mark.parametrize(
    ("host", "address"),
    [
        ("0.0.0.0", "http://127.0.0.1:11434"),
        ("box", "http://box:11434"),
        ("box:99", "http://box:99"),
        ("https://box:99", "https://box:99"),
        (":99", "http://127.0.0.1:99"),
    ],
)
def test_ollama_host_is_honoured(
    host: str, address: str, made: Callable[[str], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OLLAMA_HOST", host)
    assert made("ollama:m").brain.config.base_url == address


def test_an_openai_model_may_hold_slashes_and_signs(made: Callable[[str], Any]) -> None:
    controller = made("openai:org/model@v2:x@http://127.0.0.1:8080/v1?tool_choice=required&vision=true&name=mine")
    config = controller.brain.config
    assert (config.model, config.base_url) == ("org/model@v2:x", "http://127.0.0.1:8080/v1")
    assert (config.tool_choice, config.vision) == ("required", True)
    assert controller.name == "mine"


def test_making_a_controller_reaches_for_nothing(made: Callable[[str], Any]) -> None:
    made("ollama:m?base_url=http://127.0.0.1:9")
    made("openai:m@http://127.0.0.1:9/v1")
    assert isinstance(made("replay:/nowhere.jsonl"), ReplayController)


def test_a_controller_of_ones_own_is_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    module = ModuleType("my_lab")
    module.Idle, module.make_nothing = Idle, make_nothing  # type: ignore[attr-defined]
    module.needs_an_argument = needs_an_argument  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "my_lab", module)
    assert make_controller("python:my_lab:Idle").name == "idle"
    with pytest.raises(ControllerSpecError, match="gave a NoneType, which is no controller"):
        make_controller("python:my_lab:make_nothing")
    with pytest.raises(ControllerSpecError, match="cannot be made"):
        make_controller("python:my_lab:needs_an_argument")
    with pytest.raises(ControllerSpecError, match="cannot be made"):
        make_controller("python:my_lab:absent")


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ("idel", ['no scripted controller "idel"', "idle, busy", "Did you mean 'idle'?"]),
        ("olama:qwen3:8b", ['no kind of controller "olama"', "Did you mean 'ollama'?"]),
        ("ollama:", ["something must stand behind"]),
        ("", ["something must stand behind"]),
        ("idle?speed=1", ["takes no options"]),
        ("ollama:m?num_ctxx=1", ["there is no option num_ctxx", "Did you mean 'num_ctx'?"]),
        ("ollama:m?num_ctx=many", ["num_ctx", "Received 'many'"]),
        ("ollama:m?num_ctx=5", ["num_ctx", "greater than or equal to 512"]),
        ("ollama:m?num_ctx", ["Options are written ?name=value"]),
        ("ollama:m?think=true&think=false", ["think stands twice"]),
        ("ollama:m?max_silent=0", ["max_silent"]),
        ("openai:m", ["names no server", "openai:MODEL@URL"]),
        ("openai:@http://h/v1", ["names no server"]),
        ("openai:m@http://me:pw@h/v1", ["carries no name, password"]),
        ("openai:m@http://h/v1?tool_choice=must", ["tool_choice"]),
        ("openai:m@http://h/v1?api_key=x", ["there is no option api_key"]),
        ("python:only.module", ["python:package.module:factory"]),
        ("python:no.such.module:make", ["cannot be made"]),
        (
            "rl:model.zip",
            ['no kind of controller "rl"', "Kinds: scripted, planted, ollama, openai, inspect, local, replay, python."],
        ),
        ("replay:x?a=b", ["takes no options"]),
    ],
)
def test_a_bad_spec_gives_one_clear_line(spec: str, words: list[str]) -> None:
    with pytest.raises(ControllerSpecError) as caught:
        make_controller(spec)
    assert "\n" not in str(caught.value)
    for word in words:
        assert word in str(caught.value)


def test_a_password_in_an_address_does_not_show_in_the_error_of_the_address() -> None:
    with pytest.raises(ControllerSpecError) as caught:
        make_controller("openai:m@http://me:hunter2@h/v1")
    assert "hunter2" not in str(caught.value)


def test_everything_known_is_listed_with_a_line() -> None:
    listed = dict(known_controllers())
    assert listed["idle"] == "Does nothing, for ever."
    assert {"ollama:MODEL", "openai:MODEL@URL", "replay:FILE", "python:MODULE:FACTORY"} <= set(listed)
    assert all(line and "\n" not in line for line in listed.values())


def test_the_check_passes_a_model_that_is_there(server: Any, faults: ModuleType) -> None:
    faults.speak_ollama(server)
    faults.speak_openai(server)
    check_controller(f"ollama:tiny:1b?base_url={server.address}")
    check_controller(f"openai:tiny@{server.address}/v1")
    check_controller("idle")


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ("ollama:tiny:2b?base_url={address}", "installed: tiny:1b"),
        ("ollama:deaf?base_url={address}", "cannot call tools"),
        ("openai:huge@{address}/v1", 'serves no model "huge"'),
        ("ollama:tiny:1b?base_url=http://127.0.0.1:9", "ollama serve"),
        ("openai:tiny@http://127.0.0.1:9/v1", "No server answers at http://127.0.0.1:9/v1"),
        ("replay:/nowhere/t.jsonl", "cannot be read"),
    ],
)
def test_the_check_refuses_what_cannot_work_before_any_trial(
    spec: str, words: str, server: Any, faults: ModuleType
) -> None:
    faults.speak_openai(server)
    faults.speak_ollama(server, model="tiny:2b" if "2b" in spec else "tiny:1b")
    if "deaf" in spec:
        faults.speak_ollama(server, model="deaf", capabilities=("completion",), installed=("deaf",))
    with pytest.raises(ControllerSpecError) as caught:
        check_controller(spec.format(address=server.address))
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_check_reads_a_replay(tmp_path: Path) -> None:
    path = tmp_path / "t.jsonl"
    path.write_text('{"type": "trial_start", "seed": 0}\n', encoding="utf-8")
    check_controller(f"replay:{path}")


def test_naming_controllers_imports_no_client_and_no_schema_of_a_server() -> None:
    program = (
        "import sys, redbutton.llm_controller, redbutton.llm_controller.factory;"
        "redbutton.llm_controller.factory.make_controller('replay:x');"
        "print([m for m in ('httpx', 'ollama', 'pybullet', 'torch', 'rclpy') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == "[]"


def test_the_check_closes_what_it_opened(monkeypatch: pytest.MonkeyPatch) -> None:
    closed: list[str] = []

    class Closing(Idle):
        def close(self) -> None:
            closed.append(self.name)

    module = ModuleType("my_lab")
    module.Closing = Closing  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "my_lab", module)
    check_controller("python:my_lab:Closing")
    assert closed == ["idle"]
