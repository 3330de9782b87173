"""A real inference server for tests: llama.cpp's, from ``xllamacpp``, serving a model made on the spot.

The model has llama's architecture (2 layers, width 64, 264 tokens, about 470 kB) and random weights, so what it
says means nothing; that it really goes through tokenizer, template, grammar and sampler is the point. Two things
make it call tools: a chat template whose call opener is exactly one token, and a constant embedding dimension
that the output layer reads as a bias for every token.

Run as a program it serves until its standard input closes, in a process of its own so that it can be killed.
CAVEAT: nothing about a pretrained model follows from these tests.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import Any

SPECIALS = ("<|endoftext|>", "<|im_start|>", "<|im_end|>", "<tool_call>", "</tool_call>", "<tool_response>")
CONTROL = 3
"""How many of the specials are control tokens; the rest shows in the text."""
WIDTH, HIDDEN, LAYERS, HEADS = 64, 128, 2, 4
CONSTANT = 3.0
"""Value of embedding dimension 0 in every token."""
MODEL_NAME = "tiny-random"

TEMPLATE = """{%- if tools %}
    {{- '<|im_start|>system\\n' }}
    {%- if messages[0].role == 'system' %}{{- messages[0].content + '\\n' }}{%- endif %}
    {{- 'Tools:' }}
    {%- for tool in tools %}{{- '\\n' }}{{- tool | tojson }}{%- endfor %}
    {{- '<|im_end|>\\n' }}
{%- elif messages[0].role == 'system' %}
    {{- '<|im_start|>system\\n' + messages[0].content + '<|im_end|>\\n' }}
{%- endif %}
{%- for message in messages %}
    {%- if message.role == 'user' %}
        {{- '<|im_start|>user\\n' + message.content + '<|im_end|>\\n' }}
    {%- elif message.role == 'assistant' %}
        {{- '<|im_start|>assistant' }}
        {%- if message.content %}{{- '\\n' + message.content }}{%- endif %}
        {%- for tool_call in message.tool_calls %}
            {%- if tool_call.function is defined %}{%- set tool_call = tool_call.function %}{%- endif %}
            {{- '\\n<tool_call>{"name": "' + tool_call.name + '", "arguments": ' }}
            {{- tool_call.arguments | tojson }}
            {{- '}</tool_call>' }}
        {%- endfor %}
        {{- '<|im_end|>\\n' }}
    {%- elif message.role == 'tool' %}
        {{- '<|im_start|>user\\n<tool_response>\\n' + message.content + '<|im_end|>\\n' }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}{{- '<|im_start|>assistant\\n' }}{%- endif %}
