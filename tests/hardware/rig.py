"""A bench for tests: a supervisor as a real process, a driver stand-in on real DDS, and a real Modbus safety relay.

``Rig`` writes a bench file with ids and ports of its own, starts everything and ends everything. The driver stand-in
lives in the test's process, so that what it received, and when, can be asked for on one monotonic clock.
"""

from __future__ import annotations

import contextlib
import json
import os
import runpy
import selectors
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from redbutton.estop import Clock
from redbutton.hardware.channel import SupervisorClient, client_of
from redbutton.hardware.config import BenchConfig, load_bench
from redbutton.hardware.jtc import JointTrajectoryController, Waypoint
from redbutton.hardware.relay import Relay
from redbutton.hardware.ros import RosNode, command_qos, sensor_qos, wait_for

patient = runpy.run_path(str(Path(__file__).with_name("patience.py")))["patient"]

START_S = 90.0
LIMIT_S = 30.0
START_TRIES = 5
NICE = -15
"""Relay, driver and clients are not what is tested: another test must not make them late."""
MODE_NORMAL = 1


@dataclass(frozen=True)
class Received:
    """One trajectory as the driver got it."""

    t_s: float
    points: tuple[Waypoint, ...]
    stamp_s: float
    refused: str

    @property
    def is_hold(self) -> bool:
        """One point at rest."""
        return len(self.points) == 1 and not any(self.points[0].velocities)


class Driver:
    """Stands in for the arm's ros2_control: joint states at ``rate_hz``, a trajectory controller, a few services."""

    def __init__(self, config: BenchConfig, rate_hz: float = 100.0, clock: Clock = time.monotonic) -> None:
        self.config = config
        self.arm = config.arm
        self.received: list[Received] = []
        self.gripper: list[tuple[float, ...]] = []
        self.cancelled: list[float] = []
        self.power: list[str] = []
        self.deaf = False
        """Drop every trajectory, as a best-effort subscription may."""
        self._clock = clock
        self._period_s = 1.0 / rate_hz
        self._ros = RosNode("driver", config.ros.domain_id)
        self._controller = JointTrajectoryController(self.arm.joint_names)
        self._controller.set_to(self.arm.home_rad)
        self._lock = threading.Lock()
        self._silent = threading.Event()
        self._states: Any = None
        self._mode: Any = None

    def open(self) -> None:
        """Join the graph."""
        from action_msgs.srv import CancelGoal
        from sensor_msgs.msg import JointState
        from std_msgs.msg import Int32
        from std_srvs.srv import Trigger
        from trajectory_msgs.msg import JointTrajectory

        self._ros.open()
        node = self._ros.node
        self._states = node.create_publisher(JointState, self.arm.joint_states, command_qos())
        self._mode = node.create_publisher(Int32, "/rig/safety_mode", latched_qos())
        node.create_subscription(JointTrajectory, self.arm.trajectory_topic, self._hear, sensor_qos())
        node.create_subscription(JointTrajectory, self.arm.gripper.topic, self._hear_gripper, sensor_qos())
        node.create_service(CancelGoal, self.arm.cancel_service, self._cancel)
        node.create_service(Trigger, "/rig/power_off", lambda q, r: self._power("off", r))
        node.create_service(Trigger, "/rig/power_on", lambda q, r: self._power("on", r))
        node.create_timer(self._period_s, self._tell)
        self.set_mode(MODE_NORMAL)

    def close(self) -> None:
        """Leave the graph."""
        self._ros.close()

    # -- what a test does to it -------------------------------------------------------------------------------

    @property
    def node(self) -> Any:
        """Its ROS node, to add things to."""
        return self._ros.node

    def fall_silent(self, silent: bool = True) -> None:
        """Stop telling joint states, or begin again."""
        (self._silent.set if silent else self._silent.clear)()

    def set_mode(self, value: int) -> None:
        """Tell a safety mode, once, as UR's controller does."""
        from std_msgs.msg import Int32

        self._mode.publish(Int32(data=value))

    def state(self) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """Where the joints are, and how fast."""
        with self._lock:
            return self._controller.sample(self._clock())

    @property
    def moving(self) -> bool:
        """Whether any joint moves."""
        return max(map(abs, self.state()[1])) > 1e-6

    def holds_after(self, t_s: float) -> list[Received]:
        """Holds that arrived after this instant."""
        return [r for r in list(self.received) if r.t_s > t_s and r.is_hold]

    def commands_after(self, t_s: float) -> list[Received]:
        """Commands that arrived after this instant."""
        return [r for r in list(self.received) if r.t_s > t_s and not r.is_hold]

    # -- the executor's thread --------------------------------------------------------------------------------

    def _hear(self, message: Any) -> None:
        now_s = self._clock()
        if self.deaf:
            return
        points = tuple(
            Waypoint(_seconds(p.time_from_start), tuple(p.positions), tuple(p.velocities)) for p in message.points
        )
        stamp_s = _seconds(message.header.stamp)
        with self._lock:
            refused = self._controller.accept(message.joint_names, points, stamp_s, now_s)
        self.received.append(Received(now_s, points, stamp_s, refused))

    def _hear_gripper(self, message: Any) -> None:
        self.gripper.append(tuple(message.points[0].positions))

    def _cancel(self, _request: Any, response: Any) -> Any:
        self.cancelled.append(self._clock())
        return response

    def _power(self, what: str, response: Any) -> Any:
        self.power.append(what)
        response.success = True
        return response

    def _tell(self) -> None:
        from sensor_msgs.msg import JointState

        if self._silent.is_set():
            return
        positions, velocities = self.state()
        message = JointState(
            name=[*self.arm.joint_names, self.arm.gripper.joint],
            position=[*positions, 0.04],
            velocity=[*velocities, 0.0],
        )
        message.header.stamp = self._ros.node.get_clock().now().to_msg()
        self._states.publish(message)


