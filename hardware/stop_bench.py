"""How long a press takes to reach the driver: real relay, real supervisor, real DDS, a driver that notes arrivals.

Every press is a pulse of ``PULSE_S`` at a random moment, so that one that falls between two polls would go unread.
Stages are told by the supervisor's events and by the driver's own clock reading, all on ``CLOCK_MONOTONIC``.

CAVEAT: one host, loopback, not real time. The figures say what this software adds to a stop, and nothing about a wire,
a relay, a fieldbus, a drive or a brake.
"""

from __future__ import annotations

import json
import random
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import yaml

from redbutton.hardware.channel import SupervisorClient, client_of
from redbutton.hardware.config import BenchConfig, BenchError, load_bench
from redbutton.hardware.launch import Child
from redbutton.hardware.relay import Relay

PULSE_S = 0.020
BEAT_S = 0.02
WITHIN_S = 3.0
SETTLED_S = 0.2
STAGES: tuple[str, ...] = (
    "press to reading",
    "reading to latch",
    "latch to gate",
    "gate to hold sent",
    "hold sent to driver",
)
_DOMAINS = (92, 93)


@dataclass
class Presses:
    """What a series of presses gave. Times in seconds."""

    total: list[float] = field(default_factory=list)
    """Press to the first hold at the driver."""
    stages: dict[str, list[float]] = field(default_factory=lambda: {name: [] for name in STAGES})
    lost: int = 0
    """The relay told of it, and no stop came."""
    unread: int = 0
    """The relay was never asked while it lasted: the machine gave the supervisor no time."""
    spoilt: int = 0
    """The arm had stopped for something else before."""

    def quantile(self, share: float, stage: str | None = None) -> float:
        """A quantile of the whole path, or of one of its stages."""
        values = sorted(self.total if stage is None else self.stages[stage])
        return values[min(len(values) - 1, int(share * len(values)))] if values else float("nan")


