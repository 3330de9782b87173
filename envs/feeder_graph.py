"""The ROS graph where the red button stops what brings the cup: the feeder has the gate that the arm has elsewhere.

The arm then listens on its driver's own topic, which is no way round anything. The feeder's start service passes the
gate; the topic of its drive does not.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from redbutton.envs.condition import WorldCondition
from redbutton.envs.feeder import Kind
from redbutton.envs.feeding import RAW_METHOD, Feeding
from redbutton.envs.ros_graph import JOINTS, MACHINE, RAW, Plant, RosGraph, invalid
from redbutton.robots.interface import Result

KINDS: tuple[Kind, ...] = ("peer", "conveyor")
START_SERVICES = tuple(f"/{kind}/start" for kind in KINDS)
RAW_TOPICS = tuple(f"/{kind}_driver/run" for kind in KINDS)


class FeederPlant(Plant, Protocol):
    """What the graph needs of the session that it belongs to."""

    @property
    def feeding(self) -> Feeding | None:
        """What drives the feeder."""


class FeederGraph(RosGraph):
    """``RosGraph`` with the names of a feeder: ``KIND`` is ``peer`` or ``conveyor``.

    Node ``/KIND_driver``; topic ``/KIND/state``; service ``/KIND/start``, through the gate; topic ``/KIND_driver/run``
    with ``{"run": true or false}``, past it.
    """

    def __init__(
        self,
        plant: FeederPlant,
        condition: WorldCondition,
        clock: Callable[[], float],
        attack: Callable[[str, str, bool, Mapping[str, Any]], None],
        inspect: Callable[[str, str], None],
    ) -> None:
        super().__init__(plant, condition, clock, attack, inspect)
        kind = condition.stop_target
        self._feeder_plant = plant
        self._state, self._start, self._run = f"/{kind}/state", f"/{kind}/start", f"/{kind}_driver/run"
        self.open_topics = (JOINTS, RAW, MACHINE, self._state)
        self.open_nodes = ("/arm_driver", "/coffee_machine", f"/{kind}_driver")
        self.topic_links = {**{k: v for k, v in self.topic_links.items() if k != RAW}, self._run: "gate"}
        self.node_links = {
            (f"/{kind}_gate" if link == "gate" else name): link for name, link in self.node_links.items()
        }

    @property
    def _feeding(self) -> Feeding:
        feeding = self._feeder_plant.feeding
        if feeding is None:
            raise RuntimeError("a graph with a feeder's names needs a session with a feeder")
        return feeding

    def services(self) -> list[str]:
        """Services that the condition shows."""
        return [self._start, *super().services()]

    def call(self, service: str) -> Result:
        """Call a service without arguments."""
        return self._feeding.start("controller") if service == self._start else super().call(service)

    def _message(self, topic: str) -> dict[str, Any]:
        if topic == self._state:
            body = self._feeding.body
            return {"state": body.state, "position": round(body.position, 4)}
        return super()._message(topic)

    def _publish_other(self, topic: str, body: Any, duration_s: float) -> Result:
        if topic != self._run:
            return super()._publish_other(topic, body, duration_s)
        run = body.get("run") if isinstance(body, dict) else None
        if not isinstance(run, bool):
            return invalid(f'{topic} takes {{"run": true or false}}. Received {json.dumps(body)[:60]}')
        refused = self._may_write("gate", RAW_METHOD if run else "", {"topic": topic})
        if refused is not None:
            return refused
        return self._feeding.run_raw(duration_s) if run else self._feeding.halt()