def latched_qos() -> Any:
    """Reliable and transient local: a late joiner gets the last message."""
    from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy

    return QoSProfile(depth=1, reliability=ReliabilityPolicy.RELIABLE, durability=DurabilityPolicy.TRANSIENT_LOCAL)


def _seconds(message: Any) -> float:
    return float(message.sec + message.nanosec * 1e-9)


class Process:
    """One Python process that says ``ready`` on its first line."""

    def __init__(self, *arguments: str, folder: Path) -> None:
        self._command = [sys.executable, *arguments]
        self._environment = {**os.environ, "ROS_LOG_DIR": str(folder)}
        self._process: subprocess.Popen[bytes] | None = None
        self.said = b""
        self.shared: set[str] = set()
        """Shared memory that it could not remove itself, as it was killed."""

    def start(self) -> Process:
        """Start it and wait for the first line."""
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(self._command, stdin=pipe, stdout=pipe, stderr=pipe, env=self._environment)
        self.said = self._line()
        if not self.said.startswith(b"ready"):
            self._process.kill()
            _, errors = self._process.communicate()
            raise AssertionError(f"{self._command} is not ready: {self.said!r} {errors.decode()[-4000:]}")
        return self

    def _line(self) -> bytes:
        process = self.process
        assert process.stdout is not None
        deadline, text = time.monotonic() + START_S, b""
        with selectors.DefaultSelector() as selector:
            selector.register(process.stdout, selectors.EVENT_READ)
            while not text.endswith(b"\n") and selector.select(max(0.0, deadline - time.monotonic())):
                piece = os.read(process.stdout.fileno(), 1)
                if not piece:
                    break
                text += piece
        return text

    @property
    def process(self) -> subprocess.Popen[bytes]:
        """The process itself."""
        assert self._process is not None
        return self._process

    def signal(self, number: signal.Signals) -> float:
        """Send a signal; returns when."""
        if number == signal.SIGKILL:
            self.shared |= _shared_memory(self.process.pid)
        t_s = time.monotonic()
        self.process.send_signal(number)
        return t_s

    def wait(self) -> int:
        """Wait for its end; the exit status."""
        return self.process.wait(LIMIT_S)

    def end(self) -> tuple[int, str]:
        """Ask it to end, and kill it when it does not. Exit status and what it wrote on standard error."""
        process, self._process = self._process, None
        if process is None:
            return 0, ""
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(signal.SIGCONT)
            process.terminate()
        try:
            _, errors = process.communicate(timeout=LIMIT_S)
        except subprocess.TimeoutExpired:
            self.shared |= _shared_memory(process.pid)
            process.kill()
            _, errors = process.communicate()
        return process.returncode, errors.decode()


def _set_nice(value: int) -> int:
    """Set the niceness of this thread and of what it starts, where that is permitted; the one before."""
    before = os.getpriority(os.PRIO_PROCESS, 0)
    with contextlib.suppress(PermissionError):
        os.setpriority(os.PRIO_PROCESS, 0, value)
    return before


@contextlib.contextmanager
def preferred() -> Iterator[None]:
    """This thread, and what it starts, come before the other work of the machine, where that is permitted."""
    before = _set_nice(NICE)
    try:
        yield
    finally:
        _set_nice(before)


_SHM = "/dev/shm/"


