"""``make bench``: how fast the testbed is, side by side with a peer in the same run.

Peer: panda-gym's PandaPickAndPlace (same engine, an arm of the same class, 25 control steps/s over 500 Hz physics).
Both take random actions; rounds alternate, so that whatever else the machine does hits both; the best round of each
counts. CAVEAT: figures are this machine's, in this hour. They are thresholds with room, never safety claims.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from redbutton.envs.coffee_fetch import CoffeeFetchEnv
from redbutton.envs.coffee_fetch_joint import CoffeeFetchJointEnv
from redbutton.envs.condition import WorldCondition
from redbutton.envs.place import TICK_S
from redbutton.envs.world import World
from redbutton.estop import ChainConfig, Contacts, FailMode, ManualClock, MonitorConfig, StopChain
from redbutton.experiments.bench_computer import computer_figures
from redbutton.experiments.bench_learning import learning_figures
from redbutton.experiments.bench_organism import organism_figures
from redbutton.experiments.bench_page import Figure, about, page, peak_memory_mb
from redbutton.experiments.bench_sandbox import sandbox_figures
from redbutton.experiments.bench_scale import scale_figures
from redbutton.experiments.events import TrialWriter
from redbutton.experiments.factors import make_condition
from redbutton.experiments.study import TrialSpec
from redbutton.llm_controller.scripted import fetch
from redbutton.robots.interface import Call

ROUNDS = 7
STEPS = 400
PRESSES = 1000
"""At a hardware input, each time with the machine idle and with two busy processes beside."""


def best(measure: Callable[[], float], rounds: int = ROUNDS) -> float:
    """Smallest of several rounds: the one that was disturbed least."""
    return min(measure() for _ in range(rounds))


def timed(act: Callable[[], object]) -> float:
    """Wall seconds of one call."""
    start = time.perf_counter()
    act()
    return time.perf_counter() - start


# -- control steps ------------------------------------------------------------------------------------------------


class StepRace:
    """Random actions in our joint env and in the peer, round by round."""

    def __init__(self) -> None:
        rng = np.random.default_rng(0)
        self.actions = rng.uniform(-1.0, 1.0, size=(STEPS, 4)).astype(np.float32)
        self.ours = CoffeeFetchJointEnv(WorldCondition(press_at="never", time_limit_s=3600.0))
        self.peer: Any = self._peer()

    @staticmethod
    def _peer() -> Any:
        try:
            import gymnasium
            import panda_gym  # noqa: F401
        except ImportError:
            return None
        return gymnasium.make("PandaPickAndPlace-v3").unwrapped

    def ours_round(self) -> tuple[float, float]:
        """Seconds of ``STEPS`` steps, and the part of them that the engine's own stepping took."""
        env, world = self.ours, self.ours.inner.world
        assert isinstance(world, World)
        engine = world.engine
        env.reset(seed=0)
        inner, spent = engine.step, [0.0]

        def step(substeps: int) -> None:
            start = time.perf_counter()
            inner(substeps)
            spent[0] += time.perf_counter() - start

        engine.step = step  # type: ignore[method-assign]
        try:
            total = timed(lambda: [env.step(action) for action in self.actions])
        finally:
            del engine.step
        return total, spent[0]

    def peer_round(self) -> float:
        """Seconds of ``STEPS`` steps of the peer."""
        self.peer.reset(seed=0)
        return timed(lambda: [self.peer.step(action) for action in self.actions])

    def figures(self) -> list[Figure]:
        """Steps per second of both, their ratio, and our share of the physics floor."""
        ours, peer = [], []
        for _ in range(ROUNDS):
            ours.append(self.ours_round())
            if self.peer is not None:
                peer.append(self.peer_round())
        total, physics = min(ours)
        rate, share = STEPS / total, physics / total
        figures = [Figure(name="control steps/s, joint env", value=f"{rate:,.0f}", aim="", met=None)]
        if peer:
            other = STEPS / min(peer)
            figures.append(
                Figure(name="control steps/s, panda-gym pick-and-place", value=f"{other:,.0f}", aim="", met=None)
            )
            ratio = rate / other
            figures.append(Figure(name="ratio to panda-gym", value=f"{ratio:.2f}", aim="≥ 1.5", met=ratio >= 1.5))
        else:
            figures.append(Figure(name="panda-gym", value="not installed: pip install panda-gym", aim="", met=None))
        figures.append(Figure(name="share of the physics floor", value=f"{share:.0%}", aim="≥ 70 %", met=share >= 0.7))
        return figures


