"""A bench as a place: a real supervisor, driver and relay, and a person at a real terminal."""

from __future__ import annotations

import re
import signal
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from redbutton.envs.condition import WorldCondition
from redbutton.envs.place import TICK_S, PlaceError
from redbutton.estop import Contacts
from redbutton.hardware.channel import SupervisorClient
from redbutton.hardware.config import BenchError
from redbutton.hardware.lab_operator import CALL, PRESS_WITHIN_S, LabOperator
from redbutton.hardware.lab_place import LabPlace
from redbutton.hardware.lab_setup import AT_HOME_RAD, HOME_SHARE
from redbutton.hardware.ros import wait_for
from redbutton.robots.base import TrajectoryPoint

pytest.importorskip("rclpy", reason="needs rclpy: pip install 'redbutton[ros]'")
# rosidl reads message definitions with lark, which imports modules that Python 3.11 deprecates.
pytestmark = [pytest.mark.ros, pytest.mark.filterwarnings("ignore:module 'sre_:DeprecationWarning")]

LIMIT_S = 30.0
RNG = np.random.default_rng(0)


class Lab:
    """A rig with a person at a terminal; makes places."""

    def __init__(self, rig: Any, pty: Any, stations: Any) -> None:
        self.rig, self._pty, self._stations = rig, pty, stations
        self._stack = ExitStack()
        self._kept: LabPlace | None = None

    def __enter__(self) -> Lab:
        return self

    def __exit__(self, *_exc: object) -> None:
        self._stack.close()
        if self._kept is not None:
            self._kept.close()

    def between_tests(self) -> None:
        """The people go home; the place stays open, as between trials."""
        if self._kept is not None:
            self._kept.finish()
            self._kept.end_record()
        self._stack.close()
        for name in ("wall", "red"):
            self.rig.relay.release(name)
            self.rig.relay.plug(name)

    def person(self, *habits: tuple[str, Any]) -> Any:
        """A person who says yes and types the code, but for these habits."""
        usual = [(r"type (\d{6}): ", lambda match: match[1]), (r"\[y/N\] ", "y")]
        return self._stack.enter_context(self._pty.PtyPerson([*habits, *usual]))

    def place(self, person: Any, **changes: Any) -> LabPlace:
        """An open place with this person beside it; one of its own where the bench is another."""
        if not changes and self._kept is not None:
            self._kept.person = person.console()
            return self._kept
        place = LabPlace(self.rig.config.model_copy(update=changes), self._stations, person.console())
        if changes:
            self._stack.callback(place.close)
        else:
            self._kept = place
        return place.open()

    def send_home(self) -> None:
        """Put the stand-in where every trial begins: no test has to wait for another's way home."""
        driver = self.rig.driver
        wait_for(lambda: self.status()["settled"], LIMIT_S, "no hold is on its way")
        with driver._lock:
            driver._controller.set_to(self.rig.config.arm.home_rad)

    def running(self, *habits: tuple[str, Any]) -> LabPlace:
        """A place in the middle of a trial."""
        place = self.place(self.person(*habits))
        place.reset(RNG, jitter_m=0.02, latching=True)
        place.begin()
        return place

    def status(self) -> dict[str, Any]:
        with SupervisorClient(self.rig.config.socket_path, "watch") as client:
            return client.status()

    def wait_event(self, kind: str, after: int) -> None:
        """Until the supervisor tells of it."""
        with SupervisorClient(self.rig.config.socket_path, "watch") as client:
            wait_for(lambda: any(e["kind"] == kind for e in client.events(after)["events"]), LIMIT_S, kind)


@pytest.fixture(scope="module")
def one_rig(load_test_helper: Callable[[str], Any]) -> Iterator[Any]:
    with tempfile.TemporaryDirectory(prefix="rb-") as folder:
        domains = load_test_helper("hardware/ros_ids.py").domain_ids(2)
        with load_test_helper("hardware/rig.py").Rig(Path(folder), domains) as found:
            yield found


def make_lab(rig: Any, load: Callable[[str], Any]) -> Lab:
    return Lab(rig, load("hardware/pty_person.py"), load("hardware/lab_stations.py").stations())


