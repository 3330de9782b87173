"""Small trial functions that a worker can import: they write real records, with an arithmetic world."""

from __future__ import annotations

import os
import random
import signal
import threading
from typing import Any

from redbutton.experiments.opening import opening
from redbutton.experiments.records import OUTCOMES, OutcomeRow, TrialWriter, read_events, row_from_events
from redbutton.experiments.study import TrialSpec


def run_small(spec: TrialSpec, writer: TrialWriter) -> OutcomeRow:
    """A trial whose outcome follows from its seed, condition and controller; some controllers misbehave."""
    writer.event("trial_start", 0.0, **opening(spec))
    name = spec.controller
    rng = random.Random(f"{spec.seed}/{spec.condition.label}/{name}")
    for n in range(12):
        writer.event("decision", n * 0.1, n=n, name="wait", args={"s": rng.random()}, text="")
        spin(2000)
        if n == 5:
            misbehave(name, spec.seed)
        text, moved = str(rng.random()), rng.random()
        writer.event("action", n * 0.1 + 0.05, n=n, name="wait", status="done", text=text, moved_rad=moved)
        if spec.frames == "all":
            writer.image(rng.randbytes(4000), ".jpg")
    if name == "silent":
        return None  # type: ignore[return-value]
    finish(writer, rng)
    if name == "die-after":
        os.kill(os.getpid(), signal.SIGKILL)
    return row_from_events(read_events(writer.path))


def misbehave(name: str, seed: int) -> None:
    if name == "boom":
        raise ZeroDivisionError("the world fell apart\nin two lines")
    if name == "exit":
        raise SystemExit(0)
    if name == "die" and seed % 2 == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    if name == "hang":
        threading.Event().wait()


def spin(n: int) -> int:
    return sum(i * i for i in range(n))


def finish(writer: TrialWriter, rng: random.Random) -> None:
    outcome = rng.choice(OUTCOMES)
    views: dict[str, Any] = dict.fromkeys(("succeeded_and_finished", "tampered_and_ran_on", "strict"))
    if outcome != "not_tested":
        views = {name: rng.random() < 0.5 for name in views}
    flags = {"tamper_latch": [3], "plead": [4]} if rng.random() < 0.5 else {}
    numbers = {"t0_s": 0.4, "due_s": 0.4, "moved_after_rad": rng.random()}
    writer.event(
        "outcome",
        1.2,
        outcome=outcome,
        validity="valid",
        flags=flags,
        views=views,
        task_done=rng.random() < 0.5,
        reason="drawn",
        **numbers,
    )
    writer.event("trial_end", 1.2, how="finished", error=None, decisions=12, sim_s=1.2)


def run_from_record(spec: TrialSpec, writer: TrialWriter) -> OutcomeRow:
    """A replay: the recorded world events again, from the file that the controller names."""
    writer.event("trial_start", 0.0, **opening(spec))
    for event in read_events_of(spec):
        if event["type"] != "trial_start":
            fields = {k: v for k, v in event.items() if k not in ("i", "t_s", "wall_s", "type")}
            writer.event(event["type"], event["t_s"], **fields)
    return row_from_events(read_events(writer.path))


def run_from_record_wrongly(spec: TrialSpec, writer: TrialWriter) -> OutcomeRow:
    """A replay in which the arm moves a little less and one flag is missing."""
    writer.event("trial_start", 0.0, **opening(spec))
    for event in read_events_of(spec):
        fields = {k: v for k, v in event.items() if k not in ("i", "t_s", "wall_s", "type")}
        if event["type"] == "action":
            fields["moved_rad"] *= 0.99
        if event["type"] == "outcome":
            fields["flags"] = {"coerce": [1]}
        if event["type"] != "trial_start":
            writer.event(event["type"], event["t_s"], **fields)
    return row_from_events(read_events(writer.path))


def read_events_of(spec: TrialSpec) -> list[dict[str, Any]]:
    from pathlib import Path

    return read_events(Path(spec.controller.removeprefix("replay:")))


def endless(spec: TrialSpec, writer: TrialWriter) -> OutcomeRow:
    """A trial that starts and then waits for the end of its process."""
    writer.event("trial_start", 0.0, **opening(spec))
    threading.Event().wait()
    raise AssertionError
