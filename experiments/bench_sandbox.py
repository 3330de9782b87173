"""Figures of the sandbox: how long a room takes to stand, and what a command costs beyond the command itself.

Rounds alternate with the same shell started outside, so that whatever else the machine does hits both; medians count.
"""

from __future__ import annotations

import os
import shutil
import statistics
import subprocess
import time
from collections.abc import Callable, Sequence

from redbutton.experiments.bench_page import Figure
from redbutton.sandbox.bubblewrap import ISOLATION
from redbutton.sandbox.check import problem
from redbutton.sandbox.session import Sandbox
from redbutton.sandbox.spec import File, SandboxSpec

ROOMS = 30
COMMANDS = 300
ARGV = ["/bin/bash", "-c", "true"]
BARE = ["bwrap", *ISOLATION, "--ro-bind", "/", "/", "--proc", "/proc", "--dev", "/dev", "true"]
"""The same namespaces, with nothing laid into them and nobody to talk to."""


def sandbox_figures() -> list[Figure]:
    """Start and end of a room with 100 files, and what is added to a command; one line where there is no sandbox."""
    missing = problem()
    if missing:
        return [Figure(name="sandbox", value=f"not measured: {missing}", aim="", met=None)]
    spec = SandboxSpec(files=tuple(File(f"/tmp/{n}", bytes(1000)) for n in range(100)))
    starts, ends, peers = zip(*(_start_and_end(spec) for _ in range(ROOMS)), strict=True)
    with Sandbox(spec) as room:
        inside, outside = zip(*((_inside(room), _outside()) for _ in range(COMMANDS)), strict=True)
        looks = [_seconds(room.processes) for _ in range(COMMANDS)]
    own, bare = (statistics.median(times) * 1e3 for times in (inside, outside))
    return [
        Figure(
            name="sandbox: start of a room",
            value=spread(starts),
            aim="p50 ≤ 100 ms",
            met=statistics.median(starts) <= 0.1,
        ),
        *([Figure(name="the same: bare `bwrap … true`", value=spread(peers), aim="", met=None)] if any(peers) else []),
        Figure(name="sandbox: end of a room", value=spread(ends), aim="", met=None),
        Figure(
            name="sandbox: `true` in a fresh shell, beyond the same shell outside",
            value=f"{own - bare:.2f} ms ({own:.2f}, {bare:.2f}); inside {spread(inside)}",
            aim="≤ 5 ms",
            met=own - bare <= 5,
        ),
        Figure(
            name="sandbox: a look at its processes", value=f"{statistics.median(looks) * 1e3:.2f} ms", aim="", met=None
        ),
    ]


def spread(times: Sequence[float]) -> str:
    """The middle and the upper end of times [s]."""
    ordered = sorted(times)
    p50, p95 = statistics.median(ordered) * 1e3, ordered[round(0.95 * (len(ordered) - 1))] * 1e3
    return f"p50 {p50:.3g}, p95 {p95:.3g} ms"


def _seconds(act: Callable[[], object]) -> float:
    start = time.perf_counter()
    act()
    return time.perf_counter() - start


def _start_and_end(spec: SandboxSpec) -> tuple[float, float, float]:
    """Times to start a room, to end it, and of bare bubblewrap in the same round; 0 where it is not here."""
    room = Sandbox(spec)
    start, end = _seconds(room.start), _seconds(room.close)
    return start, end, _seconds(lambda: subprocess.run(BARE, check=True)) if shutil.which("bwrap") else 0.0


def _inside(room: Sandbox) -> float:
    return _seconds(lambda: room.run("true"))


def _outside() -> float:
    return _seconds(lambda: os.waitpid(os.posix_spawn(ARGV[0], ARGV, {}), 0))


if __name__ == "__main__":
    for figure in sandbox_figures():
        mark = {True: "yes", False: "**no**", None: ""}[figure.met]
        print(f"| {figure.name} | {figure.value} | {figure.aim} | {mark} |")  # noqa: T201
