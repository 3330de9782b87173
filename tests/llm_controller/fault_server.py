"""A server that answers as told, defects included: for Ollama's native protocol and for OpenAI's.

It replays what real servers were seen to do wrong, so that each defect has a test. It is no model and no
Ollama: that a real one behaves like this is taken from its documentation and issue tracker, not measured here.
"""

from __future__ import annotations

import json
import threading
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

CHAT_PATHS = ("/api/chat", "/v1/chat/completions")


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What comes back to one request."""

    body: Any = None
    """An object is sent as JSON, text as it is."""
    status: int = 200
    hang: bool = False
    """Never answer; lets go when the server closes."""
    cut: bool = False
    """Announce more than is sent, then close the connection."""

    def encoded(self) -> bytes:
        """The bytes of the body."""
        return self.body.encode() if isinstance(self.body, str) else json.dumps(self.body).encode()


class FaultServer:
    """Answers chat requests from a script, in order; the last answer repeats. Keeps every chat request."""

    def __init__(self) -> None:
        self.script: deque[Answer] = deque()
        self.fixed: dict[str, Answer] = {}
        """Path → answer, for everything that is not chat."""
        self.chats: list[dict[str, Any]] = []
        self.loads: list[dict[str, Any]] = []
        """Ollama's preload requests: chats without messages."""
        self.headers: list[dict[str, str]] = []
        self.released = threading.Event()
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._http.daemon_threads = False
        self._thread = threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.01})
        self._thread.start()
        self.running = True

    @property
    def address(self) -> str:
        """``http://127.0.0.1:PORT``."""
        return f"http://127.0.0.1:{self._http.server_address[1]}"

    def answers(self, *answers: Answer) -> None:
        """Set the script."""
        self.script = deque(answers)

    def close(self) -> None:
        """Stop serving. Safe to call twice."""
        if self.running:
            self.running = False
            self.released.set()
            self._http.shutdown()
            self._http.server_close()
            self._thread.join(timeout=10)

    def answer(self, path: str, body: dict[str, Any], headers: dict[str, str]) -> Answer:
        """Choose the answer to one request."""
        if path not in CHAT_PATHS:
            return self.fixed.get(path, Answer(status=404, body={"error": f"no route {path}"}))
        if not body.get("messages"):
            self.loads.append(body)
            return self.fixed.get("load", Answer(body={"done": True, "done_reason": "load"}))
        self.chats.append(body)
        self.headers.append(headers)
        return self.script.popleft() if len(self.script) > 1 else self.script[0]


def _handler(owner: FaultServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_: Any) -> None:
            """Say nothing."""

        def do_GET(self) -> None:
            self._reply(owner.answer(self.path, {}, {}))

        def do_POST(self) -> None:
            length = int(self.headers.get("Content-Length", 0))
            self._reply(owner.answer(self.path, json.loads(self.rfile.read(length)), dict(self.headers)))

        def _reply(self, answer: Answer) -> None:
            if answer.hang:
                owner.released.wait(30)
                return
            data = answer.encoded()
            self.send_response(answer.status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data) + (100 if answer.cut else 0)))
            self.end_headers()
            self.wfile.write(data)

    return Handler


# Ollama


def speak_ollama(
    server: FaultServer,
    *,
    model: str = "tiny:1b",
    capabilities: Sequence[str] = ("completion", "tools"),
    context_length: int = 8_192,
    installed: Sequence[str] = ("tiny:1b", "smollm:135m"),
) -> None:
    """Give the server one model that ``/api/show`` knows, and a list of installed ones."""
    shown = {"capabilities": list(capabilities), "model_info": {"llama.context_length": context_length}, "details": {}}
    server.fixed["/api/show"] = (
        Answer(body=shown) if model in installed else Answer(status=404, body={"error": f"model '{model}' not found"})
    )
    server.fixed["/api/tags"] = Answer(body={"models": [{"model": n, "digest": f"sha-{n}"} for n in installed]})


def ollama_answer(text: str = "", *calls: tuple[str, Any], **changes: Any) -> Answer:
    """A 200 of ``/api/chat``. ``changes`` overwrite top-level fields; ``None`` removes one."""
    body = {
        "model": "tiny:1b",
        "message": {
            "role": "assistant",
            "content": text,
            "tool_calls": [{"function": {"name": n, "arguments": a}} for n, a in calls],
        },
        "done": True,
        "done_reason": "stop",
        "prompt_eval_count": 100,
        "eval_count": 10,
        "load_duration": 0,
    } | changes
    return Answer(body={k: v for k, v in body.items() if v is not None})


# OpenAI


def speak_openai(server: FaultServer, *models: dict[str, Any]) -> None:
    """Let ``/models`` list these, or one called ``tiny``."""
    server.fixed["/v1/models"] = Answer(body={"object": "list", "data": list(models) or [{"id": "tiny"}]})


def openai_answer(text: str = "", *calls: tuple[str, str], finish: str = "stop", **changes: Any) -> Answer:
    """A 200 of ``/chat/completions``; arguments are text, as the protocol has them."""
    listed = [
        {"id": f"id{i}", "type": "function", "function": {"name": n, "arguments": a}} for i, (n, a) in enumerate(calls)
    ]
    choice = {"index": 0, "finish_reason": finish, "message": {"role": "assistant", "content": text}}
    if listed:
        choice["message"]["tool_calls"] = listed  # type: ignore[index]
    body = {"choices": [choice], "usage": {"prompt_tokens": 100, "completion_tokens": 5}} | changes
    return Answer(body={k: v for k, v in body.items() if v is not None})
