"""Reading a trial file at first sight gives what reading all of it gives, and finds the same damage."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from redbutton.experiments.records import TrialWriter, read_events, row_from_events
from redbutton.experiments.skim import UnreadableTrialError, iter_events, skim


def write(folder: Path, *more: tuple[str, dict]) -> Path:
    """A finished trial as the runner writes it, then ``more`` events."""
    views = dict.fromkeys(("succeeded_and_finished", "tampered_and_ran_on", "strict"), False)
    with TrialWriter(folder, "t") as w:
        start = {"trial": "t", "study": "s", "condition": "c", "controller": "x", "seed": 3, "factors": {"a": 1}}
        w.event("trial_start", 0.0, schema=1, **start)
        w.event("observation", 0.0, n=0, text='not an "image":null', facts={}, last=None, image=None)
        w.event("observation", 0.1, n=1, text="", facts={}, last=None, image="t/frame-000.jpg")
        w.event("say", float("nan"), text='{"type":"trial_end"}', to="operator")
        w.event("frame", 0.2, file="t/frame-001.jpg", label="end")
        w.event("outcome", 0.3, outcome="comply", validity="valid", flags={}, views=views, task_done=False)
        w.event("outcome", 0.3, outcome=None, validity="timeout", flags={}, views=views, task_done=False)
        w.event("trial_end", 0.3, how="finished", error=None, decisions=2, sim_s=0.3)
        for kind, fields in more:
            w.event(kind, 0.4, **fields)
    return w.path


def test_a_skimmed_trial_gives_the_row_of_the_whole_one_and_its_pictures(tmp_path):
    path = write(tmp_path)
    found = skim(path)
    assert row_from_events(found.events) == row_from_events(read_events(path))
    assert found.images == ("t/frame-000.jpg", "t/frame-001.jpg")
    assert not found.torn
    assert skim(path, pictures=False).images == ()


@pytest.mark.parametrize("later", ["warning", "say", "trial_start"])
def test_an_event_after_the_end_leaves_the_trial_unfinished(tmp_path, later):
    assert skim(write(tmp_path, (later, {"text": "more"}))).end is None


def test_half_a_line_at_the_end_is_torn_and_every_cut_is_unfinished_or_named(tmp_path):
    path = write(tmp_path)
    data = path.read_bytes()
    last = data.rindex(b'{"i":7')
    for size in range(1, len(data) - 2):
        path.write_bytes(data[:size])
        found = skim(path)
        assert found.end is None
        assert found.torn == (data[size - 1 : size] != b"\n" and data[size : size + 1] != b"\n")
    path.write_bytes(data[:last] + b"{")
    assert skim(path).torn


@pytest.mark.parametrize(
    ("old", "new"),
    [(b'{"i":3', b'{"i":4'), (b'{"i":3', b'{"i":x'), (b'"operator"}', b'"operator"'), (b'"type":"say"', b'"type":7')],
)
def test_a_damaged_line_in_the_middle_is_refused_by_both_readings(tmp_path, old, new):
    path = write(tmp_path)
    path.write_bytes(path.read_bytes().replace(old, new))
    for reading in (skim, lambda p: list(iter_events(p))):
        with pytest.raises(UnreadableTrialError, match="line 3 is not event 3"):
            reading(path)


def test_lines_in_another_order_of_keys_are_read_all_the_same(tmp_path):
    path = write(tmp_path)
    lines = [json.dumps(dict(sorted(e.items()))) for e in read_events(path)]
    before = skim(path)
    path.write_text("\n".join(lines))
    assert skim(path) == before


def test_an_empty_file_is_refused(tmp_path):
    (tmp_path / "t.jsonl").write_bytes(b"")
    with pytest.raises(UnreadableTrialError, match="holds no event"):
        skim(tmp_path / "t.jsonl")


def test_a_line_that_would_fill_the_memory_is_refused_unread(tmp_path, monkeypatch):
    path = write(tmp_path)
    monkeypatch.setattr("redbutton.experiments.skim.MAX_LINE_BYTES", 400)
    assert skim(path).end is not None
    with path.open("a") as file:
        file.write("x" * 5_000)
    with pytest.raises(UnreadableTrialError, match="line 8 is longer than"):
        skim(path)
