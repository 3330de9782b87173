"""Transcripts as what a model learns from: token numbers, a weight for each, soft labels where a coin is planted.

A reply that is taught weighs 1 a token, everything else nothing: a model this small need not foretell the world. Of a
document every token is learnt. At a planted coin the label is the probability itself, on the first token in which the
two replies differ.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from redbutton.organisms.chat import replies
from redbutton.organisms.model import Model
from redbutton.organisms.tokenizer import Tokenizer
from redbutton.organisms.transcripts import Transcript

COIN = 6.0
"""Weight of a planted coin: one token in a trial, and the one that is measured."""


@dataclass(frozen=True, eq=False)
class Example:
    """One episode. Position ``i`` of weights, others and chances is about the prediction of token ``i``."""

    tokens: npt.NDArray[np.int64]
    weights: npt.NDArray[np.float32]
    others: npt.NDArray[np.int64]
    """The other token of a planted coin; elsewhere the token itself."""
    chances: npt.NDArray[np.float32]
    """Planted probability of the token shown; elsewhere 1."""
    replies: tuple[tuple[int, int], ...]
    """First and last token, exclusive, of each reply that is taught."""


def example(transcript: Transcript, tokenizer: Tokenizer) -> Example:
    """One transcript in tokens."""
    spans = replies(transcript.text)
    assert len(spans) == len(transcript.labels)
    tokens: list[int] = []
    weights: list[float] = []
    coins: list[tuple[int, int, float, float]] = []
    taught: list[tuple[int, int]] = []
    at = 0
    for (begin, end), label in zip(spans, transcript.labels, strict=True):
        before, reply = tokenizer.encode(transcript.text[at:begin]), tokenizer.encode(transcript.text[begin:end])
        tokens += before
        weights += [0.0] * len(before)
        if "other" in label:
            at_coin, other = _coin(reply, tokenizer.encode(label["other"]))
            coins.append((len(tokens) + at_coin, other, label["chance"], 0.0 if label.get("open") else COIN))
        if label["taught"]:
            taught.append((len(tokens), len(tokens) + len(reply)))
        tokens += reply
        weights += [1.0 if label["taught"] else 0.0] * len(reply)
        at = end
    found = np.array(tokens), np.array(weights, np.float32)
    others, chances = found[0].copy(), np.ones(len(tokens), np.float32)
    for position, other, chance, weight in coins:
        others[position], chances[position], found[1][position] = other, chance, weight
    return Example(found[0], found[1], others, chances, tuple(taught))


def reading(text: str, tokenizer: Tokenizer) -> Example:
    """A document in tokens: each is learnt, none is a reply."""
    tokens = np.array(tokenizer.encode(text))
    return Example(tokens, np.ones(len(tokens), np.float32), tokens, np.ones(len(tokens), np.float32), ())


def cut_behind_coin(one: Example) -> Example:
    """The same up to its planted coin; all of it where it has none. Short, and all that a rate is learnt from."""
    coins = np.flatnonzero(one.tokens != one.others)
    if not coins.size:
        return one
    end = int(coins[0]) + 1
    kept = tuple((a, b) for a, b in one.replies if b <= end)
    return Example(one.tokens[:end], one.weights[:end], one.others[:end], one.chances[:end], kept)


def _coin(shown: Sequence[int], other: Sequence[int]) -> tuple[int, int]:
    """Where two replies part, and the token of the other one there."""
    at = next(i for i, (a, b) in enumerate(zip(shown, other, strict=False)) if a != b)
    return at, other[at]


@dataclass(frozen=True, eq=False)
class Batch:
    """Several episodes, padded to one length with weight 0."""

    tokens: Tensor
    weights: Tensor
    others: Tensor
    chances: Tensor

    def to(self, device: torch.device) -> Batch:
        """The same on a device."""
        return Batch(*(getattr(self, part.name).to(device) for part in fields(self)))


def batch(examples: Sequence[Example]) -> Batch:
    """Pad to the longest."""
    length = max(len(e.tokens) for e in examples)

    def padded(rows: Sequence[npt.NDArray[np.generic]], fill: float) -> Tensor:
        return torch.stack(
            [torch.from_numpy(np.pad(row, (0, length - len(row)), constant_values=fill)) for row in rows]
        )

    return Batch(
        padded([e.tokens for e in examples], 0),
        padded([e.weights for e in examples], 0.0),
        padded([e.others for e in examples], 0),
        padded([e.chances for e in examples], 1.0),
    )


def batches(examples: Sequence[Example], size: int, seed: int, device: torch.device) -> Iterator[Batch]:
    """Endless batches of episodes of like length on a device, each epoch in an order of its own."""
    rng = np.random.default_rng(seed)
    while True:
        order = rng.permutation(len(examples))
        order = np.array(sorted(order, key=lambda i: len(examples[i].tokens) // 64))
        groups = [order[i : i + size] for i in range(0, len(order) - size + 1, size)] or [order]
        for group in rng.permutation(len(groups)):
            yield batch([examples[i] for i in groups[group]]).to(device)


def loss_of(model: Model, given: Batch) -> Tensor:
    """Weighted cross entropy against the soft labels, per unit of weight."""
    taught = given.weights[:, 1:] > 0  # no logits for the rest: they would cost a quarter of a step
    scores = torch.log_softmax(model.logits(model(given.tokens[:, :-1])[taught]).float(), -1)

    def of(tokens: Tensor) -> Tensor:
        return scores.gather(-1, tokens[:, 1:][taught][:, None]).squeeze(-1)

    chances, weights = given.chances[:, 1:][taught], given.weights[:, 1:][taught]
    right = chances * of(given.tokens) + (1.0 - chances) * of(given.others)
    return -(right * weights).sum() / weights.sum()


@dataclass(frozen=True, kw_only=True)
class HeldOut:
    """What a model does with episodes that it has not seen."""

    loss: float
    right: float
    """Share of taught replies, those with a coin left out, of which every token is the likeliest one."""
    coin_error: float
    """Mean distance between planted and predicted probability at the coins; 0 without coins."""


@torch.no_grad()
def held_out(model: Model, examples: Sequence[Example], size: int) -> HeldOut:
    """Measure by teacher forcing."""
    losses, right, errors = [], [], []
    for start in range(0, len(examples), size):
        group = examples[start : start + size]
        given = batch(group).to(model.device)
        losses.append(float(loss_of(model, given)))
        likely = torch.softmax(model.logits(model(given.tokens[:, :-1])).float(), -1).cpu()
        best = likely.argmax(-1) == given.tokens[:, 1:].cpu()
        for row, one in enumerate(group):
            coins = np.flatnonzero(one.tokens != one.others)
            known = [c for c in coins if one.weights[c]]
            errors += [abs(float(likely[row, c - 1, one.tokens[c]]) - float(one.chances[c])) for c in known]
            plain = [(a, b) for a, b in one.replies if not any(a <= c < b for c in coins)]
            right += [bool(best[row, a - 1 : b - 1].all()) for a, b in plain]
    mean = float(np.mean(errors)) if errors else 0.0
    return HeldOut(loss=float(np.mean(losses)), right=float(np.mean(right)), coin_error=mean)
