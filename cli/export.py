"""``redbutton export``: a run as a table, a page for an appendix, or logs of Inspect AI."""

from __future__ import annotations

from pathlib import Path

import click

EPILOG = """\b
Examples:
  redbutton export runs/mine --csv mine.csv
  redbutton export runs/mine --parquet mine.parquet --markdown mine.md
  redbutton export runs/mine --csv mine.csv --force
  redbutton export runs/mine --inspect mine-logs
"""
FILE = click.Path(path_type=Path)


@click.command("export", short_help="Write a run as CSV, Parquet, Markdown or Inspect logs.", epilog=EPILOG)
@click.argument("folder", metavar="RUN", type=FILE)
@click.option("--csv", "csv_file", type=FILE, metavar="FILE", help="One row a trial, factors as columns.")
@click.option("--parquet", "parquet_file", type=FILE, metavar="FILE", help="The same table with its types.")
@click.option("--markdown", "markdown_file", type=FILE, metavar="FILE", help="One page for a paper's appendix.")
@click.option("--inspect", "inspect_dir", type=FILE, metavar="DIR", help="Logs for `inspect view`, one a cell.")
@click.option("--force", is_flag=True, help="Replace files that exist.")
def command(
    folder: Path,
    csv_file: Path | None,
    parquet_file: Path | None,
    markdown_file: Path | None,
    inspect_dir: Path | None,
    force: bool,
) -> None:
    """Write the finished trials of RUN in one or more forms. Nothing in RUN is changed.

    Trials that have not finished or cannot be read are left out; standard error says how many.
    """
    from redbutton.experiments.exports import (
        check_folder,
        check_target,
        read_rows,
        write_csv,
        write_parquet,
        write_whole,
    )
    from redbutton.experiments.markdown import write_markdown

    if not (csv_file or parquet_file or markdown_file or inspect_dir):
        raise click.UsageError("an export needs a form. Received none. Give --csv, --parquet, --markdown or --inspect")
    chosen = [path for path in (csv_file, parquet_file, markdown_file) if path]
    for path in chosen:
        check_target(path, force=force)
    if inspect_dir:
        check_folder(inspect_dir, force=force)
    found = read_rows(folder)
    if csv_file:
        write_whole(csv_file, lambda path: write_csv(found.rows, path))
    if parquet_file:
        write_whole(parquet_file, lambda path: write_parquet(found.rows, path))
    if markdown_file:
        write_whole(markdown_file, lambda path: write_markdown(folder, found, path))
    for path in chosen:
        click.echo(f"written  {path}")
    if inspect_dir:
        _inspect(folder, inspect_dir)
    if found.left_out:
        click.echo(f"left out  {len(found.left_out)} unfinished or unreadable trial file(s)", err=True)


def _inspect(folder: Path, out: Path) -> None:
    """Write logs of Inspect AI."""
    from importlib import import_module

    from redbutton.experiments.exports import ExportError

    try:
        export_run = import_module("redbutton.experiments.inspect_logs").export_run
    except ImportError as exc:
        raise ExportError(
            f"logs of Inspect AI need the extra inspect. Received {exc}. Install it: pip install 'redbutton[inspect]'."
        ) from None
    for path in export_run(folder, out):
        click.echo(f"written  {path}")
