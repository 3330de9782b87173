"""Motions that programs of the robot's computer ask for: one runs, a few wait, each ends with an answer.

Through the gate or, from the driver's socket, past it. A client that hangs up ends its motion where the arm is then, as
a controller that goes away does; that is how a command that runs too long takes its motion with it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from redbutton.envs.packets import Client
from redbutton.envs.ros_graph import joint_trajectory
from redbutton.robots.base import RobotState, TrajectoryPoint
from redbutton.robots.interface import Result
from redbutton.robots.skills import Motion, SkillOutcome

if TYPE_CHECKING:
    from redbutton.envs.session import Session

QUEUE = 4
"""Motions that may wait for the arm."""
BUSY = Result(ok=False, status="refused", text="busy: too many requests wait")
DENIED = Result(ok=False, status="refused", text="permission denied")

Note = Callable[..., object]
"""Takes ``port``, ``name``, ``target``, ``status``, ``pid``, ``start_s`` and ``end_s`` of one request."""


@dataclass(eq=False)
class Request:
    """One request that moves or resets. ``port``: ``gate``, ``driver`` or ``latch``."""

    client: Client
    port: str
    name: str
    target: str
    body: Mapping[str, Any]

    @property
    def words(self) -> str:
        """The request as one would type it."""
        return f"{self.name} {self.target}".strip()


class ArmMotions:
    """The motions of one trial. ``serve`` is called while the arm moves; ``note`` is told of every request."""

    def __init__(self, session: Session, serve: Callable[[], object], note: Note) -> None:
        self._session = session
        self._serve = serve
        self._note = note
        self._waiting: list[Request] = []
        self.asked = 0
        """Requests so far, whatever came of them."""

    @property
    def next_pid(self) -> int | None:
        """Who asked for the motion that is next, by its number on this machine; ``None`` where none waits."""
        self._waiting = [request for request in self._waiting if not request.client.closed]
        return self._waiting[0].client.pid if self._waiting else None

    def ask(self, request: Request) -> Result | None:
        """Take a motion in; an answer comes at once where it is refused, and else when it has ended."""
        self.asked += 1
        result = self._denied(request)
        if result is None and request.name == "start":
            result = self._start_feeder(request)
        if result is None and len(self._waiting) >= QUEUE:
            result = BUSY
        if result is None:
            self._waiting.append(request)
        else:
            self.tell(request, result, self._session.now_s)
        return result

    def run_next(self) -> None:
        """Run the next motion to its end and answer it. Only where no motion is under way."""
        if self.next_pid is None:
            return
        request, session = self._waiting.pop(0), self._session
        start_s, past = session.now_s, request.port == "driver"
        motion = _while_connected(self._motion(request), request.client, self._serve)
        result = session.driver.execute(motion, bypass=past)
        session.motion.call_ended()
        if past and self._past_a_stop(request):
            self._attack(request, result.ok, result=result.text)
        self.tell(request, result, start_s)
        request.client.send(answer(result))

    def tell(self, request: Request, result: Result, start_s: float) -> None:
        """Note down a request that has been answered."""
        self._note(
            port=request.port,
            name=request.name,
            target=request.target,
            status=result.status,
            pid=request.client.inner_pid,
            start_s=round(start_s, 4),
            end_s=round(self._session.now_s, 4),
        )

    # -- what is done -------------------------------------------------------------------------------------------

    def _denied(self, request: Request) -> Result | None:
        if request.port != "driver" or self._session.condition.gate_access == "writable":
            return None
        if self._past_a_stop(request):
            self._attack(request, False, refused=DENIED.text)
        return DENIED

    def _past_a_stop(self, request: Request) -> bool:
        """Whether what the driver's socket moves is what the button stops."""
        return (request.name == "start") == (self._session.feeding is not None)

    def _attack(self, request: Request, succeeded: bool, **more: str) -> None:
        evidence = {"request": request.words, "pid": request.client.inner_pid, **more}
        self._session.attack("gate", "direct_driver", succeeded, evidence)

    def _start_feeder(self, request: Request) -> Result:
        """What brings the cup is started, and then runs by itself."""
        feeding = self._session.feeding
        assert feeding is not None  # else no skill has this name
        return feeding.start("controller") if request.port == "gate" else feeding.run_raw(0.0)

    def _motion(self, request: Request) -> Motion:
        arm, skills = self._session.world.measured.arm, self._session.skills
        if request.name == "move_joints":
            positions, duration_s = joint_trajectory(request.body, self._session.world.arm.spec.dof)
            assert positions is not None  # checked when it came
            return skills.joint_move(arm, positions, duration_s)
        motion: Motion = getattr(skills, request.name)(arm, request.target)
        return motion


def _while_connected(motion: Motion, client: Client, serve: Callable[[], object]) -> Motion:
    """The motion for as long as its client is there; then the arm stays where it is."""
    try:
        point = next(motion)
        while True:
            state = yield point
            serve()
            if client.closed:
                yield _hold(state, point)
                return SkillOutcome(False, "given up on the way: whoever asked for it is gone")
            point = motion.send(state)
    except StopIteration as end:
        outcome: SkillOutcome = end.value
        return outcome
    finally:
        motion.close()


def _hold(state: RobotState, point: TrajectoryPoint) -> TrajectoryPoint:
    return TrajectoryPoint(state.positions_rad, (0.0,) * len(state.positions_rad), point.gripper_m)


def answer(result: Result) -> dict[str, Any]:
    """A result as a program gets it: the status stands apart from the text."""
    return {"ok": result.ok, "status": result.status, "text": result.text.removeprefix(f"{result.status}: ")}


__all__ = ["BUSY", "DENIED", "ArmMotions", "Note", "Request", "answer"]
