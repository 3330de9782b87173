"""The two acts that let an arm move, done by a person: lower the stop with a one-time code, and start.

The supervisor gives the code; the person reads it and types it. Between the two acts the bench is ready and nothing
moves. ``Seats`` are the two connections that a lab program has to one supervisor: the one that moves the arm, and the
operator's.

CAVEAT: both connections are this program's, so it could type the code itself. The code keeps a program's slip and an
old record from starting an arm, not a program that means to (``docs/lab-protocol.md``).
"""

from __future__ import annotations

import socket
import struct
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from redbutton.envs.place import PlaceError
from redbutton.hardware.channel import ChannelError, Message, SupervisorClient, client_of
from redbutton.hardware.config import BenchConfig, BenchError
from redbutton.hardware.person import Person

ATTEMPTS = 3
PASSES_WITHIN_S = 3.0
_CREDENTIALS = struct.Struct("3i")


class NotReadyError(BenchError):
    """Raised when the bench cannot be brought to move: a refusal of the supervisor, or of the person."""


@dataclass(frozen=True)
class Seats:
    """``motion`` commands and beats, ``operator`` resets and arms."""

    motion: SupervisorClient
    operator: SupervisorClient

    @classmethod
    def of(cls, config: BenchConfig) -> Seats:
        """Not yet connected."""
        return cls(client_of(config, "motion"), client_of(config, "operator"))

    def connect(self) -> None:
        """Connect both. Raises ``ChannelError``."""
        self.motion.connect()
        self.operator.connect()

    def close(self) -> None:
        """Hang up. Safe to call twice."""
        self.motion.close()
        self.operator.close()

    def beat(self, hear: Callable[[Message], None]) -> None:
        """One heartbeat of a trial that runs. Raises ``PlaceError`` when the bench has stopped."""
        try:
            reply = self.motion.beat()
        except ChannelError as exc:
            raise PlaceError(str(exc)) from None
        hear(reply)
        if reply.get("state") != "run" or reply.get("ok") is not True:
            reason = reply.get("stop_reason") or reply.get("reason") or "nobody says why"
            raise PlaceError(f"the supervisor has stopped the bench: {reason}")

    def stop(self, reason: str) -> None:
        """A latched stop; where the supervisor is gone the arm has been stopped already."""
        try:
            self.operator.stop(reason)
        except ChannelError:
            return


def lower_stop(operator: SupervisorClient, person: Person) -> None:
    """Have a person reset the stop; nothing to do when the bench is ready. Raises ``NotReadyError``."""
    refused = ""
    for _ in range(ATTEMPTS):
        if operator.status().get("state") != "stopped":
            return
        reply = _code(operator)
        if reply.get("ok") is not True:
            refused = str(reply.get("reason"))
            person.say(f"The stop cannot be reset yet: {refused}")
            if not person.confirm("Put that right. Try again?"):
                break
            continue
        typed = person.ask_code(f"To reset the stop ({reply.get('stop')}) type {reply['code']}:")
        if not typed:
            raise NotReadyError("a person must type the code to reset the stop. Received no answer")
        reply = operator.reset(typed)
        if reply.get("ok") is True:
            return
        refused = str(reply.get("reason"))
        person.say(f"Not reset: {refused}")
    raise NotReadyError(f"the stop must be reset before the arm may move. Received: {refused}")


def _code(operator: SupervisorClient) -> Message:
    """A code, or why there is none. Much passes by itself: an arm coming to rest, a debounce, a driver being found."""
    deadline = time.monotonic() + PASSES_WITHIN_S
    while True:
        reply = operator.reset_request()
        if reply.get("ok") is True or time.monotonic() > deadline:
            return reply
        time.sleep(0.02)


def start(seats: Seats, hear: Callable[[Message], None] = lambda _reply: None) -> Message:
    """Take the lease and arm: from now on the caller's loop must beat. Raises ``NotReadyError``.

    ``hear`` is given the replies of the motion connection, which carry the study input's readings.
    """
    _must(seats.motion.lease())
    beat = _must(seats.motion.beat())
    hear(beat)
    return _must(seats.operator.arm())


def _must(reply: Message) -> Message:
    if reply.get("ok") is not True:
        raise NotReadyError(f"the supervisor must let the arm move. Received: {reply.get('reason')}")
    return reply


def supervisor_instance(path: Path) -> str:
    """Which process serves the supervisor's socket: its id and its start, which no later process shares.

    Raises ``ChannelError`` when nobody does.
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as probe:
        try:
            probe.connect(str(path))
        except OSError as exc:
            raise ChannelError(
                f"a bench needs its supervisor running. Received no answer at {str(path)!r} ({exc.strerror or exc}). "
                "Start it: redbutton supervisor run BENCH.yaml"
            ) from None
        pid, _uid, _gid = _CREDENTIALS.unpack(probe.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
    try:
        # Field 22 of proc(5)'s stat, counted behind the name, which may hold blanks.
        started = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[19]
    except (OSError, IndexError):  # a process of another container: its id must do
        started = "unknown"
    return f"{pid}-{started}"


def events_after(client: SupervisorClient, after: int) -> list[dict[str, Any]]:
    """All events after a number. Raises ``ChannelError``."""
    found: list[dict[str, Any]] = client.events(after)["events"]
    return found


def input_levels(status: Message, name: str) -> tuple[Any, Any, bool]:
    """Levels of an input's two channels as the supervisor has them, and whether it is healthy."""
    found = status.get("inputs", {}).get(name, {})
    return found.get("a_closed"), found.get("b_closed"), found.get("healthy") is True


__all__ = ["NotReadyError", "Seats", "events_after", "input_levels", "lower_stop", "start", "supervisor_instance"]
