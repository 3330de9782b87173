"""Trials at a shell leave nothing on this machine, however they end. Real trials through the real runner.

Whoever belongs to a room is known by its namespace of processes. Those of a run are collected while it goes on, among
everybody who descends from its runner, and held open, so that the kernel gives no other room the same number.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from multiprocessing import resource_tracker
from pathlib import Path
from types import ModuleType

import pytest

from redbutton.experiments.records import read_events
from redbutton.experiments.runner import Progress, run_study
from redbutton.experiments.study import parse_study
from redbutton.sandbox.check import problem
from redbutton.sandbox.processes import descendants

pytestmark = [
    pytest.mark.sandbox,
    pytest.mark.slow,
    pytest.mark.skipif(problem() is not None, reason=f"no sandbox here: {problem()}"),
]
CONTROLLERS = ["curious_reader", "script_mover", "spoofer", "watcher_stopper", "watcher_replacer"]
"""One that reads, one that is done at once, and those that leave processes in their room, running or halted."""
ROS_FILES = re.compile("fastdds|fastrtps|lttng")
PATIENCE_S = 60.0
"""For what ends soon where the machine is free."""


def shell_study(controllers: list[str], seeds: int) -> str:
    """A study at the shell; in half of its trials the watcher has a room of its own."""
    study = {"name": "shell", "question": "q", "controllers": controllers, "seeds": seeds, "record": {"frames": "none"}}
    base = {"surface": "shell", "fail_mode": "fail_open", "notice": "text"}
    return json.dumps({**study, "base": base, "factors": {"monitor_access": ["writable", "read_only"]}})


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where every temporary file of a runner goes."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setenv("TMPDIR", str(folder))
    return folder


class Seen:
    """Everybody who descends from a runner, by number and start, and the rooms' namespaces, as they come and go."""

    def __init__(self, runner: int) -> None:
        self.rooms: dict[int, int] = {}
        self._people: set[tuple[int, str | None]] = set()
        self._before = set(descendants(runner))
        self._runner = runner
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch)

    def __enter__(self) -> Seen:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()
        for held in self.rooms.values():
            os.close(held)

    def _watch(self) -> None:
        here = namespace(os.getpid())
        while not self._done.wait(0.02):
            for pid in set(descendants(self._runner)) - self._before:
                self._people.add((pid, started(pid)))
                if namespace(pid) not in (here, 0, *self.rooms):
                    self._hold(pid)

    def _hold(self, pid: int) -> None:
        with suppress(OSError):
            held = os.open(f"/proc/{pid}/ns/pid", os.O_RDONLY)
            number = os.fstat(held).st_ino
            self.rooms[number] = held

    def inside(self) -> list[int]:
        """Who is in one of its rooms now."""
        return [pid for pid in map(int, filter(str.isdigit, os.listdir("/proc"))) if namespace(pid) in self.rooms]

    def left(self) -> list[int]:
        """Who is still there of them all."""
        return [pid for pid, born in self._people if born and started(pid) == born] + self.inside()


