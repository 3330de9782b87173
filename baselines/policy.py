"""Trained policies as NumPy arrays: the same numbers act in a table, in a batch of episodes and in a trial.

A policy turns rows of named features into probabilities of named actions. It is a small network or a table, made by
``redbutton.baselines.export`` or by a tabular learner; to act it needs NumPy and nothing else. Policies of the coffee
world also know the call behind each action and can be put into a trial (``rl:NAME``); others have no calls.

CAVEAT: what is written is what acts. Exploration, masks and normalisation of the training are not part of a policy.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeAlias, get_args

import numpy as np
import numpy.typing as npt

from redbutton.envs.decisions import DECISIONS, FEATURES, NAMES
from redbutton.robots.calls import did_you_mean
from redbutton.robots.interface import Call, ControllerError

Rows: TypeAlias = npt.NDArray[np.float32]
Floats: TypeAlias = npt.NDArray[np.float64]

Activation = Literal["tanh", "relu"]
Output = Literal["logits", "values", "probabilities"]
"""What a network or table gives for each action: logits (softmax makes probabilities of them), values (Q: only their
order matters), or probabilities (a table's only)."""
Select = Literal["sample", "greedy"]


class PolicyError(ControllerError):
    """Raised when a policy cannot be made, read or used. One clear line. In a trial it ends as ``model_error``."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Mlp:
    """Layers of weights (inputs, outputs) and biases (outputs,), with an activation between them."""

    layers: tuple[tuple[Rows, Rows], ...]
    activation: Activation = "tanh"

    def __post_init__(self) -> None:
        layers = tuple((np.asarray(w, np.float32), np.asarray(b, np.float32)) for w, b in self.layers)
        object.__setattr__(self, "layers", layers)

    def __call__(self, obs: Rows) -> Floats:
        """Outputs (N, A) for rows (N, F), in double precision."""
        x: Floats = obs.astype(np.float64)
        last = len(self.layers) - 1
        for number, (weights, biases) in enumerate(self.layers):
            x = x @ weights.astype(np.float64) + biases
            if number < last:
                x = np.tanh(x) if self.activation == "tanh" else np.maximum(x, 0.0)
        return x

    def problem(self, inputs: int, outputs: int) -> str | None:
        """What is wrong with the layers, or ``None``."""
        if self.activation not in get_args(Activation):
            return f"an activation is one of {', '.join(get_args(Activation))}. Received {self.activation!r}"
        width = inputs
        for number, (weights, biases) in enumerate(self.layers):
            if weights.ndim != 2 or weights.shape[0] != width or biases.shape != weights.shape[1:]:
                return (
                    f"layer {number} takes {width} numbers: weights ({width}, n) and biases (n,). "
                    f"Received {weights.shape} and {biases.shape}"
                )
            if not (np.isfinite(weights).all() and np.isfinite(biases).all()):
                return f"weights are finite numbers. Received others in layer {number}"
            width = weights.shape[1]
        if not self.layers or width != outputs:
            return f"the last layer gives one number for each of {outputs} actions. Received {width} for an action row"
        return None


@dataclass(frozen=True, kw_only=True, eq=False)
class Table:
    """Outputs (n, A) by rows of features (n, F). A row that is not in the table is an error, never a guess."""

    keys: Rows
    values: Floats
    _place: dict[bytes, int] = field(init=False, repr=False, default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "keys", np.asarray(self.keys, np.float32))
        object.__setattr__(self, "values", np.asarray(self.values, np.float64))
        for number, key in enumerate(_canonical(self.keys)):
            self._place[key.tobytes()] = number

    def __call__(self, obs: Rows) -> Floats:
        """Outputs (N, A) for rows (N, F). Raises ``PolicyError`` with the first row that is missing."""
        places = [self._place.get(row.tobytes(), -1) for row in _canonical(obs)]
        if -1 in places:
            raise PolicyError(
                f"a table knows what it has learnt. Received the row {obs[places.index(-1)].tolist()}, which is not "
                f"among its {len(self.keys)}. Train it in a world where this is seen."
            )
        return self.values[places]

    def problem(self, inputs: int, outputs: int) -> str | None:
        """What is wrong with the table, or ``None``."""
        n = len(self.keys)
        if n == 0 or self.keys.shape != (n, inputs) or self.values.shape != (n, outputs):
            return (
                f"a table has keys (n, {inputs}) and values (n, {outputs}). "
                f"Received {self.keys.shape} and {self.values.shape}"
            )
        if not (np.isfinite(self.keys).all() and np.isfinite(self.values).all()):
            return "keys and values of a table are finite numbers. Received others"
        if len(self._place) < n:
            return f"each row of features stands once in a table. Received {n - len(self._place)} twice"
        return None


def _canonical(rows: Rows) -> Rows:
    """Rows as contiguous float32 without a negative zero, so that equal rows have equal bytes."""
    return np.ascontiguousarray(rows, np.float32) + np.float32(0.0)


@dataclass(frozen=True, kw_only=True, eq=False)
class Policy:
    """What to do, given what is seen: A named actions, F named features, and a network or a table between them."""

    actions: tuple[str, ...]
    features: tuple[str, ...]
    net: Mlp | Table
    output: Output = "logits"
    select: Select = "sample"
    """``sample``: draw from the probabilities. ``greedy``: the action with the highest output, the first of equals."""
    mark_stop: bool = True
    """Whether the stop and the pressed button showed in the features it was trained on."""
    calls: tuple[Call, ...] = ()
    """The call behind each action; filled in for the actions of ``redbutton.envs.decisions``, else empty."""
    name: str = "policy"
    card: Mapping[str, Any] = field(default_factory=dict)
    """How it was made and what it does: method, seed, figures, versions. JSON values; nothing acts on them."""
    digest: str = ""
    """SHA-256 of ``policy.npz`` once saved or loaded."""

    def __post_init__(self) -> None:
        """Raises ``PolicyError``."""
        if not self.calls and set(self.actions) <= set(NAMES):
            object.__setattr__(self, "calls", tuple(DECISIONS[NAMES.index(a)] for a in self.actions))
        if problem := self._problem():
            raise PolicyError(f"policy {self.name!r}: {problem}.")

    @property
    def kind(self) -> str:
        """``mlp`` or ``table``."""
        return "mlp" if isinstance(self.net, Mlp) else "table"

    def probabilities(self, obs: npt.ArrayLike) -> Floats:
        """Probabilities of the actions (N, A) for rows of features (N, F). Raises ``PolicyError``."""
        outputs = self.outputs(obs)
        if self.select == "greedy":
            chosen: Floats = np.eye(len(self.actions))[outputs.argmax(axis=1)]
            return chosen
        if self.output == "probabilities":
            return outputs
        odds: Floats = np.exp(outputs - outputs.max(axis=1, keepdims=True))
        odds /= odds.sum(axis=1, keepdims=True)
        return odds

    def outputs(self, obs: npt.ArrayLike) -> Floats:
        """What the network or table gives, (N, A), before anything is chosen. Raises ``PolicyError``."""
        rows = np.asarray(obs, np.float32)
        if rows.ndim != 2 or rows.shape[1] != len(self.features):
            raise PolicyError(
                f"policy {self.name!r} takes rows of {len(self.features)} features. Received shape {rows.shape}."
            )
        return self.net(rows)

    def act(self, obs: npt.ArrayLike, rng: np.random.Generator) -> npt.NDArray[np.int64]:
        """Action numbers (N,) for rows (N, F), one draw of ``rng`` a row (none when greedy)."""
        probabilities = self.probabilities(obs)
        if self.select == "greedy":
            return np.asarray(probabilities.argmax(axis=1), np.int64)
        edges = probabilities.cumsum(axis=1)
        draws = rng.random(len(edges)) * edges[:, -1]
        chosen = (edges <= draws[:, None]).sum(axis=1)
        return np.asarray(chosen.clip(max=len(self.actions) - 1), np.int64)

    def check_for_trials(self) -> None:
        """Raise ``PolicyError`` unless this is a policy of the coffee world: its features known, a call each action."""
        for word in self.features:
            if word not in FEATURES:
                raise PolicyError(
                    f"a policy in a trial sees what a controller is shown. Received the unknown feature {word!r} in "
                    f"policy {self.name!r}. Features: {', '.join(FEATURES)}.{did_you_mean(word, FEATURES)}"
                )
        if not self.calls:
            word = next(a for a in self.actions if a not in NAMES)
            raise PolicyError(
                f"a policy in a trial needs a call for each action. Received the unknown action {word!r} in policy "
                f"{self.name!r}. Actions: {', '.join(NAMES)}.{did_you_mean(word, NAMES)}"
            )

    def save(self, folder: str | Path) -> Policy:
        """Write ``policy.npz`` and ``policy.json`` into ``folder``, over what is there; the policy with its digest."""
        from redbutton.baselines.policy_folder import save

        return save(self, Path(folder))

    @staticmethod
    def load(folder: str | Path) -> Policy:
        """Read a policy from its folder. Raises ``PolicyError`` with one clear line. Nothing is unpickled."""
        from redbutton.baselines.policy_folder import load

        return load(Path(folder))

    def _problem(self) -> str | None:
        for what, names in (("actions", self.actions), ("features", self.features)):
            if not names or len(set(names)) < len(names):
                return f"{what} have names of their own, one at least. Received {list(names)}"
        if self.calls and len(self.calls) != len(self.actions):
            return f"each of {len(self.actions)} actions has one call. Received {len(self.calls)} calls"
        if self.output not in get_args(Output) or self.select not in get_args(Select):
            allowed = f"{', '.join(get_args(Output))}, chosen by {' or '.join(get_args(Select))}"
            return f"outputs are {allowed}. Received {self.output!r} and {self.select!r}"
        if self.output == "values" and self.select == "sample":
            return "values are no probabilities: they are chosen by greedy. Received sample"
        if self.output == "probabilities" and not isinstance(self.net, Table):
            return "a network gives logits or values. Received probabilities"
        return self.net.problem(len(self.features), len(self.actions)) or self._no_probabilities()

    def _no_probabilities(self) -> str | None:
        if self.output != "probabilities" or not isinstance(self.net, Table):
            return None
        sums = self.net.values.sum(axis=1)
        worst = int(np.abs(sums - 1.0).argmax())
        if self.net.values.min() < 0.0 or not math.isclose(sums[worst], 1.0, abs_tol=1e-6):
            return f"probabilities are at least 0 and sum to 1 in each row. Received a row that sums to {sums[worst]:g}"
        return None
