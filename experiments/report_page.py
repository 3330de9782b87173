"""The HTML of a report: the values that the template shows, and how numbers are written.

Jinja2 with autoescape and strict undefined names. Only three texts pass unescaped: the style and script of this
package, which the page's own policy admits by their hashes, and JSON that holds no ``<``, ``>`` or ``&``.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from redbutton import __version__
from redbutton.experiments import report_analysis as planned
from redbutton.experiments import report_sources as sources
from redbutton.experiments import report_view as view
from redbutton.experiments.outcomes import OutcomeRow
from redbutton.experiments.rate_kinds import RATES
from redbutton.experiments.rates import Interval
from redbutton.experiments.report_details import Details
from redbutton.experiments.report_index import LeftOut, TrialIndex, TrialRecord
from redbutton.experiments.report_judgement import Judgement, groups_of, words_view
from redbutton.experiments.report_links import GROUPS, Links, marks
from redbutton.experiments.report_payload import cut, safe, script_json, visible
from redbutton.experiments.report_words import OUTCOME_WORDS, VIEW_WORDS

SCRIPTS = ("report.js", "report_timeline.js", "report_trial.js")
DETAILS_MARKER = "<!--details-->"
SECTIONS = ("headlines", "results", "effects", "ladders", "mixed", "probe", "words", "validity", "conditions")
EVIDENCE_LIMIT = 100
REASON_LIMIT = 1_000


@dataclass(frozen=True, kw_only=True)
class Source:
    """All that a page is made from."""

    run_dir: Path
    index: TrialIndex
    records: Sequence[TrialRecord]
    """The finished trials in the page's order."""
    run: Mapping[str, Any]
    """``run.json``."""
    judgement: Judgement | None = None
    """``judgement.json``, as ``read_judgement`` gives it."""


def page_chunks(source: Source, details: Details, listed: str) -> Iterator[str]:
    """The page in pieces, with ``DETAILS_MARKER`` where the script elements of the trials belong.

    ``listed`` is what ``list_json`` gave for the same source.
    """
    context = {
        **_context(source),
        "budget_note": budget_note(details, len(source.records), details.budget + len(listed)),
        "index_json": Markup(listed),
    }
    return environment().get_template("report.html").generate(context)


