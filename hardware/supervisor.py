"""The supervisor as a process: the only one that commands the arm, and the one that stops it.

``python -m redbutton.hardware.supervisor BENCH.yaml`` says ``ready SOCKET`` when it serves and runs until SIGTERM or
SIGINT: then it stops, holds until the arm has settled, and ends with status 0; a bench that cannot be used ends it with
status 2 and one line.

One thread, the loop, asks the core (``supervision.py``). Readers of inputs and ROS callbacks only put what they heard
into queues and wake it; replies, trajectories and service calls leave from it without waiting; events are written by a
thread of their own. No lock is held across any of these, so nothing that is slow delays a stop.

CAVEAT: Python on an ordinary kernel gives no guarantee of time. The loop watches its own gaps and stops when one is too
long, and every command ends at rest by itself; the lab's emergency stop does not run through here.
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import os
import signal
import sys
import threading
import time
from collections import deque
from pathlib import Path
from typing import Any

from redbutton.estop import ChainState, Clock, Contacts
from redbutton.hardware.channel import ChannelServer, Message, Peer
from redbutton.hardware.config import BenchConfig, BenchError, load_bench
from redbutton.hardware.driver_link import DriverLink, Graph, Heard, IncompatibleQos, PowerAnswer, SafetyModeHeard
from redbutton.hardware.event_file import EventFile
from redbutton.hardware.inputs import InputReader, make_source
from redbutton.hardware.requests import answer
from redbutton.hardware.supervision import Actions, Supervision

FIFO_PRIORITY = 10
NICE = -10
SERVE_S = 0.003
"""Time for requests in one turn of the loop; who has waited longest is served first."""
CHORES_S = 0.05
SWEEP_S = 1.0
SETTLE_LIMIT_S = 2.0
"""Longest hold at the end."""
SWITCH_S = 0.0005
"""How long a busy thread may keep the interpreter from the loop. Python's default of 5 ms is half the aim."""
_NOBODY = -1


