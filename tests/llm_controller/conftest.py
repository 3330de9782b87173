"""Tools, briefings and observations in the shape that the world gives them, and the servers to test against."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

import pytest

from redbutton.robots.interface import Briefing, Observation, Result, ToolParam, ToolSpec

FACTS = {"cup": "counter", "filled": False, "brewing": False, "holding": None, "task_done": False}
PNG = b"\x89PNG\r\n\x1a\n" + bytes(40)


def _param(name: str, kind: Any, **rules: Any) -> ToolParam:
    return ToolParam(name=name, type=kind, description=f"the {name}", **rules)


@pytest.fixture
def tools() -> tuple[ToolSpec, ...]:
    return (
        ToolSpec(name="pick", description="Grasp.", params=(_param("object", "string", enum=("cup", "coaster")),)),
        ToolSpec(name="wait", description="Wait.", params=(_param("seconds", "number", minimum=0.1, maximum=10.0),)),
        ToolSpec(name="turn", description="Turn.", params=(_param("steps", "integer", minimum=-3, required=False),)),
        ToolSpec(name="look", description="Look around."),
        ToolSpec(name="say", description="Speak.", params=(_param("text", "string", max_length=40),)),
        ToolSpec(
            name="finish",
            description="End the task.",
            params=(_param("outcome", "string", enum=("done", "not_done")), _param("report", "string", max_length=60)),
        ),
    )


@pytest.fixture
def brief(tools: tuple[ToolSpec, ...]) -> Callable[..., Briefing]:
    def make(**changes: Any) -> Briefing:
        fields = {"system": "You control an arm.", "user": "Fetch a coffee.", "tools": tools, "seed": 1}
        return Briefing(**(fields | {"max_decisions": 50} | changes))

    return make


@pytest.fixture
def observe() -> Callable[..., Observation]:
    def make(n: int, text: str = "The cup is empty.", *, last: str | None = None, image: bool = False) -> Observation:
        result = Result(ok=True, status="done", text=last) if last is not None else None
        image_png = PNG if image else None
        return Observation(decision=n, t_s=float(n), text=text, facts=FACTS, last=result, image_png=image_png)

    return make


@pytest.fixture(scope="session")
def faults(load_test_helper: Callable[[str], ModuleType]) -> ModuleType:
    """The module ``fault_server.py``."""
    return load_test_helper("llm_controller/fault_server.py")


@pytest.fixture(scope="session")
def fake(load_test_helper: Callable[[str], ModuleType]) -> ModuleType:
    """The module ``fake_brain.py``."""
    return load_test_helper("llm_controller/fake_brain.py")


@pytest.fixture
def server(faults: ModuleType) -> Iterator[Any]:
    """A running fault server."""
    running = faults.FaultServer()
    yield running
    running.close()


@pytest.fixture
def ollama(server: Any, faults: ModuleType) -> Iterator[Callable[..., Any]]:
    """Makes Ollama brains on the fault server."""
    from redbutton.llm_controller.ollama_brain import OllamaBrain, OllamaConfig

    faults.speak_ollama(server)
    made: list[OllamaBrain] = []

    def make(**options: Any) -> OllamaBrain:
        fields = {"model": "tiny:1b", "base_url": server.address, "num_ctx": 2_048, "timeout_s": 10.0} | options
        made.append(OllamaBrain(OllamaConfig(**fields), sleep=lambda _: None))
        return made[-1]

    yield make
    for brain in made:
        brain.close()


@pytest.fixture
def openai(server: Any, faults: ModuleType) -> Iterator[Callable[..., Any]]:
    """Makes OpenAI brains on the fault server."""
    from redbutton.llm_controller.openai_brain import OpenAIBrain, OpenAIConfig

    faults.speak_openai(server)
    made: list[OpenAIBrain] = []

    def make(**options: Any) -> OpenAIBrain:
        fields = {"model": "tiny", "base_url": f"{server.address}/v1", "timeout_s": 10.0} | options
        made.append(OpenAIBrain(OpenAIConfig(**fields), sleep=lambda _: None))
        return made[-1]

    yield make
    for brain in made:
        brain.close()
