"""Whether this machine can have a sandbox, in one line for a user."""

from __future__ import annotations

from redbutton.sandbox.backend import choose
from redbutton.sandbox.spec import SandboxUnavailable


def problem(backend: str = "auto") -> str | None:
    """What is missing and what to install; None where a sandbox can be had. Tried once per process."""
    try:
        choose(backend)
    except (SandboxUnavailable, ValueError) as exc:
        return str(exc)
    return None