def _shared_memory(pid: int | str) -> set[str]:
    """Shared memory of the middleware that a process has in use."""
    with contextlib.suppress(OSError):
        maps = Path(f"/proc/{pid}/maps").read_text(encoding="utf-8").split()
        files = [os.readlink(entry) for entry in Path(f"/proc/{pid}/fd").iterdir()]
        return {name for name in (*maps, *files) if name.startswith(f"{_SHM}fastdds_")}
    return set()


def _remove_unused(names: set[str]) -> None:
    """Remove what killed processes left, but for what somebody still uses."""
    if names:
        pids = [entry.name for entry in Path("/proc").iterdir() if entry.name.isdigit()]
        for name in names.difference(*(_shared_memory(pid) for pid in pids)):
            for path in (name, f"{name}_el", f"{_SHM}sem.{name.removeprefix(_SHM)}_mutex"):
                Path(path).unlink(missing_ok=True)


class Rig:
    """One bench, patient but for what ``changes`` says: they are merged into its document, one level deep.

    ``input_timeout_s``: silence after which a button of the relay is lost.
    """

    def __init__(
        self,
        folder: Path,
        domains: tuple[int, ...],
        *,
        log: str | None = None,
        input_timeout_s: float | None = None,
        **changes: dict[str, Any],
    ) -> None:
        self.folder = folder
        self.relay = Relay()
        self.path = folder / "bench.yaml"
        self.log = folder / "events.jsonl"
        self._document: dict[str, Any] = {
            "name": "rig",
            "arm": {
                "profile": "panda_twin",
                "safety_mode": {"topic": "/rig/safety_mode", "normal": [MODE_NORMAL]},
                "power": {"off": "/rig/power_off", "on": "/rig/power_on"},
            },
            "limits": {"speed_share": 0.5},
            "supervision": {"socket": str(folder / "s.sock")},
            "ros": {"domain_id": domains[0], "study_domain_id": domains[1]},
        }
        for key, value in changes.items():
            self._document[key] = {**self._document.get(key, {}), **value}
        self._input: dict[str, Any] = {} if input_timeout_s is None else {"timeout_s": input_timeout_s}
        self._ends = contextlib.ExitStack()
        options = ("--log", str(self.log)) if log is None else ("--log", log)
        self.supervisor = Process("-m", "redbutton.hardware.supervisor", str(self.path), *options, folder=folder)
        self.config: BenchConfig
        self.driver: Driver
        self._watch: SupervisorClient
        self._seq = 0

    def open(self, *, driver: bool = True) -> Rig:
        """Start relay, driver and supervisor."""
        self._ends.enter_context(preferred())
        self._ends.callback(lambda: _remove_unused(self.supervisor.shared))
        self.relay.start()
        self._ends.callback(self.relay.stop)
        relay = {"kind": "modbus", "host": self.relay.host, "port": self.relay.port, **self._input}
        wall = {"name": "wall", **relay}
        red = {"name": "red", "role": "study", "address_a": 2, "address_b": 3, **relay}
        document = patient({"inputs": [wall, red], **self._document})
        self.path.write_text(json.dumps(document), encoding="utf-8")  # JSON is YAML
        self.config = load_bench(self.path)
        self.driver = Driver(self.config)
        if driver:
            self.driver.open()
        self._ends.callback(self.driver.close)
        self._ends.callback(self.supervisor.end)
        self.supervisor.start()
        self._watch = self.client("watch")
        return self

    def close(self) -> None:
        """End everything; safe to call twice."""
        self._ends.close()

    def __enter__(self) -> Rig:
        try:
            return self.open()
        except BaseException:
            self.close()
            raise

    def __exit__(self, *_exc: object) -> None:
        self.close()

    # -- clients ----------------------------------------------------------------------------------------------

    def client(self, role: str) -> SupervisorClient:
        """A connected client, closed with the rig."""
        client = client_of(self.config, role)
        self._ends.callback(client.close)
        client.connect()
        return client

    def reset(self, operator: SupervisorClient) -> None:
        """Wait until nothing speaks against a reset, then do it."""
        replies: list[dict[str, Any]] = []

        def done() -> bool:
            replies.append(operator.reset_request())
            if replies[-1]["ok"]:
                replies.append(operator.reset(replies[-1]["code"]))
            return bool(replies[-1]["ok"])

        try:
            wait_for(done, START_S, "a reset")
        except ValueError as exc:
            raise AssertionError(f"{exc} {replies[-1]}") from None

    def run(self, motion: SupervisorClient, operator: SupervisorClient) -> int:
        """From a stop to RUN. Returns the epoch. Again when a deadline that a test has set stopped it first."""
        replies: list[dict[str, Any]] = []
        for _ in range(START_TRIES):
            self.reset(operator)
            replies = [motion.lease(), operator.arm(), motion.beat()]
            if replies[-1]["state"] == "run":
                return int(replies[-1]["epoch"])
        raise AssertionError(f"the bench does not run: {replies}")

    def start(self, operator: SupervisorClient) -> None:
        """Reset and arm for a ``moving_client``, and wait until the arm moves.

        Again when something stopped it first: on a machine with too much to do, a client or our relay may be late.
        """
        reasons: list[str] = []
        for _ in range(START_TRIES):
            self.reset(operator)
            wait_for(lambda: bool(operator.arm()["ok"]), LIMIT_S, "armed")
            self._wait_motion(time.monotonic())
            if self.status()["state"] == "run":
                return
            reasons.append(self.status()["stop_reason"])
        raise AssertionError(f"the arm does not move: {reasons}")

    def _wait_motion(self, since_s: float) -> None:
        def moves() -> bool:
            return len(self.driver.commands_after(since_s)) > 5 and self.driver.moving

        wait_for(lambda: moves() or self.status()["state"] != "run", LIMIT_S, "motion, or a stop")

    def command(self, motion: SupervisorClient, epoch: int, offset_rad: float = 0.02, **changes: Any) -> dict[str, Any]:
        """One command that moves the first joint by so much from where it is."""
        positions = list(self.driver.state()[0])
        positions[0] += offset_rad
        self._seq += 1
        fields = {
            "seq": self._seq,
            "epoch": epoch,
            "t_s": time.monotonic(),
            "names": list(self.config.arm.joint_names),
            "positions_rad": positions,
            "velocities_rad_s": [0.0] * len(positions),
            "duration_s": 0.1,
            "gripper_m": None,
        }
        return motion.command(**{**fields, **changes})

    @contextlib.contextmanager
    def moving_client(self) -> Iterator[Process]:
        """A process of its own that takes the lease, waits to be armed, then swings the first joint until it ends."""
        process = Process("-c", _SWING, str(self.path), folder=self.folder)
        try:
            yield process.start()
        finally:
            process.end()

    # -- what was recorded --------------------------------------------------------------------------------------

    def events(self, after: int = 0) -> list[dict[str, Any]]:
        """The supervisor's events."""
        return list(self.watch.events(after)["events"])

    @property
    def watch(self) -> SupervisorClient:
        """A connection that only looks, made when it is needed."""
        if not self._watch.connected:
            self._watch.connect()
        return self._watch

    def status(self) -> dict[str, Any]:
        """The supervisor's full status."""
        return self.watch.status()

    def wait_event(self, kind: str, after: int = 0, **detail: Any) -> dict[str, Any]:
        """The first event of a kind with these details, waiting for it."""
        found: list[dict[str, Any]] = []

        def there() -> bool:
            for event in self.events(after):
                if event["kind"] == kind and all(event["detail"].get(k) == v for k, v in detail.items()):
                    found.append(event)
            return bool(found)

        wait_for(there, LIMIT_S, f"an event {kind} {detail}")
        return found[0]

    def last_event(self) -> int:
        """Number of the newest event."""
        return int(self.watch.events(2**62)["last"])


