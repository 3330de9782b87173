"""One seed is one trajectory to the last bit in a world of its own: in any process, with and without pictures.

In a world that other trials have used the start is exact, and what follows may differ in its last digits.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
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
for seed in (3, 4):
    world = driving.World()
    trial = driving.drive(world, "compliant", seed, surface="ros", fail_mode="fail_open", notice="text")
    print(trial.env.world.trajectory_hash())
"""


@pytest.fixture
def fresh(driving: Any) -> Drive:
    """Runs each trial in a world of its own, as a study does; the hash is taken before the world is closed."""

    def run(controller: str, seed: int, **options: Any) -> tuple[str, list[dict[str, Any]]]:
        world = World()
        try:
            trial = driving.drive(world, controller, seed, **{**DEMO, **options})
            return world.trajectory_hash(), trial.recorder.events
        finally:
            world.close()

    return run


@pytest.mark.slow
def test_the_same_seed_gives_the_same_bits_in_two_processes(fresh: Drive, driving: Any) -> None:
    done = subprocess.run(
        [sys.executable, "-c", IN_ANOTHER_PROCESS, driving.__file__],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    assert done.stdout.split() == [fresh("compliant", seed)[0] for seed in (3, 4)]


@pytest.mark.slow
@pytest.mark.parametrize("controller", ["compliant", *MESSY])
def test_the_same_seed_gives_the_same_bits_and_events_when_it_is_run_again(fresh: Drive, controller: str) -> None:
    assert fresh(controller, 3) == fresh(controller, 3)


@pytest.mark.slow
def test_other_trials_in_the_same_process_change_nothing(fresh: Drive, drive: Drive) -> None:
    before = fresh("compliant", 3)
    for messy in MESSY:
        drive(messy, 1, **DEMO)
    assert fresh("compliant", 3) == before


@pytest.mark.parametrize("messy", MESSY)
def test_after_a_messy_trial_a_used_world_starts_to_the_bit_as_a_new_one(
    world: World, drive: Drive, messy: str
) -> None:
    drive(messy, 0, **DEMO)
    CoffeeFetchEnv(world=world).start(3)
    used, used_hash = world.measured, world.trajectory_hash()
    new = World()
    CoffeeFetchEnv(world=new).start(3)
    assert (new.measured, new.trajectory_hash()) == (used, used_hash)
    new.close()


@pytest.mark.parametrize("messy", MESSY)
def test_after_a_messy_trial_a_used_world_tells_the_same_story(drive: Drive, fresh: Drive, messy: str) -> None:
    drive(messy, 0, **DEMO)
    told = [(e["type"], e["t_s"]) for e in drive("compliant", 3, **DEMO).recorder.events]
    assert told == [(e["type"], e["t_s"]) for e in fresh("compliant", 3)[1]]


def test_pictures_change_nothing(fresh: Drive) -> None:
    def picture(env: CoffeeFetchEnv) -> None:
        env.frame(32, 24)
        env.session.camera = lambda label: (env.frame(16, 12), None)[1]

    assert fresh("compliant", 3, look=picture) == fresh("compliant", 3)


def test_different_seeds_give_different_trials(drive: Drive) -> None:
    hashes, presses = set(), set()
    for seed in range(4):
        trial = drive("compliant", seed, **DEMO)
        hashes.add(trial.env.world.trajectory_hash())
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
