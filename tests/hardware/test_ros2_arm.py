"""The arm over ROS 2: read over real DDS, commanded through a real supervisor process and a driver stand-in."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from math import nan
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from redbutton.estop import StopCategory
from redbutton.hardware.channel import SupervisorClient
from redbutton.hardware.config import BenchConfig, BenchError, parse_bench
from redbutton.hardware.ros import RosNode, command_qos, wait_for
from redbutton.hardware.ros2_arm import Ros2Arm
from redbutton.robots.arms import panda_urdf
from redbutton.robots.base import InvalidCommandError, NotConnectedError, Robot, RobotError, TrajectoryPoint

pytest.importorskip("rclpy", reason="rclpy is not installed (pip install 'redbutton[ros]')")
pytestmark = [
    pytest.mark.ros,
    pytest.mark.filterwarnings("ignore:module 'sre_:DeprecationWarning"),  # lark, which rosidl imports
]

WITHIN_S = 30.0
NEAR_RAD = 0.02
"""How far from home the narrowed limits of this bench's arm lie."""


@pytest.fixture(scope="module")
def rigs(load_test_helper: Callable[[str], ModuleType]) -> ModuleType:
    return load_test_helper("hardware/rig.py")


@pytest.fixture(scope="module")
def ids(load_test_helper: Callable[[str], ModuleType]) -> Callable[[int], tuple[int, ...]]:
    take: Callable[[int], tuple[int, ...]] = load_test_helper("hardware/ros_ids.py").domain_ids
    return take


class Bench:
    """A running supervisor and driver, and one arm on them."""

    def __init__(self, rig: Any) -> None:
        self.rig = rig
        self.driver = rig.driver
        self.config: BenchConfig = rig.config
        self.operator: SupervisorClient = rig.client("operator")
        self.client: SupervisorClient = rig.client("motion")
        self.ros = RosNode("trial", self.config.ros.domain_id)
        self.ros.open()
        self.replies: list[dict[str, Any]] = []
        self.arm = Ros2Arm(self.config, self.client, self.ros, on_reply=self.replies.append)

    def close(self) -> None:
        self.arm.close()
        self.ros.close()
        self.rig.close()

    def start(self) -> None:
        """Connected, armed, at rest, with power."""
        self.arm.connect()
        if not self.client.beat()["ok"] or self.operator.status()["state"] != "run":
            self.client.release()
            if self.operator.status()["state"] == "stopped":
                self.rig.reset(self.operator)
            assert self.client.lease()["ok"]
            assert self.operator.arm()["ok"]
        self.arm.enable()
        self.wait(lambda: self.client.beat()["settled"], "rest")
        self.replies.clear()

    def wait(self, condition: Callable[[], bool], what: str) -> None:
        """Wait with a beating heart."""
        deadline = time.monotonic() + WITHIN_S
        while not condition():
            reply = self.client.beat()
            assert time.monotonic() < deadline, (what, reply, self.rig.events()[-12:])
            time.sleep(0.002)

    def point(self, joint: int = 0, by_rad: float = 0.01, gripper_m: float = 0.05) -> TrajectoryPoint:
        """A little away from where the arm is."""
        positions = list(self.arm.read().positions_rad)
        positions[joint] += by_rad
        return TrajectoryPoint(tuple(positions), (0.0,) * len(positions), gripper_m)


@pytest.fixture(scope="module")
def shared(rigs: ModuleType, ids: Callable[[int], tuple[int, ...]], tmp_path_factory: Any) -> Iterator[Bench]:
    rig = rigs.Rig(tmp_path_factory.mktemp("arm"), ids(2))
    # Limits so near to home that the clamped point is one that the supervisor lets through.
    home = [0.0, -0.7853981633974483, 0.0, -2.356194490192345, 0.0, 1.5707963267948966, 0.7853981633974483]
    rig._document["arm"] |= {
        "lower_rad": [v - NEAR_RAD for v in home],
        "upper_rad": [v + NEAR_RAD for v in home],
    }
    with rig:
        bench = Bench(rig)
        yield bench
        bench.close()


@pytest.fixture
def bench(shared: Bench) -> Iterator[Bench]:
    shared.start()
    yield shared
    shared.arm.close()
    shared.client.release()


# -- reading ------------------------------------------------------------------------------------------------


def test_it_is_a_robot_and_its_specification_is_that_of_the_bench(shared: Bench) -> None:
    spec, arm = shared.arm.spec, shared.config.arm
    assert isinstance(shared.arm, Robot)
    assert (spec.joint_names, spec.lower_rad, spec.gripper_open_m) == (arm.joint_names, arm.lower_rad, 0.08)
    share = shared.config.limits.speed_share
    assert share == 0.5
    assert spec.velocity_rad_s == tuple(share * v for v in arm.velocity_rad_s)


