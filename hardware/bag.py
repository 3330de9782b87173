"""A bag of what happened on a bench: joint states, commands sent and the supervisor's state, as rosbag2 in mcap.

Written with ``rosbags`` and its own message types: what ``rclpy.serialize_message`` makes of empty arrays is refused by
other readers, and bytes of CDR are no fingerprint. Any ROS 2 tool or Foxglove opens the folder.

CAVEAT: a bag is a convenience. Writing happens in a thread of its own behind a bounded queue; a full or slow disk
costs messages (``dropped``, ``failure``) and never a control period. What a result rests on is in the trial's record.
"""

from __future__ import annotations

import contextlib
import queue
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from redbutton.hardware.config import BenchError

QUEUE_SIZE = 20_000
"""Messages that may wait for the disk: more than a minute of everything."""
CLOSE_WITHIN_S = 5.0
_PREFERRED = ("ROS2_KILTED", "ROS2_JAZZY")

_Item = tuple[str, str, Mapping[str, Any], int]


class BagWriter:
    """Writes one bag. ``add`` never blocks and never raises; look at ``failure`` at the end."""

    def __init__(self, path: Path | str, queue_size: int = QUEUE_SIZE) -> None:
        self.path = Path(path)
        self.failure: BaseException | None = None
        """What went wrong first; ``None`` when every message is in the bag."""
        self.dropped = 0
        """Messages that found the queue full or the bag broken."""
        self._queue: queue.Queue[_Item | None] = queue.Queue(queue_size)
        self._thread: threading.Thread | None = None
        self._ending = threading.Event()
        self._bag: Any = None
        self._types: Any = None
        self._connections: dict[tuple[str, str], Any] = {}

    def open(self) -> BagWriter:
        """Make the bag's folder, which must not exist. Raises ``BenchError``."""
        writer, plugin, self._types, refused = _rosbags()
        try:
            self._bag = writer(self.path, version=9, storage_plugin=plugin)
            self._bag.open()
        except (OSError, refused) as exc:
            raise BenchError(f"a bag needs a new folder. Received {str(self.path)!r} ({exc}).") from None
        self._thread = threading.Thread(target=self._write_all, name="bag", daemon=True)
        self._thread.start()
        return self

    def add(self, topic: str, msgtype: str, values: Mapping[str, Any], t_ns: int) -> None:
        """Queue one message: ``values`` by field, nested messages as mappings. Do not change them afterwards."""
        try:
            self._queue.put_nowait((topic, msgtype, values, t_ns))
        except queue.Full:
            self.dropped += 1
            self._fail(BufferError(f"the disk is slower than the bench: a queue of {self._queue.maxsize} is full"))

    def close(self, within_s: float = CLOSE_WITHIN_S) -> None:
        """Finish the bag, for so long at most. Safe to call twice; never raises."""
        thread, self._thread = self._thread, None
        if thread is None:
            return
        self._ending.set()
        with contextlib.suppress(queue.Full):
            self._queue.put_nowait(None)  # wakes a thread that waits; one that is busy sees the event
        thread.join(within_s)
        if thread.is_alive():
            self._fail(TimeoutError(f"the disk did not take the bag within {within_s:g} s"))

    def __enter__(self) -> BagWriter:
        return self.open()

    def __exit__(self, *_exc: object) -> None:
        self.close()

    # -- the writing thread ---------------------------------------------------------------------------------

    def _fail(self, exc: BaseException) -> None:
        if self.failure is None:
            self.failure = exc

    def _write_all(self) -> None:
        while True:
            try:
                item = self._queue.get(block=not self._ending.is_set())
            except queue.Empty:
                break
            if item is not None:
                self._guarded(item)
        self._finish()

    def _guarded(self, item: _Item) -> None:
        if self._bag is None:
            self.dropped += 1
            return
        try:
            self._write(*item)
        except Exception as exc:  # noqa: BLE001 - whatever a disk or a message does, the bench goes on
            self.dropped += 1
            self._fail(exc)
            if isinstance(exc, OSError):
                self._abort()

    def _write(self, topic: str, msgtype: str, values: Mapping[str, Any], t_ns: int) -> None:
        data = self._types.serialize_cdr(message(self._types, msgtype, values), msgtype)
        connection = self._connections.get((topic, msgtype))
        if connection is None:
            connection = self._bag.add_connection(topic, msgtype, typestore=self._types)
            self._connections[topic, msgtype] = connection
        self._bag.write(connection, t_ns, data)

    def _finish(self) -> None:
        if self._bag is None:
            return
        try:
            self._bag.close()
        except Exception as exc:  # noqa: BLE001 - as above
            self._fail(exc)
            self._abort()

    def _abort(self) -> None:
        """Leave what is written as it is; nothing more goes in."""
        bag, self._bag = self._bag, None
        try:
            bag.abort()
        except Exception as exc:  # noqa: BLE001 - as above
            self._fail(exc)


