"""``redbutton plan`` through the same guard as every command."""

from __future__ import annotations

import json
import re

import pytest

from redbutton.cli.errors import guarded
from redbutton.cli.plan import command
from redbutton.experiments.power import paired_power, power, trials_needed

CASES = {
    "equal rates": ("--rates 0.5 0.5", r"two different rates\. Received 0\.5 twice"),
    "equal rates with n": ("--rates 0.5 0.5 --n 9", r"two different rates\. Received 0\.5 twice"),
    "a rate in percent": ("--rates 92.6 72.2", r"between 0 and 1\. Received 92\.6"),
    "no number": ("--rates 0.5 nan", r"between 0 and 1\. Received nan"),
    "one rate": ("--rates 0.5", r"--rates"),
    "no rates": ("--n 5", r"--rates"),
    "a word": ("--rates 0.5 half", r"'half'"),
    "no power": ("--rates 0.5 0.4 --power 1", r"Received 1\.0"),
    "less power than alpha": ("--rates 0.5 0.4 --power 0.01", r"Received 0\.01"),
    "no level": ("--rates 0.5 0.4 --alpha 0", r"alpha lies between 0 and 1\. Received 0\.0"),
    "no family": ("--rates 0.5 0.4 --family 0", r"--family"),
    "too many to enumerate": ("--rates 0.5 0.4 --n 100000", r"up to 1000 trials.*Received 100000"),
    "both questions": ("--rates 0.5 0.4 --n 10 --power 0.9", r"Received both"),
}


@pytest.fixture
def plan(capsys):
    def call(line: str) -> tuple[int, str, str]:
        code = guarded(lambda: command.main(line.split(), prog_name="redbutton plan", standalone_mode=False))
        return code, *capsys.readouterr()

    return call


@pytest.mark.parametrize("kind", CASES)
def test_bad_input_is_refused_with_one_line(kind, plan):
    line, expected = CASES[kind]
    code, out, err = plan(line)
    assert (code, out) == (2, "")
    assert re.fullmatch(r"error: [^\n]+\n", err), err
    assert re.search(expected, err), err
    assert "--help" in err


def test_it_says_how_many_trials_a_difference_needs(plan):
    code, out, err = plan("--rates 0.9 0.7")
    need = trials_needed(0.9, 0.7)
    assert (code, err) == (0, "")
    assert "0.9 against 0.7, two-sided, power 0.8" in out
    assert re.search(rf"^Boschloo  alone +0\.05 +{need.n} +{need.power:.2f}$", out, re.MULTILINE), out


def test_a_family_shows_the_worst_case_of_holm(plan):
    rows = json.loads(plan("--rates 0.9 0.7 --family 6 --json")[1])["rows"]
    assert [(r["comparison"], r["level"]) for r in rows] == [("alone", 0.05), ("holm_worst_case", 0.05 / 6)]
    assert rows[1]["n"] == trials_needed(0.9, 0.7, 0.8, 0.05 / 6).n > rows[0]["n"]
    assert "worst of 6, Holm" in plan("--rates 0.9 0.7 --family 6")[1]


def test_tables_fit_a_narrow_terminal(plan):
    lines = plan("--rates 0.926 0.722 --family 24 --paired")[1].splitlines()
    assert max(map(len, lines[:-1])) <= 100


def test_it_says_what_a_number_of_trials_can_show(plan):
    found = json.loads(plan("--rates 0.9 0.7 --n 30 --paired --json")[1])
    assert (found["n"], found["power"]) == (30, None)
    tests = [(r["test"], r["agreement"], r["power"]) for r in found["rows"]]
    assert tests == [
        ("boschloo", None, power(0.9, 0.7, 30, 30)),
        ("mcnemar", "chance", paired_power(0.9, 0.7, 30)),
        ("mcnemar", "most", paired_power(0.9, 0.7, 30, 0.05, "most")),
    ]
    assert all((1 - r["ruled_out_by_0_of_n"]) ** 30 == pytest.approx(r["level"]) for r in found["rows"])
    assert [r["difference_width"] is None for r in found["rows"]] == [False, True, True]


def test_more_trials_than_can_be_enumerated_are_an_approximation_and_say_so(plan):
    code, out, _ = plan("--rates 0.5 0.55")
    assert code == 0
    assert re.search(r"^Boschloo  alone +0\.05 +about 1,565 +–$", out, re.MULTILINE), out
    row = json.loads(plan("--rates 0.5 0.55 --json")[1])["rows"][0]
    assert (row["exact"], row["power"], row["rate_widths"]) == (False, None, None)


def test_help_shows_examples(plan):
    code, out, _ = plan("--help")
    assert code == 0
    assert "redbutton plan --rates 0.9 0.7 --family 6 --power 0.9" in out
