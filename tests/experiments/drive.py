"""Runs a study with a small trial function, as a process that tests can kill: STUDY OUT [resume] [function]."""

from __future__ import annotations

import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))


def drive() -> int:
    from redbutton.cli.errors import guarded
    from redbutton.experiments.runner import run_study
    from redbutton.experiments.study import load_study

    study, out, *rest = sys.argv[1:]
    function = next((a for a in rest if ":" in a), "trial_functions:run_small")
    return guarded(
        lambda: run_study(
            load_study(study),
            Path(out),
            jobs=2,
            resume="resume" in rest,
            trial_function=function,
            on_progress=lambda p: print(f"{p.done}/{p.total}", flush=True),
        )
    )


if __name__ == "__main__":
    sys.exit(drive())
