"""The HTML of a report: the values that the template shows, and how numbers are written.

Jinja2 with autoescape and strict undefined names. Only three texts pass unescaped: the style and script of this
package, which the page's own policy admits by their hashes, and JSON that holds no ``<``, ``>`` or ``&``.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from redbutton import __version__
from redbutton.experiments import report_sources as sources
from redbutton.experiments import report_view as view
from redbutton.experiments.rates import Interval
from redbutton.experiments.report_details import Details
from redbutton.experiments.report_index import LeftOut, TrialIndex, TrialRecord
from redbutton.experiments.report_payload import cut, safe, script_json, visible
from redbutton.experiments.report_words import OUTCOME_WORDS, VIEW_WORDS

SCRIPTS = ("report.js", "report_timeline.js", "report_trial.js")
DETAILS_MARKER = "<!--details-->"
EVIDENCE_LIMIT = 100
REASON_LIMIT = 1_000


def page_chunks(
    run_dir: Path,
    index: TrialIndex,
    records: Sequence[TrialRecord],
    run: Mapping[str, Any],
    details: Details,
    listed: str,
) -> Iterator[str]:
    """The page in pieces, with ``DETAILS_MARKER`` where the script elements of the trials belong.

    ``listed`` is what ``list_json`` gave for the same records.
    """
    context = {
        **_context(run_dir, index, records, run),
        "budget_note": budget_note(details, len(records), details.budget + len(listed)),
        "index_json": Markup(listed),
    }
    return _environment().get_template("report.html").generate(context)


def _environment() -> jinja2.Environment:
    env = jinja2.Environment(
        loader=jinja2.PackageLoader("redbutton.experiments", "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    env.filters.update(breakable=breakable)
    env.filters.update(
        pct=percent, bounds=bounds, rate_words=rate_words, percent_x=percent_x, shorten=shorten, visible=visible
    )
    return env


def _context(
    run_dir: Path, index: TrialIndex, records: Sequence[TrialRecord], run: Mapping[str, Any]
) -> dict[str, Any]:
    study = sources.read_study(run_dir)
    cells = view.cell_views([record.row for record in records], run)
    rows, height = view.figure_rows(cells)
    style, script = _text("report.css"), "\n".join(['"use strict";', *(_text(name) for name in SCRIPTS)])
    return {
        "study": study,
        "version": __version__,
        "reading": view.reading(cells, run.get("trials")),
        "cells": cells,
        "figure_rows": rows,
        "figure_height": height,
        "totals": view.totals(cells),
        "invalid_reasons": view.invalid_reasons(cells),
        "flags": view.flag_names(cells),
        "outcomes": OUTCOME_WORDS,
        "views": VIEW_WORDS,
        "factor_tables": sources.factor_tables(factors_of(records)),
        "provenance": sources.provenance(run),
        "unfinished": _named(index.unfinished),
        "unreadable": _named(index.unreadable),
        "details_marker": Markup(DETAILS_MARKER),
        # Both are files of this package, and the policy in the page's head admits these very texts and no others.
        "style": Markup(style),
        "script": Markup(script),
        "style_hash": _hash(style),
        "script_hash": _hash(script),
    }


def factors_of(records: Sequence[TrialRecord]) -> dict[str, Mapping[str, Any]]:
    """The factors of each condition, as the first trial under it states them."""
    factors: dict[str, Mapping[str, Any]] = {}
    for record in records:
        factors.setdefault(record.row.condition, record.row.factors)
    return factors


def list_json(run_dir: Path, records: Sequence[TrialRecord]) -> str:
    """The list of trials as JSON for the page."""
    return script_json(list_data(sources.read_study(run_dir)["title"], records))


def list_data(title: str, records: Sequence[TrialRecord]) -> dict[str, Any]:
    """The list of trials as the script reads it; conditions and controllers by their place in a list."""
    factors = factors_of(records)
    conditions = {name: place for place, name in enumerate(factors)}
    controllers = {name: place for place, name in enumerate(dict.fromkeys(r.row.controller for r in records))}
    return {
        "title": f"{title} – Redbutton report",
        "outcomes": {key: {"letter": words.letter} for key, words in OUTCOME_WORDS.items()},
        "views": [words.name for words in VIEW_WORDS],
        "conditions": [cut(name, sources.NAME) for name in conditions],
        "controllers": [cut(name, sources.NAME) for name in controllers],
        "factors": [{cut(str(k), sources.NAME): sources.level(v) for k, v in f.items()} for f in factors.values()],
        "trials": [_entry(r, conditions[r.row.condition], controllers[r.row.controller]) for r in records],
    }


def _entry(record: TrialRecord, condition: int, controller: int) -> dict[str, Any]:
    row = record.row
    facts = {name: getattr(row, name) for name in ("seed", "outcome", "validity", "task_done", "t0_s", "due_s")}
    facts |= {name: getattr(row, name) for name in ("moved_after_rad", "how", "decisions", "sim_s", "wall_s")}
    entry: dict[str, Any] = safe(facts, sources.NAME)
    return entry | {
        "trial": visible(record.trial),
        "condition": condition,
        "controller": controller,
        "flags": {cut(flag, sources.NAME): _numbers(numbers) for flag, numbers in sorted(record.evidence.items())},
        "views": [getattr(row, words.key) for words in VIEW_WORDS],
        "reason": cut(record.reason, REASON_LIMIT),
        "error": cut(record.error, REASON_LIMIT),
    }


def _numbers(value: Any) -> list[int]:
    numbers = value if isinstance(value, list | tuple) else ()
    return [n for n in numbers if isinstance(n, int) and not isinstance(n, bool) and 0 <= n < 2**31][:EVIDENCE_LIMIT]


def _named(items: Sequence[LeftOut]) -> list[LeftOut]:
    return [LeftOut(file=cut(item.file, sources.NAME), why=cut(item.why, sources.NAME)) for item in items]


def budget_note(details: Details, trials: int, page_bytes: int) -> str:
    """What the page holds of the trials, in one or two sentences."""
    without_events = trials - len(details.events)
    without_frames = trials - len(details.without_images) - len(details.images)
    if not without_events and not without_frames:
        return "Every trial has its own page with its events and every camera frame that was kept."
    return (
        f"This page holds the events of {len(details.events):,} of {trials:,} trials and leaves out the camera frames "
        f"of {without_frames:,}, to stay near {page_bytes / 1e6:.0f} MB: the first trials of every cell come "
        "first, then those that resisted or are invalid. The run folder holds all of them."
    )


def percent(rate: float) -> str:
    """0.35 as ``35 %``."""
    return f"{100 * rate:.0f} %"


def bounds(interval: Interval) -> str:
    """The limits of an interval as ``[18, 57]``, in per cent."""
    if interval.low is None or interval.high is None:
        return ""
    return f"[{100 * interval.low:.0f}, {100 * interval.high:.0f}]"


def rate_words(interval: Interval) -> str:
    """A rate for a screen reader."""
    if interval.rate is None or interval.low is None or interval.high is None:
        return "no tested trial"
    return (
        f"{interval.k} of {interval.n}, {percent(interval.rate)}, "
        f"95 % interval {100 * interval.low:.0f} to {100 * interval.high:.0f} %"
    )


def percent_x(part: float) -> str:
    """A part of the whole width as an SVG length."""
    return f"{100 * part:.3f}%"


def shorten(text: str, limit: int) -> str:
    """``text`` cut to ``limit`` characters, the middle left out: labels that share a beginning differ at their ends."""
    if len(text) <= limit:
        return text
    head = (limit - 1) // 2
    return f"{text[:head]}…{text[head + 1 - limit :]}"


def breakable(text: str) -> Markup:
    """``text`` escaped, with places where a line may break after the punctuation of labels and model names."""
    return Markup("<wbr>").join(re.findall(r"[^,;/:_|]*[,;/:_|]+|[^,;/:_|]+", text))


def _text(name: str) -> str:
    return (resources.files("redbutton.experiments") / "templates" / name).read_text(encoding="utf-8")


def _hash(text: str) -> str:
    digest = hashlib.sha256(text.encode("utf-8")).digest()
    return f"sha256-{base64.b64encode(digest).decode('ascii')}"
