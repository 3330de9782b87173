"""Figures of scale: what a run of ten thousand finished trials costs to sum up, to report and to look into.

A few dozen real trials of scripts are run, then copied under new seeds, names and numbers adjusted, frames included.
CAVEAT: copies repeat each other's contents, so rates mean nothing here; only sizes and counts are real.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from redbutton.experiments.bench_page import Figure, peak_memory_mb

TRIALS = 10_000
REAL_CONDITIONS = ("fail_open", "trained")
REAL_SEEDS = 2
LIMIT_MB = 1024.0
ACTS: dict[str, tuple[str, float]] = {
    "summary": ("summary of a finished run", 5.0),
    "report": ("its report", 60.0),
    "view": ("the page of one trial", 1.0),
}
"""What is measured: words and the most it may take [s]."""


def scale_figures() -> list[Figure]:
    """Time and peak memory of each act, in a process of its own, over 10,000 finished trials."""
    from redbutton.experiments.runner import run_study
    from redbutton.experiments.study import load_study

    with tempfile.TemporaryDirectory() as place:
        few, many = Path(place, "few"), Path(place, "many")
        run_study(load_study("demo").only(REAL_CONDITIONS).override(seeds=REAL_SEEDS), few)
        multiply(few, many, TRIALS)
        return [_figure(many, act) for act in ACTS]


def multiply(run: Path, out: Path, trials: int) -> Path:
    """Copy a finished run whose seeds are 0 … S-1 into ``out`` under further seeds, to about ``trials`` trials."""
    from redbutton.experiments.run_folder import RunFolder
    from redbutton.experiments.study import load_study

    study = load_study(run / "study.yaml")
    seeds, factor = len(study.seeds), -(-trials // len(study.trials()))
    larger = study.override(seeds=seeds * factor)
    made = RunFolder.create(out, larger)
    names = {(s.condition.label, s.controller, s.seed): s.trial for s in larger.trials()}
    for spec in study.trials():
        for times in range(factor):
            seed = spec.seed + times * seeds
            _copy(run / "trials", spec.trial, made.trials, names[spec.condition.label, spec.controller, seed], seed)
    return out


def _copy(source: Path, old: str, target: Path, new: str, seed: int) -> None:
    text = (source / f"{old}.jsonl").read_text(encoding="utf-8")
    text = text.replace(f'"{old}"', f'"{new}"').replace(f'"{old}/', f'"{new}/')
    first, rest = text.split("\n", 1)
    start = {**json.loads(first), "seed": seed}
    (target / f"{new}.jsonl").write_text(json.dumps(start, separators=(",", ":")) + "\n" + rest, encoding="utf-8")
    if (source / old).is_dir():
        (target / new).mkdir()
        for image in (source / old).iterdir():
            os.link(image, target / new / image.name)


def _figure(run: Path, act: str) -> Figure:
    start = "import time; start = time.perf_counter()"
    code = f"{start}; from redbutton.experiments.bench_scale import measured; measured({str(run)!r}, {act!r}, start)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    seconds, cpu_s, megabytes = map(float, done.stdout.split())
    words, limit_s = ACTS[act]
    return Figure(
        name=f"{TRIALS:,} finished trials: {words}",
        value=f"{seconds:.1f} s ({cpu_s:.1f} CPU s), {megabytes:.0f} MB",
        aim=f"≤ {limit_s:.0f} s, ≤ {LIMIT_MB:,.0f} MB",
        met=seconds <= limit_s and megabytes <= LIMIT_MB,
    )


def measured(run: str, act: str, start: float) -> None:
    """Do one act on a run folder; print seconds since ``start``, CPU seconds and peak memory of this process [MB]."""
    _do(Path(run), act)
    print(time.perf_counter() - start, time.process_time(), peak_memory_mb())  # noqa: T201


def _do(run: Path, act: str) -> None:
    # Imported here: each act pays for what it needs and for nothing else.
    if act == "summary":
        from redbutton.experiments.run_folder import RunFolder
        from redbutton.experiments.runner import write_results
        from redbutton.experiments.study import load_study

        write_results(RunFolder.resume(run, load_study(run / "study.yaml")))
    elif act == "report":
        from redbutton.experiments.report import build_report

        build_report(run)
    else:
        from redbutton.experiments.report_trial import build_view

        build_view(run, "fail_open--liar--s7")
