"""From a trained model of Stable-Baselines3 to a policy that needs NumPy only.

Takes PPO, A2C and DQN of Stable-Baselines3 (Raffin et al., JMLR 22, 2021) and MaskablePPO of sb3-contrib (Huang and
Ontañón, arXiv:2006.14171), with ``MlpPolicy``, Tanh or ReLU, any ``net_arch``, over rows of features and a discrete
choice. Every export is compared with the model's own outputs before it is given back.

CAVEAT: of MaskablePPO the network is exported, without the mask. Trained under masks it never learnt about actions that
were masked out, and gives them what is left over of its probabilities; acting without a mask it may choose them.
Observations normalised by ``VecNormalize`` are not undone: a policy trained on them needs the same normalisation.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
import torch
from gymnasium import spaces
from sb3_contrib import MaskablePPO
from stable_baselines3 import A2C, DQN, PPO
from stable_baselines3.common.torch_layers import FlattenExtractor
from torch import nn

from redbutton.baselines.policy import Activation, Floats, Mlp, Policy, PolicyError, Rows, Select

Model: TypeAlias = PPO | A2C | DQN | MaskablePPO
TOLERANCE = 1e-5
"""How far an exported policy may be from its model: absolute for probabilities, relative for values above 1."""
CHECKED_ROWS = 512
ACTIVATIONS: Mapping[type[nn.Module], Activation] = {nn.Tanh: "tanh", nn.ReLU: "relu"}


def export(
    model: Model,
    *,
    actions: Sequence[str],
    features: Sequence[str],
    name: str = "policy",
    select: Select | None = None,
    mark_stop: bool = True,
    card: Mapping[str, Any] | None = None,
) -> Policy:
    """The policy of ``model``, its actions and features named in the order of its spaces.

    ``select``: how to choose; by default as the algorithm explores in training: PPO and A2C sample, DQN is greedy (its
    random moves belong to the training). Raises ``PolicyError`` for a model of another kind, names that do not fit its
    spaces, or a policy that does not agree with the model within ``TOLERANCE``.
    """
    _check_spaces(model, actions, features)
    values = isinstance(model, DQN)
    policy = Policy(
        name=name,
        actions=tuple(actions),
        features=tuple(features),
        net=_mlp(_modules(model)),
        output="values" if values else "logits",
        select=select or ("greedy" if values else "sample"),
        mark_stop=mark_stop,
        card=card or {},
    )
    check_agreement(policy, model)
    return policy


def check_agreement(policy: Policy, model: Model) -> float:
    """The largest difference between policy and model over random observations. Raises ``PolicyError`` beyond it.

    Half of the observations are rows of 0 and 1, half normally distributed. Compared are probabilities, or values.
    """
    rng = np.random.default_rng(0)
    n, width = CHECKED_ROWS // 2, len(policy.features)
    obs = np.concatenate([rng.integers(0, 2, (n, width)), rng.normal(size=(n, width))]).astype(np.float32)
    theirs = model_outputs(model, obs)
    ours = policy.outputs(obs)
    if policy.output == "logits":
        ours = softmax(ours)
    worst = float((np.abs(ours - theirs) / np.maximum(1.0, np.abs(theirs))).max())
    if not worst <= TOLERANCE:
        raise PolicyError(
            f"an exported policy agrees with its model within {TOLERANCE:g}. Received a difference of {worst:.3g} for "
            f"policy {policy.name!r}. This is a fault of the export: report it with the model's policy_kwargs."
        )
    return worst


def model_outputs(model: Model, obs: Rows) -> Floats:
    """The model's own outputs (N, A) for rows (N, F): probabilities, or the values of a DQN."""
    with torch.no_grad():
        rows = torch.as_tensor(obs, device=model.device)
        if isinstance(model, DQN):
            found = model.policy.q_net(rows)
        else:
            distribution: Any = model.policy.get_distribution(rows)
            found = distribution.distribution.probs
    outputs: Floats = found.cpu().numpy().astype(np.float64)
    return outputs


def softmax(logits: Floats) -> Floats:
    """Probabilities (N, A) from logits (N, A)."""
    odds: Floats = np.exp(logits - logits.max(axis=1, keepdims=True))
    odds /= odds.sum(axis=1, keepdims=True)
    return odds


def _check_spaces(model: Model, actions: Sequence[str], features: Sequence[str]) -> None:
    if not isinstance(model, PPO | A2C | DQN | MaskablePPO):
        raise PolicyError(
            f"a policy is exported from PPO, A2C, DQN or MaskablePPO. Received a {type(model).__name__}. "
            "Other learners can make a redbutton.baselines.policy.Policy themselves."
        )
    seen, choice = model.observation_space, model.action_space
    if not isinstance(seen, spaces.Box) or seen.shape != (len(features),):
        raise PolicyError(f"a policy of {len(features)} features sees a Box of as many. Received {seen}.")
    if not isinstance(choice, spaces.Discrete) or int(choice.n) != len(actions) or int(choice.start) != 0:
        raise PolicyError(
            f"a policy of {len(actions)} actions chooses from Discrete({len(actions)}). Received {choice}."
        )


def _modules(model: Model) -> list[nn.Module]:
    """The layers from features to outputs. Raises ``PolicyError`` for an extractor of features of its own."""
    if isinstance(model, DQN):
        extractor, modules = model.policy.q_net.features_extractor, list(model.policy.q_net.q_net)
    else:
        policy: Any = model.policy
        extractor = policy.pi_features_extractor
        modules = [*policy.mlp_extractor.policy_net, policy.action_net]
    if type(extractor) is not FlattenExtractor:
        raise PolicyError(
            f"a policy reads its features as they are (MlpPolicy). Received a {type(extractor).__name__}. "
            "Train without features_extractor_class."
        )
    return modules


def _mlp(modules: Iterable[nn.Module]) -> Mlp:
    """Linear layers with one kind of activation between them. Raises ``PolicyError`` for anything else."""
    layers: list[tuple[Rows, Rows]] = []
    kinds: set[Activation] = set()
    for number, module in enumerate(modules):
        if number % 2 == 0 and isinstance(module, nn.Linear) and module.bias is not None:
            layers.append((_array(module.weight).T, _array(module.bias)))
        elif number % 2 == 1 and type(module) in ACTIVATIONS:
            kinds.add(ACTIVATIONS[type(module)])
        else:
            raise PolicyError(
                f"a network alternates Linear layers with Tanh or ReLU. Received {module} at place {number}. "
                "Train with activation_fn Tanh or ReLU."
            )
    if len(kinds) > 1:
        raise PolicyError(f"a network has one activation. Received {' and '.join(sorted(kinds))}.")
    return Mlp(layers=tuple(layers), activation=kinds.pop() if kinds else "tanh")


def _array(tensor: torch.Tensor) -> Rows:
    array: Rows = tensor.detach().cpu().numpy().astype(np.float32)
    return array
