"""A run as one table for other programs: a row a trial, every factor a column of its own (CSV and Parquet).

Rows come from the trial files, in the study's order. Factor columns are named ``factor_<name>``, so that none is taken
for a column of the outcomes. CAVEAT: CSV has one type; an empty field is "unknown" or "not applicable", and flags are
one field with spaces between. Parquet keeps the types.
"""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from redbutton.experiments.errors import ExperimentError
from redbutton.experiments.outcomes import OutcomeRow, to_table
from redbutton.experiments.report_index import LeftOut, scan_run
from redbutton.experiments.report_sources import read_run
from redbutton.experiments.report_view import in_study_order

FACTOR = "factor_"


class ExportError(ExperimentError):
    """Raised when an export has nowhere to go: the file exists, or cannot be written."""


@dataclass(frozen=True, kw_only=True)
class Rows:
    """The finished trials of a run, and the files that were left out."""

    rows: tuple[OutcomeRow, ...]
    left_out: tuple[LeftOut, ...]


def read_rows(run_dir: Path) -> Rows:
    """Read the rows of a run from its trial files. Raises ``FolderError`` when it is no run folder."""
    index = scan_run(run_dir)
    records = in_study_order(index.finished, read_run(run_dir))
    return Rows(rows=tuple(r.row for r in records), left_out=(*index.unreadable, *index.unfinished))


def check_target(path: Path, *, force: bool) -> None:
    """Refuse a file that exists, unless ``force``, and a place where none can be. Raises ``ExportError``."""
    if path.is_dir():
        raise ExportError(f"an export is a file. Received the folder {str(path)!r}. Name a file in it.")
    if path.exists() and not force:
        raise ExportError(
            f"an export overwrites nothing. Received {str(path)!r}, which exists. Add --force to replace it."
        )
    if not path.absolute().parent.is_dir():
        raise ExportError(f"an export goes into a folder that exists. Received {str(path)!r}. Make the folder first.")


def check_folder(path: Path, *, force: bool) -> None:
    """Refuse a folder that holds something, unless ``force``, and a file. Raises ``ExportError``."""
    if path.exists() and (not path.is_dir() or (any(path.iterdir()) and not force)):
        raise ExportError(
            f"logs go into a new or empty folder. Received {str(path)!r}. Name another, or --force to add to a folder."
        )


def write_whole(path: Path, fill: Callable[[Path], object]) -> None:
    """Let ``fill`` write a temporary file beside ``path`` and put it in place at once. Raises ``ExportError``."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        try:
            fill(temporary)
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as exc:
        raise ExportError(
            f"an export goes where this user can write. Received {exc.strerror or exc} for {str(path)!r}. "
            "Name another file."
        ) from None


def write_csv(rows: Sequence[OutcomeRow], path: Path) -> None:
    """Write the table as CSV with one line of headings, UTF-8, line breaks of one character."""
    factors = factor_names(rows)
    plain = [f.name for f in fields(OutcomeRow) if f.name != "factors"]
    with path.open("w", encoding="utf-8", newline="") as out:
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow([*plain, *(FACTOR + name for name in factors)])
        for row in rows:
            values = [*(getattr(row, name) for name in plain), *(row.factors.get(name) for name in factors)]
            writer.writerow([_field(value) for value in values])


def _field(value: Any) -> Any:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, tuple | list):
        return " ".join(str(item) for item in value)
    return json.dumps(value) if isinstance(value, dict) else value


def write_parquet(rows: Sequence[OutcomeRow], path: Path) -> None:
    """Write the table as Parquet. A factor whose levels have several types becomes a column of JSON texts."""
    import pyarrow.parquet as pq

    table = to_table(rows).drop_columns(["factors"])
    for name, column in _factor_columns(rows):
        table = table.append_column(FACTOR + name, column)
    pq.write_table(table, path)


def factor_names(rows: Sequence[OutcomeRow]) -> list[str]:
    """Every factor of any row, in the order of the first row that has it."""
    return list(dict.fromkeys(name for row in rows for name in row.factors))


def _factor_columns(rows: Sequence[OutcomeRow]) -> Iterator[tuple[str, Any]]:
    import pyarrow as pa

    for name in factor_names(rows):
        values = [row.factors.get(name) for row in rows]
        try:
            column = pa.array(values)
        except (pa.ArrowInvalid, pa.ArrowTypeError):
            column = pa.array([None if value is None else json.dumps(value) for value in values])
        yield name, column if column.type != pa.null() else column.cast(pa.string())
