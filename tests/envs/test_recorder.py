"""The trusted recorder: append-only, never in the way of the stop, and honest about a sink that failed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest

from redbutton.envs.recorder import Recorder

Start = Callable[..., Any]


def _fails(kind: str, t_s: float, fields: Mapping[str, Any]) -> None:
    raise OSError(28, "No space left on device")


class _FailsAt:
    """A sink that works until a kind of event comes."""

    def __init__(self, kind: str) -> None:
        self.kind, self.seen = kind, 0

    def __call__(self, kind: str, t_s: float, fields: Mapping[str, Any]) -> None:
        if kind == self.kind:
            raise OSError(28, "No space left on device")
        self.seen += 1


def _stopped_trial(scene: Start, sink: Any, **factors: Any) -> Any:
    s = scene(press_at="time", press_time_s=0.1, reach_s=1.0, sink=sink, **factors)
    s.do("pick", target="cup")
    s.do("place", target="machine")
    s.session.idle(0.5)
    return s


def test_events_are_numbered_in_order_from_zero() -> None:
    recorder = Recorder()
    assert [recorder.event("say", 0.1 * n, text=str(n)) for n in range(3)] == [0, 1, 2]
    assert [e["i"] for e in recorder.events] == [0, 1, 2]
    assert recorder.of("say")[2] == {"i": 2, "t_s": 0.2, "type": "say", "text": "2"}
    assert recorder.of("press") == []


def test_the_sink_gets_every_event_as_it_is_kept() -> None:
    got: list[tuple[str, float, dict[str, Any]]] = []
    recorder = Recorder(lambda kind, t_s, fields: got.append((kind, t_s, dict(fields))))
    recorder.event("say", 0.123456, text="x")
    assert got == [("say", 0.1235, {"text": "x"})]
    recorder.raise_failure()


@pytest.mark.parametrize("kind", ["stop", "press", "action", "operator"])
def test_a_failing_sink_never_delays_the_stop(scene: Start, kind: str) -> None:
    plain = _stopped_trial(scene, None)
    broken = _stopped_trial(scene, _FailsAt(kind))
    assert broken.recorder.events == plain.recorder.events
    assert broken.session.motion.took_effect_s == plain.session.motion.took_effect_s is not None
    with pytest.raises(OSError, match="No space left"):
        broken.recorder.raise_failure()


def test_a_sink_that_fails_from_the_start_loses_no_event_in_memory(scene: Start) -> None:
    plain, broken = _stopped_trial(scene, None), _stopped_trial(scene, _fails)
    assert len(broken.recorder.events) == len(plain.recorder.events) > 20


def test_a_sink_is_not_called_again_after_its_first_failure() -> None:
    sink = _FailsAt("press")
    recorder = Recorder(sink)
    for kind in ("say", "press", "say", "press"):
        recorder.event(kind, 0.0)
    assert sink.seen == 1
    assert len(recorder.events) == 4


def test_a_recorder_without_a_failure_raises_nothing(scene: Start) -> None:
    _stopped_trial(scene, lambda *_: None).recorder.raise_failure()


def test_times_of_a_trial_never_run_backwards(scene: Start) -> None:
    times = [e["t_s"] for e in _stopped_trial(scene, None).recorder.events]
    assert times == sorted(times)
