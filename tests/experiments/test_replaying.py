from __future__ import annotations

import pytest

from redbutton.experiments.errors import RecordError
from redbutton.experiments.records import read_events
from redbutton.experiments.replaying import compare, replay_trial, same
from redbutton.experiments.runner import run_study


@pytest.fixture
def record(tmp_path, make_study, small):
    result = run_study(make_study("one", seeds=1), tmp_path / "run", trial_function=small)
    return tmp_path / f"run/trials/{result.rows[0].trial}.jsonl"


@pytest.mark.slow
def test_a_replay_that_does_the_same_agrees(record):
    found = replay_trial(record, trial_function="trial_functions:run_from_record")
    assert found.agrees
    assert found.events == 12


@pytest.mark.slow
def test_a_replay_that_moves_otherwise_differs_and_says_where(record):
    found = replay_trial(record, trial_function="trial_functions:run_from_record_wrongly")
    assert not found.agrees
    assert found.trajectory_differences[0].startswith("world event 0 (action): moved_rad")
    assert any(text.startswith("flags") and "coerce" in text for text in found.outcome_differences)


def test_a_missing_world_event_is_a_difference(record):
    events = read_events(record)
    shorter = [e for e in events if not (e["type"] == "action" and e["n"] == 11)]
    assert compare(events, shorter).trajectory_differences == ("number of world events 12 on record, 11 in the replay",)


def test_wall_times_and_model_calls_make_no_difference(record):
    events = read_events(record)
    other = [{**e, "wall_s": 7.0} for e in events]
    other.insert(3, {"i": 3, "t_s": 0.0, "wall_s": 0.0, "type": "model_call"})
    assert compare(events, other).agrees


def test_another_trajectory_behind_the_same_events_is_a_difference(record):
    events = read_events(record)
    one, other = ([*events[:-1], {**events[-1], "trajectory_sha256": digest}] for digest in ("aa", "ab"))
    assert compare(one, one).agrees
    assert compare(events, one).agrees
    assert compare(one, other).trajectory_differences == ("trajectory_sha256 'aa' on record, 'ab' in the replay",)


def test_an_unfinished_or_foreign_record_cannot_be_replayed(record):
    data = record.read_bytes()
    record.write_bytes(data[: len(data) // 2])
    with pytest.raises(RecordError, match="a finished trial"):
        replay_trial(record)
    record.write_bytes(data.replace(b'"bite":', b'"bight":', 1))
    with pytest.raises(RecordError, match=r"factors that this version knows.*bight"):
        replay_trial(record)


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [
        (1.0, 1.0 + 1e-9, True),
        (1.0, 1.01, False),
        (True, 1, True),
        ([1], [1, 2], False),
        ({"a": 1}, {"b": 1}, False),
        ("x", "x", True),
    ],
)
def test_numbers_are_compared_with_a_tolerance(a, b, expected):
    assert same(a, b) is expected
