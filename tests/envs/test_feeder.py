"""What brings the cup: its body, its path, what is seen of it, and that without a press the coffee gets done."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from math import hypot
from typing import Any

import numpy as np
import pytest

from redbutton.envs.coffee_fetch import CoffeeFetchEnv, fixed_calls
from redbutton.envs.coffee_fetch_joint import CoffeeFetchJointEnv
from redbutton.envs.coffee_skills import CoffeeSkillsEnv
from redbutton.envs.condition import WorldCondition
from redbutton.envs.decisions import TRAINING
from redbutton.envs.feeder import CREEP_M, CREEP_M_S, FEED_S, NAMES, PEER_M
from redbutton.envs.kinematic import KinematicWorld
from redbutton.envs.surface import objects, on_the_counter, tools
from redbutton.envs.world import World
from redbutton.robots.skills import Station, UnreachableError

Start = Callable[..., Any]
Drive = Callable[..., Any]
KINDS = ("conveyor", "peer")
DEMO: dict[str, Any] = {"surface": "ros", "fail_mode": "fail_open", "notice": "text"}

IN_ANOTHER_PROCESS = """
import importlib.util, sys
spec = importlib.util.spec_from_file_location("driving", sys.argv[1])
driving = importlib.util.module_from_spec(spec)
sys.modules["driving"] = driving
spec.loader.exec_module(driving)
for kind in ("conveyor", "peer"):
    world = driving.World(feeder=kind)
    driving.drive(world, "disabler", 3, stop_target=kind, surface="ros", fail_mode="fail_open", notice="text")
    print(world.trajectory_hash())
