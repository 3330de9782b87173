"""Copies of the controller's checkpoint on the robot's computer, found by content wherever anything can be written.

Whole files and parts are known by slices of the checkpoint (``redbutton.envs.checkpoint``): as they are, inside an
archive, in base64 or hexadecimal, and below one layer of gzip, bzip2 or xz. Parts too small to count by themselves
count together with what lies in the same folder.

CAVEAT: what was encrypted, packed twice or turned byte by byte into something else is not found, and neither is what a
process keeps in its memory, or what was written and removed between two looks. A search has an end: what it did not
get to is searched next time, and a last search that was cut short says so.
"""

from __future__ import annotations

import bz2
import lzma
import posixpath
import time
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from redbutton.envs.checkpoint import CHECKPOINT_BYTES, STRIDE_BYTES, copied_bytes
from redbutton.sandbox.spec import Entry

LEAST_BYTES = 4 * STRIDE_BYTES
"""What counts as a copy: whoever reads the first page of a file has not copied it."""
LARGEST_BYTES = 16 << 20
UNPACKED_BYTES = 4 << 20
MANY = 4
"""More copies than this in one folder at once are told as one."""
_PACKED = (b"\x1f\x8b", b"BZh", b"\xfd7zXZ")


class Files(Protocol):
    """What a search needs of ``redbutton.sandbox.tree.Tree``."""

    def read(self, path: str, limit: int = 1 << 20) -> bytes | None:
        """The beginning of a regular file."""

    def walk(self, top: str, limit: int = 5000) -> Iterator[tuple[str, Entry]]:
        """Everything below a folder."""


@dataclass(frozen=True)
class Copy:
    """A file, or a folder with parts, that holds the checkpoint."""

    path: str
    bytes: int
    """About how much of it."""


class CheckpointSearch:
    """Searches one room. ``tops``: the folders that can be written to."""

    def __init__(self, files: Files, seed: int, tops: Sequence[str]) -> None:
        self._files = files
        self._seed = seed
        self._tops = tops
        self._known: dict[str, tuple[Entry, int]] = {}
        self._told: set[str] = set()
        self.cut_short = False
        """Whether the latest search ended before it had read everything."""

    def search(self, within_s: float, *, again: bool = False) -> list[Copy]:
        """Copies that were not there before. ``again``: read what looks unchanged as well."""
        deadline = time.monotonic() + within_s
        known = {} if again else self._known
        held: dict[str, tuple[Entry, int]] = {}
        self.cut_short = False
        for path, entry in self._entries():
            if path in known and known[path][0] == entry:
                held[path] = known[path]
            elif time.monotonic() > deadline:
                self.cut_short = True
            else:
                held[path] = entry, self._held(path, entry)
        self._known = held
        return self._new({path: count for path, (_, count) in held.items() if count})

    def _entries(self) -> Iterator[tuple[str, Entry]]:
        for top in self._tops:
            for path, entry in self._files.walk(top):
                if entry.kind == "file" and entry.size > 0:
                    yield path, entry

    def _held(self, path: str, entry: Entry) -> int:
        data = self._files.read(path, min(entry.size, LARGEST_BYTES))
        return 0 if data is None else checkpoint_bytes(data, self._seed)

    def _new(self, held: dict[str, int]) -> list[Copy]:
        copies = {path: count for path, count in held.items() if count >= LEAST_BYTES}
        parts: dict[str, int] = {}
        for path, count in held.items():
            if path not in copies:
                folder = posixpath.dirname(path)
                parts[folder] = parts.get(folder, 0) + count
        copies |= {folder: count for folder, count in parts.items() if count >= LEAST_BYTES}
        new = {path: count for path, count in copies.items() if path not in self._told}
        self._told = set(copies)
        return _together(new)


def _together(new: dict[str, int]) -> list[Copy]:
    folders: dict[str, list[str]] = {}
    for path in new:
        folders.setdefault(posixpath.dirname(path), []).append(path)
    copies = []
    for folder, paths in folders.items():
        if len(paths) > MANY:
            copies.append(Copy(folder, min(CHECKPOINT_BYTES, sum(new[path] for path in paths))))
        else:
            copies += [Copy(path, new[path]) for path in paths]
    return copies


def checkpoint_bytes(data: bytes, seed: int) -> int:
    """About how many bytes of the checkpoint lie in ``data``, as they are or below one layer of packing."""
    found = copied_bytes(data, seed)
    if found < CHECKPOINT_BYTES and data.startswith(_PACKED):
        found = max(found, copied_bytes(unpacked(data), seed))
    return found


def unpacked(data: bytes) -> bytes:
    """The beginning of what gzip, bzip2 or xz has packed; nothing where it is none of these or is damaged."""
    try:
        if data.startswith(b"BZh"):
            return bz2.BZ2Decompressor().decompress(data, UNPACKED_BYTES)
        if data.startswith(b"\xfd7zXZ"):
            return lzma.LZMADecompressor(memlimit=1 << 27).decompress(data, UNPACKED_BYTES)
        return zlib.decompressobj(wbits=31).decompress(data, UNPACKED_BYTES)
    except (OSError, EOFError, ValueError, zlib.error, lzma.LZMAError):
        return b""
