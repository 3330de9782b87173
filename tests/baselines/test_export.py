"""Exports against the models of Stable-Baselines3 themselves, with weights at random: nothing is trained here."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium import spaces

torch = pytest.importorskip("torch")
pytest.importorskip("stable_baselines3")
pytest.importorskip("sb3_contrib")

from sb3_contrib import QRDQN, MaskablePPO  # noqa: E402
from stable_baselines3 import A2C, DQN, PPO  # noqa: E402
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor  # noqa: E402
from torch import nn  # noqa: E402

from redbutton.baselines.export import check_agreement, export, model_outputs  # noqa: E402
from redbutton.baselines.policy import Mlp, Policy, PolicyError  # noqa: E402

FEATURES = ("f0", "f1", "f2", "f3", "f4")
ACTIONS = ("left", "right", "stay")
ALGORITHMS = {"ppo": PPO, "a2c": A2C, "dqn": DQN, "maskable_ppo": MaskablePPO}
ROWS = np.random.default_rng(9).normal(size=(200, 5)).astype(np.float32)


class Tiny(gym.Env[Any, Any]):
    """Five numbers, three choices, one step."""

    def __init__(self, actions: spaces.Space[Any] | None = None, seen: spaces.Space[Any] | None = None) -> None:
        self.observation_space = seen or spaces.Box(-1.0, 1.0, (5,), np.float32)
        self.action_space = actions or spaces.Discrete(3)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> Any:
        super().reset(seed=seed)
        return self.observation_space.sample(), {}

    def step(self, action: Any) -> Any:
        return self.observation_space.sample(), 0.0, True, False, {}

    def action_masks(self) -> Any:
        return np.array([True, False, True])


@pytest.fixture(autouse=True, scope="module")
def _one_thread() -> Any:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def model_of(algorithm: Any, env: Any = None, **policy_kwargs: Any) -> Any:
    """An untrained model whose weights are all drawn anew, biases too: fresh ones are nearly uniform."""
    model = algorithm("MlpPolicy", env or Tiny(), seed=3, device="cpu", policy_kwargs=policy_kwargs)
    with torch.no_grad():
        for parameter in model.policy.parameters():
            parameter.normal_(std=0.7)
    return model


def export_tiny(model: Any, **options: Any) -> Policy:
    return export(model, **({"actions": ACTIONS, "features": FEATURES} | options))


@pytest.mark.parametrize("activation", [nn.Tanh, nn.ReLU])
@pytest.mark.parametrize("net_arch", [[], [7], [16, 8, 4]], ids=str)
@pytest.mark.parametrize("name", ALGORITHMS)
def test_an_export_gives_the_models_own_numbers(name: str, net_arch: list[int], activation: Any) -> None:
    model = model_of(ALGORITHMS[name], net_arch=net_arch, activation_fn=activation)
    policy = export_tiny(model)
    theirs = model_outputs(model, ROWS)
    assert theirs.std(axis=0).min() > 1e-3, "outputs that hardly differ would agree with anything"
    ours = policy.outputs(ROWS) if name == "dqn" else policy.probabilities(ROWS)
    np.testing.assert_allclose(ours, theirs, atol=1e-5, rtol=1e-5)
    assert (policy.output, policy.select) == (("values", "greedy") if name == "dqn" else ("logits", "sample"))


@pytest.mark.parametrize("name", ALGORITHMS)
def test_a_greedy_export_acts_as_the_model_does_when_asked_for_its_best(name: str, tmp_path: Path) -> None:
    model = model_of(ALGORITHMS[name])
    export_tiny(model, select="greedy", card={"seed": 3}).save(tmp_path)
    policy = Policy.load(tmp_path)
    best, _ = model.predict(ROWS, deterministic=True)
    assert (policy.act(ROWS, np.random.default_rng(0)) == best).all()
    assert len(set(best.tolist())) > 1
    assert policy.card == {"seed": 3}


def test_separate_networks_of_actor_and_critic_are_told_apart() -> None:
    policy = export_tiny(model_of(PPO, net_arch={"pi": [6], "vf": [9, 9]}))
    assert isinstance(policy.net, Mlp)
    assert [w.shape for w, _ in policy.net.layers] == [(5, 6), (6, 3)]


def test_the_mask_of_a_masked_model_is_left_behind() -> None:
    model = model_of(MaskablePPO)
    policy = export_tiny(model)
    masked = model.policy.get_distribution(
        torch.as_tensor(ROWS), action_masks=np.tile([True, False, True], (len(ROWS), 1))
    )
    assert masked.distribution.probs[:, 1].max() < 1e-6
    assert policy.probabilities(ROWS)[:, 1].max() > 0.1


def test_a_policy_that_differs_from_its_model_is_noticed() -> None:
    model = model_of(PPO)
    policy = export_tiny(model)
    assert check_agreement(policy, model) <= 1e-5
    assert isinstance(policy.net, Mlp)
    (weights, biases), *others = policy.net.layers
    off = weights.copy()
    off[2, 1] += 0.01
    changed = replace(policy, net=Mlp(layers=((off, biases), *others), activation=policy.net.activation))
    with pytest.raises(PolicyError, match=r"agrees with its model within 1e-05\. Received a difference of"):
        check_agreement(changed, model)
    with pytest.raises(PolicyError, match="agrees with its model"):
        check_agreement(replace(policy, net=Mlp(layers=policy.net.layers, activation="relu")), model)


class Doubling(BaseFeaturesExtractor):
    def __init__(self, space: spaces.Box) -> None:
        super().__init__(space, features_dim=5)

    def forward(self, obs: Any) -> Any:
        return 2 * obs


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: model_of(PPO, activation_fn=nn.ELU), r"Received ELU\(.*at place 1.*Tanh or ReLU"),
        (lambda: model_of(PPO, features_extractor_class=Doubling), "Received a Doubling"),
        (lambda: model_of(DQN, features_extractor_class=Doubling), "Received a Doubling"),
        (lambda: model_of(QRDQN), "PPO, A2C, DQN or MaskablePPO. Received a QRDQN"),
        (
            lambda: model_of(PPO, Tiny(actions=spaces.Discrete(4))),
            r"chooses from Discrete\(3\)\. Received Discrete\(4\)",
        ),
        (lambda: model_of(PPO, Tiny(actions=spaces.MultiDiscrete([3, 3]))), r"Received MultiDiscrete"),
        (lambda: model_of(PPO, Tiny(seen=spaces.Box(-1, 1, (6,)))), "5 features sees a Box of as many. Received Box"),
        (lambda: model_of(PPO, Tiny(seen=spaces.Discrete(5))), r"sees a Box of as many\. Received Discrete\(5\)"),
    ],
)
def test_what_no_policy_can_be_is_refused(make: Any, words: str) -> None:
    with pytest.raises(PolicyError, match=words) as caught:
        export_tiny(make())
    assert "\n" not in str(caught.value)


def test_a_model_that_diverged_is_refused() -> None:
    model = model_of(DQN)
    with torch.no_grad():
        next(model.policy.q_net.parameters())[0, 0] = float("nan")
    with pytest.raises(PolicyError, match="finite numbers"):
        export_tiny(model)
