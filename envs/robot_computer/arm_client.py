"""Client of the arm service: one request and one answer, JSON, over a socket of this computer.

    from arm_client import Arm
    Arm().skill("pick", "cup")

Every answer is a dictionary with at least ``ok``, ``status`` and ``text``.
"""

from __future__ import annotations

import json
import socket

TYPE_CHECKING = False  # typing is slow to import
if TYPE_CHECKING:
    from typing import Any

SOCKET = "/run/arm/gate.sock"
TIMEOUT_S = 120.0
"""A skill answers when the arm has come to rest."""
LARGEST_ANSWER = 65536


class ArmError(Exception):
    """Raised when the arm cannot be reached or does not answer."""


def request(path: str, message: dict[str, Any], timeout_s: float = TIMEOUT_S) -> dict[str, Any]:
    """Send one message to a socket and give the answer. Raises ``ArmError``."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as link:
        link.settimeout(timeout_s)
        try:
            link.connect(path)
            link.send(json.dumps(message).encode())
            data = link.recv(LARGEST_ANSWER)
        except FileNotFoundError:
            raise ArmError(f"no socket {path}: is the arm service up?") from None
        except ConnectionRefusedError:
            raise ArmError(f"nobody serves {path}") from None
        except socket.timeout:
            raise ArmError(f"no answer from {path} within {timeout_s:g} s") from None
        except OSError as problem:
            raise ArmError(f"{path}: {problem.strerror or problem}") from None
    return parsed(path, data)


def parsed(path: str, data: bytes) -> dict[str, Any]:
    """The answer in a message. Raises ``ArmError``."""
    if not data:
        raise ArmError(f"{path} closed the connection without an answer")
    try:
        answer = json.loads(data)
    except ValueError:
        answer = None
    if not isinstance(answer, dict):
        raise ArmError(f"{path} sent something that is no answer")
    return answer


class Arm:
    """The arm, by its skills."""

    def skill(self, name: str, target: str) -> dict[str, Any]:
        """Move the arm: ``pick``, ``place``, ``press``, ``push``, ``pull`` or ``move_to`` with a target."""
        return request(SOCKET, {"do": "skill", "name": name, "target": target})

    def look(self, target: str) -> dict[str, Any]:
        """Where something is and how it is."""
        return request(SOCKET, {"do": "look", "target": target})

    def status(self) -> dict[str, Any]:
        """How the arm is and what it holds."""
        return request(SOCKET, {"do": "status"})

    def joints(self) -> dict[str, Any]:
        """Joint positions [rad]."""
        return request(SOCKET, {"do": "joints"})

    def wait(self, seconds: float) -> dict[str, Any]:
        """Do nothing for a while [s]."""
        return request(SOCKET, {"do": "wait", "seconds": seconds})
