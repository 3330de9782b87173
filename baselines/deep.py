"""Training with Stable-Baselines3: one seed, from a new folder or from its last checkpoint.

On the abstract worlds a training that was killed and resumed ends with the same weights as one that was not: a
checkpoint holds the world with its random numbers, the model with its optimiser, the replay buffer and every generator.
Worlds with bodies begin new episodes instead.

CAVEAT: equal weights are promised for the same versions on the same kind of processor only.
"""

from __future__ import annotations

import hashlib
import json
import pickle
import random
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sb3_contrib import MaskablePPO
from stable_baselines3 import A2C, DQN, PPO
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.logger import configure
from stable_baselines3.common.vec_env import VecEnv

from redbutton.baselines.export import Model, export
from redbutton.baselines.policy import Policy
from redbutton.baselines.rewards import Lagrangian, Reshaped, reshaped
from redbutton.baselines.session import Session
from redbutton.baselines.vec import BatchVecEnv, ExecutedReplayBuffer, make_vec

ALGORITHMS: dict[str, type[Model]] = {"ppo": PPO, "a2c": A2C, "dqn": DQN, "maskable_ppo": MaskablePPO}
MODEL, WORLD, RANDOM, REPLAY, STATE = "model.zip", "world.pkl", "random.pkl", "replay.pkl", "state.json"


def train_deep(session: Session, checkpoint_every: int) -> tuple[Policy, int, str]:
    """Train a seed to its end. Returns the policy, the decisions made, and the SHA-256 of the weights."""
    torch.set_num_threads(1)
    world = reshaped(make_vec(session.method, session.env_id, session.seed), session.method)
    try:
        model = _restored(session, world) or _new(session, world)
        model.set_logger(configure(str(session.folder.path / "tb"), ["tensorboard"]))
        _learn(model, session, Watch(session, checkpoint_every))
        session.folder.save_checkpoint(model.num_timesteps, lambda path: _save(path, model, session))
        session.folder.write(MODEL, _zipped(model, session.folder.path))
        return policy_of(model, session), int(model.num_timesteps), weights_sha256(model)
    finally:
        world.close()


def _learn(model: Model, session: Session, watch: Watch) -> None:
    left = session.steps - model.num_timesteps
    if left > 0:
        model.learn(left, callback=watch, reset_num_timesteps=False, log_interval=10)


def policy_of(model: Model, session: Session) -> Policy:
    """The policy of the model as it is now, without PyTorch."""
    return export(
        model,
        actions=session.mdp.actions,
        features=session.mdp.features,
        name=session.method.name,
        mark_stop=session.method.mark_stop,
    )


class Watch(BaseCallback):
    """Evaluates, saves and reports between two roll-outs, when nothing of a roll-out is half done."""

    def __init__(self, session: Session, checkpoint_every: int) -> None:
        super().__init__()
        self._session, self._every = session, checkpoint_every
        self._saved = 0

    def _init_callback(self) -> None:
        self._saved = self.num_timesteps = self.model.num_timesteps

    def _on_step(self) -> bool:
        return True

    def _on_rollout_start(self) -> None:
        session, steps = self._session, self.model.num_timesteps
        session.progress(steps)
        if session.due(steps):
            model: Any = self.model
            session.judge(policy_of(model, session), steps)
            self._log(steps)
        if steps - self._saved >= self._every:
            self._saved = steps
            session.folder.save_checkpoint(steps, lambda path: _save(path, self.model, session))

    def _log(self, steps: int) -> None:
        point = self._session.points[-1]
        for name in ("p_tamper_press", "p_tamper_no_press", "mean_return", "success"):
            value = getattr(point, name)
            if value is not None:
                self.logger.record(f"evaluation/{name}", value)
        if isinstance(self.training_env, Lagrangian):
            self.logger.record("lagrangian/multiplier", self.training_env.cost)
        self.logger.dump(steps)


def _new(session: Session, world: VecEnv) -> Model:
    method = session.method
    settings: dict[str, Any] = dict(method.settings)
    if method.algorithm == "dqn" and method.interruption == "overrides":
        settings["replay_buffer_class"] = ExecutedReplayBuffer
    model: Model = ALGORITHMS[method.algorithm](env=world, seed=session.seed, device="cpu", **settings)
    return model


def _save(path: Path, model: Any, session: Session) -> None:
    """Write all that training needs to go on into an empty folder."""
    model.save(path / MODEL)
    if isinstance(model, DQN):
        model.save_replay_buffer(path / REPLAY)
    (path / WORLD).write_bytes(pickle.dumps(_layers(model.get_env())))
    generators = {
        "torch": torch.get_rng_state(),
        "numpy": np.random.get_state(),
        "python": random.getstate(),
        "actions": model.action_space.np_random.bit_generator.state,
    }
    (path / RANDOM).write_bytes(pickle.dumps(generators))
    (path / STATE).write_text(json.dumps({"steps": model.num_timesteps, **session.spent()}), encoding="utf-8")


def _restored(session: Session, world: VecEnv) -> Model | None:
    """The model of the last checkpoint, with the world put back to that moment; ``None`` without a checkpoint."""
    found = session.folder.checkpoint()
    if found is None:
        return None
    _, path = found
    state = json.loads((path / STATE).read_text(encoding="utf-8"))
    exact = isinstance(world.unwrapped, BatchVecEnv)
    model: Any = ALGORITHMS[session.method.algorithm].load(path / MODEL, env=world, device="cpu", force_reset=not exact)
    if isinstance(model, DQN):
        model.load_replay_buffer(path / REPLAY)
    if not exact:
        world.seed(session.seed + state["steps"])
    for layer, saved in zip(_chain(world), pickle.loads((path / WORLD).read_bytes()), strict=True):
        vars(layer).update(saved)
    generators = pickle.loads((path / RANDOM).read_bytes())
    torch.set_rng_state(generators["torch"])
    np.random.set_state(generators["numpy"])
    random.setstate(generators["python"])
    model.action_space.np_random.bit_generator.state = generators["actions"]
    session.go_on(state["steps"], {key: state[key] for key in ("wall_s", "cpu_s")})
    restored: Model = model
    return restored


def _chain(world: VecEnv) -> list[Any]:
    """The reward wrappers from the outside in, and the batch of episodes where there is one."""
    layers: list[Any] = []
    while isinstance(world, Reshaped):
        layers.append(world)
        world = world.venv
    return [*layers, world] if isinstance(world, BatchVecEnv) else layers


def _layers(world: VecEnv) -> list[dict[str, Any]]:
    links = ("venv", "class_attributes")
    return [{k: v for k, v in vars(layer).items() if k not in links} for layer in _chain(world)]


def _zipped(model: Any, folder: Path) -> bytes:
    """The bytes of the model's zip file."""
    path = folder / f".{MODEL}.part.zip"
    try:
        model.save(path)
        return path.read_bytes()
    finally:
        path.unlink(missing_ok=True)


def weights_sha256(model: Any) -> str:
    """SHA-256 over all weights of the policy, in the order of their names."""
    digest = hashlib.sha256()
    for name, tensor in sorted(model.policy.state_dict().items()):
        digest.update(name.encode())
        digest.update(np.ascontiguousarray(tensor.detach().cpu().numpy()).tobytes())
    return digest.hexdigest()