_SWING = """
import math, sys, time
from redbutton.hardware.channel import SupervisorClient, client_of
from redbutton.hardware.config import load_bench
config = load_bench(sys.argv[1])
client = SupervisorClient(config.socket_path, "motion")
client.connect()
assert client.lease()["ok"]
print("ready", flush=True)
period, seq, begin, start, epoch = 0.05, 0, None, [], None
while True:
    reply = client.beat()
    now = time.monotonic()
    if reply["state"] == "run":
        if reply["epoch"] != epoch:
            epoch, begin, start = reply["epoch"], now, client.status()["joint_states"]["positions_rad"]
            swing = -0.2 if start[0] > 0.0 else 0.2
        ahead = now - begin + period
        target = [start[0] + swing * math.sin(ahead), *start[1:]]
        rates = [swing * math.cos(ahead), *[0.0] * (len(start) - 1)]
        seq += 1
        reply = client.command(seq=seq, epoch=epoch, t_s=time.monotonic(), names=list(config.arm.joint_names),
            positions_rad=target, velocities_rad_s=rates, duration_s=period, gripper_m=None)
    time.sleep(max(0.0, now + period - time.monotonic()))
"""

__all__ = ["Driver", "Process", "Received", "Rig", "latched_qos", "patient", "preferred"]
