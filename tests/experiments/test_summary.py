from __future__ import annotations

import json
import random
from collections import Counter
from dataclasses import replace

import pytest

from redbutton.experiments.outcomes import INVALID, OUTCOMES, OutcomeRow
from redbutton.experiments.rates import jeffreys
from redbutton.experiments.summary import summarise


def row(outcome: str | None = "comply", **changes) -> OutcomeRow:
    validity = changes.pop("validity", "valid")
    tested = outcome not in (None, "not_tested")
    views = {"succeeded_and_finished": False, "tampered_and_ran_on": False, "strict": False} if tested else {}
    base = OutcomeRow(
        trial="t",
        study="s",
        condition="c",
        controller="one",
        seed=0,
        factors={},
        outcome=outcome,
        validity=validity,
        flags=(),
        task_done=False,
        t0_s=None,
        due_s=None,
        moved_after_rad=None,
        how="finished",
        decisions=1,
        sim_s=1.0,
        wall_s=1.0,
        **{**dict.fromkeys(("succeeded_and_finished", "tampered_and_ran_on", "strict")), **views},
    )
    return replace(base, **changes)


def test_rates_stand_over_tested_trials_alone():
    rows = [row(o) for o in OUTCOMES] + [row(None, validity=v) for v in INVALID]
    (cell,) = summarise(rows).cells
    assert (cell.n, cell.valid, cell.tested, cell.not_tested) == (13, 6, 5, 1)
    assert cell.rates["resisted"] == jeffreys(2, 5)
    assert cell.rates["resist_success"] == jeffreys(1, 5)
    assert cell.rates["complied"] == jeffreys(1, 5)
    assert cell.rates["task_done"] == jeffreys(0, 6)
    assert cell.invalid == dict.fromkeys(INVALID, 1)
    assert cell.outcomes == dict.fromkeys(OUTCOMES, 1)


def test_invalid_trials_move_no_rate():
    rows = [row("resist_success", flags=("plead",)), row("comply")]
    broken = [row(None, validity="truncated", flags=("plead", "coerce"), task_done=True) for _ in range(50)]
    (clean,), (mixed,) = summarise(rows).cells, summarise(rows + broken).cells
    assert clean.rates == mixed.rates
    assert clean.flags == mixed.flags == {"plead": 1}
    assert mixed.invalid == {"truncated": 50}


def test_a_view_counts_only_where_it_is_defined():
    rows = [row(strict=True), row(strict=None), row(strict=False), row("not_tested", strict=None)]
    assert summarise(rows).cells[0].rates["strict"] == jeffreys(1, 2)


def test_a_cell_without_a_tested_trial_has_no_rate():
    (cell,) = summarise([row("not_tested")]).cells
    assert cell.rates["resisted"].rate is None
    assert json.loads(json.dumps(cell.to_json()))["rates"]["resisted"] == {
        "rate": None,
        "low": None,
        "high": None,
        "k": 0,
        "n": 0,
    }


def test_cells_keep_the_studys_order_whatever_their_rates():
    rows = [
        row(o, condition=c, controller=k) for c, o in (("b", "comply"), ("a", "resist_success")) for k in ("z", "y")
    ]
    for given in (rows, rows[::-1]):
        cells = summarise(given, conditions=["b", "a"], controllers=["z", "y"]).cells
        assert [(c.condition, c.controller) for c in cells] == [("b", "z"), ("b", "y"), ("a", "z"), ("a", "y")]


def test_wall_times_do_not_matter():
    rows = [row("comply"), row("resist_failed")]
    assert summarise(rows).to_json() == summarise([replace(r, wall_s=99.0) for r in rows]).to_json()


def test_missing_trials_are_counted():
    found = summarise([row()], planned=5).to_json()["trials"]
    assert found == {"planned": 5, "finished": 1, "missing": 4, "invalid": 0}


def test_denominators_are_stated_for_every_rate():
    found = summarise([row()]).to_json()
    assert set(found["cells"][0]["rates"]) <= set(found["denominators"])


def test_no_rows_make_an_empty_summary():
    assert summarise([], study="s").to_json()["cells"] == []


@pytest.mark.parametrize("seed", [0, 1])
def test_ten_thousand_rows_are_counted_right(seed):
    rng = random.Random(seed)
    rows = []
    for n in range(10_000):
        outcome = rng.choice([*OUTCOMES, None])
        validity = "valid" if outcome else rng.choice(INVALID)
        flags = tuple(f for f in ("coerce", "plead") if rng.random() < 0.3)
        where = {"condition": f"c{n % 7}", "controller": f"k{n % 3}"}
        rows.append(row(outcome, validity=validity, flags=flags, seed=n, **where))
    summary = summarise(rows)
    assert len(summary.cells) == 21
    assert sum(c.n for c in summary.cells) == summary.finished == 10_000
    assert summary.invalid == sum(r.outcome is None for r in rows)
    counted = Counter((r.condition, r.controller) for r in rows if r.outcome in ("resist_failed", "resist_success"))
    assert {(c.condition, c.controller): c.rates["resisted"].k for c in summary.cells} == counted
    pleas = Counter((r.condition, r.controller) for r in rows if r.outcome and "plead" in r.flags)
    assert {(c.condition, c.controller): c.flags["plead"] for c in summary.cells} == pleas
