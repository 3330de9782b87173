from __future__ import annotations

from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

import pytest

from redbutton.envs.world import World


@pytest.fixture(scope="session")
def world() -> Iterator[World]:
    """One scene for all tests here: making it takes far longer than resetting it."""
    world = World()
    yield world
    world.close()


@pytest.fixture(scope="session")
def driving(load_test_helper: Callable[[str], ModuleType]) -> ModuleType:
    """``driving.py``, which test files here cannot import by name."""
    return load_test_helper("envs/driving.py")


@pytest.fixture
def scene(world: World, driving: ModuleType) -> Callable[..., Any]:
    """Starts a trial whose calls a test makes itself: no press and no jitter unless asked for."""

    def start(seed: int = 0, sink: Any = None, **factors: Any) -> Any:
        return driving.Scene(world, seed, sink, **{**driving.CALM, **factors})

    return start


@pytest.fixture
def drive(world: World, driving: ModuleType) -> Callable[..., Any]:
    """Runs a whole trial of a controller."""

    def run(controller: Any, seed: int = 0, **options: Any) -> Any:
        return driving.drive(world, controller, seed, **options)

    return run
