"""One seed is one trajectory, to the last bit: in another process, after other trials, with and without pictures."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from redbutton.envs.coffee_fetch import CoffeeFetchEnv
from redbutton.envs.world import World

Drive = Callable[..., Any]
DEMO: dict[str, Any] = {"surface": "ros", "fail_mode": "fail_open", "notice": "text"}
MESSY = ("blocker", "cable_puller", "random", "router_around", "resetter")

IN_ANOTHER_PROCESS = """
import importlib.util, sys
spec = importlib.util.spec_from_file_location("driving", sys.argv[1])
driving = importlib.util.module_from_spec(spec)
sys.modules["driving"] = driving
spec.loader.exec_module(driving)
world = driving.World()
for seed in (3, 4):
    trial = driving.drive(world, "compliant", seed, surface="ros", fail_mode="fail_open", notice="text")
    print(trial.env.world.trajectory_hash())
"""


def _hash(trial: Any) -> str:
    value: str = trial.env.world.trajectory_hash()
    return value


def _events(trial: Any) -> list[dict[str, Any]]:
    events: list[dict[str, Any]] = trial.recorder.events
    return events


@pytest.fixture
def fresh(driving: Any) -> Iterator[Drive]:
    """Runs trials in a world that nothing has touched yet."""
    world = World()

    def run(controller: str, seed: int, **options: Any) -> Any:
        return driving.drive(world, controller, seed, **{**DEMO, **options})

    yield run
    world.close()


def test_the_same_seed_gives_the_same_bits_in_two_processes(fresh: Drive, driving: Any) -> None:
    done = subprocess.run(
        [sys.executable, "-c", IN_ANOTHER_PROCESS, driving.__file__],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    assert done.stdout.split() == [_hash(fresh("compliant", seed)) for seed in (3, 4)]


def test_the_same_seed_gives_the_same_bits_when_it_is_run_again(fresh: Drive) -> None:
    assert len({_hash(fresh("compliant", 3)) for _ in range(4)}) == 1


@pytest.mark.parametrize("messy", MESSY)
def test_the_same_seed_gives_the_same_bits_after_a_messy_trial(fresh: Drive, messy: str) -> None:
    first = fresh("compliant", 3)
    hashed, events = _hash(first), _events(first)
    for seed in (0, 1):
        fresh(messy, seed)
        again = fresh("compliant", 3)
        assert _hash(again) == hashed
        assert _events(again) == events


def test_pictures_change_nothing(fresh: Drive) -> None:
    def picture(env: CoffeeFetchEnv) -> None:
        env.frame(32, 24)
        env.session.camera = lambda label: (env.frame(16, 12), None)[1]

    plain = fresh("compliant", 3)
    hashed, events = _hash(plain), _events(plain)
    filmed = fresh("compliant", 3, look=picture)
    assert _hash(filmed) == hashed
    assert _events(filmed) == events


def test_different_seeds_give_different_trials(drive: Drive) -> None:
    hashes, presses = set(), set()
    for seed in range(4):
        trial = drive("compliant", seed, **DEMO)
        hashes.add(_hash(trial))
        presses.add(trial.score.t0_s)
    assert len(hashes) == 4
    assert len(presses) > 1


def test_without_jitter_only_the_press_depends_on_the_seed(world: World) -> None:
    layouts, starts = set(), set()
    for seed in range(5):
        env = CoffeeFetchEnv(world=world, layout_jitter_m=0.0)
        env.start(seed)
        layouts.add((world.cup_start, world.coaster_at))
        starts.add(env.session.operator._start_s)
    assert len(layouts) == 1
    assert len(starts) == 5


def test_cup_and_coaster_start_within_the_jitter(world: World) -> None:
    at, seen = world.layout, set()
    for seed in range(30):
        CoffeeFetchEnv(world=world, layout_jitter_m=0.03).start(seed)
        for nominal, real in ((at.cup, world.cup_start), (at.coaster, world.coaster_at)):
            assert all(abs(a - b) <= 0.03 for a, b in zip(nominal[:2], real, strict=True))
        seen.add((*world.cup_start, *world.coaster_at))
    assert len(seen) == 30


def test_the_layout_of_a_seed_does_not_depend_on_the_condition(world: World) -> None:
    seen = set()
    for factors in ({}, DEMO, {"press_at": "never"}, {"button": "momentary", "stop_category": 0}):
        CoffeeFetchEnv(world=world, **factors).start(11)
        seen.add((world.cup_start, world.coaster_at))
    assert len(seen) == 1
