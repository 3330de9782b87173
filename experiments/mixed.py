"""The mixed-effects logistic model of a study: which trials, which fixed effects, which random intercepts.

Fixed effects are the factors that the plan names, each level against the first one in the study's order of
conditions; numeric covariates are standardised. Random intercepts: one a seed, since conditions share layouts and
times, and one a wording, that is each paraphrase of each combination of prompt levels: a level is an idea, its wordings
are a sample of it (Clark, "The language-as-fixed-effect fallacy", Journal of Verbal Learning and Verbal Behavior 12
(1973), 335-359). The fit is that of ``laplace``, with its priors.

CAVEAT: log-odds are conditional on seed and wording, so they are larger than those of the raw rates. With three
wordings a level the variance between wordings is hardly known; the prior speaks there.
"""

from __future__ import annotations

import json
from collections.abc import Hashable, Iterator, Sequence
from typing import Any

import numpy as np

from redbutton.experiments.analysis_plan import COVARIATES
from redbutton.experiments.analysis_types import Mixed, Term
from redbutton.experiments.factors import Condition
from redbutton.experiments.headlines import Cells
from redbutton.experiments.laplace import Floats, Ints, Model
from redbutton.experiments.outcomes import OutcomeRow
from redbutton.experiments.rate_kinds import counted
from redbutton.experiments.study import Study
from redbutton.experiments.study_file import AnalysisPlan
from redbutton.llm_controller.prompting import FACTORS

FEWEST_GROUPS = 3
"""Seeds or wordings that a random intercept needs."""
_SURE_SD = 4.0  # from here on a group nearly decides the outcome by itself
_NORMAL_95 = 1.959963984540054


def fit_mixed(study: Study, controller: str, cells: Cells, *, priors: bool = True) -> Mixed:
    """Fit the model of the study's plan to one controller's rows.

    Trials are those that the plan's rate is over, in the study's order of conditions. Control conditions that no
    comparison names are left out. What cannot be estimated is left out with a note; where nothing is left, or nothing
    can be fitted, there are no terms and the notes say why.
    """
    plan = study.document.analysis
    conditions = [c for c in study.conditions if c.label in cells and c.label not in _controls_alone(plan)]
    data = _Data(plan, conditions, [row for c in conditions for row in cells[c.label]])
    if not data.columns:
        return _none(controller, data, "no model: no factor is left to estimate.")
    if not priors and len(set(data.y.tolist())) == 1:
        return _none(controller, data, "no model: every trial has the same outcome.")
    seeds, wordings = data.seeds(), data.wordings()
    groups = [g for g in (seeds, wordings) if g is not None]
    groups.sort(key=lambda g: -int(g.max()))
    fit = Model(data.x(), data.y, groups, priors=priors).fit()
    if not fit.converged:
        return _none(controller, data, "no model: the fit did not converge.")
    sd = {id(group): value for group, value in zip(groups, fit.sds, strict=True)}
    half = _NORMAL_95 * np.sqrt(np.diag(fit.covariance))
    terms = zip(("intercept", *data.columns), fit.beta.tolist(), half.tolist(), strict=True)
    return Mixed(
        controller=controller,
        terms=tuple(Term(name=name, log_odds=b, low=b - h, high=b + h) for name, b, h in terms),
        sd_seed=sd.get(id(seeds)),
        sd_paraphrase=sd.get(id(wordings)),
        trials=len(data.y),
        notes=(*data.notes, *_warnings(data, fit.sds, seeds, wordings)),
    )


def _controls_alone(plan: AnalysisPlan) -> set[str]:
    """Control conditions that are nothing else: in no comparison and no headline."""
    compared = {label for c in plan.comparisons for label in (c.of, c.against, *(c.ladder or ()))}
    return {label for label in plan.controls.model_dump().values() if label} - compared - set(plan.headline)


def _none(controller: str, data: _Data, why: str) -> Mixed:
    notes = (*data.notes, why)
    return Mixed(controller=controller, terms=(), sd_seed=None, sd_paraphrase=None, trials=len(data.y), notes=notes)


def _warnings(data: _Data, sds: Sequence[float], seeds: Ints | None, wordings: Ints | None) -> Iterator[str]:
    if len(set(data.y.tolist())) == 1:
        yield "every trial has the same outcome: the terms rest on their priors alone."
    if seeds is None:
        yield "no seed was run more than once, or too few: no intercept for seeds."
    if wordings is None:
        yield (
            "one wording a level, or too few: no intercept for wordings. A difference may be one between two sentences."
        )
    if any(sd > _SURE_SD for sd in sds):
        yield "some seeds or wordings nearly decide the outcome by themselves: the log-odds are hard to read."


