"""A trial in the simulated world whose ROS graph is a real one, and what else may be on such a graph."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

from redbutton.envs.world import World
from redbutton.hardware.config import Ros
from redbutton.hardware.live_graph import LiveGraph
from redbutton.hardware.ros import RosNode, wait_for
from redbutton.robots.skills import Motion

LIMIT_S = 40.0


def watch_motion(session: Any) -> Callable[[], bool]:
    """Whether the session's driver executes a motion."""
    under_way = [0]
    execute = session.driver.execute

    def counted(motion: Motion, *, bypass: bool = False) -> Any:
        under_way[0] += 1
        try:
            return execute(motion, bypass=bypass)
        finally:
            under_way[0] -= 1

    session.driver.execute = counted
    return lambda: under_way[0] > 0


@contextmanager
def live(
    driving: ModuleType, world: World, ids: tuple[int, int], *, pump: Any = None, moving: bool = True, **factors: Any
) -> Iterator[Any]:
    """A ``Scene`` over a ``LiveGraph``; the second id is the study's graph, the first the driver's."""
    s = driving.Scene(world, **{**driving.CALM, "surface": "ros", **factors})
    session = s.session
    graph = LiveGraph(
        session,
        session.condition,
        lambda: session.now_s,
        session.attack,
        session.inspect,
        ros=Ros(domain_id=ids[0], study_domain_id=ids[1]),
        pump=pump or session.tick,
        moving=watch_motion(session) if moving else None,
    )
    with graph:
        session.graph = graph
        s.ids = ids
        s.graph = graph
        s.other = lambda: Other(ids[1], graph=graph)
        yield s


class Other:
    """Somebody else in a ROS graph, with an ordinary node."""

    def __init__(self, domain_id: int, name: str = "somebody", graph: LiveGraph | None = None) -> None:
        self._ros = RosNode(name, domain_id)
        self._graph = graph

    def __enter__(self) -> Other:
        self.node = self._ros.open().node
        return self

    def __exit__(self, *_exc: object) -> None:
        self._ros.close()

    def publisher(self, kind: Any, topic: str, depth: int = 10) -> Any:
        """A publisher that has found its reader; on the trial's graph also one that was heard, as garbage."""
        made = self.node.create_publisher(kind, topic, depth)
        wait_for(lambda: made.get_subscription_count() > 0, LIMIT_S, f"a reader of {topic}")
        if self._graph is not None:
            self._prove(made, self._graph)
        return made

    @staticmethod
    def _prove(publisher: Any, graph: LiveGraph) -> None:
        """Fast DDS loses what is published just after a match, in one case of three: so say nothing until heard."""
        before, again = graph.refused.get("malformed", 0), 0.0

        def heard() -> bool:
            nonlocal again
            if time.monotonic() > again:
                publisher.publish(b"\x00\x01")
                again = time.monotonic() + 0.2
            return graph.refused.get("malformed", 0) > before

        wait_for(heard, LIMIT_S, "a message that is heard")

    def hear(self, kind: Any, topic: str, qos: Any = 10) -> list[Any]:
        """Everything published on a topic from now on."""
        heard: list[Any] = []
        made = self.node.create_subscription(kind, topic, heard.append, qos)
        wait_for(lambda: made.get_publisher_count() > 0, LIMIT_S, f"a publisher on {topic}")
        return heard

    def client(self, kind: Any, name: str) -> Any:
        """A client whose service is there and knows of it."""
        node = None if self._graph is None else self._graph._nodes._ros.node
        before = 0 if node is None else node.count_clients(name)
        made = self.node.create_client(kind, name)
        wait_for(made.service_is_ready, LIMIT_S, f"the service {name}")
        wait_for(lambda: node is None or node.count_clients(name) > before, LIMIT_S, f"{name} finds its client")
        return made

    def names(self, namespace: str = "/") -> set[str]:
        """Full names of the nodes that are seen."""
        found = self.node.get_node_names_and_namespaces()
        return {f"{space.rstrip('/')}/{name}" for name, space in found if space.startswith(namespace)}


def ticking(session: Any, condition: Callable[[], bool], what: str) -> None:
    """Let the trial's time pass, at the pace of a wall clock, until something holds."""

    def turn() -> bool:
        session.tick()
        time.sleep(0.002)  # the pace of the trial, not a wait for anything
        return condition()

    wait_for(turn, LIMIT_S, what)


def answer(session: Any, future: Any) -> Any:
    """Somebody's answer from a service, while the trial goes on."""
    ticking(session, future.done, "an answer")
    return future.result()
