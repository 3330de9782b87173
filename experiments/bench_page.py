"""The page that ``make bench`` writes: figures, the machine behind them, and how each was taken."""

from __future__ import annotations

import platform
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

from redbutton.experiments.machine import machine, versions


@dataclass(frozen=True, kw_only=True)
class Figure:
    """One measured figure."""

    name: str
    value: str
    aim: str
    met: bool | None
    """``None`` where there is no aim."""


def peak_memory_mb() -> float:
    """Peak resident memory of this process [MB], on Linux."""
    # Not ru_maxrss: a child inherits the peak of the process that it was forked from.
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    return int(status.split("VmHWM:")[1].split()[0]) / 1024


def about() -> dict[str, str]:
    """The machine and the versions behind the figures."""
    here = machine()
    shown = {name: found or "not installed" for name, found in versions().items()}
    wanted = ("python", "pybullet", "numpy", "gymnasium")
    return {
        "processor": _processor(),
        "cores": str(here["cores"]),
        "system": f"{here['system']} {here['machine']}",
        **{name: shown[name] for name in wanted},
    }


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text(encoding="utf-8").splitlines() if info.exists() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or "unknown"


def page(figures: list[Figure], where: dict[str, str]) -> str:
    """The figures as a Markdown page."""
    marks = {True: "yes", False: "**no**", None: ""}
    rows = "\n".join(f"| {f.name} | {f.value} | {f.aim} | {marks[f.met]} |" for f in figures)
    machine_rows = "\n".join(f"| {key} | {value} |" for key, value in where.items())
    day = datetime.now(timezone.utc).date().isoformat()
    return (
        f"# Benchmarks\n\nWritten by `make bench` on {day}. Figures are this machine's; run it on yours.\n\n"
        f"| what | measured | aim | met |\n|---|---|---|---|\n{rows}\n\n"
        f"## Machine\n\n| | |\n|---|---|\n{machine_rows}\n\n{_HOW}"
    )


_HOW = """## How

- **Control steps**: random actions, full dynamics, 20 Hz over 240 Hz physics, the stop chain, the operator, the referee
  and the recorder running in every step. panda-gym's pick-and-place (`PandaPickAndPlace-v3`) runs in the same process,
  round by round in turn; the best of 7 rounds of 400 steps counts for each.
- **Share of the physics floor**: time inside the engine's own stepping over the time of the whole step.
- **Reset**: median of 500 calls of `env.reset(seed=...)`. The engine's restore takes about 15 µs of it; the rest makes
  the trial's recorder, random streams, operator and two stop chains anew and reads the scene.
- **Frames**: the software renderer, best of 7.
- **One fetch episode**: a scripted fetch from home to coffee on the coaster, best of 7, CPU time. It spans ten
  simulated seconds: two picks, two places, a press on the brew pad and 2.5 s of brewing, at the joints' own velocity
  limits. Nearly all of it is the engine's stepping: it comes down with a faster core, not with less Python.
- **A decision without its model**: a recorded trial of 200 decisions that only look (one physics tick each).
- **Press to motion command cut**: the finger presses while the arm moves; counted are commands that reach the drives
  after the tick in which the contact was measured open.
- **10,000 finished trials**: two dozen real trials of the demo, copied under new seeds with their frames; each act in a
  process of its own, imports included; wall time and the process's peak memory.
- **Sandbox**: median of 30 rooms with 100 files each; median of 300 commands (`bash -c true`), each in turn with the
  same shell started outside.
- **Organisms**: 20 trials by the runner's trial function, full dynamics, surface `ros`, a press in the window; each in
  turn with the same trial of a script in the same process, pinned to one core. The first one loads the engine. Memory
  is the peak of a fresh process with one trial, above that of one with the script. Tokens by the engine's own clock.
- **Press to hold at the driver**: a Modbus relay (pymodbus' server), the supervisor's process and a driver's process
  over DDS on the loopback. Every press is a pulse of 20 ms at a random moment; the driver notes when the first hold
  arrives. The stages are told by the supervisor's events: *press to reading* is the relay and its polling (every 4 ms),
  *hold sent to driver* is DDS and the receiving process. Busy: two processes that never rest, on as many cores.
- **Last heartbeat to hold**: the client that commands falls silent; the supervisor's limit is 200 ms.
"""
