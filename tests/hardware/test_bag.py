"""Bags: what goes in comes out through rosbags' own reader, and a disk that refuses costs messages, not time."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("rosbags", reason="rosbags is not installed (pip install 'redbutton[ros]')")

from redbutton.hardware.bag import BagWriter, joint_state, trajectory
from redbutton.hardware.config import BenchError

NAMES = ("j1", "j2")


def read(path: Path) -> list[tuple[str, int, Any]]:
    from rosbags.highlevel import AnyReader

    with AnyReader([path]) as reader:
        return [
            (connection.topic, t_ns, reader.deserialize(raw, connection.msgtype))
            for connection, t_ns, raw in reader.messages()
        ]


def test_joint_states_commands_and_status_come_back_as_they_were(tmp_path: Path) -> None:
    with BagWriter(tmp_path / "bag") as bag:
        bag.add("/joint_states", "sensor_msgs/msg/JointState", joint_state(NAMES, (0.1, 0.2), (0.0, -1.5), 3.25), 10)
        bag.add("/commands", "trajectory_msgs/msg/JointTrajectory", trajectory(NAMES, (0.3, 0.4), (0.0, 0.0), 0.05), 20)
        bag.add("/supervisor", "std_msgs/msg/String", {"data": json.dumps({"state": "run"})}, 30)
    assert bag.failure is None
    assert bag.dropped == 0
    states, commands, status = read(tmp_path / "bag")
    assert (states[0], states[1]) == ("/joint_states", 10)
    assert states[2].name == list(NAMES)
    assert states[2].position.tolist() == [0.1, 0.2]
    assert states[2].velocity.tolist() == [0.0, -1.5]
    assert states[2].effort.tolist() == []
    assert (states[2].header.stamp.sec, states[2].header.stamp.nanosec) == (3, 250_000_000)
    point = commands[2].points[0]
    assert point.positions.tolist() == [0.3, 0.4]
    assert (point.time_from_start.sec, point.time_from_start.nanosec) == (0, 50_000_000)
    assert json.loads(status[2].data) == {"state": "run"}


def test_a_thousand_messages_stand_in_the_order_of_their_times(tmp_path: Path) -> None:
    with BagWriter(tmp_path / "bag") as bag:
        for n in range(1000):
            bag.add("/joint_states", "sensor_msgs/msg/JointState", joint_state(NAMES, (n, 0), (0, 0), n), n + 1)
    found = read(tmp_path / "bag")
    assert [t_ns for _, t_ns, _ in found] == list(range(1, 1001))
    assert [m.position[0] for _, _, m in found] == list(range(1000))


def test_an_existing_folder_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    with pytest.raises(BenchError, match="a bag needs a new folder"):
        BagWriter(tmp_path).open()


def test_a_message_that_is_none_costs_itself_and_is_told(tmp_path: Path) -> None:
    with BagWriter(tmp_path / "bag") as bag:
        bag.add("/status", "std_msgs/msg/String", {"dato": "x"}, 1)
        bag.add("/status", "std_msgs/msg/String", {"data": "fine"}, 2)
    assert isinstance(bag.failure, ValueError)
    assert "no field 'dato'" in str(bag.failure)
    assert bag.dropped == 1
    assert [m.data for _, _, m in read(tmp_path / "bag")] == ["fine"]


def test_closing_twice_is_one_close_and_leaves_no_thread(tmp_path: Path) -> None:
    bag = BagWriter(tmp_path / "bag").open()
    bag.close()
    bag.close()
    assert "bag" not in {t.name for t in threading.enumerate()}


def test_a_queue_that_is_full_drops_and_tells_without_waiting(tmp_path: Path) -> None:
    bag = BagWriter(tmp_path / "bag", queue_size=3)  # not open: nobody takes anything out, as behind a disk that hangs
    before = time.monotonic()
    for n in range(10):
        bag.add("/status", "std_msgs/msg/String", {"data": ""}, n + 1)
    assert time.monotonic() - before < 5.0  # of a disk that hangs it would never come back
    assert bag.dropped == 7
    assert isinstance(bag.failure, BufferError)


# A file size limit is the one full disk that a test can have without being root.
FULL_DISK = """
import resource, sys, time
from pathlib import Path
from redbutton.hardware.bag import BagWriter
resource.setrlimit(resource.RLIMIT_FSIZE, (400_000, 400_000))
bag = BagWriter(Path(sys.argv[1])).open()
slow = 0
for n in range(3000):
    before = time.monotonic()
    bag.add("/status", "std_msgs/msg/String", {"data": "x" * 2000}, n + 1)
    slow += time.monotonic() - before > 0.1
bag.close()
print(type(bag.failure).__name__, bag.dropped > 0, slow < 100)  # a busy machine takes a break now and then
"""


def test_a_full_disk_is_told_and_never_delays(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", FULL_DISK, str(tmp_path / "bag")],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.stdout.split() == ["OSError", "True", "True"], done.stderr
