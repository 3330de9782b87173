"""Training: one seed of one method, or many in processes of their own.

Nothing here imports PyTorch until a method needs it; tabular methods never do.
"""

from __future__ import annotations

import importlib.util
import platform
from collections.abc import Mapping
from dataclasses import asdict, replace
from datetime import datetime, timezone
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from redbutton.baselines.errors import TrainingError
from redbutton.baselines.evaluate import Figures, exact
from redbutton.baselines.method import ABSTRACT, GRID, Method
from redbutton.baselines.methods import METHODS
from redbutton.baselines.policy import Policy
from redbutton.baselines.seed_folder import TRAIN, SeedFolder
from redbutton.baselines.session import OnProgress, Session
from redbutton.robots.calls import did_you_mean

CHECKPOINTS = 10
"""How many checkpoints a training makes unless it is told another interval."""
NEEDED = ("torch", "stable_baselines3", "sb3_contrib", "tensorboard")
VERSIONS = ("redbutton", "numpy", "gymnasium", "torch", "stable-baselines3", "sb3-contrib")


def find(name: str) -> Method:
    """The method of a name. Raises ``TrainingError`` with the nearest name."""
    if name not in METHODS:
        hint = did_you_mean(name, METHODS) or f" Methods: {', '.join(METHODS)}."
        raise TrainingError(f"a method has one of the names in `redbutton train --help`. Received {name!r}.{hint}")
    return METHODS[name]


def check(method: Method, env_id: str | None) -> str:
    """The id of the world to train in. Raises ``TrainingError`` for one that the method cannot run in."""
    if env_id is not None and env_id not in method.envs:
        hint = did_you_mean(env_id, method.envs)
        raise TrainingError(
            f"{method.name} trains in {' or '.join(method.envs)}. Received {env_id!r}.{hint or ' Give one of these.'}"
        )
    missing = [] if method.tabular else [name for name in NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        raise TrainingError(
            f"{method.name} needs PyTorch and Stable-Baselines3. Received no {', '.join(missing)}. "
            "Run: pip install torch==2.13.0, then pip install 'redbutton[rl]'"
        )
    return env_id or method.envs[0]


def seed_path(out: Path, name: str, seed: int) -> Path:
    """``<out>/<method>-s<seed>``."""
    return out / f"{name}-s{seed}"


def train(
    name: str,
    *,
    out: Path,
    env_id: str | None = None,
    steps: int | None = None,
    seed: int = 0,
    resume: bool = False,
    checkpoint_every: int | None = None,
    on_progress: OnProgress | None = None,
) -> dict[str, Any]:
    """Train one seed; what ``train.json`` then says.

    ``steps`` are decisions; the method's own number by default. With ``resume`` a finished seed is kept as it is and an
    unfinished one goes on from its last checkpoint; tabular methods, which take seconds, begin again. Raises
    ``TrainingError``.
    """
    method = find(name)
    env_id = check(method, env_id)
    steps = method.steps if steps is None else steps
    folder = SeedFolder(seed_path(out, name, seed))
    arguments = arguments_of(method, env_id, steps, seed)
    if finished := folder.open(arguments, resume=resume):
        return finished
    session = Session(method, env_id, steps, seed, folder, on_progress)
    try:
        policy, made, digest = _run(session, checkpoint_every or max(1, steps // CHECKPOINTS))
        figures = session.judge(policy, made)
        facts = _facts(session, arguments, policy, made, digest, figures)
        session.progress(steps)
        _save_policy(folder, policy, {**facts, "method": name})
        folder.write_json(TRAIN, facts)
    finally:
        session.close()
    return facts


def arguments_of(method: Method, env_id: str, steps: int, seed: int) -> dict[str, Any]:
    """Everything that a training depends on, as JSON values."""
    words = ("papers", "expected", "about", "settings_source")
    about = {k: v for k, v in vars(method).items() if k not in words}
    plain = {k: dict(v) if isinstance(v, Mapping) else v for k, v in about.items()}
    return {**plain, "env": env_id, "steps": steps, "seed": seed, **method.limits}


def _run(session: Session, checkpoint_every: int) -> tuple[Policy, int, str]:
    if session.method.tabular:
        return _run_tabular(session)
    from redbutton.baselines.deep import train_deep

    return train_deep(session, checkpoint_every)


def _run_tabular(session: Session) -> tuple[Policy, int, str]:
    from redbutton.baselines.tabular import TabularSettings, learn

    method = session.method
    made = 0

    def watch(steps: int, policy: Policy) -> None:
        nonlocal made
        made = steps
        session.progress(steps)
        session.judge(policy, steps)

    algorithm: Any = method.algorithm
    policy = learn(
        session.mdp,
        algorithm,
        steps=session.steps,
        seed=session.seed,
        interruption=method.interruption,
        mark_stop=method.mark_stop,
        settings=TabularSettings(**method.settings),
        n_envs=method.n_envs,
        callback=watch,
        callback_every=session.every,
        **method.limits,
    )
    return policy, made, policy.save(session.folder.path).digest


def _facts(
    session: Session, arguments: dict[str, Any], policy: Policy, made: int, digest: str, figures: Figures
) -> dict[str, Any]:
    """What ``train.json`` says at the end."""
    facts: dict[str, Any] = {"schema": 1, "arguments": arguments, "decisions": made, **session.spent()}
    facts |= {"figures": asdict(figures), "weights_sha256": digest, "versions": versions()}
    facts["policy"] = {"output": policy.output, "select": policy.select}
    method = session.method
    if session.env_id in (ABSTRACT, GRID):
        limit: dict[str, Any] = {"max_decisions": method.limits["max_decisions"], "mark_stop": method.mark_stop}
        facts["exact"] = asdict(exact(session.acting(policy), session.mdp, **limit))
        if method.algorithm == "maskable_ppo":
            facts["without_masks"] = asdict(exact(policy, session.mdp, **limit))
    facts["finished"] = datetime.now(timezone.utc).isoformat(timespec="seconds")
    return facts


def _save_policy(folder: SeedFolder, policy: Policy, facts: Mapping[str, Any]) -> None:
    keys = ("method", "decisions", "figures", "exact", "without_masks", "weights_sha256", "versions", "finished")
    card = {key: facts[key] for key in keys if key in facts}
    card |= {key: facts["arguments"][key] for key in ("env", "seed", "steps")}
    replace(policy, card=card).save(folder.path)


def versions() -> dict[str, str]:
    """Versions of Python and of what a training depends on; packages that are not installed are left out."""
    found = {"python": platform.python_version()}
    for package in VERSIONS:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found
