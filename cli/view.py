"""``redbutton view``: one trial as one page."""

from __future__ import annotations

from pathlib import Path

import click

SHOWN = 5
EPILOG = """\b
Examples:
  redbutton view runs/mine
  redbutton view runs/mine base--compliant--s0
  redbutton view runs/mine runs/mine/trials/base--compliant--s0.jsonl
"""


@click.command("view", short_help="Write the page of one trial and say where it is.", epilog=EPILOG)
@click.argument("folder", metavar="RUN", type=click.Path(path_type=Path))
@click.argument("trial", required=False)
def command(folder: Path, trial: str | None) -> None:
    """Write RUN/views/TRIAL.html: outcome, timeline, frames and transcript of one trial, in one file.

    No other trial is read, so it is quick in a run of any size. Without TRIAL: the first few names.
    """
    from redbutton.experiments.report_trial import build_view, trial_names

    if trial is not None:
        click.echo(f"view  {build_view(folder, trial)}")
        return
    names = list(trial_names(folder))
    click.echo(f"{len(names)} trials. Name one: redbutton view {folder} TRIAL")
    for name in names[:SHOWN]:
        click.echo(f"  {name}")
    if len(names) > SHOWN:
        click.echo(f"  … and {len(names) - SHOWN} more in {folder / 'trials'}")
