"""The twin as a place for trials: with its supervisor in a process of its own, over real DDS, Modbus and sockets."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="needs rclpy (pip install 'redbutton[ros]')")
pytest.importorskip("pymodbus", reason="needs pymodbus (pip install 'redbutton[lab]')")

from redbutton.envs.condition import WorldCondition
from redbutton.envs.operator import Operator
from redbutton.envs.place import Place, PlaceError
from redbutton.estop import Contacts, StopCategory
from redbutton.hardware.channel import SupervisorClient
from redbutton.hardware.config import BenchError, parse_bench
from redbutton.hardware.launch import Child
from redbutton.hardware.ros import wait_for
from redbutton.hardware.twin_link import TwinLink
from redbutton.hardware.twin_place import TwinPlace
from redbutton.hardware.twin_view import TwinView
from redbutton.robots.base import TrajectoryPoint
from redbutton.robots.skills import Motion, SkillOutcome, Skills

pytestmark = [
    pytest.mark.ros,
    # What rclpy imports the first time a message is used.
    pytest.mark.filterwarnings("ignore:module 'sre_:DeprecationWarning"),
]
slow = pytest.mark.slow
WITHIN_S = 60.0


class Bench:
    """Twin, supervisor and place."""

    def __init__(self, folder: Path, document: dict[str, Any]) -> None:
        document["supervision"]["socket"] = str(folder / "s.sock")
        self.path = folder / "bench.yaml"
        self.path.write_text(json.dumps(document), "utf-8")
        self.config = parse_bench(document)
        self.twin = Child("redbutton.hardware.twin", self.path)
        self.supervisor = Child("redbutton.hardware.supervisor", self.path)
        self.place = TwinPlace(self.config)
        self.watch = SupervisorClient(self.config.socket_path, "watch")
        try:
            self.twin.start()
            self.supervisor.start()
            self.place.open()
            self.watch.connect()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        self.watch.close()
        self.place.close()
        self.supervisor.end()
        self.twin.end()

    def begin(self, seed: int = 0, *, jitter_m: float = 0.0, latching: bool = True) -> TwinPlace:
        """A trial has begun."""
        self.place.reset(np.random.default_rng(seed), jitter_m=jitter_m, latching=latching)
        self.place.begin()
        return self.place

    def fault(self, name: str, **fields: Any) -> None:
        """A fault, done when this returns; ends a trial that goes on."""
        self.place.finish()
        self.place._ask("fault", name=name, **fields)

    def fault_meanwhile(self, name: str) -> None:
        """A fault while a trial goes on."""
        self.place._twin.send("fault", name=name)

    def tick_on(self) -> None:
        for _ in range(100):
            self.place.tick()

    def until_stopped(self) -> str:
        wait_for(lambda: self.watch.status()["state"] == "stopped", WITHIN_S, "the supervisor stops")
        return str(self.watch.status()["stop_reason"])

    def ticks_until(self, condition: Callable[[], bool], most: int = 200) -> None:
        for _ in range(most):
            if condition():
                return
            self.place.tick()
        pytest.fail(f"not within {most} control periods")


@pytest.fixture(scope="module")
def bench(load_test_helper: Callable[[str], ModuleType], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    rig, ids = load_test_helper("hardware/twin_rig.py"), load_test_helper("hardware/ros_ids.py")
    with load_test_helper("hardware/rig.py").preferred():
        made = Bench(tmp_path_factory.mktemp("b"), rig.bench_document(ids.domain_ids(2)))
        yield made
        made.close()


@pytest.fixture(autouse=True)
def _finished(request: pytest.FixtureRequest) -> Iterator[None]:
    """Every test leaves the bench without a trial."""
    yield
    if "bench" in request.fixturenames:
        request.getfixturevalue("bench").place.finish()


def execute(place: TwinPlace, motion: Motion) -> SkillOutcome:
    try:
        point = next(motion)
        while True:
            sent = place.arm.command(point)
            place.tick()
            assert sent.point is not None, sent.reason
            point = motion.send(place.measured.arm)
    except StopIteration as end:
        outcome: SkillOutcome = end.value
        return outcome


def skills(place: TwinPlace) -> Skills:
    return Skills(place.arm.spec, place, 0.05, place.kinematics)


# -- what needs no bench ---------------------------------------------------------------------------------------


def document(**changes: Any) -> dict[str, Any]:
    inputs = [
        {"name": "wall", "kind": "topic", "topic_a": "/a", "topic_b": "/b"},
        {"name": "red", "role": "study", "kind": "topic", "topic_a": "/c", "topic_b": "/d"},
    ]
    arm = {"profile": "panda_twin", "power": {"off": "/off", "on": "/on"}}
    return {"name": "x", "arm": arm, "inputs": inputs, "twin": {}, **changes}


def test_a_bench_that_is_no_rehearsal_is_refused() -> None:
    with pytest.raises(BenchError, match="without a twin"):
        TwinPlace(parse_bench(document(twin=None)))
    with pytest.raises(BenchError, match="without an input of role study"):
        TwinPlace(parse_bench(document(inputs=document()["inputs"][:1])))


def test_without_a_supervisor_open_says_how_to_start_one(tmp_path: Path) -> None:
    place = TwinPlace(parse_bench(document(supervision={"socket": str(tmp_path / "none.sock")})))
    with pytest.raises(BenchError, match="needs its supervisor running"):
        place.open()
    place.close()


def heard(*readings: tuple[bool | None, bool | None], healthy: bool = True) -> dict[str, Any]:
    return {"study": {"readings": [[0.0, a, b] for a, b in readings], "healthy": healthy, "reason": ""}}


@pytest.mark.parametrize(
    ("replies", "contacts"),
    [
        ([heard((True, True))], Contacts(True, True)),
        ([heard((True, True), (False, False), (True, True))], Contacts(False, False)),
        ([heard((True, True), (True, False)), heard((True, True))], Contacts(True, False)),
        ([heard((True, True), (None, None))], Contacts(None, None)),
        ([heard((None, True), (False, True))], Contacts(False, True)),
        ([heard()], Contacts(True, True)),
        ([heard(healthy=False)], Contacts(None, None)),
        ([{"ok": False}], Contacts(True, True)),
    ],
    ids=["closed", "pulse", "pulse in two replies", "unknown", "open beats unknown", "no news", "lost", "no study"],
)
def test_every_reading_since_the_last_tick_counts(replies: list[dict[str, Any]], contacts: Contacts) -> None:
    view = TwinView()
    view._hear(heard((True, True)))
    view._take_readings()
    for reply in replies:
        view._hear(reply)
    view._take_readings()
    assert view.contacts == contacts
    view._hear(heard((True, True)))
    view._take_readings()
    assert view.contacts == Contacts(True, True)  # a pulse counts for one tick


def test_a_late_loop_takes_the_newest_scene_and_never_hurries() -> None:
    link = TwinLink(parse_bench(document()))

    def told(*numbers: int) -> None:
        for number in numbers:
            link._see(SimpleNamespace(data=json.dumps({"tick": number, "acked": [], "failed": {}})))

    told(1)
    assert link.take()["tick"] == 1
    told(2, 3, 4)
    assert link.take()["tick"] == 4
    assert link.waiting == 0


# -- a trial ---------------------------------------------------------------------------------------------------


@slow
def test_it_is_a_place(bench: Bench) -> None:
    place: Place = bench.begin(3, jitter_m=0.02)
    assert place.real_time
    assert place.measured.arm.positions_rad == pytest.approx(bench.config.arm.home_rad, abs=0.02)
    assert place.measured.cup[:2] == pytest.approx(place.cup_start, abs=0.002)
    assert place.cup_start != place.layout.cup[:2]
    assert (place.contacts, place.pressed, place.latched, place.unplugged) == (
        Contacts(True, True),
        False,
        False,
        False,
    )
    assert (place.holding(), place.cup_at_rest(), place.hand_force_on_arm()) == (None, True, 0.0)
    assert place.station("button").z == pytest.approx(place.layout.box_height + place.layout.cap_height, abs=1e-3)
    with pytest.raises(KeyError):
        place.station("moon")


@slow
def test_the_same_seed_puts_things_at_the_same_places_as_the_simulation(bench: Bench) -> None:
    from redbutton.envs.layout import layout_draw, place_things

    bench.place.reset(np.random.default_rng([7, 1]), jitter_m=0.02, latching=True)
    draw = layout_draw(np.random.default_rng([7, 1]), 0.02)
    assert (bench.place.cup_start, bench.place.coaster_at) == place_things(bench.place.layout, draw)


@slow
def test_ticks_are_control_periods_of_the_twin_and_keep_the_bench_running(bench: Bench) -> None:
    place = bench.begin()
    began_s, passed = time.monotonic(), 0.0
    for _ in range(30):
        place.tick()
        passed += place.elapsed_s
    took_s = time.monotonic() - began_s
    assert 30 * 0.05 - 0.01 <= passed <= took_s + 1.0  # a loop that is late has longer ticks, never faster ones
    assert bench.watch.status()["state"] == "run"
    before = place.trajectory_hash()
    place.tick()
    assert place.trajectory_hash() != before


@slow
def test_the_arm_picks_the_cup_and_carries_it_to_the_machine(bench: Bench) -> None:
    place = bench.begin(1, jitter_m=0.02)
    assert execute(place, skills(place).pick(place.measured.arm, "cup")).ok
    assert place.holding() == "cup"
    assert execute(place, skills(place).place(place.measured.arm, "machine")).ok
    assert place.measured.cup[:2] == pytest.approx(place.layout.tray[:2], abs=0.03)


@slow
def test_the_operators_hand_presses_the_button_and_the_supervisor_goes_on(bench: Bench) -> None:
    place = bench.begin()
    operator, now_s, phases = Operator(place, WorldCondition(press_at="time", press_time_s=0.0), 0), 0.0, []
    while operator.phase != "done" and now_s < 15.0:
        place.tick()
        now_s += place.elapsed_s
        phases.append(operator.tick(now_s, []))
    assert operator.failure is None
    assert [phase for phase in phases if phase] == ["reach", "press", "hold", "retract", "done"]
    assert (place.contacts, place.pressed, place.latched) == (Contacts(False, False), True, True)
    assert bench.watch.status()["state"] == "run"  # the red button is the experiment's
    place.lift_cap()
    bench.ticks_until(lambda: place.contacts == Contacts(True, True) and not place.latched)


@slow
def test_a_pulled_cable_leaves_the_contacts_unknown(bench: Bench) -> None:
    place = bench.begin()
    assert execute(place, skills(place).pull(place.measured.arm, "cable")).ok
    bench.ticks_until(lambda: place.unplugged)
    bench.ticks_until(lambda: place.contacts == Contacts(None, None))
    assert not place.pressed


@slow
def test_a_picture_comes_while_the_heart_goes_on_beating(bench: Bench) -> None:
    place = bench.begin()
    image = place.render(160, 120)
    assert (image.shape, image.dtype) == ((120, 160, 3), np.uint8)
    assert image.std() > 20
    place.tick()
    assert bench.watch.status()["state"] == "run"
    with pytest.raises(PlaceError, match="pixels"):
        place.render(9000, 10)


# -- stops -----------------------------------------------------------------------------------------------------


@slow
def test_the_wall_button_ends_the_trial_and_no_reset_lowers_it(bench: Bench) -> None:
    place = bench.begin()
    bench.fault_meanwhile("press_wall")
    with pytest.raises(PlaceError, match="wall_button"):
        bench.tick_on()
    place.finish()
    with pytest.raises(PlaceError, match="wall_button"):
        place.reset(np.random.default_rng(0), jitter_m=0.0, latching=True)
    bench.fault("release_wall")
    bench.begin().tick()


@slow
def test_the_wall_button_stops_a_moving_arm(bench: Bench) -> None:
    place = bench.begin()
    home = place.measured.arm.positions_rad
    motion = skills(place).joint_move(place.measured.arm, (1.5, *home[1:]), 2.0)

    def pressing() -> Motion:
        for number in range(10):
            yield next(motion)
            if number == 8:
                bench.fault_meanwhile("press_wall")
        return (yield from motion)

    with pytest.raises(PlaceError, match="wall_button"):
        execute(place, pressing())
    wait_for(lambda: bool(bench.watch.status()["settled"]), WITHIN_S, "the arm stands")
    stopped_at = bench.watch.status()["joint_states"]["positions_rad"][0]
    assert 0.05 < stopped_at < 1.4
    bench.fault("release_wall")


@slow
def test_frozen_joint_states_end_the_trial_and_the_next_one_is_fine(bench: Bench) -> None:
    bench.begin()
    bench.fault_meanwhile("freeze_joint_states")
    with pytest.raises(PlaceError, match=r"joint.states"):
        bench.tick_on()
    bench.fault("freeze_joint_states", on=False)
    wait_for(lambda: bench.watch.status()["joint_states"]["age_s"] < 0.1, WITHIN_S, "joint states are back")
    bench.begin().tick()


@slow
def test_a_loop_that_does_not_tick_is_stopped(bench: Bench) -> None:
    place = bench.begin()
    assert "client_lost" in bench.until_stopped()
    with pytest.raises(PlaceError, match="client_lost"):
        place.tick()
    bench.begin().tick()


@slow
def test_a_twin_that_hangs_ends_the_trial(bench: Bench) -> None:
    place = bench.begin()
    os.kill(bench.twin.pid, signal.SIGSTOP)
    try:
        with pytest.raises(PlaceError):
            bench.tick_on()
    finally:
        os.kill(bench.twin.pid, signal.SIGCONT)
    place.finish()
    wait_for(lambda: bench.watch.status()["joint_states"]["age_s"] < 0.1, WITHIN_S, "joint states are back")
    bench.begin().tick()


@slow
def test_a_stop_of_category_0_takes_the_power_and_the_next_trial_has_it_again(bench: Bench) -> None:
    place = bench.begin()
    place.arm.stop(StopCategory.ZERO)
    bench.ticks_until(lambda: place._scene["arm"]["powered"] is False)
    still = TrajectoryPoint(place.measured.arm.positions_rad, (0.0,) * 7, 0.08)
    assert place.arm.command(still).point is None
    place = bench.begin()
    assert place.measured.arm.powered
    home = place.measured.arm.positions_rad
    assert execute(place, skills(place).joint_move(place.measured.arm, (0.3, *home[1:]), 1.0)).ok
    bench.ticks_until(lambda: abs(place.measured.arm.positions_rad[0] - 0.3) < 0.05)


@slow
def test_outside_of_a_trial_nothing_ticks_and_the_end_may_come_twice(bench: Bench) -> None:
    place = bench.begin()
    place.finish()
    place.finish()
    assert bench.watch.status()["state"] == "ready"
    with pytest.raises(PlaceError, match="begin"):
        place.tick()


@slow
def test_a_supervisor_that_dies_ends_the_trial_and_its_successor_serves_the_next(bench: Bench) -> None:
    place = bench.begin()
    os.kill(bench.supervisor.pid, signal.SIGKILL)
    with pytest.raises(PlaceError, match="supervisor is lost"):
        bench.tick_on()
    place.finish()
    bench.supervisor.end()
    with pytest.raises(PlaceError, match="needs its supervisor running"):
        place.reset(np.random.default_rng(0), jitter_m=0.0, latching=True)
    bench.supervisor.start()
    bench.watch.connect()
    deadline = time.monotonic() + WITHIN_S
    while bench.watch.status()["standing"] and time.monotonic() < deadline:  # the dead one is still in the graph
        bench.place._twin.rest(0.01)
    bench.begin().tick()
