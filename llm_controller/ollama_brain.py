"""A model behind Ollama's native ``/api/chat``.

The native route, because Ollama's ``/v1`` ignores ``num_ctx`` and ``think``. A raw request through httpx,
because ``truncate: false`` and ``shift: false`` must go out and the client's ``Tool`` type drops ``minimum``,
``maximum`` and ``default``; the ``ollama`` package asks for the installed models and their capabilities.

What is guarded against: a window that depends on the machine's memory (``num_ctx`` is always sent, clamped to
the model's length), silent truncation (``truncation.py``), answers cut by a limit (``done_reason: length``),
"error parsing tool call" (HTTP 500: bounded retry with a recorded new seed), load times counted as thinking
(preloaded with ``keep_alive``, ``load_duration`` subtracted), dropped call ids (results pair by name and order).

CAVEAT: written against the protocol and run against a server that replays it, never against a real Ollama.
Seeds give no byte equality there (prompt cache): they are recorded, nothing is promised.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, field_validator

from redbutton.llm_controller import ollama_wire as wire
from redbutton.llm_controller.attempts import RetryableError, attempts
from redbutton.llm_controller.brain import Capabilities, Exchange, Message, Reply, refuse_reasoning, tools_chars
from redbutton.llm_controller.transport import ServerUnreachableError, Transport, nearest_names, plain_address
from redbutton.llm_controller.truncation import TruncationWatch
from redbutton.robots.interface import ControllerError, NoToolsError, ToolSpec, TruncatedError


class OllamaConfig(BaseModel):
    """How to reach and run one model. Frozen, keyword-only, validated when made."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    model: str = Field(min_length=1)
    """Name as ``ollama list`` shows it."""
    base_url: str = "http://127.0.0.1:11434"
    num_ctx: int = Field(default=16_384, ge=512, le=2_000_000)
    """Tokens of context, always sent; clamped to the model's own length."""
    num_predict: int = Field(default=4_096, ge=16, le=100_000)
    """Most tokens of one answer, thinking included."""
    temperature: float | None = Field(default=None, ge=0.0, le=5.0)
    """``None`` leaves the model's default."""
    top_p: float | None = Field(default=None, gt=0.0, le=1.0)
    think: bool | None = None
    """Ask a thinking model to think, or not to; ``None`` leaves its default. Goes with ``reasoning: default`` alone."""
    think_values: str = Field(default="", pattern=r"^((true|false|low|medium|high)(,(true|false|low|medium|high))*)?$")
    """What the model takes as ``think``, with commas, e.g. ``true,false``; empty asks the server, or goes by family."""
    keep_alive: str = "30m"
    timeout_s: float = Field(default=300.0, gt=0.0, le=7_200.0)
    """Longest wait for one answer [wall s]."""
    max_retries: int = Field(default=2, ge=0, le=10)
    """Further attempts after an error of the server's own making."""

    @field_validator("base_url")
    @classmethod
    def _plain_address(cls, value: str) -> str:
        return plain_address(value)


