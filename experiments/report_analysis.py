"""The sections of a report that a study's plan asks for, as plain values: forest plot, ladders, probe, preregistration.

The numbers are those of ``analysis.analyse``. Rows stand as the plan states them, never by size. A run whose
``study.yaml`` cannot be read as a study has no analysis; the page says so in a sentence.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from redbutton.experiments.analysis_types import Analysis, Effect, PublishedPoint, Trend
from redbutton.experiments.errors import StudyError, one_line
from redbutton.experiments.outcomes import OutcomeRow
from redbutton.experiments.rates import Difference, Interval, jeffreys
from redbutton.experiments.report_payload import cut, visible
from redbutton.experiments.report_sources import NAME, level
from redbutton.experiments.report_view import AXIS_PX, HEADING_PX, LINE_PX, ROW_PX, name_lines
from redbutton.experiments.study import parse_study

FOREST_ROW_PX = ROW_PX + 20
EMPTY = Analysis(
    rate="resisted",
    rate_words="",
    alpha=0.05,
    headlines=(),
    effects=(),
    trends=(),
    mixed=(),
    published=(),
    notes=(),
)


@dataclass(frozen=True, kw_only=True)
class ForestRow:
    """One effect for one controller; ``y`` is the top edge of its row [px]."""

    effect: Effect
    y: int
    heading: tuple[str, ...]
    """Lines of the effect's name, where it stands above this row."""
    under: tuple[str, ...]
    """Lines that name the two conditions, below the heading."""


@dataclass(frozen=True, kw_only=True)
class PublishedMark:
    """A published figure on a ladder; ``number`` is its place in the list of sources."""

    point: PublishedPoint
    number: int
    y: int


@dataclass(frozen=True, kw_only=True)
class Step:
    """One condition of a ladder with our rate and what was published beside it."""

    condition: str
    rate: Interval
    y: int
    heading: tuple[str, ...]
    published: tuple[PublishedMark, ...]


@dataclass(frozen=True, kw_only=True)
class Ladder:
    """One trend, laid out."""

    trend: Trend
    steps: tuple[Step, ...]
    height: int


@dataclass(frozen=True, kw_only=True)
class Understood:
    """Answers to the comprehension probe in one cell."""

    condition: str
    controller: str
    rate: Interval


def analysis_of(run_dir: Path, rows: Sequence[OutcomeRow]) -> tuple[Analysis, str]:
    """The analysis that the run's study asks for, and a sentence where there is none because of the study file."""
    try:
        study = parse_study((run_dir / "study.yaml").read_text(encoding="utf-8"), "study.yaml")
    except (StudyError, OSError, UnicodeDecodeError) as error:
        # The name alone: the page is handed round, and where it was made is nobody's business.
        why = "it is missing or no text" if not isinstance(error, StudyError) else one_line(str(error)).rstrip(".")
        return EMPTY, (
            f"The study file cannot be read, so whatever its plan asks for is not on this page ({cut(why, NAME)})."
        )
    from redbutton.experiments.analysis import analyse  # imports scipy, which the page of one trial does not need

    return analyse(study, rows), ""


def forest(effects: Sequence[Effect]) -> dict[str, Any]:
    """Rows of the forest plot and its height [px]; the name of an effect stands once, above its controllers."""
    rows: list[ForestRow] = []
    y, before = 0, None
    for effect in effects:
        named = (effect.name, effect.of, effect.against)
        heading = name_lines(visible(effect.name)) if named != before else ()
        of, against = ("controller", effect.against_controller) if effect.against_controller else effect.sides
        under = name_lines(visible(f"{of} minus {against}"))
        under = under if heading else ()
        y += HEADING_PX + LINE_PX * (len(heading) + len(under) - 1) if heading else 0
        rows.append(ForestRow(effect=effect, y=y, heading=heading, under=under))
        y, before = y + FOREST_ROW_PX, named
    return {"rows": rows, "height": y + AXIS_PX}


def ladders(analysis: Analysis) -> list[Ladder]:
    """Every trend of the plan, laid out in its ladder's order."""
    return [_ladder(trend, analysis.published) for trend in analysis.trends]


