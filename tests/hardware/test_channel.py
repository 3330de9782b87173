"""The socket between the supervisor and everybody else: real sockets, real peer credentials."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from redbutton.hardware.channel import (
    MAX_CONNECTIONS_OF_ONE_USER,
    MAX_PACKET_BYTES,
    ChannelError,
    ChannelServer,
    Peer,
    SupervisorClient,
)
from redbutton.hardware.config import BenchError
from redbutton.hardware.ros import wait_for

NOBODY = 65534
LIMIT_S = 30.0


class Recorder:
    """A handler that answers everything with who asked."""

    def __init__(self) -> None:
        self.here: list[Peer] = []
        self.left: list[Peer] = []
        self.requests: list[dict[str, Any]] = []

    def connected(self, peer: Peer) -> None:
        self.here.append(peer)

    def request(self, peer: Peer, message: dict[str, Any]) -> dict[str, Any]:
        self.requests.append(message)
        if message["op"] == "hello" and message.get("role") == "operator":
            return {"ok": False, "reason": "not you"}
        if message["op"] == "large":
            return {"ok": True, "text": "x" * MAX_PACKET_BYTES}
        return {"ok": True, "uid": peer.uid, "pid": peer.pid, "connection": peer.connection, "echo": message}

    def gone(self, peer: Peer) -> None:
        self.left.append(peer)


class Served:
    """A server whose loop runs in a thread until the end of the test."""

    def __init__(self, path: Path) -> None:
        self.server = ChannelServer(path)
        self.handler = Recorder()
        self.paused = threading.Event()
        self._end = threading.Event()
        self.server.open()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        while not self._end.is_set():
            self.server.wait(0.05)
            self.server.serve(self.handler)

    def close(self) -> None:
        self._end.set()
        self.server.wake()
        self._thread.join(LIMIT_S)
        self.server.close()


@pytest.fixture
def folder() -> Iterator[Path]:
    """A short path that other users can reach."""
    with tempfile.TemporaryDirectory(prefix="rb-") as name:
        os.chmod(name, 0o755)
        yield Path(name)


@pytest.fixture
def served(folder: Path) -> Iterator[Served]:
    found = Served(folder / "s.sock")
    yield found
    found.close()


@pytest.fixture
def client(served: Served) -> Iterator[SupervisorClient]:
    with SupervisorClient(served.server.path, "motion", LIMIT_S) as found:
        yield found


def raw(path: Path) -> socket.socket:
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    connection.settimeout(LIMIT_S)
    connection.connect(str(path))
    return connection


def test_every_request_gets_its_reply_and_fields_arrive_as_they_were_sent(client: SupervisorClient) -> None:
    reply = client.command(seq=3, epoch=1, t_s=0.5, names=["a"], gripper_m=None)
    assert reply["echo"] == {"op": "command", "seq": 3, "epoch": 1, "t_s": 0.5, "names": ["a"], "gripper_m": None}
    for op, args in (("lease", ()), ("release", ()), ("beat", ()), ("enable", ()), ("status", ()), ("arm", ())):
        assert getattr(client, op)(*args)["echo"] == {"op": op}
    assert client.hold(1)["echo"] == {"op": "hold", "category": 1}
    assert client.stop("smoke")["echo"] == {"op": "stop", "reason": "smoke"}
    assert client.reset("123456")["echo"] == {"op": "reset", "code": "123456"}
    assert client.reset_request()["echo"] == {"op": "reset_request"}


def test_the_kernel_says_who_asks(client: SupervisorClient) -> None:
    reply = client.status()
    assert (reply["uid"], reply["pid"]) == (os.getuid(), os.getpid())


@pytest.mark.skipif(os.getuid() != 0, reason="needs root to become another user")
def test_another_user_is_told_apart_whatever_it_says(served: Served) -> None:
    script = (
        "import json, os, socket, sys\n"
        "os.setuid(int(sys.argv[2]))\n"
        "s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)\n"
        "s.connect(sys.argv[1])\n"
        "s.send(json.dumps({'op': 'stop', 'reason': 'help', 'uid': 0}).encode())\n"
        "print(s.recv(60000).decode())\n"
    )
    command = [sys.executable, "-I", "-c", script, str(served.server.path), str(NOBODY)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=True)
    assert json.loads(done.stdout)["uid"] == NOBODY


def test_anybody_may_connect(served: Served) -> None:
    assert served.server.path.stat().st_mode & 0o777 == 0o666


@pytest.mark.parametrize(
    "packet",
    [b"x", b"[]", b"{}", b'{"op": 3}', b"\xff\xfe", b"[" * 50_000, b'{"op": "a", "n": ' + b"9" * 5_000 + b"}"],
    ids=["no JSON", "a list", "no op", "op is a number", "no text", "deep", "a long number"],
)
def test_a_packet_that_is_no_request_gets_a_reason_and_the_connection_stays(served: Served, packet: bytes) -> None:
    with raw(served.server.path) as connection:
        for _ in range(2):
            connection.send(packet)
            reply = json.loads(connection.recv(MAX_PACKET_BYTES))
            assert reply["ok"] is False
            assert "one JSON object" in reply["reason"]
    assert served.handler.requests == []


def test_a_packet_that_is_too_long_is_refused(served: Served) -> None:
    with raw(served.server.path) as connection:
        connection.send(json.dumps({"op": "stop", "reason": "x" * MAX_PACKET_BYTES}).encode())
        assert json.loads(connection.recv(MAX_PACKET_BYTES))["ok"] is False


def test_a_reply_that_is_too_long_becomes_a_reason(client: SupervisorClient) -> None:
    reply = client.request("large")
    assert reply["ok"] is False
    assert "ask for less" in reply["reason"]


def test_a_client_that_does_not_read_is_dropped_and_others_are_served(served: Served, client: SupervisorClient) -> None:
    with raw(served.server.path) as deaf:
        deaf.setblocking(False)
        filler = json.dumps({"op": "status", "text": "x" * 20_000}).encode()

        def dropped() -> bool:
            try:
                deaf.send(filler)
            except BlockingIOError:
                pass
            except OSError:
                return True
            return False

        wait_for(dropped, LIMIT_S, "the deaf client is dropped")
    assert client.beat()["ok"] is True


def test_a_client_that_ends_is_reported(served: Served) -> None:
    with raw(served.server.path) as connection:
        connection.send(b'{"op": "stop"}')
        connection.recv(MAX_PACKET_BYTES)
    wait_for(lambda: [p.connection for p in served.handler.left] == [1], LIMIT_S, "the end of the connection")


def test_a_request_counts_even_when_its_sender_hangs_up_at_once(served: Served) -> None:
    with raw(served.server.path) as connection:
        connection.send(b'{"op": "stop", "reason": "last words"}')
    wait_for(lambda: bool(served.handler.requests), LIMIT_S, "the request")
    assert served.handler.requests[0]["reason"] == "last words"


def test_one_user_has_a_bounded_number_of_connections(served: Served) -> None:
    connections = [raw(served.server.path) for _ in range(MAX_CONNECTIONS_OF_ONE_USER + 3)]
    try:
        answers = []
        for connection in connections:
            try:
                connection.send(b'{"op": "status"}')
                answers.append(bool(connection.recv(MAX_PACKET_BYTES)))
            except OSError:
                answers.append(False)
        assert answers == [True] * MAX_CONNECTIONS_OF_ONE_USER + [False] * 3
    finally:
        for connection in connections:
            connection.close()


def test_a_flood_of_one_client_does_not_hold_up_another(served: Served, client: SupervisorClient) -> None:
    ended = threading.Event()

    def pour() -> None:
        while not ended.is_set():
            with contextlib.suppress(OSError):
                flood.send(b'{"op": "status"}')

    with raw(served.server.path) as flood:
        flood.setblocking(False)
        thread = threading.Thread(target=pour)
        thread.start()
        try:
            # One packet of everybody a turn: every beat is answered while the flood goes on.
            assert all(client.beat()["ok"] is True for _ in range(20))
        finally:
            ended.set()
            thread.join()


def test_a_socket_of_a_dead_supervisor_is_replaced(folder: Path) -> None:
    path = folder / "s.sock"
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as dead:
        dead.bind(str(path))
        dead.listen()
    again = Served(path)
    try:
        with SupervisorClient(path, "watch", LIMIT_S) as client:
            assert client.status()["ok"] is True
    finally:
        again.close()


def test_a_second_supervisor_is_refused_in_one_line(served: Served) -> None:
    with pytest.raises(BenchError, match="another one is running") as refused:
        ChannelServer(served.server.path).open()
    assert "\n" not in str(refused.value)
    with SupervisorClient(served.server.path, "watch", LIMIT_S) as client:
        assert client.status()["ok"] is True


def test_a_file_at_the_path_is_left_alone(folder: Path) -> None:
    path = folder / "s.sock"
    path.write_text("mine", encoding="utf-8")
    with pytest.raises(BenchError, match="not a socket"):
        ChannelServer(path).open()
    assert path.read_text(encoding="utf-8") == "mine"


def test_a_folder_in_which_others_could_swap_the_socket_is_refused(folder: Path) -> None:
    os.chmod(folder, 0o777)
    with pytest.raises(BenchError, match="not writable by everybody"):
        ChannelServer(folder / "s.sock").open()
    os.chmod(folder, 0o1777)
    server = ChannelServer(folder / "s.sock")
    server.open()
    server.close()


def test_a_missing_folder_and_a_long_path_are_told(folder: Path) -> None:
    with pytest.raises(BenchError, match="folder must exist"):
        ChannelServer(folder / "none" / "s.sock").open()
    with pytest.raises(BenchError, match="at most 107 bytes"):
        ChannelServer(folder / ("x" * 120)).open()


def test_close_removes_only_its_own_socket(folder: Path) -> None:
    path = folder / "s.sock"
    first = ChannelServer(path)
    first.open()
    path.unlink()
    second = ChannelServer(path)
    second.open()
    first.close()
    assert path.is_socket()
    second.close()
    second.close()
    assert not path.exists()


def test_wake_ends_a_wait_and_is_harmless_when_closed(folder: Path) -> None:
    server = ChannelServer(folder / "s.sock")
    server.wake()
    server.open()
    waiter = threading.Thread(target=server.wait, args=(LIMIT_S * 4,))
    waiter.start()
    server.wake()
    waiter.join(LIMIT_S)
    assert not waiter.is_alive()
    server.close()
    server.wake()


# -- client -----------------------------------------------------------------------------------------------------


def test_a_client_without_a_supervisor_says_what_to_do(folder: Path) -> None:
    with pytest.raises(ChannelError, match="redbutton supervisor run"):
        SupervisorClient(folder / "s.sock", "watch").connect()
    with pytest.raises(ChannelError, match="needs a connection"):
        SupervisorClient(folder / "s.sock", "watch").status()


def test_a_refused_role_is_told_at_once(served: Served) -> None:
    with pytest.raises(ChannelError, match="not you"):
        SupervisorClient(served.server.path, "operator").connect()


def test_a_supervisor_that_is_silent_is_lost_and_its_late_reply_is_never_taken_for_another(folder: Path) -> None:
    path = folder / "s.sock"
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as silent:
        silent.bind(str(path))
        silent.listen()
        client = SupervisorClient(path, "watch", timeout_s=0.1)
        with pytest.raises(ChannelError, match="no reply in time"):
            client.connect()
        with pytest.raises(ChannelError, match="needs a connection"):
            client.status()


def test_a_supervisor_that_ends_is_lost(served: Served, client: SupervisorClient) -> None:
    served.close()
    with pytest.raises(ChannelError, match="the supervisor is lost"):
        client.beat()
