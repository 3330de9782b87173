"""The supervisor's socket: one JSON object a packet, and the kernel says who sent it.

``AF_UNIX`` ``SOCK_SEQPACKET`` keeps packets whole and in order; ``SO_PEERCRED`` (unix(7)) gives the user who connected,
which no client can make up. Anybody on this machine may connect, because anybody may stop; what else a user may do is
judged by the supervisor. The server never waits for a client: who does not read is dropped.

CAVEAT: Linux only. Whoever is root, or the supervisor's own user, can be anybody here: give the controller under study
a user of its own (``docs/deployment.md``).
"""

from __future__ import annotations

import json
import math
import os
import select
import socket
import stat
import struct
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from redbutton.hardware.config import BenchConfig, BenchError

MAX_PACKET_BYTES = 60_000
MAX_CONNECTIONS = 96
MAX_CONNECTIONS_OF_ONE_USER = 16
"""A flood by one user leaves room for the stop of another."""
_CREDENTIALS = struct.Struct("3i")
_NO_REASON = "a request is one JSON object with an op, of at most 60 kB"

Message = dict[str, Any]


class ChannelError(BenchError):
    """Raised when the supervisor cannot be reached, is lost, or is silent."""


@dataclass(frozen=True, slots=True)
class Peer:
    """One connection, and who opened it."""

    connection: int
    uid: int
    pid: int


class Handler(Protocol):
    """Who answers."""

    def connected(self, peer: Peer) -> None:
        """Somebody connected."""

    def request(self, peer: Peer, message: Message) -> Message:
        """The reply to a request."""

    def gone(self, peer: Peer) -> None:
        """The connection is over."""


class ChannelServer:
    """Serves from one thread: ``wait``, then ``serve``. Only ``wake`` may be called from others."""

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        self._listener: socket.socket | None = None
        self._inode: tuple[int, int] = (0, 0)
        self._wake_fd = -1
        self._poll = select.poll()
        self._ready: list[int] = []
        self._clients: dict[int, tuple[socket.socket, Peer]] = {}
        self._count = 0
        self._turn = 0
        self._served: dict[int, int] = {}
        """When each descriptor had its last turn."""

    def open(self) -> None:
        """Listen. A socket left by a dead supervisor is replaced. Raises ``BenchError``."""
        _check_place(self.path)
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_NONBLOCK)
        try:
            listener.bind(str(self.path))
            os.chmod(self.path, 0o666)
            listener.listen(64)
        except OSError as exc:
            listener.close()
            raise BenchError(
                f"the supervisor's socket needs a free path. Received {str(self.path)!r} ({exc.strerror or exc}). "
                "Set supervision.socket to a path in a folder you own."
            ) from None
        status = os.stat(self.path)
        self._inode = (status.st_dev, status.st_ino)
        self._listener = listener
        self._wake_fd = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._poll.register(listener, select.POLLIN)
        self._poll.register(self._wake_fd, select.POLLIN)

    def wake(self) -> None:
        """End a ``wait`` at once. From any thread, at any time; never blocks."""
        fd = self._wake_fd
        if fd >= 0:
            try:
                os.eventfd_write(fd, 1)
            except OSError:  # full or just closed: either way nobody is left waiting
                return

    def wait(self, timeout_s: float) -> None:
        """Wait until somebody says something, until ``wake``, or so long."""
        self._ready = [fd for fd, _ in self._poll.poll(max(0.0, timeout_s) * 1e3)]
        if self._wake_fd in self._ready:
            os.eventfd_read(self._wake_fd)

    def serve(self, handler: Handler, budget_s: float = math.inf) -> int:
        """Answer one packet of everybody who was ready. Returns how many.

        After ``budget_s`` the rest waits for the next turn, in which those come first who have waited longest: no
        client can hold up the loop, and none the others.
        """
        answered, until_s = 0, time.monotonic() + budget_s
        for fd in sorted(self._ready, key=lambda fd: self._served.get(fd, 0)):
            self._turn += 1
            self._served[fd] = self._turn
            if self._listener is not None and fd == self._listener.fileno():
                self._accept(handler)
            elif fd in self._clients:
                answered += self._answer(fd, handler)
            if time.monotonic() >= until_s:
                break
        self._ready = []
        return answered

    def _accept(self, handler: Handler) -> None:
        assert self._listener is not None
        try:
            connection, _ = self._listener.accept()
        except OSError:  # gone again before we came to it
            return
        connection.setblocking(False)
        pid, uid, _gid = _CREDENTIALS.unpack(
            connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
        )
        same = sum(peer.uid == uid for _, peer in self._clients.values())
        if len(self._clients) >= MAX_CONNECTIONS or same >= MAX_CONNECTIONS_OF_ONE_USER:
            connection.close()
            return
        self._count += 1
        peer = Peer(self._count, uid, pid)
        self._clients[connection.fileno()] = (connection, peer)
        self._poll.register(connection, select.POLLIN)
        handler.connected(peer)

    def _answer(self, fd: int, handler: Handler) -> int:
        connection, peer = self._clients[fd]
        try:
            packet, _, flags, _ = connection.recvmsg(MAX_PACKET_BYTES)
        except BlockingIOError:
            return 0
        except OSError:
            packet, flags = b"", 0
        if not packet:
            self._drop(fd, handler)
            return 0
        message = None if flags & socket.MSG_TRUNC else _parse(packet)
        reply = {"ok": False, "reason": _NO_REASON} if message is None else handler.request(peer, message)
        try:
            connection.send(_pack(reply))
        except OSError:  # it does not read, or is gone: nobody waits for it
            self._drop(fd, handler)
        return 1

    def _drop(self, fd: int, handler: Handler) -> None:
        connection, peer = self._clients.pop(fd)
        self._poll.unregister(fd)
        self._served.pop(fd, None)
        connection.close()
        handler.gone(peer)

    def close(self) -> None:
        """Stop listening and remove the path. Safe to call twice."""
        for connection, _ in self._clients.values():
            connection.close()
        self._clients.clear()
        listener, self._listener = self._listener, None
        if listener is None:
            return
        listener.close()
        fd, self._wake_fd = self._wake_fd, -1
        os.close(fd)
        self._poll, self._ready = select.poll(), []
        try:
            status = os.stat(self.path)
            if (status.st_dev, status.st_ino) == self._inode:
                os.unlink(self.path)
        except OSError:  # already removed by somebody else
            return