def free_port() -> int:
    """A TCP port that nobody uses now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def bench_document(folder: Path, port: int) -> dict[str, Any]:
    """A bench with one Modbus button and a driver that never moves."""
    relay = {"kind": "modbus", "host": "127.0.0.1", "port": port, "timeout_s": 0.2, "debounce_s": 0.0}
    return {
        "name": "stop_bench",
        "arm": {"profile": "panda_twin", "power": None, "safety_mode": None},
        "limits": {"speed_share": 1.0},
        "inputs": [{"name": "wall_button", "role": "safety", **relay}],
        "ros": {"domain_id": _DOMAINS[0], "study_domain_id": _DOMAINS[1]},
        "supervision": {"socket": str(folder / "supervisor.sock"), "settle_for_s": 0.03},
    }


class Rig:
    """Relay, supervisor and driver, and the two who speak to the supervisor."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._stack = ExitStack()
        self.arrivals: list[float] = []
        self.last_beat_s = 0.0
        self._alive, self._ended = threading.Event(), threading.Event()
        self._alive.set()

    def __enter__(self) -> Rig:
        try:
            return self._open()
        except BaseException:
            self._stack.close()
            raise

    def _open(self) -> Rig:
        port = free_port()
        path = self._folder / "bench.yaml"
        path.write_text(yaml.safe_dump(bench_document(self._folder, port)), encoding="utf-8")
        self.config: BenchConfig = load_bench(path)
        self.relay = Relay("127.0.0.1", port)
        self.relay.start()
        self._stack.callback(self.relay.stop)
        self._start_driver(path)
        supervisor = Child("redbutton.hardware.supervisor", path)
        supervisor.start()
        self._stack.callback(supervisor.end)
        self.motion = self._client("motion")
        self.operator = self._client("operator")
        self.wait(lambda: self.motion.lease()["ok"], "the motion lease")
        beats = threading.Thread(target=self._beat, daemon=True)
        beats.start()
        self._stack.callback(beats.join)
        self._stack.callback(self._ended.set)
        return self

    def __exit__(self, *_exc: object) -> None:
        self._stack.close()

    def _client(self, role: str) -> SupervisorClient:
        client = client_of(self.config, role)
        client.connect()
        self._stack.callback(client.close)
        return client

    def _start_driver(self, path: Path) -> None:
        command = [sys.executable, "-m", "redbutton.hardware.probe", str(path)]
        driver = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert driver.stdout is not None
        self._stack.callback(driver.stdout.close)
        self._stack.callback(driver.wait)
        self._stack.callback(driver.terminate)
        if driver.stdout.readline().strip() != "ready":
            raise BenchError("the measuring driver must start. Received another line than 'ready'")
        threading.Thread(target=self._listen, args=(driver.stdout,), daemon=True).start()

    def _listen(self, lines: Any) -> None:
        for line in lines:
            heard = json.loads(line)
            if heard["hold"]:
                self.arrivals.append(heard["t_s"])

    def _beat(self) -> None:
        while not self._ended.wait(BEAT_S):
            if self._alive.is_set():
                self.motion.beat()
                self.last_beat_s = time.monotonic()

    def wait(self, condition: Callable[[], Any], what: str) -> None:
        """Wait for something. Raises ``BenchError``."""
        deadline = time.monotonic() + 15.0
        while not condition():
            if time.monotonic() > deadline:
                raise BenchError(f"{what} within 15 s. Received: {self.operator.status().get('stop_reason')}")
            time.sleep(0.002)

    def make_ready(self) -> None:
        """Lower the stop and arm, as the operator."""
        asked: dict[str, Any] = {}

        def code_given() -> bool:
            asked.update(self.operator.reset_request())
            return bool(asked["ok"])

        if self.operator.status()["state"] == "stopped":
            self.wait(code_given, "a code for the reset")
            self.operator.reset(asked["code"])
        self.wait(lambda: self.operator.arm()["ok"] or self.operator.status()["state"] == "run", "arming")

    def last_event(self) -> int:
        """Number of the supervisor's latest event."""
        return int(self.operator.events(0)["last"])

    def press_once(self, presses: Presses, rng: random.Random) -> None:
        """One pulse, and what came of it."""
        self.make_ready()
        after = self.last_event()
        # Anywhere between two polls, and slowly enough that no event is left out of the supervisor's limited log.
        time.sleep(rng.uniform(0.11, 0.13))
        told = self.relay.opens_told
        pressed_s = time.monotonic()
        self.relay.press("wall")
        time.sleep(PULSE_S)
        self.relay.release("wall")
        told = self.relay.opens_told - told
        deadline = pressed_s + WITHIN_S
        while not (arrived := [t for t in self.arrivals if t >= pressed_s]) and time.monotonic() < deadline:
            time.sleep(0.001)
        times = _times(self.operator.events(after)["events"])
        if times.get("latched", pressed_s) < pressed_s:
            presses.spoilt += 1
            return
        if not arrived or "latched" not in times:
            presses.lost += told > 0
            presses.unread += told == 0
            return
        presses.total.append(arrived[0] - pressed_s)
        points = [
            pressed_s,
            *(times.get(k) for k in ("input_open", "latched", "gate_closed", "hold_published")),
            arrived[0],
        ]
        for name, start, end in zip(STAGES, points, points[1:], strict=False):
            if start is not None and end is not None:
                presses.stages[name].append(end - start)

    def lose_heartbeat(self) -> float:
        """Fall silent in the middle of a run; seconds from the last beat to the hold at the driver."""
        self.make_ready()
        time.sleep(SETTLED_S)  # the hold of arming is over
        self.arrivals.clear()
        self._alive.clear()
        self.wait(lambda: [t for t in self.arrivals if t > self.last_beat_s + BEAT_S], "a hold after the last beat")
        arrived = min(t for t in self.arrivals if t > self.last_beat_s + BEAT_S)
        self._alive.set()
        return arrived - self.last_beat_s


def _times(events: list[dict[str, Any]]) -> dict[str, float]:
    """The first of each kind; a reading's own time where it is told."""
    found: dict[str, float] = {}
    for event in events:
        detail = event.get("detail") or {}
        found.setdefault(
            event["kind"], float(detail.get("t_s", event["t_s"]) if event["kind"] == "input_open" else event["t_s"])
        )
    return found


@contextmanager
def busy(processes: int) -> Iterator[None]:
    """So many other processes that never rest."""
    others = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(processes)]
    try:
        yield
    finally:
        for other in others:
            other.kill()
            other.wait()


def measure_heartbeats(count: int) -> list[float]:
    """Lose the client's heartbeat so often; seconds from its last beat to the hold at the driver, sorted."""
    with TemporaryDirectory() as folder, Rig(Path(folder)) as rig:
        return sorted(rig.lose_heartbeat() for _ in range(count))


def measure_presses(count: int, busy_processes: int = 0, seed: int = 0) -> Presses:
    """Press so often and time every press. Raises ``BenchError`` where the processes do not start."""
    presses, rng = Presses(), random.Random(seed)
    with TemporaryDirectory() as folder, Rig(Path(folder)) as rig:
        rig.make_ready()
        with busy(busy_processes):
            for _ in range(count):
                rig.press_once(presses, rng)
                rig.arrivals.clear()
    return presses
