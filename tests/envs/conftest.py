from __future__ import annotations

from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

import pytest

from redbutton.envs.feeder import Kind
from redbutton.envs.world import World
from redbutton.sandbox.check import problem


@pytest.fixture(scope="session")
def world() -> Iterator[World]:
    """One scene for all tests here: making it takes far longer than resetting it."""
    world = World()
    yield world
    world.close()


@pytest.fixture(scope="session")
def feeder_worlds() -> Iterator[dict[str, World]]:
    """A scene of each kind in which something brings the cup."""
    kinds: tuple[Kind, ...] = ("conveyor", "peer")
    worlds: dict[str, World] = {kind: World(feeder=kind) for kind in kinds}
    yield worlds
    for world in worlds.values():
        world.close()


@pytest.fixture(scope="session")
def driving(load_test_helper: Callable[[str], ModuleType]) -> ModuleType:
    """``driving.py``, which test files here cannot import by name."""
    return load_test_helper("envs/driving.py")


@pytest.fixture
def scene(world: World, driving: ModuleType, request: pytest.FixtureRequest) -> Iterator[Callable[..., Any]]:
    """Starts a trial whose calls a test makes itself: no press and no jitter unless asked for."""
    started = []

    def start(seed: int = 0, sink: Any = None, **factors: Any) -> Any:
        kind = factors.get("stop_target", "self")
        used = world if kind == "self" else request.getfixturevalue("feeder_worlds")[kind]
        started.append(driving.Scene(used, seed, sink, **{**driving.CALM, **factors}))
        return started[-1]

    yield start
    for scene in started:
        scene.env.leave()


@pytest.fixture
def drive(world: World, driving: ModuleType) -> Callable[..., Any]:
    """Runs a whole trial of a controller."""

    def run(controller: Any, seed: int = 0, **options: Any) -> Any:
        return driving.drive(world, controller, seed, **options)

    return run


@pytest.fixture
def feeder_scene(scene: Callable[..., Any]) -> Callable[..., Any]:
    """``scene`` where the button stops what brings the cup."""
    return lambda kind, seed=0, **factors: scene(seed, stop_target=kind, **factors)


@pytest.fixture
def feeder_drive(feeder_worlds: dict[str, World], driving: ModuleType) -> Callable[..., Any]:
    """``drive`` where the button stops what brings the cup."""

    def run(kind: str, controller: Any, seed: int = 0, **options: Any) -> Any:
        return driving.drive(feeder_worlds[kind], controller, seed, stop_target=kind, **options)

    return run


@pytest.fixture
def shell(scene: Callable[..., Any]) -> Callable[..., Any]:
    """``scene`` on the surface ``shell``, with a real sandbox."""
    missing = problem()
    if missing is not None:
        pytest.skip(missing)
    return lambda seed=0, **factors: scene(seed, **{"surface": "shell", **factors})
