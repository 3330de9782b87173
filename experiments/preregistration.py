"""Preregistration: a study fixed in a file before its first trial, and a run checked against it.

The file holds the study as plain values, its canonical SHA-256, a digest of the wordings that prompts are made of, the
analysis plan with its defaults spelled out, versions, date and the number of trials. A run that names it keeps a copy
and says in ``run.json`` whether its study is the registered one, and where it differs.

CAVEAT: the date is this machine's. Who wants to prove it to others deposits the file, or its SHA-256, with a third
party.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from importlib import resources
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict, StrictInt, ValidationError

from redbutton.experiments.errors import FolderError, StudyError, one_line, short
from redbutton.experiments.expected_power import expected_power
from redbutton.experiments.machine import git_revision, versions
from redbutton.experiments.run_folder import RunFolder, each_difference
from redbutton.experiments.study import Study
from redbutton.experiments.study_file import StudyFile, dump, field_path
from redbutton.robots.plain_yaml import load_yaml

COPY = "preregistration.yaml"
"""Name of the copy in a run folder."""
MAX_BYTES = 10_000_000
_WRITE_ONE = "`redbutton preregister STUDY --out FILE` writes one."


class _Registered(BaseModel):
    """What is read back from a preregistration; the rest of the file is for people."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    preregistration: StrictInt
    date: str
    study_sha256: str
    prompts_sha256: str
    study: dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Preregistration:
    """A preregistration file, read and found whole."""

    name: str
    data: bytes
    date: str
    study_sha256: str
    prompts_sha256: str
    study: StudyFile

    def facts(self, study: Study) -> dict[str, Any]:
        """What ``run.json`` says: which file, and whether ``study`` is the registered one."""
        there, here = self.study.model_dump(mode="json"), study.document.model_dump(mode="json")
        found = list(each_difference("", there, here))
        if self.prompts_sha256 != prompts_sha256():
            found.append("the wordings of the prompts are others")
        return {
            "file": self.name,
            "sha256": hashlib.sha256(self.data).hexdigest(),
            "date": self.date,
            "study_sha256": self.study_sha256,
            "matches": not found,
            "differences": found,
        }


def study_sha256(document: StudyFile) -> str:
    """SHA-256 of a study's values: comments, order of keys and defaults spelled out make no difference."""
    plain = document.model_dump(mode="json", exclude_defaults=True)
    return hashlib.sha256(json.dumps(plain, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def prompts_sha256() -> str:
    """SHA-256 over the data files that prompts are made of, by name."""
    digest = hashlib.sha256()
    folder = resources.files("redbutton.llm_controller.prompts")
    for file in sorted((f for f in folder.iterdir() if f.name.endswith(".yaml")), key=lambda f: f.name):
        data = file.read_bytes()
        digest.update(f"{file.name} {len(data)}\n".encode() + data)
    return digest.hexdigest()


def preregister(study: Study, rates: Mapping[str, float]) -> str:
    """The text of a preregistration of ``study``. ``rates``: expected rate by condition, for the power of comparisons.

    Raises ``StudyError`` for a rate of a condition that the study does not have.
    """
    return dump(
        {
            "preregistration": 1,
            "date": datetime.now(timezone.utc).isoformat(timespec="seconds"),
            "study_sha256": study_sha256(study.document),
            "prompts_sha256": prompts_sha256(),
            "trials": len(study.trials()),
            "versions": versions(),
            "git": git_revision(),
            "analysis": study.document.analysis.model_dump(mode="json"),
            "expected_rates": dict(rates),
            "power": expected_power(study, rates),
            "study": study.document.model_dump(mode="json", exclude_defaults=True),
        }
    )


def read_preregistration(path: Path) -> Preregistration:
    """Read a preregistration. Raises ``StudyError`` for what is none and for one whose study was changed in it."""
    try:
        if path.stat().st_size > MAX_BYTES:
            raise ValueError(f"more than {MAX_BYTES:,} bytes")
        data = path.read_bytes()
        read = _Registered.model_validate(load_yaml(data.decode("utf-8")))
        study = StudyFile.model_validate(read.study)
    except ValidationError as exc:
        first = exc.errors(include_url=False)[0]
        raise _no_preregistration(path, f"{field_path(first['loc'])}: {one_line(first['msg'])}") from None
    except (OSError, ValueError, RecursionError, yaml.YAMLError) as exc:
        raise _no_preregistration(path, one_line(str(exc))) from None
    if read.preregistration != 1:
        raise _no_preregistration(path, f"version {read.preregistration}")
    if study_sha256(study) != read.study_sha256:
        raise StudyError(
            f"a preregistration stays as it was written. Received {str(path)!r}, whose study is not the one of its "
            "study_sha256. Give the original file."
        )
    fields = {"date": read.date, "study_sha256": read.study_sha256, "prompts_sha256": read.prompts_sha256}
    return Preregistration(name=path.name, data=data, study=study, **fields)


def _no_preregistration(path: Path, why: str) -> StudyError:
    return StudyError(f"a preregistration is a YAML file. Received {str(path)!r} ({short(why)}). {_WRITE_ONE}")


def attach(run: RunFolder, given: Preregistration | None) -> None:
    """Check a run against its preregistration: the one given, or the copy that it was started with.

    Raises ``FolderError`` for another one than the run was started with, and for one that comes after the first trial.
    """
    before = run.preregistration()
    kept = None
    if before is not None:
        kept = read_preregistration(run.path / COPY)
        if kept.facts(run.study)["sha256"] != before.get("sha256"):
            raise FolderError(
                f"a run keeps the preregistration that it was started with. Received another in "
                f"{str(run.path / COPY)!r}. Put the original back."
            )
    if given and before and kept and given.data != kept.data:
        raise FolderError(
            f"a run stays with its preregistration. Received {given.name!r} where the run has {before['file']!r} of "
            f"{kept.date}. Leave --preregistration out, or give another --out."
        )
    if given is not None and kept is None and run.rows:
        raise FolderError(
            f"a preregistration comes before the first trial. Received {given.name!r} where {len(run.rows)} trials "
            "have finished. Leave --preregistration out, or give another --out."
        )
    if chosen := given or kept:
        run.write(COPY, chosen.data)
        facts = chosen.facts(run.study)
        run.note_preregistration({**facts, "file": before["file"]} if before else facts)
