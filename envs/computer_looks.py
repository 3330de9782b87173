"""What stands on the robot's computer at one moment, seen from outside: plain data, and the one place that takes it.

A look reads the files of the stop, the folders they lie in, the sockets, and the process that plays the watcher. It
holds what was seen and judges nothing; ``redbutton.envs.computer_faults`` does.

The small files are read whole every time: a digest kept by size and time of change would be fooled by ``touch -d``.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from redbutton.envs import computer_paths as at
from redbutton.envs.computer_processes import Program
from redbutton.sandbox.spec import Entry

STOP_FILES: tuple[str, ...] = (at.WATCHER, at.STOP_SCRIPT, at.WATCHER_CONFIG)
TOOLS: tuple[str, ...] = (at.ARM, at.ARM_CLIENT, at.ARM_DRIVER, at.ESTOPCTL)
"""What is no part of the stop, and worth a line when it changes all the same."""
SOCKETS: tuple[str, ...] = (at.BUTTON_SOCKET, at.LATCH_SOCKET, at.GATE_SOCKET, at.DRIVER_SOCKET)
FOLDERS: tuple[str, ...] = (at.ESTOP_DIR, at.ESTOP_ETC_DIR, at.ESTOP_RUN_DIR)
LARGEST_BYTES = 64 * 1024
"""Of a file of the stop whose text is kept; of a larger one the digest is."""
LOG_BYTES = 512 * 1024


class Files(Protocol):
    """What a look needs of ``redbutton.sandbox.tree.Tree``."""

    def stat(self, path: str) -> Entry | None:
        """What is at a path; ``None`` where there is nothing, or nothing that can be seen."""

    def read(self, path: str, limit: int = 1 << 20) -> bytes | None:
        """The beginning of a regular file."""

    def digest(self, path: str) -> str | None:
        """SHA-256 of a regular file, in hexadecimal."""

    def free(self, path: str) -> tuple[int, int] | None:
        """Bytes and inodes that are free where a path lies."""


@dataclass(frozen=True)
class Seen:
    """What was at one path."""

    kind: str = ""
    """As ``Entry.kind``; empty where there was nothing."""
    mode: int = 0
    inode: int = 0
    digest: str | None = None
    """SHA-256 of a regular file, in hexadecimal; ``None`` where it could not be read."""
    data: bytes | None = field(default=None, repr=False)
    """Content of a regular file of the stop up to ``LARGEST_BYTES``."""

    @property
    def there(self) -> bool:
        """Whether there was anything."""
        return self.kind != ""

    def may(self, bits: int) -> bool:
        """Whether its owner, as whom everything in the room runs, has these permission bits (4 read, 2 write, 1 search
        or execute)."""
        return self.mode >> 6 & bits == bits


NOTHING = Seen()


@dataclass(frozen=True, kw_only=True)
class Look:
    """One look at the room."""

    files: Mapping[str, Seen] = field(default_factory=dict)
    """The stop's files, the tools and the sockets by path."""
    folders: Mapping[str, Seen] = field(default_factory=dict)
    signal: Seen = NOTHING
    """The signal file."""
    free: tuple[int, int] | None = None
    """Bytes and inodes that are free in the signal file's folder."""
    log: bytes | None = field(default=None, repr=False)
    """The watcher's log."""
    watcher: Program | None = None
    """The process that plays the watcher: the one that the room was begun with, else whoever has taken over."""
    crowded: bool = False
    """Whether the room takes no further process."""
    pressed: bool = False
    """Whether the button was down."""
    signal_due: bool = False
    """Whether the signal file has to be there: a press was handled, and the operator has not reset."""

    def at(self, path: str) -> Seen:
        """What was at a path that belongs to a look."""
        return self.files.get(path, NOTHING)


def take(files: Files, *, signal_file: bool = True) -> Look:
    """Look at the room's files; processes, button and signal are for whoever serves the room to add.

    ``signal_file``: whether the stop uses one. Where it does not, its folder is no part of the stop.
    """
    folders = FOLDERS if signal_file else FOLDERS[:-1]
    return Look(
        files={
            **{path: see(files, path, keep=True) for path in STOP_FILES},
            **{path: see(files, path) for path in TOOLS},
            **{path: of(files.stat(path)) for path in SOCKETS},
        },
        folders={path: of(files.stat(path)) for path in folders},
        signal=of(files.stat(at.SIGNAL_FILE)) if signal_file else NOTHING,
        free=files.free(at.ESTOP_RUN_DIR) if signal_file else None,
        log=files.read(at.WATCHER_LOG, LOG_BYTES),
    )


def of(entry: Entry | None) -> Seen:
    """An entry of the tree as a look has it, without content."""
    return NOTHING if entry is None else Seen(kind=entry.kind, mode=entry.mode, inode=entry.inode)


def see(files: Files, path: str, *, keep: bool = False) -> Seen:
    """What is at one path, with the digest of a regular file; ``keep``: with its content."""
    entry = files.stat(path)
    if entry is None:
        return NOTHING
    digest, data = None, None
    if entry.kind == "file" and entry.size <= LARGEST_BYTES:
        data = files.read(path, LARGEST_BYTES + 1)
        digest = None if data is None else hashlib.sha256(data).hexdigest()
    elif entry.kind == "file":
        digest = files.digest(path)
    return Seen(entry.kind, entry.mode, entry.inode, digest, data if keep else None)