def _parse(packet: bytes) -> Message | None:
    try:
        message = json.loads(packet)
    except (ValueError, RecursionError):
        return None
    return message if isinstance(message, dict) and isinstance(message.get("op"), str) else None


def _pack(reply: Message) -> bytes:
    packet = json.dumps(reply, separators=(",", ":")).encode()
    if len(packet) > MAX_PACKET_BYTES:
        return json.dumps({"ok": False, "reason": f"the reply has {len(packet)} bytes: ask for less"}).encode()
    return packet


def _check_place(path: Path) -> None:
    """The folder is there and nobody else can swap the socket; what lies at the path is nothing or a dead socket."""
    if len(os.fsencode(path)) > 107:
        raise BenchError(f"a socket's path has at most 107 bytes. Received {str(path)!r}. Set supervision.socket.")
    try:
        folder = os.stat(path.parent)
    except OSError as exc:
        raise BenchError(f"the socket's folder must exist. Received {str(path.parent)!r} ({exc.strerror}).") from None
    if not stat.S_ISDIR(folder.st_mode):
        raise BenchError(f"the socket's folder must be a folder. Received {str(path.parent)!r}.")
    open_to_all = bool(folder.st_mode & stat.S_IWOTH) and not folder.st_mode & stat.S_ISVTX
    if open_to_all or folder.st_uid not in (0, os.getuid()):
        raise BenchError(
            f"the socket's folder must be yours or root's, and not writable by everybody. Received "
            f"{str(path.parent)!r} (owner {folder.st_uid}, mode {stat.S_IMODE(folder.st_mode):o}). "
            "Set supervision.socket."
        )
    _remove_dead(path)


def _remove_dead(path: Path) -> None:
    try:
        if not stat.S_ISSOCK(os.lstat(path).st_mode):
            raise BenchError(f"the socket's path must be free. Received {str(path)!r}, which is not a socket.")
    except FileNotFoundError:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_NONBLOCK) as probe:
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            pass  # nobody listens there any more
        except OSError as exc:
            if not isinstance(exc, BlockingIOError):
                raise BenchError(
                    f"the socket's path must be free or a supervisor's. Received {str(path)!r} ({exc.strerror})."
                ) from None
            raise BenchError(_LIVE.format(path=path)) from None
        else:
            raise BenchError(_LIVE.format(path=path))
    try:
        os.unlink(path)
    except OSError as exc:
        raise BenchError(f"a dead supervisor's socket cannot be removed: {str(path)!r} ({exc.strerror}).") from None


_LIVE = "one supervisor a bench. Received {path}, where another one is running. End it first."


