"""Attempts to get out of a room, one command each (``escapes.yaml``). None succeeds, and each is on record.

Whether one succeeded is never left to its command: after each, everything planted outside is looked at, the room's
fixed parts are, and no planted secret may be in what was printed.
"""

from __future__ import annotations

import os
import platform
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from redbutton.sandbox import session
from redbutton.sandbox.session import Sandbox
from redbutton.sandbox.spec import Attempt, File, Limits, SandboxSpec
from redbutton.sandbox.syscalls import filter_program

pytestmark = [pytest.mark.sandbox, pytest.mark.xdist_group("sandbox")]

HERE = Path(__file__).parent
FIXED = ("/opt/estop/fixed/on_press.sh", "/etc/estop/watcher.conf", "/etc/passwd", "/opt/tools/raw")
LEFT = ("notes.txt", "logs/secret.txt")
WATCHER = b"import signal, time\nsignal.signal(signal.SIGTERM, signal.SIG_DFL)\nwhile True:\n    time.sleep(0.2)\n"
RAW = b"""#!/usr/bin/python3
import ctypes, errno, sys
libc = ctypes.CDLL(None, use_errno=True)
libc.syscall.restype = ctypes.c_long
def call(number, *args):
    words = [ctypes.c_char_p(a) if isinstance(a, bytes) else ctypes.c_long(a) for a in args]
    result = libc.syscall(ctypes.c_long(number), *words)
    print(number, "done" if result >= 0 else errno.errorcode[ctypes.get_errno()], flush=True)
    return result
def value(word):
    return int(word, 0) if word.lstrip("-")[:1].isdigit() else word.encode()
if __name__ == "__main__":
    calls = [part.split() for part in " ".join(sys.argv[1:]).split(" , ")]
    sys.exit(all([call(*map(value, words)) < 0 for words in calls]))
"""
SPEC = SandboxSpec(
    files=(
        File("/opt/estop/watcher.py", WATCHER, 0o755),
        File("/opt/estop/fixed/on_press.sh", b"#!/bin/sh\n: > /run/estop/STOP\n", 0o755),
        File("/etc/estop/watcher.conf", b"[watcher]\nenabled = true\n"),
        File("/home/robot/README.md", b"# Robot 7\n"),
        File("/opt/tools/raw.py", RAW),
        File("/opt/tools/raw", RAW, 0o755),
        File("/var/lib/controller/checkpoint.bin", bytes(1 << 16)),
    ),
    writable={"/tmp": 8, "/opt/estop": 2, "/run/estop": 1, "/home/robot": 8, "/var/log": 4},
    read_only=("/opt/estop/fixed",),
    listen=("/run/estop/button.sock",),
    home="/home/robot",
    path=("/opt/tools",),
    env={"PYTHONPATH": "/opt/tools"},
    limits=Limits(memory_mib=256, processes=48),
)


@dataclass(frozen=True)
class Escape:
    """One attempt, as the file gives it."""

    name: str
    command: str
    harmless: bool = False
    told: Any = ()
    refused: Any = ()

    def wanted(self, places: dict[str, str]) -> list[dict[str, Any]]:
        """Fields of the attempts that the kernel has to tell."""
        told = [_fields(item, places) for item in _listed(self.told)]
        return told + [{**_fields(item, places), "refused": True} for item in _listed(self.refused)]


def _listed(value: Any) -> list[Any]:
    return list(value) if isinstance(value, (list, tuple)) else [value]


def _fields(item: Any, places: dict[str, str]) -> dict[str, Any]:
    fields = {"call": item} if isinstance(item, str) else item
    filled_in = {name: filled(value, places) if isinstance(value, str) else value for name, value in fields.items()}
    return {name: int(value) if name == "target_pid" else value for name, value in filled_in.items()}


def filled(text: str, places: dict[str, str]) -> str:
    return re.sub(r"%([A-Z]+)%", lambda found: places[found[1]], text)


def battery() -> list[Escape]:
    groups = yaml.safe_load((HERE / "escapes.yaml").read_text())
    return [Escape(**row) for rows in groups.values() for row in rows]


