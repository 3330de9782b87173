"""``Ros2Arm`` for the conformance suite: a real supervisor and a real twin as processes, over real DDS.

The processes are started once for all tests; every test gets an arm of its own, at home, at rest, armed and powered.
Nothing here is stepped: control periods pass with the twin's clock, and the loop that waits for them keeps beating.

CAVEAT: this is real time on an ordinary machine. One that has more to do than it can loses heartbeats, the supervisor
stops, as it should, and the test in hand means nothing: it is then skipped with that reason (``Ros2Bench.too_busy``).
"""

from __future__ import annotations

import json
import os
import runpy
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from redbutton.hardware.channel import ChannelError, SupervisorClient
from redbutton.hardware.config import load_bench
from redbutton.hardware.launch import launched
from redbutton.hardware.ros import RosNode, level_qos
from redbutton.hardware.ros2_arm import Ros2Arm

HARDWARE = Path(__file__).parents[1] / "hardware"
patient = runpy.run_path(str(HARDWARE / "patience.py"))["patient"]
free_port = runpy.run_path(str(HARDWARE / "ports.py"))["free_port"]

SPEED = 2.0
"""Seconds of the twin in one of ours."""
WITHIN_S = 60.0
BEAT_S = 0.01
REPLY_S = 10.0
AT_HOME_RAD = 1e-3
LATE = ("client_lost", "joint_states_stale", "overload", "heartbeat_lost", "no reply in time")
"""Reasons of a stop that a machine without time to spare gives by itself."""


def bench_file(folder: Path, domains: tuple[int, ...]) -> Path:
    """A patient rehearsal with ports, ids and a socket of its own."""
    port = free_port()
    relay = {"kind": "modbus", "host": "127.0.0.1", "port": port}
    document = {
        "name": "conformance",
        "arm": {"profile": "panda_twin", "power": {"off": "/twin/power_off", "on": "/twin/power_on"}},
        "limits": {"speed_share": 1.0, "step_rad": 0.6},
        "supervision": {"socket": str(folder / "s.sock")},
        "inputs": [{"name": "wall_button", **relay}],
        "ros": {"domain_id": domains[0], "study_domain_id": domains[1]},
        "twin": {"speed": SPEED, "relay_port": port},
    }
    path = folder / "bench.yaml"
    path.write_text(json.dumps(patient(document)), encoding="utf-8")  # JSON is YAML
    return path


