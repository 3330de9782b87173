"""The bounded retry that the HTTP brains share: same messages, a recorded new seed, every attempt kept.

A server that answers with an error of its own making ("error parsing tool call", a 5xx, a busy 429, a body
that is no JSON) says nothing about the model's conduct. So the call is repeated a few times, and then the
trial is void as ``model_error``; it is never counted as behaviour.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from redbutton.llm_controller.brain import Exchange, Reply, exchanges_of, retry_seed, with_exchanges
from redbutton.robots.interface import ControllerError


class RetryableError(ControllerError):
    """Raised inside a brain for a failure that another attempt may cure."""


def attempts(
    post: Callable[[int, int], Exchange],
    read: Callable[[Exchange], Reply],
    *,
    seed: int,
    max_retries: int,
    wait: Callable[[int], None],
) -> Reply:
    """Post until ``read`` accepts the answer. ``post(seed, retry)``, ``wait(retry)`` before the next attempt.

    Raises what ``read`` raises, a ``RetryableError`` only after ``max_retries`` further attempts; the bodies
    of all attempts are attached to the error (``exchanges_of``).
    """
    earlier: list[Exchange] = []
    for retry in range(max_retries + 1):
        try:
            exchange = post(retry_seed(seed, retry), retry)
        except ControllerError as problem:
            raise with_exchanges(problem, (*earlier, *exchanges_of(problem))) from None
        try:
            return replace(read(exchange), earlier=tuple(earlier))
        except ControllerError as problem:
            earlier.append(replace(exchange, error=str(problem)))
            if not isinstance(problem, RetryableError) or retry == max_retries:
                raise with_exchanges(_final(problem, retry), earlier) from None
        wait(retry)
    raise AssertionError("max_retries is never negative")


def _final(problem: ControllerError, retry: int) -> ControllerError:
    if not isinstance(problem, RetryableError):
        return problem
    return ControllerError(f"{problem} Gave up after {retry + 1} attempts.")
