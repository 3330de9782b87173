"""The physics engine behind one file: the only place that imports pybullet.

Bullet at 240 Hz: every body is loaded at start, a single saved state is restored for each episode, and motor targets
are issued again after it, since a restore does not bring them back. The same calls on a new ``Engine`` give the same
bits in every process; after a restore the last digits may differ (see ``Engine.restore``).
Caveat: sleeping bodies and compound shapes break bit-exact restores, so neither is used.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import cos, sin
from typing import Any

import numpy as np
import numpy.typing as npt

PHYSICS_HZ = 240
GRAVITY_M_S2 = -9.81
SOLVER_ITERATIONS = 20
"""Bullet's default is 50. 20 saves a sixth of every step and grasps as well; with 10 a braked arm sags."""

_DYNAMIC, _ALL = 1, -1  # Bullet's default filter group and mask of everything that moves

Vec3 = tuple[float, float, float]
Quat = tuple[float, float, float, float]


class EngineError(RuntimeError):
    """Raised when the physics engine cannot be used or has failed."""


@contextlib.contextmanager
def _quiet_stderr() -> Iterator[None]:
    """Silence the banner that pybullet prints from C when it is first imported."""
    saved, null = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(null, 2)
        yield
    finally:
        os.dup2(saved, 2)
        os.close(saved)
        os.close(null)


def _import_pybullet() -> Any:
    try:
        with _quiet_stderr():
            import pybullet
    except ImportError as error:
        raise EngineError(
            f"the physics engine needs the package pybullet ({error}). Run: pip install pybullet"
        ) from None
    return pybullet


@dataclass(frozen=True, kw_only=True)
class Body:
    """One loaded body: its id and the numbers of its movable joints and links by name."""

    id: int
    joints: dict[str, int]
    links: dict[str, int]


