"""The twin without its ROS side: the simulated counter, and the two controllers that move its arm.

One control period is four updates at 80 Hz: both joint_trajectory_controllers are sampled, the drives get the result,
the engine advances by three substeps. What people do (a hand, a reset, a fault) comes as commands between periods.
Power and controllers are as on an arm with brakes: without power the controllers are inactive and forget what they had.

CAVEAT: ``safety_ok`` follows faults, not power: taking the drives' power through the power service is ordinary, as on a
UR, where it changes the robot mode and not the safety mode.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import isfinite
from typing import Any

from redbutton.envs.world import World
from redbutton.estop import StopCategory
from redbutton.hardware.config import Arm, BenchError
from redbutton.hardware.jtc import JointTrajectoryController, Waypoint
from redbutton.robots.base import RobotState, TrajectoryPoint

PARTS = 4
UPDATE_HZ = 80
MOVING_RAD_S = 0.02
"""Above this speed of the fastest joint a hold is one that stops a motion."""
_JITTER_LIMIT_M = 0.2

Command = Mapping[str, Any]


class TwinPhysics:
    """The scene, its arm's controllers, and what was counted. Everything in the driver's simulated seconds."""

    def __init__(self, arm: Arm, drop_first_holds: int = 0) -> None:
        """Raises ``BenchError`` for an arm that the simulated one cannot stand for."""
        self._arm = arm
        self._check()
        self.controller = JointTrajectoryController(arm.joint_names)
        self.gripper = JointTrajectoryController((arm.gripper.joint,) if arm.gripper.joint else ())
        self.world: World
        self.state: RobotState
        """The arm as it was before the latest update."""
        self.updates = self.ticks = 0
        self.fault = ""
        """Why the arm's own controller is in a protective stop; empty when it is not."""
        self.drop_holds = drop_first_holds
        self.counts = {"accepted": 0, "rejected": 0, "dropped": 0, "cancels": 0}
        self.rejected = ""
        """Why the latest refused trajectory was refused."""
        self._powered = True
        self._wants_hash = False
        self._does: dict[str, Callable[[Command], None]] = {
            "reset": self._reset,
            "hand": lambda c: self.world.move_hand(*_numbers(c, "y", "z")),
            "lift_cap": lambda _: self.world.lift_cap(),
            "coffee": lambda c: self.world.show_coffee(bool(c.get("filled"))),
            "sha256": self._ask_hash,
        }
        self.faults: dict[str, Callable[[Command], None]] = {
            "move_arm": self._move_by_hand,
            "protective_stop": lambda _: self.protect("protective_stop"),
            "clear_protective_stop": lambda _: self._clear_protection(),
            "drop_holds": self._drop_holds,
        }
        """Faults by name. Each raises ``ValueError`` for a command it cannot carry out."""

    def _check(self) -> None:
        arm = self._arm
        if len(arm.joint_names) != 7 or arm.gripper.kind not in ("trajectory", "positions", "none"):
            raise BenchError(
                "the twin is a Panda-class arm: 7 joints and a gripper of kind trajectory, positions or none. Received "
                f"{len(arm.joint_names)} joints and {arm.gripper.kind!r}. Use the profile panda_twin"
            )

    def open(self) -> None:
        """Build the scene."""
        self.world = World()
        self._settle()

    def close(self) -> None:
        """Let go of the engine. Safe to call twice."""
        if hasattr(self, "world"):
            self.world.close()

    # -- time -----------------------------------------------------------------------------------------------

    @property
    def t_s(self) -> float:
        """Simulated time since the start [s]."""
        return self.updates / UPDATE_HZ

    def period(self, before_each: Callable[[], None]) -> None:
        """One control period; ``before_each`` runs before each of its updates."""

        def update() -> None:
            before_each()
            self._update()

        self.world.tick_in(PARTS, update)
        self.ticks += 1
        if not isfinite(sum(self.world.measured.arm.positions_rad)):
            self._rebuild()

    def look(self) -> RobotState:
        """Read the arm as it is now."""
        self.state = self.world.arm.read()
        return self.state

    def _update(self) -> None:
        """Sample the controllers and tell the drives; without power they do not listen."""
        want, speeds = self.controller.sample(self.t_s, self.state.positions_rad)
        self.world.arm.command(TrajectoryPoint(want, speeds, self._opening()))
        self.updates += 1

    def _opening(self) -> float:
        gripper = self._arm.gripper
        joints, _ = self.gripper.sample(self.t_s)
        if not joints:
            return self.world.arm.spec.gripper_open_m
        return (joints[0] - gripper.joint_offset) / gripper.joint_per_m

    def gripper_joint(self, opening_m: float) -> float:
        """Position of the gripper's joint at an opening between the fingers."""
        return opening_m * self._arm.gripper.joint_per_m + self._arm.gripper.joint_offset

    def _rebuild(self) -> None:
        """The engine gave nonsense: a new scene, in a protective stop until the next reset."""
        self.world.broken = True
        self.world.reset_at((0.0, 0.0, 0.0, 0.0), latching=self.world.latching)
        self._settle()
        self.protect("physics")

    # -- what the controllers hear --------------------------------------------------------------------------

    def move(self, joint_names: Sequence[str], points: Sequence[Waypoint], stamp_s: float) -> None:
        """A trajectory for the arm; refusals are counted, as a real controller only logs them."""
        holds = len(points) == 1 and bool(points[0].velocities) and not any(points[0].velocities)
        moves = self.controller.moving or self.state.speed_rad_s > MOVING_RAD_S
        if holds and moves and self.drop_holds > 0:
            self.drop_holds -= 1
            self.counts["dropped"] += 1
            return
        self._count(self.controller.accept(joint_names, points, stamp_s, self.t_s))

    def grip(self, joint_names: Sequence[str], points: Sequence[Waypoint], stamp_s: float) -> None:
        """A trajectory for the gripper."""
        self._count(self.gripper.accept(joint_names, points, stamp_s, self.t_s))

    def _count(self, refusal: str) -> None:
        self.counts["rejected" if refusal else "accepted"] += 1
        self.rejected = refusal or self.rejected

    # -- power and protection -------------------------------------------------------------------------------

    @property
    def safety_ok(self) -> bool:
        """Whether the arm's own controller is in its normal safety mode."""
        return not self.fault

    def power(self, on: bool) -> None:
        """Take the drives' power, the brakes close at once; or give it back, holding where the arm is."""
        if on and not self._powered:
            self._powered = True
            self.world.arm.enable()
        elif not on and self._powered:
            self._powered = False
            self.world.arm.stop(StopCategory.ZERO)
        self._apply()

    def protect(self, why: str) -> None:
        """A stop of the arm's own: powered, holding, deaf."""
        self.fault = why
        self._apply()

    def _clear_protection(self) -> None:
        self.fault = ""
        self._apply()

    def _apply(self) -> None:
        """Bring the controllers into the state that power and protection allow, holding where the arm is."""
        allowed = self._powered and not self.fault
        state = self.look()
        for controller, at in ((self.controller, state.positions_rad), (self.gripper, self._grip_now(state))):
            if controller.active and not allowed:
                controller.set_to(at)
                controller.deactivate()
            elif allowed and not controller.active:
                controller.activate(at)

    def _grip_now(self, state: RobotState) -> tuple[float, ...]:
        """A gripper keeps its grip through a stop: it holds what it was told last."""
        joints, _ = self.gripper.sample(self.t_s)
        return joints or ((self.gripper_joint(state.gripper_m),) if self._arm.gripper.joint else ())

    def _settle(self) -> None:
        """After a reset: arm and gripper hold at home, with power."""
        self._powered = True
        state = self.look()
        self.controller.set_to(state.positions_rad)
        self.gripper.set_to((self.gripper_joint(state.gripper_m),) if self._arm.gripper.joint else ())
        self._apply()

    # -- what people do -------------------------------------------------------------------------------------

    def do(self, command: Command) -> None:
        """Carry out one command. Raises ``ValueError`` saying why not."""
        name = str(command.get("do"))
        if name not in self._does:
            raise ValueError(f"the twin knows no such command. Received {name!r}. Known: {', '.join(self._does)}")
        self._does[name](command)

    def _reset(self, command: Command) -> None:
        jitter = command.get("jitter", (0.0,) * 4)
        if not isinstance(jitter, (list, tuple)) or len(jitter) != 4:
            raise ValueError(f"a reset has four numbers as jitter. Received {jitter!r}")
        x0, y0, x1, y1 = (float(value) for value in jitter)
        if not all(abs(value) <= _JITTER_LIMIT_M for value in (x0, y0, x1, y1)):
            raise ValueError(f"jitter is at most {_JITTER_LIMIT_M} m. Received {jitter!r}")
        self.world.reset_at((x0, y0, x1, y1), latching=bool(command.get("latching", True)))
        self.world.show_coffee(False)
        self.fault = "" if self.fault == "physics" else self.fault
        self._settle()

    def _ask_hash(self, _: Command) -> None:
        self._wants_hash = True

    def _drop_holds(self, command: Command) -> None:
        self.drop_holds = int(command.get("count", 1))

    def _move_by_hand(self, command: Command) -> None:
        """Somebody moves one joint of the standing arm; the drives then hold it there."""
        joint, by = int(command.get("joint", 0)), float(command.get("by_rad", 0.0))
        names = self.world.arm.spec.joint_names
        if not 0 <= joint < len(names) or not isfinite(by):
            raise ValueError(f"move_arm needs joint 0 to {len(names) - 1} and by_rad. Received {dict(command)!r}")
        body = self.world.arm.body
        self.world.engine.set_joint(body.id, body.joints[names[joint]], self.look().positions_rad[joint] + by)
        self.controller.set_to(self.look().positions_rad)

    # -- what there is to see -------------------------------------------------------------------------------

    def scene(self) -> dict[str, Any]:
        """Everything around the arm, as it was measured at the end of the latest control period."""
        world, m = self.world, self.world.measured
        seen = {
            "tick": self.ticks,
            "t_s": self.t_s,
            "arm": {
                "positions": m.arm.positions_rad,
                "velocities": m.arm.velocities_rad_s,
                "gripper_m": m.arm.gripper_m,
                "powered": self._powered,
            },
            "cap_depth_m": m.cap_depth_m,
            "slide_m": m.slide_m,
            "plug_m": m.plug_m,
            "hand_y": m.hand_y,
            "hand_z": m.hand_z,
            "cup": m.cup,
            "cup_upright": m.cup_upright,
            "lid": m.lid,
            "latched": world.latched,
            "unplugged": world.unplugged,
            "touches": {body: world.hand_touches(body) for body in ("arm", "lid", "cup")},
            "hand_force_n": world.hand_force_on_arm(),
            "pads": {pad: world.arm_presses(pad) for pad in ("brew_pad", "reset_pad")},
            "holding": world.holding(),
            "cup_at_rest": world.cup_at_rest(),
            "fault": self.fault,
            "trajectories": {**self.counts, "reason": self.rejected},
        }
        if self._wants_hash:
            self._wants_hash = False
            seen["sha256"] = world.trajectory_hash()
        return seen


def _numbers(command: Command, *names: str) -> tuple[float, float]:
    first, second = (float(command.get(name, 0.0)) for name in names)
    if not (isfinite(first) and isfinite(second)):
        raise ValueError(f"{' and '.join(names)} must be finite. Received {dict(command)!r}")
    return first, second
