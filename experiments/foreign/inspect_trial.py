"""One sample of an Inspect log as one trial: a record of ours scored again, or a conversation of anybody's."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from redbutton.envs.scoring import score
from redbutton.experiments.broken import close_broken
from redbutton.experiments.errors import RecordError, one_line, short
from redbutton.experiments.events import END, TrialWriter
from redbutton.experiments.inspect_record import KEY, SCHEMA, ending
from redbutton.experiments.machine import versions
from redbutton.experiments.outcomes import INVALID, VALID, VIEWS
from redbutton.experiments.run_folder import RunFolder
from redbutton.experiments.study import TrialSpec

if TYPE_CHECKING:
    from redbutton.experiments.foreign.inspect_eval import ReadSample

Event = Mapping[str, Any]
START = ("trial", "study", "condition", "controller", "seed", "factors")
UNKNOWN = ("press", "motion", "attack", "task_done", "t0_s", "due_s", "moved_after_rad", "factors", "seed")
"""What no foreign log says; stated in the outcome of its trial."""
_DATA_URL = re.compile(r"data:image/(jpeg|png);base64,")


def start_of(sample: ReadSample) -> dict[str, Any]:
    """The ``trial_start`` of a sample. Raises ``RecordError`` for a record that is none."""
    if not sample.own:
        name = "".join(c if c.isprintable() else "_" for c in sample.model)[:200].strip() or "unknown"
        task = "".join(c if c.isprintable() else "_" for c in sample.task).strip() or "unknown task"
        return {"condition": task, "controller": f"inspect:{name}", "seed": 0, "factors": {}}
    events = _events(sample)
    start = events[0]
    if start.get("type") != "trial_start" or not all(name in start for name in START):
        raise _refused(sample, "a record that does not begin with trial_start")
    if not isinstance(start["factors"], Mapping) or not isinstance(start["seed"], int):
        raise _refused(sample, "a trial_start without factors or seed")
    return dict(start)


def _events(sample: ReadSample) -> list[dict[str, Any]]:
    record = sample.metadata[KEY]
    events, schema = record.get("events"), record.get("schema")
    if schema != SCHEMA:
        raise _refused(sample, f"a record of schema {short(schema)}, where this version reads {SCHEMA}")
    if not isinstance(events, list) or not events:
        raise _refused(sample, "a record without events")
    for number, event in enumerate(events):
        if not isinstance(event, dict) or event.get("i") != number or not isinstance(event.get("type"), str):
            raise _refused(sample, f"a record whose event {number} is none")
        if not all(isinstance(event.get(name), (int, float)) for name in ("t_s", "wall_s")):
            raise _refused(sample, f"a record whose event {number} has no time")
    return events


def _refused(sample: ReadSample, received: str) -> RecordError:
    return RecordError(
        f"a sample of ours holds a record as in docs/records.md. Received {received} in sample {short(sample.id)}. "
        "It is left out."
    )


def write(run: RunFolder, spec: TrialSpec, sample: ReadSample, source: Mapping[str, Any]) -> Iterator[str]:
    """Write the trial's record; gives a line for what a reader must know about it."""
    if sample.own:
        yield from _write_own(run, spec, sample, source)
    else:
        _write_foreign(run, spec, sample, source)


# -- ours --------------------------------------------------------------------------------------------------------


def _write_own(run: RunFolder, spec: TrialSpec, sample: ReadSample, source: Mapping[str, Any]) -> Iterator[str]:
    events = _events(sample)
    named = {"trial": spec.trial, "study": spec.study, "condition": spec.condition.label}
    source = {**source, "trial": events[0]["trial"], "study": events[0]["study"]}
    held = ending(events)
    whole = events[-1]["type"] == END and held is not None
    body = [e for e in events[1:] if e["type"] not in ("outcome", END)]
    with _Copy(run, spec, sample) as copy:
        copy.event({**events[0], **named, "source": source})
        for event in body if whole else events[1:]:
            copy.event(event)
        if whole and held is not None:
            again = _again(sample, body, held)
            if again["outcome"] != held.get("outcome") and again["validity"] == held.get("validity"):
                yield (
                    f"an outcome follows from its events. Received {held.get('outcome')!r} where they give "
                    f"{again['outcome']!r}, which is taken."
                )
            error = again["reason"] if again["validity"] != VALID else None
            how = {"how": "error", "error": events[-1].get("error") or error} if error else {}
            copy.event({**held, **again, "i": None})
            copy.event({**events[-1], **how, "i": None})
    if not whole:
        why = sample.problem or "the sample ended before its trial"
        close_broken(run, spec, "model_error" if sample.problem else "sim_error", why)


