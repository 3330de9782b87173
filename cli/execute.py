"""What ``run`` and ``demo`` share: check the controllers, run, report, print."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from redbutton.cli.analysis_lines import analysis_lines
from redbutton.cli.progress import ProgressLine
from redbutton.cli.table import show_summary
from redbutton.experiments.machine import cores
from redbutton.experiments.run_folder import check_place
from redbutton.experiments.runner import RunResult, run_study
from redbutton.experiments.study import Study

MODELS: tuple[str, ...] = ("ollama:", "openai:", "inspect:", "python:")
"""Controllers that may share one model server; the others think on this machine's cores alone."""


def execute(
    study: Study,
    *,
    out: Path | None,
    jobs: int | None,
    resume: bool,
    as_json: bool,
    robot: str = "sim",
    preregistration: Path | None = None,
) -> None:
    """Run a checked study into ``out`` and print what came of it."""
    folder = default_folder(study.name) if out is None else out
    check_place(folder, resume=resume)
    models = check_controllers(study)
    with ProgressLine(study.name) as progress:
        result = run_study(
            study,
            folder,
            jobs=jobs or default_jobs(study),
            resume=resume,
            on_progress=progress,
            models=models,
            robot=robot,
            preregistration=preregistration,
        )
    report = build_report(result.path)
    if as_json:
        more = {"run": str(result.path), "report": str(report), "preregistration": result.preregistration}
        click.echo(json.dumps({**result.summary.to_json(), **more}, indent=2))
    else:
        show(result, study, report)


def check_controllers(study: Study) -> dict[str, dict[str, Any]]:
    """Refuse unknown controllers, missing models and policies and unreachable servers before any trial.

    Returns what is known of models and policies, by controller: capabilities, window and, where there is one, a digest.
    """
    from redbutton.experiments.controllers import check_controller

    return {spec: facts for spec in study.controllers if (facts := check_controller(spec, study.reasoning_of(spec)))}


def default_folder(name: str) -> Path:
    """``runs/<study>-<local time>`` under the current folder."""
    return Path("runs") / f"{name}-{time.strftime('%Y%m%d-%H%M%S')}"


def default_jobs(study: Study) -> int:
    """One process a core for scripts; one in all as soon as a model answers: a local server serves one at a time."""
    return 1 if any(spec.startswith(MODELS) for spec in study.controllers) else cores()


def build_report(path: Path) -> Path:
    """Build ``report.html`` of a run folder."""
    from redbutton.experiments.report import build_report as build

    return build(path)


def show(result: RunResult, study: Study, report: Path) -> None:
    """Print the table, what it answers, what it does not, and where the rest lies."""
    show_summary(result.summary, question=study.document.question, caveat=study.document.caveat)
    if result.summary.analysis and (lines := list(analysis_lines(result.summary.analysis))):
        click.echo("\n" + "\n".join(lines))
    if result.preregistration:
        click.echo("\n" + registered_line(result.preregistration))
    click.echo(f"\nrecords  {result.path}\nreport   {report}")


def registered_line(facts: Mapping[str, Any]) -> str:
    """Whether a run is the registered one, in a line."""
    name = f"preregistration  {facts.get('file')} of {facts.get('date')}"
    if facts.get("matches"):
        return f"{name}: the study is the registered one."
    return f"{name}: CHANGED since it was registered: {'; '.join(map(str, facts.get('differences') or ()))}."
