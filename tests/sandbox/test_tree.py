"""A room's files as seen from outside, whatever a program inside lays out."""

from __future__ import annotations

import hashlib
from collections.abc import Callable

import pytest

from redbutton.sandbox.session import Sandbox
from redbutton.sandbox.spec import File

pytestmark = pytest.mark.sandbox


def test_files_folders_and_their_entries_are_seen(room: Sandbox) -> None:
    seen = room.tree.stat("/home/robot/notes.txt")
    assert seen is not None
    assert (seen.kind, seen.mode, seen.size) == ("file", 0o644, 10)
    assert room.tree.read("/home/robot/notes.txt") == b"call Anna\n"
    assert room.tree.read("/home/robot/notes.txt", 4) == b"call"
    assert room.tree.digest("/home/robot/notes.txt") == hashlib.sha256(b"call Anna\n").hexdigest()
    assert room.tree.listing("/srv/data") == ["fixed"]
    assert room.tree.stat("/").kind == "dir"  # type: ignore[union-attr]
    assert room.tree.free("/home/robot")[0] <= 2 << 20  # type: ignore[index]


def test_what_is_not_there_is_none_and_never_an_error(room: Sandbox) -> None:
    for path in ("/no", "/home/robot/notes.txt/x", "/home/../etc/passwd", "/" + "x" * 5000, "/home/robot", "/a\0b"):
        assert room.tree.read(path) is None
        assert room.tree.digest(path) is None
    assert room.tree.stat("/no") is None
    assert room.tree.free("/no") is None
    assert room.tree.listing("/no") == []
    assert list(room.tree.walk("/no")) == []


def test_a_change_shows_at_once(room: Sandbox) -> None:
    before = room.tree.stat("/tmp")
    room.run("echo a > /tmp/changed; chmod 600 /tmp/changed")
    assert room.tree.stat("/tmp/changed").mode == 0o600  # type: ignore[union-attr]
    assert room.tree.stat("/tmp") != before
    room.run("rm /tmp/changed")
    assert room.tree.stat("/tmp/changed") is None


def test_no_link_leads_out_of_the_room_or_round_in_circles(make_room: Callable[..., Sandbox]) -> None:
    room = make_room()
    room.run(
        "cd /tmp; ln -s /etc/passwd file; ln -s / root; ln -s loop loop; ln -s ../../../../../../etc up;"
        "ln -s /proc/self/root magic; mkdir real; ln -s real middle; echo x > real/x"
    )
    for name in ("file", "root", "loop", "up", "magic", "middle"):
        assert room.tree.stat(f"/tmp/{name}").kind == "link"  # type: ignore[union-attr]
        assert room.tree.read(f"/tmp/{name}") is None
        assert room.tree.listing(f"/tmp/{name}") == []
    for path in ("/tmp/root/etc/passwd", "/tmp/middle/x", "/tmp/magic/etc/passwd", "/proc/1/root/etc/passwd"):
        assert room.tree.stat(path) is None
        assert room.tree.read(path) is None
    assert room.tree.read("/tmp/real/x") == b"x\n"
    assert {path for path, _ in room.tree.walk("/tmp")} == {
        *(f"/tmp/{name}" for name in ("file", "root", "loop", "up", "magic", "middle", "real", "real/x"))
    }


def test_fifos_and_sockets_are_named_and_never_opened(make_room: Callable[..., Sandbox]) -> None:
    room = make_room()
    room.run("mkfifo /tmp/fifo; python3 -c 'import socket; socket.socket(socket.AF_UNIX).bind(\"/tmp/sock\")'")
    assert [(path, seen.kind) for path, seen in room.tree.walk("/tmp")] == [
        ("/tmp/fifo", "fifo"),
        ("/tmp/sock", "socket"),
    ]
    for path in ("/tmp/fifo", "/tmp/sock", "/dev/zero", "/dev/null"):
        assert room.tree.read(path) is None
        assert room.tree.digest(path) is None


def test_a_sparse_giant_is_read_within_bounds(make_room: Callable[..., Sandbox]) -> None:
    room = make_room()
    room.run("truncate -s 15M /tmp/giant")
    assert len(room.tree.read("/tmp/giant") or b"") == 1 << 20
    assert room.tree.digest("/tmp/giant") == hashlib.sha256(bytes(15 << 20)).hexdigest()


def test_names_that_are_no_text_can_be_looked_up_again(make_room: Callable[..., Sandbox]) -> None:
    room = make_room()
    room.run("cd /tmp; echo odd > $'\\377\\n'; mkdir -p 'a b'; echo x > 'a b/-rf'")
    names = room.tree.listing("/tmp")
    assert len(names) == 2
    assert room.tree.read(f"/tmp/{names[1]}") == b"odd\n"
    assert room.tree.read("/tmp/a b/-rf") == b"x\n"


def test_ten_thousand_files_and_a_deep_chain_do_not_hold_the_reader_up(make_room: Callable[..., Sandbox]) -> None:
    room = make_room(files=tuple(File(f"/tmp/{n:05}", b"") for n in range(10_000)))
    deep = "import os\nfor n in range(1500): os.mkdir('d'); os.chdir('d')"
    assert room.run(f'python3 -c "{deep}"', 60).exit_code == 0
    assert sum(1 for _ in room.tree.walk("/tmp")) == 5000
    assert sum(1 for _ in room.tree.walk("/tmp", 20_000)) == 10_000
    assert 50 < sum(1 for path, _ in room.tree.walk("/home/robot") if path.endswith("/d")) < 100
    assert len(room.tree.listing("/tmp")) == 10_000


def test_a_tree_that_changes_under_the_reader_breaks_nothing(make_room: Callable[..., Sandbox]) -> None:
    room = make_room()
    room.run(
        "cd /tmp; (while :; do mkdir -p a/b; echo x > a/b/c; mv a z; ln -s /etc a; rm -rf a z; done) >/dev/null 2>&1 &"
    )
    for _ in range(300):
        assert room.tree.read("/tmp/a/b/c") in (None, b"", b"x\n")
        assert room.tree.read("/tmp/a/hostname") is None
        list(room.tree.walk("/tmp"))


def test_a_closed_room_shows_nothing(make_room: Callable[..., Sandbox]) -> None:
    room = make_room()
    room.close()
    assert room.tree.stat("/tmp") is None
    assert room.tree.read("/etc/passwd") is None
    assert room.processes() == []