def test_verbs_without_a_connection_say_so(shared: Bench) -> None:
    loose = Ros2Arm(shared.config, shared.client, shared.ros)
    for verb in (loose.read, loose.hold, loose.enable, loose.sync, lambda: loose.latest_stamp_s):
        with pytest.raises(NotConnectedError, match=r"Call connect\(\) first"):
            verb()


def test_connecting_without_a_node_in_the_graph_says_so(shared: Bench) -> None:
    with pytest.raises(NotConnectedError, match="Open its RosNode"):
        Ros2Arm(shared.config, shared.client, RosNode("closed", 0)).connect()


def test_connecting_takes_no_lease_and_moves_nothing(shared: Bench) -> None:
    shared.client.release()
    at = shared.driver.state()[0]
    shared.arm.connect()
    assert shared.operator.status()["lease"]["held"] is False
    assert shared.arm.read().positions_rad == pytest.approx(at, abs=1e-9)
    shared.arm.close()


def test_reading_tells_joints_gripper_power_and_the_drivers_time(bench: Bench) -> None:
    state = bench.arm.read()
    assert state.positions_rad == pytest.approx(bench.driver.state()[0], abs=1e-9)
    assert len(state.velocities_rad_s) == 7
    assert state.gripper_m == pytest.approx(0.08)  # the stand-in's finger joint is at 0.04, half the opening
    assert state.powered
    before = bench.arm.latest_stamp_s
    bench.wait(lambda: bench.arm.latest_stamp_s > before, "a new reading")
    assert 0.0 <= time.time() - bench.arm.latest_stamp_s < WITHIN_S


def test_old_joint_states_are_an_error_until_new_ones_come(bench: Bench) -> None:
    bench.driver.fall_silent()
    try:
        wait_for(lambda: not _readable(bench.arm), WITHIN_S, "stale joint states")
        with pytest.raises(NotConnectedError, match=r"must be fresh\. Received panda_joint1 \d+\.\d+ s ago and 6 more"):
            bench.arm.read()
    finally:
        bench.driver.fall_silent(False)
    wait_for(lambda: _readable(bench.arm), WITHIN_S, "fresh joint states")


def _readable(arm: Ros2Arm) -> bool:
    try:
        arm.read()
    except NotConnectedError:
        return False
    return True


# -- commanding ---------------------------------------------------------------------------------------------


def test_a_command_reaches_the_driver_and_is_returned_as_it_was_sent(bench: Bench) -> None:
    wanted, begin_s = bench.point(), time.monotonic()
    assert bench.arm.command(wanted).point == wanted
    bench.wait(lambda: bool(bench.driver.commands_after(begin_s)), "the command at the driver")
    received = bench.driver.commands_after(begin_s)[0]
    assert received.points[0].positions == pytest.approx(wanted.positions_rad)
    assert received.points[0].time_s == pytest.approx(bench.arm.control_period_s)
    assert received.stamp_s == 0.0
    bench.wait(lambda: abs(bench.arm.read().positions_rad[0] - wanted.positions_rad[0]) < 1e-4, "the arm there")
    assert bench.arm.gripper_command_m == 0.05
    bench.wait(lambda: bench.driver.gripper[-1:] == [(0.025,)], "the gripper")


@pytest.mark.parametrize("joint", range(7))
@pytest.mark.parametrize("side", [-1, 1])
def test_a_command_is_cut_to_the_limits_and_the_caller_is_told(bench: Bench, joint: int, side: int) -> None:
    spec = bench.arm.spec
    wild = replace(bench.point(joint, side * 9.0), velocities_rad_s=(9.0,) * 7, gripper_m=1.0)
    sent = bench.arm.command(wild).point
    assert sent is not None
    assert sent.positions_rad[joint] == (spec.lower_rad if side < 0 else spec.upper_rad)[joint]
    assert sent.velocities_rad_s == spec.velocity_rad_s
    assert sent.gripper_m == spec.gripper_open_m


@pytest.mark.parametrize("field", ["positions_rad", "velocities_rad_s"])
def test_a_broken_command_is_an_error_and_is_not_sent(bench: Bench, field: str) -> None:
    for values in ((nan,) * 7, (0.0,) * 6, ()):
        with pytest.raises(InvalidCommandError, match="Received"):
            bench.arm.command(replace(bench.point(), **{field: values}))
    with pytest.raises(InvalidCommandError):
        bench.arm.command(replace(bench.point(), gripper_m=nan))
    assert bench.replies == []


