"""Reading one published robot-dog transcript: lines of JSON to typed lines, or one clear refusal.

Format (``llm_control`` of the repository behind Palisade Research, "Shutdown Resistance in Large Language Models, on
robots!", 2026): every line an object with ``ts``, ``level``, ``logger`` and ``message``; ``event`` and its payload
where something was said or called. State of the stop stands in ``message`` alone.

CAVEAT: a file that stops in the middle is kept as what it is, a cut log; it never counts as behaviour.
"""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from redbutton.experiments.errors import RecordError, one_line, short
from redbutton.experiments.foreign.source_file import check_plain

MAX_BYTES = 64 * 1024 * 1024
"""A transcript with its tracebacks has some ten kilobytes; beyond this a file is something else."""
_MODEL = re.compile(r"model[=:]\s*([^;\s]+)")


@dataclass(frozen=True, kw_only=True)
class Line:
    """One line of a log; ``t_s`` counts seconds from the first line."""

    t_s: float
    message: str
    event: str
    data: Mapping[str, Any]

    @property
    def call(self) -> bool:
        """Whether the line is a finished tool call."""
        return self.event == "tool_call"

    @property
    def tool(self) -> str:
        """The tool of a call."""
        return str(self.data.get("tool") or "")

    @property
    def command(self) -> str:
        """The shell command of a call; empty for other tools. Tools of older runs carry another name."""
        args = self.data.get("args")
        return str(args.get("cmd") or "") if isinstance(args, Mapping) else ""

    @property
    def thoughts(self) -> str:
        """What the model wrote beside the command, for nobody but the log."""
        args = self.data.get("args")
        return str(args.get("thoughts") or "") if isinstance(args, Mapping) else ""

    @property
    def result(self) -> str:
        """What the call gave back."""
        value = self.data.get("result")
        return value if isinstance(value, str) else "" if value is None else json.dumps(value)

    @property
    def start_s(self) -> float:
        """When the call began: the line is written when it ends, and its duration stands in it."""
        taken = self.data.get("duration_ms")
        sane = isinstance(taken, int | float) and 0 <= taken < 1e9
        return max(0.0, self.t_s - float(taken or 0) / 1000) if sane else self.t_s

    @property
    def exception(self) -> str:
        """The traceback that the line carries, if any."""
        return str(self.data.get("exception") or "")


@dataclass(frozen=True, kw_only=True)
class Log:
    """One transcript."""

    lines: tuple[Line, ...]
    torn: bool
    """Whether the last line is cut off."""

    @property
    def model(self) -> str:
        """The model as the log names it, or ``unknown``."""
        found = (_MODEL.search(line.message) for line in self.lines if "model" in line.message)
        name = next((m[1] for m in found if m), "unknown")
        return "".join(c if c.isprintable() else "_" for c in name)[:100]

    def said(self, role_event: str) -> list[str]:
        """The texts of ``system_message`` or ``user_message`` lines, in order."""
        return [_text(line.data.get("user_payload")) for line in self.lines if line.event == role_event]


def read_log(path: Path) -> Log:
    """Read one transcript. Raises ``RecordError`` with one line for what is none."""
    lines = _bytes(path).split(b"\n")
    entries: list[Mapping[str, Any]] = []
    torn = False
    filled = [(number, raw) for number, raw in enumerate(lines, 1) if raw.strip()]
    if not filled:
        raise _refusal(path, "an empty file")
    for number, raw in filled:
        entry = _entry(raw)
        if entry is None and number == filled[-1][0] and entries and lines[-1].strip():
            torn = True
        elif entry is None:
            raise _refusal(path, f"line {number}: {short(one_line(raw[:200].decode(errors='replace')))}")
        else:
            entries.append(entry)
    return Log(lines=tuple(_lines(path, entries)), torn=torn)


def _bytes(path: Path) -> bytes:
    try:
        check_plain(path, MAX_BYTES, _refusal)
        return path.read_bytes()
    except OSError as exc:
        raise _refusal(path, exc.strerror or str(exc)) from None


def _refusal(path: Path, received: str) -> RecordError:
    return RecordError(
        "a robot-dog transcript has one JSON object a line with ts, level, logger and message. "
        f"Received {received} in {str(path)!r}. It is left out."
    )


def _entry(raw: bytes) -> Mapping[str, Any] | None:
    try:
        entry = json.loads(raw)
    except (ValueError, RecursionError):
        return None
    if not isinstance(entry, dict) or not all(
        isinstance(entry.get(k), str) for k in ("ts", "level", "logger", "message")
    ):
        return None
    return entry


def _lines(path: Path, entries: list[Mapping[str, Any]]) -> list[Line]:
    times: list[float] = []
    for number, entry in enumerate(entries, 1):
        try:
            moment = datetime.fromisoformat(entry["ts"].replace("Z", "+00:00"))
            times.append((moment if moment.tzinfo else moment.replace(tzinfo=timezone.utc)).timestamp())
        except (ValueError, OverflowError):
            raise _refusal(path, f"ts {short(entry['ts'])} in entry {number}, which is no time") from None
    if not any(entry.get("event") for entry in entries):
        raise _refusal(path, "lines without any event of a conversation")
    # A clock that was set back in between must not turn the order of the file round.
    steady = itertools.accumulate(times, max)
    return [
        Line(t_s=round(t - times[0], 6), message=entry["message"], event=str(entry.get("event") or ""), data=entry)
        for t, entry in zip(steady, entries, strict=True)
    ]


def _text(payload: Any) -> str:
    content = payload.get("content") if isinstance(payload, Mapping) else payload
    if isinstance(content, str):
        return content
    if isinstance(content, list):
        return "\n".join(str(p.get("text", "")) for p in content if isinstance(p, Mapping) and p.get("type") == "text")
    return ""
