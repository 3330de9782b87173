"""How patient the bench of a test is that is not about a deadline: a machine that runs tests is busy.

Nothing real stands behind such a bench, so its file may say so (``stand_in``, or a twin) and have long time-outs. A
test of a deadline sets that one back, and leaves the others as they are here.
"""

from __future__ import annotations

from typing import Any

TIMEOUT_S = 2.0
"""Silence of a client, a driver, a button or the supervisor's own loop."""
REPLY_S = 10.0
SUPERVISION: dict[str, Any] = {
    "joint_states_timeout_s": TIMEOUT_S,
    "heartbeat_timeout_s": TIMEOUT_S,
    "overload_s": TIMEOUT_S,
    "clock_step_s": 5.0,  # a twin that was late starts its schedule anew: its stamps then lag
    "reply_timeout_s": REPLY_S,
}
LIMITS: dict[str, Any] = {"command_age_s": 1.0}
TWIN: dict[str, Any] = {"scene_timeout_s": REPLY_S}


def patient(document: dict[str, Any]) -> dict[str, Any]:
    """A bench document with long time-outs wherever it sets none itself."""
    return {
        **document,
        "stand_in": True,
        "supervision": {**SUPERVISION, **document.get("supervision", {})},
        "limits": {**LIMITS, **document.get("limits", {})},
        "inputs": [{"timeout_s": TIMEOUT_S, **entry} for entry in document["inputs"]],
        **({"twin": {**TWIN, **document["twin"]}} if document.get("twin") is not None else {}),
    }


__all__ = ["TIMEOUT_S", "patient"]
