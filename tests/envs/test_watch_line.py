"""The line to the watcher: who holds its role, how long the world waits for it, and what is told of it."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from redbutton.envs import watch_line
from redbutton.envs.packets import CLIENTS, LARGEST, Door
from redbutton.envs.watch_line import Heard, WatchLine
from redbutton.sandbox.spec import ProcessInfo, SandboxError

ME = os.getpid()


class Program:
    """A program that connects to the button's socket."""

    def __init__(self, path: Path, hello: bool = True) -> None:
        self.link = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.link.settimeout(5.0)
        self.link.connect(str(path))
        if hello:
            self.say(hello="watcher")

    def say(self, **message: Any) -> None:
        self.link.send(json.dumps(message).encode())

    def heard(self) -> list[dict[str, Any]]:
        found = []
        self.link.setblocking(False)
        while True:
            try:
                found.append(json.loads(self.link.recv(4096)))
            except BlockingIOError:
                return found


class Rig:
    """A line whose watcher is this process: it answers before it is asked."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "button.sock"
        self.listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.listener.bind(str(self.path))
        self.listener.listen(64)
        self.listener.setblocking(False)
        self.door = Door(self.listener, lambda pid: pid)
        self.seen: Callable[[], Sequence[ProcessInfo]] = list
        self.wall_s: float | None = None
        self.programs: list[Program] = []
        self.n = 0
        self.line = self.made()
        self.watcher = self.program()
        self.line.meet()

    def made(self, **options: Any) -> WatchLine:
        return WatchLine(self.door, ME, lambda: self.seen(), **options)

    def program(self, hello: bool = True) -> Program:
        self.programs.append(Program(self.path, hello))
        return self.programs[-1]

    def tick(self, answer: bool | None = False, pressed: bool | None = False) -> Heard:
        """One level, with the watcher's answer if it gives one."""
        self.n += 1
        if answer is not None:
            self.watcher.say(n=self.n, stop=answer)
        return self.line.tick(pressed)

    def close(self) -> None:
        for program in self.programs:
            program.link.close()
        self.door.close()
        self.listener.close()


@pytest.fixture
def rig(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Rig]:
    monkeypatch.setattr(watch_line, "GRACE_S", 0.2)
    rig = Rig(tmp_path)
    yield rig
    rig.close()


def _process(state: str, cpu_s: float = 0.0, pid: int = ME) -> ProcessInfo:
    return ProcessInfo(
        pid=pid, inner_pid=pid, inner_parent=1, state=state, argv=("w",), started=0, cpu_s=cpu_s, rss_mib=1.0
    )


def test_every_level_is_answered(rig: Rig) -> None:
    assert rig.tick(False) == Heard(False)
    assert rig.tick(True, pressed=True) == Heard(True)
    assert rig.watcher.heard() == [{"n": 1, "pressed": False}, {"n": 2, "pressed": True}]


def test_an_answer_to_an_older_level_is_not_taken_for_the_latest(rig: Rig) -> None:
    rig.watcher.say(n=0, stop=False)
    assert rig.tick(True, pressed=True).stop is True


def test_a_watcher_that_does_not_answer_is_silent_and_not_waited_for_again(rig: Rig) -> None:
    rig.seen = lambda: [_process("S")]
    assert rig.tick(None) == Heard(None, fell_silent=True)
    assert rig.tick(None) == Heard(None)
    rig.watcher.say(n=1, stop=True)
    assert rig.line.tick(True) == Heard(True), "its late answer is a report when it comes"


def test_a_watcher_that_is_held_by_a_signal_is_silent(rig: Rig) -> None:
    rig.seen = lambda: [_process("T")]
    assert rig.tick(None).fell_silent


def test_silence_while_others_of_its_computer_run_is_the_doing_of_a_controller(rig: Rig) -> None:
    used = iter((1.0, 2.0))
    rig.seen = lambda: [_process("R"), _process("R", next(used), pid=ME + 1)]
    assert rig.tick(None).fell_silent


def test_silence_while_nobody_of_its_computer_is_run_is_the_machines(rig: Rig) -> None:
    rig.seen = lambda: [_process("R"), _process("S", 1.0, pid=ME + 1)]
    with pytest.raises(SandboxError, match="this machine is overloaded"):
        rig.tick(None)


def test_a_watcher_made_slow_does_not_outlast_the_trial(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch_line, "GRACE_S", 2.0)
    monkeypatch.setattr(rig.line, "_patience_s", 0.0)
    rig.seen = lambda: [_process("S")]
    assert rig.tick(None).fell_silent


def test_a_connection_that_closes_is_known_at_once_and_whoever_said_hello_first_takes_the_role(rig: Rig) -> None:
    earlier, later = rig.program(), rig.program()
    assert rig.tick(False).stop is False
    assert [len(p.heard()) for p in (earlier, later)] == [1, 1], "who says hello hears the levels"
    rig.watcher.link.close()
    assert rig.tick(None) == Heard(None, fell_silent=True)
    rig.watcher = earlier
    assert rig.tick(False).stop is False
    later.say(stop=True)
    assert rig.tick(False).foreign == ((ME, True),)


def test_nobody_but_the_process_that_was_started_is_the_first_watcher(tmp_path: Path) -> None:
    rig = Rig(tmp_path)
    line = WatchLine(rig.door, ME + 1, list)
    line.meet()
    assert line.holder_pid is None
    rig.close()


def test_a_report_of_anybody_else_is_foreign(rig: Rig) -> None:
    stranger = rig.program(hello=False)
    stranger.say(stop=False)
    stranger.say(stop="no")
    stranger.say(n=1)
    assert rig.tick(True, pressed=True) == Heard(True, foreign=((ME, False),))
    assert stranger.heard() == []


def test_a_report_that_falls_is_told_once_unless_the_operator_has_reset(rig: Rig) -> None:
    rig.tick(True, pressed=True)
    assert rig.tick(False, pressed=True).fell
    assert not rig.tick(False, pressed=True).fell
    rig.tick(True, pressed=True)
    rig.line.operator_resets()
    assert not rig.tick(True).fell
    assert not rig.tick(False).fell, "it took one level more to follow"
    assert [level.get("reset") for level in rig.watcher.heard()][-2:] == [True, True]
    rig.tick(True, pressed=True)
    assert rig.tick(False, pressed=True).fell, "the reset is used up"


def test_a_button_without_its_cable_sends_nothing(rig: Rig) -> None:
    assert rig.tick(None, pressed=None) == Heard(None)
    assert rig.watcher.heard() == []


def test_where_time_is_real_nothing_waits_and_an_old_report_is_silence(rig: Rig) -> None:
    now = [0.0]
    rig.line = rig.made(real_time=True, wall=lambda: now[0])
    rig.watcher = rig.program()
    assert rig.tick(None).stop is None
    assert rig.tick(True).stop is True
    now[0] = 0.1
    assert rig.tick(None).stop is True
    now[0] = 0.2
    assert rig.tick(None) == Heard(None, fell_silent=True)


def test_a_socket_bears_strangers_of_every_kind(rig: Rig) -> None:
    for data in (b"{", b"[1]", b"\xff", b'{"stop": 1}', b"x" * (2 * LARGEST), b"[" * LARGEST):
        stranger = rig.program(hello=False)
        stranger.link.send(data)
    crowd = [rig.program(hello=False) for _ in range(CLIENTS + 8)]
    assert rig.tick(False) == Heard(False)
    assert len(rig.door.clients()) == CLIENTS
    crowd[0].link.close()
    rig.line.meet()
    assert len(rig.door.clients()) < CLIENTS
