"""The physics engine: bit-exact restores, clear errors, nothing left behind."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from redbutton.envs.world import World
from redbutton.estop import StopCategory
from redbutton.robots.base import TrajectoryPoint
from redbutton.robots.engine import Engine, EngineError
from redbutton.robots.urdf import Link, Shape, urdf


@pytest.fixture
def engine() -> Iterator[Engine]:
    engine = Engine()
    yield engine
    engine.close()


def _ball(mass: float = 0.1) -> str:
    ball = Shape("sphere", (0.05,))
    return urdf("ball", [Link("ball", mass, ball, [ball])])


def test_things_fall_by_gravity(engine: Engine) -> None:
    body = engine.load_urdf(_ball(), (0.0, 0.0, 2.0))
    engine.step(120)
    assert engine.pose(body.id)[0][2] == pytest.approx(2.0 - 0.5 * 9.81 * 0.25, abs=0.05)
    assert engine.speed(body.id) == pytest.approx(9.81 * 0.5, rel=0.05)


def test_a_fixed_body_does_not_fall(engine: Engine) -> None:
    body = engine.load_urdf(_ball(0.0), (0.0, 0.0, 2.0), fixed=True)
    engine.step(120)
    assert engine.pose(body.id)[0] == (0.0, 0.0, 2.0)


def test_a_restore_brings_back_the_saved_state_bit_by_bit(engine: Engine) -> None:
    floor = Shape("box", (2.0, 2.0, 0.1))
    engine.load_urdf(urdf("floor", [Link("floor", 0.0, floor, [floor])]), fixed=True)
    balls = [engine.load_urdf(_ball(), (0.02 * n, 0.0, 1.0 + 0.2 * n)) for n in range(4)]
    engine.save([(ball.id, -1) for ball in balls])
    runs = []
    for _ in range(3):
        engine.restore()
        engine.step(300)
        runs.append([engine.pose(ball.id) for ball in balls])
        engine.step(17)
    assert runs[0] == runs[1] == runs[2]


def _plain_pick(world: World, moves: ModuleType) -> tuple[str, str, object]:
    """Hash at the start and at the end of a pick, and what was measured at its end."""
    moves.start_over(world)
    start = world.trajectory_hash()
    moves.perform(world, "pick", "cup")
    return start, world.trajectory_hash(), world.measured


def test_a_messy_episode_leaves_no_trace_in_the_next_ones_start_and_none_that_matters_later(
    world: World, moves: ModuleType
) -> None:
    before = _plain_pick(world, moves)
    moves.start_over(world)
    for name, target in (("press", "button"), ("pull", "cable"), ("push", "button"), ("pick", "lid")):
        moves.perform(world, name, target)
    world.engine.set_pose(world.cup.id, (*world.layout.tray[:2], 0.06))  # dropped and thrown about
    world.engine.set_pose(world.lid.id, (*world.layout.tray[:2], 0.08))
    world.move_hand(-0.4, -0.2)
    for _ in range(30):
        world.tick()
    assert world.trajectory_hash() != before[1]
    after = _plain_pick(world, moves)
    assert after[0] == before[0]
    assert after[2].cup == pytest.approx(before[2].cup, abs=1e-3)  # type: ignore[attr-defined]
    assert after[2].arm.positions_rad == pytest.approx(before[2].arm.positions_rad, abs=1e-3)  # type: ignore[attr-defined]


def test_two_new_worlds_give_the_same_bits(moves: ModuleType) -> None:
    found = []
    for _ in range(2):
        world = World()
        found.append(_plain_pick(world, moves))
        world.close()
    assert found[0] == found[1]


def test_a_body_loaded_after_the_save_makes_the_restore_fail_clearly(engine: Engine) -> None:
    engine.save([])
    engine.load_urdf(_ball())
    with pytest.raises(EngineError, match="saved state could not be restored"):
        engine.restore()


RESTORE_FIRST = """
from redbutton.estop import StopCategory
from redbutton.robots.base import TrajectoryPoint
from redbutton.robots.engine import Engine, EngineError
try:
    Engine().restore()
except EngineError as error:
    print(error)
"""


def test_a_restore_without_a_save_fails_clearly() -> None:
    done = subprocess.run(
        [sys.executable, "-c", RESTORE_FIRST], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0
    assert "saved state could not be restored" in done.stdout


def test_loading_leaves_no_file_behind(engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    engine.load_urdf(_ball())
    assert list(tmp_path.iterdir()) == []


def test_a_frame_has_the_asked_size_and_changes_nothing(engine: Engine) -> None:
    body = engine.load_urdf(_ball(), (0.0, 0.0, 0.5))
    before = engine.pose(body.id)
    frame = engine.render(64, 48, (0.6, -0.6, 0.8), (0.0, 0.0, 0.5))
    assert frame.shape == (48, 64, 3)
    assert frame.dtype == np.uint8
    assert frame.std() > 1.0
    assert engine.pose(body.id) == before


def test_closing_twice_is_safe() -> None:
    engine = Engine()
    engine.close()
    engine.close()


def test_many_engines_can_be_made_one_after_the_other() -> None:
    for _ in range(30):
        Engine().close()


MISSING = """
import sys
sys.modules["pybullet"] = None
from redbutton.estop import StopCategory
from redbutton.robots.base import TrajectoryPoint
from redbutton.robots.engine import Engine, EngineError
try:
    Engine()
except EngineError as error:
    print(error)
"""


def test_a_missing_engine_package_is_one_clear_line() -> None:
    done = subprocess.run([sys.executable, "-c", MISSING], capture_output=True, text=True, timeout=60, check=True)
    assert "needs the package pybullet" in done.stdout
    assert "pip install pybullet" in done.stdout
    assert len(done.stdout.splitlines()) == 1
    assert done.stderr == ""


def test_making_an_engine_prints_nothing() -> None:
    code = "from redbutton.robots.engine import Engine; Engine().close()"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert (done.stdout, done.stderr) == ("", "")


@pytest.mark.parametrize("category", list(StopCategory))
@pytest.mark.parametrize("how", ["reset", "enable"])
def test_a_stop_does_not_lift_the_speed_limits_of_the_joints(category: StopCategory, how: str) -> None:
    """Bullet forgets them for a joint that is driven by velocity, as a stop does."""
    world = World()
    try:
        arm = world.arm
        limit = arm.spec.velocity_rad_s[0]

        def peak() -> float:
            far = (arm.read().positions_rad[0] + 1.5, *arm.spec.home_rad[1:])
            speeds = []
            for _ in range(12):
                arm.command(TrajectoryPoint(far, (0.0,) * arm.spec.dof, arm.spec.gripper_open_m))
                speeds.append(abs(world.tick().arm.velocities_rad_s[0]))
            return max(speeds)

        assert peak() == pytest.approx(limit, rel=0.05)
        arm.stop(category)
        world.tick()
        if how == "reset":
            world.reset(np.random.default_rng(0), jitter_m=0.0, latching=True)
        else:
            arm.enable()
        assert peak() == pytest.approx(limit, rel=0.05)
    finally:
        world.close()
