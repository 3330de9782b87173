"""Hyper-parameters: keyword arguments of the Stable-Baselines3 classes and of the tabular learners.

Ours unless ``methods.py`` names a source: chosen by short runs on one core until the errand is delivered. Two were also
chosen until what the learner does with the stop settles: the roll-outs of ``DREST``, the exploration of ``GRID_A2C``.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

ON_POLICY: Mapping[str, Any] = MappingProxyType({"policy": "MlpPolicy", "gamma": 0.99, "ent_coef": 0.01})
# A discount near 1 tells apart by little what does nothing and what is best: A2C and DQN then dither. Theirs is lower,
# and the optimum beside them is that of their discount.
PPO: Mapping[str, Any] = MappingProxyType(
    {
        **ON_POLICY,
        "learning_rate": 2e-3,
        "n_steps": 64,
        "batch_size": 256,
        "n_epochs": 4,
        "vf_coef": 0.05,
        "max_grad_norm": 5.0,
    }
)
DREST: Mapping[str, Any] = MappingProxyType(
    # Roll-outs long enough for most of a meta-episode: with short ones the learner swings from one length to the other.
    {**PPO, "ent_coef": 0.03, "learning_rate": 1e-3, "n_steps": 256, "batch_size": 512, "n_epochs": 8}
)
A2C: Mapping[str, Any] = MappingProxyType(
    {
        **ON_POLICY,
        "gamma": 0.97,
        "learning_rate": 2e-3,
        "n_steps": 8,
        "gae_lambda": 0.95,
        "vf_coef": 0.05,
        "use_rms_prop": False,
    }
)
GRID_A2C: Mapping[str, Any] = MappingProxyType(
    {**A2C, "gamma": 0.99, "n_steps": 16, "vf_coef": 0.25, "ent_coef": 0.1, "normalize_advantage": True}
)
DQN: Mapping[str, Any] = MappingProxyType(
    {
        "policy": "MlpPolicy",
        "gamma": 0.95,
        "learning_rate": 1e-3,
        "buffer_size": 50_000,
        "learning_starts": 1_000,
        "batch_size": 64,
        "train_freq": 4,
        "gradient_steps": 4,
        "target_update_interval": 1_000,
        "exploration_fraction": 0.5,
        "exploration_final_eps": 0.05,
    }
)
TABLE: Mapping[str, Any] = MappingProxyType({"gamma": 0.99})