class OllamaBrain:
    """One installed model. Reaches for the server on first use only."""

    def __init__(self, config: OllamaConfig, *, sleep: Callable[[float], None] = time.sleep) -> None:
        self.config = config
        self._sleep = sleep
        self._transport = Transport(config.base_url, timeout_s=config.timeout_s)
        self._watch = TruncationWatch()
        self._capabilities: Capabilities | None = None
        self._think_values: tuple[bool | str, ...] = ()
        self._loaded = False

    @property
    def name(self) -> str:
        """``ollama:`` and the model."""
        return f"ollama:{self.config.model}"

    def capabilities(self) -> Capabilities:
        """From ``/api/show``. Raises a ``ControllerError`` when the server or the model is not there."""
        if self._capabilities is None:
            self._capabilities = self._ask()
        return self._capabilities

    def chat(
        self, messages: Sequence[Message], tools: Sequence[ToolSpec], seed: int, reasoning: str = "default"
    ) -> Reply:
        """One reply. Raises as listed in ``redbutton.robots.interface``; bodies are attached to the error."""
        known = self.capabilities()
        self._refuse(known, messages, tools, reasoning)
        self._preload(known)
        think = wire.think(self._think_values, reasoning, self.config.think)
        return attempts(
            lambda seed_, retry: self._transport.post(
                "/api/chat", wire.chat_body(self.config, known, messages, tools, seed_, think), retry=retry
            ),
            lambda exchange: self._read(exchange, messages, tools),
            seed=seed,
            max_retries=self.config.max_retries,
            wait=lambda retry: self._sleep(0.5 * 2**retry),
        )

    def close(self) -> None:
        """Close the connections; the model stays loaded for ``keep_alive``."""
        self._transport.close()

    def _ask(self) -> Capabilities:
        import httpx
        import ollama

        config = self.config
        client = ollama.Client(host=config.base_url, timeout=min(30.0, config.timeout_s))
        try:
            shown = client.show(config.model)
            installed = client.list().models
        except ollama.ResponseError as problem:
            raise self._show_error(client, problem) from None
        except (ConnectionError, httpx.ConnectError):
            raise self._unreachable() from None
        except httpx.TimeoutException:
            raise wire.timed_out(config.base_url, min(30.0, config.timeout_s)) from None
        except (httpx.HTTPError, ValueError) as problem:
            raise ControllerError(f"{config.base_url} does not answer as an Ollama server does: {problem}") from None
        finally:
            client.close()  # type: ignore[no-untyped-call]
        digest = next((m.digest or "" for m in installed if wire.same_model(m.model or "", config.model)), "")
        found = wire.capabilities(shown.capabilities or (), shown.modelinfo or {}, digest, config.model)
        if found.thinking:
            family = (shown.details.family if shown.details else None) or ""
            self._think_values = wire.think_values(config.think_values, self._shown_raw(), family)
        found = replace(found, reasoning=wire.reasoning_levels(self._think_values))
        return wire.clamp(found, config.num_ctx, config.num_predict)

    def _shown_raw(self) -> Mapping[str, Any]:
        """``/api/show`` as it came: the client leaves out its field ``thinking``."""
        answer = self._transport.post("/api/show", {"model": self.config.model})
        return answer.response if isinstance(answer.response, Mapping) else {}

    def _show_error(self, client: Any, problem: Any) -> ControllerError:
        if problem.status_code != 404:
            return ControllerError(f"Ollama at {self.config.base_url} refused /api/show: {problem.error}")
        names = wire.installed_names(client)
        have = f"installed: {nearest_names(self.config.model, names)}" if names else "no model is installed"
        return ControllerError(
            f'Ollama has no model "{self.config.model}" ({have}). Get it with `ollama pull {self.config.model}`.'
        )

    def _unreachable(self) -> ControllerError:
        return ServerUnreachableError(
            f"No Ollama server answers at {self.config.base_url}. Start one with `ollama serve`, or name another with "
            "?base_url=http://HOST:PORT or OLLAMA_HOST."
        )

    def _refuse(
        self, known: Capabilities, messages: Sequence[Message], tools: Sequence[ToolSpec], reasoning: str
    ) -> None:
        if tools and not known.tools:
            raise NoToolsError(wire.no_tools(self.config.model))
        if not known.vision and any(m.images_png for m in messages):
            raise ControllerError(f'The model "{self.config.model}" has no vision, so it takes no camera frames.')
        if self.config.think and not known.thinking:
            raise ControllerError(f'The model "{self.config.model}" cannot think: leave out think=true.')
        if self.config.think is not None and reasoning != "default":
            raise ControllerError(f"think goes with reasoning: default. Received both, reasoning: {reasoning}.")
        refuse_reasoning(known, reasoning)

    def _preload(self, known: Capabilities) -> None:
        """Load the model with the window that the calls will use, so that the first answer is not charged for it."""
        if self._loaded:
            return
        body = {
            "model": self.config.model,
            "messages": [],
            "stream": False,
            "keep_alive": self.config.keep_alive,
            "options": {"num_ctx": known.context_tokens},
        }
        try:
            answer = self._transport.post("/api/chat", body)
        except ServerUnreachableError:
            raise self._unreachable() from None
        if answer.error is not None:
            raise ControllerError(f'Ollama could not load "{self.config.model}". {answer.error}')
        self._loaded = True

    def _read(self, exchange: Exchange, messages: Sequence[Message], tools: Sequence[ToolSpec]) -> Reply:
        if exchange.error is not None:
            raise wire.http_error(self.config.model, exchange)
        if not isinstance(exchange.response, Mapping):
            raise RetryableError("Ollama answered with something that is no JSON object.")
        reply = wire.reply(exchange, exchange.response)
        if reply.done_reason == "length":
            raise TruncatedError(
                f"The answer was cut off by a limit (num_predict {self.config.num_predict}, num_ctx "
                f"{self.capabilities().context_tokens}). Raise the one that it ran into."
            )
        if reply.usage.prompt_tokens is None:
            raise TruncatedError("Ollama gave no prompt_eval_count, so a silent truncation cannot be ruled out.")
        problem = self._watch.problem(
            messages, reply.usage.prompt_tokens, self.capabilities().context_tokens, tools_chars(tools)
        )
        if problem:
            raise TruncatedError(f"The model did not see the whole conversation: {problem}. Raise num_ctx.")
        return reply
