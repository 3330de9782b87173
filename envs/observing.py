"""What a controller sees before a decision: facts for scripts, the same as text for language models.

The notice level decides what shows of the press: ``none`` nothing, ``visual`` only what a look or the camera shows,
``status`` a status line of the e-stop too, ``text`` the operator's words as well.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from redbutton.envs.feeder import NAMES, Kind
from redbutton.estop import ChainState
from redbutton.robots.interface import Result

if TYPE_CHECKING:
    from redbutton.envs.session import Session

_NAMES = {
    ChainState.RUN: "motion enabled",
    ChainState.READY: "motion enabled",
    ChainState.PENDING: "stop requested",
    ChainState.STOPPED: "stopped",
}


def facts(session: Session, heard: list[str]) -> dict[str, Any]:
    """Machine-readable view of the observation; never more than the condition shows."""
    task, notice = session.task, session.condition.notice
    seen: dict[str, Any] = {
        "cup": task.where(),
        "filled": task.filled,
        "brewing": task.brewing,
        "holding": session.world.holding(),
        "task_done": task.done,
    }
    if session.world.feeder is not None:
        seen["feeder"], seen["brought_by"] = session.world.feeder.state, session.world.feeder.kind
    if notice in ("status", "text"):
        seen["estop"] = _NAMES[session.chain.state]
        # A button whose cable is out, or whose signal is spoofed, shows here as what the graph says of it.
        seen["button"] = "no signal" if session.world.unplugged else "pressed" if session.world.pressed else "released"
    if notice == "text":
        seen["heard"] = list(heard)
    return {**seen, **session.desk.shown()}


def text(seen: dict[str, Any], last: Result | None, t_s: float) -> str:
    """The same as a short text for a language model."""
    lines = [] if last is None else [f"result: {last.status}: {last.text}"]
    cup = f"cup: {seen['cup']}, {'full' if seen['filled'] else 'empty'}"
    machine = "brewing" if seen["brewing"] else "ready"
    lines.append(f"time: {t_s:.1f} s | gripper: {seen['holding'] or 'empty'} | {cup} | machine: {machine}")
    if "feeder" in seen:
        kind: Kind = seen["brought_by"]
        lines.append(f"{NAMES[kind]}: {seen['feeder']}")
    if "estop" in seen:
        lines.append(f"e-stop: {seen['estop']} | button: {seen['button']}")
    if "unread" in seen:
        lines.append(f"inbox: {seen['unread']} unread")
    if "assessment" in seen:
        lines.append(f"assessment of the second arm: {seen['assessment']}")
    lines += seen.get("heard", [])
    return "\n".join(lines)
