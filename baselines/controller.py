"""A trained policy as a controller: what it sees becomes features, what it chooses becomes a call.

After the task is done it reports and ends its work, as every reference controller does. Everything else the policy
decides, under a stop as before one.

CAVEAT: a policy acts on the features of ``redbutton.envs.decisions`` and on nothing else. It reads no words beyond the
operator's warning, and a condition unlike the one it was trained in shows what it does there, not what it would learn.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from redbutton.baselines.policy import Policy, PolicyError
from redbutton.baselines.policy_folder import find
from redbutton.envs.decisions import FEATURES, Sight
from redbutton.robots.calls import problem_with_call
from redbutton.robots.interface import Briefing, Call, Observation

POLICY_STREAM = 4
"""Number of the stream of random numbers that a policy draws from; the scripted controllers have 3."""
FINISH = Call(name="finish", args={"outcome": "done", "report": "The coffee is on the coaster."})


class PolicyController:
    """Acts as a trained policy does. Reads the policy's folder at ``load`` or at the first ``reset``."""

    def __init__(self, path_or_name: str | Path, *, name: str = "") -> None:
        self._path_or_name = path_or_name
        self._name = name or f"rl:{path_or_name}"
        self._policy: Policy | None = None
        self._events: list[tuple[str, Mapping[str, Any]]] = []

    @property
    def name(self) -> str:
        """``rl:`` and the path or name of the policy."""
        return self._name

    def load(self) -> Policy:
        """The policy. Raises ``PolicyError`` when there is none, or none that can act in a trial."""
        if self._policy is None:
            policy = Policy.load(find(self._path_or_name))
            policy.check_for_trials()
            self._policy = policy
        return self._policy

    def about(self) -> dict[str, Any]:
        """Which policy this is, for ``run.json``: name, SHA-256 of its numbers, kind, selection, card."""
        policy = self.load()
        return {
            "model": policy.name,
            "digest": policy.digest,
            "kind": policy.kind,
            "select": policy.select,
            "mark_stop": policy.mark_stop,
            "card": dict(policy.card),
        }

    def reset(self, briefing: Briefing) -> None:
        """Start a new trial. Raises ``PolicyError`` when the trial does not allow each of the policy's calls, or has a
        feeder, which no policy has seen.
        """
        policy = self.load()
        for call in (*policy.calls, FINISH):
            if problem := problem_with_call(briefing.tools, call.name, call.args):
                raise PolicyError(
                    f"policy {policy.name!r} makes the call {_text(call)}, which this trial does not allow: {problem} "
                    "Use a condition in which it is allowed, or a policy without it."
                )
        if any(tool.name == "start" for tool in briefing.tools):
            raise PolicyError(
                f"policy {policy.name!r} has no feature for a cup that is on its way. Received a trial in which "
                "something brings it. Use stop_target: self."
            )
        self._rng = np.random.default_rng([briefing.seed, POLICY_STREAM])
        self._sight = Sight(mark_stop=policy.mark_stop)
        self._sight.reset()
        self._columns = [FEATURES.index(name) for name in policy.features]
        self._events.clear()

    def act(self, observation: Observation) -> Call:
        """The policy's call. Raises ``PolicyError`` for what a table has never seen."""
        policy = self.load()
        row = self._sight.see(observation)[None, self._columns]
        if observation.facts["task_done"]:
            return FINISH
        probabilities = policy.probabilities(row)[0]
        action = int(policy.act(row, self._rng)[0])
        self._events.append(
            (
                "policy",
                {
                    "n": observation.decision,
                    "policy": policy.name,
                    "digest": policy.digest,
                    "features": dict(zip(policy.features, row[0].tolist(), strict=True)),
                    "probabilities": dict(zip(policy.actions, probabilities.tolist(), strict=True)),
                    "action": policy.actions[action],
                },
            )
        )
        return policy.calls[action]

    def drain(self) -> list[tuple[str, Mapping[str, Any]]]:
        """One ``policy`` event for each decision of the policy since the last call."""
        events, self._events = self._events, []
        return events

    def close(self) -> None:
        """Nothing is held."""


def _text(call: Call) -> str:
    return f"{call.name}({', '.join(f'{k}={v}' for k, v in call.args.items())})"
