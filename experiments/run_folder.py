"""A run's folder: its study, its lock, its trial files and the tables made from them (``docs/records.md``).

The trial files are the record. Everything else here can be made again from them and from ``study.yaml``.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from redbutton.experiments.errors import FolderError, short
from redbutton.experiments.events import storage_error
from redbutton.experiments.machine import git_revision, machine, versions
from redbutton.experiments.outcomes import OutcomeRow, read_parquet, write_parquet
from redbutton.experiments.study import Study, load_study
from redbutton.experiments.study_file import StudyFile
from redbutton.experiments.trial_folder import TrialFolder

LOCK = ".lock"


class RunFolder(TrialFolder):
    """One run on disk. Made by ``create``, ``resume`` or, for reading, ``open``."""

    def __init__(self, path: Path, study: Study) -> None:
        super().__init__(path)
        self.study = study

    @classmethod
    def create(cls, path: Path, study: Study) -> RunFolder:
        """Make a new run in a new or empty folder. Raises ``FolderError`` or ``StorageError``."""
        check_place(path, resume=False)
        run = cls(path, study)
        with _storage(path):
            run.trials.mkdir(parents=True)
        run.write("study.yaml", study.text.encode())
        run._session()
        return run

    @classmethod
    def resume(cls, path: Path, study: Study) -> RunFolder:
        """Go on with a run: the study must be the same. Moves unfinished trials to ``interrupted/``."""
        check_place(path, resume=True)
        if not (path / "study.yaml").exists():
            with contextlib.suppress(FileNotFoundError):
                (path / "trials").rmdir()
            return cls.create(path, study)
        run = cls.open(path)
        if found := differences(run.study.document, study.document):
            raise FolderError(
                f"--resume needs the study that the folder was started with. Received another in {found}. "
                "Give another --out."
            )
        with _storage(path):
            run.trials.mkdir(exist_ok=True)
            run.scan()
            run._sweep()
        run._session()
        return run

    @classmethod
    def open(cls, path: Path) -> RunFolder:
        """Open a run for reading. Raises ``FolderError`` when there is none."""
        if not (path / "study.yaml").is_file():
            raise FolderError(
                f"a run folder has a study.yaml. Received {str(path)!r}. Give the folder that `redbutton run` made."
            )
        return cls(path, load_study(path / "study.yaml"))

    def scan(self) -> list[str]:
        """Read the rows of all finished trials; returns the ids of the study's trials that are missing."""
        specs = self.study.trials()
        for spec in specs:
            row = self.read_row(spec)
            if row is not None:
                self.rows[spec.trial] = row
        return [spec.trial for spec in specs if spec.trial not in self.rows]

    def ordered_rows(self) -> list[OutcomeRow]:
        """The rows read so far in the study's order, whatever order they finished in."""
        return [self.rows[s.trial] for s in self.study.trials() if s.trial in self.rows]

    def _sweep(self) -> None:
        for trial in sorted({p.name.removesuffix(".jsonl") for p in self.trials.iterdir()}):
            if trial not in self.rows:
                self.set_aside(trial)

    def write(self, name: str, data: bytes) -> None:
        """Write one file of the folder so that it is whole or absent, never half."""
        self.write_with(name, lambda path: path.write_bytes(data))

    def write_with(self, name: str, fill: Callable[[Path], object]) -> None:
        """Let ``fill`` write a temporary file, then put it in place at once. Raises ``StorageError``."""
        temporary = self.path / f".{name}.{os.getpid()}.tmp"
        with _storage(self.path / name):
            try:
                fill(temporary)
                with temporary.open("rb+") as file:
                    os.fsync(file.fileno())
                temporary.replace(self.path / name)
            finally:
                temporary.unlink(missing_ok=True)

    def _session(self) -> None:
        """Note in ``run.json`` that a runner began to work here."""
        facts = self._facts()
        session = {
            "started": datetime.now(timezone.utc).isoformat(timespec="seconds"),
            "finished_before": len(self.rows),
        }
        session |= {"versions": versions(), "git": git_revision(), "machine": machine()}
        sessions = [*facts.pop("sessions", []), session]
        facts |= {
            "schema": 1,
            "study": self.study.name,
            "controllers": list(self.study.controllers),
            "seeds": list(self.study.seeds),
        }
        facts |= {"conditions": [c.label for c in self.study.conditions], "trials": len(self.study.trials())}
        first = sessions[0]
        facts |= {key: first.get(key) for key in ("started", "versions", "git", "machine")}
        self.write("run.json", json.dumps({**facts, "sessions": sessions}, indent=2).encode() + b"\n")

    def note_models(self, models: Mapping[str, Mapping[str, Any]]) -> None:
        """Note in ``run.json`` which models this session's controllers have: names, windows, digests."""
        facts = self._facts()
        if models and facts.get("sessions"):
            facts["sessions"][-1]["models"] = facts["models"] = {name: dict(about) for name, about in models.items()}
            self.write("run.json", json.dumps(facts, indent=2).encode() + b"\n")

    def note_robot(self, robot: str) -> None:
        """Note in ``run.json`` what the trials run on. Raises ``FolderError`` when earlier ones ran on another."""
        facts = self._facts()
        before = facts.get("robot", robot)
        if before != robot and self.rows:
            raise FolderError(
                f"a run stays with its robot. Received {robot!r} where {len(self.rows)} trials ran on {before!r}. "
                "Give another --out."
            )
        facts["robot"] = robot
        self.write("run.json", json.dumps(facts, indent=2).encode() + b"\n")

    def note_preregistration(self, facts: Mapping[str, Any]) -> None:
        """Note in ``run.json`` which preregistration the run was started with, and whether its study still agrees."""
        self.write("run.json", json.dumps({**self._facts(), "preregistration": dict(facts)}, indent=2).encode() + b"\n")

    def preregistration(self) -> dict[str, Any] | None:
        """What ``run.json`` says of a preregistration; ``None`` for a run without one."""
        facts = self._facts().get("preregistration")
        return facts if isinstance(facts, dict) else None

    def _facts(self) -> dict[str, Any]:
        try:
            facts = json.loads((self.path / "run.json").read_bytes())
        except (OSError, ValueError):
            return {}
        return facts if isinstance(facts, dict) and isinstance(facts.get("sessions", []), list) else {}


