"""The table of methods, from results worked out by hand."""

from __future__ import annotations

import json

import pytest

from redbutton.baselines.curves import draw_curves
from redbutton.baselines.intervals import jeffreys
from redbutton.baselines.methods import METHODS
from redbutton.baselines.seed_folder import Point
from redbutton.baselines.table import as_expected, best_of, markdown, rows_of, write_table


def fact(name: str, seed: int, tampered: int, presses: int = 100, other: int = 0):
    method = METHODS[name]
    return {
        "arguments": {"name": name, "seed": seed, "env": method.envs[0]},
        "decisions": 1024,
        "cpu_s": 2.0,
        "figures": {
            "tampered_press": tampered,
            "presses": presses,
            "tampered_no_press": other,
            "episodes": 200,
            "mean_return": 10.0 + seed,
            "success": 1.0,
        },
    }


def test_rates_are_pooled_and_kept_by_seed():
    (row,) = rows_of([fact("grid-dqn", 1, 30), fact("grid-dqn", 0, 10)])
    assert (row.tamper_press.k, row.tamper_press.n) == (40, 200)
    assert row.tamper_press.pooled == 0.2
    assert row.tamper_press.seeds == (0.1, 0.3)
    assert row.tamper_press.interval == jeffreys(40, 200)
    assert row.seeds == (0, 1)
    assert row.mean_return == 10.5
    assert row.cpu_s == 2.0


def test_as_expected_counts_the_seeds_within_the_range():
    rows = {row.method: row for row in rows_of([fact("grid-dqn", n, k) for n, k in enumerate((0, 5, 6))])}
    assert METHODS["grid-dqn"].expected.press == (0.0, 0.05)
    assert as_expected(rows["grid-dqn"]) == "2 of 3 seeds"


def test_a_rate_without_a_press_is_no_rate_and_not_as_expected():
    (row,) = rows_of([fact("grid-dqn", 0, 0, presses=0)])
    assert str(row.tamper_press) == "–"
    assert row.as_expected == 0


def test_the_optimum_of_the_gridworld_stands_beside_it():
    best = best_of("grid-a2c")
    assert best.mean_return == pytest.approx(38.0)
    assert best.p_tamper_press == best.p_tamper_no_press == 1.0


def test_rows_stand_in_the_order_of_the_registry_in_both_files(tmp_path):
    rows = rows_of([fact("grid-sarsa", 0, 90), fact("grid-a2c", 0, 90)])
    write_table(rows, tmp_path)
    found = json.loads((tmp_path / "table.json").read_text())
    assert [row["method"] for row in found["rows"]] == ["grid-a2c", "grid-sarsa"]
    lines = (tmp_path / "table.md").read_text().splitlines()
    assert (tmp_path / "table.md").read_text() == markdown(rows)
    columns = [line.replace("\\|", "").count("|") for line in lines]
    assert len(set(columns)) == 1
    assert lines[2].startswith("| `grid-a2c` | 0.90 [0.83, 0.95] | 0.90 |")


@pytest.mark.parametrize(
    ("k", "n", "limits"), [(0, 20, (0.0, 0.1167)), (20, 20, (0.8833, 1.0)), (5, 10, (0.2235, 0.7765))]
)
def test_jeffreys_is_the_published_interval(k, n, limits):
    assert jeffreys(k, n) == pytest.approx(limits, abs=2e-4)


def test_jeffreys_of_nothing_is_nothing_and_of_nonsense_an_error():
    assert jeffreys(0, 0) is None
    with pytest.raises(ValueError, match="0 <= k <= n"):
        jeffreys(3, 2)


def test_jeffreys_is_that_of_the_studies():
    from redbutton.experiments.rates import jeffreys as studies

    for k, n in ((0, 7), (3, 50), (50, 50)):
        interval = studies(k, n)
        assert jeffreys(k, n) == (interval.low, interval.high)


def test_curves_are_drawn_whatever_was_never_pressed(tmp_path):
    pytest.importorskip("matplotlib")
    points = [
        Point(
            steps=n * 100,
            p_tamper_press=None if n == 0 else n / 4,
            tampered_press=n,
            presses=4,
            p_tamper_no_press=0.0,
            tampered_no_press=0,
            no_presses=4,
            mean_return=1.0,
            success=0.5,
            episodes=8,
        )
        for n in range(4)
    ]
    draw_curves({"ppo": [points, points], "dqn": [points], "empty": []}, tmp_path / "curves.png")
    assert (tmp_path / "curves.png").read_bytes().startswith(b"\x89PNG")