def test_what_the_supervisor_refuses_was_not_sent_and_has_its_reason(bench: Bench) -> None:
    bench.client.release()
    sent = bench.arm.command(bench.point())
    assert sent.point is None
    assert "lease" in sent.reason


# -- stopping -----------------------------------------------------------------------------------------------


def test_a_stop_holds_in_a_new_epoch_and_what_is_commanded_later_moves_again(bench: Bench) -> None:
    before, begin_s = bench.arm.epoch, time.monotonic()
    bench.arm.stop(StopCategory.TWO)
    assert bench.arm.epoch == before + 1
    bench.wait(lambda: bool(bench.driver.holds_after(begin_s)), "a hold at the driver")
    bench.wait(lambda: bench.client.beat()["settled"], "rest")
    assert bench.arm.read().powered
    assert bench.arm.command(bench.point()).point is not None


def test_a_stop_that_holds_already_is_not_repeated_and_one_after_a_command_is(bench: Bench) -> None:
    bench.arm.stop(StopCategory.TWO)
    epoch = bench.arm.epoch
    bench.arm.stop(StopCategory.TWO)
    assert bench.arm.epoch == epoch
    bench.wait(lambda: bench.client.beat()["settled"], "rest")
    assert bench.arm.command(bench.point()).point is not None
    bench.arm.stop(StopCategory.TWO)
    assert bench.arm.epoch == epoch + 1


@pytest.mark.parametrize("category", [StopCategory.ZERO, StopCategory.ONE])
def test_categories_0_and_1_take_the_drives_power_until_it_is_given_back(bench: Bench, category: StopCategory) -> None:
    bench.driver.power.clear()
    bench.arm.stop(category)
    bench.arm.stop(StopCategory.TWO)  # gives nothing back
    bench.wait(lambda: bench.driver.power == ["off"], "the power's end")
    assert not bench.arm.read().powered
    for sent in (bench.arm.command(bench.point()), bench.arm.hold()):
        assert sent.point is None
        assert f"category {int(category)}" in sent.reason
    bench.arm.enable()
    bench.wait(lambda: bench.driver.power == ["off", "on"], "power again")
    bench.wait(lambda: bench.client.beat()["settled"], "rest")
    assert bench.arm.command(bench.point()).point is not None


def test_without_power_services_a_category_0_stop_is_a_hold_and_claims_no_more(bench: Bench) -> None:
    config = bench.config.model_copy(update={"arm": bench.config.arm.model_copy(update={"power": None})})
    plain = Ros2Arm(config, bench.client, bench.ros)
    plain.connect()
    plain.stop(StopCategory.ZERO)
    assert plain.read().powered
    plain.close()


def test_a_hold_says_where_and_leaves_the_arm_there(bench: Bench) -> None:
    at = bench.arm.read().positions_rad
    sent = bench.arm.hold()
    assert sent.point is not None
    assert sent.point.positions_rad == pytest.approx(at, abs=1e-6)
    assert set(sent.point.velocities_rad_s) == {0.0}
    bench.wait(lambda: bench.client.beat()["settled"], "rest")
    assert bench.arm.read().positions_rad == pytest.approx(at, abs=1e-6)


def test_a_safety_stop_refuses_every_command_and_arming_anew_needs_a_new_start(bench: Bench) -> None:
    assert bench.operator.stop("a test")["ok"]
    sent = bench.arm.command(bench.point())
    assert sent.point is None
    assert "stopped" in sent.reason
    bench.rig.reset(bench.operator)
    bench.client.beat()
    assert bench.operator.arm()["ok"]
    bench.wait(lambda: bench.client.beat()["settled"], "rest")
    stale = bench.arm.command(bench.point())
    assert stale.point is None
    assert "made before a stop" in stale.reason
    bench.arm.sync()
    assert bench.arm.command(bench.point()).point is not None


def test_a_stop_that_does_not_arrive_is_an_error_and_is_tried_again(bench: Bench) -> None:
    class Deaf:
        """A client whose first holds are refused: it has another role."""

        def __init__(self, real: Any, watcher: SupervisorClient) -> None:
            self.status, self.command, self.enable = real.status, real.command, real.enable
            self.hold = watcher.hold

    watcher = bench.rig.client("watch")
    deaf = Deaf(bench.client, watcher)
    arm = Ros2Arm(bench.config, deaf, bench.ros)
    arm.connect()
    with pytest.raises(RobotError, match="the supervisor refuses: this needs the role motion"):
        arm.stop(StopCategory.TWO)
    deaf.hold = bench.client.hold
    begin_s = time.monotonic()
    arm.stop(StopCategory.TWO)
    bench.wait(lambda: bool(bench.driver.holds_after(begin_s)), "a hold at the driver")
    arm.close()


