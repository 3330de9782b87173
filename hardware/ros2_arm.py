"""Any arm behind ros2_control as a ``Robot``: read from its topic, commanded through the supervisor.

What the arm does is read from ``arm.joint_states``. What it shall do goes through the supervisor's socket and nowhere
else: this process publishes nothing to the arm. A refusal of the supervisor comes back as ``Sent`` with its reason.

CAVEAT: ``powered`` is what was last asked for and what the arm's safety mode says. Drives that lose their power in
another way are noticed by the supervisor, not here. Give one instance to one thread: the control loop's.
"""

from __future__ import annotations

import contextlib
import itertools
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Protocol

from redbutton.estop import Clock, StopCategory
from redbutton.hardware.channel import ChannelError, Message
from redbutton.hardware.config import BenchConfig, BenchError
from redbutton.hardware.joint_reader import JointReader
from redbutton.hardware.ros import RosNode, wait_for
from redbutton.hardware.trajectories import gripper_opening
from redbutton.robots.arms import ArmSpec
from redbutton.robots.base import (
    NotConnectedError,
    RobotError,
    RobotState,
    Sent,
    TrajectoryPoint,
    check_point,
    clamp_point,
)

CONTROL_PERIOD_S = 0.05
"""Time between two commands, in seconds of the driver."""
CONNECT_S = 10.0
"""How long discovery and the first joint states may take."""


class Client(Protocol):
    """What is used of ``SupervisorClient``. Each method returns the supervisor's reply."""

    def status(self) -> Message:
        """Everything the supervisor knows."""

    def command(self, **fields: Any) -> Message:
        """One command."""

    def hold(self, category: int) -> Message:
        """A stop of the client's own."""

    def enable(self) -> Message:
        """Give power back."""


LATE_RULES = ("time_stamp", "sequence")


