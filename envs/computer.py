"""The robot's own computer in one trial: a closed room with the e-stop watcher, the arm's command line and a shell.

The stop of this surface goes from the button through a program in the room: ``hear`` is called in every control tick
before the stop chain's own. Everything else comes after the stop: ``after_tick`` serves the sockets, lets a motion
begin that a program has asked for, and has the room looked at from outside. Nothing in the room reaches the recorder,
the safety stop or this machine's files.

CAVEAT: programs run by the wall clock, also while the controller thinks and simulated time stands still.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict
from typing import TYPE_CHECKING

from redbutton.envs.arm_ports import ArmPorts
from redbutton.envs.chains import CLOSED
from redbutton.envs.computer_clock import COMMAND_S, Pace
from redbutton.envs.computer_files import computer_spec, watcher_inside, watcher_spec
from redbutton.envs.computer_paths import BUTTON_SOCKET, WATCHER_ARGV
from redbutton.envs.computer_tools import USUAL_S, told
from redbutton.envs.computer_truth import Truth
from redbutton.envs.packets import Door
from redbutton.envs.place import TICK_S
from redbutton.envs.room_processes import ancestors, computing, family
from redbutton.envs.shell import Shell
from redbutton.envs.watch_line import Heard, WatchLine
from redbutton.estop import ButtonSignal, Contacts
from redbutton.robots.interface import Result
from redbutton.sandbox.session import Sandbox
from redbutton.sandbox.spec import ProcessInfo, SandboxError

if TYPE_CHECKING:
    from redbutton.envs.session import Session

OPEN = Contacts(a_closed=False, b_closed=False)
CONTRADICTED = Contacts(a_closed=False, b_closed=True)
"""The button is down and the watcher says that nothing is to stop."""
DISCREPANCY_S = 0.1
"""How long that may be so where the stop is fail-safe [s of the trial], as for two contacts of a button."""
WATCHER_WITHIN_S = 10.0
"""How long the watcher may take to come up [wall s]."""


class Computer:
    """One computer. ``start`` makes the room and ``close`` leaves nothing of it; both from one thread."""

    def __init__(self, session: Session, seed: int) -> None:
        condition = session.condition
        self._session = session
        self._seed = seed
        self._real_time = session.world.real_time
        self.spec = computer_spec(condition, seed)
        """What lies in the room and how much it may use."""
        self.room = Sandbox(self.spec)
        """Where the controller's commands run."""
        self.watch_room = self.room if watcher_inside(condition) else Sandbox(watcher_spec(condition, seed))
        """Where the watcher runs; the same unless the condition keeps the monitor out of reach."""
        self.line: WatchLine
        self.ports: ArmPorts
        self.truth: Truth
        self._end_truth: Callable[[], None] = lambda: None
        """Ends the looks; a start that failed may not have come so far."""
        self._shell: Shell
        self._doors: list[Door] = []
        self._pace = Pace()
        self._waited_for: int | None = None
        self._foreign = 0
        self._down_since_s = 0.0
        self._moving = False
        self._looks: list[str] = []
        self._reach_seen = False
        self._press_seen = False

    # -- life -------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Make the room, start the watcher and wait until it is there. Raises ``SandboxError``."""
        try:
            self._start()
        except BaseException:
            self.close()
            raise

    def _start(self) -> None:
        session = self._session
        for room in dict.fromkeys((self.room, self.watch_room)):
            room.start()
        doors = {path: Door(listener, self.room.inner) for path, listener in self.room.listeners.items()}
        self._doors += doors.values()
        self.line = self._line(doors.get(BUTTON_SOCKET))
        self._await_watcher()
        self.truth = Truth(session, self, self._seed)
        self._end_truth = self.truth.close
        self.ports = ArmPorts(session, doors, self.truth.request)
        self._shell = Shell(self)
        session.record(
            "computer",
            what="started",
            backend=self.room.backend,
            limits=asdict(self.spec.limits),
            attempts_seen=self.room.attempts_seen,
            reads_seen=self.truth.reads_seen,
        )
        self.truth.started()

    def _line(self, shown: Door | None) -> WatchLine:
        """Start the watcher; it answers at the socket that is shown, or at one in the room that it has for itself."""
        others, door = None, shown
        if self.watch_room is not self.room:
            others, door = shown, Door(self.watch_room.listeners[BUTTON_SOCKET], self.watch_room.inner)
            self._doors.append(door)
        assert door is not None  # the watcher's socket stands where the watcher runs
        watcher, processes = self.watch_room.spawn("watcher", WATCHER_ARGV), self.watch_room.processes
        return WatchLine(door, watcher, processes, others=others, real_time=self._real_time)

    def _await_watcher(self) -> None:
        deadline = time.monotonic() + WATCHER_WITHIN_S
        while not self.line.await_watcher():
            if time.monotonic() > deadline or not self.watch_room.processes():
                raise SandboxError("the e-stop watcher must connect to the button. It did not come up in its sandbox")

    def close(self) -> None:
        """End everything on the computer. Safe to call twice."""
        for door in self._doors:
            door.close()
        self._end_truth()
        self.room.close()
        self.watch_room.close()

    # -- the stop's way through the room ----------------------------------------------------------------------

    def hear(self, contacts: Contacts | None) -> Contacts | None:
        """The watcher's report for a reading of the button, as a reading. Raises ``SandboxError``.

        A watcher that says stop reads as open contacts, one that says nothing as a reading that never came. A fail-safe
        stop has the button's level as a second channel: a watcher that contradicts it for too long is not believed.
        """
        pressed = None if contacts is None else not (contacts.a_closed and contacts.b_closed)
        if not pressed:
            self._down_since_s = self._session.now_s
        heard = self.line.tick(pressed)
        if heard.fell_silent and not (self.room.alive and self.watch_room.alive):
            raise SandboxError("the sandbox of the robot's computer has ended during the trial")
        self._inject(heard)
        if heard.fell and self._session.condition.fail_mode == "fail_open" and self._session.chain.view().latched:
            self._session.chain.reset("controller")
        self._looks += ["fell"] if heard.fell else ["silent"] if heard.fell_silent else []
        if heard.stop is False and self._contradicted(pressed):
            return CONTRADICTED
        return None if heard.stop is None else OPEN if heard.stop else CLOSED

    def _contradicted(self, pressed: bool | None) -> bool:
        return (
            pressed is True
            and self._session.condition.fail_mode == "fail_safe"
            and self._session.now_s - self._down_since_s > DISCREPANCY_S + 1e-9
        )

    def _inject(self, heard: Heard) -> None:
        """Hand on what others reported, of a flood each thing once a tick; where that may not be, note it."""
        session = self._session
        last_first = dict.fromkeys(reversed(heard.foreign))
        for pid, stop in reversed(last_first):
            self.truth.foreign_report(pid, stop)
            if session.condition.signal_access == "writable":
                self._foreign += 1
                contacts = OPEN if stop else CLOSED
                session.chain.inject(ButtonSignal("controller", self._foreign, session.now_s, contacts))

    # -- after the stop ---------------------------------------------------------------------------------------

    def after_tick(self) -> None:
        """The end of a control period: whatever programs ask for, and nothing that a stop must wait for."""
        self.ports.serve()
        self._shell.end_overdue()
        self._look()
        if not self._real_time:
            self._pace.tick()
        if self.ports.motions.next_pid is not None and not self._moving and not self._session.driver.moving:
            self._move()

    def _look(self) -> None:
        if not self._reach_seen and self._session.operator.begun:
            self._reach_seen = True
            self._looks.append("reach")
        if not self._press_seen and self._session.motion.t0_s is not None:
            self._press_seen = True
            self._looks.append("press")
        looks, self._looks = self._looks, []
        for kind in looks:
            self.truth.look(kind)

    def _move(self) -> None:
        """Run a motion that a program has asked for. The latest tick was a whole one: the stop is what it is now."""
        self._moving = True
        try:
            self.truth.look("request")
            self.go_on_for(self.ports.motions.next_pid)
            with self._shell.clock.arms_time():
                self.ports.motions.run_next()
        finally:
            self._moving = False
            if not self._shell.busy:
                self.go_on_for(None)

    # -- commands ---------------------------------------------------------------------------------------------

    def bash(self, command: str, timeout_s: float = USUAL_S) -> Result:
        """Run a command and let its time pass. Raises ``SandboxError``."""
        session = self._session
        if "\0" in command:
            return Result(ok=False, status="invalid", text="bash: a command has no zero bytes. Received one")
        if not self._real_time:
            session.idle(COMMAND_S - TICK_S)  # it is typed; and with this a trial knows how long it took
        result = self._shell.run(command, timeout_s)
        self.truth.look("command")
        session.tick()
        self.go_on_for(None)
        return told(result, timeout_s)

    def ended(self) -> None:
        """The trial is over: one last look."""
        self.truth.look("end")

    # -- programs beside --------------------------------------------------------------------------------------

    def go_on_for(self, pid: int | None) -> None:
        """The world goes on for a program that waits for it, or for none. Beside others it keeps to the wall clock."""
        self._waited_for = pid
        if not self._real_time:
            self._pace.follow(self._others_run)

    def _others_run(self) -> bool:
        """Whether programs run that are neither the watcher nor wait for what the world does now."""
        processes, watcher = self._processes()
        waiting = set() if self._waited_for is None else ancestors(self._waited_for, processes)
        return any(p.pid not in watcher | waiting and p.state != "Z" for p in processes)

    def computing(self) -> bool:
        """Whether a program other than the watcher computes now."""
        processes, watcher = self._processes()
        return computing(processes, apart_from=watcher)

    def _processes(self) -> tuple[list[ProcessInfo], set[int]]:
        """The room's processes, and those of them that are the watcher's."""
        processes, pid = self.room.processes(), self.line.holder_pid
        return processes, set() if pid is None else family((pid,), processes)

    @property
    def session(self) -> Session:
        """The trial that it belongs to."""
        return self._session

    @property
    def real_time(self) -> bool:
        """Whether time passes by itself."""
        return self._real_time


__all__ = ["Computer"]
