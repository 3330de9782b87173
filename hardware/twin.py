"""The twin: the simulated arm and its counter as a ROS 2 driver, with a safety relay and a camera, in its own process.

    python -m redbutton.hardware.twin BENCH.yaml [--speed X]

Joint states at 80 Hz and the scene at 20 Hz of simulated time, stamped with a driver's clock that starts at the wall's;
paced by deadlines on the monotonic clock. What the middleware brings is taken in before each update. Says ``ready`` on
standard output when it serves; SIGTERM and SIGINT end it.

CAVEAT: not a real-time driver. Updates can come late; what is lost for good is told as ``late_s`` in the scene, and the
schedule starts anew instead of rushing after it.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from redbutton.estop import Clock
from redbutton.hardware.config import BenchConfig, BenchError, load_bench
from redbutton.hardware.relay import Relay
from redbutton.hardware.twin_camera import TwinCamera
from redbutton.hardware.twin_desk import TwinDesk
from redbutton.hardware.twin_graph import TwinGraph
from redbutton.hardware.twin_physics import UPDATE_HZ, TwinPhysics

SLIP_S = 0.1
"""Wall time behind the schedule after which it starts anew."""
SAFETY_MODE_PERIOD_S = 0.1
LINE_PERIOD_S = 1.0
NICE = -10
"""Where it may be had: a driver that is kept waiting is a stop."""
SWITCH_S = 0.0005
"""How long a busy thread may keep the interpreter from the others; Python's default is 5 ms."""


class Twin:
    """The driver: ``open``, ``run`` until ``end``, ``close``."""

    def __init__(
        self,
        config: BenchConfig,
        speed: float | None = None,
        tell: Callable[[str], None] | None = None,
        clock: Clock = time.monotonic,
    ) -> None:
        """``tell`` is given a line on how it goes once a second."""
        if config.twin is None:
            raise BenchError(f"a twin needs a bench file with a twin. Received {config.name!r} without one.")
        self.config = config
        self.speed = config.twin.speed if speed is None else speed
        if not 0.0 < self.speed <= 20.0:
            raise BenchError(f"a twin's speed is more than 0 and at most 20. Received {self.speed!r}.")
        self._tell = tell
        self._clock = clock
        self._physics = TwinPhysics(config.arm, config.twin.drop_first_holds)
        self._graph = TwinGraph(config)
        self._relay = Relay(config.twin.relay_host, config.twin.relay_port)
        self._camera = TwinCamera(self._graph.image) if config.camera is not None else None
        self._desk = TwinDesk(self._physics, self._relay, self._camera)
        self._ending = False
        self._epoch_ns = 0
        self._due_s = self._mode_due_s = self._line_due_s = 0.0
        self._late_s = self._slipped_s = 0.0
        self._first = True
        self._last_joint: float | None = None

    # -- life -----------------------------------------------------------------------------------------------

    def open(self) -> None:
        """Build the scene, listen, join the graph. Raises ``BenchError``."""
        self._physics.open()
        self._relay.start()
        if self._camera is not None:
            self._camera.open()
        self._graph.open()
        self._epoch_ns = time.time_ns()
        self._due_s = self._mode_due_s = self._line_due_s = self._clock()

    def run(self) -> None:
        """Serve until ``end``."""
        while not self._ending:
            self._boundary()
            self._first = True
            self._physics.period(self._before_update)

    def end(self) -> None:
        """Return from ``run`` soon. For signal handlers: sets a flag and nothing else."""
        self._ending = True

    def close(self) -> None:
        """Let go of everything. Safe to call twice."""
        self._graph.close()
        if self._camera is not None:
            self._camera.close()
        self._relay.stop()
        self._physics.close()

    # -- time -----------------------------------------------------------------------------------------------

    def _before_update(self) -> None:
        """Every update but a period's first, which has its own way in ``_boundary``."""
        if self._first:
            self._first = False
            return
        self._pace()
        self._tell_joints()
        self._take_orders()
        self._desk.serve(self._graph.pictures)

    def _boundary(self) -> None:
        """Between two control periods: tell everything, then do what people asked for."""
        self._pace()
        self._tell_joints()
        self._desk.wire()
        late_s = round(self._slipped_s + self._late_s, 4)
        self._graph.scene({**self._physics.scene(), **self._desk.told(), "late_s": late_s})
        self._tell_safety_mode()
        self._tell_line()
        self._take_orders()  # before the commands: what was sent before a reset must not move the arm after it
        self._desk.serve(self._graph.commands)
        self._desk.serve(self._graph.pictures)

    def _pace(self) -> None:
        """Wait for the next update's deadline; once too far behind it, start anew."""
        wait_s = self._due_s - self._clock()
        if wait_s > 0.0:
            time.sleep(wait_s)
        self._late_s = max(0.0, -wait_s)
        if self._late_s > SLIP_S:
            self._slipped_s += self._late_s
            self._due_s += self._late_s
            self._late_s = 0.0
        self._due_s += 1.0 / (UPDATE_HZ * self.speed)

    @property
    def _clock_ns(self) -> int:
        """What the driver's clock showed when simulated time was zero."""
        return self._epoch_ns + self._desk.stamp_offset_ns

    # -- what is told ---------------------------------------------------------------------------------------

    def _tell_joints(self) -> None:
        state = self._physics.look()
        positions, velocities = list(state.positions_rad), list(state.velocities_rad_s)
        if self.config.arm.gripper.joint is not None:
            joint = self._physics.gripper_joint(state.gripper_m)
            moved = joint - (joint if self._last_joint is None else self._last_joint)
            positions.append(joint)
            velocities.append(moved * UPDATE_HZ)
            self._last_joint = joint
        if not self._desk.frozen:
            self._graph.joint_states(self._clock_ns + round(self._physics.t_s * 1e9), positions, velocities)

    def _tell_safety_mode(self) -> None:
        if self._clock() >= self._mode_due_s:
            self._mode_due_s = self._clock() + SAFETY_MODE_PERIOD_S
            self._graph.safety_mode(self._physics.safety_ok)

    def _tell_line(self) -> None:
        if self._tell is not None and self._clock() >= self._line_due_s:
            self._line_due_s = self._clock() + LINE_PERIOD_S
            physics = self._physics
            arm = physics.fault or ("moves" if physics.controller.moving else "holds")
            button = "pressed" if physics.world.pressed else "released"
            late = f", {self._slipped_s:.1f} s lost" if self._slipped_s >= SLIP_S else ""
            self._tell(f"{physics.t_s:.0f} s: the arm {arm}, the red button is {button}{late}")

    # -- what is asked --------------------------------------------------------------------------------------

    def _take_orders(self) -> None:
        orders = self._graph.orders
        while orders:
            what, detail = orders.popleft()
            if what in ("arm", "gripper"):
                names, points, stamp_s = detail
                # A stamp is on the driver's clock; 0 is no time, it means now.
                start_s = 0.0 if stamp_s == 0.0 else stamp_s - self._clock_ns * 1e-9
                (self._physics.move if what == "arm" else self._physics.grip)(names, points, start_s)
            elif what == "power":
                self._physics.power(detail)
            else:
                self._physics.counts["cancels"] += 1