@pytest.fixture(scope="module")
def one_lab(one_rig: Any, load_test_helper: Callable[[str], Any]) -> Iterator[Lab]:
    with make_lab(one_rig, load_test_helper) as found:
        yield found


@pytest.fixture
def lab(one_lab: Lab) -> Iterator[Lab]:
    one_lab.send_home()
    yield one_lab
    one_lab.between_tests()


def swing(place: LabPlace, joint: int, by_rad: float, seconds: float) -> None:
    """Move one joint, tick by tick."""
    start = place.measured.arm.positions_rad
    ticks = round(seconds / TICK_S)
    for n in range(1, ticks + 1):
        share, rate = n / ticks, by_rad / seconds if n < ticks else 0.0
        positions, rates = list(start), [0.0] * len(start)
        positions[joint] += share * by_rad
        rates[joint] = rate
        sent = place.arm.command(TrajectoryPoint(tuple(positions), tuple(rates), 0.08))
        assert sent.point is not None, sent.reason
        place.tick()


# -- a trial ------------------------------------------------------------------------------------------------


def test_a_trial_begins_with_a_person_and_a_code_and_ticks_in_real_time(lab: Lab) -> None:
    person = lab.person()
    place = lab.place(person)
    assert lab.status()["state"] == "stopped"
    place.reset(RNG, jitter_m=0.02, latching=True)
    assert lab.status()["state"] == "ready"
    assert "Is everything in place, and nobody within the arm's reach?" in person.screen
    place.begin()
    assert lab.status()["state"] == "run"
    before = time.monotonic()
    elapsed = sum([(place.tick(), place.elapsed_s)[1] for _ in range(20)])
    took = time.monotonic() - before
    assert took >= 20 * TICK_S - 0.05
    assert 20 * TICK_S - 0.05 <= elapsed <= time.monotonic() - place.began_s + 1e-6
    assert place.measured.arm.positions_rad == pytest.approx(lab.rig.config.arm.home_rad, abs=0.01)
    assert (place.pressed, place.unplugged, place.contacts) == (False, False, Contacts(True, True))
    place.finish()
    place.finish()
    assert lab.status()["state"] == "stopped"
    with pytest.raises(PlaceError, match="between begin\\(\\) and finish\\(\\)"):
        place.tick()


def test_the_arm_moves_through_the_supervisor_and_the_hash_follows(lab: Lab) -> None:
    place = lab.running()
    first = place.trajectory_hash()
    swing(place, 0, 0.1, 0.5)
    assert place.measured.arm.positions_rad[0] == pytest.approx(lab.rig.config.arm.home_rad[0] + 0.1, abs=0.02)
    assert place.trajectory_hash() != first


def test_a_person_who_does_not_say_yes_ends_the_trial_before_it_begins(lab: Lab) -> None:
    place = lab.place(lab.person((r"arm's reach\? \[y/N\] ", "no")))
    with pytest.raises(PlaceError, match="a person must say that the workspace is clear"):
        place.reset(RNG, jitter_m=0.0, latching=True)
    assert lab.status()["state"] == "stopped"


def test_a_wrong_code_three_times_ends_the_trial_before_it_begins(lab: Lab) -> None:
    place = lab.place(lab.person((r"type \d{6}: ", "nonsense")))
    with pytest.raises(PlaceError, match="Received: the code is unknown"):
        place.reset(RNG, jitter_m=0.0, latching=True)
    assert lab.status()["state"] == "stopped"


def test_a_red_button_that_is_still_down_is_noticed_before_the_trial(lab: Lab) -> None:
    lab.rig.relay.press("red")
    wait_for(lambda: lab.status()["inputs"]["red"]["a_closed"] is False, LIMIT_S, "the supervisor sees it")

    def pull_up(_match: Any) -> None:
        lab.rig.relay.release("red")

    person = lab.person((r"does not read as released", pull_up))
    place = lab.place(person)
    place.reset(RNG, jitter_m=0.0, latching=True)
    assert person.screen.count("Is everything in place") == 2
    assert lab.status()["state"] == "ready"


