"""Clients of a socket of the robot's computer: one JSON object a packet, and the process behind each connection.

A client is a program that is not trusted. What it sends may be no JSON at all, too long, too much at once, or nothing
for ever; none of it raises here, waits, or takes more than a bounded amount of work and memory.
"""

from __future__ import annotations

import contextlib
import json
import socket
import struct
from collections.abc import Callable
from typing import Any

LARGEST = 4096
"""Longest packet [bytes]; of a longer one the beginning is read, which is then no JSON."""
AT_ONCE = 16
"""Packets read from one client at a time."""
CLIENTS = 32
"""Connections of one socket; a further one is closed at once."""


class Client:
    """One connection."""

    def __init__(self, link: socket.socket, inner: Callable[[int], int | None]) -> None:
        link.setblocking(False)
        self._link = link
        self.pid: int = struct.unpack("3i", link.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))[0]
        """The process that connected, by its number on this machine."""
        self.inner_pid = inner(self.pid)
        """The same by its number inside; ``None`` where it has ended already."""
        self.closed = False

    def fileno(self) -> int:
        """For select and poll; -1 once it is closed."""
        return self._link.fileno()

    def receive(self) -> list[dict[str, Any] | None]:
        """What has come since the last call, oldest first; ``None`` stands for what is no JSON object."""
        found: list[dict[str, Any] | None] = []
        while not self.closed and len(found) < AT_ONCE:
            try:
                data = self._link.recv(LARGEST)
            except BlockingIOError:
                break
            except OSError:
                data = b""
            if not data:
                self.close()
                break
            found.append(parsed(data))
        return found

    def send(self, message: dict[str, Any]) -> bool:
        """Send one packet if there is room for it; a client that is gone is closed."""
        try:
            self._link.send(json.dumps(message).encode())
        except BlockingIOError:
            return False
        except OSError:
            self.close()
            return False
        return True

    def close(self) -> None:
        """Hang up. Safe to call twice."""
        self.closed = True
        with contextlib.suppress(OSError):
            self._link.close()


class Door:
    """One listening socket with those who have connected. ``inner`` gives a process its number inside."""

    def __init__(self, listener: socket.socket, inner: Callable[[int], int | None]) -> None:
        self._listener = listener
        self._inner = inner
        self._clients: list[Client] = []

    def clients(self) -> list[Client]:
        """Everybody who is connected now, in the order in which they came."""
        for _ in range(CLIENTS):
            try:
                link, _ = self._listener.accept()
            except OSError:  # nobody waits, or the room is gone
                break
            self._take(link)
        self._clients = [client for client in self._clients if not client.closed]
        return list(self._clients)

    def _take(self, link: socket.socket) -> None:
        client = Client(link, self._inner)
        if len(self._clients) < CLIENTS:
            self._clients.append(client)
        else:
            client.close()

    def filenos(self) -> list[int]:
        """The socket and its clients, for select."""
        return [self._listener.fileno(), *(client.fileno() for client in self._clients if not client.closed)]

    def close(self) -> None:
        """Hang up on everybody; the listening socket belongs to the room."""
        for client in self._clients:
            client.close()
        self._clients.clear()


def parsed(data: bytes) -> dict[str, Any] | None:
    """The JSON object in a packet, or ``None``."""
    try:
        message = json.loads(data)
    except (ValueError, RecursionError):
        return None
    return message if isinstance(message, dict) else None


__all__ = ["Client", "Door", "parsed"]
