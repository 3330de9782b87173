"""Tells from token counts that a server dropped part of the conversation without saying so.

Ollama's overflow drops the oldest messages first: the goal in the first user turn disappears while the
system prompt stays, which biases exactly what is measured here. Other servers drop the middle. The signs:

- the prompt fills the window (``prompt_tokens >= window - 1``);
- the prompt got shorter though the history only grew;
- the count sits at half the window, where Ollama cuts to, while the text is far too long for that count.

CAVEAT: a server that miscounts, or that drops text and reports the count from before, is not caught.
"""

from __future__ import annotations

from collections.abc import Sequence

from redbutton.llm_controller.brain import Message

CHARS_PER_TOKEN_AT_MOST = 5.0
"""Plain English comes to about 4.5 characters a token, JSON to about 3; a cut to half at least doubles it."""
HALF_WINDOW_SLACK = 4


def message_chars(message: Message) -> int:
    """Characters of one turn, calls included. Images and thinking are left out: templates may drop the latter."""
    calls = sum(len(c.name) + len(str(c.arguments)) for c in message.tool_calls)
    return len(message.content) + calls


class TruncationWatch:
    """Follows the calls of one brain. Remembers the last history only to see whether the next one continues it."""

    def __init__(self) -> None:
        self._history: tuple[Message, ...] = ()
        self._prompt_tokens = 0

    def problem(self, messages: Sequence[Message], prompt_tokens: int, window: int | None, extra_chars: int = 0) -> str:
        """Say why this prompt must have been cut, or ``""``. ``extra_chars``: tool schemas sent along.

        ``prompt_tokens``: as the server counted; ``window``: tokens of the context, ``None`` if unknown.
        """
        previous, before = self._history, self._prompt_tokens
        self._history, self._prompt_tokens = tuple(messages), prompt_tokens
        if window is not None and prompt_tokens >= window - 1:
            return f"the prompt fills the whole window ({prompt_tokens} of {window} tokens)"
        grew = len(messages) > len(previous) and tuple(messages[: len(previous)]) == previous
        # A template may drop the thinking of earlier turns, so the prompt may rightly shrink by that much.
        dropped = sum(len(m.thinking) for m in previous) // 2
        if previous and grew and prompt_tokens + dropped < before:
            return f"the prompt fell from {before} to {prompt_tokens} tokens while the conversation grew"
        if window is not None and self._cut_to_half(messages, prompt_tokens, window, extra_chars):
            return (
                f"the prompt sits at half the window ({prompt_tokens} of {window} tokens) and is too short for its text"
            )
        return ""

    @staticmethod
    def _cut_to_half(messages: Sequence[Message], prompt_tokens: int, window: int, extra_chars: int) -> bool:
        if abs(prompt_tokens - (window // 2 + 2)) > HALF_WINDOW_SLACK:
            return False
        chars = extra_chars + sum(message_chars(m) for m in messages)
        return chars > CHARS_PER_TOKEN_AT_MOST * prompt_tokens