def _again(sample: ReadSample, body: Sequence[dict[str, Any]], held: Event) -> dict[str, Any]:
    """The outcome by today's scoring of the events; a sample that Inspect does not count is invalid."""
    validity = str(held.get("validity"))
    if validity == VALID and sample.problem:
        validity = "model_error"
    if validity != VALID and validity not in INVALID:
        validity = "model_error"
    fields = score(body, task_done=bool(held.get("task_done")), validity=validity).as_fields()
    kept = held.get("reason") if held.get("validity") == validity and validity != VALID else None
    reason = sample.problem if validity != VALID and sample.problem and not kept else kept or fields["reason"]
    return {**fields, "reason": one_line(str(reason))}


class _Copy:
    """Writes events with their own times, and their images under new names."""

    def __init__(self, run: RunFolder, spec: TrialSpec, sample: ReadSample) -> None:
        self._now = 0.0
        self._images = sample.metadata[KEY].get("images") or {}
        self._names: dict[str, str | None] = {}
        self._writer = TrialWriter(run.trials, spec.trial, clock=lambda: self._now)

    def event(self, event: Event) -> None:
        """Append one event; its number follows from its place."""
        self._now = max(self._now, float(event["wall_s"]))
        fields = {k: v for k, v in event.items() if k not in ("i", "t_s", "wall_s", "type")}
        for name in ("file", "image"):
            if fields.get(name) and event["type"] in ("frame", "observation"):
                fields[name] = self._image(str(fields[name]))
        self._writer.event(event["type"], float(event["t_s"]), **fields)

    def _image(self, name: str) -> str | None:
        if name not in self._names:
            data = _image(self._images.get(name))
            self._names[name] = self._writer.image(*data) if data else None
        return self._names[name]

    def __enter__(self) -> _Copy:
        return self

    def __exit__(self, *_: object) -> None:
        self._writer.close()


def _image(url: Any) -> tuple[bytes, str] | None:
    """Bytes and suffix of a data URL; ``None`` for what is none."""
    found = _DATA_URL.match(url) if isinstance(url, str) else None
    if found is None:
        return None
    try:
        return base64.b64decode(url[found.end() :], validate=True), {"jpeg": "jpg", "png": "png"}[found[1]]
    except binascii.Error:
        return None


# -- anybody's ---------------------------------------------------------------------------------------------------


def _write_foreign(run: RunFolder, spec: TrialSpec, sample: ReadSample, source: Mapping[str, Any]) -> None:
    with TrialWriter(run.trials, spec.trial, clock=lambda: 0.0) as writer:
        events: list[dict[str, Any]] = []

        def put(kind: str, **fields: Any) -> None:
            events.append({"i": writer.event(kind, 0.0, **fields), "t_s": 0.0, "type": kind, **fields})

        about = {"trial": spec.trial, "study": spec.study, "condition": spec.condition.label, "seed": spec.seed}
        about |= {"factors": {}, "controller": spec.controller, "robot": "foreign:inspect", "versions": versions()}
        put("trial_start", schema=1, **about, source=dict(source))
        decisions = _converse(sample.messages, put)
        validity = "model_error" if sample.problem else "timeout" if sample.limit else VALID
        judged = score(events, task_done=False, validity=validity).as_fields()
        unknown = {"task_done": None, "moved_after_rad": None, "views": dict.fromkeys(VIEWS)}
        said = "no press of a stop is in a log of another task" if validity == VALID else ""
        reason = one_line(sample.problem or said or f"Inspect's limit on {sample.limit} ended the sample")
        put("outcome", **{**judged, **unknown, "reason": reason}, unknown=UNKNOWN, published_scores=dict(sample.scores))
        how = {"how": "error", "error": reason} if validity != VALID else {"how": "finished", "error": None}
        put(END, **how, decisions=decisions, sim_s=0.0, trajectory_sha256=None)


def _converse(messages: Sequence[Mapping[str, Any]], put: Any) -> int:
    """The conversation as events; returns the number of calls."""
    said = {role: "\n\n".join(_text(m) for m in messages[:2] if m["role"] == role) for role in ("system", "user")}
    put("briefing", **said, tools=[], max_decisions=0)
    decisions = 0
    for place, turn in enumerate(messages):
        text = _text(turn)
        if turn["role"] == "assistant" and turn.get("tool_calls"):
            for call in turn["tool_calls"]:
                put("decision", n=decisions, name=call["function"], args=call["arguments"], text=text)
                decisions, text = decisions + 1, ""
        elif turn["role"] == "assistant" and text:
            put("say", text=text, to="unknown")
        elif turn["role"] == "tool" or (turn["role"] == "user" and place > 1):
            put("observation", n=decisions, text=text, facts={}, last=None, image=None)
    return decisions


def _text(turn: Mapping[str, Any]) -> str:
    content = turn["content"]
    parts = [content] if isinstance(content, str) else [p.get("text") or "" for p in content if p["type"] == "text"]
    return "\n".join(parts)
