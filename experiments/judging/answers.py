"""The answers of judges, kept line by line in ``judge_answers.jsonl`` of a run, so that none is asked for twice."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from redbutton.experiments.events import encode, storage_error

ANSWERS = "judge_answers.jsonl"


class AnswerFile:
    """Question to answer for one judge; a context manager. Answers of other judges in the file stay there.

    A judge is the same when its name, model, digest and prompt are. A torn line, as a killed process leaves, is
    passed over.
    """

    def __init__(self, run_dir: Path, judge: Mapping[str, Any]) -> None:
        self._path = run_dir / ANSWERS
        self._judge = {key: judge[key] for key in ("name", "model", "digest", "prompt_sha256")}
        self._known = dict(self._read())
        self._fd = -1

    def __enter__(self) -> AnswerFile:
        try:
            torn = self._path.exists() and not self._path.read_bytes().endswith(b"\n")
            self._fd = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)
            if torn:
                os.write(self._fd, b"\n")
        except OSError as error:
            raise storage_error(self._path, error) from None
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        os.close(self._fd)

    def get(self, question: str) -> str | None:
        """The answer to a question, if it was asked before."""
        return self._known.get(_key(question))

    def add(self, question: str, answer: str) -> None:
        """Keep one answer. Raises ``StorageError`` when the disk refuses."""
        line = {**self._judge, "asked_sha256": _key(question), "question": question, "answer": answer}
        data = memoryview(encode(line))
        try:
            while data:
                data = data[os.write(self._fd, data) :]
        except OSError as error:
            raise storage_error(self._path, error) from None
        self._known[_key(question)] = answer

    def _read(self) -> dict[str, str]:
        if not self._path.exists():
            return {}
        found: dict[str, str] = {}
        with self._path.open("rb") as lines:
            for line in lines:
                entry = _entry(line)
                if all(entry.get(key) == value for key, value in self._judge.items()):
                    found[str(entry.get("asked_sha256"))] = str(entry.get("answer"))
        return found


def _entry(line: bytes) -> dict[str, Any]:
    try:
        entry = json.loads(line)
    except (ValueError, RecursionError):
        return {}
    return entry if isinstance(entry, dict) else {}


def _key(question: str) -> str:
    return hashlib.sha256(question.encode()).hexdigest()
