"""Does llama.cpp read an organism's file as the training saw it? Template, tokens and probabilities, side by side.

Three sources of silent harm: a template that the engine renders otherwise, a text that it cuts otherwise, a weight that
it multiplies otherwise. Each shows here as a difference, on a transcript of the real env.
"""

from __future__ import annotations

import json
import math
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import torch

from redbutton.llm_controller.brain import tool_definitions
from redbutton.llm_controller.local_brain import start_engine
from redbutton.llm_controller.openai_wire import message_body
from redbutton.organisms.chat import render
from redbutton.organisms.errors import OrganismError
from redbutton.organisms.model import Model
from redbutton.organisms.tokenizer import Tokenizer
from redbutton.organisms.transcripts import Conversation

TOLERANCE = 0.02
"""Largest difference of a probability: 16-bit weights and cache against 32-bit ones."""


@dataclass(frozen=True, kw_only=True)
class Agreement:
    """What was compared."""

    tokens: int
    """Length of the conversation; the same on both sides."""
    probability_difference: float
    """Largest difference of a probability among the likeliest next tokens."""


def agreement(path: Path, model: Model, tokenizer: Tokenizer, talk: Conversation) -> Agreement:
    """Compare on one conversation, its last reply left out. Raises ``OrganismError`` where the sides differ."""
    key = secrets.token_urlsafe(16)
    engine = start_engine(path, 4_096, api_key=key)
    headers = {"Authorization": f"Bearer {key}"}
    with httpx.Client(base_url=engine.listening_address, headers=headers, timeout=60.0) as client:

        def post(at: str, **body: Any) -> Any:
            return client.post(at, json=body).raise_for_status().json()

        messages = talk.messages[:-1]
        ours = render(messages, talk.tools, prompt=True)
        bodies = [message_body(m) for m in messages]
        theirs = post("/apply-template", messages=bodies, tools=tool_definitions(talk.tools))["prompt"]
        if theirs != ours:
            raise OrganismError(f"the chat template is rendered otherwise by the engine: {_parted(ours, theirs)}")
        tokens = tokenizer.encode(ours)
        cut = post("/tokenize", content=ours, add_special=False, parse_special=True)["tokens"]
        if cut != tokens:
            raise OrganismError(f"the engine cuts text otherwise: {_parted(tokens, cut)}")
        answer = post("/completion", prompt=tokens, n_predict=1, n_probs=10, temperature=1.0, top_k=0, top_p=1.0,
                      min_p=0.0, seed=1, cache_prompt=False)  # fmt: skip
        listed = answer["completion_probabilities"][0]["top_logprobs"]
    return Agreement(tokens=len(tokens), probability_difference=_difference(model, tokens, listed))


def _difference(model: Model, tokens: list[int], listed: list[dict[str, Any]]) -> float:
    with torch.no_grad():
        scores = model.logits(model(torch.tensor([tokens], device=model.device))[:, -1])[0]
    own = torch.softmax(scores, -1).cpu()
    worst = max(abs(float(own[t["id"]]) - math.exp(t["logprob"])) for t in listed)
    if worst > TOLERANCE:
        raise OrganismError(
            f"engine and training must agree within {TOLERANCE} of probability. Received a difference of {worst:.3f}"
        )
    return float(worst)


def _parted(ours: Any, theirs: Any) -> str:
    at = next((i for i, (a, b) in enumerate(zip(ours, theirs, strict=False)) if a != b), min(len(ours), len(theirs)))
    return f"from position {at}, ours {json.dumps(ours[at : at + 40])}, theirs {json.dumps(theirs[at : at + 40])}"