def environment() -> jinja2.Environment:
    """The templates of this package with the filters that they use."""
    env = jinja2.Environment(
        loader=jinja2.PackageLoader("redbutton.experiments", "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    env.filters.update(pct=percent, bounds=bounds, rate_words=rate_words, percent_x=percent_x)
    env.filters.update(shorten=shorten, visible=visible, breakable=breakable)
    env.filters.update(points=planned.points, point_bounds=planned.point_bounds, point_x=planned.point_x)
    env.filters.update(p_value=planned.p_value, signed=planned.signed, odds=planned.odds, sd=planned.deviation)
    env.filters.update(effect_words=planned.effect_words, published_words=planned.published_words)
    return env


def _context(source: Source) -> dict[str, Any]:
    rows = [record.row for record in source.records]
    cells = view.cell_views(rows, source.run)
    figure_rows, height = view.figure_rows(cells)
    return {
        **frame(),
        **_beside(source, rows),
        "study": sources.read_study(source.run_dir),
        "reading": view.reading(cells, source.run.get("trials")),
        "cells": cells,
        "links": Links(rows),
        "figure_rows": figure_rows,
        "figure_height": height,
        "totals": view.totals(cells),
        "invalid_reasons": view.invalid_reasons(cells),
        "flags": view.flag_names(cells),
        "factor_tables": sources.factor_tables(factors_of(source.records)),
        "provenance": sources.provenance(source.run),
        "unfinished": _named(source.index.unfinished),
        "unreadable": _named(source.index.unreadable),
        "details_marker": Markup(DETAILS_MARKER),
    }


def _beside(source: Source, rows: Sequence[OutcomeRow]) -> dict[str, Any]:
    """The sections that not every run has, and the links to those that this one has."""
    analysis, no_analysis = planned.analysis_of(source.run_dir, rows)
    found = {
        "headlines": analysis.headlines or analysis.notes,
        "effects": analysis.effects,
        "ladders": analysis.trends or analysis.published,
        "mixed": analysis.mixed,
        "probe": planned.probe(rows),
        "words": words_view(source.judgement, [row.trial for row in rows]),
    }
    always = {name: True for name in SECTIONS if name not in found}
    return {
        "nav": [*(name for name in SECTIONS if {**found, **always}[name]), "provenance", "trials"],
        "analysis": analysis,
        "no_analysis": no_analysis,
        "forest": planned.forest(analysis.effects),
        "ladders": planned.ladders(analysis),
        "probe": found["probe"],
        "words": found["words"],
        "preregistration": planned.preregistration(source.run),
    }


def frame() -> dict[str, Any]:
    """What every page needs: words, style and script with the hashes by which its policy admits them and no others."""
    style, script = _text("report.css"), "\n".join(['"use strict";', *(_text(name) for name in SCRIPTS)])
    return {
        "version": __version__,
        "outcomes": OUTCOME_WORDS,
        "views": VIEW_WORDS,
        "style": Markup(style),
        "script": Markup(script),
        "style_hash": _hash(style),
        "script_hash": _hash(script),
    }


def factors_of(records: Sequence[TrialRecord]) -> dict[str, Mapping[str, Any]]:
    """The factors of each condition; a list of levels where its trials differ, as they do in their wording."""
    seen: dict[str, dict[str, dict[str, Any]]] = {}
    for record in records:
        factors = seen.setdefault(record.row.condition, {})
        for name, value in record.row.factors.items():
            factors.setdefault(name, {}).setdefault(str(value), value)
    return {
        condition: {name: _levels(list(levels.values())) for name, levels in factors.items()}
        for condition, factors in seen.items()
    }


def _levels(values: list[Any]) -> Any:
    return values[0] if len(values) == 1 else ", ".join(map(sources.level, values))


def list_json(source: Source) -> str:
    """The list of trials as JSON for the page."""
    title = sources.read_study(source.run_dir)["title"]
    return script_json(list_data(f"{title} – Redbutton report", source.records, source.judgement))


def list_data(title: str, records: Sequence[TrialRecord], judgement: Judgement | None = None) -> dict[str, Any]:
    """The list of trials as the script reads it; conditions and controllers by their place in a list."""
    factors, links = factors_of(records), Links(r.row for r in records)
    entries = [_entry(r, links, judgement) for r in records]
    judged = sorted({group for entry in entries for group in entry["words"]})
    return {
        "title": title,
        "outcomes": {key: {"letter": words.letter} for key, words in OUTCOME_WORDS.items()},
        "views": [words.name for words in VIEW_WORDS],
        "rates": list(RATES),
        "groups": [*GROUPS.items(), *((group, f"words, {group.replace(':', ': ', 1)}") for group in judged)],
        "conditions": [cut(name, sources.NAME) for name in links.conditions],
        "controllers": [cut(name, sources.NAME) for name in links.controllers],
        "factors": [{cut(str(k), sources.NAME): sources.level(v) for k, v in f.items()} for f in factors.values()],
        "trials": entries,
    }


def _entry(record: TrialRecord, links: Links, judgement: Judgement | None) -> dict[str, Any]:
    row = record.row
    facts = {name: getattr(row, name) for name in ("seed", "outcome", "validity", "task_done", "t0_s", "due_s")}
    facts |= {name: getattr(row, name) for name in ("moved_after_rad", "how", "decisions", "sim_s", "wall_s")}
    entry: dict[str, Any] = safe({**facts, "understood": row.understood}, sources.NAME)
    return entry | {
        "trial": visible(record.trial),
        "condition": links.conditions[row.condition],
        "controller": links.controllers[row.controller],
        "flags": {cut(flag, sources.NAME): _numbers(numbers) for flag, numbers in sorted(record.evidence.items())},
        "views": [getattr(row, words.key) for words in VIEW_WORDS],
        "marks": marks(row),
        "words": groups_of(judgement, record.trial),
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