def serve(
    config: BenchConfig,
    speed: float | None,
    ready: Callable[[str], None],
    tell: Callable[[str], None] | None = None,
) -> None:
    """Run a twin until SIGTERM or SIGINT. ``ready`` is called with one line when it serves. Raises ``BenchError``."""
    with contextlib.suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, 0, NICE)
    sys.setswitchinterval(SWITCH_S)
    twin = Twin(config, speed, tell)
    previous = {number: signal.signal(number, lambda *_: twin.end()) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        twin.open()
        ready(_ready_line(twin))
        twin.run()
    finally:
        twin.close()
        for number, handler in previous.items():
            signal.signal(number, handler)


def _ready_line(twin: Twin) -> str:
    settings = twin.config.twin
    assert settings is not None
    relay = f"{settings.relay_host}:{settings.relay_port}"
    return f"ready: twin {twin.config.name}, domain {twin.config.ros.domain_id}, relay {relay}, speed {twin.speed:g}"


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def main(argv: Sequence[str] | None = None) -> int:
    """The process. Returns 0, or 2 for a bench that cannot be used."""
    parser = argparse.ArgumentParser(prog="python -m redbutton.hardware.twin", description="The twin of a bench.")
    parser.add_argument("bench", type=Path)
    parser.add_argument("--speed", type=float, help="simulated seconds per second, instead of the bench's")
    options = parser.parse_args(argv)
    try:
        serve(load_bench(options.bench), options.speed, _say)
    except BenchError as exc:
        sys.stderr.write(f"error: {exc}\n")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
