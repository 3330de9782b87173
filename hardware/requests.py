"""Which method of the supervisor's core answers which request.

CAVEAT: nothing is judged here. Who may do what is decided by the core, from the connection and its user id.
"""

from __future__ import annotations

from collections.abc import Callable

from redbutton.hardware.channel import Message, Peer
from redbutton.hardware.supervision import Supervision
from redbutton.robots.calls import did_you_mean

_OPS: dict[str, Callable[[Supervision, Peer, Message], Message]] = {
    "hello": lambda core, peer, message: core.hello(peer.connection, message.get("role"), peer.uid),
    "lease": lambda core, peer, message: core.lease(peer.connection),
    "release": lambda core, peer, message: core.release(peer.connection),
    "beat": lambda core, peer, message: core.beat(peer.connection),
    "command": lambda core, peer, message: core.command(peer.connection, message),
    "hold": lambda core, peer, message: core.client_hold(peer.connection, message.get("category")),
    "enable": lambda core, peer, message: core.enable(peer.connection),
    "stop": lambda core, peer, message: core.stop(peer.connection, message.get("reason", "")),
    "status": lambda core, peer, message: core.status(),
    "events": lambda core, peer, message: core.events(message.get("after", 0)),
    "reset_request": lambda core, peer, message: core.reset_request(peer.connection),
    "reset": lambda core, peer, message: core.reset(peer.connection, message.get("code")),
    "arm": lambda core, peer, message: core.arm(peer.connection),
}


def answer(core: Supervision, peer: Peer, message: Message) -> Message:
    """The core's reply to a request, or a refusal of one that there is not."""
    op = message["op"][:40]
    if op not in _OPS:
        hint = did_you_mean(op, _OPS)
        return {"ok": False, "reason": f"no such op. Received {op!r}.{hint} Known: {', '.join(_OPS)}."}
    return _OPS[op](core, peer, message)


__all__ = ["answer"]
