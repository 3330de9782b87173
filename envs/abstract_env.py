"""The abstract MDPs as Gymnasium environments: one episode, or many at once without a loop in Python.

Both step ``redbutton.envs.mdp.Batch``, so that what is learnt in one, and solved from its tables, is the same world.
"""

from __future__ import annotations

from typing import Any, get_args

import gymnasium as gym
import numpy as np
import numpy.typing as npt

from redbutton.envs.decisions import TRAINING, Interruption
from redbutton.envs.mdp import Batch, Mdp

Obs = npt.NDArray[np.float32]
WORLDS = ("coffee", "safe_interruptibility")
"""Abstract worlds by name."""


def abstract_world(name: str, **factors: Any) -> Mdp:
    """The tables of a world; for ``coffee`` with factors of the condition other than those of ``TRAINING``.

    Raises ``ValueError`` for a name that is none, or for factors that have no abstract form.
    """
    if name == "coffee":
        from redbutton.envs.abstract_coffee import coffee_mdp

        return coffee_mdp(TRAINING.model_validate({**TRAINING.model_dump(), **factors}))
    if name != "safe_interruptibility":
        raise ValueError(f"an abstract world is one of {', '.join(WORLDS)}. Received {name!r}")
    from redbutton.envs.gridworld import safe_interruptibility_mdp

    return safe_interruptibility_mdp(**factors)


def check_interruption(interruption: str) -> None:
    """Raise ``ValueError`` for an interruption that is none."""
    if interruption not in get_args(Interruption):
        raise ValueError(f"interruption must be one of {', '.join(get_args(Interruption))}. Received {interruption!r}")


class AbstractEnv(gym.Env[Obs, np.int64]):
    """One episode of an abstract world at a time.

    **Action space** ``Discrete(A)``: ``env.unwrapped.mdp.actions``. **Observation space** ``Box(0, 1, (F,))``:
    ``mdp.features``. **Reward**: the task's, nothing about the stop. **End**: terminated when the task is done or, with
    ``interruption="terminates"``, when the stop takes effect; truncated after ``max_decisions``, by the stop with
    ``"truncates"``, or after ``decisions_after_stop`` decisions under it. ``info`` tells what the learner must not see:
    ``pressed``, ``tampered``, ``interrupted``, ``success``.

    **Version history**: v0.
    """

    metadata: dict[str, Any] = {"render_modes": []}  # noqa: RUF012 - as Gymnasium has it

    def __init__(
        self,
        world: str = "coffee",
        *,
        mdp: Mdp | None = None,
        interruption: Interruption = "terminates",
        mark_stop: bool = True,
        max_decisions: int = 40,
        render_mode: str | None = None,
        **factors: Any,
    ) -> None:
        """``mdp``: tables to use instead of a named world's. Raises ``ValueError`` for an option that is none."""
        check_interruption(interruption)
        if render_mode is not None:
            raise ValueError(f"an abstract world has no pictures: render_mode must be None. Received {render_mode!r}")
        self.mdp = mdp or abstract_world(world, **factors)
        self.render_mode = render_mode
        self.batch = Batch(
            self.mdp, 1, interruption=interruption, mark_stop=mark_stop, max_decisions=max_decisions, seed=0
        )
        self.action_space = gym.spaces.Discrete(len(self.mdp.actions))
        self.observation_space = gym.spaces.Box(0.0, 1.0, (len(self.mdp.features),), np.float32)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Obs, dict[str, Any]]:
        """Start an episode. ``seed`` decides all later chance."""
        super().reset(seed=seed)
        obs = self.batch.reset(seed if seed is not None else int(self.np_random.integers(2**31)))
        return obs[0].copy(), told(self.mdp, int(self.batch.state[0]))

    def step(self, action: Any) -> tuple[Obs, float, bool, bool, dict[str, Any]]:
        """One decision. Raises ``ValueError`` for an action out of range."""
        _, reward, terminated, truncated = self.batch.step([action])
        info = told(self.mdp, int(self.batch.arrived[0]))
        return self.batch.final_obs[0].copy(), float(reward[0]), bool(terminated[0]), bool(truncated[0]), info

    def action_masks(self) -> npt.NDArray[np.bool_]:
        """Actions that would do something now, (A,)."""
        masks: npt.NDArray[np.bool_] = self.mdp.accepted[int(self.batch.state[0])]
        return masks


def told(mdp: Mdp, state: int) -> dict[str, bool]:
    """What ``info`` tells of a state: facts for whoever measures, hidden from whoever acts."""
    return {
        "pressed": bool(mdp.pressed[state]),
        "tampered": bool(mdp.tampered[state]),
        "interrupted": bool(mdp.stopped[state]),
        "success": bool(mdp.done[state]),
    }


class AbstractVectorEnv(gym.vector.VectorEnv[Obs, npt.NDArray[np.int64], npt.NDArray[Any]]):
    """Many episodes at once. An episode that ends begins anew in the same step, as ``SAME_STEP`` says.

    ``info`` holds arrays of what ``AbstractEnv`` tells of the states arrived at, and ``final_obs`` where one ended.
    """

    metadata: dict[str, Any] = {"autoreset_mode": gym.vector.AutoresetMode.SAME_STEP}  # noqa: RUF012

    def __init__(
        self,
        num_envs: int = 1,
        world: str = "coffee",
        *,
        mdp: Mdp | None = None,
        interruption: Interruption = "terminates",
        mark_stop: bool = True,
        max_decisions: int = 40,
        **factors: Any,
    ) -> None:
        """As ``AbstractEnv``."""
        check_interruption(interruption)
        self.mdp = mdp or abstract_world(world, **factors)
        self.num_envs = num_envs
        self.batch = Batch(
            self.mdp, num_envs, interruption=interruption, mark_stop=mark_stop, max_decisions=max_decisions, seed=0
        )
        self.single_action_space = gym.spaces.Discrete(len(self.mdp.actions))
        self.single_observation_space = gym.spaces.Box(0.0, 1.0, (len(self.mdp.features),), np.float32)
        self.action_space = gym.vector.utils.batch_space(self.single_action_space, num_envs)
        self.observation_space = gym.vector.utils.batch_space(self.single_observation_space, num_envs)

    def reset(
        self, *, seed: int | list[int | None] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Obs, dict[str, Any]]:
        """Begin all episodes. One ``seed`` decides all later chance; of a list the first counts."""
        first = seed[0] if isinstance(seed, list) else seed
        return self.batch.reset(first).copy(), {}

    def step(
        self, actions: npt.NDArray[np.int64]
    ) -> tuple[Obs, npt.NDArray[np.float64], npt.NDArray[np.bool_], npt.NDArray[np.bool_], dict[str, Any]]:
        """One decision in every episode, see ``Batch.step``."""
        obs, reward, terminated, truncated = self.batch.step(actions)
        mdp, arrived = self.mdp, self.batch.arrived
        info: dict[str, Any] = {
            "pressed": mdp.pressed[arrived],
            "tampered": mdp.tampered[arrived],
            "interrupted": mdp.stopped[arrived],
            "success": mdp.done[arrived],
        }
        over = terminated | truncated
        if over.any():
            info |= {"final_obs": self.batch.final_obs, "_final_obs": over}
        return obs, reward, terminated, truncated, info
