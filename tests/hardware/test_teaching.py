"""Teaching by hand: an arm that a test guides, and a person at a real terminal."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from redbutton.hardware.config import BenchError, parse_bench
from redbutton.hardware.lab_session import teach
from redbutton.hardware.ros import wait_for
from redbutton.hardware.taught import REQUIRED, TaughtStations

pytest.importorskip("rclpy", reason="needs rclpy: pip install 'redbutton[ros]'")
# rosidl reads message definitions with lark, which imports modules that Python 3.11 deprecates.
pytestmark = [pytest.mark.ros, pytest.mark.filterwarnings("ignore:module 'sre_:DeprecationWarning")]

SOME = {"kind": "modbus", "host": "127.0.0.1"}


class Guided:
    """A bench whose arm is guided by a test, and the file that describes it."""

    def __init__(self, folder: Path, domains: tuple[int, int], helpers: ModuleType) -> None:
        self.path = folder / "bench.yaml"
        document = {
            "name": "guided",
            "arm": {"profile": "panda_twin"},
            "supervision": {"socket": str(folder / "s.sock")},
            "inputs": [{"name": "wall", **SOME}],
            "ros": {"domain_id": domains[0], "study_domain_id": domains[1]},
        }
        import yaml

        self.path.write_text(yaml.safe_dump(document))
        self.config = parse_bench(document)
        self.driver = helpers.Driver(self.config)
        self.driver.open()

    def guide(self, positions_rad: tuple[float, ...]) -> None:
        """Put the arm somewhere, as a hand would."""
        with self.driver._lock:
            self.driver._controller.set_to(positions_rad)


@pytest.fixture
def bench(load_test_helper: Callable[[str], Any], tmp_path: Path) -> Iterator[Guided]:
    domains = load_test_helper("hardware/ros_ids.py").domain_ids(2)
    made = Guided(tmp_path, domains, load_test_helper("hardware/rig.py"))
    yield made
    made.driver.close()


@pytest.fixture
def wanted(load_test_helper: Callable[[str], Any]) -> TaughtStations:
    found: TaughtStations = load_test_helper("hardware/lab_stations.py").stations()
    return found


@pytest.fixture
def pty(load_test_helper: Callable[[str], Any]) -> Any:
    return load_test_helper("hardware/pty_person.py")


def guide_there(bench: Guided, wanted: TaughtStations) -> Callable[[Any], str]:
    """A person who guides the arm to the station that is asked for, and says so."""

    def act(match: Any) -> str:
        target = wanted.taught(match[1]).positions_rad
        bench.guide(target)
        wait_for(lambda: bench.driver.state()[0] == pytest.approx(target), 10.0, "the arm is there")
        return "y"

    return act


ASKED = r"at rest \((\w+)\)\? \[y/N\] "
KEEP = r"Keep this as \w+\? \[y/N\] "


def test_every_station_is_guided_shown_confirmed_and_written(
    bench: Guided, wanted: TaughtStations, pty: Any, tmp_path: Path
) -> None:
    out = tmp_path / "stations.yaml"
    with pty.PtyPerson([(ASKED, guide_there(bench, wanted)), (KEEP, "y")]) as person:
        teach(bench.path, person.console(), out)
        person.wait_for("Written to")
    found = TaughtStations.load(out)
    assert found.missing == ()
    assert tuple(found.stations) == REQUIRED
    assert found.arm == "panda"
    for name in REQUIRED:
        ours, theirs = found.taught(name), wanted.taught(name)
        assert ours.positions_rad == pytest.approx(theirs.positions_rad, abs=1e-3), name
        assert ours.tilted == theirs.tilted
        if name != "hand":
            assert (ours.x, ours.y, ours.z) == pytest.approx((theirs.x, theirs.y, theirs.z), abs=2e-3)
            assert ours.pitch_rad == pytest.approx(theirs.pitch_rad, abs=2e-3)
    assert found.taught("cup").width_m == pytest.approx(0.08)  # as wide as the stand-in's fingers are
    assert found.taught("button").width_m == 0.0
    assert "joints [rad]" in person.screen
    assert "tool x" in person.screen


def test_one_station_is_taught_again_and_the_others_stay(
    bench: Guided, wanted: TaughtStations, pty: Any, tmp_path: Path
) -> None:
    out = tmp_path / "stations.yaml"
    wanted.save(out)
    above = wanted.taught("machine").positions_rad  # the coaster has moved to where the machine was
    with pty.PtyPerson([(ASKED, lambda _match: bench.guide(above) or "y"), (KEEP, "y")]) as person:
        teach(bench.path, person.console(), out, only=("coaster",))
    found = TaughtStations.load(out)
    assert found.taught("coaster").x == pytest.approx(wanted.taught("machine").x, abs=2e-3)
    assert found.taught("cup") == wanted.taught("cup")


def test_a_tool_that_leans_the_wrong_way_is_not_taken(
    bench: Guided, wanted: TaughtStations, pty: Any, tmp_path: Path
) -> None:
    straight = wanted.taught("button").positions_rad
    with pty.PtyPerson([(ASKED, lambda _match: bench.guide(straight) or "y"), (KEEP, "y")]) as person:
        with pytest.raises(BenchError, match=r"Received no cup.*Go on with --only cup"):
            teach(bench.path, person.console(), tmp_path / "stations.yaml", only=("cup",))
        person.wait_for("Not taken: the tool must point leaning forward by 30 degrees, within 15. Received 30 off.")
    assert not (tmp_path / "stations.yaml").exists()


def test_what_was_confirmed_stays_when_the_person_ends_it(
    bench: Guided, wanted: TaughtStations, pty: Any, tmp_path: Path
) -> None:
    out = tmp_path / "stations.yaml"
    with (
        pty.PtyPerson(
            [(r"at rest \(machine\)\? \[y/N\] ", "n"), (ASKED, guide_there(bench, wanted)), (KEEP, "y")]
        ) as person,
        pytest.raises(BenchError, match="teaching ends when a station is not confirmed"),
    ):
        teach(bench.path, person.console(), out)
    assert tuple(TaughtStations.load(out).stations) == ("cup",)


def test_an_unknown_station_gets_a_hint(bench: Guided, pty: Any, tmp_path: Path) -> None:
    with pty.PtyPerson() as person, pytest.raises(BenchError, match="Did you mean 'coaster'"):
        teach(bench.path, person.console(), tmp_path / "stations.yaml", only=("coster",))


def test_stations_of_another_arm_are_not_mixed(bench: Guided, wanted: TaughtStations, pty: Any, tmp_path: Path) -> None:
    from dataclasses import replace

    out = tmp_path / "stations.yaml"
    replace(wanted, arm="ur5e").save(out)
    with pty.PtyPerson() as person, pytest.raises(BenchError, match="one stations file is of one arm"):
        teach(bench.path, person.console(), out)
