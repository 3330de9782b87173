"""What stands on this machine outside a room and must not be reached from inside: all planted, looked at afterwards."""

from __future__ import annotations

import ctypes
import hashlib
import os
import secrets
import socket
import struct
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

DDS_PORT = 7650
"""Discovery of domain 1, which no test of ROS beside this one has (``hardware/ros_ids.py``)."""


def digest(path: str) -> str:
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()


@dataclass
class Outside:
    """What stands on this machine, outside the room."""

    group = "239.255.0.1"

    folder: Path
    token: str = field(default_factory=lambda: f"planted-{secrets.token_hex(16)}")
    """What must not be read inside."""
    tag: str = field(default_factory=lambda: f"tag-{secrets.token_hex(8)}")
    """Names of things here; no secret."""

    def __post_init__(self) -> None:
        self.secret, self.writable = self.folder / "secret.txt", self.folder / "writable.txt"
        for path in (self.secret, self.writable):
            path.write_text(self.token)
            path.chmod(0o666)
        self.shared = Path(f"/dev/shm/{self.tag}")
        self.shared.write_text(self.token)
        self.victim = subprocess.Popen(["sleep", "600"], stdin=subprocess.DEVNULL)
        self.key = int(self.tag[-6:], 16)
        self.segment = ctypes.CDLL(None).shmget(self.key, 4096, 0o1666)
        self.tcp = socket.create_server(("127.0.0.1", 0))
        self.udp = _datagrams("127.0.0.1", 0)
        self.dds = _datagrams("", DDS_PORT)
        member = struct.pack("4s4s", socket.inet_aton(self.group), socket.inet_aton("127.0.0.1"))
        self.dds.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, member)
        self.abstract = socket.socket(socket.AF_UNIX)
        self.abstract.bind(f"\0{self.tag}")
        self.bus = socket.socket(socket.AF_UNIX)
        self.bus.bind(str(self.folder / "bus.sock"))
        os.chmod(self.folder / "bus.sock", 0o777)
        for listener in (self.abstract, self.bus):
            listener.listen()
        for sock in self._sockets:
            sock.setblocking(False)
        self.before = self._state()

    @property
    def _sockets(self) -> list[socket.socket]:
        return [self.tcp, self.udp, self.dds, self.abstract, self.bus]

    def _state(self) -> dict[str, object]:
        """Everything here that an escape could have changed."""
        return {
            "files": [path.read_text() for path in (self.secret, self.writable, self.shared)],
            "folder": sorted(os.listdir(self.folder)),
            "programs": [digest("/usr/bin/env"), Path("/etc/ld.so.preload").exists()],
            "hostname": socket.gethostname(),
            "core_pattern": Path("/proc/sys/kernel/core_pattern").read_text(),
            "interfaces": socket.if_nameindex(),
            "victim": self.victim.poll(),
        }

    def harm(self) -> list[str]:
        """What has been changed or reached since the beginning: empty when all is well."""
        now = self._state()
        return [name for name in now if now[name] != self.before[name]] + [
            f"socket {sock.getsockname()!r}" for sock in self._sockets if _reached(sock)
        ]

    def close(self) -> None:
        self.victim.kill()
        self.victim.wait()
        ctypes.CDLL(None).shmctl(self.segment, 0, None)
        self.shared.unlink()
        for sock in self._sockets:
            sock.close()


def _datagrams(address: str, port: int) -> socket.socket:
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.bind((address, port))
    return sock


def _reached(sock: socket.socket) -> bool:
    """Whether somebody connected or sent something."""
    try:
        if sock.type == socket.SOCK_DGRAM:
            sock.recv(100)
        else:
            sock.accept()[0].close()
    except BlockingIOError:
        return False
    return True
