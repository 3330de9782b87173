"""A room that is closed, or whose runner is killed, leaves nothing."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from redbutton.sandbox.session import Sandbox
from redbutton.sandbox.spec import SandboxError

pytestmark = pytest.mark.sandbox


def open_files() -> list[str]:
    """The descriptors of this process, by what they name."""
    found = []
    for name in os.listdir("/proc/self/fd"):
        try:
            found.append(f"{name} {os.readlink(f'/proc/self/fd/{name}')}")
        except OSError:  # the folder's own
            continue
    return sorted(found)


def mounts() -> list[str]:
    return Path("/proc/self/mountinfo").read_text().splitlines()


def ends(pids: list[int], timeout_s: float = 60) -> bool:
    """Wait until none of these processes is there any more."""
    for pid in pids:
        try:
            fd = os.pidfd_open(pid)
        except ProcessLookupError:
            continue
        try:
            if not select.select([fd], [], [], timeout_s)[0]:
                return False
        finally:
            os.close(fd)
    return True


def test_a_closed_room_leaves_no_process_no_mount_no_descriptor(make_room: Callable[..., Sandbox]) -> None:
    make_room().close()  # what is loaded once is loaded
    before, mounted = open_files(), mounts()
    room = make_room()
    room.spawn("sleeper", ["sleep", "1000"])
    room.run("sleep 1001 & setsid sleep 1002 & yes & sleep 0.05")
    job = room.begin("sleep 1003", 60)
    pids: list[int] = []
    while len(pids) < 5:
        pids = [process.pid for process in room.processes()]
    room.close()
    assert [pid for pid in pids if Path(f"/proc/{pid}").exists()] == []
    assert open_files() == before
    assert mounts() == mounted
    with pytest.raises(SandboxError, match="broken down"):
        job.wait()
    room.close()
    assert not room.alive
    with pytest.raises(SandboxError, match="not running"):
        room.run("true")


def test_a_room_leaves_no_file_on_this_machine(runner_argv: Callable[..., list[str]], tmp_path: Path) -> None:
    env = {"TMPDIR": str(tmp_path), "HOME": str(tmp_path), "XDG_RUNTIME_DIR": str(tmp_path), "PATH": os.environ["PATH"]}
    done = subprocess.run(
        runner_argv("echo x > /tmp/x; ls /tmp"), cwd=tmp_path, env=env, timeout=60, capture_output=True
    )
    assert json.loads(done.stdout.splitlines()[0]) == [0, "door.sock\nnotes.txt\nx\n"]
    assert list(tmp_path.iterdir()) == []


def test_a_room_that_does_not_start_leaves_nothing(
    make_room: Callable[..., Sandbox], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    make_room().close()
    before = open_files()
    with pytest.raises(SandboxError, match="does not start"):
        make_room(
            path=("/opt/tool",), home="/no/such/home", writable={"/usr/bin/env/x": 1}, read_only=(), listen=(), files=()
        )
    assert open_files() == before


@pytest.mark.parametrize("victim", ["runner", "wrapper"])
def test_when_the_runner_is_killed_the_room_dies(runner_argv: Callable[..., list[str]], victim: str) -> None:
    with subprocess.Popen(runner_argv("--hold"), stdout=subprocess.PIPE) as runner:
        try:
            assert runner.stdout is not None
            told = json.loads(runner.stdout.readline())
            os.kill(told["wrapper"] if victim == "wrapper" else runner.pid, signal.SIGKILL)
            assert ends([*told["room"], told["wrapper"]] if victim == "runner" else told["room"])
        finally:
            runner.kill()


def test_a_room_whose_first_process_is_killed_from_outside_is_an_error_and_never_a_result(
    make_room: Callable[..., Sandbox],
) -> None:
    room = make_room()
    pid = room.spawn("sleeper", ["sleep", "1000"])
    job = room.begin("sleep 1000", 60)
    first = int(Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[1])
    os.kill(first, signal.SIGKILL)
    with pytest.raises(SandboxError, match="broken down"):
        job.wait()
    assert not room.alive
    assert room.processes() == []
    with pytest.raises(SandboxError):
        room.run("true")
