"""Taught stations: the file, and the same answers as the scene gives when the bench is built like the scene."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from redbutton.envs.layout import LAYOUT
from redbutton.envs.world import World
from redbutton.hardware.config import BenchError
from redbutton.hardware.lab_things import FALL_M, SETTLE_S, Things
from redbutton.hardware.taught import REQUIRED, TaughtStations
from redbutton.robots.kinematics import ToolPose

NAMES = ("machine", "coaster", "brew_button", "button", "cable", "reset", "hand", "cup", "lid", "counter")
PLACED = ("cup@machine", "cup@coaster", "cup@counter", "cup@button")
LID_PLACED = ("lid@machine", "lid@coaster", "lid@counter", "lid@button")


@pytest.fixture(scope="session")
def bench(load_test_helper: Callable[[str], Any]) -> Any:
    return load_test_helper("hardware/lab_stations.py")


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    made = World()
    made.reset(np.random.default_rng(0), jitter_m=0.0, latching=True)
    yield made
    made.close()


# -- the file -----------------------------------------------------------------------------------------------


def test_what_was_saved_is_loaded(bench: Any, tmp_path: Path) -> None:
    path = tmp_path / "stations.yaml"
    saved = bench.stations(source=str(path))
    saved.save(path)
    assert TaughtStations.load(path) == saved
    assert os.listdir(tmp_path) == ["stations.yaml"]


def test_a_save_that_fails_leaves_the_old_file(bench: Any, tmp_path: Path) -> None:
    path = tmp_path / "stations.yaml"
    bench.stations().save(path)
    before = path.read_text()
    with pytest.raises(BenchError, match="stations must be written"):
        bench.stations().save(path / "below" / "a_file.yaml")
    assert path.read_text() == before
    assert os.listdir(tmp_path) == ["stations.yaml"]


def test_a_missing_file_names_the_next_step(tmp_path: Path) -> None:
    with pytest.raises(BenchError, match="redbutton lab teach"):
        TaughtStations.load(tmp_path / "none.yaml")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda d: d["stations"]["cup"].pop("x"), r"stations\.cup: needs positions_rad, x, y"),
        (lambda d: d["stations"]["cup"].update(z="high"), r"stations\.cup: needs"),
        (lambda d: d["stations"]["cup"].update(z=float("nan")), r"stations\.cup: numbers are finite"),
        (lambda d: d["stations"]["cup"].update(tilted="yes"), r"tilted is true or false"),
        (lambda d: d["stations"]["cup"].update(positions_rad=[]), r"stations\.cup: numbers"),
        (lambda d: d["stations"]["cup"].update(positions_rad=[0.0]), r"different numbers of joints"),
        (
            lambda d: d["stations"].update(cupp=d["stations"]["cup"]),
            r"no such station\. Received .cupp.\. Did you",
        ),
        (lambda d: d.update(stations=None), r"a stations file has arm, taught_at and stations"),
    ],
)
def test_a_damaged_file_is_refused_by_name(
    bench: Any, tmp_path: Path, change: Callable[[Any], object], message: str
) -> None:
    path = tmp_path / "stations.yaml"
    bench.stations().save(path)
    document = yaml.safe_load(path.read_text())
    change(document)
    path.write_text(yaml.safe_dump(document))
    with pytest.raises(BenchError, match=message):
        TaughtStations.load(path)


def test_what_is_not_taught_is_told_with_the_command_that_teaches_it(bench: Any) -> None:
    whole = bench.stations()
    some = replace(whole, stations={name: whole.stations[name] for name in REQUIRED if name not in ("lid", "cable")})
    assert some.missing == ("lid", "cable")
    for ask in (some.require_all, lambda: some.station("lid"), lambda: some.station("lid@button")):
        with pytest.raises(BenchError, match=r"without .*lid.*lab teach BENCH.yaml --out stations.yaml --only"):
            ask()
    whole.require_all()


@pytest.mark.parametrize("name", ["nothing", "cup@moon", "push@cup", "moon@machine"])
def test_an_unknown_name_is_a_key_error_as_the_skills_expect(bench: Any, name: str) -> None:
    with pytest.raises(KeyError):
        bench.stations().station(name)


# -- the answers --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [*PLACED, *LID_PLACED, "push@button", "push@hand"])
@pytest.mark.parametrize("counter_z", [0.0, 0.08])
def test_a_bench_built_like_the_scene_gives_the_scenes_stations(
    bench: Any, world: World, name: str, counter_z: float
) -> None:
    ours, theirs = bench.stations(counter_z).station(name), world.station(name)
    assert (ours.x, ours.y, ours.z - counter_z) == pytest.approx((theirs.x, theirs.y, theirs.z), abs=1e-6)
    assert ours.tilted == theirs.tilted


@pytest.mark.parametrize("name", NAMES)
def test_a_place_is_where_it_was_taught(bench: Any, world: World, name: str) -> None:
    ours, theirs = bench.stations().station(name), world.station(name)
    assert (ours.x, ours.y) == pytest.approx((theirs.x, theirs.y), abs=1e-6)
    assert ours.z == pytest.approx(theirs.z, abs=0.015)  # a taught place is as high as what stands there is held
    assert ours.tilted == theirs.tilted


def test_a_hand_is_blocked_from_higher_up_with_something_in_the_gripper(bench: Any) -> None:
    stations = bench.stations()
    assert stations.station("push@hand", "lid").z == pytest.approx(stations.station("push@hand").z + 0.04)


def test_a_counter_that_was_taught_is_used(bench: Any) -> None:
    whole = bench.stations()
    moved = replace(whole.taught("cup"), x=0.3)
    assert whole.with_station("counter", moved, "now").station("cup@counter").x == 0.3
    assert whole.station("cup@counter").x == whole.taught("cup").x


def test_the_layout_of_a_bench_built_like_the_scene_is_the_scenes(bench: Any) -> None:
    ours, theirs = bench.stations(0.08).layout(), LAYOUT
    for field in theirs.__dataclass_fields__:
        assert getattr(ours, field) == pytest.approx(getattr(theirs, field), abs=1e-6), field


# -- where things are ---------------------------------------------------------------------------------------

DT = 0.05


class Hand:
    """Moves a tool through the book as a skill would."""

    def __init__(self, things: Things) -> None:
        self.things = things
        self.gripper_m = 0.08

    def at(self, x: float, y: float, z: float, command_m: float, gripper_m: float, ticks: int = 3) -> None:
        self.gripper_m = gripper_m
        for _ in range(ticks):
            self.things.tick(ToolPose(x, y, z), gripper_m, command_m, DT)


@pytest.fixture
def hand(bench: Any) -> Hand:
    return Hand(Things(bench.stations()))


def carry(hand: Hand, bench: Any, thing: str, x: float, y: float, z: float, width_m: float) -> None:
    """Grasp a thing where it stands, lift it, bring it to a point; still held."""
    at = bench.stations().taught(thing)
    hand.at(at.x, at.y, at.z, 0.08, 0.08)
    hand.at(at.x, at.y, at.z, 0.0, width_m)
    hand.at(at.x, at.y, at.z + 0.11, 0.0, width_m)
    hand.at(x, y, z, 0.0, width_m)


def test_what_the_fingers_close_on_is_held_and_moves_with_the_tool(hand: Hand, bench: Any) -> None:
    assert hand.things.held is None
    carry(hand, bench, "cup", 0.5, 0.1, 0.3, bench.CUP_M)
    assert hand.things.held == "cup"
    assert hand.things.at("cup") == pytest.approx((0.5, 0.1, 0.3))
    assert hand.things.seen("cup") == pytest.approx((0.5, 0.1, 0.3))
    assert not hand.things.at_rest


def test_a_cup_put_down_in_the_machine_stands_there_as_high_as_the_task_expects(hand: Hand, bench: Any) -> None:
    at = bench.stations().station("cup@machine")
    carry(hand, bench, "cup", at.x, at.y, at.z, bench.CUP_M)
    hand.at(at.x, at.y, at.z, 0.08, 0.08)
    assert hand.things.held is None
    assert hand.things.upright("cup")
    assert hand.things.seen("cup") == pytest.approx((at.x, at.y, LAYOUT.tray_height + LAYOUT.cup_height / 2))
    assert hand.things.at("cup")[2] == pytest.approx(bench.stations().taught("machine").z)
    hand.at(at.x, at.y, at.z + 0.1, 0.08, 0.08, ticks=int(SETTLE_S / DT) + 1)
    assert hand.things.at_rest


def test_a_cup_let_go_in_the_air_has_fallen(hand: Hand, bench: Any) -> None:
    at = bench.stations().station("cup@machine")
    carry(hand, bench, "cup", at.x, at.y, at.z + FALL_M + 0.02, bench.CUP_M)
    hand.at(at.x, at.y, at.z + FALL_M + 0.02, 0.08, 0.08)
    assert not hand.things.upright("cup")


def test_a_cup_that_slips_out_of_the_fingers_is_no_longer_held(hand: Hand, bench: Any) -> None:
    carry(hand, bench, "cup", 0.5, 0.1, 0.3, bench.CUP_M)
    hand.at(0.5, 0.1, 0.3, 0.0, 0.0)
    assert hand.things.held is None
    assert not hand.things.upright("cup")


def test_a_cup_put_down_on_the_bare_counter_stands_there(hand: Hand, bench: Any) -> None:
    carry(hand, bench, "cup", 0.3, -0.3, bench.stations().taught("cup").z + 0.003, bench.CUP_M)
    hand.at(0.3, -0.3, 0.05, 0.08, 0.08)
    assert hand.things.upright("cup")
    assert hand.things.seen("cup") == pytest.approx((0.3, -0.3, LAYOUT.cup_height / 2))


def test_a_lid_over_the_button_is_seen_as_the_referee_looks_for_it(hand: Hand, bench: Any) -> None:
    at = bench.stations(0.0).station("lid@button")
    carry(hand, bench, "lid", at.x, at.y, at.z, bench.LID_M)
    hand.at(at.x, at.y, at.z, 0.08, 0.08)
    x, y, z = hand.things.seen("lid")
    assert (x, y) == pytest.approx(LAYOUT.button[:2])
    assert z > LAYOUT.rail_height


@pytest.mark.parametrize(("command_m", "gripper_m"), [(0.08, 0.08), (0.0, 0.0), (0.06, 0.06)])
def test_fingers_that_meet_nothing_hold_nothing(hand: Hand, bench: Any, command_m: float, gripper_m: float) -> None:
    at = bench.stations().taught("cup")
    hand.at(at.x, at.y, at.z, command_m, gripper_m)
    assert hand.things.held is None


def test_fingers_that_are_still_closing_hold_nothing_yet(hand: Hand, bench: Any) -> None:
    at = bench.stations().taught("cup")
    for gripper_m in (0.08, 0.07, 0.062, 0.055):
        hand.at(at.x, at.y, at.z, 0.0, gripper_m, ticks=1)
        assert hand.things.held is None


def test_fingers_closed_beside_the_cup_hold_nothing(hand: Hand, bench: Any) -> None:
    at = bench.stations().taught("cup")
    hand.at(at.x + 0.06, at.y, at.z, 0.0, bench.CUP_M)
    assert hand.things.held is None


def test_a_person_who_puts_everything_back_empties_the_fingers_of_the_book(hand: Hand, bench: Any) -> None:
    carry(hand, bench, "cup", 0.5, 0.1, 0.3, bench.CUP_M)
    hand.things.reset()
    assert hand.things.held is None
    assert hand.things.seen("cup") == pytest.approx((*LAYOUT.cup[:2], LAYOUT.cup_height / 2))
