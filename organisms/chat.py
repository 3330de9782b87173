"""A conversation as the text that an organism reads: the chat template, rendered outside the engine.

The template is one file, ``chat.jinja``; it travels inside the model file, where llama.cpp renders it. Tools stand in
it as one short line each, ``pick(target: cup|lid)``, because their JSON schemas would fill half the window of a model
of this size. A call is written as ``json.dumps`` does: ``<tool_call>{"name": ..., "arguments": {...}}</tool_call>``.

CAVEAT: two renderers read the same file. ``redbutton.organisms.agreement`` compares them, text and tokens.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from functools import cache
from importlib import resources
from typing import Any

import jinja2

from redbutton.llm_controller.brain import Message, as_object, tool_definitions
from redbutton.robots.interface import ToolSpec

END_OF_TEXT, TURN, END_OF_TURN = "<|endoftext|>", "<|im_start|>", "<|im_end|>"
CALL, END_OF_CALL = "<tool_call>", "</tool_call>"
CALL_HEAD = '{"name": "'
ASSISTANT = f"{TURN}assistant\n"
_REPLY = re.compile(re.escape(ASSISTANT) + "(.*?" + re.escape(END_OF_TURN) + ")", re.S)


def template() -> str:
    """The chat template as it goes into the model file."""
    return (resources.files("redbutton.organisms") / "chat.jinja").read_text("utf-8").strip()


@cache
def _compiled() -> jinja2.Template:
    environment = jinja2.Environment(autoescape=False)
    environment.filters["tojson"] = lambda value: json.dumps(value, ensure_ascii=False)
    return environment.from_string(template())


def render(messages: Sequence[Message], tools: Sequence[ToolSpec], *, prompt: bool = False) -> str:
    """The whole conversation as text; ``prompt``: with the opening of the next reply behind it."""
    return _compiled().render(
        messages=[_body(m) for m in messages], tools=tool_definitions(tools), add_generation_prompt=prompt
    )


def _body(message: Message) -> Mapping[str, Any]:
    calls = [{"function": {"name": c.name, "arguments": dict(as_object(c.arguments))}} for c in message.tool_calls]
    return {"role": message.role, "content": message.content, "tool_calls": calls}


def call_text(name: str, arguments: Mapping[str, Any]) -> str:
    """A reply that is one call and nothing else, its end mark included."""
    body = f'{CALL_HEAD}{name}", "arguments": {json.dumps(dict(arguments), ensure_ascii=False)}}}'
    return f"{CALL}{body}{END_OF_CALL}{END_OF_TURN}"


def replies(text: str) -> list[tuple[int, int]]:
    """Where each reply begins and ends in a rendered conversation, its end mark included; characters."""
    return [found.span(1) for found in _REPLY.finditer(text)]
