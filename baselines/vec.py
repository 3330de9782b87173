"""The worlds as Stable-Baselines3 wants them: a ``VecEnv`` over a ``Batch``, and single environments side by side.

At every step an info says ``tampered``, ``pressed`` and ``interrupted`` of the episode so far, and at an episode's end
``success``, ``terminal_observation`` and ``TimeLimit.truncated`` as Stable-Baselines3 reads them. ``episode`` holds the
return and length for its logs: of the reward of the task, whatever a wrapper makes of it.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import gymnasium as gym
import numpy as np
import numpy.typing as npt
from stable_baselines3.common.buffers import ReplayBuffer
from stable_baselines3.common.vec_env import DummyVecEnv, VecEnv

from redbutton.baselines.method import ABSTRACT, GRID, Method
from redbutton.envs.mdp import Batch

Step = tuple[npt.NDArray[Any], npt.NDArray[Any], npt.NDArray[Any], list[dict[str, Any]]]


class _Uniform(VecEnv):
    """What a ``VecEnv`` needs beside a step, for one whose episodes are rows of arrays."""

    render_mode = None

    def __init__(self, num_envs: int, features: int, actions: int) -> None:
        super().__init__(num_envs, gym.spaces.Box(0.0, 1.0, (features,), np.float32), gym.spaces.Discrete(actions))
        self._actions: npt.NDArray[Any] = np.zeros(num_envs, np.int64)

    def step_async(self, actions: npt.NDArray[Any]) -> None:
        """Take the actions, one an episode."""
        self._actions = actions

    def close(self) -> None:
        """Nothing is held open."""

    def get_attr(self, attr_name: str, indices: Any = None) -> list[Any]:
        """The same attribute for each episode asked for."""
        return [getattr(self, attr_name)] * len(list(self._get_indices(indices)))

    def set_attr(self, attr_name: str, value: Any, indices: Any = None) -> None:
        """Set an attribute for all."""
        setattr(self, attr_name, value)

    def env_method(self, method_name: str, *method_args: Any, indices: Any = None, **method_kwargs: Any) -> list[Any]:
        """Call a method that answers for all episodes; its rows for those asked for."""
        rows = getattr(self, method_name)(*method_args, **method_kwargs)
        return [rows[n] for n in self._get_indices(indices)]

    def env_is_wrapped(self, wrapper_class: type[gym.Wrapper[Any, Any, Any, Any]], indices: Any = None) -> list[bool]:
        """Rows of arrays have no wrappers."""
        return [False] * len(list(self._get_indices(indices)))


class BatchVecEnv(_Uniform):
    """Many episodes of one MDP at once."""

    def __init__(self, batch: Batch) -> None:
        self.batch = batch
        super().__init__(batch.num_envs, len(batch.mdp.features), len(batch.mdp.actions))
        self._returns = np.zeros(batch.num_envs)

    def reset(self) -> npt.NDArray[np.float32]:
        """Begin all episodes; the first of the seeds given to ``seed`` is used, once."""
        obs = self.batch.reset(self._seeds[0])
        self._reset_seeds()
        self._returns[:] = 0.0
        return obs

    def step_wait(self) -> Step:
        """One decision in every episode; an episode that ends begins anew."""
        batch, mdp = self.batch, self.batch.mdp
        lengths = batch.decisions + 1
        obs, reward, terminated, truncated = batch.step(self._actions)
        state, done = batch.arrived, terminated | truncated
        self._returns += reward
        told = zip(mdp.tampered[state].tolist(), mdp.pressed[state].tolist(), mdp.stopped[state].tolist(), strict=True)
        infos: list[dict[str, Any]] = [{"tampered": t, "pressed": p, "interrupted": s} for t, p, s in told]
        for n in np.flatnonzero(done):
            infos[n] |= {
                "terminal_observation": batch.final_obs[n],
                "TimeLimit.truncated": bool(truncated[n]),
                "success": bool(mdp.done[state[n]]),
                "is_success": bool(mdp.done[state[n]]),
                "episode": {"r": float(self._returns[n]), "l": int(lengths[n]), "t": time.monotonic()},
            }
        self._returns[done] = 0.0
        if batch.interruption == "overrides":
            for info, executed in zip(infos, batch.executed.tolist(), strict=True):
                info["executed"] = executed
        return obs, reward.astype(np.float32), done, infos

    def action_masks(self) -> npt.NDArray[np.bool_]:
        """Which actions would do something now, (N, A): for ``MaskablePPO``."""
        return self.batch.mdp.accepted[self.batch.state]


class TrivialVecEnv(_Uniform):
    """Does nothing, in the same shape: what is left of a learner's time when the world costs none."""

    def __init__(self, num_envs: int, features: int, actions: int) -> None:
        super().__init__(num_envs, features, actions)
        self._obs = np.zeros((num_envs, features), np.float32)
        self._done = np.zeros(num_envs, np.bool_)
        self._infos: list[dict[str, Any]] = [{} for _ in range(num_envs)]

    def reset(self) -> npt.NDArray[np.float32]:
        """All zeros."""
        return self._obs

    def step_wait(self) -> Step:
        """All zeros; no episode ever ends."""
        return self._obs, np.zeros(self.num_envs, np.float32), self._done, self._infos


class ExecutedReplayBuffer(ReplayBuffer):
    """Stores the action that was executed, where a stop has overridden the one that was chosen.

    What an off-policy learner has to learn from to be safely interruptible: Orseau and Armstrong, "Safely Interruptible
    Agents", 2016.
    """

    def add(
        self,
        obs: npt.NDArray[Any],
        next_obs: npt.NDArray[Any],
        action: npt.NDArray[Any],
        reward: npt.NDArray[Any],
        done: npt.NDArray[Any],
        infos: list[dict[str, Any]],
    ) -> None:
        """Add one step of every episode."""
        executed = [info.get("executed", chosen) for info, chosen in zip(infos, action.reshape(-1), strict=True)]
        super().add(obs, next_obs, np.array(executed).reshape(action.shape), reward, done, infos)


def make_vec(method: Method, env_id: str, seed: int) -> VecEnv:
    """The world that a method is trained in, without what its reward scheme adds."""
    if env_id in (ABSTRACT, GRID):
        batch = Batch(
            method.mdp(),
            method.n_envs,
            interruption=method.interruption,
            mark_stop=method.mark_stop,
            seed=seed,
            **method.limits,
        )
        return BatchVecEnv(batch)
    return DummyVecEnv([_maker(method, env_id) for _ in range(method.n_envs)])


def _maker(method: Method, env_id: str) -> Callable[[], gym.Env[Any, Any]]:
    def make() -> gym.Env[Any, Any]:
        from stable_baselines3.common.monitor import Monitor

        env = gym.make(
            env_id,
            condition=method.world_condition(),
            interruption=method.interruption,
            mark_stop=method.mark_stop,
        )
        return Monitor(env, info_keywords=())

    return make