def reset_figure(env: CoffeeFetchJointEnv) -> Figure:
    """Median wall time of ``env.reset(seed=...)``."""
    times = [timed(lambda seed=seed: env.reset(seed=seed)) * 1e3 for seed in range(500)]  # type: ignore[misc]
    median = statistics.median(times)
    return Figure(name="reset", value=f"{median:.3f} ms", aim="≤ 0.2 ms", met=median <= 0.2)


def frame_figures(env: CoffeeFetchEnv) -> list[Figure]:
    """Wall time of a camera frame at two sizes."""
    times = {size: best(lambda size=size: timed(lambda: env.frame(size, size))) * 1e3 for size in (128, 320)}  # type: ignore[misc]
    return [Figure(name=f"frame {size} px", value=f"{t:.1f} ms", aim="", met=None) for size, t in times.items()]


def fetch_figure(env: CoffeeFetchEnv) -> Figure:
    """CPU time of one scripted fetch with full dynamics, brewing included."""

    def episode() -> float:
        start = time.process_time()
        env.start(0)
        while not env.session.task.done:
            env.act(fetch(env.observe().facts))
        return time.process_time() - start

    seconds = best(episode)
    text = f"{seconds:.3f} CPU s for {env.session.now_s:.1f} simulated s"
    return Figure(name="one fetch episode", value=text, aim="≤ 0.10 CPU s", met=seconds <= 0.10)


def overhead_figure() -> Figure:
    """Wall time per decision of a whole recorded trial in which every decision is a look: one tick of physics each."""
    from redbutton.experiments import trial

    trial._controllers["bench"] = _Looker()
    levels = {"max_decisions": 200, "press_at": "never", "time_limit_s": 600.0}
    spec = TrialSpec(
        trial="bench",
        study="bench",
        condition=make_condition("bench", levels),
        controller="bench",
        seed=0,
        frames="none",
    )

    def run() -> float:
        with tempfile.TemporaryDirectory() as folder, TrialWriter(Path(folder), "bench") as writer:
            return timed(lambda: trial.run_trial(spec, writer)) / 200

    run()
    per_decision = best(run, 3) * 1e3
    return Figure(
        name="a decision without its model", value=f"{per_decision:.2f} ms", aim="≤ 10 ms", met=per_decision <= 10.0
    )


class _Looker:
    """A controller that only looks."""

    name = "looker"

    def reset(self, briefing: Any) -> None:
        """Nothing to prepare."""

    def act(self, observation: Any) -> Call:
        """Look at the cup."""
        return Call(name="look", args={"target": "cup"})

    def drain(self) -> list[Any]:
        """Nothing to record."""
        return []

    def close(self) -> None:
        """Nothing to release."""


def memory_figure() -> Figure:
    """Largest resident memory of a fresh process that runs three trials with frames."""
    code = "from redbutton.experiments.bench import worker_memory; worker_memory()"
    megabytes = float(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout)
    return Figure(name="worker memory", value=f"{megabytes:.0f} MB", aim="≤ 400 MB", met=megabytes <= 400.0)


def worker_memory() -> None:
    """Print the peak memory of this process after three trials [MB]."""
    from redbutton.experiments.trial import run_trial

    with tempfile.TemporaryDirectory() as folder:
        for seed in range(3):
            condition = make_condition("bench", {})
            spec = TrialSpec(
                trial=f"t{seed}", study="bench", condition=condition, controller="compliant", seed=seed, frames="key"
            )
            with TrialWriter(Path(folder), spec.trial) as writer:
                run_trial(spec, writer)
    print(peak_memory_mb())  # noqa: T201


def stop_figures(presses: int = 50) -> list[Figure]:
    """Control ticks from an open contact to the last command that reached the drives; time of the chain's own tick."""
    env = CoffeeFetchEnv(WorldCondition(press_at="window", press_window_s=(0.0, 1.0), reach_s=2.0))
    ticks = [_ticks_to_cut(env, seed) for seed in range(presses)]
    env.close()
    clock = ManualClock()
    safe = FailMode.FAIL_SAFE
    chain = StopChain(ChainConfig(name="bench", fail_mode=safe, monitor=MonitorConfig(fail_mode=safe)), clock)
    closed = Contacts(a_closed=True, b_closed=True)

    def tick() -> float:
        start = time.perf_counter()
        for _ in range(2000):
            chain.tick(closed)
        return (time.perf_counter() - start) / 2000

    return [
        Figure(
            name=f"press to motion command cut, {presses} presses in mid-motion",
            value=f"at most {max(ticks)} control tick(s) of {TICK_S * 1e3:.0f} ms",
            aim="≤ 1 tick",
            met=max(ticks) <= 1,
        ),
        Figure(name="one tick of the stop chain", value=f"{best(tick) * 1e6:.1f} µs", aim="", met=None),
    ]


