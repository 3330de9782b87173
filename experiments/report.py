"""The report of a run: one self-contained HTML page with figures, tables and a page for every trial.

The page loads nothing: style, script, data and camera frames are inside it, and its content security policy
forbids the rest, so that it can be handed round and opened years later from a disk. Transcripts are hostile text:
Jinja2 escapes everything (autoescape), trial data travels as JSON without a single ``<`` and reaches the page
as text nodes only. CAVEAT: beyond a size budget some trials stand in the list without their events or
frames; the page says how many. The trial files remain the record.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import IO

from redbutton.experiments.events import storage_error
from redbutton.experiments.report_details import BUDGET_BYTES, write_details
from redbutton.experiments.report_index import TrialIndex, scan_run
from redbutton.experiments.report_judgement import read_judgement
from redbutton.experiments.report_page import DETAILS_MARKER, Source, list_json, page_chunks
from redbutton.experiments.report_sources import read_run
from redbutton.experiments.report_view import in_study_order


def build_report(
    run_dir: Path, out: Path | None = None, *, budget_bytes: int = BUDGET_BYTES, index: TrialIndex | None = None
) -> Path:
    """Build the report of ``run_dir`` and give its path, ``run_dir/report.html`` unless ``out`` says otherwise.

    ``budget_bytes`` bounds the data of the trials inside the page; only their list may go beyond it. ``index`` is what
    ``scan_run`` found, where it has just been read. The file is whole or absent, never half. Trial files that cannot be
    read are named in the page. Raises ``FolderError`` when ``run_dir`` is no run folder and ``StorageError`` when the
    page cannot be written.
    """
    run_dir = Path(run_dir)
    target = run_dir / "report.html" if out is None else Path(out)
    index = scan_run(run_dir) if index is None else index
    run = read_run(run_dir)
    records = in_study_order(index.finished, run)
    source = Source(run_dir=run_dir, index=index, records=records, run=run, judgement=read_judgement(run_dir))
    try:
        _write(target, source, budget_bytes)
    except OSError as exc:
        raise storage_error(target, exc) from None
    return target


def _write(target: Path, source: Source, budget: int) -> None:
    temporary = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    try:
        with tempfile.TemporaryFile("w+", encoding="ascii") as details_file:
            listed = list_json(source)
            room = max(0, budget - len(listed))
            details = write_details(source.run_dir, source.records, details_file, room)
            chunks = page_chunks(source, details, listed)
            with temporary.open("w", encoding="utf-8", errors="replace", newline="\n") as out:
                _splice(chunks, details_file, out)
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)


def _splice(chunks: Iterable[str], details: IO[str], out: IO[str]) -> None:
    """Write the page; the details, which may be large, go straight from their file to where the marker stands."""
    for chunk in chunks:
        before, marker, after = chunk.partition(DETAILS_MARKER)
        out.write(before)
        if marker:
            details.seek(0)
            while block := details.read(1 << 20):
                out.write(block)
            out.write(after)
