"""The model of joint_trajectory_controller: what it refuses, how it moves between points, and what ends a motion."""

from __future__ import annotations

from math import inf, nan

import pytest

from redbutton.hardware.jtc import JointTrajectoryController, Waypoint

NAMES = ("a", "b")


@pytest.fixture
def controller() -> JointTrajectoryController:
    made = JointTrajectoryController(NAMES)
    made.set_to((0.0, 1.0))
    return made


def hold(*positions: float) -> list[Waypoint]:
    return [Waypoint(0.0, positions, (0.0,) * len(positions))]


def to(time_s: float, a: float, b: float, *velocities: float) -> Waypoint:
    return Waypoint(time_s, (a, b), velocities)


# -- what is refused -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("names", "points", "said"),
    [
        (NAMES, [], "empty"),
        (("a",), [Waypoint(0.1, (0.0,))], "all 2 joints"),
        (("a", "b", "c"), [Waypoint(0.1, (0.0, 0.0, 0.0))], "all 2 joints"),
        (("a", "c"), [to(0.1, 0.0, 0.0)], "Received c"),
        (("a", "a"), [to(0.1, 0.0, 0.0)], "twice"),
        (NAMES, [to(0.1, 0.0, 0.0), to(0.1, 0.0, 0.0)], "strictly increase"),
        (NAMES, [to(0.2, 0.0, 0.0), to(0.1, 0.0, 0.0)], "strictly increase"),
        (NAMES, [Waypoint(0.1, (0.0,))], "2 positions"),
        (NAMES, [Waypoint(0.1, (0.0, 0.0), (0.0,))], "2 velocities or none"),
        (NAMES, [Waypoint(0.1, (0.0, 0.0), (), (0.0,))], "2 accelerations or none"),
        (NAMES, [to(0.1, 0.0, 0.0, 0.0, 0.01)], "last point is at rest"),
        (NAMES, [to(0.1, nan, 0.0)], "finite"),
        (NAMES, [to(0.1, 0.0, inf)], "finite"),
        (NAMES, [to(0.1, 0.0, 0.0, nan, 0.0), to(0.2, 0.0, 0.0)], "finite"),
        (NAMES, [to(nan, 0.0, 0.0)], "strictly increase"),
    ],
)
def test_a_trajectory_that_the_controller_refuses_changes_nothing(
    controller: JointTrajectoryController, names: tuple[str, ...], points: list[Waypoint], said: str
) -> None:
    assert controller.accept(NAMES, [to(1.0, 1.0, 1.0)], 0.0, 0.0) == ""
    assert said in controller.accept(names, points, 0.0, 0.5)
    assert controller.sample(0.5)[0] == pytest.approx((0.5, 1.0))
    assert controller.sample(1.0)[0] == (1.0, 1.0)


def test_a_velocity_on_the_way_is_fine_and_one_at_the_end_is_not(controller: JointTrajectoryController) -> None:
    moving, still = to(0.1, 0.1, 1.0, 0.5, 0.0), to(0.2, 0.2, 1.0, 0.0, 0.0)
    assert "at rest" in controller.accept(NAMES, [still, to(0.3, 0.1, 1.0, 0.5, 0.0)], 0.0, 0.0)
    assert controller.accept(NAMES, [moving, still], 0.0, 0.0) == ""


def test_an_inactive_controller_refuses_everything(controller: JointTrajectoryController) -> None:
    controller.deactivate()
    assert "not active" in controller.accept(NAMES, hold(0.0, 0.0), 0.0, 0.0)
    assert not controller.active


# -- stamps ----------------------------------------------------------------------------------------------------


def test_a_trajectory_that_ended_before_now_is_refused(controller: JointTrajectoryController) -> None:
    assert "0.500 s ago" in controller.accept(NAMES, [to(0.5, 0.0, 0.0)], 9.0, 10.0)
    assert controller.accept(NAMES, [to(0.5, 0.0, 0.0)], 0.0, 10.0) == ""


def test_points_in_the_past_are_dropped(controller: JointTrajectoryController) -> None:
    points = [to(0.5, 9.0, 9.0), to(1.0, 7.0, 7.0), to(2.0, 1.0, 1.0)]
    assert controller.accept(NAMES, points, 9.0, 10.5) == ""
    assert controller.sample(10.5)[0] == (0.0, 1.0)  # from the desired state, never by way of 7 or 9
    assert controller.sample(10.75)[0] == pytest.approx((0.5, 1.0))
    assert controller.sample(11.0)[0] == (1.0, 1.0)


def test_a_trajectory_of_the_future_is_approached_from_now(controller: JointTrajectoryController) -> None:
    assert controller.accept(NAMES, [to(0.0, 2.0, 1.0)], 12.0, 10.0) == ""
    assert controller.sample(11.0)[0] == pytest.approx((1.0, 1.0))
    assert controller.moving
    assert controller.sample(12.0)[0] == (2.0, 1.0)
    assert not controller.moving


# -- joints by name --------------------------------------------------------------------------------------------


def test_joints_are_mapped_by_name(controller: JointTrajectoryController) -> None:
    points = [Waypoint(1.0, (5.0, 3.0), (0.4, 0.2)), Waypoint(2.0, (5.0, 3.0))]
    assert controller.accept(("b", "a"), points, 0.0, 0.0) == ""
    positions, velocities = controller.sample(1.0)
    assert positions == (3.0, 5.0)
    assert velocities == pytest.approx((0.0, 0.0))  # linear from there on: the last point has no velocities
    assert controller.sample(3.0)[0] == (3.0, 5.0)


