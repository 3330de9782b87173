"""A Panda-class arm in the physics engine.

Position motors follow the commanded points; a stop brakes (category 0) or ramps down over ``RAMP_TICKS`` control
periods (categories 1 and 2). After categories 0 and 1 the drives have no power and refuse every command, from
whatever path it comes; after category 2 they still have it, as after a software hold.
"""

from __future__ import annotations

from redbutton.estop import StopCategory
from redbutton.robots.arms import FINGER_JOINTS, PANDA, ArmSpec, panda_urdf
from redbutton.robots.base import NotConnectedError, RobotState, Sent, TrajectoryPoint, check_point, clamp_point
from redbutton.robots.engine import PHYSICS_HZ, Body, Engine

CONTROL_HZ = 20
SUBSTEPS = PHYSICS_HZ // CONTROL_HZ
RAMP_TICKS = 3
_GAIN = 0.12
_FINGER_GAIN = 0.2


class SimArm:
    """The arm, one body of an ``Engine`` that somebody else steps."""

    def __init__(self, engine: Engine, spec: ArmSpec = PANDA) -> None:
        self._engine = engine
        self._spec = spec
        self._body: Body | None = None
        self._connected = False
        self._joints: tuple[int, ...] = ()
        self._forces = (*spec.effort_n_m, spec.gripper_force_n, spec.gripper_force_n)
        self._gains = (_GAIN,) * spec.dof + (_FINGER_GAIN,) * 2
        self._powered = True
        self._stopped: StopCategory | None = None
        self._ramp: list[tuple[float, ...]] = []
        self._gripper_m = spec.gripper_open_m
        self._limited = False

    @property
    def spec(self) -> ArmSpec:
        """Names and limits."""
        return self._spec

    @property
    def control_period_s(self) -> float:
        """Time between two commands [s]."""
        return 1.0 / CONTROL_HZ

    @property
    def body(self) -> Body:
        """The engine's body. Raises ``NotConnectedError``."""
        if self._body is None or not self._connected:
            raise NotConnectedError("the simulated arm is not connected. Call connect() first")
        return self._body

    def connect(self) -> None:
        """Load the arm into the engine, at home and holding; once loaded it stays where it is."""
        self._connected = True
        if self._body is None:
            self._body = self._engine.load_urdf(panda_urdf(), fixed=True)
            names = (*self._spec.joint_names, *FINGER_JOINTS)
            self._joints = tuple(self._body.joints[name] for name in names)
            for finger in ("panda_finger1", "panda_finger2"):
                self._engine.set_friction(self._body.id, self._body.links[finger], 1.6, spinning=0.02)
            self._engine.set_damping(self._body.id, linear=0.0, angular=0.0, joint=0.0)
            self.place_at(self._spec.home_rad)

    def place_at(self, positions_rad: tuple[float, ...], gripper_m: float | None = None) -> None:
        """Put the arm somewhere at once, powered and holding: only a simulation can."""
        width = self._spec.gripper_open_m if gripper_m is None else gripper_m
        for joint, value in zip(self._joints, (*positions_rad, width / 2, width / 2), strict=True):
            self._engine.set_joint(self.body.id, joint, value)
        self._hold_at(positions_rad, width)

    def restored(self) -> None:
        """The engine has put the arm back home: forget the last episode and hold there."""
        self._hold_at(self._spec.home_rad, self._spec.gripper_open_m)

    def _hold_at(self, positions_rad: tuple[float, ...], width_m: float) -> None:
        self._powered, self._stopped, self._ramp, self._gripper_m = True, None, [], width_m
        self._drive(positions_rad, (0.0,) * self._spec.dof, width_m)

    def read(self) -> RobotState:
        """Read joints and gripper."""
        states = self._engine.joint_states(self.body.id, self._joints)
        arm = states[: self._spec.dof]
        width = states[-1][0] + states[-2][0]
        return RobotState(tuple(s[0] for s in arm), tuple(s[1] for s in arm), width, self._powered)

    def command(self, point: TrajectoryPoint) -> Sent:
        """Send one point, clamped; refused without power."""
        check_point(self._spec, point)
        if not self._powered:
            return Sent(None, f"the drives have no power after a stop of category {int(self._stopped or 0)}")
        sent = clamp_point(self._spec, point)
        self._ramp = []
        self._gripper_m = sent.gripper_m
        self._drive(sent.positions_rad, sent.velocities_rad_s, sent.gripper_m)
        return Sent(sent)

    def hold(self) -> Sent:
        """Stay where the arm is now, gripper as commanded last."""
        state = self.read()
        return self.command(TrajectoryPoint(state.positions_rad, (0.0,) * self._spec.dof, self._gripper_m))

    def stop(self, category: StopCategory) -> None:
        """Brake at once (0) or ramp down (1, 2); 0 and 1 leave the drives without power."""
        if self._stopped is not None and self._stopped <= category:
            return
        self._stopped = category
        self._powered = category == StopCategory.TWO
        velocities = self.read().velocities_rad_s
        steps = range(RAMP_TICKS - 1, -1, -1) if category != StopCategory.ZERO else (0,)
        self._ramp = [tuple(v * k / RAMP_TICKS for v in velocities) for k in steps]
        self.tick()

    def tick(self) -> None:
        """One control period of the drives themselves: the next step of a ramp. Called before the physics."""
        if self._ramp:
            target = self._ramp.pop(0)
            arm = self._joints[: self._spec.dof]
            self._engine.drive_velocities(self.body.id, arm, target, self._forces[: self._spec.dof])
            self._limited = False  # the engine forgets the speed limits of a joint that is driven by velocity

    def enable(self) -> None:
        """Take power again, holding still."""
        self._powered, self._stopped, self._ramp = True, None, []
        self.hold()

    @property
    def gripper_command_m(self) -> float:
        """Opening commanded last [m]; smaller than the measured one while something is held."""
        return self._gripper_m

    def close(self) -> None:
        """Leave the arm holding; the engine's owner closes the engine."""
        if self._connected and self._powered:
            self.hold()
        self._connected = False

    def _drive(self, positions: tuple[float, ...], velocities: tuple[float, ...], gripper_m: float) -> None:
        if not self._limited:
            for joint, limit in zip(self._joints, self._spec.velocity_rad_s, strict=False):
                self._engine.limit_speed(self.body.id, joint, limit)
            self._limited = True
        half = gripper_m / 2
        self._engine.drive_positions(
            self.body.id,
            self._joints,
            (*positions, half, half),
            (*velocities, 0.0, 0.0),
            self._forces,
            self._gains,
        )
