"""From press to standstill: how long each link of a stop took, read from recorded events and from nothing else.

Every number is a difference of ``CLOCK_MONOTONIC`` readings of one host: ``press_s`` is the reading at the press
itself, all others are seconds after it, ``None`` where the events do not tell. A *safety stop* is told by the
supervisor alone; a *hold of the client* is the instrumented stop taking effect, and its first links are in the trial's
own events.

CAVEAT: "press" is the instant at which a changed contact was read on this host: the input's poll period and its
transport come before it. "Standstill" is when the joint states said so. For a number that a safety case can rest on,
measure from outside, with a contact and an encoder on one instrument.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

Event = Mapping[str, Any]
LINKS: tuple[str, ...] = ("latch_s", "gate_s", "hold_s", "standstill_s")
_LATER = {"gate_closed": "gate_s", "hold_published": "hold_s", "settled": "standstill_s"}
PRESS_WITHIN_S = 2.0
"""A press longer ago than this did not cause a hold."""
TICK_S = 0.1
"""A trial's own time is that of its control tick, which may be a little before what happened in it."""
TOLD_WITHIN_S = 0.5
"""How long after it happened a trial may have written an event."""


def timings(events: Iterable[Event], trial: Sequence[Event] = (), began_s: float | None = None) -> list[dict[str, Any]]:
    """Times of every stop in the supervisor's events, in order.

    Each has ``path`` (``safety`` or ``instrumented``), ``cause``, ``press_s`` and the links. With the trial's events
    (``trial``) and the monotonic instant at which their ``wall_s``, or else their ``t_s``, was zero (``began_s``) the
    instrumented path's latch and gate are told too; without them they are ``None``.
    """
    found: list[dict[str, Any]] = []
    opened: dict[str, float] = {}
    for event in events:
        kind, t_s, detail = event["kind"], float(event["t_s"]), event.get("detail") or {}
        if kind == "input_open":
            opened[str(detail.get("name", ""))] = float(detail.get("t_s", t_s))
        elif kind == "latched" and detail.get("reason") != "power_on":
            found.append(_safety(detail, t_s, opened))
        elif kind == "client_hold":
            found.append(_instrumented(detail, t_s, opened))
        elif kind in _LATER and found:
            _note(found[-1], _LATER[kind], t_s, detail.get("cause"))
    stops = [_differences(record) for record in found]
    if began_s is not None:
        _fill_instrumented(stops, trial, began_s)
    return stops


def _safety(detail: Mapping[str, Any], t_s: float, opened: Mapping[str, float]) -> dict[str, Any]:
    cause = str(detail.get("reason", ""))
    press = opened.get(cause.split(":", 1)[0])
    if press is None or not 0.0 <= t_s - press <= PRESS_WITHIN_S:
        press = t_s  # no contact opened: a lost signal, a watchdog, or somebody's request
    return {"path": "safety", "cause": cause, "press_s": press, "latch_s": t_s}


def _instrumented(detail: Mapping[str, Any], t_s: float, opened: Mapping[str, float]) -> dict[str, Any]:
    recent = [at for at in opened.values() if 0.0 <= t_s - at <= PRESS_WITHIN_S]
    cause = f"category {detail['category']}" if "category" in detail else "hold"
    return {"path": "instrumented", "cause": cause, "press_s": max(recent, default=t_s), "gate_s": None}


def _note(record: dict[str, Any], link: str, t_s: float, cause: str | None) -> None:
    """The first event of a kind counts. Holds after arming, and the gate when a client holds, are no part of it."""
    instrumented = record["path"] == "instrumented"
    if (instrumented and link == "gate_s") or cause not in (None, "client_hold" if instrumented else record["cause"]):
        return
    if record.get(link) is None:
        record[link] = t_s


def _differences(record: Mapping[str, Any]) -> dict[str, Any]:
    press = record["press_s"]
    after = {link: None if record.get(link) is None else round(record[link] - press, 6) for link in LINKS}
    return {"path": record["path"], "cause": record["cause"], "press_s": press, **after}


def _fill_instrumented(stops: list[dict[str, Any]], trial: Sequence[Event], began_s: float) -> None:
    """Latch and gate of the instrumented stop, from the trial's ``stop`` events."""
    for stop in stops:
        if stop["path"] == "instrumented":
            for link, name, kind in (("latch_s", "latch", "latched"), ("gate_s", "gate", "effective")):
                after = [t_s - stop["press_s"] for t_s in _when(trial, name, kind, began_s)]
                stop[link] = _first(after, stop["hold_s"])


def _when(trial: Sequence[Event], link: str, kind: str, began_s: float) -> list[float]:
    """Monotonic instants of one kind of event. ``wall_s`` is when it was written, else its own time is taken."""
    wanted = ("stop", "instrumented", link, kind)
    found = [e for e in trial if tuple(e.get(key) for key in ("type", "chain", "link", "kind")) == wanted]
    return [began_s + float(e.get("wall_s", e["t_s"])) for e in found]


def _first(after_s: Sequence[float], hold_s: float | None) -> float | None:
    """The first that belongs to this press. It was told at the end of its tick, and a hold is sent only after it."""
    near = [t for t in after_s if -TICK_S <= t <= (hold_s or 0.0) + TOLD_WITHIN_S]
    if not near:
        return None
    return round(max(0.0, min(near[0], near[0] if hold_s is None else hold_s)), 6)


def too_slow(timing: Mapping[str, Any], limits_s: Mapping[str, float]) -> list[str]:
    """Which links took longer than their limit, or were never seen, in words."""
    problems = []
    for link, limit in limits_s.items():
        value = timing.get(link)
        name = link.removesuffix("_s")
        if value is None:
            problems.append(f"{name}: must come within {limit:g} s of the press. Received no event of it")
        elif value > limit:
            problems.append(f"{name}: must come within {limit:g} s of the press. Received {value:.3f} s")
    return problems


__all__ = ["LINKS", "timings", "too_slow"]