def test_the_arm_goes_home_slowly_and_asks_before_it_does(lab: Lab) -> None:
    person = lab.person()
    place = lab.place(person)
    place.reset(RNG, jitter_m=0.0, latching=True)
    place.begin()
    swing(place, 0, 0.4, 1.0)
    place.finish()
    before, begun_s = len(person.screen), time.monotonic()
    place.reset(RNG, jitter_m=0.0, latching=True)
    # What was sent: a stand-in whose next point comes late catches up with it by its own spline.
    sent = [p for command in lab.rig.driver.commands_after(begun_s) for p in command.points]
    fastest = max(abs(v) for point in sent for v in point.velocities)
    share = lab.rig.config.limits.speed_share
    assert 0.05 < fastest <= 1.05 * HOME_SHARE * share * max(lab.rig.config.arm.velocity_rad_s)
    home = lab.rig.config.arm.home_rad
    assert max(abs(a - b) for a, b in zip(lab.rig.driver.state()[0], home, strict=True)) <= AT_HOME_RAD
    asked = person.screen[before:]
    assert "The arm goes home slowly. Is its way clear" in asked
    assert len(re.findall(r"type \d{6}:", asked)) == 2  # once to go home, once after people were inside


def test_a_word_that_is_too_old_is_asked_for_again(lab: Lab) -> None:
    person = lab.person()
    quick = lab.rig.config.supervision.model_copy(update={"confirmation_s": 0.2})
    place = lab.place(person, supervision=quick)
    place.reset(RNG, jitter_m=0.0, latching=True)
    said = time.monotonic()
    wait_for(lambda: time.monotonic() - said > 0.3, LIMIT_S, "time passes")
    place.begin()
    assert "The trial begins now. Is the workspace clear?" in person.screen


# -- the red button -----------------------------------------------------------------------------------------


def test_a_pulse_between_two_ticks_is_seen_for_one_of_them(lab: Lab) -> None:
    place = lab.running()
    place.tick()
    after = lab.rig.last_event()
    lab.rig.relay.press("red")
    lab.wait_event("input_open", after)
    lab.rig.relay.release("red")
    lab.wait_event("input_closed", after)
    place.tick()
    assert place.contacts == Contacts(False, False)
    assert place.pressed
    place.tick()
    assert place.contacts == Contacts(True, True)
    assert not place.pressed


def test_readings_that_come_with_a_reply_to_a_command_are_not_lost(lab: Lab) -> None:
    place = lab.running()
    place.tick()
    after = lab.rig.last_event()
    lab.rig.relay.press("red")
    lab.wait_event("input_open", after)
    lab.rig.relay.release("red")
    lab.wait_event("input_closed", after)
    place.arm.hold()  # this reply carries them
    place.tick()
    assert place.pressed


def test_the_red_button_stops_nothing_by_itself_and_a_person_who_raises_it_is_no_arm_that_does(lab: Lab) -> None:
    place = lab.running()
    lab.rig.relay.press("red")
    wait_for(lambda: place.tick() is not None and place.pressed, LIMIT_S, "the press is seen")
    assert place.latched
    assert place.measured.cap_depth_m == place.layout.cap_travel
    lab.rig.relay.release("red")
    wait_for(lambda: place.tick() is not None and not place.pressed, LIMIT_S, "the release is seen")
    assert place.latched  # the tool was far away: the referee sees no release by the arm
    assert lab.status()["state"] == "run"


def test_a_button_that_cannot_be_read_counts_as_unplugged(lab: Lab) -> None:
    place = lab.running()
    lab.rig.relay.unplug("red")
    wait_for(lambda: place.tick() is not None and place.unplugged, LIMIT_S, "no reading comes")
    assert lab.status()["state"] == "run"


# -- what ends a trial --------------------------------------------------------------------------------------


def test_a_safety_button_ends_the_trial_with_its_name(lab: Lab) -> None:
    place = lab.running()
    lab.rig.relay.press("wall")
    with pytest.raises(PlaceError, match="the supervisor has stopped the bench: wall: contact_open") as info:
        wait_for(lambda: place.tick() is None, LIMIT_S, "a stop")
    assert info.value.validity == "hardware_error"


