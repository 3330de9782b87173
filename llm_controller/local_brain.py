"""A model file inside the process: llama.cpp from the ``xllamacpp`` package (extra ``local``), no server to start.

The request and the answer are those of ``/v1/chat/completions``, so records look as they do for any server. Sampling is
plain: temperature 1 and no cut, since a cut takes away the rare acts that are measured. One thread and one slot; the
first call of a conversation begins with an empty cache, so the same trial gives the same answers on the same machine.

CAVEAT: the package cannot do without a listening port. It is on the loopback, and a key made on the spot guards it.
A call cannot be given up half way, so there is no time limit beside that of the answer's tokens.
"""

from __future__ import annotations

import hashlib
import secrets
import time
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from redbutton.llm_controller import openai_wire as wire
from redbutton.llm_controller.attempts import attempts
from redbutton.llm_controller.brain import (
    Capabilities,
    Exchange,
    Message,
    Reply,
    refuse_reasoning,
    tool_definitions,
)
from redbutton.robots.interface import ControllerError, ToolSpec, TruncatedError

MAX_THREADS = 64


class LocalConfig(BaseModel):
    """Which model file to run and how. Frozen, keyword-only, validated when made."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    model: str = Field(min_length=1)
    """Path of a GGUF file whose chat template knows tools."""
    tool_choice: Literal["auto", "required"] = "auto"
    """``required`` forces a call in every reply; it also takes from the model the choice to stay silent."""
    temperature: float = Field(default=1.0, ge=0.0, le=5.0)
    top_k: int = Field(default=0, ge=0)
    """0: no limit."""
    top_p: float = Field(default=1.0, gt=0.0, le=1.0)
    min_p: float = Field(default=0.0, ge=0.0, le=1.0)
    """Tokens less likely than this share of the likeliest one are left out."""
    max_tokens: int = Field(default=256, ge=1, le=100_000)
    context_tokens: int = Field(default=4_096, ge=64, le=10_000_000)
    threads: int = Field(default=1, ge=1, le=MAX_THREADS)
    """More than one is quicker for a larger model; sums are then no longer the same from run to run."""
    max_retries: int = Field(default=2, ge=0, le=10)


class LocalBrain:
    """One model file. Reads it on first use only."""

    def __init__(self, config: LocalConfig) -> None:
        self.config = config
        self._engine: Any = None
        self._capabilities: Capabilities | None = None

    @property
    def name(self) -> str:
        """``local:`` and the file's name; its digest says which file that was."""
        return f"local:{Path(self.config.model).name}"

    def capabilities(self) -> Capabilities:
        """From the configuration and the file. Raises a ``ControllerError`` for one that is not there.

        Whether a model calls tools is found out in the trial (``no_tools``).
        """
        if self._capabilities is None:
            path = self._file()
            need_engine()
            self._capabilities = Capabilities(
                tools=True,
                context_tokens=self.config.context_tokens,
                answer_tokens=min(self.config.max_tokens, self.config.context_tokens // 2),
                reasoning=(),
                model=path.name,
                digest=hashlib.sha256(path.read_bytes()).hexdigest(),
            )
        return self._capabilities

    def chat(
        self, messages: Sequence[Message], tools: Sequence[ToolSpec], seed: int, reasoning: str = "default"
    ) -> Reply:
        """One reply. Raises as listed in ``redbutton.robots.interface``; bodies are attached to the error."""
        refuse_reasoning(self.capabilities(), reasoning)
        if any(m.images_png for m in messages):
            raise ControllerError("A local model reads text: it takes no frames.")
        return attempts(
            lambda seed_, retry: self._send(self._body(messages, tools, seed_), retry),
            self._read,
            seed=seed,
            max_retries=self.config.max_retries,
            wait=lambda retry: None,
        )

    def close(self) -> None:
        """Let go of the engine. Safe to call twice."""
        self._engine = None

    def _file(self) -> Path:
        path = Path(self.config.model)
        if not path.is_file():
            raise ControllerError(f"There is no model file {self.config.model}. Give the path of a GGUF file.")
        return path

    def _body(self, messages: Sequence[Message], tools: Sequence[ToolSpec], seed: int) -> dict[str, Any]:
        sampling = ("temperature", "top_k", "top_p", "min_p", "max_tokens")
        body: dict[str, Any] = {
            "messages": [wire.message_body(m) for m in messages],
            "seed": seed,
            # What an earlier trial left in the cache changes sums in their last digits, and so a draw now and then.
            "cache_prompt": any(m.role == "assistant" for m in messages),
            **{key: getattr(self.config, key) for key in sampling},
        }
        return body | ({"tools": tool_definitions(tools), "tool_choice": self.config.tool_choice} if tools else {})

    def _send(self, body: Mapping[str, Any], retry: int) -> Exchange:
        engine = self._running()
        begin = time.perf_counter()
        try:
            answer = engine.handle_chat_completions(body)
        except (ValueError, RuntimeError) as problem:
            answer = {"error": {"code": 500, "message": str(problem)}}
        error = answer.get("error") or {}
        return Exchange(
            request=body,
            response=answer,
            status=int(error.get("code", 200)),
            latency_s=time.perf_counter() - begin,
            retry=retry,
            error=str(error["message"]) if error else None,
        )

    def _read(self, exchange: Exchange) -> Reply:
        if exchange.error is not None or not isinstance(exchange.response, Mapping):
            raise wire.http_error(exchange, "")
        reply = wire.reply(exchange, exchange.response)
        if reply.done_reason == "length":
            raise TruncatedError(
                f"The answer was cut off by a limit (max_tokens {self.config.max_tokens} or context_tokens "
                f"{self.config.context_tokens}). Raise the one that it ran into."
            )
        return reply

    def _running(self) -> Any:
        if self._engine is None:
            self._engine = start_engine(self._file(), self.config.context_tokens, self.config.threads)
        return self._engine


def need_engine() -> None:
    """Raise ``ControllerError`` where llama.cpp is not installed."""
    if find_spec("xllamacpp") is None:
        raise ControllerError('a local model needs llama.cpp: pip install -c constraints.txt -e ".[local]".')


def start_engine(path: Path, context_tokens: int, threads: int = 1, *, api_key: str | None = None) -> Any:
    """llama.cpp with one model and one slot. ``api_key``: of its port; one made on the spot unless given."""
    need_engine()
    import xllamacpp

    params = xllamacpp.CommonParams()
    params.model.path = str(path)
    params.n_ctx = context_tokens
    params.n_batch = params.n_ubatch = 512
    params.n_parallel = 1
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = threads
    params.n_threads_http = 1
    params.hostnames, params.port = ["127.0.0.1"], 0
    params.api_keys = [secrets.token_urlsafe(32)] if api_key is None else [api_key]
    params.use_jinja = True
    params.warmup = params.fit_params = params.ctx_shift = params.ui = False
    params.cache_ram_mib = 0
    params.verbosity = -1
    try:
        return xllamacpp.Server(params)
    except (RuntimeError, ValueError) as problem:
        raise ControllerError(f"llama.cpp cannot load {path}: {problem}") from None
