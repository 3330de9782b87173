"""The analysis that a study's plan asks for: headlines, comparisons, ladders, the mixed model, published figures.

The family of Holm's correction is every comparison of the plan, ladders included, for each controller by itself. A
comparison is made for the controllers that the study plans in all of its conditions. Where controllers are compared
with each other (``across``), that is a second family. Tests: ``tests_of_rates``; mixed model: ``mixed``; headlines:
``headlines``.

CAVEAT: a family covers one controller, or all comparisons between controllers. Who reads several asks more questions
than any one of them counts.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import replace

from redbutton.experiments.analysis_types import Analysis, Effect, Mixed, PublishedPoint, Trend, Verdict
from redbutton.experiments.headlines import Cells, headline
from redbutton.experiments.outcomes import OutcomeRow
from redbutton.experiments.rate_kinds import counted, rate_of, rate_words
from redbutton.experiments.rates import Difference, jeffreys, newcombe, newcombe_paired
from redbutton.experiments.study import Study
from redbutton.experiments.study_file import AnalysisPlan, Comparison, Published
from redbutton.experiments.tests_of_rates import Pairs, boschloo, holm, mcnemar, pair, trend

_AGAINST_FIRST = Comparison(name="controllers", of="of", against="against")
"""Two controllers in one condition: whatever is found is ``different``, since nobody names controllers beforehand."""


def analyse(study: Study, rows: Sequence[OutcomeRow]) -> Analysis:
    """Compute what the plan of ``study`` asks for from the rows of a run, finished or not.

    Headlines stand in the order of the plan, then of the controllers; effects and trends likewise.
    """
    plan = study.document.analysis
    cells = _cells(study, rows)
    effects, trends, notes = _comparisons(plan, cells)
    effects += _across(plan, cells)
    return Analysis(
        rate=plan.rate,
        rate_words=rate_words(plan.rate),
        alpha=plan.alpha,
        headlines=tuple(
            headline(label, controller, of, plan)
            for label in plan.headline
            for controller, of in cells.items()
            if label in of
        ),
        effects=tuple(effects),
        trends=tuple(trends),
        mixed=_mixed(study, cells) if plan.mixed else (),
        published=tuple(_published(figure) for figure in study.document.published),
        notes=(*plan.notes, *notes),
    )


def _cells(study: Study, rows: Sequence[OutcomeRow]) -> dict[str, Cells]:
    """Rows by controller and condition, for everything that the study plans."""
    cells: dict[str, dict[str, list[OutcomeRow]]] = {
        controller: {p.condition.label: [] for p in study.plan if controller in p.controllers}
        for controller in study.controllers
    }
    for row in rows:
        if row.condition in cells.get(row.controller, {}):
            cells[row.controller][row.condition].append(row)
    return dict(cells)


def _mixed(study: Study, cells: Mapping[str, Cells]) -> tuple[Mixed, ...]:
    from redbutton.experiments.mixed import fit_mixed  # loads scipy's optimisers, which most runs do without

    return tuple(fit_mixed(study, controller, of) for controller, of in cells.items())


def _comparisons(plan: AnalysisPlan, cells: Mapping[str, Cells]) -> tuple[list[Effect], list[Trend], list[str]]:
    """Effects and trends of every controller, in the order of the plan, and what is to be said beside them."""
    effects: list[tuple[int, Effect]] = []
    trends: list[tuple[int, Trend]] = []
    notes: list[str] = []
    for controller, of in cells.items():
        family = [(n, c) for n, c in enumerate(plan.comparisons) if all(label in of for label in _named(c))]
        made = [_Made(comparison, controller, of, plan.rate) for _, comparison in family]
        adjusted = holm([each.p for each in made])
        for (number, comparison), each, p_holm in zip(family, made, adjusted, strict=True):
            notes += each.notes()
            if comparison.ladder:
                trends.append((number, each.trend(p_holm, plan.alpha)))
            else:
                effects.append((number, each.effect(p_holm, plan.alpha)))
        notes += _partly(plan.comparisons, controller, of)
    return [e for _, e in sorted(effects, key=_first)], [t for _, t in sorted(trends, key=_first)], notes


def _across(plan: AnalysisPlan, cells: Mapping[str, Cells]) -> list[Effect]:
    """Every further controller against the first of the run, in the conditions that both meet."""
    first, *others = cells or ("",)
    both = [(x, other) for x in plan.across for other in others if x in cells[first] and x in cells[other]]
    made = [
        _Made(_AGAINST_FIRST, other, {"of": cells[other][label], "against": cells[first][label]}, plan.rate)
        for label, other in both
    ]
    adjusted = holm([each.p for each in made])
    effects = [each.effect(p, plan.alpha) for each, p in zip(made, adjusted, strict=True)]
    return [
        replace(effect, name=f"{label}: controllers", of=label, against=label, against_controller=first)
        for (label, _), effect in zip(both, effects, strict=True)
    ]


def _first(numbered: tuple[int, object]) -> int:
    return numbered[0]


def _named(comparison: Comparison) -> list[str]:
    return list(comparison.ladder or (str(comparison.of), str(comparison.against)))


def _partly(comparisons: Sequence[Comparison], controller: str, cells: Cells) -> Iterator[str]:
    for comparison in comparisons:
        lacking = [label for label in _named(comparison) if label not in cells]
        if lacking and len(lacking) < len(_named(comparison)):
            yield (
                f"{comparison.name}: not made for {controller}, which the study does not run in "
                f"{', '.join(map(repr, lacking))}."
            )


class _Made:
    """One comparison for one controller: its counts and its p, before the family is corrected."""

    def __init__(self, comparison: Comparison, controller: str, cells: Cells, rate: str) -> None:
        self._comparison, self._controller = comparison, controller
        self._rates = [rate_of(cells[label], rate) for label in _named(comparison)]
        self._pairs: Pairs | None = None
        if comparison.test == "mcnemar":
            first, second = (_by_seed(cells[label], rate) for label in _named(comparison))
            self._pairs = pair(first, second)
        self.p, self._rise = self._test()

    def _test(self) -> tuple[float | None, float | None]:
        """p, and a number with the sign of the difference or slope; ``None`` where there is nothing to compare."""
        ks, ns = [r.k for r in self._rates], [r.n for r in self._rates]
        if self._comparison.ladder:
            found = trend(ks, ns)
            return found.p, found.z if found.z is not None else (0.0 if sum(n > 0 for n in ns) > 1 else None)
        rise = self._difference().difference
        if self._pairs:
            return (mcnemar(self._pairs.only_first, self._pairs.only_second) if self._pairs.n else None), rise
        return boschloo(ks[0], ns[0], ks[1], ns[1]), rise

    def _difference(self) -> Difference:
        first, second = self._rates
        if self._pairs:
            p = self._pairs
            return newcombe_paired(p.both, p.only_first, p.only_second, p.neither)
        return newcombe(first.k, first.n, second.k, second.n)

    def _verdict(self, p_holm: float | None, alpha: float) -> Verdict:
        if self._rise is None:
            return "no data"
        if p_holm is None or p_holm > alpha:
            return "not shown"
        if self._comparison.expect == "different":
            return "different"
        return "as expected" if (self._rise > 0) == (self._comparison.expect == "higher") else "opposite"

    def notes(self) -> list[str]:
        """What the figures do not say by themselves."""
        if not self._pairs or not self._pairs.unmatched:
            return []
        count = self._pairs.unmatched
        trials = "1 trial has" if count == 1 else f"{count} trials have"
        return [
            f"{self._comparison.name}, {self._controller}: {trials} no partner of the same seed; test and difference "
            f"are those of the {self._pairs.n} pairs."
        ]

    def effect(self, p_holm: float | None, alpha: float) -> Effect:
        """The comparison of two conditions."""
        return Effect(
            name=self._comparison.name,
            controller=self._controller,
            of=str(self._comparison.of),
            against=str(self._comparison.against),
            rate_of=self._rates[0],
            rate_against=self._rates[1],
            difference=self._difference(),
            test=self._comparison.test,
            p=self.p,
            p_holm=p_holm,
            expect=self._comparison.expect,
            verdict=self._verdict(p_holm, alpha),
        )

    def trend(self, p_holm: float | None, alpha: float) -> Trend:
        """The ladder."""
        return Trend(
            name=self._comparison.name,
            controller=self._controller,
            ladder=tuple(_named(self._comparison)),
            rates=tuple(self._rates),
            p=self.p,
            p_holm=p_holm,
            expect=self._comparison.expect,
            verdict=self._verdict(p_holm, alpha),
        )


def _by_seed(rows: Sequence[OutcomeRow], rate: str) -> dict[Hashable, bool]:
    return {row.seed: hit for row in rows if (hit := counted(row, rate)) is not None}


def _published(figure: Published) -> PublishedPoint:
    known = jeffreys(figure.k, figure.n) if figure.k is not None and figure.n is not None else None
    return PublishedPoint(
        condition=figure.condition,
        label=figure.label,
        rate=figure.rate,
        low=known.low if known else None,
        high=known.high if known else None,
        k=figure.k,
        n=figure.n,
        source=figure.source,
        note=figure.note,
    )