def _ladder(trend: Trend, published: Sequence[PublishedPoint]) -> Ladder:
    steps: list[Step] = []
    y = 0
    for condition, rate in zip(trend.ladder, trend.rates, strict=True):
        heading = name_lines(visible(condition))
        top = y = y + HEADING_PX + LINE_PX * (len(heading) - 1)
        y += ROW_PX
        marks: list[PublishedMark] = []
        for number, point in enumerate(published, 1):
            if point.condition == condition:
                marks.append(PublishedMark(point=point, number=number, y=y))
                y += ROW_PX
        steps.append(Step(condition=condition, rate=rate, y=top, heading=heading, published=tuple(marks)))
    return Ladder(trend=trend, steps=tuple(steps), height=y + AXIS_PX)


def probe(rows: Sequence[OutcomeRow]) -> list[Understood]:
    """Right answers to the comprehension probe by condition and controller, of the valid trials that were asked."""
    answers: dict[tuple[str, str], list[bool]] = {}
    for row in rows:
        if row.valid and row.understood is not None:
            answers.setdefault((row.condition, row.controller), []).append(row.understood)
    return [
        Understood(condition=condition, controller=controller, rate=jeffreys(sum(right), len(right)))
        for (condition, controller), right in answers.items()
    ]


def preregistration(run: Mapping[str, Any]) -> dict[str, Any] | None:
    """What ``run.json`` says of a preregistration; ``None`` where there is none."""
    found = run.get("preregistration")
    if not isinstance(found, Mapping):
        return None
    named = found.get("differences")
    differences = [cut(str(line), NAME) for line in named] if isinstance(named, list) else []
    rows = [(cut(str(k), NAME), level(v)) for k, v in found.items() if k not in ("differences", "matches")]
    return {"matches": found.get("matches") is True, "differences": differences[:50], "rows": rows[:50]}


# -- how the numbers are written -----------------------------------------------------------------------------------


def p_value(p: float | None) -> str:
    """A p value with three decimals, ``< 0.001`` below them."""
    if p is None:
        return "–"
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def signed(number: float | None, digits: int = 2) -> str:
    """A number with its sign, the minus as wide as the plus."""
    return "–" if number is None else f"{number:+.{digits}f}".replace("-", "−")


def points(difference: float | None) -> str:
    """A difference of rates in percentage points: 0.23 as ``+23``."""
    if difference is None:
        return "no data"
    whole = round(100 * difference)
    return signed(whole, 0) if whole else "0"


def point_bounds(difference: Difference) -> str:
    """The limits of a difference as ``[+5, +41]``, in percentage points."""
    if difference.low is None or difference.high is None:
        return ""
    return f"[{points(difference.low)}, {points(difference.high)}]"


def point_x(difference: float) -> str:
    """Where a difference stands on an axis from -1 to 1, as an SVG length."""
    return f"{50 + 50 * difference:.3f}%"


def effect_words(effect: Effect) -> str:
    """An effect for a screen reader."""
    if effect.difference.difference is None:
        return "no data"
    return (
        f"{points(effect.difference.difference)} points, 95 % interval {point_bounds(effect.difference)}, "
        f"Holm p {p_value(effect.p_holm)}, {effect.verdict}"
    )


def published_words(point: PublishedPoint) -> str:
    """A published rate with what is known of its counts."""
    rate = f"{100 * point.rate:.0f} %"
    if point.low is None or point.high is None:
        return f"{rate}, no counts"
    return f"{point.k}/{point.n} · {rate} [{100 * point.low:.0f}, {100 * point.high:.0f}]"


def odds(log_odds: float) -> str:
    """An odds ratio from its logarithm."""
    return f"{math.exp(log_odds):.2f}" if abs(log_odds) < 10 else ("> 1e4" if log_odds > 0 else "< 1e-4")


def deviation(sd: float | None) -> str:
    """A standard deviation, or why there is none."""
    return "not estimated (too few)" if sd is None else f"{sd:.2f}"
