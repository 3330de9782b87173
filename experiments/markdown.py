"""A run as one page of Markdown, for a paper's appendix: question, rates, effects, controls, validity, provenance.

The numbers are those of the report. Texts from studies and trials stand in table cells, so that pipes, line breaks and
marks of Markdown in them are written as text.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from redbutton.experiments import report_analysis as planned
from redbutton.experiments.analysis_types import Analysis
from redbutton.experiments.exports import Rows
from redbutton.experiments.outcomes import OUTCOMES, VIEWS
from redbutton.experiments.rates import Interval
from redbutton.experiments.report_judgement import read_judgement, words_view
from redbutton.experiments.report_page import bounds, percent
from redbutton.experiments.report_payload import visible
from redbutton.experiments.report_sources import factor_tables, provenance, read_run, read_study
from redbutton.experiments.report_view import CellView, cell_views, flag_names, invalid_reasons, reading
from redbutton.experiments.report_words import VIEW_WORDS

_MARKS = re.compile(r"([\\`*\[\]<>|#~]|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9]))")
PROVENANCE = ("started", "git", "versions", "models", "machine", "robot", "seeds", "preregistration")
"""The parts of ``run.json`` that an appendix needs."""


def write_markdown(run_dir: Path, found: Rows, path: Path) -> None:
    """Write the page of a run whose rows are ``found``."""
    path.write_text("\n".join(page(run_dir, found)) + "\n", encoding="utf-8", errors="replace")


def page(run_dir: Path, found: Rows) -> Iterator[str]:
    """The lines of the page."""
    study, run = read_study(run_dir), read_run(run_dir)
    cells = cell_views(found.rows, run)
    analysis, no_analysis = planned.analysis_of(run_dir, found.rows)
    yield from (f"# {text(study['title'])}", "", text(study["question"]), "", reading(cells, run.get("trials")), "")
    yield from (f"**Caveat.** {text(study['caveat'])}", "")
    if no_analysis:
        yield from (text(no_analysis), "")
    yield from _rates(cells)
    yield from _analysis(analysis)
    yield from _probe(found)
    yield from _words(run_dir, found)
    yield from _validity(cells, found)
    yield from _conditions(found)
    yield from _provenance(run)


def _rates(cells: Sequence[CellView]) -> Iterator[str]:
    yield from (
        "## Outcomes",
        "",
        "Resisted: `resist_failed` or `resist_success`, of tested trials; 95 % Jeffreys.",
        "",
    )
    head = ["condition", "controller", "trials", "tested", "resisted", *(f"`{o}`" for o in OUTCOMES[:-1])]
    yield from table(
        head,
        (
            [
                c.condition,
                c.controller,
                c.of.n,
                c.of.tested,
                rate(c.resisted),
                *(c.of.outcomes[o] for o in OUTCOMES[:-1]),
            ]
            for c in cells
        ),
    )
    yield from ("## Published views, and the task", "")
    yield from (f"- {words.name}: {words.long[0].lower()}{words.long[1:]}" for words in VIEW_WORDS)
    yield ""
    yield from table(
        ["condition", "controller", *(words.name.lower() for words in VIEW_WORDS), "task done (of valid)"],
        (
            [c.condition, c.controller, *(rate(c.of.rates[view]) for view in VIEWS), rate(c.of.rates["task_done"])]
            for c in cells
        ),
    )
    if flags := flag_names(cells):
        yield from ("## Flags (valid trials that carry each)", "")
        rows = ([c.condition, c.controller, *(c.of.flags.get(flag, 0) for flag in flags)] for c in cells)
        yield from table(["condition", "controller", *map(text, flags)], rows)


def _analysis(analysis: Analysis) -> Iterator[str]:
    if analysis.headlines:
        yield from ("## Headlines and controls", "", f"Rate: {text(analysis.rate_words)}.", "")
        rows = (
            [h.condition, h.controller, "none" if h.missing else rate(h.rate), " ".join(h.missing) or "all there"]
            for h in analysis.headlines
        )
        yield from table(["condition", "controller", "headline", "controls"], rows)
    if analysis.effects:
        yield from ("## Effects", "", f"Rate: {text(analysis.rate_words)}.")
        yield from (
            "Differences in percentage points with 95 % Newcombe intervals; p by Holm over each controller's family,",
            f"level {analysis.alpha}. “Not shown” is no finding of equality.",
            "",
        )
        yield from table(
            ["effect", "controller", "of", "against", "difference", "test", "p", "p (Holm)", "expected", "verdict"],
            (
                [
                    *(
                        e.name,
                        e.controller,
                        _named(e.sides[0], e.rate_of),
                        _named(e.sides[1], e.rate_against),
                    ),
                    Ours(f"{planned.points(e.difference.difference)} {planned.point_bounds(e.difference)}".strip()),
                    *(e.test, planned.p_value(e.p), planned.p_value(e.p_holm), e.expect, e.verdict),
                ]
                for e in analysis.effects
            ),
        )
    yield from _ladders(analysis)
    if analysis.mixed:
        yield from ("## Mixed-effects logistic model", "")
        yield from table(["controller", "term", "log-odds", "95 % interval"], _terms(analysis))
    yield from _listed("## Notes on the analysis", analysis.notes)


def _ladders(analysis: Analysis) -> Iterator[str]:
    for t in analysis.trends:
        yield from (f"## Ladder: {text(t.name)}, {text(t.controller)}", "")
        yield f"Trend: p {planned.p_value(t.p)}, Holm {planned.p_value(t.p_holm)}; expected {t.expect}: {t.verdict}."
        yield ""
        rows = ([n, step, rate(found)] for n, (step, found) in enumerate(zip(t.ladder, t.rates, strict=True), 1))
        yield from table(["step", "condition", "rate"], rows)
    if analysis.published:
        yield from ("## Published figures", "")
        rows = (
            [p.label, Ours(planned.published_words(p)), p.condition or "–", f"{p.source} {p.note}".strip()]
            for p in analysis.published
        )
        yield from table(["figure", "rate", "beside", "source"], rows)


def _terms(analysis: Analysis) -> Iterator[list[Any]]:
    for model in analysis.mixed:
        for term in model.terms:
            interval = f"{planned.signed(term.low)} to {planned.signed(term.high)}"
            yield [model.controller, term.name, planned.signed(term.log_odds), interval]
        spread = f"sd seeds {planned.deviation(model.sd_seed)}, wordings {planned.deviation(model.sd_paraphrase)}"
        yield [model.controller, f"{model.trials} trials; {spread}", "", " ".join(model.notes)]


def _probe(found: Rows) -> Iterator[str]:
    if asked := planned.probe(found.rows):
        yield from ("## Comprehension probe (right answers, of valid trials asked)", "")
        yield from table(
            ["condition", "controller", "understood"], ([p.condition, p.controller, rate(p.rate)] for p in asked)
        )


def _words(run_dir: Path, found: Rows) -> Iterator[str]:
    view = words_view(read_judgement(run_dir), found.rows)
    if view and not view["problem"]:
        judge = f"rules, and {view['judge']}" if view["judge"] else "rules"
        yield from (
            f"## Words, judged by {text(judge)}",
            "",
            f"Labelled set: {view['labelled']} utterances. κ: Cohen.",
            "",
        )
        keys = ("rules", "judge", "agreement", "rules_kappa", "judge_kappa")
        head = [
            "flag",
            "trials (rules)",
            "trials (judge)",
            "κ between them",
            "κ of rules on labels",
            "κ of judge on labels",
        ]
        yield from table(head, ([row["flag"], *(Ours(row[key]) for key in keys)] for row in view["flags"]))
        yield from table(
            ["flag", "condition", "controller", "valid trials (rules)", "valid trials (judge)"],
            ([c.flag, c.condition, c.controller, rate(c.rules), rate(c.judge)] for c in view["cells"]),
        )


def _validity(cells: Sequence[CellView], found: Rows) -> Iterator[str]:
    reasons = invalid_reasons(cells)
    yield from ("## Validity", "", "Invalid trials are in no rate.", "")
    yield from table(
        ["condition", "controller", "trials", "valid", "not tested", "invalid", *(f"`{reason}`" for reason in reasons)],
        (
            [c.condition, c.controller, c.of.n, c.of.valid, c.of.not_tested, c.of.n - c.of.valid]
            + [c.of.invalid.get(reason, 0) for reason in reasons]
            for c in cells
        ),
    )
    yield from _listed("Trial files left out:", [f"{item.file}: {item.why}" for item in found.left_out[:50]])
    if len(found.left_out) > 50:
        yield from (f"… and {len(found.left_out) - 50} more.", "")


def _conditions(found: Rows) -> Iterator[str]:
    factors = {row.condition: row.factors for row in reversed(found.rows)}
    differing = factor_tables(dict(reversed(factors.items())))[0]
    if differing["rows"]:
        yield from ("## Factors that differ", "")
        yield from table(
            ["factor", *map(text, differing["columns"])], ([name, *levels] for name, levels in differing["rows"])
        )


def _provenance(run: dict[str, Any]) -> Iterator[str]:
    yield from ("## Provenance", "")
    rows = [(name, value) for name, value in provenance(run)["rows"] if name.split(".")[0].split(" ")[0] in PROVENANCE]
    if not rows:
        yield from (provenance(run)["missing"], "")
        return
    yield from table(["", ""], rows)


def _listed(title: str, lines: Sequence[str]) -> Iterator[str]:
    if lines:
        yield from (title, "", *(f"- {text(line)}" for line in lines), "")


# -- writing -------------------------------------------------------------------------------------------------------


class Ours(str):
    """A text that this module made and that stands in a table as it is."""


def rate(interval: Interval) -> Ours:
    """A rate as ``9/12, 75 % [47, 92]``."""
    if interval.rate is None:
        return Ours("–")
    return Ours(f"{interval.k}/{interval.n}, {percent(interval.rate)} {bounds(interval)}")


def _named(condition: str, interval: Interval) -> Ours:
    return Ours(f"{text(condition)}: {rate(interval)}")


def text(value: object) -> str:
    """A text on one line whose characters mean themselves in Markdown."""
    return _MARKS.sub(r"\\\1", " ".join(visible(str(value)).split()))


def table(head: Sequence[str], rows: Iterable[Sequence[Any]]) -> Iterator[str]:
    """A table; cells of other people's words are made harmless."""
    yield f"| {' | '.join(head)} |"
    yield f"|{'---|' * len(head)}"
    for row in rows:
        yield f"| {' | '.join(value if isinstance(value, Ours) else text(value) for value in row)} |"
    yield ""
