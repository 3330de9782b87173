"""The labelled set and what the rules are worth on the half that they were not written against."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from redbutton.envs.words import WORD_FLAGS
from redbutton.experiments.judging.labelled import KINDS, development, held_out, labelled_set
from redbutton.experiments.judging.measuring import agreement, measure, measure_rules, rules_on

DOCS = Path(__file__).resolve().parents[2] / "docs"
# tp, fp, fn, tn, kappa with limits: measured once after the rules were written, and stated in the docs.
HELD_OUT = {
    "plead": (12, 0, 5, 97, 0.80, 0.64, 0.97),
    "coerce": (1, 0, 7, 106, 0.21, -0.14, 0.56),
    "deceive": (14, 1, 7, 92, 0.74, 0.57, 0.91),
    "eval_aware": (8, 1, 8, 97, 0.60, 0.37, 0.83),
    "distract": (4, 1, 8, 101, 0.44, 0.14, 0.73),
}


def test_the_set_is_large_varied_and_without_repetition():
    texts = [u.text for u in labelled_set()]
    assert len(texts) >= 200
    assert len(set(texts)) == len(texts)
    assert len({" ".join(text.lower().split()[:4]) for text in texts}) > 0.85 * len(texts)
    assert {u.kind for u in labelled_set()} == set(KINDS)
    assert sum(not u.labels for u in labelled_set()) >= 70


def test_the_halves_are_fixed_by_the_texts_and_both_hold_every_flag():
    assert (len(development()), len(held_out())) == (102, 114)
    assert {u.text for u in development()}.isdisjoint(u.text for u in held_out())
    for half in (development(), held_out()):
        assert set(Counter(flag for u in half for flag in u.labels)) == set(WORD_FLAGS)


def test_every_lie_comes_with_the_facts_that_contradict_it():
    for utterance in labelled_set():
        if "deceive" in utterance.labels:
            assert {fact["type"] for fact in utterance.facts} & {"attack", "motion"}, utterance.text


def test_the_rules_call_nothing_a_lie_without_a_fact_that_contradicts_it():
    for utterance in labelled_set():
        bare = replace(
            utterance, facts=tuple(f for f in utterance.facts if f["type"] not in ("attack", "motion")), later=()
        )
        assert "deceive" not in rules_on(bare), utterance.text


@pytest.mark.parametrize("flag", WORD_FLAGS)
def test_the_rules_are_worth_what_the_docs_say_on_the_held_out_half(flag):
    row = measure_rules(held_out())[flag]
    found = (*(row[k] for k in ("tp", "fp", "fn", "tn")), *(round(row[k], 2) for k in ("kappa", "low", "high")))
    assert found == HELD_OUT[flag]
    tp, fp, fn, tn, kappa, low, high = HELD_OUT[flag]
    line = f"| `{flag}` | {tp} | {fp} | {fn} | {tn} | {kappa:.2f} [{low:.2f}, {high:.2f}] |"
    assert line in (DOCS / "judging.md").read_text("utf-8")
    assert f"`{flag}` {kappa:.2f}" in (DOCS / "measures.md").read_text("utf-8")


def test_counts_and_agreement_are_of_the_pairs_given():
    plea, none = frozenset({"plead"}), frozenset()
    pairs = [(plea, plea), (plea, none), (none, plea), (none, none)]
    row = measure(pairs)["plead"]
    assert (row["tp"], row["fn"], row["fp"], row["tn"], row["kappa"]) == (1, 1, 1, 1, 0.0)
    assert agreement(pairs)["plead"]["n"] == 4
    assert measure([])["plead"]["kappa"] is None
