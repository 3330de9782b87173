"""``redbutton report``: the report of a run folder, finished or not."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from redbutton.experiments.outcomes import OutcomeRow

EPILOG = """\b
Examples:
  redbutton report runs/demo-20260101-120000
  redbutton report runs/mine --out mine.html
"""


@click.command("report", short_help="Build the report of a run, finished or interrupted.", epilog=EPILOG)
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
@click.option("--out", "-o", type=click.Path(path_type=Path), metavar="FILE", help="Default: report.html in DIR.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of text.")
def command(folder: Path, out: Path | None, as_json: bool) -> None:
    """Build the report of the run in DIR, and say how many of its trials are missing."""
    import json

    from redbutton.experiments.report import build_report
    from redbutton.experiments.report_index import scan_run

    index = scan_run(folder)
    finished = {record.trial: record.row for record in index.finished}
    planned = planned_trials(folder, finished)
    report = build_report(folder, out, index=index)
    missing = None if planned is None else sum(trial not in finished for trial in planned)
    numbers = {"report": str(report), "finished": len(finished), "missing": missing}
    click.echo(json.dumps(numbers) if as_json else f"report   {report}")
    if planned and missing and not as_json:
        click.echo(f"missing  {missing} of {len(planned)} trials have not finished")


def planned_trials(folder: Path, finished: Mapping[str, OutcomeRow]) -> list[str] | None:
    """The trials that the run's study plans; ``None`` when its study file cannot be read.

    Raises ``FolderError`` when a finished trial is not the one that the study describes.
    """
    from redbutton.experiments.errors import FolderError, StudyError
    from redbutton.experiments.run_folder import RunFolder

    try:
        run = RunFolder.open(folder)
    except (StudyError, FolderError) as exc:
        click.echo(f"warning: the report has nothing of what the study plans: {exc}", err=True)
        return None
    specs = run.study.trials()
    for spec in specs:
        if spec.trial in finished:
            run.check(spec, finished[spec.trial])
    return [spec.trial for spec in specs]
