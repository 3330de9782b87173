from __future__ import annotations

import enum
import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from redbutton.experiments.errors import RecordError
from redbutton.experiments.events import encode, plain
from redbutton.experiments.outcomes import from_table, to_table
from redbutton.experiments.records import OutcomeRow, TrialWriter, read_events, row_from_events


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        self.now += 0.25
        return self.now


ROW = OutcomeRow(
    trial="t",
    study="s",
    condition="c",
    controller="one",
    seed=3,
    factors={"bite": "immediate", "press_window_s": [0.5, 3.0]},
    outcome="resist_failed",
    validity="valid",
    flags=("plead", "tamper_latch"),
    task_done=True,
    t0_s=1.5,
    due_s=None,
    moved_after_rad=0.0,
    succeeded_and_finished=False,
    tampered_and_ran_on=True,
    strict=None,
    how="finished",
    decisions=4,
    sim_s=9.5,
    wall_s=0.5,
)


def events_of(row: OutcomeRow) -> list[dict]:
    keys = ("trial", "study", "condition", "factors", "controller", "seed")
    start = {"type": "trial_start", "schema": 1, **{k: getattr(row, k) for k in keys}}
    views = {k: getattr(row, k) for k in ("succeeded_and_finished", "tampered_and_ran_on", "strict")}
    keys = ("outcome", "validity", "task_done", "t0_s", "due_s", "moved_after_rad")
    outcome = {"type": "outcome", **{k: getattr(row, k) for k in keys}, "views": views}
    outcome["flags"] = {flag: [1] for flag in row.flags}
    end = {"type": "trial_end", "how": row.how, "decisions": row.decisions, "sim_s": row.sim_s, "wall_s": row.wall_s}
    return [start, outcome, end]


def test_events_are_numbered_timed_and_read_back(tmp_path):
    with TrialWriter(tmp_path, "t", clock=Clock()) as writer:
        assert writer.event("trial_start", 0.0, trial="t") == 0
        assert writer.event("say", 1.25, text="hé\u2028\n\ud800 ok", to="operator") == 1
    assert read_events(tmp_path / "t.jsonl") == [
        {"i": 0, "t_s": 0.0, "wall_s": 0.25, "type": "trial_start", "trial": "t"},
        {"i": 1, "t_s": 1.25, "wall_s": 0.5, "type": "say", "text": "hé\u2028\n\ud800 ok", "to": "operator"},
    ]
    text = (tmp_path / "t.jsonl").read_bytes().decode("utf-8")
    assert len(text.splitlines()) == 2
    assert "hé" in text


def test_every_line_is_on_file_before_the_call_returns(tmp_path):
    writer = TrialWriter(tmp_path, "t")
    for n in range(3):
        writer.event("action", float(n))
        assert len(read_events(tmp_path / "t.jsonl")) == n + 1
    writer.close()
    writer.close()
    with pytest.raises(ValueError, match="once it is closed"):
        writer.event("action", 3.0)


class Colour(str, enum.Enum):
    RED = "red"


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (math.nan, None),
        (-math.inf, None),
        (np.float32(0.5), 0.5),
        (np.float64("nan"), None),
        (np.int64(7), 7),
        (np.bool_(True), True),
        (np.array([[1.0, math.inf]]), [[1.0, None]]),
        (np.str_("x"), "x"),
        (("a", 1), ["a", 1]),
        ({"b", "a"}, ["a", "b"]),
        ({1: {"x": math.nan}}, {"1": {"x": None}}),
        (Colour.RED, "red"),
        (Path("a/b"), "a/b"),
        (2**70, 2**70),
        (True, True),
    ],
)
def test_values_become_json(value, expected):
    found = plain(value)
    assert found == expected
    assert type(found) is type(expected)
    assert json.loads(encode({"v": found})) == {"v": expected}


@pytest.mark.parametrize("value", [b"bytes", object(), {(1, 2): 3}, 1j])
def test_values_without_a_json_form_are_refused(tmp_path, value):
    with TrialWriter(tmp_path, "t") as writer:
        with pytest.raises(TypeError, match="Received"):
            writer.event("action", 0.0, value=value)
        assert writer.event("action", 0.0) == 0


def test_the_writers_own_fields_cannot_be_set(tmp_path):
    with TrialWriter(tmp_path, "t") as writer, pytest.raises(ValueError, match="wall_s"):
        writer.event("action", 0.0, wall_s=3.0)


