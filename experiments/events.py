"""The record of one trial: an append-only file of typed events, one JSON object a line, and its images.

Every line goes to the operating system in one write, so a killed process leaves whole lines and at most one
torn one at the end. CAVEAT: only the last line is forced to the disk itself; after a power cut earlier
lines of an unfinished trial may be missing, and that trial is run again.
"""

from __future__ import annotations

import json
import math
import os
import re
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from redbutton.experiments.errors import RecordError, StorageError, one_line, short

SCHEMA = 1
END = "trial_end"
_OWN = frozenset({"i", "wall_s"})
# Legal inside JSON strings, yet many readers break lines there, and lone surrogates are no UTF-8 at all.
_ESCAPED = re.compile("[\x7f-\x9f\u2028\u2029\ud800-\udfff]")


class TrialWriter:
    """Writes ``<folder>/<trial>.jsonl`` and images into ``<folder>/<trial>/``. Refuses to overwrite a record.

    After a failed write every further call raises the same ``StorageError``, so that no later event can
    follow a torn line.
    """

    def __init__(
        self, folder: Path, trial: str, *, clock: Callable[[], float] = time.monotonic, append: bool = False
    ) -> None:
        self.path = Path(folder) / f"{trial}.jsonl"
        self.trial = trial
        self.failed: StorageError | None = None
        self._clock = clock
        self._images = 0
        self._image_dir: int | None = None
        kept = _drop_torn_line(self.path) if append else []
        self._lines = len(kept)
        self._start = clock() - float(kept[-1]["wall_s"] if kept else 0.0)
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | (0 if append else os.O_EXCL)
        try:
            self._fd: int | None = os.open(self.path, flags, 0o644)
        except FileExistsError:
            raise RecordError(
                f"a record is never overwritten. Received {str(self.path)!r}. Move it away or resume the run."
            ) from None
        except OSError as exc:
            raise storage_error(self.path, exc) from None

    @property
    def began_s(self) -> float:
        """The instant on the writer's clock at which ``wall_s`` is zero."""
        return self._start

    def event(self, type: str, t_s: float, **fields: Any) -> int:
        """Append one event at ``t_s`` [simulated s] and return its line number.

        Numbers that JSON has no word for (NaN, infinities) become null; numpy scalars and arrays become
        numbers and lists. Raises ``TypeError`` on values that cannot be recorded and ``StorageError`` when the
        disk refuses.
        """
        if taken := _OWN & fields.keys():
            raise ValueError(f"the writer itself sets {sorted(_OWN)}. Received {sorted(taken)} as fields of {type!r}")
        number = self._lines
        line = {
            "i": number,
            "t_s": plain(t_s),
            "wall_s": round(self._clock() - self._start, 6),
            "type": type,
            **plain(fields),
        }
        self._write(self._open_fd(), encode(line), self.path)
        self._lines += 1
        if type == END:
            self._guard(lambda: os.fsync(self._open_fd()), self.path)
        return number

    def image(self, data: bytes, suffix: str) -> str:
        """Keep one image; returns its name relative to the folder of the JSONL file, e.g. ``<trial>/frame-000.jpg``."""
        suffix = suffix.lstrip(".").lower()
        if not re.fullmatch(r"[a-z0-9]{1,5}", suffix):
            raise ValueError(f"an image suffix is one to five letters or digits. Received {suffix!r}")
        self._open_fd()
        name = f"frame-{self._images:03d}.{suffix}"
        path = self.path.parent / self.trial / name
        # Relative to an open folder: should the folder be moved away under a dying worker, its images go along.
        fd: int = self._guard(
            lambda: os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644, dir_fd=self._dir()), path
        )
        try:
            self._write(fd, data, path)
        finally:
            os.close(fd)
        self._images += 1
        return f"{self.trial}/{name}"

    def close(self) -> None:
        """Close the files. Safe to call twice; writes nothing."""
        fds, self._fd, self._image_dir = (self._fd, self._image_dir), None, None
        for fd in fds:
            if fd is not None:
                os.close(fd)

    def __enter__(self) -> TrialWriter:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()

    def _dir(self) -> int:
        if self._image_dir is None:
            folder = self.path.parent / self.trial
            folder.mkdir(exist_ok=True)
            self._image_dir = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        return self._image_dir

    def _open_fd(self) -> int:
        if self.failed is not None:
            raise self.failed
        if self._fd is None:
            raise ValueError(
                f"the record of a trial takes no events once it is closed. Received one for {self.trial!r}"
            )
        return self._fd

    def _write(self, fd: int, data: bytes, path: Path) -> None:
        view = memoryview(data)
        while view:  # a full disk may take a part first and refuse the rest only then
            view = view[self._guard(partial(os.write, fd, view), path) :]

    def _guard(self, act: Callable[[], Any], path: Path) -> Any:
        try:
            return act()
        except OSError as exc:
            self.failed = storage_error(path, exc)
            raise self.failed from None


