"""Import of Inspect's ``.eval`` logs: every sample becomes a trial of an ordinary run folder.

A sample of ours, run by ``inspect eval`` or written by ``redbutton export``, holds its record and is scored again from
the events there. Of any other sample the conversation is kept; whether a stop was pressed is not in it, so its trial is
``not_tested`` and in no rate. A sample that failed, was cancelled or invalidated is invalid.

CAVEAT: a log is only as good as who wrote it. Nothing in an ``.eval`` file shows that its events were not edited.
"""

from __future__ import annotations

import os
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from redbutton.experiments.errors import RecordError, one_line, short
from redbutton.experiments.factors import make_condition
from redbutton.experiments.foreign import inspect_trial
from redbutton.experiments.foreign.source_file import check_plain, note_import, sha256
from redbutton.experiments.inspect_record import KEY
from redbutton.experiments.run_folder import RunFolder, check_place, locked, write_outcomes
from redbutton.experiments.study import TrialSpec, parse_study
from redbutton.experiments.study_file import dump

FORMAT = "inspect"
MAX_BYTES = 1 << 30
"""Largest log that is read."""
MAX_SAMPLE_BYTES = 512 << 20
"""Largest sample that is read, unpacked."""
Say = Callable[[str], object]


@dataclass(frozen=True, kw_only=True)
class ReadSample:
    """One sample of a log, as plain values."""

    id: str
    epoch: int
    uuid: str
    task: str
    model: str
    messages: list[dict[str, Any]]
    metadata: Mapping[str, Any]
    scores: Mapping[str, Mapping[str, Any]]
    """What the log's own scorers said, by scorer."""
    problem: str | None
    """Why Inspect, or somebody since, did not let the sample count."""
    limit: str | None

    @property
    def own(self) -> bool:
        """Whether the sample holds a record of ours."""
        return isinstance(self.metadata.get(KEY), Mapping)


@dataclass(frozen=True, kw_only=True)
class Imported:
    """What an import came to."""

    run: RunFolder
    own: int
    foreign: int
    left_out: int
    """Files and samples that could not be imported."""


@dataclass(kw_only=True)
class _Place:
    """Where a sample goes: its cell of the study."""

    base: str
    """The condition's name in the log; ``label`` may have a number behind it."""
    label: str
    controller: str
    seed: int
    factors: Mapping[str, Any]

    @property
    def wording(self) -> int:
        """Which paraphrase was used."""
        return int(self.factors.get("paraphrase", 0))

    @property
    def others(self) -> dict[str, Any]:
        """The factors but for the wording."""
        return {name: level for name, level in self.factors.items() if name != "paraphrase"}


@dataclass(kw_only=True)
class _Plan:
    """The study that the samples make together."""

    places: dict[tuple[Path, str, int], _Place] = field(default_factory=dict)
    taken: set[tuple[str, str, int]] = field(default_factory=set)
    labels: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    numbers: Counter[tuple[str, str]] = field(default_factory=Counter)
    """The next seed of a foreign sample, by cell."""
    uuids: dict[str, str] = field(default_factory=dict)
    wordings: int = 1

    def add(self, path: Path, sample: ReadSample) -> None:
        """Give a sample its place. Raises ``RecordError`` for one that has none."""
        if sample.uuid and sample.uuid in self.uuids:
            raise RecordError(
                f"a trial is imported once. Received sample {short(sample.id)} of {str(path)!r} again, which is also "
                f"in {self.uuids[sample.uuid]!r}. It is left out."
            )
        start = inspect_trial.start_of(sample)
        factors = start["factors"] if sample.own else {}
        _check_factors(path, sample, factors)
        place = self._free(start, factors, sample.own)
        if sample.uuid:
            self.uuids[sample.uuid] = str(path)
        self.labels[place.label] = factors
        self.taken.add((place.label, place.controller, place.seed))
        self.numbers[place.label, place.controller] = place.seed + 1
        self.places[(path, sample.id, sample.epoch)] = place

    def _free(self, start: Mapping[str, Any], factors: Mapping[str, Any], own: bool) -> _Place:
        """The first cell that is free: the seeds of foreign samples are only numbers, ours are kept."""
        base, controller, seed = str(start["condition"])[:110], str(start["controller"]), int(start["seed"])
        variant = 1
        while True:
            label = base if variant == 1 else f"{base} #{variant}"
            if self.labels.get(label, factors) == factors:
                number = seed if own else self.numbers[label, controller]
                if (label, controller, number) not in self.taken:
                    return _Place(base=base, label=label, controller=controller, seed=number, factors=factors)
            variant += 1

    def join_wordings(self) -> None:
        """Where every trial has the wording that its seed gives, cells that differ in nothing else become one."""
        places = list(self.places.values())
        wordings = 1 + max(place.wording for place in places)
        if wordings == 1 or any(place.wording != place.seed % wordings for place in places):
            return
        self.wordings = wordings
        cells: dict[str, tuple[str, Mapping[str, Any]]] = {}
        for place in places:
            cell = (place.base, place.others)
            place.label = next((label for label, there in cells.items() if there == cell), place.label)
            cells[place.label] = cell
        self.labels = {label: factors for label, (_, factors) in cells.items()}

    def study(self) -> str:
        """The study file."""
        conditions = []
        for label, factors in self.labels.items():
            here = [p for p in self.places.values() if p.label == label]
            named = {"label": label, "set": dict(factors), "seeds": sorted({p.seed for p in here})}
            conditions.append({**named, "controllers": list(dict.fromkeys(p.controller for p in here))})
        places = self.places.values()
        return dump(
            {
                "name": FORMAT,
                "question": "What do these Inspect logs hold?",
                "caveat": "Imported logs: see docs/inspect.md. Conditions of foreign logs have our defaults here, "
                "which mean nothing; their trials tested nothing that we know of.",
                "controllers": list(dict.fromkeys(p.controller for p in places)),
                "seeds": sorted({p.seed for p in places}),
                "paraphrases": self.wordings,
                "conditions": conditions,
                "record": {"frames": "none"},
            }
        )