class Ros2Bench:
    """The processes, one node in their graph, and a connection for each role."""

    def __init__(self, folder: Path, domains: tuple[int, ...]) -> None:
        path = bench_file(folder, domains)
        self.config = load_bench(path)
        self._acked = self._number = self._scenes = 0
        self._seen = 0
        with ExitStack() as stack:
            stack.enter_context(launched(path))
            self.ros = stack.enter_context(RosNode("conformance", self.config.ros.domain_id))
            self.motion = self._client(stack, "motion")
            self.operator = self._client(stack, "operator")
            self._listen()
            self._stack = stack.pop_all()

    def _client(self, stack: ExitStack, role: str) -> SupervisorClient:
        return stack.enter_context(SupervisorClient(self.config.socket_path, role, REPLY_S))

    def _listen(self) -> None:
        from std_msgs.msg import String

        self._twin = self.ros.node.create_publisher(String, "/twin/command", level_qos(50))
        self.ros.node.create_subscription(String, "/twin/scene", self._hear, level_qos(50))
        self.wait(lambda: self._twin.get_subscription_count() > 0 and self._scenes > 0, "the twin in the graph")

    def close(self) -> None:
        """End everything."""
        self._stack.close()

    def begin(self) -> None:
        """A new test: whatever the one before has left, both connections work and its events are past."""
        for client in (self.motion, self.operator):
            try:
                client.status()
            except ChannelError:
                client.connect()
        self._seen = self.operator.events(0)["last"]

    def too_busy(self) -> str:
        """Why the test in hand means nothing, if the supervisor stopped because this machine was late."""
        load, cores = os.getloadavg()[0], os.cpu_count() or 1
        if load <= cores:
            return ""
        try:
            events = self.operator.events(self._seen)["events"]
        except ChannelError as exc:
            events = [{"kind": "stop", "detail": {"reason": str(exc)}}]
        reasons = [str(e["detail"].get("reason", "")) for e in events if e["kind"] == "stop"]
        late = [reason for reason in reasons if any(word in reason for word in LATE)]
        return f"the machine was too busy: {late[0]}, load {load:.1f} on {cores} cores" if late else ""

    def _hear(self, message: Any) -> None:
        self._acked = json.loads(message.data)["ack"] or self._acked
        self._scenes += 1

    def wait(self, condition: Callable[[], bool], what: str) -> None:
        """Wait with a beating heart, which is only heard while this client has the lease."""
        deadline_s = time.monotonic() + WITHIN_S
        due_s = 0.0
        while not condition():
            now_s = time.monotonic()
            assert now_s < deadline_s, f"{what}: {self.operator.status()}"
            if now_s >= due_s:
                self.motion.beat()
                due_s = now_s + BEAT_S
            time.sleep(0.001)

    def settled(self) -> bool:
        """Whether the supervisor's hold is over and the arm at rest."""
        return bool(self.motion.beat()["settled"])

    def start(self) -> None:
        """From any state to run, with power and at rest."""
        self.motion.lease()
        if self.operator.status()["state"] == "stopped":
            replies: list[dict[str, Any]] = []
            self.wait(lambda: self._granted(replies), "a reset code")
            assert self.operator.reset(replies[-1]["code"])["ok"]
        self.motion.beat()
        if self.operator.status()["state"] == "ready":
            assert self.operator.arm()["ok"]
        assert self.motion.enable()["ok"]
        self.wait(self.settled, "rest")

    def _granted(self, replies: list[dict[str, Any]]) -> bool:
        replies.append(self.operator.reset_request())
        return bool(replies[-1]["ok"])

    def go_home(self) -> None:
        """The twin puts the arm home at once; a hold there is what is in force afterwards."""
        from std_msgs.msg import String

        scenes = self._scenes
        # The last hold may still be on its way: taken after the reset it would send the arm back.
        self.wait(lambda: self._scenes >= scenes + 2, "two scenes")
        self._number += 1
        self._twin.publish(String(data=json.dumps({"id": self._number, "do": "reset"})))
        self.wait(lambda: self._acked >= self._number, "the twin's reset")
        self.wait(self._at_home, "the arm at home")
        self.motion.hold(2)
        self.wait(self.settled, "rest at home")

    def _at_home(self) -> bool:
        at = self.operator.status()["joint_states"]["positions_rad"]
        return bool(max(abs(a - h) for a, h in zip(at, self.config.arm.home_rad, strict=True)) < AT_HOME_RAD)


class Ros2Harness:
    """One arm on the shared bench."""

    standstill_s = 0.60
    drift_rad = 0.25
    follows_far_targets = False

    def __init__(self, bench: Ros2Bench) -> None:
        self._bench = bench
        bench.begin()
        bench.start()
        bench.go_home()
        bench.motion.release()
        self._running = False
        self.robot = Ros2Arm(bench.config, bench.motion, bench.ros)

    def advance(self, ticks: int) -> None:
        """Wait until the twin's clock is so many control periods further."""
        if ticks == 0:
            return
        if not self._running:  # only now: nobody beats while the robot connects
            self._running = True
            self._bench.start()
            self.robot.sync()
        span_s = ticks * self.robot.control_period_s
        until_s = self.robot.latest_stamp_s + span_s - 1e-6
        # A twin that was late makes up for it by running faster for a while. Whoever commanded at that pace would be
        # too fast for the supervisor, which has the host's clock.
        not_before_s = time.monotonic() + span_s / SPEED
        self._bench.wait(
            lambda: time.monotonic() >= not_before_s and self.robot.latest_stamp_s >= until_s, f"{ticks} periods"
        )

    def close(self) -> None:
        """Give the lease back: nobody beats between two tests."""
        self._bench.motion.release()
