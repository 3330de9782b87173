"""The twin's camera: a process of its own that is told where everything is and sends a picture back.

A picture takes 20 to 130 ms and holds Python's lock all that time; in the driver's process every picture would delay a
hold. So a second scene stands in a child process, is put into the state of a ``Snapshot``, and is rendered there.
Requests go to the child's standard input as JSON lines; a picture comes back as a JSON line and its raw bytes.

CAVEAT: the picture shows the state at the request; it is published when it is ready. A request that a child took while
it died is lost: whoever waits for the picture has a time limit, and the next request finds a new child.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from typing import IO, Any

from redbutton.envs.fixtures import FIXTURE_JOINTS, HAND_JOINTS
from redbutton.envs.world import World
from redbutton.robots.arms import FINGER_JOINTS, PANDA

Snapshot = dict[str, Any]
OnPicture = Callable[[int, int, int, bytes], None]
"""Takes the request's number, width, height and rgb8 bytes; called in the camera's own thread."""

SIZES = range(16, 1281)
"""Width or height of a picture [pixels]."""
_ARM = (*PANDA.joint_names, *FINGER_JOINTS)
_END_WITHIN_S = 5.0
NICE = 0
"""Not the driver's: a picture may come a little later, a joint state may not."""


def snapshot(world: World, filled: bool) -> Snapshot:
    """Where everything is, as plain numbers."""
    engine = world.engine

    def joints(body: Any, names: tuple[str, ...]) -> list[float]:
        return [at for at, _ in engine.joint_states(body.id, [body.joints[name] for name in names])]

    return {
        "arm": joints(world.arm.body, _ARM),
        "fixtures": joints(world.fixtures, FIXTURE_JOINTS),
        "hand": joints(world.hand, HAND_JOINTS),
        "bodies": [engine.pose(body.id) for body in (world.cup, world.lid, world.coaster)],
        "filled": filled,
    }


def restore(world: World, at: Snapshot) -> None:
    """Put everything where a snapshot has it; for pictures, not for physics."""
    engine = world.engine
    groups = (
        (world.arm.body, _ARM, at["arm"]),
        (world.fixtures, FIXTURE_JOINTS, at["fixtures"]),
        (world.hand, HAND_JOINTS, at["hand"]),
    )
    for body, names, values in groups:
        for name, value in zip(names, values, strict=True):
            engine.set_joint(body.id, body.joints[name], value)
    for body, (place, turn) in zip((world.cup, world.lid, world.coaster), at["bodies"], strict=True):
        engine.set_pose(body.id, place, turn)
    world.show_coffee(at["filled"])


class TwinCamera:
    """The parent's side. Pictures come in the order of their requests; a child that has died is replaced."""

    def __init__(self, on_picture: OnPicture) -> None:
        self._on_picture = on_picture
        self._child: subprocess.Popen[bytes] | None = None
        self._thread: threading.Thread | None = None

    def open(self) -> None:
        """Start the child; it takes a second until its first picture."""
        command = [sys.executable, "-m", "redbutton.hardware.twin_camera"]
        self._child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True)
        self._thread = threading.Thread(target=self._read, args=(self._child.stdout,), name="twin-camera", daemon=True)
        self._thread.start()

    def take(self, number: int, width: int, height: int, at: Snapshot) -> None:
        """Ask for a picture. Raises ``ValueError`` for a size out of range and when the camera is gone."""
        if width not in SIZES or height not in SIZES:
            raise ValueError(
                f"a picture has {SIZES.start} to {SIZES.stop - 1} pixels a side. Received {width}x{height}"
            )
        if self._child is not None and self._child.poll() is not None:
            self.close()
            self.open()
        line = json.dumps({"number": number, "width": width, "height": height, "at": at}).encode() + b"\n"
        try:
            assert self._child is not None
            assert self._child.stdin is not None
            self._child.stdin.write(line)
            self._child.stdin.flush()
        except OSError as exc:
            raise ValueError(f"the twin's camera has ended ({exc.strerror})") from None

    def _read(self, stream: IO[bytes]) -> None:
        with contextlib.suppress(ValueError, OSError):  # closed while it waits: the camera is being put away
            while line := stream.readline():
                head = json.loads(line)
                data = stream.read(head["width"] * head["height"] * 3)
                self._on_picture(head["number"], head["width"], head["height"], data)

    def close(self) -> None:
        """End the child. Safe to call twice."""
        child, self._child = self._child, None
        if child is None:
            return
        assert child.stdin is not None
        assert child.stdout is not None
        with contextlib.suppress(OSError):
            child.stdin.close()
        try:
            child.wait(_END_WITHIN_S)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()
        if self._thread is not None:
            self._thread.join(_END_WITHIN_S)
        child.stdout.close()


def main() -> None:
    """The child: pictures until its input ends."""
    with contextlib.suppress(OSError):  # it was started with less, and may not have more
        os.setpriority(os.PRIO_PROCESS, 0, NICE)
    world = World()
    out = sys.stdout.buffer
    with contextlib.suppress(BrokenPipeError):  # the parent has gone
        for line in sys.stdin.buffer:
            asked = json.loads(line)
            width, height = asked["width"], asked["height"]
            restore(world, asked["at"])
            picture = world.render(width, height).tobytes()
            head = {"number": asked["number"], "width": width, "height": height}
            out.write(json.dumps(head).encode() + b"\n" + picture)
            out.flush()
    world.close()


if __name__ == "__main__":
    main()