class Ros2Arm:
    """One arm. The caller owns ``client`` (connected, with the motion lease) and ``ros`` (open).

    ``on_reply`` is called with every reply of the supervisor: each reading of the study's input is told once, in the
    reply to whatever was asked next.
    """

    def __init__(
        self,
        config: BenchConfig,
        client: Client,
        ros: RosNode,
        *,
        clock: Clock = time.monotonic,
        on_reply: Callable[[Message], None] | None = None,
    ) -> None:
        self._arm = config.arm
        self._client = client
        self._ros = ros
        self._clock = clock
        self._on_reply = on_reply
        share, spec = config.limits.speed_share, config.arm.spec()
        self._spec = replace(spec, velocity_rad_s=tuple(v * share for v in spec.velocity_rad_s))
        self._reader = JointReader(config, ros, clock)
        self._gripper_m = config.arm.gripper.open_m
        self._connected = False
        self._stopped: StopCategory | None = None
        self._held = False
        self._epoch = 0
        # A later process begins above where an earlier one ended: no client sends a million commands a second.
        self._sequence = itertools.count(int(clock() * 1e6))

    # -- readable while disconnected --------------------------------------------------------------------------

    @property
    def spec(self) -> ArmSpec:
        """Names and limits; velocities are this bench's share of the arm's."""
        return self._spec

    @property
    def control_period_s(self) -> float:
        """Time between two commands [s of the driver]."""
        return CONTROL_PERIOD_S

    @property
    def gripper_command_m(self) -> float:
        """Opening commanded last [m]; smaller than the measured one while something is held."""
        return self._gripper_m

    @property
    def epoch(self) -> int:
        """The epoch that commands are sent with: a stop makes void what has an older one."""
        return self._epoch

    # -- connection -------------------------------------------------------------------------------------------

    def connect(self) -> None:
        """Wait until every joint was heard. Takes no lease, moves nothing. Raises ``NotConnectedError``."""
        if self._ros.node is None:
            raise NotConnectedError("the arm's node is not in the graph. Open its RosNode, then connect()")
        self._reader.listen()
        try:
            wait_for(lambda: not self._reader.lost(self._reader.snapshot()), CONNECT_S, "every joint must be heard")
        except BenchError:
            lost = self._reader.lost(self._reader.snapshot())
            raise NotConnectedError(
                f"every joint must be heard on {self._arm.joint_states}. Received {lost} in {CONNECT_S:g} s. "
                "Start the arm's driver; check ros.domain_id and arm.joint_names"
            ) from None
        self._connected = True
        self.sync()

    def sync(self) -> None:
        """Send with the supervisor's present epoch from now on: after arming, before a trial's first command."""
        self._need()
        self._ask(self._client.status)

    def close(self) -> None:
        """Leave the arm holding and let go of it. Safe to call twice."""
        if self._connected and self.powered:
            with contextlib.suppress(RobotError):  # without a supervisor the arm has been stopped already
                self._ask(self._client.hold, int(StopCategory.TWO))
        self._connected = False
        self._reader.close()

    # -- reading ----------------------------------------------------------------------------------------------

    def read(self) -> RobotState:
        """Read joints and gripper. Raises ``NotConnectedError``, also when the joint states are too old."""
        self._need()
        joints = self._reader.snapshot()
        lost = self._reader.lost(joints)
        if lost:
            raise NotConnectedError(
                f"joint states must be fresh. Received {lost} on {self._arm.joint_states}. Check the arm's driver, "
                "then connect() again"
            )
        arm = [joints[name] for name in self._arm.joint_names]
        gripper, opening = self._reader.gripper_joint, self._gripper_m
        if gripper is not None:
            opening = gripper_opening(self._arm.gripper, joints[gripper].position)
        return RobotState(tuple(j.position for j in arm), tuple(j.velocity for j in arm), opening, self.powered)

    @property
    def latest_stamp_s(self) -> float:
        """The driver's time of the latest whole reading [s]. Raises ``NotConnectedError``."""
        self._need()
        joints = self._reader.snapshot()
        return min(joints[name].stamp_s for name in self._arm.joint_names)

    @property
    def powered(self) -> bool:
        """Whether the drives should have power: not taken by a stop, and the safety mode is normal."""
        taken = self._arm.power is not None and self._stopped not in (None, StopCategory.TWO)
        return self._reader.mode_is_normal and not taken

    # -- commanding -------------------------------------------------------------------------------------------

    def command(self, point: TrajectoryPoint) -> Sent:
        """Send one point, clamped to the limits. Not sent: the reason, ours or the supervisor's.

        Raises ``RobotError`` for a command that came too late: that is this machine's doing, never the controller's.
        """
        self._need()
        check_point(self._spec, point)
        if not self.powered:
            return self._unpowered()
        wanted = clamp_point(self._spec, point)
        self._held = False
        reply = self._ask(
            self._client.command,
            keep_epoch=True,
            seq=next(self._sequence),
            epoch=self._epoch,
            t_s=self._clock(),
            names=list(self._arm.joint_names),
            positions_rad=list(wanted.positions_rad),
            velocities_rad_s=list(wanted.velocities_rad_s),
            duration_s=self.control_period_s,
            gripper_m=None if self._reader.gripper_joint is None else wanted.gripper_m,
        )
        if reply.get("rule") in LATE_RULES:
            raise RobotError(f"a command must reach the supervisor in time. Received: {reply.get('reason')}")
        if reply.get("ok") is not True:
            return _refused(reply)
        self._gripper_m = wanted.gripper_m
        return Sent(_sent(reply.get("sent"), wanted))

    def hold(self) -> Sent:
        """Stay where the arm is now. The supervisor holds at the position it measures itself, close to the returned."""
        state = self.read()
        if not state.powered:
            return self._unpowered()
        reply = self._ask(self._client.hold, int(StopCategory.TWO))
        if reply.get("ok") is not True:
            return _refused(reply)
        return Sent(TrajectoryPoint(state.positions_rad, (0.0,) * self._spec.dof, self._gripper_m))

    def stop(self, category: StopCategory) -> None:
        """Have the supervisor hold the arm (2), or hold it and take its power (0, 1) where the bench can.

        Idempotent until something is commanded again; a less restrictive stop gives no power back.
        """
        self._need()
        before = self._stopped
        if self._held and before is not None and before <= category:
            return
        self._held = False
        self._stopped = category if before is None else min(before, category)
        self._must(self._ask(self._client.hold, int(self._stopped)))
        self._held = True  # only now: a stop that did not arrive is sent again

    def enable(self) -> None:
        """Take power again, holding still."""
        self._need()
        self._must(self._ask(self._client.enable))
        self._stopped = None

    def _unpowered(self) -> Sent:
        if not self._reader.mode_is_normal:
            return Sent(None, f"the arm's safety mode is {self._reader.mode!r}: nothing may move")
        return Sent(None, f"the drives have no power after a stop of category {int(self._stopped or 0)}")

    def _need(self) -> None:
        if not self._connected:
            raise NotConnectedError("the arm is not connected. Call connect() first")

    def _ask(self, verb: Callable[..., Message], *args: Any, keep_epoch: bool = False, **fields: Any) -> Message:
        """A reply of the supervisor. A command never takes up a new epoch: what a stop made void stays so."""
        try:
            reply = verb(*args, **fields)
        except ChannelError as exc:
            raise NotConnectedError(str(exc)) from None
        if not keep_epoch and isinstance(reply.get("epoch"), int):
            self._epoch = reply["epoch"]
        if self._on_reply is not None:
            self._on_reply(reply)
        return reply

    def _must(self, reply: Message) -> None:
        if reply.get("ok") is not True:
            raise RobotError(f"the supervisor refuses: {reply.get('reason')}")


def _refused(reply: Message) -> Sent:
    return Sent(None, str(reply.get("reason") or "the supervisor gave no reason"))


def _sent(told: Any, wanted: TrajectoryPoint) -> TrajectoryPoint:
    """The point as the supervisor says it went out."""
    if not isinstance(told, dict):
        return wanted
    gripper = told.get("gripper_m")
    return TrajectoryPoint(
        tuple(told["positions_rad"]),
        tuple(told["velocities_rad_s"]),
        wanted.gripper_m if gripper is None else gripper,
    )


__all__ = ["CONTROL_PERIOD_S", "Client", "Ros2Arm"]
