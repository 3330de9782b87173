"""The outside end of the socket to a room's first process. One request, one answer; see ``agent.py`` for the words.

What comes back is not trusted beyond its length: numbers are read as numbers, text is decoded with replacement.
"""

from __future__ import annotations

import array
import os
import select
import socket
import struct
import time
from collections.abc import Sequence

from redbutton.sandbox.spec import SandboxError

MOST_BYTES = 1 << 20
CREDENTIALS = struct.Struct("3i")
PATIENCE_S = 20.0
"""How long the first process may take to answer: far more than it needs on a busy machine."""


class Channel:
    """Requests to the first process of a room."""

    def __init__(self, sock: socket.socket) -> None:
        self.socket = sock
        self.alive = True

    def hello(self) -> int:
        """Wait for the first process; its number on this machine, as the kernel says it."""
        self._wait()
        try:
            data, ancillary, _, _ = self.socket.recvmsg(64, socket.CMSG_SPACE(CREDENTIALS.size))
        except OSError as exc:
            raise self._broken(f"nothing can be read from it ({exc})") from None
        for level, kind, payload in ancillary:
            if data and level == socket.SOL_SOCKET and kind == socket.SCM_CREDENTIALS:
                pid, _, _ = CREDENTIALS.unpack(payload[: CREDENTIALS.size])
                self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 0)
                return int(pid)
        raise self._broken("it ended before it began")

    def send(self, verb: str, *fields: bytes | str, fds: Sequence[int] = ()) -> None:
        """Send a request. Raises SandboxError where the room is gone."""
        data = b"\0".join([verb.encode(), *(f.encode() if isinstance(f, str) else f for f in fields)])
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else []
        try:
            self.socket.sendmsg([data], rights)
        except OSError as exc:
            raise self._broken(f"it takes no request ({exc.strerror})") from None

    def ask(self, verb: str, *fields: bytes | str, fds: Sequence[int] = ()) -> tuple[list[bytes], int | None]:
        """Send a request and wait for its answer: fields, and the descriptor that came with it.

        Raises SandboxError where it could not be done or the room is gone.
        """
        self.send(verb, *fields, fds=fds)
        self._wait()
        try:
            data, ancillary, _, _ = self.socket.recvmsg(MOST_BYTES, socket.CMSG_SPACE(16), socket.MSG_CMSG_CLOEXEC)
        except OSError as exc:
            raise self._broken(f"nothing can be read from it ({exc.strerror})") from None
        given = received(ancillary)
        word, *rest = data.split(b"\0")
        if word != b"ok":
            for fd in given:
                os.close(fd)
            if word == b"error":
                raise SandboxError(f"the sandbox could not do {verb}: {b' '.join(rest).decode(errors='replace')}")
            raise self._broken(f"it ended during {verb}")
        return rest, given[0] if given else None

    def close(self) -> None:
        """The first process, and with it the whole room, ends when it sees this."""
        self.alive = False
        self.socket.close()

    def gone(self) -> bool:
        """Whether the first process has ended; asks, never waits."""
        if self.alive:
            poll = select.poll()
            poll.register(self.socket, 0)
            self.alive = not poll.poll(0)  # with no event asked for only a hang-up is told
        return not self.alive

    def _wait(self) -> None:
        poll = select.poll()
        poll.register(self.socket, select.POLLIN)
        end = time.monotonic() + PATIENCE_S
        while not poll.poll(max(0.0, end - time.monotonic()) * 1e3):
            if time.monotonic() >= end:
                raise self._broken(f"no answer within {PATIENCE_S:g} s")

    def _broken(self, why: str) -> SandboxError:
        self.alive = False
        return SandboxError(f"the sandbox has broken down: {why}")


def received(ancillary: Sequence[tuple[int, int, bytes]]) -> list[int]:
    """The file descriptors of a message."""
    fds = array.array("i")
    for level, kind, payload in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            fds.frombytes(payload[: len(payload) - len(payload) % fds.itemsize])
    return list(fds)
