"""Events on disk: real files, and a pipe for a disk that fails, hangs and comes back."""

from __future__ import annotations

import contextlib
import json
import os
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from redbutton.hardware.config import BenchError
from redbutton.hardware.event_file import JOIN_S, EventFile
from redbutton.hardware.ros import wait_for

LIMIT_S = 30.0


def events(first: int, count: int) -> list[dict[str, Any]]:
    return [{"n": n, "t_s": 0.5, "kind": "stop", "detail": {"reason": "x" * 50}} for n in range(first, first + count)]


@pytest.fixture
def pipe(tmp_path: Path) -> Path:
    path = tmp_path / "log"
    os.mkfifo(path)
    return path


def reader(path: Path) -> int:
    return os.open(path, os.O_RDONLY | os.O_NONBLOCK)


def read_all(fd: int, until: int) -> list[dict[str, Any]]:
    """Lines up to the event of this number."""
    text = b""

    def there() -> bool:
        nonlocal text
        try:
            text += os.read(fd, 65_536)
        except BlockingIOError:
            return False
        return text.endswith(b"\n") and json.loads(text.splitlines()[-1])["n"] >= until

    wait_for(there, LIMIT_S, f"event {until}")
    return [json.loads(line) for line in text.splitlines() if line]


def test_events_are_appended_in_order_and_written_before_it_closes(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_text('{"n": 0}\n', encoding="utf-8")
    file = EventFile(path)
    file.open()
    file.offer(events(1, 500))
    file.offer(events(501, 1))
    file.close()
    file.close()
    assert [json.loads(line)["n"] for line in path.read_text(encoding="utf-8").splitlines()] == list(range(502))


def test_a_file_that_cannot_be_opened_is_told(tmp_path: Path) -> None:
    file = EventFile(tmp_path / "none" / "log")
    with pytest.raises(BenchError, match="--log needs a file"):
        file.open()
    file.close()


def test_a_disk_that_fails_is_told_once_and_again_when_it_works(pipe: Path) -> None:
    fd = reader(pipe)
    file = EventFile(pipe)
    file.open()
    os.close(fd)
    file.offer(events(1, 2))
    wait_for(lambda: len(file.trouble) == 1, LIMIT_S, "trouble")
    file.offer(events(3, 2))
    fd = reader(pipe)
    try:
        number = 5

        def works() -> bool:
            nonlocal number
            file.offer(events(number, 1))
            number += 1
            return len(file.trouble) >= 2

        wait_for(works, LIMIT_S, "word that it works again")
        assert ["Broken pipe" in why for why in file.trouble] == [True, False]
        assert read_all(fd, number - 1)[-1]["n"] == number - 1
    finally:
        file.close()
        os.close(fd)


def test_a_disk_that_hangs_holds_up_neither_an_offer_nor_the_end(pipe: Path) -> None:
    fd = reader(pipe)
    file = EventFile(pipe)
    file.open()
    try:
        began_s = time.monotonic()
        for k in range(200):
            file.offer(events(100 * k, 100))
        assert time.monotonic() - began_s < 10.0
        closing_s = time.monotonic()
        file.close()
        assert time.monotonic() - closing_s < JOIN_S + 10.0
    finally:

        def gone() -> bool:
            with contextlib.suppress(BlockingIOError):
                os.read(fd, 1 << 20)
            return not any(thread.name == "event-file" for thread in threading.enumerate())

        wait_for(gone, LIMIT_S, "the end of the writer")
        os.close(fd)