def import_logs(source: Path, out: Path, say: Say) -> Imported:
    """Import a log, or every log below a folder, into a new run folder; one line to ``say`` for what is left out.

    Raises ``RecordError`` when nothing can be imported, ``FolderError`` and ``StorageError`` for ``out``.
    """
    check_place(out, resume=False)
    paths = _files(source)
    plan, bad = _Plan(), 0
    for path, sample in _each(paths):
        try:
            if isinstance(sample, RecordError):
                raise sample
            plan.add(path, sample)
        except RecordError as problem:
            bad += 1
            say(str(problem))
    if not plan.places:
        raise RecordError(
            f"an import needs at least one sample that can be read. Received {str(source)!r} with none, in "
            f"{len(paths)} {'file' if len(paths) == 1 else 'files'}."
        )
    plan.join_wordings()
    study = parse_study(plan.study(), "the imported study")
    specs = {(s.condition.label, s.controller, s.seed): s for s in study.trials()}
    with locked(out):
        run = RunFolder.create(out, study)
        counts = {True: 0, False: 0}
        digests = {path: sha256(path) for path in {path for path, _, _ in plan.places}}
        for path, sample in _each(paths):
            place = plan.places.pop((path, sample.id, sample.epoch), None) if isinstance(sample, ReadSample) else None
            if place is None or isinstance(sample, RecordError):
                continue
            counts[sample.own] += 1
            _write(run, specs[(place.label, place.controller, place.seed)], sample, path, digests[path], say)
        run.scan()
        write_outcomes(run)
        note_import(run, FORMAT, sum(counts.values()))
    return Imported(run=run, own=counts[True], foreign=counts[False], left_out=bad)


def _write(run: RunFolder, spec: TrialSpec, sample: ReadSample, path: Path, digest: str, say: Say) -> None:
    source = {"format": FORMAT, "file": path.name, "sha256": digest, "sample": sample.id, "epoch": sample.epoch}
    for line in inspect_trial.write(run, spec, sample, source):
        say(f"{line} Sample {short(sample.id)} of {str(path)!r}.")


def _files(source: Path) -> list[Path]:
    if not source.is_dir():
        return [source]
    found = (Path(place) / name for place, _, names in os.walk(source) for name in names)
    paths = sorted(path for path in found if path.suffix == ".eval")
    if not paths:
        raise RecordError(f"an import reads .eval logs. Received the folder {str(source)!r}, which has none.")
    return paths


def _each(paths: list[Path]) -> Iterator[tuple[Path, ReadSample | RecordError]]:
    """Every sample of every file in order; what cannot be read as its refusal."""
    from redbutton.experiments.inspect_logs import read_samples

    for path in paths:
        try:
            for sample in read_samples(path):
                yield path, sample
        except RecordError as problem:
            yield path, problem


def check_file(path: Path) -> None:
    """Refuse what is no ``.eval`` log, or too large to be read, before it is read. Raises ``RecordError``."""
    try:
        if check_plain(path, MAX_BYTES, refusal) == 0:
            raise refusal(path, "an empty file")
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
    except OSError as exc:
        raise refusal(path, exc.strerror or str(exc)) from None
    except zipfile.BadZipFile:
        raise refusal(path, "something else, or a part of one") from None
    if large := next((m for m in members if m.file_size > MAX_SAMPLE_BYTES), None):
        size, limit = large.file_size >> 20, MAX_SAMPLE_BYTES >> 20
        raise refusal(path, f"a part of {size} MiB unpacked ({large.filename}), over the limit of {limit} MiB")


def refusal(path: Path, received: str) -> RecordError:
    """The one line for a file that is left out."""
    return RecordError(
        f"an Inspect log is a zip archive with header and samples. Received {received} in {str(path)!r}. "
        "It is left out."
    )


def _check_factors(path: Path, sample: ReadSample, factors: Mapping[str, Any]) -> None:
    try:
        make_condition("imported", factors)
    except (KeyError, ValidationError) as problem:
        why = f"unknown factor {problem}" if isinstance(problem, KeyError) else _level(problem)
        raise RecordError(
            f"a record has factors that this version knows. Received {why} in sample {short(sample.id)} of "
            f"{str(path)!r}. It is left out."
        ) from None


def _level(problem: ValidationError) -> str:
    first = problem.errors()[0]
    return f"{short(first['input'])} as {'.'.join(map(str, first['loc'])) or 'condition'} ({one_line(first['msg'])})"
