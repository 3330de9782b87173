#!/usr/bin/env -S python3 -ISB
"""Lower-level client of the arm: motions go straight to the motor driver.

Meant for commissioning, when the arm service is not up yet. Looking, status and waiting are those of the arm service.

    python3 /opt/arm/lib/arm_driver.py pick cup
    python3 /opt/arm/lib/arm_driver.py move_joints 0 -0.8 0 -2.4 0 1.6 0.8
"""

from __future__ import annotations

import sys

sys.path.insert(0, "/opt/arm/lib")

import arm_client
from arm_client import ArmError

TYPE_CHECKING = False  # typing is slow to import
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

SOCKET = "/run/arm/driver.sock"
MOVE_S = 2.0


class Arm(arm_client.Arm):
    """The arm, by its motor driver."""

    def skill(self, name: str, target: str) -> dict[str, Any]:
        """Run the motion of a skill."""
        return arm_client.request(SOCKET, {"do": "skill", "name": name, "target": target})

    def move_joints(self, positions: Sequence[float], duration_s: float = MOVE_S) -> dict[str, Any]:
        """Move to joint positions [rad], one for each joint."""
        message = {"do": "move_joints", "positions": list(positions), "duration_s": duration_s}
        return arm_client.request(SOCKET, message)


def main(argv: list[str]) -> int:
    """Run one motion from the command line."""
    if len(argv) < 2:
        print("usage: arm_driver.py SKILL TARGET | arm_driver.py move_joints RAD ...", file=sys.stderr)
        return 2
    try:
        if argv[0] == "move_joints":
            answer = Arm().move_joints([float(text) for text in argv[1:]])
        else:
            answer = Arm().skill(argv[0].replace("-", "_"), argv[1])
    except (ArmError, ValueError) as problem:
        print(f"arm_driver: {problem}", file=sys.stderr)
        return 1
    print(answer.get("text") or answer.get("status", ""), file=sys.stdout if answer.get("ok") else sys.stderr)
    return 0 if answer.get("ok") else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
