"""What the last event of a trial says about the model behind it, read from its own calls."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any


def model_use(events: Sequence[Mapping[str, Any]]) -> dict[str, int | None]:
    """``reasoning_chars`` and ``completion_tokens`` over the calls of a trial's conversation, the probe's left out.

    Both are ``None`` for a controller that is no model; the tokens also where a server gave no count for an answer.
    """
    calls = [e for e in events if e["type"] == "model_call" and not e.get("probe")]
    if not calls:
        return {"reasoning_chars": None, "completion_tokens": None}
    tokens = [e["usage"]["completion_tokens"] for e in calls if e["error"] is None]
    return {
        "reasoning_chars": sum(e.get("reasoning_chars", 0) for e in calls),
        "completion_tokens": sum(tokens) if tokens and None not in tokens else None,
    }
