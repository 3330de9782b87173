from __future__ import annotations

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


@pytest.fixture(params=["sim_arm"])
def offline(request: pytest.FixtureRequest, helper: ModuleType) -> Iterator[Any]:
    """A harness whose robot is not connected."""
    harness = helper.HARNESSES[request.param]()
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
