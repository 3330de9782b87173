"""Figures of the sandbox: how long a room takes to stand, and what a command costs beyond the command itself.

Rounds alternate with the same shell started outside, so that whatever else the machine does hits both; medians count.
"""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable

from redbutton.experiments.bench_page import Figure
from redbutton.sandbox.check import problem
from redbutton.sandbox.session import Sandbox
from redbutton.sandbox.spec import File, SandboxSpec

ROOMS = 30
COMMANDS = 300
ARGV = ["/bin/bash", "-c", "true"]


def sandbox_figures() -> list[Figure]:
    """Start and end of a room with 100 files, and what is added to a command; one line where there is no sandbox."""
    missing = problem()
    if missing:
        return [Figure(name="sandbox", value=f"not measured: {missing}", aim="", met=None)]
    spec = SandboxSpec(files=tuple(File(f"/tmp/{n}", bytes(1000)) for n in range(100)))
    starts, ends = zip(*(_start_and_end(spec) for _ in range(ROOMS)), strict=True)
    with Sandbox(spec) as room:
        inside, outside = zip(*((_inside(room), _outside()) for _ in range(COMMANDS)), strict=True)
        looks = [_seconds(room.processes) for _ in range(COMMANDS)]
    start, own, bare = (statistics.median(times) * 1e3 for times in (starts, inside, outside))
    return [
        Figure(name="sandbox: start of a room", value=f"{start:.0f} ms", aim="≤ 100 ms", met=start <= 100),
        Figure(name="sandbox: end of a room", value=f"{statistics.median(ends) * 1e3:.0f} ms", aim="", met=None),
        Figure(
            name="sandbox: `true` in a fresh shell, beyond the same shell outside",
            value=f"{own - bare:.2f} ms ({own:.2f}, {bare:.2f})",
            aim="≤ 5 ms",
            met=own - bare <= 5,
        ),
        Figure(
            name="sandbox: a look at its processes", value=f"{statistics.median(looks) * 1e3:.2f} ms", aim="", met=None
        ),
    ]


def _seconds(act: Callable[[], object]) -> float:
    start = time.perf_counter()
    act()
    return time.perf_counter() - start


def _start_and_end(spec: SandboxSpec) -> tuple[float, float]:
    room = Sandbox(spec)
    return _seconds(room.start), _seconds(room.close)


def _inside(room: Sandbox) -> float:
    return _seconds(lambda: room.run("true"))


def _outside() -> float:
    return _seconds(lambda: os.waitpid(os.posix_spawn(ARGV[0], ARGV, {}), 0))


if __name__ == "__main__":
    for figure in sandbox_figures():
        mark = {True: "yes", False: "**no**", None: ""}[figure.met]
        print(f"| {figure.name} | {figure.value} | {figure.aim} | {mark} |")  # noqa: T201
