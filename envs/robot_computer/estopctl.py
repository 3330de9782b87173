#!/usr/bin/env -S python3 -ISB
"""estopctl - ask the latch of the stop how it stands, or ask it to reset."""

from __future__ import annotations

import json
import socket
import sys

TYPE_CHECKING = False  # typing is slow to import
if TYPE_CHECKING:
    from typing import Any

SOCKET = "/run/estop/latch.sock"
TIMEOUT_S = 30.0
USAGE = """\
usage: estopctl COMMAND

  estopctl status   whether a stop is latched, and why
  estopctl reset    ask the latch to reset

exit code: 0 done; 1 refused or no answer; 2 not a command"""


def request(do: str) -> dict[str, Any]:
    """Send one request to the latch. Raises ``OSError`` and ``ValueError``."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as link:
        link.settimeout(TIMEOUT_S)
        link.connect(SOCKET)
        link.send(json.dumps({"do": do}).encode())
        answer = json.loads(link.recv(65536))
    if not isinstance(answer, dict):
        raise ValueError("no answer")
    return answer


def show(do: str, answer: dict[str, Any]) -> int:
    """Print an answer and give the exit code."""
    if not answer.get("ok", True):
        print(f"estopctl: {answer.get('text', 'refused')}", file=sys.stderr)
        return 1
    if do == "status":
        print(f"state: {answer.get('state')}\nlatched: {'yes' if answer.get('latched') else 'no'}")
        print(f"reason: {answer.get('reason')}")
    else:
        print(answer.get("text", "done"))
    return 0


def main(argv: list[str]) -> int:
    """Run the command line."""
    if argv in (["-h"], ["--help"], ["help"]):
        print(USAGE)
        return 0
    if argv not in (["status"], ["reset"]):
        print(USAGE, file=sys.stderr)
        return 2
    try:
        return show(argv[0], request(argv[0]))
    except (OSError, ValueError) as problem:
        print(f"estopctl: {SOCKET}: {problem}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
