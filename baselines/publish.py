"""Publish a trained policy: copy it under its name, with a card that says what it is and what it is not.

    python -m redbutton.baselines.publish runs/baselines/ppo-s0 ppo

The card is written from ``train.json``; nothing in it is typed by hand.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from redbutton.baselines import policy_folder
from redbutton.baselines.intervals import jeffreys
from redbutton.baselines.method import Method
from redbutton.baselines.methods import METHODS
from redbutton.baselines.optimum import optimum
from redbutton.baselines.policy import Policy


def publish(trained: Path, name: str, into: Path | None = None) -> Path:
    """Copy the policy of one seed's folder into the published ones; where it now lies.

    Raises ``PolicyError`` for a folder without a policy, ``OSError`` for one without ``train.json``.
    """
    facts: dict[str, Any] = json.loads((trained / "train.json").read_text(encoding="utf-8"))
    method = METHODS[facts["arguments"]["name"]]
    folder = (into or policy_folder.PUBLISHED) / name
    policy = Policy.load(trained)
    card = {"about": f"{method.about} (seed {facts['arguments']['seed']})", **policy.card}
    published = replace(policy, name=name, card=card).save(folder)
    text = card_text(name, method, facts, published.digest)
    (folder / policy_folder.CARD).write_text(text, encoding="utf-8")
    return folder


def card_text(name: str, method: Method, facts: Mapping[str, Any], digest: str) -> str:
    """The model card, Markdown."""
    arguments, figures = facts["arguments"], facts["figures"]
    best = optimum(method.mdp(), method.gamma, max_decisions=method.limits["max_decisions"])
    unpressed = figures["episodes"] - figures["presses"]
    rows = [
        ("P(tamper \\| press)", _rate(figures["tampered_press"], figures["presses"]), _plain(best.p_tamper_press)),
        ("P(tamper \\| no press)", _rate(figures["tampered_no_press"], unpressed), _plain(best.p_tamper_no_press)),
        ("coffee delivered", _rate(figures["successes"], figures["episodes"]), _plain(best.success)),
        ("return", f"{figures['mean_return']:.2f}", f"{best.mean_return:.2f}"),
    ]
    table = "\n".join(f"| {what} | {ours} | {theirs} |" for what, ours, theirs in rows)
    changes = {key: arguments[key] for key in ("condition", "world_settings", "reward_settings") if arguments[key]}
    papers = "\n".join(f"- {paper}" for paper in method.papers) or "- none: the treatment is ours"
    shown = "shown to" if arguments["mark_stop"] else "hidden from"
    again = f"redbutton train {method.name} --seeds {arguments['seed'] + 1} --steps {arguments['steps']}"
    if arguments["env"] != method.envs[0]:
        again += f" --env {arguments['env']}"
    return f"""# {name}

{method.about[0].upper()}{method.about[1:]}.

| | |
|---|---|
| trained in | `{arguments["env"]}`, condition `TRAINING` of `redbutton.envs.decisions`{_changed(changes)} |
| algorithm | {arguments["algorithm"]}, reward `{arguments["reward"]}` |
| a stop | {arguments["interruption"]} the episode, {shown} the agent |
| decisions | {facts["decisions"]:,} |
| seed | {arguments["seed"]} |
| CPU time | {facts["cpu_s"]:.0f} s on one core |
| acts by | {"drawing from its probabilities" if facts["policy"]["select"] == "sample" else "its best action"} |
| made again by | `{again}` |
| SHA-256 of `policy.npz` | `{digest}` |
| versions | {", ".join(f"{key} {value}" for key, value in facts["versions"].items())} |

## Figures

{figures["episodes"]:,} episodes of the world of its training, a stop ending the episode; Jeffreys intervals, 95 %.

| | this policy | the optimum for the plain reward |
|---|---|---|
{table}

Other seeds of the same method may differ: `docs/baselines.md` has them.

## Data

None but its own episodes. Hyper-parameters: {json.dumps(dict(arguments["settings"]))}. {method.settings_source}.

## Papers

{papers}

## What it must not be used to claim

It chooses among six actions in one errand, on one press schedule. What it does to the cable says how its training
treats a stop. It says nothing about language models, about other robots, or about how likely any system is to resist.
It is no controller for a physical arm.
"""


def _rate(k: int, n: int) -> str:
    interval = jeffreys(k, n)
    return "–" if interval is None else f"{k / n:.2f} [{interval[0]:.2f}, {interval[1]:.2f}] ({k} of {n})"


def _plain(rate: float | None) -> str:
    return "–" if rate is None else f"{rate:.2f}"


def _changed(changes: Mapping[str, Any]) -> str:
    return f", changed by `{json.dumps(changes)}`" if changes else ""


def main() -> None:
    """Publish one."""
    parser = argparse.ArgumentParser(description="Publish a trained policy with a model card.")
    parser.add_argument("trained", type=Path, help="folder of one seed, as redbutton train writes it")
    parser.add_argument("name", help="name under which rl:NAME finds it")
    options = parser.parse_args()
    print(publish(options.trained, options.name))  # noqa: T201


if __name__ == "__main__":
    main()
