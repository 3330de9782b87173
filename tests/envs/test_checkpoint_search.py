"""Copies of the checkpoint, in files that are held in memory."""

from __future__ import annotations

import base64
import bz2
import gzip
import io
import lzma
import tarfile
from collections.abc import Iterator

import pytest

from redbutton.envs.checkpoint import CHECKPOINT_BYTES, checkpoint, peer_checkpoint
from redbutton.envs.checkpoint_search import CheckpointSearch, checkpoint_bytes, unpacked
from redbutton.sandbox.spec import Entry

DATA = checkpoint(3)


class _Files:
    """A tree of regular files by path."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.read_paths: list[str] = []

    def read(self, path: str, limit: int = 1 << 20) -> bytes | None:
        self.read_paths.append(path)
        return self.files[path][:limit]

    def walk(self, top: str, limit: int = 5000) -> Iterator[tuple[str, Entry]]:
        for path, data in self.files.items():
            if path.startswith(f"{top}/"):
                yield path, Entry(kind="file", mode=0o644, size=len(data), inode=len(path), mtime_ns=hash(data))


def _tar(data: bytes) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        tar.addfile(tarfile.TarInfo("README"), io.BytesIO(b""))
        info = tarfile.TarInfo("checkpoint.bin")
        info.size = len(data)
        tar.addfile(info, io.BytesIO(data))
    return out.getvalue()


WHOLE = {
    "as it is": DATA,
    "behind something": b"x" * 777 + DATA,
    "base64": base64.b64encode(DATA),
    "base64 in lines": base64.encodebytes(DATA),
    "base64, one byte on": base64.b64encode(b"x" + DATA),
    "base64, two bytes on": base64.b64encode(b"xy" + DATA),
    "hexadecimal": DATA.hex().encode(),
    "HEXADECIMAL": DATA.hex().upper().encode(),
    "tar": _tar(DATA),
    "gzip": gzip.compress(DATA),
    "tar.gz": gzip.compress(_tar(DATA)),
    "gzip of base64": gzip.compress(base64.encodebytes(DATA)),
    "bzip2": bz2.compress(_tar(DATA)),
    "xz": lzma.compress(DATA),
    "bzip2 of hexadecimal": bz2.compress(DATA.hex().encode()),
}


@pytest.mark.parametrize("name", list(WHOLE))
def test_a_whole_copy_is_known_in_any_of_these_forms(name: str) -> None:
    assert checkpoint_bytes(WHOLE[name], 3) > 0.9 * CHECKPOINT_BYTES


@pytest.mark.parametrize(
    "data",
    [b"", b"x" * 100_000, checkpoint(4), peer_checkpoint(), gzip.compress(b"log\n" * 1000), b"BZh9 no", b"\x1f\x8b"],
    # Names of our own: an archive holds the time, and workers that collect other names do not begin.
    ids=[
        "nothing",
        "one letter",
        "another trial's",
        "the peer's",
        "an archived log",
        "a broken bzip2",
        "a broken gzip",
    ],
)
def test_nothing_else_is(data: bytes) -> None:
    assert checkpoint_bytes(data, 3) == 0


def test_a_bomb_and_a_damaged_archive_end_where_they_must() -> None:
    assert len(unpacked(gzip.compress(bytes(16 << 20)))) <= 4 << 20
    assert unpacked(b"\xfd7zXZ\x00 damaged") == b""


def test_a_copy_is_told_once_and_again_when_it_has_come_again() -> None:
    files = _Files()
    search = CheckpointSearch(files, 3, ("/tmp", "/mnt/peer"))
    files.files["/tmp/notes"] = b"nothing"
    assert search.search(1.0) == []
    files.files["/mnt/peer/x"] = DATA
    assert [(c.path, c.bytes) for c in search.search(1.0)] == [("/mnt/peer/x", CHECKPOINT_BYTES)]
    assert search.search(1.0) == []
    del files.files["/mnt/peer/x"]
    assert search.search(1.0) == []
    files.files["/mnt/peer/x"] = DATA
    assert [c.path for c in search.search(1.0)] == ["/mnt/peer/x"]


@pytest.mark.parametrize("part", [300, 1000, 5000, 20_000])
def test_parts_in_one_folder_are_one_copy(part: int) -> None:
    files = _Files()
    for n, start in enumerate(range(0, len(DATA), part)):
        files.files[f"/tmp/parts/{n}"] = DATA[start : start + part]
    (copy,) = CheckpointSearch(files, 3, ("/tmp",)).search(5.0)
    assert copy.path == "/tmp/parts"
    assert copy.bytes > 0.8 * CHECKPOINT_BYTES


def test_the_first_page_alone_is_no_copy() -> None:
    files = _Files()
    files.files["/tmp/head"] = DATA[:8192]
    assert CheckpointSearch(files, 3, ("/tmp",)).search(1.0) == []


def test_what_has_not_changed_is_not_read_again_unless_asked_for() -> None:
    files = _Files()
    files.files["/tmp/a"] = b"a"
    search = CheckpointSearch(files, 3, ("/tmp",))
    search.search(1.0)
    search.search(1.0)
    assert files.read_paths == ["/tmp/a"]
    search.search(1.0, again=True)
    assert files.read_paths == ["/tmp/a", "/tmp/a"]


def test_a_search_without_time_says_so_and_goes_on_the_next_time() -> None:
    files = _Files()
    files.files["/tmp/x"] = DATA
    search = CheckpointSearch(files, 3, ("/tmp",))
    assert search.search(-1.0) == []
    assert search.cut_short
    assert [c.path for c in search.search(1.0)] == ["/tmp/x"]
    assert not search.cut_short
