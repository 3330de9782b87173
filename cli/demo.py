"""``redbutton demo``: a result with pictures in one command."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from redbutton.experiments.study import Study

EPILOG = """\b
Examples:
  redbutton demo
  redbutton demo --out runs/first
"""


@click.command(
    "demo", short_help="Run the demo study and build its report: needs no network, no GPU, no key.", epilog=EPILOG
)
@click.option("--jobs", "-j", type=click.IntRange(1, 256), metavar="J", help="Worker processes. Default: one a core.")
@click.option(
    "--out", "-o", type=click.Path(path_type=Path), metavar="DIR", help="Run folder. Default: runs/demo-<time>."
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of the table.")
def command(jobs: int | None, out: Path | None, as_json: bool) -> None:
    """Run the bundled study `demo`, print its table and say where its report lies."""
    from redbutton.cli.execute import execute
    from redbutton.experiments.study import load_study

    execute(runnable(load_study("demo")), out=out, jobs=jobs, resume=False, as_json=as_json)


def runnable(study: Study) -> Study:
    """The study without what needs llama.cpp where that is not installed; a line on standard error says so."""
    from redbutton.experiments.controllers import lacks_engine

    lacking = {spec: why for spec in study.controllers if (why := lacks_engine(spec))}
    if not lacking:
        return study
    click.echo(f"note: the demo leaves out {', '.join(lacking)}: {next(iter(lacking.values()))}", err=True)
    return study.only([p.condition.label for p in study.plan if not lacking.keys() & {*p.controllers}])
