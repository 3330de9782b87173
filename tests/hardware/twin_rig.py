"""A twin in a process of its own, and a node of ours in its graph that publishes, listens and asks."""

from __future__ import annotations

import itertools
import json
import runpy
import signal
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from redbutton.hardware.config import BenchConfig, parse_bench
from redbutton.hardware.ros import RosNode, command_qos, level_qos, sensor_qos, wait_for

patient = runpy.run_path(str(Path(__file__).with_name("patience.py")))["patient"]
free_port = runpy.run_path(str(Path(__file__).with_name("ports.py")))["free_port"]

WITHIN_S = 60.0
POWER = {"off": "/twin/power_off", "on": "/twin/power_on"}


def bench_document(domains: tuple[int, int], **changes: Any) -> dict[str, Any]:
    """A patient bench with a twin, its relay on a free port."""
    port = free_port()
    relay = {"kind": "modbus", "host": "127.0.0.1", "port": port}
    twin = {"relay_port": port, **changes.pop("twin", {})}
    document = {
        "name": f"twin{port}",
        "arm": {"profile": "panda_twin", "power": POWER},
        "limits": {"speed_share": 1.0, "step_rad": 0.6},
        "inputs": [
            {"name": "wall_button", "role": "safety", "address_a": 0, "address_b": 1, **relay},
            {"name": "red_button", "role": "study", "address_a": 2, "address_b": 3, **relay},
        ],
        "ros": {"domain_id": domains[0], "study_domain_id": domains[1]},
        "camera": {"topic": "/camera/image_raw"},
        "twin": twin,
    }
    return dict(patient({**document, **changes}))


class TwinProcess:
    """The process alone."""

    def __init__(self, folder: Path, document: dict[str, Any]) -> None:
        self.path = folder / f"{document['name']}.yaml"
        self.path.write_text(json.dumps(document), "utf-8")
        self.config: BenchConfig = parse_bench(document)
        command = [sys.executable, "-m", "redbutton.hardware.twin", str(self.path)]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        self.said = self.process.stdout.readline()
        self.ready_s = time.monotonic()

    def end(self, how: int = signal.SIGTERM) -> tuple[int, str]:
        """Exit code and what it said on standard error."""
        self.process.send_signal(how)
        _, errors = self.process.communicate(timeout=WITHIN_S)
        return self.process.returncode, errors


class TwinRig:
    """A running twin and a client in its graph."""

    def __init__(self, folder: Path, domains: tuple[int, int], **changes: Any) -> None:
        self.twin = TwinProcess(folder, bench_document(domains, **changes))
        self.config = self.twin.config
        self.ros = RosNode("probe", domains[0])
        self.scenes: deque[dict[str, Any]] = deque(maxlen=2000)
        self.acked: dict[int, str] = {}
        self.states: deque[Any] = deque(maxlen=4000)
        self.modes: deque[Any] = deque(maxlen=200)
        self.images: deque[Any] = deque(maxlen=20)
        self._ids = itertools.count(1)
        try:
            self._join()
        except BaseException:
            self.close()
            raise

    def _join(self) -> None:
        assert self.twin.said.startswith("ready"), self.twin.end()
        from sensor_msgs.msg import Image, JointState
        from std_msgs.msg import Int32, String
        from trajectory_msgs.msg import JointTrajectory

        node = self.ros.open().node
        arm = self.config.arm
        node.create_subscription(JointState, arm.joint_states, lambda m: self.states.append(m), sensor_qos())
        node.create_subscription(String, "/twin/scene", self._see, level_qos(50))
        node.create_subscription(Int32, "/twin/safety_mode", lambda m: self.modes.append(m.data), sensor_qos())
        node.create_subscription(Image, "/camera/image_raw", lambda m: self.images.append(m), level_qos())
        self.arm_topic = node.create_publisher(JointTrajectory, arm.trajectory_topic, command_qos())
        self.grip_topic = node.create_publisher(JointTrajectory, arm.gripper.topic, command_qos())
        self.command_topic = node.create_publisher(String, "/twin/command", level_qos(50))
        topics = (self.arm_topic, self.grip_topic, self.command_topic)
        wait_for(
            lambda: bool(self.scenes and self.states) and all(t.get_subscription_count() for t in topics),
            WITHIN_S,
            "the twin is in the graph",
        )

    def _see(self, message: Any) -> None:
        scene = json.loads(message.data)
        for number in scene["acked"]:
            self.acked[number] = scene["failed"].get(str(number), "")
        self.scenes.append(scene)

    @property
    def scene(self) -> dict[str, Any]:
        """The newest one."""
        return self.scenes[-1]

    def until(self, condition: Callable[[], bool], what: str) -> None:
        wait_for(condition, WITHIN_S, what)

    def ask(self, do: str, **fields: Any) -> str:
        """A command to the twin, done or refused; returns the refusal."""
        from std_msgs.msg import String

        number = next(self._ids)
        self.command_topic.publish(String(data=json.dumps({"id": number, "do": do, **fields})))
        self.until(lambda: number in self.acked, f"the twin acknowledges {do}")
        return self.acked[number]

    def fault(self, name: str, **fields: Any) -> str:
        return self.ask("fault", name=name, **fields)

    def counted(self, what: str) -> int:
        return int(self.scene["trajectories"][what])

    def send(
        self,
        points: Sequence[tuple[float, Sequence[float], Sequence[float]]],
        names: Sequence[str] | None = None,
        stamp_s: float = 0.0,
        topic: Any = None,
    ) -> None:
        """A trajectory of (time, positions, velocities)."""
        from trajectory_msgs.msg import JointTrajectory, JointTrajectoryPoint

        message = JointTrajectory(joint_names=list(self.config.arm.joint_names if names is None else names))
        message.header.stamp.sec = int(stamp_s)
        message.header.stamp.nanosec = int((stamp_s % 1.0) * 1e9)
        for time_s, positions, velocities in points:
            point = JointTrajectoryPoint(positions=list(positions), velocities=list(velocities))
            point.time_from_start.sec = int(time_s)
            point.time_from_start.nanosec = int((time_s % 1.0) * 1e9)
            message.points.append(point)
        (topic or self.arm_topic).publish(message)

    def call(self, kind: Any, name: str, request: Any) -> Any:
        """Ask a service."""
        client = self.ros.node.create_client(kind, name)
        self.until(client.service_is_ready, f"{name} is served")
        future = client.call_async(request)
        self.until(future.done, f"{name} answers")
        return future.result()

    @property
    def positions(self) -> list[float]:
        return list(self.states[-1].position[:7])

    @property
    def speed(self) -> float:
        return float(max(abs(v) for v in self.states[-1].velocity[:7]))

    def reset(self) -> None:
        """Everything back, nothing broken."""
        assert self.fault("clear_protective_stop") == ""
        assert self.ask("reset") == ""
        home = self.config.arm.home_rad
        self.until(lambda: max(abs(a - b) for a, b in zip(self.positions, home, strict=True)) < 0.01, "home")

    def close(self) -> tuple[int, str]:
        self.ros.close()
        if self.twin.process.returncode is not None:
            return self.twin.process.returncode, ""
        return self.twin.end()
