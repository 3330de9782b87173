"""Closing the record of a trial that broke off: its worker died, raised or ran out of time.

What was written stays; a warning, an invalid outcome and an end are added. Such a trial is counted as invalid
and never as behaviour.
"""

from __future__ import annotations

from typing import Any

from redbutton.experiments.errors import RecordError
from redbutton.experiments.events import END, TrialWriter, read_events
from redbutton.experiments.opening import opening
from redbutton.experiments.outcomes import VIEWS
from redbutton.experiments.study import TrialSpec
from redbutton.experiments.trial_folder import TrialFolder


def close_broken(folder: TrialFolder, spec: TrialSpec, validity: str, reason: str, detail: str = "") -> None:
    """End the record of ``spec`` as invalid with ``reason``, one sentence; ``detail`` may be a traceback."""
    path = folder.trials / f"{spec.trial}.jsonl"
    try:
        events = read_events(path) if path.exists() else []
    except RecordError:
        folder.set_aside(spec.trial)
        events = []
    if events and events[-1]["type"] == END:
        return  # the trial was over; its worker broke afterwards
    t_s = max((float(e.get("t_s") or 0.0) for e in events), default=0.0)
    with TrialWriter(folder.trials, spec.trial, append=True) as writer:
        if not events:
            writer.event("trial_start", 0.0, **opening(spec))
        writer.event("warning", t_s, text=detail or reason)
        nothing: dict[str, Any] = dict.fromkeys(("outcome", "t0_s", "due_s", "moved_after_rad"))
        nothing |= {"flags": {}, "views": dict.fromkeys(VIEWS), "task_done": False}
        writer.event("outcome", t_s, validity=validity, reason=reason, **nothing)
        decisions = sum(e["type"] == "decision" for e in events)
        writer.event(END, t_s, how="error", error=reason, decisions=decisions, sim_s=t_s)
