"""What people ask of the twin: commands about the scene, faults, pictures, and the answers to them.

One JSON object a message, ``{"id": 7, "do": "hand", "y": 0.1, "z": 0.0}``. What can be done: ``reset``, ``hand``,
``lift_cap``, ``coffee``, ``frame``, ``sha256``, and ``fault`` with the ``name`` of one. The scene that follows names
what was done (``acked``) and why something was not (``failed``).

CAVEAT: whoever is in the arm's graph may send these. The twin's domain is for the supervisor and the trusted side of a
trial; the controller under study has no name in it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

from redbutton.hardware.relay import Relay
from redbutton.hardware.twin_camera import TwinCamera, snapshot
from redbutton.hardware.twin_physics import TwinPhysics

Command = Mapping[str, Any]


class TwinDesk:
    """Carries out commands between two control periods, and plays the relay's wires."""

    def __init__(self, physics: TwinPhysics, relay: Relay, camera: TwinCamera | None) -> None:
        self._physics = physics
        self._relay = relay
        self._camera = camera
        self.frozen = False
        """Whether joint states are kept back."""
        self.stamp_offset_ns = 0
        """How far the driver's clock has jumped."""
        self._filled = False
        self._welded = {"a": False, "b": False}
        self._ack: int | None = None
        self._acked: list[int] = []
        self._failed: dict[str, str] = {}
        self._faults: dict[str, Callable[[Command], None]] = {
            **physics.faults,
            "freeze_joint_states": self._freeze,
            "stamp_jump": self._jump,
            "weld": self._weld,
            "press_wall": lambda _: relay.press("wall"),
            "release_wall": lambda _: relay.release("wall"),
            "wall_channel": lambda c: relay.set_channel("wall", c["channel"], bool(c["closed"])),
            "unplug_wall": lambda _: relay.unplug("wall"),
            "plug_wall": lambda _: relay.plug("wall"),
            "freeze_relay": lambda _: relay.freeze(),
            "thaw_relay": lambda _: relay.thaw(),
        }

    def serve(self, commands: deque[dict[str, Any]]) -> None:
        """Do everything that was asked."""
        while commands:
            command = commands.popleft()
            number = command.get("id")
            try:
                self._do(command)
            except (ValueError, TypeError, KeyError) as exc:
                self._failed[str(number)] = str(exc)
            if isinstance(number, int):
                self._ack = number
                self._acked.append(number)

    def told(self) -> dict[str, Any]:
        """The answers since the scene before."""
        told = {"ack": self._ack, "acked": self._acked, "failed": self._failed}
        self._acked, self._failed = [], {}
        return told

    def wire(self) -> None:
        """The red button as its relay sees it; a welded contact stays closed, a pulled plug gives no answer."""
        world = self._physics.world
        now = world.contacts
        self._relay.set_channel("red", "a", bool(now.a_closed) or self._welded["a"])
        self._relay.set_channel("red", "b", bool(now.b_closed) or self._welded["b"])
        (self._relay.unplug if world.unplugged else self._relay.plug)("red")

    def _do(self, command: Command) -> None:
        what = command.get("do")
        if what == "fault":
            name = command.get("name")
            if name not in self._faults:
                raise ValueError(f"the twin has no such fault. Received {name!r}. Known: {', '.join(self._faults)}")
            self._faults[str(name)](command)
        elif what == "frame":
            self._take_picture(command)
        else:
            self._physics.do(command)
            if what in ("reset", "coffee"):
                self._filled = what == "coffee" and bool(command.get("filled"))

    def _take_picture(self, command: Command) -> None:
        if self._camera is None:
            raise ValueError("a picture needs a camera in the bench file. Received none")
        size = int(command["width"]), int(command["height"])
        self._camera.take(int(command["id"]), *size, snapshot(self._physics.world, self._filled))

    def _freeze(self, command: Command) -> None:
        self.frozen = bool(command.get("on", True))

    def _jump(self, command: Command) -> None:
        self.stamp_offset_ns += round(float(command.get("seconds", 10.0)) * 1e9)

    def _weld(self, command: Command) -> None:
        channel = command.get("channel")
        if channel not in self._welded:
            raise ValueError(f"weld needs channel a or b. Received {channel!r}")
        self._welded[str(channel)] = bool(command.get("on", True))