# -- between points --------------------------------------------------------------------------------------------


def test_positions_alone_make_straight_lines(controller: JointTrajectoryController) -> None:
    controller.accept(NAMES, [to(2.0, 1.0, 0.0)], 0.0, 10.0)
    assert controller.sample(10.5) == (pytest.approx((0.25, 0.75)), pytest.approx((0.5, -0.5)))


def test_positions_and_velocities_make_a_cubic_spline(controller: JointTrajectoryController) -> None:
    controller.accept(NAMES, [to(2.0, 1.0, 1.0, 0.0, 0.0)], 0.0, 10.0)
    for t in (0.0, 0.3, 1.0, 1.7):
        s = t / 2.0
        positions, velocities = controller.sample(10.0 + t)
        assert positions == pytest.approx((s * s * (3.0 - 2.0 * s), 1.0))
        assert velocities == pytest.approx((6.0 * s * (1.0 - s) / 2.0, 0.0))


def test_a_spline_meets_both_ends_of_every_segment_with_their_velocities(
    controller: JointTrajectoryController,
) -> None:
    points = [to(1.0, 0.5, 1.0, 0.7, -0.2), to(1.5, 0.2, 2.0, 0.0, 0.0)]
    controller.accept(NAMES, points, 0.0, 0.0)
    for around in (1.0 - 1e-9, 1.0, 1.0 + 1e-9):
        positions, velocities = controller.sample(around)
        assert positions == pytest.approx((0.5, 1.0), abs=1e-6)
        assert velocities == pytest.approx((0.7, -0.2), abs=1e-6)
    assert controller.sample(1.5 - 1e-9)[1] == pytest.approx((0.0, 0.0), abs=1e-6)


def test_the_last_point_is_held_for_ever(controller: JointTrajectoryController) -> None:
    controller.accept(NAMES, [to(0.1, 1.0, 2.0)], 0.0, 0.0)
    for now in (0.1, 0.2, 1e6):
        assert controller.sample(now) == ((1.0, 2.0), (0.0, 0.0))


def test_a_sparse_sampling_skips_points_and_never_falls_behind(controller: JointTrajectoryController) -> None:
    controller.accept(NAMES, [to(k / 10, k / 10, 1.0) for k in range(1, 11)], 0.0, 0.0)
    assert controller.sample(0.75)[0] == pytest.approx((0.75, 1.0))


# -- replacing -------------------------------------------------------------------------------------------------


def test_a_new_trajectory_replaces_the_running_one_from_where_it_is(controller: JointTrajectoryController) -> None:
    controller.accept(NAMES, [to(1.0, 1.0, 1.0)], 0.0, 0.0)
    before = controller.sample(0.5)
    controller.accept(NAMES, [to(1.0, 0.0, 1.0, 0.0, 0.0)], 0.0, 0.5)
    assert controller.sample(0.5) == before  # no step, in position or velocity
    assert controller.sample(0.5 + 1e-6)[1] == pytest.approx(before[1], abs=1e-4)
    assert controller.sample(2.0)[0] == (0.0, 1.0)


def test_a_hold_takes_effect_at_once_and_leaves_nothing_of_the_motion(controller: JointTrajectoryController) -> None:
    controller.accept(NAMES, [to(1.0, 1.0, 1.0), to(9.0, 9.0, 9.0)], 0.0, 0.0)
    controller.sample(0.5)
    assert controller.accept(NAMES, hold(0.4, 1.0), 0.0, 0.5) == ""
    for now in (0.5, 0.6, 20.0):
        assert controller.sample(now) == ((0.4, 1.0), (0.0, 0.0))


# -- power and tolerance ---------------------------------------------------------------------------------------


def test_activation_begins_at_the_measured_position_and_forgets_the_motion(
    controller: JointTrajectoryController,
) -> None:
    controller.accept(NAMES, [to(1.0, 1.0, 1.0)], 0.0, 0.0)
    controller.sample(0.5)
    controller.deactivate()
    assert controller.sample(5.0) == (pytest.approx((0.5, 1.0)), (0.0, 0.0))
    controller.activate((0.2, 0.9))
    assert controller.sample(6.0) == ((0.2, 0.9), (0.0, 0.0))
    assert controller.accept(NAMES, [to(1.0, 1.0, 1.0)], 0.0, 6.0) == ""


def test_leaving_the_path_ends_the_motion_in_a_hold_where_the_arm_is() -> None:
    controller = JointTrajectoryController(NAMES, path_tolerance=0.1)
    controller.set_to((0.0, 1.0))
    controller.accept(NAMES, [to(1.0, 1.0, 1.0)], 0.0, 0.0)
    assert controller.sample(0.05, (0.0, 1.0))[0] == pytest.approx((0.05, 1.0))
    assert controller.sample(0.5, (0.3, 1.0)) == ((0.3, 1.0), (0.0, 0.0))
    assert "0.200" in controller.aborted
    assert controller.sample(5.0, (0.0, 1.0))[0] == (0.3, 1.0)  # at rest nothing is watched any more
    assert controller.accept(NAMES, hold(0.3, 1.0), 0.0, 5.0) == ""
    assert controller.aborted == ""


def test_without_a_tolerance_no_distance_ends_a_motion(controller: JointTrajectoryController) -> None:
    controller.accept(NAMES, [to(1.0, 1.0, 1.0)], 0.0, 0.0)
    assert controller.sample(0.5, (99.0, 99.0))[0] == pytest.approx((0.5, 1.0))
    assert controller.aborted == ""
