"""What is sent to the arm's controllers."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from redbutton.hardware.config import Arm, Gripper, profiles
from redbutton.hardware.jtc import JointTrajectoryController, Waypoint
from redbutton.hardware.trajectories import (
    Trajectory,
    gripper_joint,
    gripper_message,
    gripper_opening,
    gripper_type,
    hold,
    motion,
    trajectory_message,
)

ARM = Arm.model_validate({**profiles()["panda_twin"], "power": None})
HOME = ARM.home_rad
SLOW = (0.1,) * 7
within = st.tuples(*(st.floats(low, high) for low, high in zip(ARM.lower_rad, ARM.upper_rad, strict=True)))
speeds = st.tuples(*(st.floats(-v, v) for v in ARM.velocity_rad_s))


def played(trajectory: Trajectory) -> JointTrajectoryController:
    """A controller that has been at home and has accepted the trajectory at time 0."""
    controller = JointTrajectoryController(ARM.joint_names)
    controller.set_to(HOME)
    points = [Waypoint(p.t_s, p.positions, p.velocities) for p in trajectory.points]
    assert controller.accept(trajectory.joint_names, points, 0.0, 0.0) == ""
    return controller


def test_a_hold_is_one_point_at_rest_at_the_position_given() -> None:
    (point,) = hold(ARM, HOME).points
    assert (point.positions, set(point.velocities), point.t_s) == (HOME, {0.0}, 0.0)


def test_a_hold_is_where_the_controller_is_at_once() -> None:
    there = tuple(q + 0.1 for q in HOME)
    assert played(hold(ARM, there)).sample(0.001) == (there, (0.0,) * 7)


def test_a_command_reaches_its_target_with_its_velocity_and_then_comes_to_rest() -> None:
    target = tuple(q + 0.01 for q in HOME)
    controller = played(motion(ARM, target, SLOW, 0.1))
    positions, velocities = controller.sample(0.1)
    assert positions == pytest.approx(target)
    assert velocities == pytest.approx(SLOW)
    positions, velocities = controller.sample(0.2)
    assert positions == pytest.approx([q + 0.1 * 0.1 / 2 for q in target])
    assert velocities == (0.0,) * 7


def test_the_ramp_to_rest_is_a_constant_deceleration_without_overshoot() -> None:
    controller = played(motion(ARM, HOME, SLOW, 0.1, brake_s=0.2))
    speeds_seen = [controller.sample(0.1 + 0.02 * k)[1][0] for k in range(11)]
    assert speeds_seen == pytest.approx([0.1 * (1 - k / 10) for k in range(11)], abs=1e-9)


@given(positions=within, velocities=speeds, duration_s=st.floats(0.005, 0.3), brake_s=st.none() | st.floats(0.005, 1.0))
def test_every_command_ends_at_rest_within_the_limits(
    positions: tuple[float, ...], velocities: tuple[float, ...], duration_s: float, brake_s: float | None
) -> None:
    trajectory = motion(ARM, positions, velocities, duration_s, brake_s)
    last = trajectory.points[-1]
    assert set(last.velocities) == {0.0}
    assert all(low <= q <= high for low, q, high in zip(ARM.lower_rad, last.positions, ARM.upper_rad, strict=True))
    times = [point.t_s for point in trajectory.points]
    assert 0.0 < times[0] < times[1]
    played(trajectory)


def test_joints_are_named_in_the_controllers_order() -> None:
    assert hold(ARM, HOME).joint_names == motion(ARM, HOME, SLOW, 0.1).joint_names == ARM.joint_names


@pytest.mark.parametrize("numbers", [HOME[:6], (*HOME, 0.0), ()])
def test_a_wrong_number_of_joints_is_an_error(numbers: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match="7 numbers"):
        hold(ARM, numbers)
    with pytest.raises(ValueError, match="7 numbers"):
        motion(ARM, HOME, numbers, 0.1)


@pytest.mark.parametrize("duration_s", [0.0, -0.1, float("nan")])
def test_a_command_takes_time(duration_s: float) -> None:
    with pytest.raises(ValueError, match="must be > 0"):
        motion(ARM, HOME, SLOW, duration_s)


def test_an_opening_and_its_joint_position_are_each_others_inverse_and_clamped() -> None:
    gripper = Gripper(kind="positions", topic="/g", joint="j", open_m=0.08, joint_per_m=-9.0, joint_offset=0.72)
    assert gripper_joint(gripper, 0.08) == pytest.approx(0.0)
    assert gripper_opening(gripper, gripper_joint(gripper, 0.03)) == pytest.approx(0.03)
    assert gripper_joint(gripper, 1.0) == gripper_joint(gripper, 0.08)
    assert gripper_joint(gripper, -1.0) == gripper_joint(gripper, 0.0)


# -- ROS messages -----------------------------------------------------------------------------------------------


@pytest.fixture
def messages() -> None:
    pytest.importorskip("trajectory_msgs", reason="needs ROS messages: pip install 'redbutton[ros]'")


@pytest.mark.ros
@pytest.mark.usefixtures("messages")
def test_a_message_begins_on_arrival_and_carries_every_point() -> None:
    message = trajectory_message(motion(ARM, HOME, SLOW, 0.1))
    assert (message.header.stamp.sec, message.header.stamp.nanosec) == (0, 0)
    assert tuple(message.joint_names) == ARM.joint_names
    assert [(p.time_from_start.sec, p.time_from_start.nanosec) for p in message.points] == [
        (0, 100_000_000),
        (0, 200_000_000),
    ]
    assert tuple(message.points[0].positions) == HOME
    assert tuple(message.points[0].velocities) == SLOW


@pytest.mark.ros
@pytest.mark.usefixtures("messages")
def test_a_duration_is_rounded_into_whole_seconds() -> None:
    message = trajectory_message(hold(ARM, HOME, after_s=1.9999999999))
    assert (message.points[0].time_from_start.sec, message.points[0].time_from_start.nanosec) == (2, 0)


@pytest.mark.ros
@pytest.mark.usefixtures("messages")
def test_a_gripper_is_commanded_by_its_kind() -> None:
    as_trajectory = gripper_message(ARM.gripper, 0.04, 0.5)
    assert as_trajectory.joint_names == ["panda_finger_joint1"]
    assert list(as_trajectory.points[0].positions) == [pytest.approx(0.02)]
    assert as_trajectory.points[0].time_from_start.nanosec == 500_000_000
    positions = Gripper(kind="positions", topic="/g", joint="j", open_m=0.08)
    assert list(gripper_message(positions, 0.04, 0.5).data) == [0.04]
    assert isinstance(as_trajectory, gripper_type(ARM.gripper))
    assert isinstance(gripper_message(positions, 0.04, 0.5), gripper_type(positions))
    with pytest.raises(ValueError, match="trajectory or positions"):
        gripper_message(Gripper(), 0.04, 0.5)