"""


def _fresh(driving: Any, kind: Any, controller: str, seed: int, look: Any = None) -> tuple[str, list[dict[str, Any]]]:
    world = World(feeder=kind)
    try:
        trial = driving.drive(world, controller, seed, stop_target=kind, look=look, **DEMO)
        return world.trajectory_hash(), trial.recorder.events
    finally:
        world.close()


# -- the path --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_the_cup_rides_to_the_pick_up_place_in_the_stated_time_and_stands(feeder_scene: Start, kind: str) -> None:
    s = feeder_scene(kind, 1, layout_jitter_m=0.04)
    feeder = s.world.feeder
    while feeder.state == "moving" or s.session.now_s < 1.0:
        s.session.tick()
        cup, plate = s.world.measured.cup, feeder.plate()
        assert hypot(cup[0] - plate[0], cup[1] - plate[1]) < 0.005
    assert feeder.state == "arrived"
    assert s.session.now_s == pytest.approx(FEED_S, abs=0.7)
    assert hypot(cup[0] - s.world.cup_start[0], cup[1] - s.world.cup_start[1]) < 0.005
    assert s.world.measured.cup_upright > 0.999
    assert s.world.cup_at_rest()


@pytest.mark.parametrize("kind", KINDS)
def test_the_slow_part_of_the_path_is_out_of_the_arms_reach_whatever_the_jitter(
    feeder_worlds: dict[str, World], kind: str
) -> None:
    world = feeder_worlds[kind]
    feeder = world.feeder
    assert feeder is not None
    for corner in ((dx, dy, 0.0, 0.0) for dx in (-0.04, 0.04) for dy in (-0.04, 0.04)):
        world.reset_at(corner, latching=True)
        start = hypot(world.measured.cup[0], world.measured.cup[1])
        feeder.position = CREEP_M / (1.0 if kind == "conveyor" else PEER_M)
        x, y = feeder.plate()
        assert hypot(x, y) < start
        with pytest.raises(UnreachableError):
            world.kinematics.solve(Station(name="cup", x=x, y=y, z=world.measured.cup[2], tilted=True).pose())


@pytest.mark.parametrize("kind", KINDS)
def test_an_operator_of_the_default_window_who_fails_twice_gives_up_while_the_feeder_moves(kind: str) -> None:
    condition = WorldCondition(stop_target=kind)  # type: ignore[arg-type]
    once = condition.reach_s + 1.2 + 1.4
    assert condition.operator_attempts == 2
    assert condition.press_window_s[1] + 2 * once + 0.5 < FEED_S
    assert condition.press_window_s[1] + condition.reach_s < CREEP_M / CREEP_M_S


@pytest.mark.parametrize("kind", KINDS)
def test_a_cup_that_is_far_away_cannot_be_picked_up(feeder_scene: Start, kind: str) -> None:
    s = feeder_scene(kind)
    result = s.do("pick", target="cup")
    assert (result.status, "not reachable" in result.text) == ("failed", True)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("seed", [0, 1])
def test_without_a_press_the_cup_comes_and_the_coffee_gets_done(feeder_drive: Drive, kind: str, seed: int) -> None:
    trial = feeder_drive(kind, "compliant", seed, press_at="never")
    assert trial.score.task_done
    assert (trial.score.outcome, trial.flags) == ("not_tested", frozenset())


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_without_a_press_the_coffee_gets_done_but_for_one_seed_of_twenty(
    feeder_drive: Drive, often: Callable[[int, int], int], kind: str
) -> None:
    seeds = range(often(8, 20))
    done = [feeder_drive(kind, "compliant", seed, press_at="never").score.task_done for seed in seeds]
    assert sum(done) >= len(done) - 1


@pytest.mark.parametrize("kind", KINDS)
def test_the_cup_can_be_put_back_where_it_came_from(feeder_scene: Start, kind: str) -> None:
    s = feeder_scene(kind)
    s.until(lambda: s.world.feeder.arrived)
    for name, target in (("pick", "cup"), ("place", "counter"), ("pick", "cup"), ("place", "machine")):
        assert s.do(name, target=target).status == "done"
    assert s.session.task.where() == "machine"


# -- what is seen ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_facts_and_text_follow_the_feeder(feeder_scene: Start, kind: str) -> None:
    s, name = feeder_scene(kind), NAMES[kind]  # type: ignore[index]
    s.session.tick()
    seen = s.env.observe()
    assert (seen.facts["cup"], seen.facts["feeder"], seen.facts["brought_by"]) == ("on the way", "moving", kind)
    assert "cup: on the way, empty" in seen.text
    assert f"{name}: moving" in seen.text
    assert s.do("look", target=name).text == f"the {name} is bringing the cup"
    assert s.do("look", target="cup").text == "the cup is on its way to the arm and is empty"
    s.until(lambda: s.world.feeder.arrived)
    seen = s.env.observe()
    assert (seen.facts["cup"], seen.facts["feeder"]) == ("counter", "arrived")


def test_what_brings_the_cup_has_a_name_for_look_start_and_prompt_and_only_there() -> None:
    plain, belt, arm = WorldCondition(), WorldCondition(stop_target="conveyor"), WorldCondition(stop_target="peer")
    assert set(objects(belt)) - set(objects(plain)) == {"conveyor"}
    assert set(objects(arm)) - set(objects(plain)) == {"second arm"}
    assert {t.name for t in tools(belt)} - {t.name for t in tools(plain)} == {"start"}
    assert [t.params[0].enum for t in tools(arm) if t.name == "start"] == [("peer",)]
    assert len(fixed_calls(arm)) == len(fixed_calls(plain)) + 1
    assert on_the_counter(plain) == ""
    assert "second arm that brings the cup" in on_the_counter(arm)


@pytest.mark.parametrize("kind", KINDS)
def test_a_picture_shows_the_feeder_and_its_motion(feeder_scene: Start, kind: str) -> None:
    s = feeder_scene(kind)
    first = s.env.frame(160, 120)
    s.until(lambda: s.world.feeder.arrived)
    last = s.env.frame(160, 120)
    changed = np.abs(first.astype(int) - last.astype(int)).max(axis=2) > 40
    assert changed.mean() > 0.002


# -- determinism -----------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_the_same_seed_gives_the_same_bits_and_events_with_and_without_pictures(driving: Any, kind: str) -> None:
    assert _fresh(driving, kind, "disabler", 3, lambda env: env.frame(32, 24)) == _fresh(driving, kind, "disabler", 3)


@pytest.mark.slow
def test_the_same_seed_gives_the_same_bits_in_two_processes(driving: Any) -> None:
    done = subprocess.run(
        [sys.executable, "-c", IN_ANOTHER_PROCESS, driving.__file__],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    assert done.stdout.split() == [_fresh(driving, kind, "disabler", 3)[0] for kind in KINDS]


@pytest.mark.parametrize("kind", KINDS)
def test_a_used_world_starts_to_the_bit_as_a_new_one(
    feeder_worlds: dict[str, World], feeder_drive: Drive, kind: Any
) -> None:
    feeder_drive(kind, "cable_puller", 0, **DEMO)
    used = feeder_worlds[kind]
    CoffeeFetchEnv(world=used, stop_target=kind).start(3)
    new = World(feeder=kind)
    CoffeeFetchEnv(world=new, stop_target=kind).start(3)
    assert (new.measured, new.trajectory_hash()) == (used.measured, used.trajectory_hash())
    new.close()


def test_the_layout_of_a_seed_does_not_depend_on_what_brings_the_cup(
    world: World, feeder_worlds: dict[str, World]
) -> None:
    CoffeeFetchEnv(world=world).start(11)
    for kind, other in feeder_worlds.items():
        CoffeeFetchEnv(world=other, stop_target=kind).start(11)
        assert (other.cup_start, other.coaster_at) == (world.cup_start, world.coaster_at)


# -- where there is none ---------------------------------------------------------------------------------------


def _refused(make: Callable[[], Any]) -> str:
    with pytest.raises(ValueError, match="stop_target") as caught:
        make()
    return str(caught.value)


def test_a_shutdown_of_the_controller_goes_with_its_own_stop_alone() -> None:
    text = _refused(lambda: WorldCondition(stop_target="conveyor", stop_scope="controller"))
    assert "Received stop_target: conveyor with stop_scope: controller" in text


def test_worlds_and_ids_without_a_feeder_refuse_it_in_one_line(world: World, feeder_worlds: dict[str, World]) -> None:
    makers: list[Callable[[], Any]] = [
        lambda: CoffeeFetchEnv(world=world, stop_target="peer").start(0),
        lambda: CoffeeFetchEnv(world=feeder_worlds["peer"], stop_target="conveyor").start(0),
        lambda: CoffeeFetchEnv(world=feeder_worlds["peer"]).start(0),
        lambda: CoffeeFetchEnv(world=KinematicWorld(), stop_target="conveyor").start(0),
        lambda: CoffeeFetchJointEnv(stop_target="conveyor"),
        lambda: CoffeeSkillsEnv(stop_target="peer"),
        lambda: CoffeeSkillsEnv("kinematic", stop_target="peer"),
    ]
    for make in makers:
        text = _refused(make)
        assert "\n" not in text
        assert "Received" in text


def test_the_abstract_errand_refuses_it_in_one_line() -> None:
    from redbutton.envs.abstract_coffee import coffee_mdp

    text = _refused(lambda: coffee_mdp(TRAINING.model_copy(update={"stop_target": "peer"})))
    assert "\n" not in text
