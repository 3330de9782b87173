"""A lab's three acts as functions: teach stations, check the stop, open the bench for trials.

What a real bench must show before anything is run on it is asked for here, in one place: stations taught, a passed
pre-flight of the same file and supervisor, and a speed of at most ``SPEED_SHARE_LIMIT``. A bench file with ``twin`` is
a rehearsal: nobody stands near, so the speed is free.

CAVEAT: the limit on speed is a rule of this program, not of the arm. Set the arm's own reduced mode as well.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from redbutton.envs.place import Place
from redbutton.envs.session import Parts
from redbutton.hardware.arming import Seats, supervisor_instance
from redbutton.hardware.bench import Bench, find_bench
from redbutton.hardware.channel import client_of
from redbutton.hardware.config import BenchConfig, BenchError, load_bench
from redbutton.hardware.description import kinematics_of
from redbutton.hardware.lab_operator import lab_operator
from redbutton.hardware.lab_place import LabPlace
from redbutton.hardware.launch import supervisor_runs
from redbutton.hardware.person import Person
from redbutton.hardware.preflight import Preflight, PreflightResult
from redbutton.hardware.preflight_file import preflight_path, require_preflight, save_preflight
from redbutton.hardware.ros import RosNode
from redbutton.hardware.taught import TaughtStations
from redbutton.hardware.teaching import ArmReader, Teacher

SPEED_SHARE_LIMIT = 0.25
"""Share of an arm's velocity limits that may be used near people."""


def check_speed(config: BenchConfig, bench: Path) -> None:
    """Raise ``BenchError`` when a bench with people is too fast."""
    share = config.limits.speed_share
    if config.twin is None and share > SPEED_SHARE_LIMIT:
        raise BenchError(
            f"a bench with people moves at {SPEED_SHARE_LIMIT:.0%} of its speed at most. Received limits.speed_share "
            f"{share:g} in {str(bench)!r}. Lower it, start the supervisor again, and check again"
        )


def lab_stations(config: BenchConfig, bench: Path) -> TaughtStations:
    """The bench's stations, all taught and on this arm. Raises ``BenchError``."""
    if config.stations is None:
        raise BenchError(
            f"a bench needs taught stations. Received {str(bench)!r} without any. Next: redbutton lab teach {bench} "
            "--out stations.yaml, then set stations: stations.yaml"
        )
    stations = TaughtStations.load(config.stations)
    stations.require_all()
    joints = len(stations.taught("cup").positions_rad)
    if stations.arm != config.arm.name or joints != len(config.arm.joint_names):
        raise BenchError(
            f"stations are taught on the arm that they are used with. Received ones of {stations.arm!r} with {joints} "
            f"joints for {config.arm.name!r}. Teach them again"
        )
    return stations


def check_lab(config: BenchConfig, bench: Path) -> None:
    """Refuse a bench that lacks what trials need. Raises ``BenchError`` with the next step; nothing moves."""
    check_speed(config, bench)
    lab_stations(config, bench)
    require_preflight(preflight_path(bench), config, str(bench))


def lab_robot(robot: str) -> str:
    """``lab:`` and the bench file's absolute path, once the bench has what trials need. Raises ``BenchError``."""
    kind, _, name = robot.partition(":")
    if kind != "ros2" or not name:
        raise BenchError(f"a lab runs on a bench: ros2:BENCH.yaml. Received {robot!r}.")
    path, config = find_bench(name)
    check_lab(config, path)
    return f"lab:{path}"


def open_lab_place(config: BenchConfig, person: Person, *, bench: Path) -> LabPlace:
    """A bench ready for trials, with this person beside it. ``bench``: the file that ``config`` was read from.

    Raises ``BenchError`` with the next step for whatever is missing; nothing moves.
    """
    check_lab(config, bench)
    return LabPlace(config, lab_stations(config, bench), person).open()


def open_lab_bench(bench: Path, person: Person) -> Bench:
    """A bench for a series of trials, its operator a person. Raises ``BenchError``."""
    config = load_bench(bench)
    place: Place = open_lab_place(config, person, bench=bench)
    watch = client_of(config, "watch")
    try:
        watch.connect()
    except BaseException:
        place.close()
        raise
    made = Bench(config, place, watch)
    made.parts = Parts(operator=lab_operator(person), graph=made.parts.graph)
    return made


def run_preflight(bench: Path, person: Person) -> tuple[PreflightResult, Path]:
    """Check a bench and keep the result beside its file, passed or not. Raises ``BenchError``, also for its speed."""
    config = load_bench(bench)
    check_speed(config, bench)
    seats = Seats.of(config)
    seats.connect()
    try:
        instance = supervisor_instance(config.socket_path)
        result = Preflight(seats, person, config).run()
    finally:
        seats.close()
    path = preflight_path(bench)
    save_preflight(path, config, result, instance)
    return result, path


def teach(bench: Path, person: Person, out: Path, only: Sequence[str] = ()) -> TaughtStations:
    """Teach stations into ``out``; what it holds already stays. Raises ``BenchError``."""
    config = load_bench(bench)
    if supervisor_runs(config):
        raise BenchError(
            "an arm that is guided by hand has no supervisor, which would hold it against the hand. Received one at "
            f"{str(config.socket_path)!r}. End it, then teach"
        )
    stations = TaughtStations(arm=config.arm.name, taught_at="", stations={}, source=str(out))
    if out.exists():
        stations = TaughtStations.load(out)
        if stations.arm != config.arm.name:
            raise BenchError(
                f"one stations file is of one arm. Received {str(out)!r} of {stations.arm!r} for {config.arm.name!r}. "
                "Give another --out"
            )
    elif only:
        person.say(f"{out} is new: the other stations are still to be taught.")
    with RosNode("redbutton_teach", config.ros.domain_id, config.ros.discovery) as ros:
        reader = ArmReader(config, ros)
        reader.listen()
        return Teacher(reader.read, kinematics_of(config.arm, ros), person, stations, out).teach(only)


__all__ = [
    "check_lab",
    "check_speed",
    "lab_robot",
    "lab_stations",
    "open_lab_bench",
    "open_lab_place",
    "run_preflight",
    "teach",
]
