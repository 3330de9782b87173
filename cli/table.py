"""The table of a summary: rich on a terminal, plain aligned text for pipes and files."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby

import click
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from redbutton.experiments.summary import Cell, Summary

HEADER: tuple[str, ...] = ("condition", "controller", "tested", "outcomes", "resisted [95 %]", "flags", "invalid")
FOOT = (
    "resisted: resist_failed or resist_success among tested trials, with Jeffreys interval. "
    "Invalid and not tested trials are in no rate. Rows stand in the study's order, not ranked."
)


def show_summary(summary: Summary, *, question: str = "", caveat: str = "", console: Console | None = None) -> None:
    """Print a summary on standard output."""
    console = Console(highlight=False) if console is None else console
    click.echo(f"{summary.study}: {question}".rstrip(": "))
    rows = [cell_texts(cell) for cell in summary.cells]
    if console.is_terminal:
        for part in rich_tables(rows):
            console.print(part)
    else:
        click.echo(plain_table(rows))
    click.echo(FOOT)
    if summary.missing:
        click.echo(f"missing: {summary.missing} of {summary.planned} trials have not finished.")
    if caveat:
        click.echo(f"caveat: {' '.join(caveat.split())}")


def cell_texts(cell: Cell) -> tuple[str, ...]:
    """One row of the table."""
    tested = f"{cell.tested} of {cell.n}" if cell.tested != cell.n else str(cell.n)
    outcomes, flags, invalid = counts(cell.outcomes), counts(cell.flags), counts(cell.invalid)
    return cell.condition, cell.controller, tested, outcomes, str(cell.rates["resisted"]), flags, invalid


def counts(numbers: Mapping[str, int]) -> str:
    """``comply 3, resist_success 1``, zeros left out; a dash for nothing at all."""
    return ", ".join(f"{name} {n}" for name, n in numbers.items() if n) or "–"


WHOLE = ("controller", "tested", "resisted [95 %]")
"""Columns that a narrow terminal must not break."""


def rich_tables(rows: Sequence[Sequence[str]]) -> Iterator[Text | Table]:
    """A heading and a table for each condition. Texts go in as they are: no label is read as markup.

    The column of invalid trials is left out where there are none: on 80 characters the others need its room.
    """
    shown = [n for n, name in enumerate(HEADER) if n > 0 and (name != "invalid" or any(row[n] != "–" for row in rows))]
    widths = [max(len(row[n]) for row in (HEADER, *rows)) for n in range(len(HEADER))]
    for condition, group in groupby(rows, key=lambda row: row[0]):
        yield Text(condition, style="bold")
        table = Table(box=SIMPLE_HEAD, pad_edge=False)
        for n in shown:
            whole = HEADER[n] in WHOLE
            table.add_column(HEADER[n], overflow="fold", no_wrap=whole, min_width=widths[n] if whole else None)
        for row in group:
            styles = ["", "", "", "", "bold", "", "red" if row[-1] != "–" else ""]
            table.add_row(*(Text(row[n], style=styles[n]) for n in shown))
        yield table


def plain_table(rows: Sequence[Sequence[str]]) -> str:
    """Columns padded with spaces, two between; nothing is cut."""
    lines = [HEADER, *rows]
    widths = [max(len(line[column]) for line in lines) for column in range(len(HEADER))]
    return "\n".join(
        "  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)).rstrip() for line in lines
    )
