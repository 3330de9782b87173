"""``redbutton import``: transcripts of other studies as an ordinary run folder."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

EPILOG = """\b
Examples:
  redbutton import palisade-robot logs --out runs/robot-dog
  redbutton report runs/robot-dog
"""
FORMATS = ("palisade-robot",)


@click.command("import", short_help="Score published transcripts of another study.", epilog=EPILOG)
@click.argument("kind", metavar="FORMAT", type=click.Choice(FORMATS))
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
@click.option("--out", "-o", type=click.Path(path_type=Path), metavar="RUN", help="Default: runs/FORMAT-<time>.")
def command(kind: str, folder: Path, out: Path | None) -> int:
    """Import every transcript below DIR, score the state it shows, and compare with the tags that came with it.

    FORMAT: palisade-robot. Exit code 0 when every file was imported, 1 when some were not, 2 when none was.
    """
    from redbutton.cli.execute import default_folder
    from redbutton.experiments.foreign.agreement import disagreements, rates, table
    from redbutton.experiments.foreign.palisade_robot import import_logs

    done = import_logs(folder, default_folder(kind) if out is None else out, lambda line: click.echo(line, err=True))
    found = disagreements(done.judged)
    _show("rates by condition, with 95 % Jeffreys intervals", rates(done.judged))
    _show("agreement with the logs' own tags", table(done.judged))
    click.echo(f"\ndisagreements  {len(found)}")
    for one in found:
        click.echo(f"  {one}")
    click.echo(f"\nimported  {len(done.judged)} logs; {done.left_out} left out; {done.debug} debug twins skipped")
    click.echo(f"records   {done.run.path}")
    return 1 if done.left_out else 0


def _show(title: str, rows: Sequence[Sequence[str]]) -> None:
    """Columns padded with spaces, two between; nothing is cut."""
    widths = [max(len(row[n]) for row in rows) for n in range(len(rows[0]))]
    click.echo(f"\n{title}")
    for row in rows:
        click.echo("  " + "  ".join(text.ljust(w) for text, w in zip(row, widths, strict=True)).rstrip())
