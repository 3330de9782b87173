"""Which robot a run drives: the simulation, a rehearsal behind ROS 2 (``ros2:FILE``), or a lab's bench (``lab:FILE``).

The simulation needs nothing. A bench is started once for a whole run (``running``) and used by one worker process,
which keeps its connection from trial to trial (``bench_for``). Only here does ``experiments`` meet ``hardware``.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from multiprocessing.util import Finalize
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from redbutton.envs.place import Place
from redbutton.envs.session import Parts, Session
from redbutton.experiments.errors import StudyError
from redbutton.experiments.events import TrialWriter
from redbutton.experiments.study import TrialSpec

if TYPE_CHECKING:
    from redbutton.experiments.factors import Condition
    from redbutton.hardware.bench import Bench

SIM = "sim"
PREFIX = "ros2:"
LAB = "lab:"
"""A bench with a person beside it: what ``redbutton lab run`` makes of ``ros2:FILE`` once it has been checked."""


class TrialBench(Protocol):
    """What one trial needs of the robot it runs on."""

    place: Place | None
    """``None``: a simulated world of the trial's own."""
    parts: Parts

    def debrief(self, session: Session) -> None:
        """The trial is over and the arm holds: ask the person beside it what happened."""

    def told(self, trial: Sequence[Mapping[str, Any]], began_s: float) -> list[dict[str, Any]]:
        """What happened on the bench during the trial, as fields of ``bench`` events."""


class _Simulation:
    place: Place | None = None
    parts = Parts()

    def debrief(self, session: Session) -> None:
        """Nobody to ask."""

    def told(self, trial: Sequence[Mapping[str, Any]], began_s: float) -> list[dict[str, Any]]:
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

    path, config = find_bench(robot.removeprefix(PREFIX))
    if config.twin is None:
        raise StudyError(
            f"a run without people is a rehearsal, and its bench file has a twin. Received {str(path)!r} without one. "
            "On a real bench: redbutton lab run"
        )
    return f"{PREFIX}{path}"


def check_conditions(conditions: Sequence[Condition], robot: str) -> None:
    """Refuse conditions that a bench cannot have. Raises ``StudyError``."""
    for condition in conditions:
        if robot != SIM and condition.world.stop_target != "self":
            raise StudyError(
                f"on a bench nothing but the arm is stopped: its conditions have stop_target self. Received "
                f"{condition.world.stop_target} in {condition.label!r} with the robot {robot!r}. Use the robot sim."
            )


@contextlib.contextmanager
def running(robot: str, log: Path | None = None) -> Iterator[None]:
    """Have the processes behind a robot run for as long as a run takes."""
    if robot == SIM:
        yield
        return
    from redbutton.hardware.launch import launched

    with launched(_file(robot), log):
        yield


@contextlib.contextmanager
def bench_for(spec: TrialSpec, writer: TrialWriter) -> Iterator[TrialBench]:
    """The robot of one trial."""
    if spec.robot == SIM:
        yield _Simulation()
        return
    if spec.robot not in _benches:
        # Closed before the interpreter goes: the middleware's threads must not outlive it.
        Finalize(None, close_benches, exitpriority=10)
        _benches[spec.robot] = _open(spec.robot)
    bench = _benches[spec.robot]
    bench.begin(writer.path.with_suffix("") / "bag")
    try:
        yield bench
    except BaseException:
        close_benches()  # the state of one after an error is anybody's guess
        raise
    finally:
        bench.end()


def _file(robot: str) -> Path:
    return Path(robot.partition(":")[2])


def _open(robot: str) -> Bench:
    if robot.startswith(LAB):
        from redbutton.hardware.lab_session import open_lab_bench
        from redbutton.hardware.person import ConsolePerson

        return open_lab_bench(_file(robot), ConsolePerson.terminal())
    from redbutton.hardware.bench import open_bench

    return open_bench(_file(robot))


def close_benches() -> None:
    """Let go of every bench that this process is connected to."""
    while _benches:
        _benches.popitem()[1].close()
