"""Models behind Inspect AI: any of its providers as a brain, and our Ollama brain as one of its providers.

``InspectBrain`` hands each call of the decision loop to Inspect's model API, on an event loop of its own or, inside
``inspect eval``, on Inspect's. There transcript, usage and limits are Inspect's. What the record keeps of a call is
what Inspect shows of it: the provider's name of the model, the sampling settings, and the raw request and response
where the provider hands them over. The only file of this room that imports ``inspect_ai``.

CAVEAT: no hosted provider was tried; see ``docs/inspect.md``. Not every provider honours a seed, and Inspect does not
say which do: the seed stands in the settings, and in the raw request where it was sent.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import math
import os
import time
from collections.abc import Mapping, Sequence
from contextvars import ContextVar
from typing import Any, Literal, cast

import anyio.to_thread
import inspect_ai.log as logs
import inspect_ai.model as im
from inspect_ai.event import ModelEvent
from inspect_ai.tool import ToolChoice, ToolInfo
from inspect_ai.util import LimitExceededError
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter
from rich.text import Text

from redbutton.llm_controller import inspect_wire as wire
from redbutton.llm_controller import ollama_wire
from redbutton.llm_controller.brain import (
    Capabilities,
    Exchange,
    Message,
    Reply,
    exchanges_of,
    refuse_reasoning,
    tools_chars,
    with_exchanges,
)
from redbutton.llm_controller.loop_thread import LoopThread, Runner
from redbutton.llm_controller.ollama_brain import OllamaBrain, OllamaConfig
from redbutton.llm_controller.transport import without_images
from redbutton.llm_controller.truncation import TruncationWatch
from redbutton.robots.interface import ControllerError, ControllerTimeoutError, ToolSpec, TruncatedError

OLLAMA = "redbutton-ollama"
_EFFORTS: Mapping[str | None, str] = {None: "default", "none": "off", "low": "low", "high": "high"}
"""Inspect's ``reasoning_effort`` as our level of reasoning."""
_MESSAGES = TypeAdapter(list[im.ChatMessage])
_ATTEMPTS: ContextVar[list[dict[str, Any]] | None] = ContextVar("attempts", default=None)
"""Where the call that is under way collects its attempts."""


class InspectConfig(BaseModel):
    """Which model, and how to run it. Frozen, keyword-only, validated when made. ``None`` leaves Inspect's default."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    model: str = Field(pattern=r"^[^/\s]+/\S+$")
    """``PROVIDER/MODEL`` as Inspect writes it."""
    base_url: str | None = None
    tool_choice: Literal["auto", "required"] = "auto"
    """``required`` forces a call in every reply; it also takes from the model the choice to stay silent."""
    max_tokens: int | None = Field(default=4_096, ge=1, le=100_000)
    temperature: float | None = Field(default=None, ge=0.0, le=5.0)
    top_p: float | None = Field(default=None, gt=0.0, le=1.0)
    vision: bool = False
    """Whether the model takes images; Inspect cannot be asked."""
    context_tokens: int | None = Field(default=None, ge=64, le=10_000_000)
    """The model's window; ``None`` takes what Inspect's table of models says, if it says anything."""
    timeout_s: float | None = Field(default=300.0, gt=0.0, le=7_200.0)
    """Longest wait for one answer [wall s], rounded up to whole seconds."""
    max_retries: int | None = Field(default=2, ge=0, le=10)
    reasoning_off: Literal["none", "minimal", "low"] = "none"
    """The provider's word for as little reasoning as can be had."""


