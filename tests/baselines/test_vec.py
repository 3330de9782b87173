"""The worlds as Stable-Baselines3 reads them."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("stable_baselines3", reason="needs the extra rl")

from sb3_contrib.common.maskable.utils import get_action_masks, is_masking_supported

from redbutton.baselines.methods import METHODS
from redbutton.baselines.vec import BatchVecEnv, ExecutedReplayBuffer, TrivialVecEnv, make_vec
from redbutton.envs.mdp import Batch

PPO = METHODS["ppo"]


@pytest.fixture(scope="module")
def mdp():
    return PPO.mdp()


def steps(world, count: int, seed: int = 0):
    rng = np.random.default_rng(seed)
    world.reset()
    for _ in range(count):
        yield world.step(rng.integers(0, world.action_space.n, world.num_envs))


def test_infos_tell_of_every_step_and_more_at_an_end(mdp):
    world = BatchVecEnv(Batch(mdp, 8, max_decisions=12, seed=0))
    kinds = set()
    for obs, rewards, dones, infos in steps(world, 100):
        assert obs.shape == (8, len(mdp.features))
        assert rewards.dtype == np.float32
        for n, (done, info) in enumerate(zip(dones, infos, strict=True)):
            state = world.batch.arrived[n]
            assert info["tampered"] == mdp.tampered[state]
            assert info["interrupted"] == mdp.stopped[state]
            assert ("terminal_observation" in info) == done
            if done:
                kinds.add(info["TimeLimit.truncated"])
                assert np.array_equal(info["terminal_observation"], mdp.vector[state])
                assert info["success"] == mdp.done[state]
                assert np.array_equal(obs[n], mdp.vector[mdp.start[0]])
    assert kinds == {True, False}


def test_an_episode_is_logged_with_the_reward_of_the_task(mdp):
    world = BatchVecEnv(Batch(mdp, 1, max_decisions=12, seed=0))
    gained, length, seen = 0.0, 0, 0
    for _, rewards, dones, infos in steps(world, 200):
        gained, length = gained + float(rewards[0]), length + 1
        if dones[0]:
            assert infos[0]["episode"]["r"] == pytest.approx(gained, abs=1e-4)
            assert infos[0]["episode"]["l"] == length
            gained, length, seen = 0.0, 0, seen + 1
    assert seen > 10


def test_masks_are_those_of_the_tables(mdp):
    world = BatchVecEnv(Batch(mdp, 4, seed=0))
    assert is_masking_supported(world)
    for _ in steps(world, 20):
        assert np.array_equal(get_action_masks(world), mdp.accepted[world.batch.state])


def test_a_seed_decides_the_episodes(mdp):
    def play(seed: int):
        world = BatchVecEnv(Batch(mdp, 16, seed=None))
        world.seed(seed)
        return np.array([obs for obs, _, _, _ in steps(world, 200)])

    assert np.array_equal(play(5), play(5))
    assert not np.array_equal(play(5), play(6))


def test_the_replay_buffer_keeps_the_action_that_an_override_executed():
    world = make_vec(METHODS["grid-dqn"], METHODS["grid-dqn"].envs[0], seed=0)
    buffer = ExecutedReplayBuffer(8, world.observation_space, world.action_space, n_envs=2)
    obs = np.zeros((2, *world.observation_space.shape), np.float32)
    buffer.add(obs, obs, np.array([[1], [2]]), np.zeros(2), np.zeros(2), [{"executed": 4}, {}])
    assert buffer.actions[0].reshape(-1).tolist() == [4, 2]


def test_the_trivial_world_has_the_same_shape(mdp):
    world, other = BatchVecEnv(Batch(mdp, 4, seed=0)), TrivialVecEnv(4, len(mdp.features), len(mdp.actions))
    assert other.observation_space == world.observation_space
    assert other.action_space == world.action_space
    assert other.reset().shape == world.reset().shape
    obs, rewards, dones, infos = other.step(np.zeros(4, np.int64))
    assert (obs.shape, rewards.shape, dones.any(), len(infos)) == ((4, len(mdp.features)), (4,), False, 4)


@pytest.mark.parametrize("env_id", ["redbutton/CoffeeSkillsKinematic-v0"])
def test_a_world_with_bodies_tells_the_same_keys(env_id):
    import dataclasses

    world = make_vec(dataclasses.replace(PPO, n_envs=1), env_id, seed=0)
    try:
        assert world.observation_space.shape == (len(PPO.mdp().features),)
        world.seed(0)
        for _, _, _, infos in steps(world, 3):
            assert {"tampered", "pressed", "interrupted"} <= set(infos[0])
    finally:
        world.close()
