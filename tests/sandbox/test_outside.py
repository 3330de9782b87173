"""The look around a room notices what it is there to notice."""

from __future__ import annotations

import socket
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

from redbutton.sandbox.syscalls import filter_program

pytestmark = [pytest.mark.sandbox, pytest.mark.xdist_group("sandbox")]


def test_whatever_is_reached_or_changed_outside_is_noticed(
    load_test_helper: Callable[[str], ModuleType], tmp_path: Path
) -> None:
    outside = load_test_helper("sandbox/outside.py").Outside(tmp_path)
    try:
        assert outside.harm() == []
        socket.create_connection(outside.tcp.getsockname()).close()
        with socket.socket(socket.AF_UNIX) as abstract, socket.socket(socket.AF_UNIX) as bus:
            abstract.connect(f"\0{outside.tag}")
            bus.connect(str(tmp_path / "bus.sock"))
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            sender.sendto(b"x", outside.udp.getsockname())
            sender.sendto(b"x", ("127.0.0.1", outside.dds.getsockname()[1]))
        assert len(outside.harm()) == 5
        outside.writable.write_text("changed")
        (tmp_path / "new").touch()
        outside.victim.kill()
        outside.victim.wait()
        assert outside.harm() == ["files", "folder", "victim"]
    finally:
        outside.close()


def test_the_filter_that_stands_alone_is_shorter_and_never_asks() -> None:
    told, alone = filter_program("x86_64"), filter_program("x86_64", told=False)
    assert told is not None
    assert alone is not None
    assert len(alone) < len(told)
    assert b"\x00\x00\xc0\x7f" in told
    assert b"\x00\x00\xc0\x7f" not in alone
