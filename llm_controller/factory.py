"""Controllers by name: one line of text, as a study file or the command line gives it, becomes a controller.

=========================  =========================================================================
``NAME``                   a scripted reference controller; ``scripted:NAME`` says the same
``planted:FACTOR:RATES``   a script that resists with known probabilities, by what its prompt says
``ollama:MODEL``           a model behind Ollama; address by ``?base_url=`` or ``OLLAMA_HOST``
``openai:MODEL@URL``       a model behind an OpenAI-compatible server; URL ends in ``/v1``
``inspect:PROVIDER/MODEL`` a model of any provider of Inspect AI (extra ``inspect``)
``local:FILE``             a model file run inside the process (extra ``local``)
``replay:FILE``            the decisions of a recorded trial
``python:MODULE:FACTORY`` your own: a callable without arguments that gives a controller
=========================  =========================================================================

Options follow ``?``: ``ollama:qwen3:8b?num_ctx=16384&temperature=0.7``. Making a controller reaches for no
server and reads no file; ``check_controller`` does, so that a bad one is refused before any trial. Trained policies
(``rl:``) are added to these by ``redbutton.experiments.controllers``, which studies and the command line use.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from redbutton.llm_controller.brain import Brain, refuse_reasoning
from redbutton.llm_controller.llm import LLMController
from redbutton.llm_controller.spec import ControllerSpecError, Spec, configured, parse
from redbutton.robots.calls import did_you_mean
from redbutton.robots.interface import Controller, ControllerError, NoToolsError

__all__ = ["ControllerSpecError", "check_controller", "known_controllers", "make_controller"]


class LoopOptions(BaseModel):
    """Options of the decision loop, beside those of the brain."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    max_corrections: int = Field(default=2, ge=0, le=20)
    max_silent: int = Field(default=3, ge=1, le=20)
    name: str = ""


LOOP_OPTIONS = tuple(LoopOptions.model_fields)


def make_controller(spec: str) -> Controller:
    """The controller that ``spec`` names. Raises ``ControllerSpecError`` with one clear line."""
    parsed = parse(spec)
    return _MAKERS[parsed.kind](parsed)


def check_controller(spec: str, reasoning: Sequence[str] = ()) -> dict[str, Any]:
    """Pre-flight: server reachable, model there and able to call tools, file readable.

    ``reasoning``: the levels that a study asks for; one that a model is known not to take is refused.
    Returns what the server says of a model (capabilities, window, digest); nothing for other controllers. Raises
    ``ControllerSpecError`` with one clear line.
    """
    return check_made(make_controller(spec), spec, reasoning)


def check_made(controller: Controller, spec: str, reasoning: Sequence[str] = ()) -> dict[str, Any]:
    """The same for a controller that is made already; it is closed."""
    from redbutton.llm_controller.replay import ReplayController, ReplayFileError

    try:
        if isinstance(controller, LLMController):
            return _check_brain(controller.brain, reasoning)
        if isinstance(controller, ReplayController):
            controller.load()
        return {}
    except (ControllerError, ReplayFileError) as problem:
        raise ControllerSpecError(f'"{spec}": {problem}') from None
    finally:
        controller.close()


def known_controllers() -> list[tuple[str, str]]:
    """(spec, one-line description) of every scripted controller and of every pattern."""
    return [
        *((name, _first_line(make)) for name, make in _scripted().items()),
        (
            "planted:FACTOR:RATES",
            "a script with known rates of resistance, e.g. planted:instruction:none=0.9,allow=0.2",
        ),
        ("ollama:MODEL", "a model behind Ollama, e.g. ollama:qwen3:8b?num_ctx=16384&temperature=0.7"),
        ("openai:MODEL@URL", "a model behind an OpenAI-compatible server, e.g. openai:tiny@http://127.0.0.1:8080/v1"),
        (
            "inspect:PROVIDER/MODEL",
            "a model of any provider of Inspect AI, e.g. inspect:anthropic/MODEL?max_tokens=2048",
        ),
        ("local:FILE", "a model file run inside the process, e.g. local:runs/organisms/barista/barista.gguf"),
        ("replay:FILE", "the decisions of a recorded trial, e.g. replay:runs/demo/trials/ID.jsonl"),
        ("python:MODULE:FACTORY", "your own: a callable without arguments that gives a controller"),
    ]


def _check_brain(brain: Brain, reasoning: Sequence[str] = ()) -> dict[str, Any]:
    known = brain.capabilities()
    for level in reasoning:
        refuse_reasoning(known, level)
    if not known.tools:
        raise NoToolsError(f"the model {known.model or brain.name} cannot call tools, so it cannot drive the arm.")
    return asdict(known)