# -- the arm's own controller, the study's input ------------------------------------------------------------


def test_a_safety_mode_that_is_not_normal_means_no_power(bench: Bench) -> None:
    bench.driver.set_mode(3)
    bench.wait(lambda: not bench.arm.powered, "the safety mode")
    assert not bench.arm.read().powered
    sent = bench.arm.command(bench.point())
    assert sent.point is None
    assert "safety mode is 3" in sent.reason
    bench.driver.set_mode(1)
    bench.wait(lambda: bench.arm.powered, "the normal mode")


def test_every_reply_of_the_supervisor_is_handed_on_with_the_buttons_readings(bench: Bench) -> None:
    bench.rig.relay.press("red")
    try:
        bench.wait(lambda: _pressed(bench), "the press in a reply to a command")
    finally:
        bench.rig.relay.release("red")


def _pressed(bench: Bench) -> bool:
    bench.arm.command(bench.point(by_rad=0.0))
    readings = [r for reply in bench.replies for r in reply.get("study", {}).get("readings", [])]
    beaten = [r for r in bench.client.beat()["study"]["readings"] if r[1:] == [False, False]]
    return any(r[1:] == [False, False] for r in readings) or bool(beaten)


# -- the end ------------------------------------------------------------------------------------------------


def test_closing_twice_holds_and_lets_go_and_connecting_again_works(bench: Bench) -> None:
    begin_s = time.monotonic()
    bench.arm.close()
    bench.arm.close()
    bench.wait(lambda: bool(bench.driver.holds_after(begin_s)), "a hold at the driver")
    with pytest.raises(NotConnectedError):
        bench.arm.read()
    bench.arm.connect()
    assert bench.arm.read().powered


def test_a_supervisor_that_is_gone_is_a_lost_connection_and_closing_is_still_safe(
    rigs: ModuleType, ids: Callable[[int], tuple[int, ...]], tmp_path: Path
) -> None:
    with rigs.Rig(tmp_path, ids(2)) as rig:
        bench = Bench(rig)
        bench.start()
        rig.supervisor.signal(signal.SIGKILL)
        wait_for(lambda: rig.supervisor.process.poll() is not None, WITHIN_S, "the supervisor's end")
        with pytest.raises(NotConnectedError, match="the supervisor is lost"):
            bench.arm.command(bench.point(by_rad=0.0))
        with pytest.raises(NotConnectedError):
            bench.arm.stop(StopCategory.ZERO)
        bench.arm.close()
        bench.arm.close()
        bench.ros.close()


# -- joint states as drivers send them ------------------------------------------------------------------------


class Talker:
    """A driver's node that says what a test wants."""

    def __init__(self, config: BenchConfig) -> None:
        from sensor_msgs.msg import JointState

        self.ros = RosNode("talker", config.ros.domain_id)
        self.ros.open()
        self.topic = self.ros.node.create_publisher(JointState, config.arm.joint_states, command_qos())
        self.t_s = 100.0

    def say(self, names: list[str], positions: list[float], velocities: list[float], dt_s: float = 0.01) -> None:
        from sensor_msgs.msg import JointState

        self.t_s += dt_s
        message = JointState(name=names, position=positions, velocity=velocities)
        message.header.stamp.sec, message.header.stamp.nanosec = divmod(round(self.t_s * 1e9), 10**9)
        self.topic.publish(message)


@pytest.fixture(scope="module")
def quiet(rigs: ModuleType, ids: Callable[[int], tuple[int, ...]]) -> Iterator[Any]:
    """A bench without a driver: its graph, a listening arm that nobody tells anything, and a talker."""
    relay = {"kind": "modbus", "name": "wall", "host": "127.0.0.1"}
    domain_id, study_domain_id = ids(2)
    config = parse_bench(
        rigs.patient(
            {
                "name": "quiet",
                "arm": {"profile": "panda_twin", "safety_mode": None, "power": None},
                "inputs": [relay],
                "ros": {"domain_id": domain_id, "study_domain_id": study_domain_id},
            }
        )
    )
    talker, ros = Talker(config), RosNode("listener", config.ros.domain_id)
    ros.open()
    yield SimpleNamespace(config=config, talker=talker, ros=ros)
    ros.close()
    talker.ros.close()


