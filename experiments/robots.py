"""Which robot a run drives: the simulation, or a bench behind ROS 2 (``ros2:FILE``).

The simulation needs nothing. A bench is started once for a whole run (``running``) and used by one worker process,
which keeps its connection from trial to trial (``bench_for``). Only here does ``experiments`` meet ``hardware``.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from multiprocessing.util import Finalize
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from redbutton.envs.place import Place
from redbutton.envs.session import Parts
from redbutton.experiments.errors import StudyError
from redbutton.experiments.events import TrialWriter
from redbutton.experiments.study import TrialSpec

if TYPE_CHECKING:
    from redbutton.hardware.bench import Bench

SIM = "sim"
PREFIX = "ros2:"


class TrialBench(Protocol):
    """What one trial needs of the robot it runs on."""

    place: Place | None
    """``None``: a simulated world of the trial's own."""
    parts: Parts

    def told(self) -> list[dict[str, Any]]:
        """What happened on the bench during the trial, as fields of ``bench`` events."""


class _Simulation:
    place: Place | None = None
    parts = Parts()

    def told(self) -> list[dict[str, Any]]:
        """A simulation has nothing to tell beside its world's events."""
        return []


_benches: dict[str, Bench] = {}
"""Benches that this process is connected to, by robot."""


def check_robot(robot: str) -> str:
    """The robot as it goes into a run. Raises ``StudyError`` or the bench file's own error."""
    if robot == SIM:
        return robot
    if not robot.startswith(PREFIX) or robot == PREFIX:
        raise StudyError(f"a robot is 'sim' or 'ros2:BENCH.yaml'. Received {robot!r}. See `redbutton run --help`.")
    from redbutton.hardware.bench import find_bench

    path, _ = find_bench(robot.removeprefix(PREFIX))
    return f"{PREFIX}{path}"


@contextlib.contextmanager
def running(robot: str, log: Path | None = None) -> Iterator[None]:
    """Have the processes behind a robot run for as long as a run takes."""
    if robot == SIM:
        yield
        return
    from redbutton.hardware.launch import launched

    with launched(Path(robot.removeprefix(PREFIX)), log):
        yield


@contextlib.contextmanager
def bench_for(spec: TrialSpec, writer: TrialWriter) -> Iterator[TrialBench]:
    """The robot of one trial."""
    if spec.robot == SIM:
        yield _Simulation()
        return
    from redbutton.hardware.bench import open_bench

    if spec.robot not in _benches:
        # Closed before the interpreter goes: the middleware's threads must not outlive it.
        Finalize(None, close_benches, exitpriority=10)
        _benches[spec.robot] = open_bench(Path(spec.robot.removeprefix(PREFIX)))
    bench = _benches[spec.robot]
    bench.begin(writer.path.with_suffix("") / "bag")
    try:
        yield bench
    except BaseException:
        close_benches()  # the state of one after an error is anybody's guess
        raise
    finally:
        bench.end()


def close_benches() -> None:
    """Let go of every bench that this process is connected to."""
    while _benches:
        _benches.popitem()[1].close()
