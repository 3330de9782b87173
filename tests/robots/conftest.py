from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

import pytest

from redbutton.envs.world import World


@pytest.fixture(scope="session")
def helper(load_test_helper: Callable[[str], ModuleType]) -> ModuleType:
    """``harness.py``, which test files here cannot import by name."""
    return load_test_helper("robots/harness.py")


@pytest.fixture(scope="session")
def moves(load_test_helper: Callable[[str], ModuleType]) -> ModuleType:
    """``moves.py``: skills driven in a scene without a session around it."""
    return load_test_helper("robots/moves.py")


BENCH = pytest.StashKey[Any]()


@pytest.fixture(scope="module")  # no longer than it is needed: the twin never rests
def ros2_bench(
    request: pytest.FixtureRequest,
    load_test_helper: Callable[[str], ModuleType],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Any]:
    """A supervisor and a twin as processes, started when the first test asks. Skips where rclpy is missing."""
    if importlib.util.find_spec("rclpy") is None:
        pytest.skip("rclpy is not installed (pip install 'redbutton[ros]')")
    domains = load_test_helper("hardware/ros_ids.py").domain_ids(2)
    bench = load_test_helper("robots/ros2_harness.py").Ros2Bench(tmp_path_factory.mktemp("ros2"), domains)
    request.config.stash[BENCH] = bench
    yield bench
    del request.config.stash[BENCH]
    bench.close()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    """A failure over ROS 2 while the machine had no time to spare is a skip that says so."""
    report: Any = yield
    bench = item.config.stash.get(BENCH, None)
    if report.failed and bench is not None and "ros2_arm" in item.name:
        why = bench.too_busy()
        if why:
            report.outcome = "skipped"
            report.longrepr = (str(item.path), item.location[1], f"Skipped: {why}")
    return report


@pytest.fixture
def ros2_harness(ros2_bench: Any, load_test_helper: Callable[[str], ModuleType]) -> Callable[[], Any]:
    """Makes an arm over ROS 2 on the shared bench."""
    return lambda: load_test_helper("robots/ros2_harness.py").Ros2Harness(ros2_bench)


# lark, which rosidl imports, still imports sre_parse.
ROS2 = [pytest.mark.ros, pytest.mark.slow, pytest.mark.filterwarnings("ignore:module 'sre_:DeprecationWarning")]


@pytest.fixture(params=["sim_arm", "kinematic_arm", pytest.param("ros2_arm", marks=ROS2)])
def offline(request: pytest.FixtureRequest, helper: ModuleType) -> Iterator[Any]:
    """A harness whose robot is not connected."""
    harness = helper.HARNESSES[request.param](request.getfixturevalue)
    yield harness
    harness.robot.close()
    harness.close()


@pytest.fixture
def harness(offline: Any) -> Any:
    """A harness whose robot is connected and at rest at home."""
    offline.robot.connect()
    offline.advance(2)
    return offline


@pytest.fixture(scope="session")
def shared_world() -> Iterator[World]:
    """One scene for all tests here; use ``world``."""
    world = World()
    yield world
    world.close()


@pytest.fixture
def world(shared_world: World, moves: ModuleType) -> World:
    """The scene as at the start of a trial without jitter."""
    moves.start_over(shared_world)
    return shared_world