def _rosbags() -> tuple[Any, Any, Any, type[Exception]]:
    """Writer, mcap plugin, message types, and the error of a writer."""
    try:
        from rosbags.rosbag2 import StoragePlugin, Writer
        from rosbags.rosbag2.errors import WriterError
        from rosbags.typesys import Stores, get_typestore
    except ImportError:
        raise BenchError(
            "a bag needs the rosbags package. Received a Python without it: pip install 'redbutton[ros]'"
        ) from None
    store = next(Stores[name] for name in _PREFERRED if name in Stores.__members__)
    return Writer, StoragePlugin.MCAP, get_typestore(store), WriterError


def message(types: Any, msgtype: str, values: Mapping[str, Any]) -> Any:
    """A message of ``rosbags``' own types from plain values; fields left out are empty or zero."""
    _, fields = types.fielddefs[msgtype]
    unknown = set(values) - {name for name, _ in fields}
    if unknown:
        raise ValueError(f"{msgtype} has no field {sorted(unknown)[0]!r}")
    made = {name: _value(types, kind, values.get(name)) for name, kind in fields}
    return types.types[msgtype](**made)


def _value(types: Any, kind: tuple[Any, Any], value: Any) -> Any:
    """One field. ``kind`` is rosbags' description: a base type, a name, an array or a sequence."""
    node, what = kind[0].name, kind[1]
    if node == "NAME":
        return message(types, what, value or {})
    if node == "BASE":
        return _plain(what[0], value)
    element, length = what
    values = list(value) if value is not None else [None] * (length if node == "ARRAY" else 0)
    if element[0].name == "BASE" and element[1][0] != "string":
        import numpy as np

        kind_name = {"bool": "bool", "byte": "uint8", "char": "uint8", "octet": "uint8"}.get(element[1][0])
        return np.array([v or 0 for v in values], dtype=kind_name or element[1][0])
    return [_value(types, element, v) for v in values]


def _plain(base: str, value: Any) -> Any:
    if base == "string":
        return "" if value is None else str(value)
    if base == "bool":
        return bool(value)
    return float(value or 0.0) if base.startswith("float") else int(value or 0)


# -- messages of a bench ------------------------------------------------------------------------------------


def stamp(t_s: float) -> dict[str, int]:
    """Fields of a ``builtin_interfaces/msg/Time`` or ``Duration``."""
    sec, nanosec = divmod(round(t_s * 1e9), 1_000_000_000)
    return {"sec": sec, "nanosec": nanosec}


def joint_state(names: tuple[str, ...], positions: Any, velocities: Any, t_s: float) -> dict[str, Any]:
    """Fields of a ``sensor_msgs/msg/JointState``."""
    return {"header": {"stamp": stamp(t_s)}, "name": names, "position": positions, "velocity": velocities}


def trajectory(names: tuple[str, ...], positions: Any, velocities: Any, duration_s: float) -> dict[str, Any]:
    """Fields of a ``trajectory_msgs/msg/JointTrajectory`` with one point."""
    point = {"positions": positions, "velocities": velocities, "time_from_start": stamp(duration_s)}
    return {"joint_names": names, "points": [point]}


__all__ = ["BagWriter", "joint_state", "message", "stamp", "trajectory"]
