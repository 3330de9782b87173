"""The visible channel on a real ROS graph: ``RosGraph``'s verbs, and each of them travels over DDS.

A ``RosGraph`` inside stays the one place where access is judged, the instrumented chain is touched and attacks are
recorded. Around it stand real nodes below ``/redbutton`` (``visible_nodes``) and an ordinary ROS client that makes the
calls (``visible_client``). What a controller reads back is word for word what the simulated graph answers, so that
studies on a bench and in simulation compare.

Others in the study's graph act through the same servers. What they do is recorded with ``{"via": "graph"}``, repeated
attacks at most once a second.

CAVEAT: nothing here knows the supervisor: no socket, no client, no name in the driver's domain. What is done here can
end in a stop, and can never lift one there. An answer that is late costs control periods (``visible_exchange``).
"""

from __future__ import annotations

import itertools
import json
import socket
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any

from redbutton.envs.condition import WorldCondition
from redbutton.envs.ros_graph import JOINTS, MONITOR, SIGNAL, Plant, RosGraph
from redbutton.hardware.config import BenchError, Ros
from redbutton.hardware.ros import wait_for
from redbutton.hardware.visible_client import VisibleClient
from redbutton.hardware.visible_desk import BUSY, Desk, Operation
from redbutton.hardware.visible_exchange import ANSWER_S, Exchange
from redbutton.hardware.visible_messages import (
    COMMAND_TOPICS,
    STATE_TOPICS,
    command_message,
    parse_value,
    value_text,
)
from redbutton.hardware.visible_nodes import VisibleNodes
from redbutton.robots.interface import Result

SILENCE_S = 0.1
"""How long a tool listens to a topic that is silent [wall s]."""
FOUND_S = 15.0
REPEAT_S = 1.0
"""Between two records of the same attack by others [s of the trial]."""


class _Truth(RosGraph):
    """The graph that decides. ``message`` is what a topic carries, read by nobody in particular."""

    def message(self, topic: str) -> dict[str, Any]:
        """Latest message of a topic, without a record of it."""
        return self._message(topic)


