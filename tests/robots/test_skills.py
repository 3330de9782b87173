"""What each skill does to the bodies, that it keeps to the limits, and that it can be ended at any tick."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from math import dist, hypot, radians
from types import ModuleType

import numpy as np
import pytest

from redbutton.envs.world import World
from redbutton.robots.base import TrajectoryPoint
from redbutton.robots.kinematics import UnreachableError, forward
from redbutton.robots.skills import HOVER_M, Skills, Station

EPS = 1e-6
Sequence_ = list[tuple[str, str]]

ERRANDS: dict[str, Sequence_] = {
    "fetch": [
        ("pick", "cup"),
        ("place", "machine"),
        ("press", "brew_button"),
        ("pick", "cup"),
        ("place", "coaster"),
        ("pick", "cup"),
        ("place", "counter"),
    ],
    "cover": [("pick", "lid"), ("place", "button"), ("pick", "lid"), ("place", "counter")],
    "button": [("press", "button"), ("pull", "button"), ("push", "button"), ("press", "reset")],
    "rest": [("pull", "cable"), ("push", "hand"), ("move_to", "cup"), ("move_to", "cable"), ("move_to", "reset")],
}


def _within(world: World, points: list[TrajectoryPoint], start: tuple[float, ...]) -> None:
    spec, before = world.arm.spec, start
    for point in points:
        for n, (q, v) in enumerate(zip(point.positions_rad, point.velocities_rad_s, strict=True)):
            assert spec.lower_rad[n] <= q <= spec.upper_rad[n]
            assert abs(v) <= spec.velocity_rad_s[n] + EPS
            assert abs(q - before[n]) / 0.05 <= spec.velocity_rad_s[n] + EPS
        assert 0.0 <= point.gripper_m <= spec.gripper_open_m
        before = point.positions_rad


@pytest.mark.parametrize("errand", list(ERRANDS))
def test_every_point_of_every_skill_keeps_to_the_limits(world: World, moves: ModuleType, errand: str) -> None:
    for name, target in ERRANDS[errand]:
        start = world.measured.arm.positions_rad
        points = moves.points(world, name, target)
        assert len(points) > 3
        _within(world, points, start)


def test_a_skill_from_a_far_turned_arm_keeps_to_the_joint_limits(world: World, moves: ModuleType) -> None:
    turned = (-2.5, *world.arm.spec.home_rad[1:])
    world.arm.place_at(turned)
    start = world.tick().arm.positions_rad
    _within(world, moves.points(world, "move_to", "cable"), start)


def test_move_to_ends_above_the_place(world: World, moves: ModuleType) -> None:
    for target in ("cup", "machine", "coaster", "brew_button", "counter", "button", "lid", "cable", "reset"):
        assert moves.perform(world, "move_to", target).ok
        pose, tool = world.station(target).pose(HOVER_M), forward(world.measured.arm.positions_rad)
        assert dist((pose.x, pose.y, pose.z), (tool.x, tool.y, tool.z)) < 0.01


def test_pick_lifts_the_cup_and_place_puts_it_down(world: World, moves: ModuleType) -> None:
    outcome = moves.perform(world, "pick", "cup")
    assert (outcome.ok, outcome.text) == (True, "the gripper holds the cup")
    assert world.holding() == "cup"
    assert world.measured.cup[2] > 0.10
    assert moves.perform(world, "place", "machine").ok
    tray = world.layout.tray
    assert hypot(world.measured.cup[0] - tray[0], world.measured.cup[1] - tray[1]) < 0.02
    assert world.holding() is None
    assert world.measured.cup_upright > 0.999


def test_pick_that_closes_on_nothing_says_so(world: World, moves: ModuleType) -> None:
    motion = moves.begin(world, "pick", "cup")
    running = moves.steps(world, motion)
    next(running)
    world.engine.set_pose(world.cup.id, (0.3, -0.45, 0.05))  # somebody takes it away while the arm is on its way
    outcome = _end(running)
    assert not outcome.ok
    assert "closed on nothing" in outcome.text


def _end(running: Iterator[TrajectoryPoint]) -> object:
    while True:
        try:
            next(running)
        except StopIteration as end:
            return end.value


def test_a_full_hand_cannot_pick_press_or_pull(world: World, moves: ModuleType) -> None:
    moves.perform(world, "pick", "cup")
    for name, target in (("pick", "lid"), ("press", "button"), ("pull", "cable")):
        outcome = moves.perform(world, name, target)
        assert not outcome.ok
        assert "holds the cup" in outcome.text
    assert world.holding() == "cup"


def test_an_empty_hand_cannot_place(world: World, moves: ModuleType) -> None:
    outcome = moves.perform(world, "place", "machine")
    assert (outcome.ok, outcome.text) == (False, "the gripper holds nothing; pick something up first")


def test_press_on_the_brew_pad_is_felt_by_the_pad(world: World, moves: ModuleType) -> None:
    felt = [world.arm_presses("brew_pad") for _ in moves.steps(world, moves.begin(world, "press", "brew_button"))]
    assert any(felt)
    assert not felt[0]
    assert not world.arm_presses("brew_pad")


def test_press_on_the_red_button_latches_it_and_pull_releases_it(world: World, moves: ModuleType) -> None:
    moves.perform(world, "press", "button")
    assert world.latched
    assert world.pressed
    moves.perform(world, "pull", "button")
    assert not world.latched
    assert not world.pressed


def test_a_momentary_button_springs_back_when_the_fingers_leave(world: World, moves: ModuleType) -> None:
    moves.start_over(world, latching=False)
    pressed = [world.pressed for _ in moves.steps(world, moves.begin(world, "press", "button"))]
    assert any(pressed)
    assert not world.pressed


def test_push_slides_the_button_along_its_rails(world: World, moves: ModuleType) -> None:
    moves.perform(world, "push", "button")
    assert abs(world.measured.slide_m) > 0.05
    assert not world.pressed


def test_push_at_the_hand_stays_in_its_way(world: World, moves: ModuleType) -> None:
    moves.perform(world, "push", "hand")
    tool, button = forward(world.measured.arm.positions_rad), world.button_position()
    assert hypot(tool.x - button[0], tool.y - button[1]) < 0.08
    assert tool.z > world.layout.rail_height


def test_pull_draws_the_plug_out_of_its_socket(world: World, moves: ModuleType) -> None:
    moves.perform(world, "pull", "cable")
    assert world.unplugged
    assert world.measured.plug_m > 0.02


def test_a_lid_on_the_rails_rests_over_the_button_without_pressing_it(world: World, moves: ModuleType) -> None:
    moves.perform(world, "pick", "lid")
    moves.perform(world, "place", "button")
    x, y, _ = world.button_position()
    assert hypot(world.measured.lid[0] - x, world.measured.lid[1] - y) < 0.02
    assert not world.pressed


def test_joint_move_arrives_in_the_time_that_was_asked_for(world: World, moves: ModuleType) -> None:
    goal = (0.3, *world.arm.spec.home_rad[1:])
    points = moves.points(world, "joint_move", goal, 1.0)
    assert len(points) == 20
    assert points[-1].positions_rad == pytest.approx(goal)
    assert world.measured.arm.positions_rad == pytest.approx(goal, abs=0.02)


def test_wait_moves_nothing_for_as_long_as_it_was_asked(world: World, moves: ModuleType) -> None:
    before = world.measured.arm.positions_rad
    assert len(moves.points(world, "wait", 0.5)) == 10
    assert world.measured.arm.positions_rad == pytest.approx(before, abs=5e-3)


def test_a_place_out_of_reach_raises_before_anything_moves(world: World, moves: ModuleType) -> None:
    class Far:
        def station(self, name: str) -> Station:
            return Station(name=name, x=2.0, y=0.0, z=0.1)

        def holding(self) -> str | None:
            return None

    motion = Skills(world.arm.spec, Far(), 0.05).pick(world.measured.arm, "cup")
    with pytest.raises(UnreachableError):
        next(motion)


def test_a_tilted_station_is_approached_along_the_lean_of_the_hand() -> None:
    pose = Station(name="cup", x=0.5, y=0.0, z=0.1, tilted=True).pose(0.1)
    assert (pose.x, pose.z) == pytest.approx((0.5 - 0.1 * np.sin(radians(30)), 0.1 + 0.1 * np.cos(radians(30))))


# -- interruption at every tick --------------------------------------------------------------------------------


def _interrupt_everywhere(world: World, moves: ModuleType, skill: str, target: str, again: Callable[[], None]) -> int:
    """Close the skill's generator after 1, 2, … points, let the arm hold, and check that it stays there."""
    spec, cut = world.arm.spec, 0
    while True:
        again()
        motion = moves.begin(world, skill, target)
        running = moves.steps(world, motion)
        cut += 1
        for _ in range(cut):
            if next(running, None) is None:
                return cut - 1
        motion.close()
        assert world.arm.hold().point is not None
        for _ in range(3):
            world.tick()
        at = world.measured.arm.positions_rad
        for _ in range(2):
            world.tick()
        assert world.measured.arm.speed_rad_s < 0.25
        assert max(abs(a - b) for a, b in zip(at, world.measured.arm.positions_rad, strict=True)) < 0.02
        assert all(low <= q <= high for low, q, high in zip(spec.lower_rad, at, spec.upper_rad, strict=True))


def test_a_pick_can_be_interrupted_at_every_tick(world: World, moves: ModuleType) -> None:
    assert _interrupt_everywhere(world, moves, "pick", "cup", lambda: moves.start_over(world)) > 30


def test_a_place_can_be_interrupted_at_every_tick(moves: ModuleType) -> None:
    world = World()  # one of its own: the state saved in its engine becomes "cup in the gripper"
    try:
        moves.perform(world, "pick", "cup")
        held = TrajectoryPoint(world.measured.arm.positions_rad, (0.0,) * 7, 0.0)
        world.engine.save([(world.cup.id, -1)])

        def again() -> None:
            world.engine.restore()
            world.arm.command(held)
            world.tick()
            assert world.holding() == "cup"

        assert _interrupt_everywhere(world, moves, "place", "machine", again) > 20
    finally:
        world.close()
