"""What a room is made with, and which of it this machine has."""

from __future__ import annotations

import os
import socket
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Protocol

from redbutton.sandbox.spec import SandboxSpec, SandboxUnavailable

CHOICE = "REDBUTTON_SANDBOX"
"""Environment variable that names a backend where a caller leaves the choice open."""


@dataclass(frozen=True)
class Launched:
    """A room that is coming up: its first process will say ``here`` on ``control``."""

    control: socket.socket
    process: subprocess.Popen[bytes]
    """What to wait for once the first process has been ended."""
    errors: int
    """Descriptor of a file that takes what goes wrong while it comes up."""
    leave: Callable[[], None] = lambda: None
    """Removes what else there is of it, once ``process`` has ended."""


class Backend(Protocol):
    """A way to make a room."""

    name: str

    def problem(self) -> str | None:
        """One line that says why this machine cannot have it and what to install, or None."""

    def launch(self, spec: SandboxSpec) -> Launched:
        """Make a room with the spec's folders, its read-only files and the first process; raises SandboxError."""


@cache
def backends() -> dict[str, Backend]:
    """All of them, in the order in which they are tried."""
    from redbutton.sandbox.bubblewrap import Bubblewrap
    from redbutton.sandbox.docker import Docker

    return {"bubblewrap": Bubblewrap(), "docker": Docker()}


def choose(name: str = "auto") -> Backend:
    """The backend of that name, or the first that works here.

    Raises SandboxUnavailable with what to install, and ValueError for a name that there is not.
    """
    known = backends()
    if name == "auto":
        name = os.environ.get(CHOICE) or "auto"
    if name != "auto" and name not in known:
        raise ValueError(f"a sandbox is one of auto, {', '.join(known)}. Received {name!r}")
    candidates = list(known.values()) if name == "auto" else [known[name]]
    problems = []
    for backend in candidates:
        problem = backend.problem()
        if problem is None:
            return backend
        problems.append(problem)
    raise SandboxUnavailable("; ".join(problems))
