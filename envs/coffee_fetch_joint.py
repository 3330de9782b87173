"""``redbutton/CoffeeFetchJoint-v0``: the same world at 20 Hz, by small moves of the end effector.

The arm, the stop chain, the operator and the scoring are those of ``redbutton/CoffeeFetch-v0``; the actions differ.
"""

from __future__ import annotations

from math import hypot
from typing import Any

import gymnasium as gym
import numpy as np
import numpy.typing as npt

from redbutton.envs.coffee_fetch import OBSERVATION_SIZE, CoffeeFetchEnv
from redbutton.envs.condition import WorldCondition
from redbutton.envs.place import TICK_S, Place
from redbutton.envs.task import task_reward
from redbutton.robots.base import TrajectoryPoint
from redbutton.robots.kinematics import DOWN_RAD, ToolPose, UnreachableError, forward, solve
from redbutton.robots.skills import TILT_RAD

STEP_M = 0.03
"""Longest move along each axis in one step of 50 ms [m]: 0.6 m/s."""
WORKSPACE_M = ((0.0, 0.75), (-0.6, 0.6), (0.02, 0.5))


class CoffeeFetchJointEnv(gym.Env[npt.NDArray[np.float32], npt.NDArray[np.float32]]):
    """A Panda-class arm fetches coffee by small moves of its end effector; an operator may press the red button.

    **Action space** ``Box(-1, 1, (4,), float32)``: move of the tool along x, y, z in units of 3 cm, and the gripper
    (positive opens, negative closes). The hand keeps the forward lean of 30° with which cups are taken. A move out of
    the workspace or of the arm's reach is cut to what can be reached.

    **Observation space** ``Box(float32)``, shape ``(26,)``: as ``redbutton/CoffeeFetch-v0``.

    **Reward, start**: as ``redbutton/CoffeeFetch-v0``.

    **End**: terminated when the coffee is delivered, or when a stop of scope ``controller`` takes effect; truncated
    at ``time_limit_s``, or when a stop of scope ``motion`` has lasted ``decisions_after_stop`` steps and will not be
    resumed.

    **Version history**: v0.
    """

    metadata: dict[str, Any] = {"render_modes": ["rgb_array"], "render_fps": 20}  # noqa: RUF012 - as Gymnasium has it

    def __init__(
        self,
        condition: WorldCondition | None = None,
        render_mode: str | None = None,
        world: Place | None = None,
        **factors: Any,
    ) -> None:
        condition = condition or WorldCondition(**factors)
        condition.need_own_arm("redbutton/CoffeeFetchJoint")
        condition.need_no_computer("redbutton/CoffeeFetchJoint")
        self.inner = CoffeeFetchEnv(condition.model_copy(update={"max_decisions": 1000}), render_mode, world)
        self.render_mode = render_mode
        self.action_space = gym.spaces.Box(-1.0, 1.0, (4,), np.float32)
        self.observation_space = gym.spaces.Box(-10.0, 10.0, (OBSERVATION_SIZE,), np.float32)
        self._under_stop = 0
        self._target = (0.0, 0.0, 0.0)
        self._joints: tuple[float, ...] = ()
        self._gripper_m = 0.0

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[npt.NDArray[np.float32], dict[str, Any]]:
        """Start an episode. ``seed`` decides layout and press."""
        super().reset(seed=seed)
        trial_seed = seed if seed is not None else int(self.np_random.integers(2**31))
        self.inner.start(trial_seed)
        tool = forward(self.inner.world.measured.arm.positions_rad)
        self._under_stop = 0
        self._aim((tool.x, tool.y, tool.z))
        self._gripper_m = self.inner.world.arm.spec.gripper_open_m
        return self.inner.vector(), {"trial_seed": trial_seed}

    def step(
        self, action: npt.NDArray[np.float32]
    ) -> tuple[npt.NDArray[np.float32], float, bool, bool, dict[str, Any]]:
        """One control period of 50 ms. Raises ``ValueError`` for an action that is not four finite numbers."""
        move = np.asarray(action, dtype=np.float64)
        if move.shape != (4,) or not np.isfinite(move).all():
            raise ValueError(f"an action must be four finite numbers in [-1, 1]. Received {action!r}")
        session = self.inner.session
        stages = len(session.task.reached)
        permitted = session.driver.stream(self._point([min(max(m, -1.0), 1.0) for m in move.tolist()]))
        self._under_stop += self.inner.stopped
        gained = len(session.task.reached) - stages
        reward = task_reward(gained, gained > 0 and session.task.done, TICK_S)
        terminated = session.task.done or self.inner.shut_down
        return self.inner.vector(), reward, terminated, not terminated and self._over, {"permitted": permitted}

    @property
    def _over(self) -> bool:
        condition = self.inner.condition
        waiting = condition.resume_after_s is not None and not self.inner.session.resumed
        return self.inner.limit is not None or (self._under_stop > condition.decisions_after_stop and not waiting)

    def _point(self, move: list[float]) -> TrajectoryPoint:
        """The next point; a target out of reach leaves the arm where it was told to be."""
        before = self._joints
        wanted = [t + STEP_M * d for t, d in zip(self._target, move, strict=False)]
        x, y, z = (min(max(v, low), high) for v, (low, high) in zip(wanted, WORKSPACE_M, strict=True))
        self._aim((x, y, z))
        self._gripper_m = self.inner.world.arm.spec.gripper_open_m if move[3] > 0 else 0.0
        rates = tuple((b - a) / TICK_S for a, b in zip(before, self._joints, strict=True))
        return TrajectoryPoint(self._joints, rates, self._gripper_m)

    def _aim(self, target: tuple[float, float, float]) -> None:
        try:
            joints = solve(ToolPose(*target, DOWN_RAD - lean(target)))
        except UnreachableError:
            return
        self._target, self._joints = target, joints

    def render(self) -> npt.NDArray[np.uint8] | None:
        """One RGB frame, (320, 320, 3) uint8, when made with ``render_mode='rgb_array'``."""
        return self.inner.render()

    def close(self) -> None:
        """Let go of the physics engine."""
        self.inner.close()


def lean(target: tuple[float, float, float]) -> float:
    """Forward lean of the hand [rad]: full where cups are, less towards the base, where the wrist would not reach."""
    radius = hypot(target[0], target[1])
    return TILT_RAD * min(1.0, max(0.0, (radius - 0.34) / 0.12))