def test_a_record_is_never_overwritten(tmp_path):
    TrialWriter(tmp_path, "t").close()
    with pytest.raises(RecordError, match="never overwritten"):
        TrialWriter(tmp_path, "t")


def test_images_lie_beside_the_record_under_numbered_names(tmp_path):
    with TrialWriter(tmp_path, "a.b--c--s0") as writer:
        names = [writer.image(b"one", "jpg"), writer.image(b"two", ".PNG")]
        with pytest.raises(ValueError, match="suffix"):
            writer.image(b"", "../x")
    assert names == ["a.b--c--s0/frame-000.jpg", "a.b--c--s0/frame-001.png"]
    assert [(tmp_path / n).read_bytes() for n in names] == [b"one", b"two"]


def test_images_follow_a_folder_that_is_moved_aside(tmp_path):
    with TrialWriter(tmp_path, "t") as writer:
        writer.image(b"one", "jpg")
        (tmp_path / "t").rename(tmp_path / "aside")
        writer.image(b"two", "jpg")
    assert sorted(p.name for p in (tmp_path / "aside").iterdir()) == ["frame-000.jpg", "frame-001.jpg"]
    assert not (tmp_path / "t").exists()


def test_a_torn_last_line_is_left_out_and_a_torn_middle_line_is_refused(tmp_path):
    with TrialWriter(tmp_path, "t") as writer:
        for n in range(3):
            writer.event("action", float(n))
    path = tmp_path / "t.jsonl"
    data = path.read_bytes()
    for cut in range(1, len(data)):
        path.write_bytes(data[:cut])
        whole = data[:cut].count(b"\n")
        assert len(read_events(path)) in (whole, whole + 1)
    path.write_bytes(data.replace(b'"i":1', b'"i"1'))
    with pytest.raises(RecordError, match="line 2 of a trial file"):
        read_events(path)


@pytest.mark.parametrize(
    "data", [b"[1]\n{}\n", b'{"i": 0}\n{"i":1,"type":"x"}\n', b'{"i":5,"type":"x"}\n{}\n', b"\n\n\n"]
)
def test_lines_that_are_no_events_are_refused(tmp_path, data):
    (tmp_path / "t.jsonl").write_bytes(data)
    with pytest.raises(RecordError, match="line 1 of a trial file"):
        read_events(tmp_path / "t.jsonl")


def test_a_missing_record_is_refused(tmp_path):
    with pytest.raises(RecordError, match="readable JSONL"):
        read_events(tmp_path / "none.jsonl")


def test_a_row_comes_back_from_its_events():
    assert row_from_events(events_of(ROW)) == ROW


def test_the_last_outcome_counts():
    invalid = replace(ROW, outcome=None, validity="sim_error", flags=())
    start, first, _ = events_of(ROW)
    _, last, end = events_of(invalid)
    assert row_from_events([start, first, last, end]) == invalid


@pytest.mark.parametrize(
    "spoil",
    [
        lambda e: e[:2],
        lambda e: e[1:],
        lambda e: [e[0], e[2]],
        lambda e: [],
        lambda e: [e[0], {**e[1], "outcome": "comply?"}, e[2]],
        lambda e: [e[0], {**e[1], "outcome": None}, e[2]],
        lambda e: [e[0], {**e[1], "validity": "odd"}, e[2]],
        lambda e: [{k: v for k, v in e[0].items() if k != "seed"}, *e[1:]],
        lambda e: [{**e[0], "factors": None}, *e[1:]],
        lambda e: [*e[:2], {**e[2], "sim_s": "long"}],
    ],
)
def test_events_that_make_no_row_are_refused(spoil):
    with pytest.raises(RecordError, match="Received"):
        row_from_events(spoil(events_of(ROW)))


def test_rows_survive_the_table_and_none_at_all_do_too():
    rows = [ROW, replace(ROW, trial="u", outcome=None, validity="timeout", flags=(), t0_s=None, task_done=False)]
    assert from_table(to_table(rows)) == rows
    assert from_table(to_table([])) == []
    assert to_table([]).schema == to_table(rows).schema


def test_a_table_with_missing_columns_is_refused():
    with pytest.raises(RecordError, match="without flags"):
        from_table(to_table([ROW]).drop_columns(["flags"]))
