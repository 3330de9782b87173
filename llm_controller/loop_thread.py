"""An event loop in a thread of its own, for asynchronous libraries under the synchronous decision loop."""

from __future__ import annotations

import asyncio
import concurrent.futures
import threading
from collections.abc import Callable, Coroutine
from typing import Any, Protocol, TypeVar

T = TypeVar("T")
GRACE_S = 120.0
"""Beyond all attempts: waits between them, and a library that does not heed its own limit [wall s]."""


class Runner(Protocol):
    """Runs a coroutine function on an event loop, from another thread, and waits for its result."""

    def __call__(self, function: Callable[[], Coroutine[Any, Any, T]], /) -> T:
        """Raise what it raises; when it was cancelled, the ``CancelledError`` of asyncio or of concurrent.futures."""


class LoopThread:
    """Starts its thread on first use. Waits for all attempts; without a ``timeout_s`` or ``retries`` for ever."""

    def __init__(self, timeout_s: float | None, retries: int | None) -> None:
        self._limit_s = None if timeout_s is None or retries is None else timeout_s * (retries + 1) + GRACE_S
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None

    def __call__(self, function: Callable[[], Coroutine[Any, Any, T]], /) -> T:
        """Run it there. Raises what it raises, and ``concurrent.futures.TimeoutError``."""
        if self._loop is None:
            self._loop = asyncio.new_event_loop()
            self._thread = threading.Thread(target=self._loop.run_forever, daemon=True, name="event loop")
            self._thread.start()

        future = asyncio.run_coroutine_threadsafe(function(), self._loop)
        try:
            return future.result(self._limit_s)
        except concurrent.futures.TimeoutError:
            future.cancel()
            raise

    def close(self, last: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Run ``last``, then end the loop and its thread."""
        if self._loop is None or self._thread is None:
            return
        try:
            self(last)
        finally:
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join(10.0)
            self._loop.close()
            self._loop = self._thread = None