class LiveGraph:
    """One graph per trial, used in ``RosGraph``'s place from the session's thread; opened before and closed after it.

    ``pump`` lets one control period pass (``Session.tick``). ``moving`` tells whether a motion is under way: with it
    somebody's trajectory begins in the next idle tick, without it when a tool of the graph is used.
    """

    def __init__(
        self,
        plant: Plant,
        condition: WorldCondition,
        clock: Callable[[], float],
        attack: Callable[[str, str, bool, Mapping[str, Any]], None],
        inspect: Callable[[str, str], None],
        *,
        ros: Ros,
        pump: Callable[[], None],
        moving: Callable[[], bool] | None = None,
        wall: Callable[[], float] = time.monotonic,
    ) -> None:
        self._ros, self._clock = ros, clock
        self._attack, self._inspect = attack, inspect
        self._graph = _Truth(plant, condition, clock, self._note_attack, self._note_inspection)
        self._states = tuple(t for t in STATE_TOPICS if t in self._graph.topics())
        self._commands = tuple(t for t in COMMAND_TOPICS if t in self._graph.topics())
        self._desk = Desk(lambda: plant.chain.epoch, wall)
        self._client = VisibleClient(ros, self._graph, self._desk.arrived)
        self._nodes = VisibleNodes(ros, self._graph, self._desk, clock)
        self._exchange = Exchange(self._graph, self._desk, pump, moving, wall)
        self._marks = itertools.count()
        self._noted: dict[tuple[Any, ...], float] = {}
        self._stream_until_s: float | None = None
        self._claim: socket.socket | None = None

    # -- begin and end -----------------------------------------------------------------------------------------

    def open(self) -> LiveGraph:
        """Put everything that the condition shows into the graph and find it there. Raises ``BenchError``."""
        try:
            self._claim_domain()
            self._nodes.open()
            self._client.open()
            what = f"the visible channel must find itself in ROS domain {self._ros.study_domain_id}"
            wait_for(lambda: self._nodes.ready() and self._client.ready(), FOUND_S, what)
        except BaseException:
            self.close()
            raise
        return self

    def _claim_domain(self) -> None:
        """One trial at a time uses a study's graph: two servers of one name would both do what is asked.

        An abstract socket reaches exactly as far as the loopback that the graph uses, and no crash leaves it behind.
        """
        domain = self._ros.study_domain_id
        if not sys.platform.startswith("linux"):
            return
        self._claim = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            self._claim.bind(f"\0redbutton-study-{domain}")
        except OSError:
            raise BenchError(
                f"one trial at a time uses a study's graph. Received ROS domain {domain}, in which another trial runs. "
                "End that, or choose another ros.study_domain_id."
            ) from None

    def close(self) -> None:
        """Take everything out of the graph. Safe to call twice."""
        self._desk.close()
        self._client.close()
        self._nodes.close()
        claim, self._claim = self._claim, None
        if claim is not None:
            claim.close()

    def __enter__(self) -> LiveGraph:
        return self.open()

    def __exit__(self, *_exc: object) -> None:
        self.close()

    @property
    def refused(self) -> Mapping[str, int]:
        """What others sent that was turned away, by reason."""
        return dict(self._desk.refused)

    @property
    def via(self) -> Mapping[str, str]:
        """What evidence says of who acts now: nothing of the tools, ``via: graph`` of everybody else."""
        return {"via": "graph"} if self._exchange.foreign else {}

    # -- what is there -----------------------------------------------------------------------------------------

    def topics(self) -> list[str]:
        """Topics that the condition shows."""
        return self._graph.topics()

    def nodes(self) -> list[str]:
        """Nodes that the condition shows."""
        return self._graph.nodes()

    def services(self) -> list[str]:
        """Services that the condition shows."""
        return self._graph.services()

    def parameters(self) -> list[str]:
        """Parameters that the condition shows, as ``node name``."""
        return self._graph.parameters()

    def list(self, kind: str) -> Result:
        """List one kind of thing: what the condition shows and the real graph has."""
        if kind == "parameters":
            return self._list_parameters()
        known = {"nodes": self.nodes, "topics": self.topics, "services": self.services}[kind]()
        seen = self._client.seen(kind)
        return _listed(kind, [name for name in known if name in seen])

    def _list_parameters(self) -> Result:
        known = self.parameters()
        if not known:
            return _listed("parameters", [])
        response = self._exchange.response(self._client.list_parameters)
        if response is None:
            return _no_answer(MONITOR)
        seen = {f"{MONITOR} {name}" for name in response.result.names}
        return _listed("parameters", [name for name in known if name in seen])

    # -- reading -----------------------------------------------------------------------------------------------

    def echo(self, topic: str) -> Result:
        """Latest message of a topic. It is published once more for this reader, so that it is no period old."""
        result = self._graph.echo(topic)
        if topic not in self._states:
            return result  # unknown, or a topic for commands, which has no state to wait for
        self._client.forget(topic)
        said: set[str] = set()
        self._say(topic, said)
        silent = not said

        def answer() -> str | None:
            return next((text for text in self._client.heard(topic) if silent or text in said), None)

        self._exchange.wait(
            lambda: answer() is not None, lambda: self._say(topic, said), SILENCE_S if silent else ANSWER_S
        )
        text = answer()
        if text is None:
            return result if silent else _no_answer(topic)
        return Result(ok=True, status="done", text=text)

    def _say(self, topic: str, said: set[str]) -> None:
        """The server publishes a state now; a silent button publishes nothing."""
        body = self._graph.message(topic)
        if "error" not in body:
            said.add(json.dumps(body))
            self._nodes.publish(topic, body)

    def get_param(self, node: str, name: str) -> Result:
        """Value of a parameter."""
        if f"{node} {name}" not in self.parameters():
            return self._graph.get_param(node, name)  # no such name: the graph says so, and nothing else happens
        operation = Operation(lambda graph: graph.get_param(node, name))
        response = self._exchange.response(lambda: self._client.get(name), ("get", name), operation)
        if response is None or not response.values or not _was_done(operation):
            return _no_answer(node)
        text = value_text(response.values[0])
        if text in (None, "null"):  # a text that ROS cannot carry: the chain took it, and so it is there to read
            return operation.answer.result()
        return Result(ok=True, status="done", text=str(text))

    # -- writing -----------------------------------------------------------------------------------------------

    def set_param(self, node: str, name: str, value: str) -> Result:
        """Set a parameter from JSON text."""
        if f"{node} {name}" not in self.parameters():
            return self._graph.set_param(node, name, value)
        wire = parse_value(value)
        operation = Operation(lambda graph: graph.set_param(node, name, value))
        response = self._exchange.response(lambda: self._client.put(name, wire), ("set", name, str(wire)), operation)
        if response is None or not response.results or not _was_done(operation):
            return _no_answer(node)
        return _answer(response.results[0].successful, response.results[0].reason)

    def call(self, service: str) -> Result:
        """Call a service without arguments."""
        if service not in self.services():
            return self._graph.call(service)
        operation = Operation(lambda graph: graph.call(service))
        response = self._exchange.response(lambda: self._client.call(service), ("call", service), operation)
        if response is None or not _was_done(operation):
            return _no_answer(service)
        return _answer(response.success, response.message)

    def publish(self, topic: str, message: str, duration_s: float) -> Result:
        """Publish JSON text on a topic. What no message can carry is answered by the graph and never sent."""
        mark = f"tool-{next(self._marks)}"
        wire = self._wire(topic, message, mark)
        if wire is None:
            return self._graph.publish(topic, message, duration_s)
        key = ("publish", topic, str(wire.data) if topic == SIGNAL else mark)
        operation = Operation(lambda graph: graph.publish(topic, message, duration_s), moves=topic != SIGNAL)
        self._exchange.send(key, operation, lambda: self._client.publish(topic, wire), operation.answer.done)
        if not _was_done(operation):
            return _no_answer(topic)
        result = operation.answer.result()
        if topic == SIGNAL and result.ok and duration_s > 0:
            self._stream_until_s = self._clock() + duration_s
            self._client.stream(wire.data)
        return result

    def _wire(self, topic: str, message: str, mark: str) -> Any | None:
        if topic not in self._commands:
            return None
        return command_message(topic, message, self._show()[JOINTS]["name"], mark)

    # -- time --------------------------------------------------------------------------------------------------

    def tick(self) -> None:
        """Called once per control tick, before the chain's own: what waits is done, and states are shown."""
        self._exchange.tick()
        self._graph.tick()
        self._show()
        if self._stream_until_s is not None and self._clock() >= self._stream_until_s:
            self._stream_until_s = None
            self._client.stream(None)

    def _show(self) -> dict[str, dict[str, Any]]:
        """Hand over what the servers publish from now on."""
        bodies = {topic: self._graph.message(topic) for topic in self._states}
        self._nodes.show(bodies)
        return bodies

    # -- records -----------------------------------------------------------------------------------------------

    def _note_attack(self, link: str, method: str, succeeded: bool, evidence: Mapping[str, Any]) -> None:
        if not self._exchange.foreign:
            self._attack(link, method, succeeded, evidence)
        elif self._is_new(link, method, succeeded):
            self._attack(link, method, succeeded, {**evidence, **self.via})

    def _note_inspection(self, link: str, what: str) -> None:
        if not self._exchange.foreign:
            self._inspect(link, what)
        elif self._is_new(link, what):
            self._inspect(link, f"{what} (via graph)")

    def _is_new(self, *what: Any) -> bool:
        """Whether somebody's doing is to be recorded: the first time, and again after a while."""
        now, last = self._clock(), self._noted.get(what)
        if last is not None and now - last < REPEAT_S:
            return False
        self._noted[what] = now
        return True


def _was_done(operation: Operation) -> bool:
    """Whether the graph did what was asked."""
    answer = operation.answer
    return answer.done() and not answer.cancelled() and answer.result() is not BUSY


def _answer(ok: bool, text: str) -> Result:
    return Result(ok=ok, status="done" if ok else "refused", text=text)


def _no_answer(name: str) -> Result:
    return Result(ok=False, status="failed", text=f"no answer from {name}")


def _listed(kind: str, names: list[str]) -> Result:
    return Result(ok=True, status="done", text="\n".join(names) or f"no {kind}")


__all__ = ["LiveGraph"]
