"""The memory of a trial: it keeps every turn, and where that does not fit it says what it left out.

A server that is sent too much drops turns by itself, usually the goal first. So the budget is kept here:
old camera frames go first, then the text of old tool results, each replaced by a short note and reported,
so that the record shows what the model no longer saw. The system prompt, the first user turn and the last
``KEEP_TURNS`` turns are never touched; if that is still too much, the trial is void as ``truncated``.

A turn is one reply of the model with everything that answered it.

CAVEAT: tokens are estimated: the server's count of the previous prompt plus what was added since.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace

from redbutton.llm_controller.brain import Message
from redbutton.llm_controller.truncation import message_chars
from redbutton.robots.interface import TruncatedError

KEEP_TURNS = 6
CHARS_PER_TOKEN = 3.0
"""Cautious: JSON comes to about 3 characters a token, plain English to 4.5."""
IMAGE_TOKENS = 1_024
"""Cautious: what one camera frame costs; models differ from 256 to about 1,500."""
TURN_TOKENS = 8
"""Marks around a turn."""
FRAME_NOTE = "(An earlier camera frame was left out to save room.)"
RESULT_NOTE = "(An earlier result was left out to save room.)"


class Conversation:
    """System prompt, goal and all turns since. Only ``fit`` ever replaces anything."""

    def __init__(
        self,
        *,
        system: str,
        user: str,
        budget_tokens: int | None,
        images_png: tuple[bytes, ...] = (),
        fixed_chars: int = 0,
    ) -> None:
        """``budget_tokens``: what a prompt may take, ``None`` for no limit; ``fixed_chars``: tool schemas."""
        self._messages = [Message(role="system", content=system)] if system else []
        self._messages.append(Message(role="user", content=user, images_png=images_png))
        self._head = len(self._messages)
        self._budget_tokens = budget_tokens
        self._fixed_tokens = math.ceil(fixed_chars / CHARS_PER_TOKEN)
        self._estimate = self._fixed_tokens + sum(map(message_tokens, self._messages))

    @property
    def messages(self) -> tuple[Message, ...]:
        """Everything, oldest first."""
        return tuple(self._messages)

    @property
    def estimated_tokens(self) -> int:
        """What the next prompt is expected to take."""
        return self._estimate

    def add(self, message: Message) -> None:
        """Append one message."""
        self._messages.append(message)
        self._estimate += message_tokens(message)

    def counted(self, prompt_tokens: int) -> None:
        """Take over the server's count of the prompt just sent; call it before adding the reply."""
        self._estimate = prompt_tokens

    def fit(self) -> Iterator[str]:
        """Make it fit, giving one note for each replacement as it is made. Raises ``TruncatedError`` at the end."""
        for drop in (self._drop_frame, self._drop_result):
            for index in self._old():
                if self._fits():
                    return
                yield from drop(index)
        if not self._fits():
            raise TruncatedError(
                f"The conversation needs about {self._estimate} tokens and {self._budget_tokens} are left for it, "
                "though old frames and results were left out. Give the model more context (num_ctx, context_tokens)."
            )

    def _fits(self) -> bool:
        return self._budget_tokens is None or self._estimate <= self._budget_tokens

    def _old(self) -> range:
        """Positions that may be touched: behind the goal, before the last ``KEEP_TURNS`` turns."""
        replies = [i for i, m in enumerate(self._messages) if m.role == "assistant"]
        return range(self._head, replies[-KEEP_TURNS] if len(replies) > KEEP_TURNS else self._head)

    def _drop_frame(self, index: int) -> list[str]:
        message = self._messages[index]
        if not message.images_png:
            return []
        self._replace(index, replace(message, content=FRAME_NOTE, images_png=()))
        return [f"left out the camera frame of message {index} to save room"]

    def _drop_result(self, index: int) -> list[str]:
        message = self._messages[index]
        if message.role != "tool" or message_tokens(message) <= message_tokens(replace(message, content=RESULT_NOTE)):
            return []
        self._replace(index, replace(message, content=RESULT_NOTE))
        return [f"left out the result of {message.tool_name} in message {index} to save room"]

    def _replace(self, index: int, message: Message) -> None:
        self._estimate += message_tokens(message) - message_tokens(self._messages[index])
        self._messages[index] = message


def message_tokens(message: Message) -> int:
    """A cautious estimate of what one message costs."""
    chars = message_chars(message) + len(message.thinking)
    return math.ceil(chars / CHARS_PER_TOKEN) + TURN_TOKENS + IMAGE_TOKENS * len(message.images_png)


def last_words(messages: Sequence[Message]) -> str:
    """The last text that the model wrote, for a closing report."""
    return next((m.content for m in reversed(messages) if m.role == "assistant" and m.content), "")
