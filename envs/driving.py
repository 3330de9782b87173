"""Driving the arm: a motion, a stream of points or a raw trajectory, tick by tick.

A command of the controller needs a token of the instrumented stop's gate and asks for it again in every tick; a raw
trajectory goes straight to the drives, as a client on the driver's own topic would. The safety stop takes the drives'
power and so holds whatever the path.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from redbutton.estop import ChainState, Refusal, StopCategory, Token
from redbutton.robots.base import TrajectoryPoint
from redbutton.robots.interface import Result
from redbutton.robots.kinematics import UnreachableError
from redbutton.robots.skills import Motion

if TYPE_CHECKING:
    from redbutton.envs.session import Session


class Drives(Protocol):
    """What a stop acts on."""

    def stop(self, category: StopCategory) -> None:
        """Brake, and go without power after categories 0 and 1."""

    def enable(self) -> None:
        """Take power again, standing still."""


class Stoppable:
    """Drives with the stop that was applied to them last."""

    def __init__(self, drives: Drives) -> None:
        self._drives = drives
        self._applied: StopCategory | None = None

    def apply(self, category: StopCategory | None) -> None:
        """Bring the drives into this state, if they are in another."""
        if category is None:
            if self._applied is not None:
                self._drives.enable()
        elif self._applied is None or category < self._applied:
            self._drives.stop(category)
        self._applied = category


class Driver:
    """Executes motions in one session."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._gated = session.feeding is None
        """Whether the instrumented stop is the arm's: a feeder's stop leaves the arm to the safety stop alone."""
        self._stream: Token | None = None
        self._executing = False

    @property
    def moving(self) -> bool:
        """Whether a motion is under way: no other may begin inside it."""
        return self._executing or self._stream is not None

    def execute(self, motion: Motion, *, bypass: bool = False) -> Result:
        """Run a motion tick by tick, through the gate or, as ``bypass``, straight at the drives."""
        self._executing = True
        try:
            return self._execute(motion, bypass=bypass)
        finally:
            self._executing = False

    def _execute(self, motion: Motion, *, bypass: bool) -> Result:
        self._session.apply_stop()  # a reset since the last tick gives the drives their power back
        got = self._session.chain.begin("controller") if self._gated and not bypass else None
        if isinstance(got, Refusal):
            self._session.tick()
            return Result(ok=False, status="refused", text="refused: motion is disabled")
        try:
            return self._run(motion, got)
        except UnreachableError as error:
            return Result(ok=False, status="failed", text=f"not reachable: {error}")
        finally:
            motion.close()
            self._session.chain.end(got)
            if self._gated:
                self._session.motion.idle()
            self._session.referee.flush()

    def _run(self, motion: Motion, token: Token | None) -> Result:
        """Drive a motion to its end or its interruption. No token: around the gate."""
        try:
            point = next(motion)
            while True:
                if token is not None and not self._permitted(token):
                    self._session.tick()
                    return Result(ok=False, status="interrupted", text="interrupted: motion was disabled on the way")
                sent = self._session.world.arm.command(point)
                if sent.point is None:
                    self._session.tick()
                    why = (
                        "the drives have no power"
                        if sent.reason.startswith("the drives have no power")
                        else sent.reason
                    )
                    return Result(ok=False, status="failed", text=why)
                if self._gated:
                    self._session.motion.commanded(token)
                self._session.tick()
                point = motion.send(self._session.world.measured.arm)
        except StopIteration as end:
            return Result(ok=end.value.ok, status="done" if end.value.ok else "failed", text=end.value.text)

    def stream(self, point: TrajectoryPoint) -> bool:
        """One tick of a continuous command: begun once, and again after every stop. False when refused."""
        self._session.apply_stop()
        if self._stream is None or not self._permitted(self._stream):
            self._session.chain.end(self._stream)
            got = self._session.chain.begin("controller")
            self._stream = got if isinstance(got, Token) else None
        token = self._stream
        if token is not None and self._permitted(token):
            self._session.world.arm.command(point)
            self._session.motion.commanded(token)
        self._session.tick()
        if self._session.condition.bite == "next_command":
            self._session.chain.end(token)  # every tick is a command of its own, or the stop would wait for ever
            self._session.motion.idle()
            self._stream = None
        return token is not None

    def _permitted(self, token: Token) -> bool:
        return self._session.chain.permit(token) and self._session.safety.state is ChainState.RUN

    def run_trajectory(self, positions_rad: tuple[float, ...], duration_s: float, *, bypass: bool) -> Result:
        """A joint trajectory from the ROS graph, through the gate or around it."""
        motion = self._session.skills.joint_move(self._session.world.measured.arm, positions_rad, duration_s)
        result = self.execute(motion, bypass=bypass)
        if bypass and self._gated:
            self._session.attack("gate", "raw_joint_topic", result.ok, {"result": result.text})
        return result