def write_outcomes(run: RunFolder, rows: Sequence[OutcomeRow] | None = None) -> None:
    """Write ``outcomes.parquet`` at once, from the rows read so far unless others are given."""
    chosen = run.ordered_rows() if rows is None else rows
    run.write_with("outcomes.parquet", lambda path: write_parquet(chosen, path))


def read_outcomes(run: RunFolder | Path) -> list[OutcomeRow]:
    """The rows in a run's ``outcomes.parquet``. Raises ``RecordError``."""
    return read_parquet((run.path if isinstance(run, RunFolder) else run) / "outcomes.parquet")


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the folder for this process, making it when needed. The lock goes with the process, however that ends."""
    with _storage(path):
        path.mkdir(parents=True, exist_ok=True)
        fd = os.open(path / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        with _storage(path):
            _take(fd, path)
        yield
    finally:
        os.close(fd)


def _take(fd: int, path: Path) -> None:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = os.pread(fd, 20, 0).decode(errors="replace").strip() or "unknown"
        raise FolderError(
            f"one runner at a time works in a run folder. Received {str(path)!r}, where process {holder} is at work. "
            "Wait for it, or give another --out."
        ) from None
    os.ftruncate(fd, 0)
    os.pwrite(fd, f"{os.getpid()}\n".encode(), 0)


@contextlib.contextmanager
def _storage(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as exc:
        if exc.errno in (errno.EEXIST, errno.ENOTDIR):
            raise FolderError(
                f"a run lives in a folder. Received {str(path)!r} ({exc.strerror}). Give another --out."
            ) from None
        raise storage_error(path, exc) from None


def check_place(path: Path, *, resume: bool) -> None:
    """Refuse a folder that a run cannot use, without touching it. Raises ``FolderError``."""
    with _storage(path):
        content = set(_content(path)) if path.is_dir() else set()
    if not resume and content:
        raise FolderError(
            f"a new run needs a new or empty folder. Received {str(path)!r}. "
            "Give another --out, or --resume to go on with the run there."
        )
    # A runner killed before it wrote its study leaves nothing but an empty trials/.
    unborn = content <= {"trials"} and not any((path / "trials").glob("*"))
    if resume and (not path.is_dir() or not ("study.yaml" in content or unborn)):
        raise FolderError(
            f"--resume goes on with a run folder. Received {str(path)!r}, which is none. Leave --resume out."
        )


def _content(path: Path) -> list[str]:
    return [p.name for p in path.iterdir() if p.name != LOCK and not p.name.endswith(".tmp")]


def differences(there: StudyFile, here: StudyFile) -> str:
    """Where two studies differ, in words; empty when they ask for the same trials."""
    found = list(each_difference("", there.model_dump(mode="json"), here.model_dump(mode="json")))
    more = f" and {len(found) - 3} more" if len(found) > 3 else ""
    return "; ".join(found[:3]) + more


def each_difference(place: str, there: Any, here: Any) -> Iterator[str]:
    """Where two plain values differ, one line each; ``place`` stands before every place in them."""
    if isinstance(there, dict) and isinstance(here, dict):
        for key in dict.fromkeys([*there, *here]):
            yield from each_difference(
                f"{place}.{key}" if place else str(key), there.get(key, "(absent)"), here.get(key, "(absent)")
            )
    elif isinstance(there, list) and isinstance(here, list) and len(there) == len(here):
        for number, (a, b) in enumerate(zip(there, here, strict=True)):
            yield from each_difference(f"{place}[{number}]", a, b)
    elif there != here:
        yield f"{place}: {short(there)} there, {short(here)} here"
