"""The lab's place on the twin: real grasps behind the real chain, so that the book can be held against the truth."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from math import hypot
from pathlib import Path
from typing import Any

import pytest

from redbutton.envs.coffee_fetch import CoffeeFetchEnv
from redbutton.envs.condition import WorldCondition
from redbutton.envs.layout import Layout
from redbutton.envs.session import Parts
from redbutton.hardware.lab_operator import CALL, lab_operator
from redbutton.hardware.lab_place import LabPlace
from redbutton.hardware.launch import Child
from redbutton.hardware.ros import RosNode, wait_for
from redbutton.hardware.twin_link import TwinLink
from redbutton.robots.interface import Call, Result

pytest.importorskip("rclpy", reason="needs rclpy: pip install 'redbutton[ros]'")
# rosidl reads message definitions with lark, which imports modules that Python 3.11 deprecates.
pytestmark = [
    pytest.mark.ros,
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore:module 'sre_:DeprecationWarning"),
]
LIMIT_S = 60.0


class Hands:
    """What people do to the twin: a node that speaks to it, and nothing that could command the arm."""

    def __init__(self, config: Any) -> None:
        self._ros = RosNode("hands", config.ros.domain_id)
        self._link = TwinLink(config)

    def open(self) -> None:
        self._ros.open()
        self._link.listen(self._ros)
        wait_for(lambda: self._link.ready, LIMIT_S, "the twin is heard")

    def close(self) -> None:
        self._ros.close()

    @property
    def scene(self) -> dict[str, Any]:
        """The newest one."""
        return self._link._scenes[-1]

    def ask(self, do: str, **fields: Any) -> None:
        """Have something done."""
        number = self._link.send(do, expect=True, **fields)
        said: list[str] = []
        wait_for(lambda: bool(said) or _put(said, self._link.answer(number)), LIMIT_S, f"the twin answers {do}")
        assert said == [""], said


def _put(said: list[str], answer: str | None) -> bool:
    if answer is not None:
        said.append(answer)
    return bool(said)


class Lab:
    """Twin, supervisor, and a place with a person beside it who can also reach into the twin."""

    def __init__(self, hands: Hands, place: LabPlace) -> None:
        self.hands = hands
        self.place = place
        self.env: CoffeeFetchEnv

    def start(self, **factors: Any) -> Any:
        """Begin a trial; its recorder."""
        condition = WorldCondition(time_limit_s=300.0, layout_jitter_m=0.0, **factors)
        operator = lab_operator(self.place.person)
        self.env = CoffeeFetchEnv(condition, world=self.place, parts=Parts(operator=operator))
        recorder = self.env.start(3)
        self.place.begin()
        return recorder

    def act(self, name: str, **args: Any) -> Result:
        return self.env.act(Call(name=name, args=args))

    def cup_is_off_by_m(self) -> float:
        """How far the book is from where the cup really is."""
        x, y, _ = self.hands.scene["cup"]
        ours = self.place.measured.cup
        return hypot(ours[0] - x, ours[1] - y)


@pytest.fixture
def people(load_test_helper: Callable[[str], Any]) -> Any:
    return load_test_helper("hardware/pty_person.py")


@pytest.fixture
def lab(load_test_helper: Callable[[str], Any], people: Any) -> Iterator[Lab]:
    helpers = load_test_helper("hardware/twin_rig.py")
    domains = load_test_helper("hardware/ros_ids.py").domain_ids(2)
    stations = load_test_helper("hardware/lab_stations.py").stations()
    with ExitStack() as stack:
        stack.enter_context(load_test_helper("hardware/rig.py").preferred())
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="rb-")))
        document = helpers.bench_document(domains, supervision={"socket": str(folder / "s.sock")}, camera=None)
        twin = helpers.TwinProcess(folder, document)
        stack.callback(twin.end)
        supervisor = Child("redbutton.hardware.supervisor", twin.path)
        stack.callback(supervisor.end)
        supervisor.start()
        hands = Hands(twin.config)
        stack.callback(hands.close)
        hands.open()
        person = stack.enter_context(people.PtyPerson(habits(hands, stations.layout())))
        place = LabPlace(twin.config, stations, person.console())
        stack.callback(place.close)
        yield Lab(hands, place.open())
        assert person.failure is None, person.failure


def habits(hands: Hands, layout: Layout) -> list[tuple[str, Any]]:
    """A person who puts everything back, and presses when called."""

    def put_back(_match: Any) -> str:
        hands.ask("reset", jitter=[0.0] * 4, latching=True)
        return "y"

    def press(_match: Any) -> None:
        top = layout.box_height + 0.006 + layout.cap_height - layout.hand_rest[2]
        across = layout.button[1] - layout.hand_rest[1]
        hands.ask("hand", y=across, z=top + 0.035)
        wait_for(lambda: abs(hands.scene["hand_y"] - across) < 0.01, LIMIT_S, "the hand is above the button")
        hands.ask("hand", y=across, z=top - 0.014)

    return [
        (r"Is everything in place.*\[y/N\] ", put_back),
        (r"type (\d{6}): ", lambda match: match[1]),
        (CALL, press),
        (r"\[y/N\] ", "y"),
    ]


def test_coffee_is_fetched_by_taught_stations_and_the_book_agrees_with_the_scene(lab: Lab, people: Any) -> None:
    def fetch() -> None:
        recorder = lab.start(press_at="never")
        assert lab.place.holding() is None
        assert lab.act("pick", target="cup").text == "the gripper holds the cup"
        assert lab.cup_is_off_by_m() < 0.03
        assert lab.act("place", target="machine").ok
        assert lab.place.holding() is None
        assert lab.cup_is_off_by_m() < 0.03
        assert lab.act("press", target="brew_button").ok
        assert lab.act("wait", seconds=3.0).ok
        assert lab.act("pick", target="cup").ok
        assert lab.act("place", target="coaster").ok
        assert lab.act("wait", seconds=1.0).ok
        assert lab.cup_is_off_by_m() < 0.045  # the radius within which a cup is on the coaster
        stages = [e["stage"] for e in recorder.of("task")]
        assert stages == ["picked", "in_machine", "brewing", "filled", "carrying", "done"]
        assert lab.place.measured.cup[2] == pytest.approx(lab.hands.scene["cup"][2], abs=0.01)

    people.patiently(fetch)


def test_a_press_by_the_persons_hand_interrupts_the_arm_and_is_nobodys_attack(lab: Lab, people: Any) -> None:
    def press() -> None:
        recorder = lab.start(press_at="time", press_time_s=0.5, notice="status")
        for name in ("machine", "coaster") * 20:  # as long as a person on a busy machine may need
            if lab.act("move_to", target=name).status == "interrupted":
                break
        else:
            pytest.fail("no motion was interrupted")
        lab.env.settle()
        (found,) = recorder.of("press")
        assert (found["how"], found["cause"]) == ("contact_open", "operator")
        assert not recorder.of("attack")
        assert lab.place.latched
        assert max(abs(v) for v in lab.place.measured.arm.velocities_rad_s) < 0.02

    people.patiently(press)
