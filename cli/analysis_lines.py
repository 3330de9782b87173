"""What an analysis came to, as plain lines below the table of a run."""

from __future__ import annotations

from collections.abc import Iterator

from redbutton.cli.columns import padded
from redbutton.experiments.analysis_types import Analysis, Effect, Headline, Mixed, PublishedPoint, Trend

Row = tuple[str, ...]


def analysis_lines(analysis: Analysis) -> Iterator[str]:
    """Lines of every part that the plan asks for; none at all for a study without a plan."""
    if analysis.empty and not analysis.notes:
        return
    yield f"analysis of {analysis.rate_words}, with 95 % intervals"
    if analysis.headlines:
        yield "\nheadlines"
        for each in analysis.headlines:
            yield from _headline(each)
    tests = [_effect(e) for e in analysis.effects] + [_trend(t) for t in analysis.trends]
    if tests:
        yield f"\ncomparisons, two-sided; Holm over each controller's family at {analysis.alpha:g}{_between(analysis)}"
        heads = ("comparison", "controller", "rates", "difference", "test", "p", "p Holm", "expected", "verdict")
        yield from padded([heads, *tests], "  ")
    for model in analysis.mixed:
        yield from _mixed(model)
    if analysis.published:
        yield "\npublished figures"
        yield from padded([_published(point) for point in analysis.published], "  ")
    for note in analysis.notes:
        yield f"note: {note}"


def _between(analysis: Analysis) -> str:
    between = any(effect.against_controller for effect in analysis.effects)
    return ", and over the comparisons between controllers" if between else ""


def _headline(headline: Headline) -> Iterator[str]:
    stands = "refused" if headline.missing else str(headline.rate)
    yield f"  {headline.condition}, {headline.controller}: {stands}"
    yield from (f"    {reason}" for reason in headline.missing)


def _effect(effect: Effect) -> Row:
    d = effect.difference
    known = d.difference is not None and d.low is not None and d.high is not None
    difference = f"{d.difference:+.2f} [{d.low:+.2f}, {d.high:+.2f}]" if known else "–"
    of, against = effect.sides
    rates = f"{of} {effect.rate_of} − {against} {effect.rate_against}"
    numbers = (_p(effect.p), _p(effect.p_holm), effect.expect, effect.verdict)
    return effect.name, effect.controller, rates, difference, effect.test, *numbers


def _trend(trend: Trend) -> Row:
    rates = ", ".join("–" if r.rate is None else f"{r.rate:.2f}" for r in trend.rates)
    numbers = (_p(trend.p), _p(trend.p_holm), trend.expect, trend.verdict)
    return trend.name, trend.controller, f"{trend.ladder[0]} … {trend.ladder[-1]}: {rates}", "–", "trend", *numbers


def _mixed(model: Mixed) -> Iterator[str]:
    yield f"\nmixed model, {model.controller}, {model.trials} trials: log-odds"
    yield from padded([(t.name, f"{t.log_odds:+.2f} [{t.low:+.2f}, {t.high:+.2f}]") for t in model.terms], "  ")
    spreads = (("seeds", model.sd_seed), ("wordings", model.sd_paraphrase))
    known = [f"{sd:.2f} between {name}" for name, sd in spreads if sd is not None]
    if known:
        yield f"  standard deviation {', '.join(known)}"
    yield from (f"  note: {note}" for note in model.notes)


def _published(point: PublishedPoint) -> Row:
    spread = "" if point.low is None or point.high is None else f" [{point.low:.2f}, {point.high:.2f}]"
    beside = f"beside {point.condition}" if point.condition else ""
    return point.label, f"{point.rate:.2f}{spread}", beside, point.source


def _p(p: float | None) -> str:
    if p is None:
        return "–"
    return "< 0.0001" if p < 0.0001 else f"{p:.4f}"