def _ticks_to_cut(env: CoffeeFetchEnv, seed: int) -> int:
    """Commands that reached the drives after the tick in which the contact was measured open."""
    env.start(seed)
    arm, world, late = env.world.arm, env.world, [0]
    command = arm.command

    def counted(point: Any) -> Any:
        late[0] += world.pressed
        return command(point)

    arm.command = counted  # type: ignore[method-assign]
    try:
        while env.session.motion.t0_s is None:
            env.act(Call(name="move_to", args={"target": "cup" if env.session.now_s % 2 < 1 else "coaster"}))
    finally:
        del arm.command
    return late[0]


def press_figures(presses: int = PRESSES) -> list[Figure]:
    """Press at a hardware input to the hold at the driver's process, over DDS; where a part is missing, one line."""
    from redbutton.hardware.config import BenchError

    try:
        from redbutton.hardware.stop_bench import measure_heartbeats, measure_presses

        idle, busy, beats = measure_presses(presses), measure_presses(presses, 2), measure_heartbeats(50)
    except (ImportError, BenchError) as exc:
        return [Figure(name="press to hold over DDS", value=f"not measured: {exc}", aim="", met=None)]
    p99, worst = idle.quantile(0.99) * 1e3, beats[-1] * 1e3
    lost = idle.lost + idle.unread + busy.lost + busy.unread
    return [
        _path("press to hold at the driver, idle", idle, "p99 ≤ 20 ms", p99 <= 20.0),
        *(_path(f"… {stage}", idle, "", None, stage) for stage in idle.stages),
        _path("press to hold, two busy processes", busy, "", None),
        *(_path(f"… {stage}, busy", busy, "", None, stage) for stage in busy.stages),
        Figure(name=f"lost of {2 * presses:,} presses of 20 ms", value=str(lost), aim="0", met=lost == 0),
        Figure(
            name="last heartbeat to hold at the driver, 50 losses",
            value=f"p50 {beats[25] * 1e3:.0f}, max {worst:.0f} ms",
            aim="≤ 250 ms",
            met=worst <= 250.0,
        ),
    ]


def _path(name: str, presses: Any, aim: str, met: bool | None, stage: str | None = None) -> Figure:
    p50, p99, worst = (presses.quantile(share, stage) * 1e3 for share in (0.5, 0.99, 1.0))
    return Figure(name=name, value=f"p50 {p50:.2f}, p99 {p99:.2f}, max {worst:.2f} ms", aim=aim, met=met)


def measure() -> list[Figure]:
    """All figures, in the order in which they are shown."""
    race = StepRace()
    figures = [*race.figures(), reset_figure(race.ours)]
    skills = CoffeeFetchEnv(WorldCondition(press_at="never"), world=race.ours.inner.world)
    skills.start(0)
    figures += [*frame_figures(skills), fetch_figure(skills)]
    race.ours.close()
    return [
        *figures,
        overhead_figure(),
        memory_figure(),
        *stop_figures(),
        *scale_figures(),
        *sandbox_figures(),
        *computer_figures(),
        *learning_figures(),
        *organism_figures(),
        *press_figures(),
    ]


def main() -> None:
    """Measure, print, and write the page."""
    parser = argparse.ArgumentParser(description="Measure the testbed's speed beside a peer in the same run.")
    parser.add_argument("--out", type=Path, help="Markdown page to write, e.g. docs/benchmarks.md")
    parser.add_argument("--json", action="store_true", help="print the figures as one JSON object")
    options = parser.parse_args()
    figures, where = measure(), about()
    if options.json:
        print(json.dumps({"machine": where, "figures": [vars(f) for f in figures]}))  # noqa: T201
    else:
        for f in figures:
            mark = {True: "met", False: "MISSED", None: ""}[f.met]
            print(f"{f.name:58} {f.value:32} {f.aim:13} {mark}")  # noqa: T201
    if options.out is not None:
        options.out.write_text(page(figures, where), encoding="utf-8")


if __name__ == "__main__":
    main()
