"""Reading trial files: every event of one, or only what its row and its pictures need.

Ten thousand records are mostly transcript. ``skim`` looks at every line, yet spells out only those that count. The
others must carry the runner's own opening (``{"i":7,"t_s":…,"wall_s":…,"type":"…"``) with the right number, and a
closing brace, or they are spelled out too. CAVEAT: bytes damaged inside such a line are found by ``iter_events``
alone.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from io import BufferedReader
from pathlib import Path
from typing import Any

from redbutton.experiments.errors import RecordError
from redbutton.experiments.events import END

MAX_LINE_BYTES = 64 * 1024 * 1024
TORN = "torn_line"

_OPENING = re.compile(rb'\{"i":(\d+),"t_s":(?:null|-?[\d.e+-]+),"wall_s":-?[\d.e+-]+,"type":"([a-z_]+)"[,}]')
_ROW = frozenset({b"trial_start", b"outcome", END.encode()})
_PICTURES = frozenset({b"frame", b"observation"})
_SKIPPED = "skipped"


class UnreadableTrialError(RecordError):
    """Raised when a trial file cannot be trusted; the message says why."""


@dataclass(frozen=True, kw_only=True)
class Skim:
    """The events of a trial file that its row is made of, and what else is worth knowing at first sight."""

    first: Mapping[str, Any]
    outcome: Mapping[str, Any] | None
    """The last one: a worker that died after scoring is closed by the runner with an invalid outcome."""
    end: Mapping[str, Any] | None
    """``None`` unless it is the last whole line."""
    images: tuple[str, ...]
    """Names of the image files that the events mention, in order, each once."""
    torn: bool
    """Whether half a line follows, as a runner leaves it that is killed while writing."""

    @property
    def events(self) -> list[Mapping[str, Any]]:
        """What ``row_from_events`` needs."""
        return [event for event in (self.first, self.outcome, self.end) if event is not None]


def iter_events(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the events of one trial file, in order.

    A torn last line, as a runner leaves that is killed while writing, becomes an event of type ``torn_line``.
    Raises ``UnreadableTrialError`` for any other line that is no event, and ``OSError`` from the file system.
    """
    return _read(path, None)


def skim(path: Path, *, pictures: bool = True) -> Skim:
    """Read what a row is made of, and with ``pictures`` the names of the images.

    Raises as ``iter_events`` does, and ``UnreadableTrialError`` for an empty file.
    """
    first: dict[str, Any] | None = None
    outcome: dict[str, Any] | None = None
    last: dict[str, Any] | None = None
    images: dict[str, None] = {}
    torn = False
    for event in _read(path, _ROW | _PICTURES if pictures else _ROW):
        first = first or event
        torn = event["type"] == TORN
        last = last if torn else event
        outcome = event if event["type"] == "outcome" else outcome
        images.update(dict.fromkeys(_image_names(event)))
    if first is None:
        raise UnreadableTrialError("it holds no event")
    end = last if last is not None and last["type"] == END else None
    return Skim(first=first, outcome=outcome, end=end, images=tuple(images), torn=torn)


def _read(path: Path, wanted: frozenset[bytes] | None) -> Iterator[dict[str, Any]]:
    """Events in order: all, or those of the ``wanted`` types and, where others end the file, a mark that they do."""
    torn, skipped = "", False
    with path.open("rb") as lines:
        for number, line in enumerate(_bounded(lines)):
            if torn:
                raise UnreadableTrialError(torn)
            if skipped := wanted is not None and number > 0 and _skippable(line, number, wanted):
                continue
            if len(line) > MAX_LINE_BYTES:
                raise UnreadableTrialError(f"line {number} is longer than {MAX_LINE_BYTES // 2**20} MiB")
            event = _parse(line, number)
            if event is None:
                torn = f"line {number} is not event {number} as a JSON object with a type"
            else:
                yield event
    if torn or skipped:
        yield {"type": TORN, "text": torn} if torn else {"type": _SKIPPED}


def _bounded(lines: BufferedReader) -> Iterable[bytes]:
    """Lines, none longer than just too long: a file without a line break must not fill the memory."""
    if os.fstat(lines.fileno()).st_size <= MAX_LINE_BYTES:
        return lines
    return iter(partial(lines.readline, MAX_LINE_BYTES + 1), b"")


def _skippable(line: bytes, number: int, wanted: frozenset[bytes]) -> bool:
    opening = _OPENING.match(line)
    if opening is None or int(opening[1]) != number or not line.endswith(b"}\n"):
        return False
    kind = opening[2]
    return kind not in wanted or (kind == b"observation" and b'"image":null' in line)


def _parse(line: bytes, number: int) -> dict[str, Any] | None:
    try:
        event = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if isinstance(event, dict) and isinstance(event.get("type"), str) and event.get("i") == number:
        return event
    return None


def _image_names(event: Mapping[str, Any]) -> Iterator[str]:
    key = {"frame": "file", "observation": "image"}.get(event["type"])
    name = event.get(key) if key else None
    if isinstance(name, str) and name:
        yield name
