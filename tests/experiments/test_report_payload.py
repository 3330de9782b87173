"""The pieces under the report page: making text safe, cutting, ranking."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markupsafe import Markup

from redbutton.experiments.rates import jeffreys
from redbutton.experiments.report_details import ranked
from redbutton.experiments.report_page import bounds, breakable, percent, rate_words, shorten
from redbutton.experiments.report_payload import cut, page_event, safe, script_json, visible
from redbutton.experiments.report_sources import factor_tables
from redbutton.experiments.report_view import name_lines

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)


@given(JSON)
def test_script_json_of_anything_is_ascii_without_markup_and_reads_back(value):
    ready = safe(value)
    text = script_json(ready)
    assert text.isascii()
    assert not set(text) & set("<>&")
    assert json.loads(text) == ready


@given(st.text(alphabet=st.characters(), max_size=200))
def test_visible_text_is_valid_utf8_and_holds_no_acting_character(text):
    shown = visible(text)
    shown.encode("utf-8")
    assert not set(shown) & {*map(chr, range(0x202A, 0x202F)), *map(chr, range(0x2066, 0x206A)), "\u2028", "\0", "\x1b"}


@pytest.mark.parametrize("text", ["coffee", "Käffchen ☕ 咖啡 قهوة", "two\nlines\tand a tab", "a‑b – c"])
def test_ordinary_text_of_any_script_stays_as_it_is(text):
    assert visible(text) == text


def test_cut_says_how_long_the_whole_was():
    assert cut("abcdef", 6) == "abcdef"
    assert cut("abcdefg", 6) == "abcdef … [7 characters in all; the rest is in the trial's own file]"


@pytest.mark.parametrize("number", [float("nan"), float("inf"), -float("inf"), 2**60, 10**400])
def test_numbers_that_javascript_would_change_become_text(number):
    assert isinstance(safe(number), str)


def test_deep_and_long_values_end():
    deep: Any = "end"
    for _ in range(50):
        deep = [deep]
    assert len(json.dumps(safe(deep))) < 400
    assert safe(list(range(500)))[-1] == "… 300 more"
    assert safe(dict.fromkeys(map(str, range(500))))["…"] == "300 more"


def test_a_request_keeps_its_last_messages_and_names_the_rest():
    messages = [{"role": "user", "content": str(n)} for n in range(9)]
    event = page_event(4, {"type": "model_call", "request": {"messages": messages, "tools": [1, 2], "seed": 3}})
    assert event["i"] == 4
    assert event["request"]["messages"] == ["… 7 earlier messages, as in the transcript", *messages[-2:]]
    assert event["request"]["tools"] == "… 2 tools, as in the briefing"
    assert event["request"]["seed"] == 3


def record(condition: str, outcome: str | None = "comply") -> Any:
    return SimpleNamespace(
        row=SimpleNamespace(condition=condition, controller="x", outcome=outcome, valid=outcome is not None)
    )


def test_first_of_each_cell_come_before_resisting_and_invalid_ones_and_those_before_the_rest():
    records = [record("a"), record("a"), record("a"), record("a"), record("a", "resist_failed"), record("a", None)]
    assert ranked([*records, record("b")]) == [0, 1, 2, 6, 4, 5, 3]


def test_rates_are_written_with_their_limits():
    assert percent(0.354) == "35 %"
    assert bounds(jeffreys(0, 10)) == "[0, 22]"
    assert bounds(jeffreys(0, 0)) == ""
    assert rate_words(jeffreys(0, 0)) == "no tested trial"
    assert rate_words(jeffreys(5, 5)) == "5 of 5, 100 %, 95 % interval 62 to 100 %"


def test_shorten_keeps_the_ends_by_which_labels_differ():
    assert shorten("abcdef", 6) == "abcdef"
    assert shorten("abcdefgh", 6) == "ab…fgh"
    labels = [f"notice=status,fail_mode=fail_open,precedence={level}" for level in ("true", "false")]
    assert len({shorten(label, 36) for label in labels}) == 2
    assert all(len(shorten(label, 36)) == 36 for label in labels)


def test_breakable_escapes_and_loses_nothing():
    assert breakable("a,b_<i>:c") == Markup("a,<wbr>b_<wbr>&lt;i&gt;:<wbr>c")
    assert breakable("") == ""
    assert breakable("::plain").replace("<wbr>", "") == "::plain"


@pytest.mark.parametrize(
    ("name", "lines"),
    [
        ("default", ("default",)),
        ("", ("",)),
        ("notice=none,fail_mode=fail_safe,precedence=true", ("notice=none,fail_mode=fail_safe,", "precedence=true")),
        ("x" * 80, ("x" * 36, "x" * 36, "x" * 8)),
    ],
)
def test_a_conditions_name_is_broken_into_lines_and_never_shortened(name, lines):
    assert name_lines(name) == lines
    assert "".join(lines) == name


def test_a_single_condition_has_only_constant_factors():
    differing, constant = factor_tables({"only": {"bite": "immediate", "vision": False}})
    assert differing["rows"] == []
    assert constant["rows"] == [("bite", ["immediate"]), ("vision", ["false"])]
