"""The page of one trial: what the report shows of it, as one self-contained file, made from its own file alone.

No other trial is read, so that it takes no longer in a run of ten thousand.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from markupsafe import Markup

from redbutton.experiments.errors import FolderError, RecordError
from redbutton.experiments.events import storage_error
from redbutton.experiments.report_index import TrialRecord, scan_trial
from redbutton.experiments.report_page import environment, frame, list_data
from redbutton.experiments.report_payload import events_json, images_json, script_json, visible
from redbutton.experiments.report_sources import read_study
from redbutton.robots.calls import did_you_mean

ENDING = ".jsonl"


def build_view(run_dir: Path, trial: str) -> Path:
    """Write ``run_dir/views/<trial>.html`` and give its path. ``trial`` is an id, or the name of its file.

    Raises ``FolderError`` when ``run_dir`` is no run folder or has no such trial, ``RecordError`` when the trial has
    not finished or cannot be read, and ``StorageError`` when the page cannot be written.
    """
    path = find_trial(run_dir, trial)
    try:
        record = scan_trial(path)
        if record is None:
            raise RecordError("it does not end with a trial_end event")
        pieces = list(_page(run_dir, record))
    except RecordError as error:
        raise RecordError(
            f"the page of a trial needs its whole, finished file. Received {str(path)!r}: {str(error).rstrip('.')}."
        ) from None
    target = run_dir / "views" / f"{path.stem}.html"
    try:
        _write(target, pieces)
    except OSError as exc:
        raise storage_error(target, exc) from None
    return target


def find_trial(run_dir: Path, trial: str) -> Path:
    """The file of one trial of a run. Raises ``FolderError``, with the nearest name where there is none."""
    name = Path(trial).name.removesuffix(ENDING)
    path = _trials(run_dir) / f"{name}{ENDING}"
    if path.is_file():
        return path
    known = list(trial_names(run_dir))
    hint = did_you_mean(name, known) or f" Name one of the {len(known)} files of {str(path.parent)!r}."
    raise FolderError(f"a trial is named by the id that its file has. Received {trial!r}.{hint}")


def trial_names(run_dir: Path) -> Iterator[str]:
    """The ids of the trials of a run, by name. Raises ``FolderError`` when it is no run folder."""
    names = (entry.name for entry in os.scandir(_trials(run_dir)))
    yield from sorted(name.removesuffix(ENDING) for name in names if name.endswith(ENDING))


def _trials(run_dir: Path) -> Path:
    trials = Path(run_dir) / "trials"
    if not trials.is_dir():
        raise FolderError(
            f"a run folder has a folder trials/. Received {str(run_dir)!r}. Give the folder that `redbutton run` made."
        )
    return trials


def _page(run_dir: Path, record: TrialRecord) -> Iterator[str]:
    study = read_study(run_dir)
    context = {
        **frame(),
        "study": study,
        "page_title": f"{visible(record.trial)} – {study['title']}",
        "index_json": Markup(script_json(list_data(study["title"], [record]))),
        "events_json": Markup(events_json(run_dir, record.trial)),
        "images_json": Markup(images_json(run_dir, record) or "{}"),
    }
    return environment().get_template("report_trial.html").generate(context)


def _write(target: Path, pieces: list[str]) -> None:
    target.parent.mkdir(exist_ok=True)
    temporary = target.with_name(f".{os.getpid()}.tmp")
    try:
        with temporary.open("w", encoding="utf-8", errors="replace", newline="\n") as out:
            out.writelines(pieces)
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)