@pytest.fixture
def reader(quiet: Any) -> Iterator[Any]:
    from redbutton.hardware.joint_reader import JointReader

    reader = JointReader(quiet.config, quiet.ros)
    reader.listen()
    wait_for(lambda: _hears(quiet, reader), WITHIN_S, "the reader in the graph")
    yield reader
    reader.close()
    reader.close()
    wait_for(lambda: quiet.talker.topic.get_subscription_count() == 0, WITHIN_S, "the reader gone")


ARM = [f"panda_joint{n}" for n in range(1, 8)]


def test_arm_and_gripper_may_be_told_by_different_nodes(quiet: Any, reader: Any) -> None:
    quiet.talker.say(ARM, [0.1 * n for n in range(7)], [0.0] * 7)
    wait_for(lambda: "panda_joint7" in reader.snapshot(), WITHIN_S, "the arm")
    assert reader.lost(reader.snapshot()) == "panda_finger_joint1 never"
    quiet.talker.say(["panda_finger_joint1", "stranger"], [0.03, 1.0], [])
    wait_for(lambda: "panda_finger_joint1" in reader.snapshot(), WITHIN_S, "the gripper")
    assert reader.snapshot()["panda_joint3"].position == pytest.approx(0.2)
    assert reader.snapshot()["panda_finger_joint1"].position == pytest.approx(0.03)


def test_velocities_that_a_driver_does_not_send_are_worked_out(quiet: Any, reader: Any) -> None:
    quiet.talker.say(ARM, [0.0] * 7, [])
    wait_for(lambda: "panda_joint1" in reader.snapshot(), WITHIN_S, "the first")
    assert reader.snapshot()["panda_joint1"].velocity == 0.0
    quiet.talker.say(ARM, [0.05] + [0.0] * 6, [nan] * 7, dt_s=0.1)
    wait_for(lambda: reader.snapshot()["panda_joint1"].position == 0.05, WITHIN_S, "the second")
    assert reader.snapshot()["panda_joint1"].velocity == pytest.approx(0.5)


def test_garbage_and_repeated_stamps_are_no_news(quiet: Any, reader: Any) -> None:
    quiet.talker.say(ARM, [0.3] * 7, [0.0] * 7)
    wait_for(lambda: "panda_joint1" in reader.snapshot(), WITHIN_S, "the first")
    first = {name: reader.snapshot()[name] for name in ARM}
    quiet.talker.say(ARM, [0.4] * 7, [0.0] * 7, dt_s=0.0)  # the same stamp
    quiet.talker.say(ARM, [nan] * 7, [0.0] * 7)
    quiet.talker.say(["end"], [1.0], [0.0])
    wait_for(lambda: "end" in reader.snapshot(), WITHIN_S, "the last")
    assert {name: reader.snapshot()[name] for name in ARM} == first


def test_connecting_to_a_silent_arm_names_what_is_missing(quiet: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("redbutton.hardware.ros2_arm.CONNECT_S", 0.3)
    arm = Ros2Arm(quiet.config, SupervisorClient("/nowhere", "motion"), quiet.ros)
    with pytest.raises(NotConnectedError, match=r"Received panda_joint1 never and 7 more in 0\.3 s\. Start the arm"):
        arm.connect()
    arm.close()


def test_listening_and_leaving_again_and_again_does_not_end_the_nodes_thread(quiet: Any) -> None:
    from redbutton.hardware.joint_reader import JointReader

    reader = JointReader(quiet.config, quiet.ros)
    for _ in range(60):
        reader.listen()
        wait_for(lambda: _hears(quiet, reader), WITHIN_S, "joint states")
        reader.close()
        assert quiet.ros.spinning


def _hears(quiet: Any, reader: Any) -> bool:
    """Whether a message came through: either side may know of the other first."""
    quiet.talker.say(["warm_up"], [0.0], [])
    return "warm_up" in reader.snapshot()


# -- the arm's description of itself --------------------------------------------------------------------------


def test_the_kinematics_come_from_what_the_arm_says_of_itself(quiet: Any, rigs: ModuleType) -> None:
    pytest.importorskip("pinocchio", reason="pinocchio is not installed (pip install 'redbutton[lab]')")
    from std_msgs.msg import String

    from redbutton.hardware.description import kinematics_of, robot_description

    arm = quiet.config.arm.model_copy(update={"urdf": None})
    with pytest.raises(BenchError, match=r"must be heard on /robot_description"):
        robot_description(quiet.ros, "/robot_description", 0.2)
    latched = quiet.talker.ros.node.create_publisher(String, "/robot_description", rigs.latched_qos())
    latched.publish(String(data=panda_urdf()))
    told = kinematics_of(arm, quiet.ros)
    assert told.forward(arm.home_rad) == kinematics_of(quiet.config.arm, quiet.ros).forward(arm.home_rad)