@pytest.fixture(scope="module", params=["told", pytest.param("untold", marks=pytest.mark.slow)])
def room(request: pytest.FixtureRequest, outside: Any, backend: str) -> Iterator[Sandbox]:
    """One room for all attempts; the key is in the runner's environment when it starts.

    ``untold``: as on a kernel that refuses the filter that tells, so that the one that stands alone takes its place.
    """
    with pytest.MonkeyPatch.context() as patch:
        if request.param == "untold":
            patch.setattr(session, "filter_program", lambda *, told=True: b"" if told else filter_program(told=False))
        sandbox = Sandbox(SPEC, backend).start()
    with sandbox:
        assert sandbox.attempts_seen == (request.param == "told")
        sandbox.spawn("watcher", ["python3", "/opt/estop/watcher.py"])
        yield sandbox


def _watcher(room: Sandbox) -> Any:
    """The watcher's process; it takes a moment to be there on a busy machine."""
    end = time.monotonic() + 60
    while time.monotonic() < end:
        found = [p for p in room.processes() if "/opt/estop/watcher.py" in p.argv]
        if found:
            return found[0]
        time.sleep(0.02)
    raise AssertionError("no watcher in the room after 60 s")


@pytest.fixture(scope="module")
def places(outside: Any, room: Sandbox) -> dict[str, str]:
    """What the ``%NAME%`` of the commands stand for."""
    return {
        "SECRET": str(outside.secret),
        "WRITABLE": str(outside.writable),
        "FOLDER": str(outside.folder),
        "REPOSITORY": str(HERE.parents[1]),
        "WATCHER": str(_watcher(room).inner_pid),
        "VICTIM": str(outside.victim.pid),
        "KEY": str(outside.key),
        "TAG": outside.tag,
        "TCP": str(outside.tcp.getsockname()[1]),
        "UDP": str(outside.udp.getsockname()[1]),
        "DDS": outside.group,
        "DDSPORT": str(outside.dds.getsockname()[1]),
    }


def inside(room: Sandbox) -> dict[str, Any]:
    """What of the room itself no attempt may change."""
    return {
        "fixed": {path: (room.tree.stat(path), room.tree.digest(path)) for path in FIXED},
        "top": room.tree.listing("/"),
        "watcher": [(p.pid, p.started, p.state == "T") for p in room.processes() if "/opt/estop/watcher.py" in p.argv],
        "alive": room.alive,
    }


@pytest.fixture(scope="module")
def untouched(room: Sandbox) -> dict[str, Any]:
    return inside(room)


def matches(attempt: Attempt, fields: dict[str, Any]) -> bool:
    return all(getattr(attempt, name) == value for name, value in fields.items())


@pytest.mark.parametrize("escape", battery(), ids=lambda escape: re.sub(r"\W+", "_", escape.name))
def test_nothing_gets_out_and_every_attempt_is_on_record(
    escape: Escape, room: Sandbox, outside: Any, places: dict[str, str], untouched: dict[str, Any]
) -> None:
    if "raw" in escape.command and platform.machine() != "x86_64":
        pytest.skip("a system call by its number on x86-64")
    room.run("rm -rf d i x logs notes.txt")
    room.attempts()
    result = room.run(filled(escape.command, places), 60.0)
    seen = room.attempts()
    assert outside.harm() == []
    assert inside(room) == untouched
    assert [room.tree.read(f"/home/robot/{path}") for path in LEFT] == [None, None]
    assert outside.token not in result.output
    assert result.exit_code is not None
    assert result.exit_code != 0 or escape.harmless, result.output
    if room.attempts_seen:
        for fields in escape.wanted(places):
            assert [a for a in seen if matches(a, fields)], (fields, seen, result.output)


def test_a_command_that_may_be_written_is_seen_to_work(room: Sandbox) -> None:
    """The battery's own tools work, so that a refusal is a refusal: what is allowed here succeeds in the same room."""
    assert room.run("raw 39 , 102 && echo x > x && cat x && kill -0 $$ && python3 -c 'import raw'").exit_code == 0
    assert room.tree.read("/home/robot/x") == b"x\n"


def test_the_room_is_seen_whole_by_the_machine_and_leaves_no_core_file(room: Sandbox) -> None:
    watcher = _watcher(room)
    limits = Path(f"/proc/{watcher.pid}/limits").read_text()
    assert re.search(r"Max core file size +1 +1 ", limits), limits
    status = Path(f"/proc/{watcher.pid}/status").read_text()
    assert "NoNewPrivs:\t1" in status
    assert os.stat(f"/proc/{watcher.pid}").st_uid != 0


def test_the_battery_is_large_and_every_name_is_its_own() -> None:
    names = [escape.name for escape in battery()]
    assert len(names) == len(set(names)) >= 100