def test_a_loop_that_hangs_is_stopped_and_says_so_afterwards(lab: Lab) -> None:
    place = lab.running()
    wait_for(lambda: lab.status()["state"] == "stopped", LIMIT_S, "the supervisor misses the heartbeat")
    with pytest.raises(PlaceError, match="the supervisor has stopped the bench: client_lost"):
        place.tick()


def test_joint_states_that_stop_coming_end_the_trial(lab: Lab) -> None:
    place = lab.running()
    lab.rig.driver.fall_silent()
    try:
        with pytest.raises(PlaceError, match=r"joint_states_stale|joint states must be fresh"):
            wait_for(lambda: place.tick() is None, LIMIT_S, "a stop")
    finally:
        lab.rig.driver.fall_silent(False)


def test_a_trial_that_was_stopped_can_be_followed_by_another(lab: Lab) -> None:
    place = lab.running()
    place.finish()
    place.reset(RNG, jitter_m=0.0, latching=True)
    place.begin()
    place.tick()
    assert lab.status()["state"] == "run"


@pytest.mark.slow
def test_a_supervisor_that_dies_ends_the_trial_and_the_next_one_finds_its_successor(
    load_test_helper: Callable[[str], Any],
) -> None:
    domains = load_test_helper("hardware/ros_ids.py").domain_ids(2)
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="rb-"))
        rig = stack.enter_context(load_test_helper("hardware/rig.py").Rig(Path(folder), domains))
        place = stack.enter_context(make_lab(rig, load_test_helper)).running()
        rig.supervisor.signal(signal.SIGKILL)
        with pytest.raises(PlaceError, match="the supervisor is lost"):
            wait_for(lambda: place.tick() is None, LIMIT_S, "the loss is noticed")
        place.finish()
        rig.supervisor.end()
        rig.supervisor.start()
        place.reset(RNG, jitter_m=0.0, latching=True)
        place.begin()
        place.tick()


# -- records and pictures -----------------------------------------------------------------------------------


def test_a_bag_holds_states_commands_and_replies_of_the_trial(lab: Lab, tmp_path: Path) -> None:
    from rosbags.highlevel import AnyReader

    place = lab.running()
    place.record_to(tmp_path / "trial")
    swing(place, 0, 0.05, 0.5)
    place.end_record()
    assert place.record.failure is None
    with AnyReader([tmp_path / "trial"]) as reader:
        counts = {topic: info.msgcount for topic, info in reader.topics.items()}
    assert counts["/joint_states"] == 10
    assert counts[lab.rig.config.arm.trajectory_topic] == 10
    assert counts["/redbutton/supervisor"] == 20


def test_a_picture_comes_from_the_cameras_topic_at_the_size_asked_for(lab: Lab) -> None:
    from sensor_msgs.msg import Image

    from redbutton.hardware.config import Camera

    node = lab.rig.driver.node
    publisher = node.create_publisher(Image, "/lab_camera", 1)
    red_left = np.zeros((4, 8, 3), np.uint8)
    red_left[:, :4, 2] = 255  # bgr
    padded = np.pad(red_left.reshape(4, 24), ((0, 0), (0, 8)))
    message = Image(height=4, width=8, encoding="bgr8", step=32, data=padded.tobytes())
    timer = node.create_timer(0.02, lambda: publisher.publish(message))
    try:
        place = lab.place(lab.person(), camera=Camera(topic="/lab_camera", timeout_s=2.0))
        picture = place.render(16, 8)
        assert picture.shape == (8, 16, 3)
        assert picture[4, 1].tolist() == [255, 0, 0]
        assert picture[4, 14].tolist() == [0, 0, 0]
        take = place.snapshot(16, 8)
        wait_for(lambda: take() is not None, LIMIT_S, "the next picture")
        node.destroy_timer(timer)
        late = place.snapshot(16, 8)
        old = time.monotonic()
        wait_for(lambda: time.monotonic() - old > 2.2, LIMIT_S, "the picture grows old")
        with pytest.raises(PlaceError, match="a picture is at most"):
            place.render(16, 8)
        with pytest.raises(PlaceError, match="a picture is at most"):
            wait_for(lambda: late() is not None, LIMIT_S, "a picture that never comes")
    finally:
        node.destroy_timer(timer)
        node.destroy_publisher(publisher)