class _Data:
    """Rows and columns of the model, with notes on what was left out."""

    def __init__(self, plan: AnalysisPlan, conditions: Sequence[Condition], rows: Sequence[OutcomeRow]) -> None:
        self.notes: list[str] = []
        self.columns: dict[str, Floats] = {}
        self._rows = [row for row in rows if counted(row, plan.rate) is not None]
        covariates = [name for name in plan.mixed if name in COVARIATES and self._known(name)]
        self.y = np.array([bool(counted(row, plan.rate)) for row in self._rows], dtype=np.float64)
        if not self._rows:
            self.notes.append(f"no trial counts for {plan.rate}.")
            return
        for factor in plan.mixed:
            if factor in covariates:
                self._add_covariate(factor)
            elif factor not in COVARIATES:
                self._add_factor(factor, [condition.factors()[factor] for condition in conditions])
        self._note_others(plan, conditions)

    def x(self) -> Floats:
        """The fixed effects, intercept first, shape (n, p)."""
        return np.column_stack([np.ones(len(self.y)), *self.columns.values()])

    def seeds(self) -> Ints | None:
        """Number of each row's seed; ``None`` where seeds cannot be told from single trials."""
        groups = _numbered([row.seed for row in self._rows])
        count = int(groups.max()) + 1
        return groups if FEWEST_GROUPS <= count < len(groups) else None

    def wordings(self) -> Ints | None:
        """Number of each row's wording; ``None`` where every combination of prompt levels has one wording only."""
        prompts = [json.dumps([row.factors.get(name) for name in FACTORS]) for row in self._rows]
        groups = _numbered([(p, row.factors.get("paraphrase")) for p, row in zip(prompts, self._rows, strict=True)])
        count = int(groups.max()) + 1
        return groups if count >= FEWEST_GROUPS and len(set(prompts)) < count < len(groups) else None

    def _known(self, covariate: str) -> bool:
        """Keep the rows that know the covariate; ``False`` where none does."""
        known = [row for row in self._rows if getattr(row, covariate) is not None]
        if not known:
            self.notes.append(f"{covariate} is not known of these trials.")
            return False
        if len(known) < len(self._rows):
            self.notes.append(f"left out: {len(self._rows) - len(known)} of {len(self._rows)} without {covariate}.")
        self._rows = known
        return True

    def _add_factor(self, factor: str, order: Sequence[Any]) -> None:
        texts = [_level(row.factors.get(factor)) for row in self._rows]
        levels = [level for level in dict.fromkeys(map(_level, order)) if level in texts]
        if len(levels) < 2:
            self.notes.append(f"{factor} has one level in these trials.")
        for level in levels[1:]:
            self._add(f"{factor}={level}", np.array([text == level for text in texts], dtype=np.float64))

    def _add_covariate(self, covariate: str) -> None:
        values = np.array([getattr(row, covariate) for row in self._rows], dtype=np.float64)
        spread = float(values.std())
        if spread == 0.0:
            self.notes.append(f"{covariate} is the same in all these trials.")
            return
        self.notes.append(f"{covariate}: log-odds for one standard deviation, {spread:.4g}.")
        self._add(covariate, (values - values.mean()) / spread)

    def _add(self, name: str, column: Floats) -> None:
        """Take a column unless those before it already say what it says."""
        before = self.x()
        left = column - before @ np.linalg.lstsq(before, column, rcond=None)[0]
        if np.linalg.norm(left) <= 1e-8 * np.linalg.norm(column):
            self.notes.append(f"{name} goes with the terms before it and cannot be told from them.")
        else:
            self.columns[name] = column

    def _note_others(self, plan: AnalysisPlan, conditions: Sequence[Condition]) -> None:
        used = {row.condition for row in self._rows}
        levels = [c.factors() for c in conditions if c.label in used]
        names = levels[0] if levels else {}
        vary = [f for f in names if len({_level(c[f]) for c in levels}) > 1 and f not in (*plan.mixed, "paraphrase")]
        if vary:
            self.notes.append(f"the model does not know of {', '.join(vary)}, which these conditions differ in too.")


def _level(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _numbered(keys: Sequence[Hashable]) -> Ints:
    """Each key as the number of its first appearance, from 0."""
    numbers: dict[Hashable, int] = {}
    return np.array([numbers.setdefault(key, len(numbers)) for key in keys], dtype=np.int64)
