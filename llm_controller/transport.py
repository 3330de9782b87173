"""HTTP for the brains: one JSON request, the exact bodies of both ways, failures as ``ControllerError``.

Used by the Ollama and the OpenAI brain. httpx is imported on first use, so that naming a controller
costs nothing. Images are replaced by a reference before a request is recorded; keys travel in headers
only, which are never recorded, and a key that a server echoes is struck out.
"""

from __future__ import annotations

import base64
import binascii
import difflib
import hashlib
import json
import math
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from redbutton.llm_controller.brain import Exchange, with_exchanges
from redbutton.robots.interface import ControllerError, ControllerTimeoutError

if TYPE_CHECKING:
    import httpx

DATA_URL = "data:image/png;base64,"


class ServerUnreachableError(ControllerError):
    """Raised when nothing accepts a connection at the server's address."""


class ConnectionLostError(ControllerError):
    """Raised when the server went away in the middle of an answer."""


def image_reference(png: bytes) -> str:
    """What stands in the record for an image: its digest and its size."""
    return f"sha256:{hashlib.sha256(png).hexdigest()} {len(png)} bytes"


def without_images(body: Any) -> Any:
    """A copy of a request body in which every image is a reference."""
    if isinstance(body, Mapping):
        return {k: [_reference(i) for i in v] if k == "images" else without_images(v) for k, v in body.items()}
    if isinstance(body, (list, tuple)):
        return [without_images(item) for item in body]
    if isinstance(body, str) and body.startswith(DATA_URL):
        return _reference(body[len(DATA_URL) :])
    return body


def _reference(encoded: str) -> str:
    try:
        return image_reference(base64.b64decode(encoded, validate=True))
    except binascii.Error:
        return image_reference(encoded.encode())


class Transport:
    """One server. Opens its client on the first request; ``close`` may be called twice."""

    def __init__(self, base_url: str, *, timeout_s: float, api_key: str = "") -> None:
        self.base_url = base_url.rstrip("/")
        self._timeout_s = timeout_s
        self._api_key = api_key
        self._client: httpx.Client | None = None

    def get(self, path: str) -> Exchange:
        """GET a JSON document. Same errors as ``post``."""
        return self._send("GET", path, None, {}, 0)

    def post(self, path: str, body: Mapping[str, Any], *, retry: int = 0) -> Exchange:
        """POST ``body``; an HTTP error status is an ``Exchange`` too, with ``error`` set.

        Raises:
            ControllerTimeoutError: no answer within ``timeout_s``.
            ServerUnreachableError: nothing listens there.
            ConnectionLostError: the connection broke before the answer was complete.
        """
        return self._send("POST", path, body, without_images(body), retry)

    def close(self) -> None:
        """Close the connections."""
        if self._client is not None:
            self._client.close()
            self._client = None

    def _send(
        self, method: str, path: str, body: Mapping[str, Any] | None, recorded: Mapping[str, Any], retry: int
    ) -> Exchange:
        import httpx

        begin = time.perf_counter()
        try:
            response = self._connected().request(method, self.base_url + path, json=body)
        except httpx.HTTPError as problem:
            error = self._failure(problem)
            lost = Exchange(
                request=recorded,
                response=None,
                latency_s=time.perf_counter() - begin,
                retry=retry,
                error=str(error),
            )
            raise with_exchanges(error, (lost,)) from problem
        text = response.text
        status = response.status_code
        return Exchange(
            request=recorded,
            response=self._parsed(text),
            status=status,
            latency_s=time.perf_counter() - begin,
            retry=retry,
            error=None if status < 400 else f"HTTP {status}: {self._clean(error_text(text))}",
        )

    def _connected(self) -> httpx.Client:
        import httpx

        if self._client is None:
            headers = {"Authorization": f"Bearer {self._api_key}"} if self._api_key else {}
            timeout = httpx.Timeout(self._timeout_s, connect=min(10.0, self._timeout_s))
            self._client = httpx.Client(timeout=timeout, headers=headers)
        return self._client

    def _failure(self, problem: httpx.HTTPError) -> ControllerError:
        import httpx

        if isinstance(problem, (httpx.ConnectError, httpx.ConnectTimeout, httpx.UnsupportedProtocol)):
            return ServerUnreachableError(f"No server answers at {self.base_url} ({problem}).")
        if isinstance(problem, httpx.TimeoutException):
            return ControllerTimeoutError(f"No answer from {self.base_url} within {self._timeout_s:g} s.")
        return ConnectionLostError(f"The connection to {self.base_url} broke before the answer was complete: {problem}")

    def _parsed(self, text: str) -> Mapping[str, Any] | str:
        clean = self._clean(text)
        try:
            # NaN and 1e999 stay text: no record may hold them, and validation refuses them by their own name.
            parsed = json.loads(clean, parse_constant=str, parse_float=_finite)
        except ValueError:
            return clean
        return parsed if isinstance(parsed, dict) else clean

    def _clean(self, text: str) -> str:
        return text.replace(self._api_key, "***") if self._api_key else text


def _finite(text: str) -> float | str:
    number = float(text)
    return number if math.isfinite(number) else text


def error_text(body: str) -> str:
    """The one line of an error body that says what went wrong: ``error``, ``error.message``, or its beginning."""
    try:
        parsed = json.loads(body)
    except ValueError:
        return " ".join(body.split())[:300]
    error = parsed.get("error", parsed.get("message", body)) if isinstance(parsed, dict) else body
    if isinstance(error, dict):
        error = error.get("message", error)
    return " ".join(str(error).split())[:300]


def plain_address(value: str) -> str:
    """An http(s) address without credentials or query. Raises ``ValueError`` with one line."""
    parts = urlsplit(value)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError(f"a server's address begins with http:// or https://. Received {value!r}")
    if parts.username or parts.password or parts.query:
        raise ValueError("a server's address carries no name, password or query: put a key into OPENAI_API_KEY")
    return value.rstrip("/")


def nearest_names(name: str, known: list[str]) -> str:
    """The known names closest to ``name``, for an error message."""
    near = difflib.get_close_matches(name, known, n=3, cutoff=0.4)
    return ", ".join(near or sorted(known)[:5])
