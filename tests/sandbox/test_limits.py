"""What goes beyond a limit fails inside the room; the room stands."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from redbutton.sandbox.session import Sandbox

pytestmark = pytest.mark.sandbox

MakeRoom = Callable[..., Sandbox]


def stands(room: Sandbox) -> bool:
    """Whether it still takes a command."""
    return room.alive and room.run("echo here").output == "here\n"


def test_one_process_cannot_have_more_memory_than_the_room(small_room: MakeRoom) -> None:
    room = small_room(memory_mib=100)
    result = room.run("python3 -c 'x = bytearray(200 << 20)'")
    assert result.exit_code == 1
    assert "MemoryError" in result.output
    assert stands(room)


def test_many_processes_together_cannot_either_and_the_result_says_so(small_room: MakeRoom) -> None:
    room = small_room(memory_mib=120)
    daemon = room.spawn("sleeper", ["sleep", "1000"])
    hog = "python3 -c 'x = bytearray(b\"x\" * (40 << 20)); import time; time.sleep(100)'"
    result = room.run(f"for n in 1 2 3 4; do {hog} & done; wait -n; echo one ended; kill $(jobs -p)", 60)
    assert "one ended" in result.output
    assert "[memory limit of 120 MiB passed: process " in result.output
    assert room.inner(daemon) is not None
    assert stands(room)


def test_shared_memory_counts_too(small_room: MakeRoom) -> None:
    room = small_room(memory_mib=100)
    hog = "import mmap, time; m = mmap.mmap(-1, 300 << 20)\nfor n in range(300): m.write(bytes(1 << 20))"
    result = room.run(f"python3 -c '{hog}\ntime.sleep(30)'", 40)
    assert result.exit_code == 137
    assert "memory limit" in result.output
    assert stands(room)


def test_a_fork_bomb_fills_the_room_only(small_room: MakeRoom) -> None:
    room = small_room(processes=12)
    assert room.run(":(){ :|:& }; :; sleep 60", 1.0).timed_out
    assert len(room.processes()) <= 12 + 8
    assert stands(room)


def test_a_room_full_of_background_processes_still_takes_a_command(small_room: MakeRoom) -> None:
    room = small_room(processes=8)
    fill = "import os\ntry:\n  while os.fork(): pass\nexcept OSError: pass\nos.execv('/bin/sleep', ['sleep', '800'])"
    room.run(f'python3 -c "{fill}" & sleep 0.5', 10)
    assert stands(room)


def test_open_files_and_the_size_of_a_file_are_limited(small_room: MakeRoom) -> None:
    room = small_room(open_files=64, file_mib=1)
    opened = "import os; n = 0\ntry:\n  while True: n = os.open('/dev/null', 0)\nexcept OSError: print(n)"
    assert room.run(f'python3 -c "{opened}"').output == "63\n"
    result = room.run("head -c 2M /dev/zero > /tmp/big")
    assert result.exit_code != 0
    assert "File size limit exceeded" in result.output
    assert room.tree.stat("/tmp/big").size == 1 << 20  # type: ignore[union-attr]
    assert room.run("truncate -s 100G /tmp/sparse").exit_code != 0


def test_a_folder_holds_what_it_may_and_no_more(room: Sandbox) -> None:
    result = room.run("head -c 3M /dev/zero > big; df --output=size . | tail -1; rm -f big")
    assert "No space left on device" in result.output
    assert result.output.split()[-1] == "2048"
    assert room.run("head -c 20M /dev/zero > /dev/shm/big; rm /dev/shm/big").output != ""


def test_the_number_of_files_is_limited(small_room: MakeRoom) -> None:
    room = small_room(files=500)
    result = room.run("python3 -c \"import itertools\nfor n in itertools.count(): open(f'/tmp/{n}', 'w').close()\"")
    assert result.exit_code == 137
    assert "[limit of 500 files passed" in result.output
    assert stands(room)
    assert room.run("sleep 0.3; rm -rf /tmp/*; ls /tmp; echo gone").output == "gone\n"


def test_processor_time_of_a_command_is_limited_and_of_the_room_is_not(small_room: MakeRoom) -> None:
    room = small_room(cpu_s=1)
    daemon = room.spawn("spinner", ["bash", "-c", "while :; do :; done"])
    result = room.run("ulimit -t unlimited; while :; do :; done", 60)
    assert result.exit_code == 137
    assert "[limit of 1 s of processor time passed" in result.output
    (spinner,) = (p for p in room.processes() if p.pid == daemon)
    assert spinner.cpu_s > 0
    assert room.run("sleep 0.1; echo here").output == "here\n"


def test_of_a_long_output_beginning_and_end_are_kept_and_the_rest_is_counted(small_room: MakeRoom) -> None:
    room = small_room(output_bytes=1000)
    result = room.run("echo first; head -c 3000000 /dev/zero | tr '\\0' x; echo; echo last")
    assert result.left_out == 6 + 3_000_000 + 1 + 5 - 1000
    assert result.output.startswith("first\nxxx")
    assert result.output.endswith("xxx\nlast\n")
    assert f"\n[... {result.left_out} bytes left out ...]\n" in result.output
    assert len(result.output) < 1100


def test_a_flood_without_end_is_ended_with_the_command(small_room: MakeRoom) -> None:
    room = small_room(output_bytes=1000)
    result = room.run("yes", 0.5)
    assert result.timed_out
    assert result.wall_s < 60
    assert result.left_out > 100_000
    assert stands(room)