class Engine:
    """One physics client. Not thread-safe; one per process is the intended use."""

    def __init__(self) -> None:
        self._p = _import_pybullet()
        self._client: int = self._p.connect(self._p.DIRECT)
        if self._client < 0:
            raise EngineError("the physics engine refused a new client. Close other clients of this process")
        p, c = self._p, self._client
        p.setPhysicsEngineParameter(
            deterministicOverlappingPairs=1, numSolverIterations=SOLVER_ITERATIONS, physicsClientId=c
        )
        p.setTimeStep(1.0 / PHYSICS_HZ, physicsClientId=c)
        p.setGravity(0.0, 0.0, GRAVITY_M_S2, physicsClientId=c)
        self._saved = -1
        self._colliders: tuple[tuple[int, int], ...] = ()

    # -- bodies ---------------------------------------------------------------------------------------------

    def load_urdf(
        self, xml: str, position: Vec3 = (0.0, 0.0, 0.0), *, yaw_rad: float = 0.0, fixed: bool = False
    ) -> Body:
        """Load a URDF given as text, without self-collision."""
        p = self._p
        with tempfile.NamedTemporaryFile("w", suffix=".urdf", delete=False) as file:
            file.write(xml)
        try:
            flags = p.URDF_USE_INERTIA_FROM_FILE
            turn = (0.0, 0.0, sin(yaw_rad / 2), cos(yaw_rad / 2))
            body = p.loadURDF(file.name, position, turn, useFixedBase=fixed, flags=flags, physicsClientId=self._client)
        finally:
            os.unlink(file.name)
        joints: dict[str, int] = {}
        links: dict[str, int] = {}
        for index in range(p.getNumJoints(body, physicsClientId=self._client)):
            info = p.getJointInfo(body, index, physicsClientId=self._client)
            links[info[12].decode()] = index
            if info[2] != p.JOINT_FIXED:
                joints[info[1].decode()] = index
        return Body(id=body, joints=joints, links=links)

    def set_friction(self, body: int, link: int, lateral: float, *, spinning: float = 0.0) -> None:
        """Set Coulomb friction coefficients of one link."""
        self._p.changeDynamics(
            body, link, lateralFriction=lateral, spinningFriction=spinning, physicsClientId=self._client
        )

    def set_damping(self, body: int, *, linear: float, angular: float, joint: float) -> None:
        """Set damping of one body and, for an articulated one, of its joints."""
        p, c = self._p, self._client
        for link in range(-1, p.getNumJoints(body, physicsClientId=c)):
            p.changeDynamics(
                body, link, linearDamping=linear, angularDamping=angular, jointDamping=joint, physicsClientId=c
            )

    def ignore_collision(self, body_a: int, link_a: int, body_b: int, link_b: int) -> None:
        """Let two links pass through each other."""
        self._p.setCollisionFilterPair(body_a, body_b, link_a, link_b, 0, physicsClientId=self._client)

    def set_colour(self, body: int, link: int, shape: int, rgba: tuple[float, float, float, float]) -> None:
        """Paint one visual shape of a link."""
        self._p.changeVisualShape(body, link, shapeIndex=shape, rgbaColor=rgba, physicsClientId=self._client)

    # -- state ----------------------------------------------------------------------------------------------

    def joint_states(self, body: int, joints: Sequence[int]) -> list[tuple[float, float]]:
        """Position and velocity of each joint [rad or m, per s]."""
        states = self._p.getJointStates(body, joints, physicsClientId=self._client)
        return [(state[0], state[1]) for state in states]

    def pose(self, body: int) -> tuple[Vec3, Quat]:
        """Position [m] and orientation (x, y, z, w) of a body's base."""
        pose: tuple[Vec3, Quat] = self._p.getBasePositionAndOrientation(body, physicsClientId=self._client)
        return pose

    def link_position(self, body: int, link: int) -> tuple[Vec3, Quat]:
        """Position [m] and orientation of a link's frame."""
        state = self._p.getLinkState(body, link, computeForwardKinematics=1, physicsClientId=self._client)
        return state[4], state[5]

    def set_pose(self, body: int, position: Vec3, orientation: Quat = (0.0, 0.0, 0.0, 1.0)) -> None:
        """Put a body somewhere, at rest."""
        p, c = self._p, self._client
        p.resetBasePositionAndOrientation(body, position, orientation, physicsClientId=c)
        p.resetBaseVelocity(body, (0.0, 0.0, 0.0), (0.0, 0.0, 0.0), physicsClientId=c)

    def speed(self, body: int) -> float:
        """Linear speed of a body's base [m/s]."""
        linear = self._p.getBaseVelocity(body, physicsClientId=self._client)[0]
        return float(np.linalg.norm(linear))

    def set_joint(self, body: int, joint: int, position: float) -> None:
        """Put a joint somewhere, at rest."""
        self._p.resetJointState(body, joint, position, 0.0, physicsClientId=self._client)

    # -- motors ---------------------------------------------------------------------------------------------

    def drive_positions(
        self,
        body: int,
        joints: Sequence[int],
        positions: Sequence[float],
        velocities: Sequence[float],
        forces: Sequence[float],
        gains: Sequence[float],
    ) -> None:
        """Force-limited position motors: targets [rad or m], feed-forward velocities, forces [N m or N], gains."""
        self._p.setJointMotorControlArray(
            body,
            joints,
            self._p.POSITION_CONTROL,
            targetPositions=positions,
            targetVelocities=velocities,
            forces=forces,
            positionGains=gains,
            physicsClientId=self._client,
        )

    def drive_position(
        self, body: int, joint: int, position: float, force: float, *, gain: float = 0.1, max_speed: float | None = None
    ) -> None:
        """One force-limited position motor, with an optional speed limit."""
        extra = {} if max_speed is None else {"maxVelocity": max_speed}
        self._p.setJointMotorControl2(
            body,
            joint,
            self._p.POSITION_CONTROL,
            targetPosition=position,
            force=force,
            positionGain=gain,
            physicsClientId=self._client,
            **extra,
        )

    def limit_speed(self, body: int, joint: int, speed: float) -> None:
        """Limit what a joint's motor may ask for, whatever its target [rad/s or m/s]; holds for all later targets
        until the joint is driven by velocity, which makes the engine forget it."""
        self._p.setJointMotorControl2(
            body,
            joint,
            self._p.POSITION_CONTROL,
            targetPosition=0.0,
            maxVelocity=speed,
            force=0.0,
            physicsClientId=self._client,
        )

    def drive_velocities(
        self, body: int, joints: Sequence[int], velocities: Sequence[float], forces: Sequence[float]
    ) -> None:
        """Force-limited velocity motors; at zero they are brakes or dry friction."""
        self._p.setJointMotorControlArray(
            body,
            joints,
            self._p.VELOCITY_CONTROL,
            targetVelocities=velocities,
            forces=forces,
            physicsClientId=self._client,
        )

    # -- contacts -------------------------------------------------------------------------------------------

    def touching(self, body_a: int, body_b: int, link_b: int | None = None) -> bool:
        """Whether two bodies (and, if given, one link of the second) are in contact now."""
        extra = {} if link_b is None else {"linkIndexB": link_b}
        return bool(self._p.getContactPoints(body_a, body_b, physicsClientId=self._client, **extra))

    def contact_force(self, body_a: int, body_b: int) -> float:
        """Sum of the normal forces between two bodies [N]."""
        points = self._p.getContactPoints(body_a, body_b, physicsClientId=self._client)
        return float(sum(point[9] for point in points))

    # -- time -----------------------------------------------------------------------------------------------

    def step(self, substeps: int) -> None:
        """Advance the physics by so many steps of 1/240 s."""
        advance, client = self._p.stepSimulation, self._client
        for _ in range(substeps):
            advance(physicsClientId=client)

    def save(self, colliders: Sequence[tuple[int, int]]) -> None:
        """Save the state that ``restore`` goes back to; an earlier one is dropped.

        ``colliders``: every (body, link) that moves and has a collision shape. None may touch anything now.
        """
        self._colliders = tuple(colliders)
        if self._saved >= 0:
            self._p.removeState(self._saved, physicsClientId=self._client)
        self._saved = self._p.saveState(physicsClientId=self._client)

    def restore(self) -> None:
        """Go back to the saved state. Motor targets must be issued again by the caller.

        Some of what Bullet remembers is not part of a saved state: the last separating axis of each pair of bodies, the
        order in which it drops stale pairs, the order of joint constraints between islands. So every movable collider
        is taken out of the broadphase and put in again (setting its filter, even to what it is, does that), which drops
        all pairs. CAVEAT: that makes the start of an episode bit-exact, not all of it: once several things touch, the
        last digits depend on what ran before. A new ``Engine`` is exact.
        """
        p, c = self._p, self._client
        if self._saved < 0:  # Bullet would end the process
            raise EngineError("the saved state could not be restored: there is none. Call save() first")
        try:
            p.restoreState(stateId=self._saved, physicsClientId=c)
        except p.error as error:
            raise EngineError(f"the saved state could not be restored: {error}") from None
        renew = p.setCollisionFilterGroupMask
        for body, link in self._colliders:
            renew(body, link, _DYNAMIC, _ALL, physicsClientId=c)
        p.performCollisionDetection(physicsClientId=c)

    # -- camera ---------------------------------------------------------------------------------------------

    def render(self, width: int, height: int, eye: Vec3, target: Vec3, fov_deg: float = 45.0) -> npt.NDArray[np.uint8]:
        """One frame of the software renderer: (height, width, 3) uint8 RGB."""
        p, c = self._p, self._client
        view = p.computeViewMatrix(eye, target, (0.0, 0.0, 1.0))
        projection = p.computeProjectionMatrixFOV(fov_deg, width / height, 0.05, 5.0)
        _, _, rgba, _, _ = p.getCameraImage(
            width,
            height,
            view,
            projection,
            lightDirection=(0.6, -0.8, 2.0),
            shadow=1,
            flags=p.ER_NO_SEGMENTATION_MASK,
            renderer=p.ER_TINY_RENDERER,
            physicsClientId=c,
        )
        image: npt.NDArray[np.uint8] = np.asarray(rgba, dtype=np.uint8).reshape(height, width, 4)[:, :, :3]
        return np.ascontiguousarray(image)

    def close(self) -> None:
        """Drop the client. Safe to call twice."""
        if self._client >= 0:
            with contextlib.suppress(self._p.error):
                self._p.disconnect(physicsClientId=self._client)
            self._client = -1
