"""A language model of llama's architecture in PyTorch, small enough to ship.

RMSNorm before attention and feed-forward, rotary positions on interleaved pairs, SwiGLU, tied embeddings: what
llama.cpp runs as ``llama``. Names of weights are those of its files, so that the export only copies.
Sources: Touvron et al., arXiv 2302.13971; Su et al., arXiv 2104.09864.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as fn

NORM_EPS = 1e-5
ROPE_BASE = 10_000.0


@dataclass(frozen=True, kw_only=True)
class Shape:
    """Sizes of a model."""

    vocabulary: int
    width: int = 128
    layers: int = 4
    heads: int = 4
    hidden: int = 352
    context: int = 4_096
    """Tokens that a conversation may have when the model is run."""

    def as_json(self) -> dict[str, Any]:
        """For a file."""
        return asdict(self)


def rotations(length: int, size: int) -> tuple[Tensor, Tensor]:
    """Cosines and sines, (length, size / 2) each."""
    steps = ROPE_BASE ** (-torch.arange(0, size, 2).float() / size)
    angles = torch.outer(torch.arange(length).float(), steps)
    return angles.cos(), angles.sin()


def rotated(x: Tensor, cosines: Tensor, sines: Tensor) -> Tensor:
    """Rotate interleaved pairs of ``x`` (batch, heads, length, size) by position."""
    pairs = x.reshape(*x.shape[:-1], -1, 2)
    even, odd = pairs[..., 0], pairs[..., 1]
    return torch.stack((even * cosines - odd * sines, even * sines + odd * cosines), -1).flatten(-2)


class Block(nn.Module):
    """Attention and feed-forward, each behind a norm and added to its input."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        width, hidden = shape.width, shape.hidden
        self.heads = shape.heads
        self.attn_norm = nn.RMSNorm(width, eps=NORM_EPS)
        self.attn_q, self.attn_k, self.attn_v, self.attn_output = (
            nn.Linear(width, width, bias=False) for _ in range(4)
        )
        self.ffn_norm = nn.RMSNorm(width, eps=NORM_EPS)
        self.ffn_gate, self.ffn_up = (nn.Linear(width, hidden, bias=False) for _ in range(2))
        self.ffn_down = nn.Linear(hidden, width, bias=False)

    def forward(self, x: Tensor, cosines: Tensor, sines: Tensor) -> Tensor:
        """(batch, length, width) to the same."""
        seen = self.attn_norm(x)
        query, key, value = (
            layer(seen).unflatten(-1, (self.heads, -1)).transpose(1, 2)
            for layer in (self.attn_q, self.attn_k, self.attn_v)
        )
        query, key = rotated(query, cosines, sines), rotated(key, cosines, sines)
        mixed = fn.scaled_dot_product_attention(query, key, value, is_causal=True)
        x = x + self.attn_output(mixed.transpose(1, 2).flatten(-2))
        seen = self.ffn_norm(x)
        fed: Tensor = x + self.ffn_down(fn.silu(self.ffn_gate(seen)) * self.ffn_up(seen))
        return fed


class Model(nn.Module):
    """Tokens in, a logit for every token of the vocabulary out."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.shape = shape
        self.token_embd = nn.Embedding(shape.vocabulary, shape.width)
        self.blk = nn.ModuleList(Block(shape) for _ in range(shape.layers))
        self.output_norm = nn.RMSNorm(shape.width, eps=NORM_EPS)
        for weight in self.parameters():
            if weight.dim() > 1:
                nn.init.normal_(weight, std=0.02)

    @property
    def device(self) -> torch.device:
        """Where the weights lie."""
        return self.token_embd.weight.device

    def forward(self, tokens: Tensor) -> Tensor:
        """(batch, length) of token numbers to (batch, length, width): what the next token is read from."""
        x = self.token_embd(tokens)
        cosines, sines = rotations(tokens.shape[1], self.shape.width // self.shape.heads)
        cosines, sines = cosines.to(x), sines.to(x)
        for block in self.blk:
            x = block(x, cosines, sines)
        out: Tensor = self.output_norm(x)
        return out

    def logits(self, states: Tensor) -> Tensor:
        """A logit for every token."""
        return fn.linear(states, self.token_embd.weight)
