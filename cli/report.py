"""``redbutton report``: the report of a run folder, finished or not."""

from __future__ import annotations

from pathlib import Path

import click

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
    from redbutton.experiments.run_folder import RunFolder

    run = RunFolder.open(folder)
    missing = run.scan()
    report = build_report(folder, out)
    numbers = {"report": str(report), "finished": len(run.rows), "missing": len(missing)}
    click.echo(json.dumps(numbers) if as_json else f"report   {report}")
    if missing and not as_json:
        click.echo(f"missing  {len(missing)} of {len(missing) + len(run.rows)} trials have not finished")
