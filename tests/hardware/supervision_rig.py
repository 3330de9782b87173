"""A supervisor's core with a clock that is set by hand, an arm that obeys at once, and people around it."""

from __future__ import annotations

from typing import Any

from redbutton.estop import ChainState, Contacts, ManualClock
from redbutton.hardware.config import BenchConfig, parse_bench
from redbutton.hardware.supervision import Actions, Supervision

CLOSED, OPEN = Contacts(True, True), Contacts(False, False)
MOTION, OPERATOR, WATCH, OTHER = 1, 2, 3, 4
UID = 1000
STEP_S = 0.005
ARM: dict[str, Any] = {
    "name": "two_joints",
    "joint_names": ["shoulder", "elbow"],
    "lower_rad": [-2.0, -2.0],
    "upper_rad": [2.0, 2.0],
    "velocity_rad_s": [2.0, 4.0],
    "home_rad": [0.0, 0.0],
    "controller": "joint_trajectory_controller",
    "gripper": {"kind": "trajectory", "topic": "/gripper", "joint": "finger", "open_m": 0.08},
}


def bench(**changes: Any) -> BenchConfig:
    """A bench with two safety inputs and a study input. A mapping among the changes is merged into that part."""
    document: dict[str, Any] = {
        "name": "rig",
        "arm": ARM,
        "limits": {"speed_share": 0.5, "step_rad": 0.25},
        "inputs": [
            {"name": name, "role": role, "kind": "serial", "port": "/dev/null"}
            for name, role in (("wall", "safety"), ("pendant", "safety"), ("red", "study"))
        ],
    }
    for key, value in changes.items():
        document[key] = {**document.get(key, {}), **value} if isinstance(value, dict) else value
    return parse_bench(document)


class Rig:
    """``run`` lets time pass as on a healthy bench; what is set on the rig makes it less so."""

    def __init__(self, config: BenchConfig | None = None, tool_position: Any = None, **options: Any) -> None:
        self.config = config or bench()
        self.clock = ManualClock(100.0)
        self.wall = ManualClock(1.7e9)
        codes = iter(range(123_456, 999_999))
        self.supervision = Supervision(
            self.config, self.clock, self.wall, tool_position, own_uid=UID, randbelow=lambda n: next(codes), **options
        )
        self.contacts: dict[str, Contacts | None] = {i.name: CLOSED for i in self.config.inputs}
        self.positions = [0.0, 0.0]
        self.velocities = [0.0, 0.0]
        self.speed = self.config.twin.speed if self.config.twin else 1.0
        self.stamp_s = 10.0
        self.joint_states = self.beats = True
        self.counts: tuple[int, int] | None = (1, 1)
        self.mode: Any = 1
        self.deaf = 0
        """Holds that the driver drops."""
        self.sequence = 0
        self.done: list[tuple[float, Actions]] = []
        for conn_id, role in ((MOTION, "motion"), (OPERATOR, "operator"), (WATCH, "watch")):
            assert self.supervision.hello(conn_id, role, UID)["ok"]

    # -- time

    def run(self, seconds: float, step_s: float = STEP_S) -> list[Actions]:
        """So much time as the bench is set now."""
        first = len(self.done)
        for _ in range(round(seconds / step_s)):
            self.pass_time(step_s)
            self.feed()
            if self.beats and self.supervision._judge.lease.holder == MOTION:
                self.supervision.beat(MOTION)
            self.tick()
        return [actions for _, actions in self.done[first:]]

    def pass_time(self, seconds: float) -> None:
        self.clock.advance(seconds)
        self.wall.advance(seconds)
        self.stamp_s += seconds * self.speed
        self.positions = [p + v * seconds * self.speed for p, v in zip(self.positions, self.velocities, strict=True)]

    def feed(self) -> None:
        for name, contacts in self.contacts.items():
            self.supervision.input_reading(name, contacts, self.clock())
        if self.joint_states:
            self.feed_joints()
        if self.counts is not None:
            self.supervision.publishers(self.counts[0])
            self.supervision.subscribers(self.counts[1])
        if self.mode is not None:
            self.supervision.safety_mode(self.mode)

    def feed_joints(self) -> None:
        names = ("finger", "elbow", "shoulder")
        positions = (0.04, self.positions[1], self.positions[0])
        velocities = (0.0, self.velocities[1], self.velocities[0])
        self.supervision.joint_states(names, positions, velocities, self.stamp_s, self.clock())

    def tick(self) -> Actions:
        actions = self.supervision.tick()
        self.done.append((self.clock(), actions))
        if actions.hold is not None:
            if self.deaf:
                self.deaf -= 1
            else:
                self.velocities = [0.0, 0.0]
        if actions.forward is not None:
            self.positions = list(actions.forward.positions_rad)
        return actions

    # -- acts

    def reset(self) -> dict[str, Any]:
        code = self.supervision.reset_request(OPERATOR)
        assert code["ok"], code
        return self.supervision.reset(OPERATOR, code["code"])

    def ready(self) -> Rig:
        """Healthy, leased and reset."""
        assert self.supervision.lease(MOTION)["ok"]
        self.run(0.4)
        assert self.reset()["ok"]
        assert self.state is ChainState.READY
        return self

    def armed(self) -> Rig:
        """In run, the first hold gone out and over."""
        self.ready()
        reply = self.supervision.arm(OPERATOR)
        assert reply["ok"], reply
        self.run(0.2)
        assert self.state is ChainState.RUN
        return self

    def message(self, *target: float, **fields: Any) -> dict[str, Any]:
        """A good command to ``target``; ``fields`` make it another one."""
        self.sequence += 1
        good: dict[str, Any] = {
            "seq": self.sequence,
            "epoch": self.supervision.epoch,
            "t_s": self.clock(),
            "names": ["shoulder", "elbow"],
            "positions_rad": list(target or self.positions),
            "velocities_rad_s": [0.0, 0.0],
            "duration_s": 0.1,
            "gripper_m": 0.04,
        }
        return {**good, **fields}

    def command(self, *target: float, **fields: Any) -> dict[str, Any]:
        return self.supervision.command(MOTION, self.message(*target, **fields))

    # -- what happened

    @property
    def state(self) -> ChainState:
        return self.supervision.state

    @property
    def reason(self) -> str:
        return str(self.supervision.status()["stop_reason"])

    def events(self, *kinds: str) -> list[dict[str, Any]]:
        """All events, or those of some kinds."""
        found, after = [], 0
        while True:
            reply = self.supervision.events(after)
            found += reply["events"]
            if not reply["more"]:
                return [e for e in found if not kinds or e["kind"] in kinds]
            after = found[-1]["n"]

    def holds(self, since: int = 0) -> list[tuple[float, tuple[float, ...]]]:
        return [(t_s, a.hold) for t_s, a in self.done[since:] if a.hold is not None]