class InspectBrain:
    """One model of one Inspect provider. Reaches for it on first use only."""

    def __init__(self, config: InspectConfig, *, model: im.Model | None = None, run: Runner | None = None) -> None:
        """``model`` and ``run``: the model under evaluation and a way on its event loop, inside ``inspect eval``."""
        self.config = config
        self.limit: LimitExceededError | None = None
        """The limit of Inspect's that ended the last call, if one did."""
        self._model = model
        self._loop = LoopThread(config.timeout_s, config.max_retries)
        self._run = run or self._loop
        self._watch = TruncationWatch()
        self._capabilities: Capabilities | None = None
        self._as_sent: dict[str, im.ChatMessage] = {}

    @property
    def name(self) -> str:
        """``inspect:`` and the model."""
        return f"inspect:{self.config.model}"

    def capabilities(self) -> Capabilities:
        """From the configuration and Inspect's table of models. Raises ``ControllerError`` for an unknown provider.

        Whether a model calls tools cannot be asked; one that does not is found out in the trial (``no_tools``).
        """
        if self._capabilities is None:
            info = im.get_model_info(self._opened())
            window = self.config.context_tokens or (info.context_length if info else None)
            answer = self.config.max_tokens or 4_096
            self._capabilities = Capabilities(
                tools=True,
                vision=self.config.vision,
                thinking=bool(info and info.reasoning),
                context_tokens=window,
                answer_tokens=answer if window is None else min(answer, window // 2),
                model=self.config.model,
                reasoning=() if info is not None and info.reasoning is False else None,
            )
        return self._capabilities

    def chat(
        self, messages: Sequence[Message], tools: Sequence[ToolSpec], seed: int, reasoning: str = "default"
    ) -> Reply:
        """One reply. Raises as listed in ``redbutton.robots.interface``; bodies are attached to the error.

        ``reasoning``: ``default``, ``off``, ``low`` or ``high``. A provider that does not send it on voids the trial.
        """
        if not self.config.vision and any(m.images_png for m in messages):
            raise ControllerError(f'The model "{self.config.model}" was not given vision=true, so it takes no frames.')
        refuse_reasoning(self.capabilities(), reasoning)
        settings = self._settings(seed, reasoning)
        try:
            output, seen = self._run(lambda: self._generate(messages, tools, settings))
        except (asyncio.CancelledError, concurrent.futures.CancelledError, concurrent.futures.TimeoutError):
            raise ControllerTimeoutError("Inspect ended the call before the model had answered.") from None
        tried = [wire.exchange(attempt, n) for n, attempt in enumerate(seen)]
        if isinstance(output, LimitExceededError):
            self.limit = output
            kind = ControllerTimeoutError if output.type in ("time", "working") else TruncatedError
            raise with_exchanges(kind(f"Inspect's limit ended the trial: {output.message}"), tried) from output
        if isinstance(output, Exception):
            raise with_exchanges(wire.failure(output), tried) from output
        try:
            return self._read(output, tried, messages, tools, reasoning)
        except ControllerError as problem:
            raise with_exchanges(problem, tried) from None

    def close(self) -> None:
        """Close the model's connections, unless it is Inspect's own."""
        if self._run is self._loop and self._model is not None:
            model, self._model = self._model, None
            self._loop.close(model.api.aclose)

    def _opened(self) -> im.Model:
        if self._model is None:
            try:
                self._model = im.get_model(self.config.model, base_url=self.config.base_url, memoize=False)
            except Exception as error:
                words = " ".join(Text.from_markup(str(error)).plain.split())
                raise ControllerError(f"Inspect cannot open {self.config.model}: {words}") from error
        return self._model

    def _settings(self, seed: int, reasoning: str) -> im.GenerateConfig:
        config = self.config
        effort = {"default": None, "off": config.reasoning_off}.get(reasoning, reasoning)
        return im.GenerateConfig(
            seed=seed,
            max_tokens=config.max_tokens,
            temperature=config.temperature,
            top_p=config.top_p,
            attempt_timeout=None if config.timeout_s is None else math.ceil(config.timeout_s),
            max_retries=config.max_retries,
            reasoning_effort=cast(Any, effort),
        )

    async def _generate(
        self, messages: Sequence[Message], tools: Sequence[ToolSpec], settings: im.GenerateConfig
    ) -> tuple[im.ModelOutput | Exception, list[dict[str, Any]]]:
        """The answer or what went wrong, and every attempt at it."""
        tried: list[dict[str, Any]] = []
        mark = _ATTEMPTS.set(tried)
        choice: ToolChoice = "any" if self.config.tool_choice == "required" else "auto"
        infos = [ToolInfo.model_validate(wire.tool_info(t)) for t in tools]
        output: im.ModelOutput | Exception
        try:
            output = await _tapped(self._opened()).generate(self._sent(messages), infos, choice, settings)
        except Exception as error:  # noqa: BLE001 - told apart outside the event loop
            output = error
        finally:
            _ATTEMPTS.reset(mark)
        if not tried and isinstance(output, im.ModelOutput):
            tried.append(_attempt(self.config.model, settings, choice, output, None, 0.0))  # from Inspect's cache
        return output, tried

    def _sent(self, messages: Sequence[Message]) -> list[im.ChatMessage]:
        """The conversation in Inspect's terms. A turn of the model's own goes back as it came, signed reasoning too."""
        chat = _MESSAGES.validate_python([wire.chat_message(m) for m in messages])
        for place, turn in enumerate(messages):
            known = self._as_sent.get(wire.key_of(turn)) if turn.role == "assistant" else None
            if known is not None:
                chat[place] = chat[place].model_copy(update={"content": known.content})
        return chat

    def _read(
        self,
        output: im.ModelOutput,
        tried: Sequence[Exchange],
        messages: Sequence[Message],
        tools: Sequence[ToolSpec],
        reasoning: str,
    ) -> Reply:
        reply = wire.reply(output.model_dump(), tried[-1], tried[:-1])
        if (problem := wire.cut_off(reply.done_reason)) is not None:
            raise problem
        sent = (reply.request.get("call") or {}) if reasoning != "default" else {}
        if reasoning != "default" and not wire.mentions_reasoning(sent):
            raise ControllerError(
                f"The condition asks for reasoning {reasoning}, and no request that Inspect shows carries it. "
                "This model or provider cannot be told."
            )
        window = self.capabilities().context_tokens
        tokens = reply.usage.prompt_tokens
        cut = self._watch.problem(messages, tokens, window, tools_chars(tools)) if tokens else ""
        if cut:
            raise TruncatedError(f"The model did not see the whole conversation: {cut}.")
        said = Message(role="assistant", content=reply.text, thinking=reply.thinking, tool_calls=reply.calls)
        self._as_sent[wire.key_of(said)] = output.message
        return reply


def _tapped(model: im.Model) -> im.Model:
    """The model, whose provider also shows each attempt to whoever waits for it.

    Inspect's transcript keeps the raw bodies of a model's first few calls only, and those in pieces.
    """
    ask, name = model.api.generate, str(model)
    if getattr(ask, "tapped", False):
        return model

    async def generate(**given: Any) -> Any:
        begin = time.perf_counter()
        answer: Any = None
        try:
            answer = await ask(**given)
        except BaseException as error:
            answer = (error, None)
            raise
        finally:
            output, call = answer if isinstance(answer, tuple) else (answer, None)
            spent_s = time.perf_counter() - begin
            if (tried := _ATTEMPTS.get()) is not None:
                tried.append(_attempt(name, given["config"], given["tool_choice"], output, call or _active(), spent_s))
        return answer

    generate.tapped = True  # type: ignore[attr-defined]
    model.api.generate = generate  # type: ignore[method-assign, assignment]
    return model


def _active() -> im.ModelCall | None:
    """The call that a provider has noted before it failed."""
    event = logs.transcript().history.find_last(lambda e: isinstance(e, ModelEvent))
    call = event.call if isinstance(event, ModelEvent) else None
    if call is None:
        return None
    whole = wire.resolved(call.model_dump(mode="json"), logs.transcript().attachments)
    return im.ModelCall.model_validate(whole)


def _attempt(
    name: str, config: im.GenerateConfig, choice: ToolChoice, output: Any, call: im.ModelCall | None, spent_s: float
) -> dict[str, Any]:
    """One attempt as plain values, for ``wire.exchange``."""
    answered = isinstance(output, im.ModelOutput)
    return {
        "model": name,
        "config": config.model_dump(mode="json", exclude_none=True),
        "tool_choice": choice if isinstance(choice, str) else choice.name,
        "output": output.model_dump(mode="json") if answered else {},
        "call": call.model_dump(mode="json") if call else None,
        "error": None if answered else str(output) or type(output).__name__,
        "latency_s": call.time if call and call.time else spent_s,
    }


class OllamaAPI(im.ModelAPI):
    """Ollama's native ``/api/chat`` for Inspect users: ``num_ctx`` always sent, silent truncation found out.

    Options of ``OllamaConfig`` are model arguments: ``-M num_ctx=32768``. A cut prompt ends as ``model_length``.
    """

    def __init__(
        self,
        model_name: str,
        base_url: str | None = None,
        api_key: str | None = None,
        config: im.GenerateConfig | None = None,
        **model_args: Any,
    ) -> None:
        super().__init__(model_name, base_url, api_key, [], config or im.GenerateConfig())
        address = base_url or ollama_wire.address(os.environ.get("OLLAMA_HOST") or "127.0.0.1")
        self._config = OllamaConfig.model_validate({"model": model_name, "base_url": address, **model_args})
        self._brains: dict[OllamaConfig, OllamaBrain] = {}

    async def generate(
        self, input: list[im.ChatMessage], tools: list[ToolInfo], tool_choice: ToolChoice, config: im.GenerateConfig
    ) -> im.ModelOutput | tuple[im.ModelOutput | Exception, im.ModelCall]:
        """One answer, with the exact bodies of the attempt that brought it."""
        if tool_choice not in ("auto", "none"):
            raise ValueError(f"Ollama leaves the choice of a tool to the model. Received tool_choice {tool_choice!r}.")
        if (effort := config.reasoning_effort) not in _EFFORTS:
            raise ValueError(f"reasoning_effort of an Ollama model is none, low or high. Received {effort!r}.")
        brain = self._brain(config)
        messages = [wire.message(m.model_dump()) for m in input]
        offered = [_foreign(t) for t in tools] if tool_choice == "auto" else []
        try:
            answer = await anyio.to_thread.run_sync(
                lambda: brain.chat(messages, offered, config.seed or 0, _EFFORTS[effort]), abandon_on_cancel=True
            )
        except TruncatedError as problem:
            cut = im.ModelOutput.from_content(self.model_name, "", "model_length", str(problem))
            return cut, _call(exchanges_of(problem))
        except ControllerError as problem:
            return problem, _call(exchanges_of(problem))
        return _output(self.model_name, answer), _call(answer.exchanges())

    def max_connections(self) -> int:
        """One: a local server answers one at a time, and each conversation follows the one before."""
        return 1

    async def aclose(self) -> None:
        """Close the connections."""
        for brain in self._brains.values():
            brain.close()
        self._brains.clear()

    def _brain(self, config: im.GenerateConfig) -> OllamaBrain:
        changes: dict[str, Any] = {"temperature": config.temperature, "top_p": config.top_p}
        changes |= {"num_predict": config.max_tokens, "timeout_s": config.attempt_timeout}
        wanted = {k: v for k, v in changes.items() if v is not None}
        full = OllamaConfig.model_validate({**self._config.model_dump(), **wanted})
        return self._brains.setdefault(full, OllamaBrain(full))


@im.modelapi(name=OLLAMA)
def redbutton_ollama() -> type[im.ModelAPI]:
    """Register the provider with Inspect."""
    return OllamaAPI


def _foreign(tool: ToolInfo) -> ToolSpec:
    schema = tool.parameters.model_dump(exclude_none=True)
    return wire.ForeignTool(name=tool.name, description=tool.description, schema=schema)


def _output(model: str, answer: Reply) -> im.ModelOutput:
    said = Message(role="assistant", content=answer.text, thinking=answer.thinking, tool_calls=answer.calls)
    turn = im.ChatMessageAssistant.model_validate({**wire.chat_message(said), "model": model, "source": "generate"})
    usage = answer.usage
    prompt, written = usage.prompt_tokens or 0, usage.completion_tokens or 0
    return im.ModelOutput(
        model=model,
        choices=[im.ChatCompletionChoice(message=turn, stop_reason="tool_calls" if answer.calls else "stop")],
        usage=im.ModelUsage(input_tokens=prompt, output_tokens=written, total_tokens=prompt + written),
        time=answer.latency_s,
    )


def _call(tried: Sequence[Exchange]) -> im.ModelCall:
    last = tried[-1] if tried else Exchange(request={}, response=None)
    body = last.response if isinstance(last.response, Mapping) or last.response is None else {"body": last.response}
    return im.ModelCall.create(without_images(last.request), body, time=last.latency_s)