class Supervisor:
    """One bench's supervisor. ``log``: a file for its events. ``scheduling``: what the process got, for the status."""

    def __init__(
        self, config: BenchConfig, log: Path | None = None, scheduling: str = "normal", clock: Clock = time.monotonic
    ) -> None:
        self.config = config
        self._clock = clock
        self._scheduling = scheduling
        self._server = ChannelServer(config.socket_path)
        self._link = DriverLink(config, self._server.wake, clock)
        self._file = None if log is None else EventFile(log)
        self._readings: deque[tuple[str, Contacts | None, float]] = deque(maxlen=1024)
        self._latest: dict[str, Contacts | None] = {}
        self._readers: list[InputReader] = []
        self._reasons: dict[str, str] = {}
        self._core: Supervision
        self._thread = threading.Thread(target=self._run, name="supervisor", daemon=True)
        self._ending = threading.Event()
        self._gripper_m: float | None = None
        self._told = 0
        self._chores_s = self._swept_s = 0.0
        self._broken = False
        self._longest_s = 0.0

    # -- life -------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Serve. Raises ``BenchError``; nothing is left open then."""
        try:
            if self._file is not None:
                self._file.open()
            self._server.open()
            self._link.open()
            self._core = Supervision(
                self.config, self._clock, tool_position=self._kinematics(), capabilities=self._link.capabilities
            )
            for entry in self.config.inputs:
                source = make_source(entry, self._link.ros, self._clock)
                self._readers.append(InputReader(source, entry, self._sink, self._clock))
            for reader in self._readers:
                reader.start()
        except BaseException:
            self._close()
            raise
        self._thread.start()

    def _kinematics(self) -> Any:
        """Where the tool is for given joints, where the bench limits that."""
        if self.config.limits.workspace is None:
            return None
        from redbutton.hardware.description import kinematics_of

        return kinematics_of(self.config.arm, self._link.ros).tool_position

    def stop(self) -> None:
        """Stop the arm, hold until it has settled or ``SETTLE_LIMIT_S`` is over, and close. Safe to call twice."""
        self._ending.set()
        self._server.wake()
        if self._thread.is_alive():
            self._thread.join()
        self._close()

    def _close(self) -> None:
        for reader in self._readers:
            reader.close()
        self._link.close()
        self._server.close()
        if self._file is not None:
            self._file.close()

    # -- the loop ---------------------------------------------------------------------------------------------

    def _run(self) -> None:
        while not self._ending.is_set():
            self._turn()
        self._core.stop(_NOBODY, "the supervisor ends")
        until_s = self._clock() + SETTLE_LIMIT_S
        while self._clock() < until_s and not self._at_rest():
            self._turn()
        while self._file is not None and self._told < self._core.log.last:
            self._tell_file()

    def _at_rest(self) -> bool:
        status = self._core.status()
        return bool(status["settled"]) or status["joint_states"]["age_s"] is None

    def _turn(self) -> None:
        """Hear, judge, act; then answer; then wait for the next period or for news."""
        began_s = self._clock()
        try:
            self._hear()
            self._act()
            if self._server.serve(self, SERVE_S):
                self._act()
            if self._clock() >= self._chores_s:
                self._chores_s = self._clock() + CHORES_S
                self._chores()
            self._broken = False
        except Exception as exc:  # noqa: BLE001 - fail closed: whatever breaks out here is a stop, never the loop's end
            if not self._broken or self._core.state is not ChainState.STOPPED:
                self._core.broke(exc)
            self._broken = True
        self._longest_s = max(self._longest_s, self._clock() - began_s)
        self._server.wait(self.config.supervision.period_s)

    def _sink(self, name: str, contacts: Contacts | None, t_s: float) -> None:
        """A reading; called by the reader's thread. Only news ends the loop's wait early."""
        self._readings.append((name, contacts, t_s))
        if name not in self._latest or contacts != self._latest[name]:
            self._latest[name] = contacts
            self._server.wake()

    def _hear(self) -> None:
        while self._readings:
            self._core.input_reading(*self._readings.popleft())
        while self._link.joint_states:
            state = self._link.joint_states.popleft()
            self._core.joint_states(state.names, state.positions, state.velocities, state.stamp_s, state.t_s)
        while self._link.heard:
            self._take(self._link.heard.popleft())

    def _take(self, heard: Heard) -> None:
        if isinstance(heard, Graph):
            self._core.publishers(heard.publishers)
            self._core.subscribers(heard.subscribers)
        elif isinstance(heard, IncompatibleQos):
            self._core.incompatible_qos(heard.detail)
        elif isinstance(heard, SafetyModeHeard):
            self._core.safety_mode(heard.value)
        elif isinstance(heard, PowerAnswer):
            self._core.power_result(heard.action, heard.ok, heard.detail)
        else:
            self._core.note(heard.kind, **heard.detail)

    def _act(self) -> None:
        """Publish what the core says now. The hold goes first: no service call may stand in its way."""
        asked_s = self._clock()
        actions = self._core.tick()
        if actions.hold is not None:
            self._link.hold(actions.hold)
            self._gripper_m = None
        if actions.power is not None:
            self._link.power(actions.power)
        if actions.cancel_goals:
            self._link.cancel_goals()
        # Frozen between the judgement and here: what was allowed then is stale now.
        if actions.forward is not None and self._clock() - asked_s < self.config.limits.command_age_s:
            self._forward(actions)

    def _forward(self, actions: Actions) -> None:
        command = actions.forward
        assert command is not None
        self._link.motion(command.positions_rad, command.velocities_rad_s, command.duration_s)
        if command.gripper_m is not None:
            # A topic's listener may drop a message, so it is repeated; an action is asked for once.
            if self.config.arm.gripper.kind != "action" or command.gripper_m != self._gripper_m:
                self._link.gripper(command.gripper_m, command.duration_s)
            self._gripper_m = command.gripper_m

    # -- what can wait ------------------------------------------------------------------------------------------

    def _chores(self) -> None:
        for reader in self._readers:
            if self._reasons.get(reader.name) != reader.reason:
                self._reasons[reader.name] = reader.reason
                self._core.log.limited("input_source", reader.name, name=reader.name, reason=reader.reason)
        if not self._link.ros.spinning and "ros" not in self._reasons:
            self._reasons["ros"] = "ended"
            self._core.note("ros_ended")
        self._tell_file()
        if not gc.isenabled() and self._chores_s - self._swept_s >= SWEEP_S:
            self._swept_s = self._chores_s
            # Little at a time while the arm may move, all of it while it may not.
            gc.collect(1 if self._core.state is ChainState.RUN else 2)

    def _tell_file(self) -> None:
        if self._file is None:
            return
        while self._file.trouble:
            why = self._file.trouble.popleft()
            self._core.note("log_failed" if why else "log_works", **({"reason": why} if why else {}))
        if self._core.log.last > self._told:
            events, _ = self._core.log.after(self._told)
            self._told = events[-1]["n"] if events else self._core.log.last
            self._file.offer(events)

    # -- who asks: called by the channel, on the loop's thread ----------------------------------------------------

    def connected(self, peer: Peer) -> None:
        """Nothing is said yet."""

    def gone(self, peer: Peer) -> None:
        """A connection is over; if it had the lease, that is a stop."""
        self._core.disconnected(peer.connection)
        self._act()

    def request(self, peer: Peer, message: Message) -> Message:
        """Hand a request to the core. What it changes is published before the reply leaves."""
        reply = answer(self._core, peer, message)
        if message["op"] in ("stop", "hold", "command"):
            self._act()
        return {**reply, "process": self._process()} if message["op"] == "status" else reply

    def _process(self) -> Message:
        return {
            "pid": os.getpid(),
            "scheduling": self._scheduling,
            "longest_turn_s": round(self._longest_s, 6),
            "sources": {reader.name: reader.reason for reader in self._readers},
            "log": None if self._file is None else str(self._file.path),
        }


# -- the process ------------------------------------------------------------------------------------------------


def prefer() -> str:
    """Have this process come first where that is permitted; threads started later inherit it. Says what it got."""
    try:
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(FIFO_PRIORITY))
        return f"fifo {FIFO_PRIORITY}"
    except OSError:
        pass
    try:
        os.setpriority(os.PRIO_PROCESS, 0, NICE)
        return f"nice {NICE}"
    except OSError:
        return "normal"


def main(argv: list[str] | None = None) -> int:
    """Run the supervisor of one bench file. Returns the exit status."""
    parser = argparse.ArgumentParser(prog="redbutton-supervisor", description="The supervisor of one bench.")
    parser.add_argument("bench", type=Path, help="bench file")
    parser.add_argument("--log", type=Path, default=None, metavar="FILE", help="append events to FILE as JSON lines")
    arguments = parser.parse_args(argv)
    ended = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ended.set())
    try:
        config = load_bench(arguments.bench)
        supervisor = Supervisor(config, arguments.log, prefer())
        supervisor.start()
    except BenchError as exc:
        print(f"error: {exc}", file=sys.stderr)  # noqa: T201 - this is a program
        return 2
    sys.setswitchinterval(SWITCH_S)
    gc.collect()
    gc.freeze()
    gc.disable()
    try:
        with contextlib.suppress(OSError):  # nobody may be reading
            print(f"ready {config.socket_path}", flush=True)  # noqa: T201
        ended.wait()
    finally:
        supervisor.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main())
