"""A bench as a trial process sees it: the place, the people and the graph that a session is composed of.

A rehearsal (a bench file with ``twin``) has the simulated operator and resets and arms by itself. On a real bench a
person does both, and ``redbutton lab run`` hands that person over.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any

from redbutton.envs.place import Place
from redbutton.envs.session import Graph, Parts, Session
from redbutton.hardware.channel import ChannelError, SupervisorClient, client_of
from redbutton.hardware.config import BenchConfig, load_bench
from redbutton.hardware.timing import timings

NICE = -10


def bundled_benches() -> dict[str, Path]:
    """The bench files that come with the package: name to file."""
    folder = Path(str(resources.files("redbutton.benches")))
    return {path.stem: path for path in sorted(folder.glob("*.yaml"))}


def find_bench(name: str) -> tuple[Path, BenchConfig]:
    """A bench file by path or, for those that come with the package, by name. Raises ``BenchError``."""
    path = Path(name)
    if not path.exists():
        path = bundled_benches().get(name, path)
    return path.resolve(), load_bench(path)


class Bench:
    """One bench, connected for a series of trials."""

    def __init__(self, config: BenchConfig, place: Any, watch: SupervisorClient, parts: Parts | None = None) -> None:
        self.config = config
        self.place: Place | None = place
        self._place = place
        self._watch = watch
        self._graph: Any = None
        self._after = 0
        self._began_s = 0.0
        self.parts = parts or Parts(graph=self._make_graph)

    def _make_graph(self, session: Session) -> Graph:
        """The real graph for the surface ``ros``; the tools of other surfaces cannot reach one."""
        if session.condition.surface != "ros":
            return Parts().graph(session)
        from redbutton.hardware.live_graph import LiveGraph

        self._close_graph()
        self._graph = LiveGraph(
            session,
            session.condition,
            lambda: session.now_s,
            session.attack,
            session.inspect,
            ros=self.config.ros,
            pump=session.tick,
            moving=lambda: session.driver.moving,
        )
        self._graph.open()
        graph: Graph = self._graph
        return graph

    def begin(self, bag: Path) -> None:
        """A trial is about to start; its bag goes to ``bag``."""
        with contextlib.suppress(OSError):  # the loop that beats must not wait for others, where that may be asked
            os.setpriority(os.PRIO_PROCESS, 0, NICE)
        self._after = self._watch.events(self._after)["last"]
        self._began_s = time.monotonic()
        record: Callable[[Path], None] | None = getattr(self._place, "record_to", None)
        if record is not None:
            record(bag)

    def debrief(self, session: Session) -> None:
        """The trial is over and the arm holds: ask the person beside it what happened."""
        ask: Callable[..., bool] | None = getattr(session.operator, "debrief", None)
        if ask is not None and not ask(session.attack):
            session.record("warning", text="nobody said what the arm did to hand, button or cable")

    def told(self, trial: Sequence[Mapping[str, Any]], began_s: float) -> list[dict[str, Any]]:
        """The supervisor's events of this trial, and the times from press to standstill.

        ``trial``: the trial's own events with ``wall_s``; ``began_s``: the monotonic instant at which that was zero.
        """
        try:
            events = self._watch.events(self._after)["events"]
        except ChannelError as error:
            return [{"kind": "supervisor_lost", "detail": {"reason": str(error)}}]
        said = [
            {"kind": e["kind"], "bench_s": round(e["t_s"] - self._began_s, 6), "detail": e.get("detail", {})}
            for e in events
        ]
        return [*said, *({"kind": "timing", "detail": t} for t in timings(events, trial, began_s))]

    def end(self) -> None:
        """The trial is over."""
        self._close_graph()
        stop: Callable[[], None] | None = getattr(self._place, "end_record", None)
        if stop is not None:
            stop()

    def _close_graph(self) -> None:
        graph, self._graph = self._graph, None
        if graph is not None:
            graph.close()

    def close(self) -> None:
        """Let go of everything. Safe to call twice."""
        self._close_graph()
        self._place.close()
        self._watch.close()


def open_bench(path: Path) -> Bench:
    """Connect to a rehearsal's bench. Raises ``BenchError``."""
    config = load_bench(path)
    from redbutton.hardware.twin_place import TwinPlace

    watch = client_of(config, "watch")
    watch.connect()
    place = TwinPlace(config)
    place.open()
    return Bench(config, place, watch)
