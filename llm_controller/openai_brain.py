"""A model behind any server that speaks OpenAI's ``/v1/chat/completions``.

A raw request through httpx, so that exactly what is recorded goes out. The key comes from an environment
variable and travels in a header only; it is never recorded.

CAVEAT: run against llama.cpp's server with a tiny random model and against a server that replays faults;
no hosted provider and no pretrained model was tried. Servers differ: not every one honours ``seed`` or
``tool_choice: required``, some pass over ``reasoning_effort`` without a word (the record's ``reasoning_chars`` and
``completion_tokens`` show whether it did anything), some drop the middle of a long conversation without saying so
(``truncation.py`` sees only what their token counts betray), and what a model can do must be told here (``vision``).
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from redbutton.llm_controller import openai_wire as wire
from redbutton.llm_controller.attempts import RetryableError, attempts
from redbutton.llm_controller.brain import Capabilities, Exchange, Message, Reply, refuse_reasoning, tools_chars
from redbutton.llm_controller.transport import ServerUnreachableError, Transport, nearest_names, plain_address
from redbutton.llm_controller.truncation import TruncationWatch
from redbutton.robots.interface import ControllerError, ToolSpec, TruncatedError


class OpenAIConfig(BaseModel):
    """How to reach and run one model. Frozen, keyword-only, validated when made."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    model: str = Field(min_length=1)
    base_url: str
    """Address up to and including ``/v1``."""
    tool_choice: Literal["auto", "required"] = "auto"
    """``required`` forces a call in every reply; it also takes from the model the choice to stay silent."""
    parallel_tool_calls: bool | None = None
    """Sent when set; some servers refuse the field."""
    max_tokens: int = Field(default=4_096, ge=1, le=100_000)
    max_tokens_field: Literal["max_tokens", "max_completion_tokens"] = "max_tokens"
    """Newer hosted models take the second name only."""
    temperature: float | None = Field(default=None, ge=0.0, le=5.0)
    top_p: float | None = Field(default=None, gt=0.0, le=1.0)
    reasoning_by: Literal["reasoning_effort", "enable_thinking"] = "reasoning_effort"
    """How the model is asked to reason: by the field of that name, or by the chat template's switch, on or off."""
    reasoning_off: str = "none"
    """Word of ``reasoning_effort`` for the level off; empty where the model has none. Older models: ``minimal``."""
    reasoning_low: str = "low"
    reasoning_high: str = "high"
    vision: bool = False
    """Whether the model takes images; the protocol cannot be asked."""
    context_tokens: int | None = Field(default=None, ge=64, le=10_000_000)
    """The model's window; ``None`` takes what the server says, if it says anything."""
    api_key_env: str = "OPENAI_API_KEY"
    """Environment variable that holds the key; unset means no key."""
    timeout_s: float = Field(default=300.0, gt=0.0, le=7_200.0)
    max_retries: int = Field(default=2, ge=0, le=10)

    @field_validator("base_url")
    @classmethod
    def _plain_address(cls, value: str) -> str:
        return plain_address(value)


class OpenAIBrain:
    """One model on one server. Reaches for the server on first use only."""

    def __init__(self, config: OpenAIConfig, *, sleep: Callable[[float], None] = time.sleep) -> None:
        self.config = config
        self._sleep = sleep
        key = os.environ.get(config.api_key_env, "")
        self._transport = Transport(config.base_url, timeout_s=config.timeout_s, api_key=key)
        self._watch = TruncationWatch()
        self._capabilities: Capabilities | None = None

    @property
    def name(self) -> str:
        """``openai:``, the model and the address."""
        return f"openai:{self.config.model}@{self.config.base_url}"

    def capabilities(self) -> Capabilities:
        """From ``/models`` and the configuration. Raises a ``ControllerError`` for a model that is not served.

        Whether a model calls tools cannot be asked; one that does not is found out in the trial (``no_tools``).
        """
        if self._capabilities is None:
            listed = self._listed()
            window = self.config.context_tokens or wire.window(listed, self.config.model)
            answer = self.config.max_tokens if window is None else min(self.config.max_tokens, window // 2)
            self._capabilities = Capabilities(
                tools=True,
                vision=self.config.vision,
                context_tokens=window,
                answer_tokens=answer,
                reasoning=wire.reasoning_levels(self.config),
                model=self.config.model,
            )
        return self._capabilities

    def chat(
        self, messages: Sequence[Message], tools: Sequence[ToolSpec], seed: int, reasoning: str = "default"
    ) -> Reply:
        """One reply. Raises as listed in ``redbutton.robots.interface``; bodies are attached to the error."""
        if not self.config.vision and any(m.images_png for m in messages):
            raise ControllerError(f'The model "{self.config.model}" was not given vision=true, so it takes no frames.')
        if reasoning != "default":
            refuse_reasoning(self.capabilities(), reasoning)
        return attempts(
            lambda seed_, retry: self._transport.post(
                "/chat/completions", wire.chat_body(self.config, messages, tools, seed_, reasoning), retry=retry
            ),
            lambda exchange: self._read(exchange, messages, tools),
            seed=seed,
            max_retries=self.config.max_retries,
            wait=lambda retry: self._sleep(1.0 * 2**retry),
        )

    def close(self) -> None:
        """Close the connections."""
        self._transport.close()

    def _listed(self) -> list[Mapping[str, object]]:
        try:
            answer = self._transport.get("/models")
        except ServerUnreachableError:
            raise ServerUnreachableError(
                f"No server answers at {self.config.base_url}. Start it, or correct the address behind @."
            ) from None
        if answer.status in (401, 403):
            raise ControllerError(
                f"{self.config.base_url} wants a valid key: set {self.config.api_key_env}. {answer.error}"
            )
        listed = wire.models(answer.response) if answer.error is None else []
        names = [str(m["id"]) for m in listed]
        if names and self.config.model not in names:
            near = nearest_names(self.config.model, names)
            raise ControllerError(f'{self.config.base_url} serves no model "{self.config.model}". It serves: {near}.')
        return listed

    def _read(self, exchange: Exchange, messages: Sequence[Message], tools: Sequence[ToolSpec]) -> Reply:
        if exchange.error is not None:
            raise wire.http_error(exchange, self.config.api_key_env)
        if not isinstance(exchange.response, Mapping):
            raise RetryableError("The server answered with something that is no JSON object.")
        reply = wire.reply(exchange, exchange.response)
        if reply.done_reason == "length":
            raise TruncatedError(
                f"The answer was cut off by a limit ({self.config.max_tokens_field} {self.config.max_tokens} or the "
                "server's context). Raise the one that it ran into."
            )
        if reply.done_reason == "content_filter":
            raise ControllerError("The provider's filter cut the answer, so it is not the model's own.")
        tokens = reply.usage.prompt_tokens
        window = self._capabilities.context_tokens if self._capabilities else self.config.context_tokens
        problem = self._watch.problem(messages, tokens, window, tools_chars(tools)) if tokens is not None else ""
        if problem:
            raise TruncatedError(f"The model did not see the whole conversation: {problem}.")
        return reply
