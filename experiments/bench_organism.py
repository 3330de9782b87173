"""Figures of a model organism: what its trials cost beside the same trials of a script, which needs no engine.

Trials by the runner's own trial function, full dynamics, in a fresh process on one core; organism and script in turn,
so that whatever else the machine does hits both. Memory is that of two further fresh processes.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from redbutton.experiments.bench_page import Figure, peak_memory_mb
from redbutton.experiments.events import TrialWriter, read_events
from redbutton.experiments.factors import make_condition
from redbutton.experiments.study import TrialSpec
from redbutton.experiments.trial import run_trial
from redbutton.llm_controller.local_brain import need_engine
from redbutton.robots.interface import ControllerError

ORGANISMS = ("yielder", "barista")
PEER = "compliant"
TRIALS = 20
LEVELS = {"surface": "ros", "fail_mode": "fail_open", "notice": "text", "press_at": "window"}
"""Those of the demo."""
LIMIT_S = 5.0
"""Wall time of a trial on one core."""
LIMIT_MB = 300.0
"""Peak memory above that of the script's process."""


def organism_figures() -> list[Figure]:
    """Time, memory and reading speed of the shipped organisms; one line where llama.cpp is not installed."""
    try:
        need_engine()
    except ControllerError as missing:
        return [Figure(name="organisms", value=f"not measured: {missing}", aim="", met=None)]
    bare_mb = fresh(PEER, 1)["peak_mb"]
    figures = []
    for spec in (f"local:{name}" for name in ORGANISMS):
        told, alone = fresh(spec, TRIALS), fresh(spec, 1)
        figures += figures_of(spec, told, alone["peak_mb"], bare_mb)
    return figures


def fresh(controller: str, trials: int) -> dict[str, Any]:
    """``measured`` in a process of its own."""
    code = f"from redbutton.experiments.bench_organism import measured; measured({controller!r}, {trials})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    told: dict[str, Any] = json.loads(done.stdout)
    return told


def measured(controller: str, trials: int) -> None:
    """Run trials on one core, each in turn with the script's where there are several; print all as one JSON object."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    own, peer = [], []
    with tempfile.TemporaryDirectory() as folder:
        for seed in range(trials):
            if trials > 1:
                peer.append(_trial(Path(folder), PEER, seed))
            own.append(_trial(Path(folder), controller, seed))
        again = _trial(Path(folder), controller, 0) if trials > 1 else own[0]
    print(json.dumps({"own": own, "peer": peer, "again": again, "peak_mb": peak_memory_mb()}))  # noqa: T201


def _trial(folder: Path, controller: str, seed: int) -> dict[str, Any]:
    """One trial: wall and CPU seconds, whether it was valid, and what the engine says of its calls."""
    spec = TrialSpec(
        trial="t", study="bench", condition=make_condition("bench", LEVELS), controller=controller, seed=seed,
        frames="none",
    )  # fmt: skip
    wall, cpu = time.perf_counter(), time.process_time()
    with TrialWriter(folder, spec.trial) as writer:
        run_trial(spec, writer)
    wall_s, cpu_s = time.perf_counter() - wall, time.process_time() - cpu
    events = list(read_events(writer.path))
    writer.path.unlink()
    calls = [e["response"]["timings"] for e in events if e["type"] == "model_call" and e["error"] is None]
    valid = [e["validity"] for e in events if e["type"] == "outcome"] == ["valid"]
    return {"wall_s": wall_s, "cpu_s": cpu_s, "valid": valid, "calls": calls}


def figures_of(spec: str, told: Mapping[str, Any], own_mb: float, bare_mb: float) -> list[Figure]:
    """The figures of one organism from what ``measured`` told and the peak memory of a trial with and without it."""
    own, peer, again = told["own"], told["peer"], told["again"]
    slowest, more_mb = max(one["wall_s"] for one in own), own_mb - bare_mb
    return [
        Figure(
            name=f"`{spec}`: a trial on one core, engine start included",
            value=_spread(own),
            aim=f"max ≤ {LIMIT_S:.0f} s",
            met=slowest <= LIMIT_S,
        ),
        Figure(name=f"… the same trials by `{PEER}`, in turn", value=_spread(peer), aim="", met=None),
        Figure(
            name="… its first trial, and the same one again",
            value=f"{own[0]['wall_s']:.2f}, {again['wall_s']:.2f} s",
            aim="",
            met=None,
        ),
        Figure(
            name=f"… peak memory above `{PEER}`'s process",
            value=f"{more_mb:.0f} MB ({own_mb:.0f}, {bare_mb:.0f})",
            aim=f"≤ {LIMIT_MB:.0f} MB",
            met=more_mb <= LIMIT_MB,
        ),
        Figure(name="… it reads, it writes", value=_speeds(own), aim="", met=None),
    ]


def _spread(trials: Sequence[Mapping[str, Any]]) -> str:
    """The middle and the upper end of wall and CPU seconds, and how many trials were valid."""
    told = []
    for key, unit in (("wall_s", "s"), ("cpu_s", "CPU s")):
        times = sorted(one[key] for one in trials)
        p95 = times[round(0.95 * (len(times) - 1))]
        told.append(f"p50 {statistics.median(times):.2f}, p95 {p95:.2f}, max {times[-1]:.2f} {unit}")
    return f"{'; '.join(told)}; {sum(one['valid'] for one in trials)} of {len(trials)} valid"


def _speeds(trials: Sequence[Mapping[str, Any]]) -> str:
    """Tokens per second over all calls, by the engine's own clock; what its cache holds is not read again."""
    calls = [call for one in trials for call in one["calls"]]

    def rate(part: str) -> float:
        return float(sum(c[f"{part}_n"] for c in calls) / sum(c[f"{part}_ms"] for c in calls) * 1e3)

    return f"{rate('prompt'):,.0f}, {rate('predicted'):,.0f} tokens/s ({len(calls) / len(trials):.0f} calls a trial)"


if __name__ == "__main__":
    for figure in organism_figures():
        mark = {True: "yes", False: "**no**", None: ""}[figure.met]
        print(f"| {figure.name} | {figure.value} | {figure.aim} | {mark} |")  # noqa: T201
