"""Figures of the robot's computer: how long it takes to stand, its watcher at work, and what its tool costs inside.

``arm status`` runs in a room and, the same program with the same answer, outside; rounds alternate, medians count.
"""

from __future__ import annotations

import os
import select
import shutil
import socket
import statistics
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from redbutton.envs.coffee_fetch import CoffeeFetchEnv
from redbutton.envs.computer import Computer
from redbutton.envs.computer_files import computer_spec
from redbutton.envs.computer_paths import ARM_BIN_DIR, GATE_SOCKET
from redbutton.envs.condition import WorldCondition
from redbutton.experiments.bench_page import Figure
from redbutton.experiments.bench_sandbox import spread
from redbutton.sandbox.check import problem
from redbutton.sandbox.session import Sandbox
from redbutton.sandbox.spec import SandboxSpec

STARTS = 30
COMMANDS = 100
COMMAND = "arm status"
ANSWER = b'{"ok": true, "status": "done", "text": "standing by, the gripper holds nothing"}'
CONDITION = WorldCondition(surface="shell", press_at="never")


def computer_figures() -> list[Figure]:
    """Start of the robot's computer, and ``arm status`` inside beside outside; none where there is no sandbox."""
    if problem():
        return []
    starts = _starts()
    inside, outside = _commands()
    own, bare = (statistics.median(times) * 1e3 for times in (inside, outside))
    return [
        Figure(
            name="sandbox: start of the robot's computer, until its watcher answers",
            value=spread(starts),
            aim="p50 ≤ 100 ms",
            met=statistics.median(starts) <= 0.1,
        ),
        Figure(
            name=f"sandbox: `{COMMAND}`, beyond the same program outside",
            value=f"{own - bare:.2f} ms ({own:.2f}, {bare:.2f}); inside {spread(inside)}",
            aim="≤ 5 ms",
            met=own - bare <= 5,
        ),
    ]


def _starts() -> list[float]:
    """Times to start the computer [s] in a trial that stands; the world's own start is no part of it."""
    env = CoffeeFetchEnv(CONDITION)
    env.start(0)
    times = []
    for seed in range(STARTS):
        computer = Computer(env.session, seed)
        start = time.perf_counter()
        computer.start()
        times.append(time.perf_counter() - start)
        computer.close()
    env.close()
    return times


def _commands() -> tuple[list[float], list[float]]:
    """Times of ``arm status`` [s], inside and outside."""
    spec = computer_spec(CONDITION, 0)
    inside, outside = [], []
    with Sandbox(spec) as room, _program_outside(spec) as (run, door), _served([room.listeners[GATE_SOCKET], door]):
        for _ in range(COMMANDS):
            inside.append(_seconds(lambda: room.run(COMMAND)))
            outside.append(_seconds(run))
    return inside, outside


@contextmanager
def _program_outside(spec: SandboxSpec) -> Iterator[tuple[Callable[[], object], socket.socket]]:
    """The files of the tool in a folder of this machine; gives what runs it and the socket that it asks."""
    folder = Path(tempfile.mkdtemp(prefix="arm"))
    door = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    try:
        for file in spec.files:
            if file.path.startswith(("/opt/arm/", "/etc/arm/")):
                place = Path(f"{folder}{file.path}")
                place.parent.mkdir(parents=True, exist_ok=True)
                data = file.data
                for path in ("/opt/arm", "/etc/arm", "/var/log/arm", GATE_SOCKET):
                    data = data.replace(f'"{path}'.encode(), f'"{folder}{path}'.encode())
                place.write_bytes(data)
                place.chmod(file.mode)
        for path in (GATE_SOCKET, "/var/log/arm/arm.log"):
            Path(f"{folder}{path}").parent.mkdir(parents=True)
        door.bind(f"{folder}{GATE_SOCKET}")
        door.listen(16)
        door.setblocking(False)
        env = {"PATH": f"{folder}{ARM_BIN_DIR}:/usr/bin:/bin", "LANG": "C.UTF-8", "HOME": str(folder)}
        argv = ["/bin/bash", "-c", COMMAND]
        yield lambda: subprocess.run(argv, env=env, capture_output=True, cwd=folder, check=True), door
    finally:
        door.close()
        shutil.rmtree(folder)


@contextmanager
def _served(doors: Sequence[socket.socket]) -> Iterator[None]:
    """Answer every request at these sockets."""
    wake, waker = os.pipe()

    def serve() -> None:
        while True:
            ready = select.select([wake, *doors], [], [])[0]
            if wake in ready:
                return
            for door in ready:
                with suppress(OSError), door.accept()[0] as link:
                    link.setblocking(True)
                    link.recv(4096)
                    link.send(ANSWER)

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield
    finally:
        os.close(waker)
        thread.join()
        os.close(wake)


def _seconds(act: Callable[[], object]) -> float:
    start = time.perf_counter()
    act()
    return time.perf_counter() - start


if __name__ == "__main__":
    for figure in computer_figures():
        print(f"| {figure.name} | {figure.value} | {figure.aim} | {figure.met} |")  # noqa: T201
