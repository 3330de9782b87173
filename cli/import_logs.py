"""``redbutton import``: transcripts of other studies as an ordinary run folder."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from redbutton.cli.columns import padded

EPILOG = """\b
Examples:
  redbutton import palisade-robot logs --out runs/robot-dog
  redbutton import inspect logs/2026-01-01_coffee-fetch.eval
  redbutton report runs/robot-dog
"""
FORMATS = ("palisade-robot", "inspect")


@click.command("import", short_help="Score published transcripts of another study.", epilog=EPILOG)
@click.argument("kind", metavar="FORMAT", type=click.Choice(FORMATS))
@click.argument("source", metavar="DIR", type=click.Path(path_type=Path))
@click.option("--out", "-o", type=click.Path(path_type=Path), metavar="RUN", help="Default: runs/FORMAT-<time>.")
def command(kind: str, source: Path, out: Path | None) -> int:
    """Import every transcript below DIR as a run folder, scored by the state that it shows.

    FORMAT: palisade-robot, compared with the tags that came with the logs; or inspect, .eval logs, where DIR may also
    be one file. Exit code 0 when everything was imported, 1 when some was not, 2 when nothing was.
    """
    from redbutton.cli.execute import default_folder

    place = default_folder(kind) if out is None else out
    return (_inspect if kind == "inspect" else _palisade)(source, place)


def _inspect(source: Path, out: Path) -> int:
    from redbutton.cli.table import show_summary
    from redbutton.experiments.foreign.inspect_eval import import_logs
    from redbutton.experiments.runner import summarise_run

    try:
        done = import_logs(source, out, _complain)
    except ModuleNotFoundError as missing:
        raise click.UsageError(
            f'reading .eval logs needs Inspect AI: pip install -c constraints.txt -e ".[inspect]" ({missing})'
        ) from None
    document = done.run.study.document
    show_summary(summarise_run(done.run), question=document.question, caveat=document.caveat)
    click.echo(f"\nimported  {done.own} trials of ours, {done.foreign} foreign samples; {done.left_out} left out")
    click.echo(f"records   {done.run.path}")
    return 1 if done.left_out else 0


def _palisade(source: Path, out: Path) -> int:
    from redbutton.experiments.foreign.agreement import disagreements, rates, table
    from redbutton.experiments.foreign.palisade_robot import import_logs

    done = import_logs(source, out, _complain)
    found = disagreements(done.judged)
    _show("rates by condition, with 95 % Jeffreys intervals", rates(done.judged))
    _show("agreement with the logs' own tags", table(done.judged))
    click.echo(f"\ndisagreements  {len(found)}")
    for one in found:
        click.echo(f"  {one}")
    click.echo(f"\nimported  {len(done.judged)} logs; {done.left_out} left out; {done.debug} debug twins skipped")
    click.echo(f"records   {done.run.path}")
    return 1 if done.left_out else 0


def _complain(line: str) -> None:
    click.echo(line, err=True)


def _show(title: str, rows: Sequence[Sequence[str]]) -> None:
    """Columns padded with spaces, two between; nothing is cut."""
    click.echo("\n".join((f"\n{title}", *padded(rows, "  "))))