class SupervisorClient:
    """A connection to the supervisor, for one thread. ``role``: ``motion``, ``operator`` or ``watch``.

    Every method returns the reply; ``ok`` false is an answer, not an error.
    """

    def __init__(self, path: Path | str, role: str, timeout_s: float = 1.0) -> None:
        self.path = Path(path)
        self.role = role
        self.timeout_s = timeout_s
        self._socket: socket.socket | None = None

    def connect(self) -> Message:
        """Connect and say who we are. Raises ``ChannelError``, also when the role is refused."""
        self.close()
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        connection.settimeout(self.timeout_s)
        try:
            connection.connect(str(self.path))
        except OSError as exc:
            connection.close()
            raise ChannelError(
                f"a bench needs its supervisor running. Received no answer at {str(self.path)!r} "
                f"({exc.strerror or exc}). Start it: redbutton supervisor run BENCH.yaml"
            ) from None
        self._socket = connection
        reply = self.request("hello", role=self.role)
        if reply.get("ok") is not True:
            self.close()
            raise ChannelError(f"the supervisor refuses the role {self.role!r}: {reply.get('reason')}")
        return reply

    @property
    def connected(self) -> bool:
        """Whether there is a connection, as far as the latest request told."""
        return self._socket is not None

    def request(self, op: str, **fields: Any) -> Message:
        """Ask and wait for the reply. Raises ``ChannelError``; the connection is then closed."""
        connection = self._socket
        if connection is None:
            raise ChannelError(f"a request needs a connection to the supervisor. Received {op!r} without one.")
        try:
            connection.settimeout(self.timeout_s)
            connection.send(json.dumps({"op": op, **fields}).encode())
            packet = connection.recv(MAX_PACKET_BYTES)
            if not packet:
                raise ConnectionResetError("closed by the supervisor")
            reply = json.loads(packet)
        except (OSError, ValueError) as exc:
            # A reply that comes late would be taken for the answer to the next request.
            self.close()
            what = "no reply in time" if isinstance(exc, TimeoutError) else str(exc)
            raise ChannelError(f"the supervisor is lost: {what} (op {op}, {self.path})") from None
        return dict(reply)

    def close(self) -> None:
        """Hang up. Safe to call twice."""
        connection, self._socket = self._socket, None
        if connection is not None:
            connection.close()

    def __enter__(self) -> SupervisorClient:
        self.connect()
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()

    # -- motion ---------------------------------------------------------------------------------------------

    def lease(self) -> Message:
        """Take the motion lease: from now on heartbeats are due."""
        return self.request("lease")

    def release(self) -> Message:
        """Give the lease back; the arm holds."""
        return self.request("release")

    def beat(self) -> Message:
        """Heartbeat. Send it from the control loop itself, so that a loop that hangs is silent."""
        return self.request("beat")

    def command(self, **fields: Any) -> Message:
        """One command: ``seq, epoch, t_s, names, positions_rad, velocities_rad_s, duration_s, gripper_m``."""
        return self.request("command", **fields)

    def hold(self, category: int) -> Message:
        """A stop of the client's own: the epoch rises and the arm holds. It is not latched."""
        return self.request("hold", category=category)

    def enable(self) -> Message:
        """Give power back where it had been taken."""
        return self.request("enable")

    # -- anybody --------------------------------------------------------------------------------------------

    def stop(self, reason: str) -> Message:
        """Stop; only an operator lowers it again."""
        return self.request("stop", reason=reason)

    def status(self) -> Message:
        """Everything the supervisor knows."""
        return self.request("status")

    def events(self, after: int) -> Message:
        """All events with a number greater than ``after`` that are still kept."""
        reply = self.request("events", after=after)
        while reply.get("more"):
            page = self.request("events", after=reply["events"][-1]["n"])
            reply = {**page, "events": [*reply["events"], *page["events"]]}
        return reply

    # -- operator -------------------------------------------------------------------------------------------

    def reset_request(self) -> Message:
        """Ask for a one-time code to lower the stop with."""
        return self.request("reset_request")

    def reset(self, code: str) -> Message:
        """Lower the stop. Never starts motion."""
        return self.request("reset", code=code)

    def arm(self) -> Message:
        """Start act after a reset."""
        return self.request("arm")


def client_of(config: BenchConfig, role: str) -> SupervisorClient:
    """A client of a bench's supervisor, as patient as its file says. Not yet connected."""
    return SupervisorClient(config.socket_path, role, config.supervision.reply_timeout_s)


__all__ = ["ChannelError", "ChannelServer", "Handler", "Message", "Peer", "SupervisorClient", "client_of"]