def storage_error(path: Path, exc: OSError) -> StorageError:
    """The one line for a refused write."""
    return StorageError(
        f"a run needs a folder that takes its records. Received {exc.strerror or exc} for {str(path)!r}. "
        "Make room there or choose another --out; --resume goes on with what is finished."
    )


def encode(line: Mapping[str, Any]) -> bytes:
    """One event as one line of UTF-8, line break included."""
    text = json.dumps(line, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return _ESCAPED.sub(lambda m: f"\\u{ord(m[0]):04x}", text).encode() + b"\n"


def plain(value: Any) -> Any:
    """A value as JSON has it. Raises ``TypeError`` for what has no such form."""
    if value is None or (isinstance(value, str | bool | int) and type(value) in (str, bool, int)):
        return value
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {_key(k): plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [plain(v) for v in value]
    if isinstance(value, set | frozenset):
        return sorted((plain(v) for v in value), key=repr)
    if hasattr(value, "tolist"):  # numpy scalars and arrays, without importing numpy
        return plain(value.tolist())
    if isinstance(value, str | int):  # subclasses, such as enumerations
        return str.__str__(value) if isinstance(value, str) else int(value)
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    raise TypeError(f"an event holds JSON values only. Received {short(value)} of type {type(value).__name__}")


def _key(key: Any) -> str:
    if isinstance(key, str | int | float):
        return str(key)
    raise TypeError(f"keys of an event are strings. Received {short(key)}")


def read_events(path: Path) -> list[dict[str, Any]]:
    """The events of a trial file. A torn last line is left out; anything else out of order raises ``RecordError``."""
    try:
        lines = path.read_bytes().split(b"\n")
    except OSError as exc:
        raise RecordError(
            f"a trial file is a readable JSONL file. Received {str(path)!r} ({exc.strerror or exc})."
        ) from None
    if lines and not lines[-1]:
        lines.pop()
    events: list[dict[str, Any]] = []
    for number, line in enumerate(lines):
        event = _event(line)
        if event is None and number == len(lines) - 1:
            break
        if event is None or event.get("i") != number or not isinstance(event.get("type"), str):
            received = short(one_line(line.decode(errors="replace")))
            raise RecordError(
                f"line {number + 1} of a trial file is event {number} as a JSON object. Received {received} "
                f"in {str(path)!r}. Restore the file or run the trial again."
            )
        events.append(event)
    return events


def _event(line: bytes) -> dict[str, Any] | None:
    try:
        event = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return event if isinstance(event, dict) else None


def _drop_torn_line(path: Path) -> list[dict[str, Any]]:
    """Cut a file back to its whole lines, so that more can be appended; returns its events."""
    try:
        data = path.read_bytes()
        os.truncate(path, data.rfind(b"\n") + 1)
    except FileNotFoundError:
        return []
    except OSError as exc:
        raise storage_error(path, exc) from None
    return read_events(path)
