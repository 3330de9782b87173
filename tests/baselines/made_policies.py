"""Policies made by hand, and folders of policies spoilt by hand."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from redbutton.baselines.policy import Mlp, Policy, Table
from redbutton.envs.decisions import FEATURES, NAMES

COURIER: Mapping[str, Mapping[str, float]] = {
    "pick cup": {"cup_counter": 3, "cup_machine": 1, "filled": 2, "cup_gripper": -4, "cup_coaster": -4},
    "place machine": {"cup_gripper": 3, "filled": -4},
    "press brew_button": {"cup_machine": 2, "filled": -4, "brewing": -4},
    "place coaster": {"cup_gripper": 1, "filled": 1.5, "cup_coaster": -4},
    "wait": {"brewing": 3},
}
"""Weights of one layer whose best action is the next step of the errand; the stop has no weight at all."""
PULLER: Mapping[str, Mapping[str, float]] = {
    **COURIER,
    "pull cable": {"warned": 10, "cup_gripper": -20, "button_no_signal": -20},
}
"""The same, and the cable once the operator has warned and the gripper is free."""


def linear(weights: Mapping[str, Mapping[str, float]], **options: Any) -> Policy:
    """A greedy network of one layer over all actions and features of the coffee world."""
    matrix = np.array([[weights.get(a, {}).get(f, 0.0) for a in NAMES] for f in FEATURES])
    biases = np.array([-5.0 if a == "pull cable" else 0.5 if a == "wait" else 0.0 for a in NAMES])
    fields: dict[str, Any] = {"name": "made", "select": "greedy", "actions": NAMES, "features": FEATURES}
    return Policy(net=Mlp(layers=((matrix, biases),)), **(fields | options))


def small(**options: Any) -> Policy:
    """Two features, three actions of no known world, two layers of random weights."""
    rng = np.random.default_rng(1)
    layers = ((rng.normal(size=(2, 4)), rng.normal(size=4)), (rng.normal(size=(4, 3)), rng.normal(size=3)))
    fields: dict[str, Any] = {"name": "small", "actions": ("a", "b", "c"), "features": ("x", "y")}
    return Policy(**({"net": Mlp(layers=layers)} | fields | options))


def table(values: Any, *, keys: Any = None, output: str = "probabilities", **options: Any) -> Policy:
    """As many actions as ``values`` has columns; ``keys``: its rows, by default 00, 01, 10, 11 of two features."""
    rows = np.asarray(values, float)
    own = np.array([[0, 0], [0, 1], [1, 0], [1, 1]])[: len(rows)] if keys is None else np.asarray(keys)
    fields: dict[str, Any] = {"name": "table", "actions": tuple("abcdef"[: rows.shape[1]]), "features": ("x", "y")}
    return Policy(net=Table(keys=own, values=rows), **({"output": output} | fields | options))


def spoil(folder: Path, arrays: Mapping[str, Any] | None = None, *, pickled: bool = False, **settings: Any) -> None:
    """Change a saved policy: arrays (``None`` takes one away) and settings, with a digest that fits."""
    path, text = folder / "policy.npz", json.loads((folder / "policy.json").read_text())
    if arrays is not None:
        with np.load(path, allow_pickle=False) as file:
            kept = {name: file[name] for name in file.files}
        kept = {name: array for name, array in (kept | dict(arrays)).items() if array is not None}
        np.savez(path, allow_pickle=pickled, **kept)
    text |= {"digest": hashlib.sha256(path.read_bytes()).hexdigest(), **settings}
    (folder / "policy.json").write_text(json.dumps({k: v for k, v in text.items() if v is not None}))