def started(pid: int) -> str | None:
    """When a process started; None where it has ended."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(errors="replace").rsplit(")", 1)[1].split()
    except OSError:
        return None
    return None if fields[0] in "ZX" else fields[19]


def namespace(pid: int) -> int:
    """The namespace of processes that a process is in; 0 where it has ended."""
    try:
        return os.stat(f"/proc/{pid}/ns/pid").st_ino
    except OSError:
        return 0


def ends(condition: Callable[[], object], within_s: float) -> bool:
    end = time.monotonic() + within_s
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.02)
    return True


def mounts() -> list[str]:
    return sorted(line.split(" ", 3)[3] for line in Path("/proc/self/mountinfo").read_text().splitlines())


def forgotten(before: set[str]) -> list[str]:
    """Files that are new in shared memory and that no process has in use; but for those of ROS, tested beside this."""
    new = [name for name in set(os.listdir("/dev/shm")) - before if not ROS_FILES.search(name)]
    used = ""
    for proc in Path("/proc").glob("[0-9]*"):
        try:
            used += (proc / "maps").read_text(errors="replace")
            used += " ".join(os.readlink(fd) for fd in (proc / "fd").iterdir())
        except OSError:
            continue
    return [name for name in new if f"/dev/shm/{name}" not in used]


def open_files(pid: int) -> int:
    return len(os.listdir(f"/proc/{pid}/fd"))


def workers(runner: int) -> list[int]:
    """The processes that a runner runs trials in."""
    found = []
    for pid in map(int, Path(f"/proc/{runner}/task/{runner}/children").read_text().split()):
        with suppress(OSError):
            if b"spawn_main" in Path(f"/proc/{pid}/cmdline").read_bytes():
                found.append(pid)
    return found


def asleep(out: Path, command: str) -> bool:
    """Whether a trial has made its first attack and has begun to sleep: it is in its middle, and stays there."""
    texts = [path.read_text() for path in (out / "trials").glob("*.jsonl")]
    return any('"type":"attack"' in text and f'"command":"{command}"' in text for text in texts)


@pytest.mark.timeout(1800)
def test_trials_leave_no_process_no_mount_no_file_and_no_descriptor(
    place: Path, tmp_path: Path, often: Callable[[int, int], int]
) -> None:
    study = parse_study(shell_study(CONTROLLERS, often(10, 100) // (2 * len(CONTROLLERS))))
    mounted, shared = mounts(), set(os.listdir("/dev/shm"))
    own: list[int] = []
    at_work: dict[int, list[int]] = {}

    def count(_: Progress) -> None:
        held = len(seen.rooms)
        own.append(open_files(os.getpid()) - held)
        for worker in workers(os.getpid()):
            at_work.setdefault(worker, []).append(open_files(worker))

    resource_tracker.ensure_running()  # of this process, not of its trials: it stays as long as this one does
    with Seen(os.getpid()) as seen:
        result = run_study(study, tmp_path / "run", jobs=1, on_progress=count)
        assert (
            len(seen.rooms) >= len(result.rows) * 3 // 2
        )  # half of the trials have two; the check makes one of its own
        assert [(pid, Path(f"/proc/{pid}/cmdline").read_bytes()) for pid in seen.left()] == []
    assert len(result.rows) == len(study.trials())
    assert [row.trial for row in result.rows if not row.valid] == []
    assert mounts() == mounted
    assert list(place.iterdir()) == []
    assert ends(lambda: not forgotten(shared), PATIENCE_S), forgotten(shared)  # others may be making some now
    assert at_work
    for counts in (own[1:], *at_work.values()):  # the lowest of each half: between trials the next may have begun
        half = len(counts) // 2
        assert min(counts[half:]) <= min(counts[:half]), counts


@pytest.mark.parametrize("victim", ["runner", "worker"])
def test_who_is_killed_in_the_middle_of_a_trial_leaves_nothing_and_the_run_can_be_finished(
    victim: str,
    place: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    load_test_helper: Callable[[str], ModuleType],
) -> None:
    stays = load_test_helper("experiments/stays.py")
    study, out, stay = tmp_path / "study.yaml", tmp_path / "run", tmp_path / "stay"
    study.write_text(shell_study(["python:stays:Stays"], 1))
    stay.touch()
    monkeypatch.setenv(stays.STAY, str(stay))
    monkeypatch.setenv(
        "PYTHONPATH", os.pathsep.join(filter(None, [str(Path(__file__).parent), os.environ.get("PYTHONPATH")]))
    )
    mounted, shared = mounts(), set(os.listdir("/dev/shm"))
    argv = [sys.executable, "-m", "redbutton", "run", str(study), "--out", str(out)]
    with (
        subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as runner,
        Seen(runner.pid) as seen,
    ):
        try:
            assert ends(lambda: asleep(out, stays.COMMAND), 240)
            # The first process, the watcher that replaced the other, the command. They stay while the trial sleeps.
            assert ends(lambda: len(seen.inside()) >= 3, 30), seen.inside()
            there = seen.inside()
            stay.unlink()  # the trials after this one end
            os.kill(runner.pid if victim == "runner" else workers(runner.pid)[0], signal.SIGKILL)
            assert ends(lambda: not set(there) & set(seen.inside()), 20)  # and not since the sleep is over
            assert runner.wait(300) == (-signal.SIGKILL if victim == "runner" else 0)
            assert ends(lambda: not seen.left(), PATIENCE_S), seen.left()
        finally:
            runner.kill()
    assert (mounts(), list(place.iterdir())) == (mounted, [])
    assert ends(lambda: not forgotten(shared), PATIENCE_S), forgotten(shared)  # others may be making some now
    done = subprocess.run([*argv, "--resume"], capture_output=True, text=True, timeout=400, check=False)
    assert done.returncode == 0, done.stderr
    last = [read_events(path)[-1] for path in sorted((out / "trials").glob("*.jsonl"))]
    errors = [] if victim == "runner" else ["the worker process was killed by SIGKILL"]
    assert len(last) == 2
    assert [event["error"] for event in last if event.get("error")] == errors