def _scripted() -> Mapping[str, Callable[[], Controller]]:
    from redbutton.llm_controller.reference import SCRIPTED

    return SCRIPTED


def _first_line(make: Callable[[], Controller]) -> str:
    return (make.__doc__ or "").strip().partition("\n")[0]


def _make_scripted(spec: Spec) -> Controller:
    spec.refuse_options()
    scripted = _scripted()
    if spec.target not in scripted:
        raise ControllerSpecError(
            f'There is no scripted controller "{spec.target}". There are: {", ".join(scripted)}. Models are named '
            f"ollama:MODEL or openai:MODEL@URL.{did_you_mean(spec.target, list(scripted))}"
        )
    return scripted[spec.target]()


def _make_planted(spec: Spec) -> Controller:
    from redbutton.llm_controller.planted import make_planted

    return make_planted(spec)


def _make_ollama(spec: Spec) -> Controller:
    from redbutton.llm_controller.ollama_brain import OllamaBrain, OllamaConfig
    from redbutton.llm_controller.ollama_wire import address

    loop, own = spec.split_options(LOOP_OPTIONS)
    if "base_url" not in own and os.environ.get("OLLAMA_HOST"):
        own["base_url"] = address(os.environ["OLLAMA_HOST"])
    config = configured(OllamaConfig, spec, {"model": spec.target, **own}, LOOP_OPTIONS)
    return _llm(OllamaBrain(config), spec, loop)


def _make_openai(spec: Spec) -> Controller:
    from redbutton.llm_controller.openai_brain import OpenAIBrain, OpenAIConfig

    at = spec.target.find("@http")
    if at < 1:
        raise ControllerSpecError(
            f'"{spec.text}" names no server: write openai:MODEL@URL, e.g. openai:tiny@http://127.0.0.1:8080/v1.'
        )
    loop, own = spec.split_options(LOOP_OPTIONS)
    values = {**own, "model": spec.target[:at], "base_url": spec.target[at + 1 :]}
    config = configured(OpenAIConfig, spec, values, LOOP_OPTIONS)
    return _llm(OpenAIBrain(config), spec, loop)


def _make_inspect(spec: Spec) -> Controller:
    try:
        from redbutton.llm_controller.inspect_brain import InspectBrain, InspectConfig
    except ImportError as missing:
        raise ControllerSpecError(
            f'"{spec.text}" needs Inspect AI: pip install -c constraints.txt -e ".[inspect]" ({missing}).'
        ) from None
    loop, own = spec.split_options(LOOP_OPTIONS)
    config = configured(InspectConfig, spec, {"model": spec.target, **own}, LOOP_OPTIONS)
    return _llm(InspectBrain(config), spec, loop)


def make_local(spec: Spec, path: str) -> Controller:
    """The model file ``path`` under the name that ``spec`` gives it. Raises ``ControllerSpecError``."""
    from redbutton.llm_controller.local_brain import LocalBrain, LocalConfig

    loop, own = spec.split_options(LOOP_OPTIONS)
    config = configured(LocalConfig, spec, {**own, "model": path}, LOOP_OPTIONS)
    return _llm(LocalBrain(config), spec, loop)


def _llm(brain: Brain, spec: Spec, loop: Mapping[str, str]) -> Controller:
    options = configured(LoopOptions, spec, loop)
    return LLMController(
        brain,
        name=options.name or spec.text,
        max_corrections=options.max_corrections,
        max_silent=options.max_silent,
    )


def _make_replay(spec: Spec) -> Controller:
    from redbutton.llm_controller.replay import ReplayController

    spec.refuse_options()
    return ReplayController(spec.target)


def _make_python(spec: Spec) -> Controller:
    spec.refuse_options()
    module_name, _, attribute = spec.target.partition(":")
    if not attribute:
        raise ControllerSpecError(f'Write python:package.module:factory. Received "{spec.text}".')
    try:
        factory = getattr(importlib.import_module(module_name), attribute)
        controller = factory()
    except (ImportError, AttributeError, TypeError) as problem:
        raise ControllerSpecError(f'"{spec.text}" cannot be made: {problem}') from problem
    if not isinstance(controller, Controller):
        raise ControllerSpecError(
            f'"{spec.text}" gave a {type(controller).__name__}, which is no controller: it needs name, reset, act, '
            "drain and close (docs/controllers.md)."
        )
    return controller


_MAKERS: Mapping[str, Callable[[Spec], Controller]] = {
    "scripted": _make_scripted,
    "planted": _make_planted,
    "ollama": _make_ollama,
    "openai": _make_openai,
    "inspect": _make_inspect,
    "local": lambda spec: make_local(spec, spec.target),
    "replay": _make_replay,
    "python": _make_python,
}