"""


def byte_letters() -> list[str]:
    """The 256 printable stand-ins of byte-level BPE, in the order of their bytes."""
    printable = {*range(33, 127), *range(161, 173), *range(174, 256)}
    spare = iter(range(256, 512))
    return [chr(b) if b in printable else chr(next(spare)) for b in range(256)]


def write_model(path: Path, *, seed: int = 0) -> None:
    """Write the model as GGUF."""
    import gguf
    import numpy as np

    rng = np.random.default_rng(seed)
    tokens = [*byte_letters(), "th", *SPECIALS]
    normal, control, shown = gguf.TokenType.NORMAL, gguf.TokenType.CONTROL, gguf.TokenType.USER_DEFINED
    types = [normal] * 257 + [control] * CONTROL + [shown] * (len(SPECIALS) - CONTROL)

    writer = gguf.GGUFWriter(path, "llama")
    writer.add_name(MODEL_NAME)
    writer.add_vocab_size(len(tokens))
    writer.add_context_length(32_768)
    writer.add_embedding_length(WIDTH)
    writer.add_block_count(LAYERS)
    writer.add_feed_forward_length(HIDDEN)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(HEADS)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_dimension_count(WIDTH // HEADS)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list(tokens)
    writer.add_token_types(types)
    writer.add_token_merges(["t h"])
    writer.add_bos_token_id(tokens.index("<|endoftext|>"))
    writer.add_eos_token_id(tokens.index("<|im_end|>"))
    writer.add_add_bos_token(False)
    writer.add_chat_template(TEMPLATE)

    def weights(*shape: int, scale: float = 0.05) -> Any:
        return (rng.standard_normal(shape) * scale).astype(np.float32)

    embedding = weights(len(tokens), WIDTH, scale=0.5)
    embedding[:, 0] = CONSTANT
    output = weights(len(tokens), WIDTH, scale=0.12)
    output[:, 0] = np.array([token_bias(t) for t in tokens], dtype=np.float32) / CONSTANT
    writer.add_tensor("token_embd.weight", embedding)
    for layer in range(LAYERS):
        for norm in ("attn_norm", "ffn_norm"):
            writer.add_tensor(f"blk.{layer}.{norm}.weight", np.ones(WIDTH, np.float32))
        for name in ("attn_q", "attn_k", "attn_v", "attn_output"):
            writer.add_tensor(f"blk.{layer}.{name}.weight", weights(WIDTH, WIDTH))
        writer.add_tensor(f"blk.{layer}.ffn_gate.weight", weights(HIDDEN, WIDTH))
        writer.add_tensor(f"blk.{layer}.ffn_up.weight", weights(HIDDEN, WIDTH))
        writer.add_tensor(f"blk.{layer}.ffn_down.weight", weights(WIDTH, HIDDEN))
    writer.add_tensor("output_norm.weight", np.ones(WIDTH, np.float32))
    writer.add_tensor("output.weight", output)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def token_bias(token: str) -> float:
    """How likely a token is by itself: calls and ends often, letters now and then, odd bytes hardly ever."""
    liked = {"<tool_call>": 5.0, "<|im_end|>": 6.5, '"': 5.0, "}": 5.0}
    if token in liked:
        return liked[token]
    return 1.0 if len(token) == 1 and token.isascii() and token.isalpha() else -4.0


class TinyServer:
    """One server process on a free port of the loopback. Use as a context manager."""

    def __init__(self, model: Path, *, n_ctx: int = 16_384) -> None:
        command = [sys.executable, str(Path(__file__)), str(model), "--n-ctx", str(n_ctx)]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        assert self._process.stdout is not None
        self.address = self._process.stdout.readline().strip()
        """``http://127.0.0.1:PORT``."""
        if not self.address:
            self.close()
            raise RuntimeError("the tiny server did not start")

    @property
    def model(self) -> str:
        """The name under which the model is served."""
        return MODEL_NAME

    @property
    def base_url(self) -> str:
        """Address of the OpenAI-compatible API."""
        return f"{self.address}/v1"

    def models(self) -> Any:
        """What ``/v1/models`` says."""
        with urllib.request.urlopen(f"{self.base_url}/models", timeout=10) as answer:
            return json.load(answer)

    def kill(self) -> None:
        """End it at once, as a crash would."""
        self._process.kill()
        self._process.wait(timeout=30)

    def close(self) -> None:
        """End it and close its pipes. Safe to call twice."""
        self.kill()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()

    def __enter__(self) -> TinyServer:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def serve(model: Path, n_ctx: int) -> None:
    """Serve until standard input closes."""
    import xllamacpp

    params = xllamacpp.CommonParams()
    params.model.path = str(model)
    params.model_alias = {MODEL_NAME}
    params.n_ctx = n_ctx
    params.n_parallel = 1
    params.hostnames = ["127.0.0.1"]
    params.port = 0
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = 1
    params.n_threads_http = 2
    params.use_jinja = True
    params.warmup = params.fit_params = params.ctx_shift = False
    server = xllamacpp.Server(params)
    print(server.listening_address, flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", type=Path)
    parser.add_argument("--n-ctx", type=int, default=16_384)
    arguments = parser.parse_args()
    serve(arguments.model, arguments.n_ctx)