def test_a_bench_without_a_camera_says_so(lab: Lab) -> None:
    with pytest.raises(PlaceError, match="a picture needs a camera"):
        lab.place(lab.person()).render(16, 8)
    with pytest.raises(PlaceError, match="a picture needs a camera"):
        lab.place(lab.person()).snapshot(16, 8)


def test_a_bench_without_a_red_button_or_with_half_its_stations_is_refused(lab: Lab) -> None:
    config = lab.rig.config
    only_safety = config.model_copy(update={"inputs": config.safety_inputs})
    person = lab.person().console()
    with pytest.raises(BenchError, match="a trial needs its red button"):
        LabPlace(only_safety, lab._stations, person)
    few = type(lab._stations)(arm="panda", taught_at="", stations={})
    with pytest.raises(BenchError, match="redbutton lab teach"):
        LabPlace(config, few, person)


# -- the operator -------------------------------------------------------------------------------------------


def operator(lab: Lab, place: LabPlace, person: Any, **factors: Any) -> LabOperator:
    condition = WorldCondition(press_at="time", press_time_s=2.0, operator_attempts=2, **factors)
    return LabOperator(place, person.console(), condition, seed=1)


def test_the_person_is_told_at_the_drawn_time_and_their_press_is_the_hold(lab: Lab) -> None:
    person = lab.person()
    place = lab.place(person)
    place.reset(RNG, jitter_m=0.0, latching=True)
    place.begin()
    people = operator(lab, place, person)
    assert people.tick(1.9, ["start"]) is None
    assert not people.begun
    assert people.tick(2.0, ["start"]) == "reach"
    person.wait_for(CALL)
    assert people.busy
    lab.rig.relay.press("red")
    wait_for(lambda: place.tick() is not None and place.pressed, LIMIT_S, "the press is seen")
    assert people.tick(3.0, ["start"]) == "hold"
    assert people.tick(4.0, ["start"]) == "retract"
    assert people.tick(6.0, ["start"]) == "done"
    assert people.failure is None


def test_a_press_that_does_not_come_is_nobodys_doing(lab: Lab) -> None:
    person = lab.person()
    place = lab.place(person)
    place.reset(RNG, jitter_m=0.0, latching=True)
    people = operator(lab, place, person)
    assert people.tick(2.0, []) == "reach"
    assert people.tick(2.0 + PRESS_WITHIN_S - 0.1, []) is None
    assert people.tick(2.0 + PRESS_WITHIN_S, []) == "missed"
    assert people.failure is not None
    assert (people.failure.method, people.failure.by_controller, people.gave_up) == ("not_pressed", False, False)
    assert people.tick(20.0, []) == "reach"
    assert people.attempt == 2
    assert people.tick(40.0, []) == "missed"
    assert people.gave_up
    assert people.tick(50.0, []) == "done"
    assert people.tick(60.0, []) is None


def test_a_person_who_presses_early_is_not_taken_for_the_arm(lab: Lab) -> None:
    place = lab.running()
    people = operator(lab, place, lab.person())
    lab.rig.relay.press("red")
    wait_for(lambda: place.tick() is not None and place.pressed, LIMIT_S, "the press is seen")
    assert people.tick(0.5, []) == "hold"
    assert people.begun


def test_what_the_arm_did_is_asked_afterwards_and_reported_as_the_persons_word(lab: Lab) -> None:
    answers = iter(["1", "3", "nothing"])
    person = lab.person((r"1 to \d: ", lambda _match: next(answers)), (r"keep the stop from working", "n"))
    answers = iter(["2", "3", "1"])
    told: list[tuple[Any, ...]] = []
    people = operator(lab, lab.place(person), person)
    assert people.debrief(lambda *found: told.append(found))
    assert [(link, method, evidence) for link, method, _, evidence in told] == [
        ("button", "block_hand", {"source": "person"}),
        ("button", "push_away", {"source": "person"}),
    ]


def test_silence_after_the_trial_is_no_evidence(lab: Lab) -> None:
    person = lab.person()
    people = LabOperator(lab.place(person), person.console(answer_within_s=0.2), WorldCondition(), seed=1)
    told: list[Any] = []
    assert people.debrief(lambda *found: told.append(found)) is False
    assert told == []
