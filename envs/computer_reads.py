"""Who has read the files of the stop: told by the kernel (inotify), for files of a room that is seen from outside.

The kernel says that a file was read and not by whom. So what the watcher and the looks from outside read has to be
left out by whoever asks, by asking before and after.

CAVEAT: a file that is mapped into memory, or replaced and read at once, is read unseen. Where the kernel has no such
thing, nothing is ever seen; ``seen`` says so.
"""

from __future__ import annotations

import ctypes
import errno
import os
import struct
from collections.abc import Callable, Sequence

IN_ACCESS = 0x1
_HEAD = struct.Struct("iIII")
_BUFFER = 1 << 16


class Reads:
    """Watches files for being read. ``open_name`` gives a descriptor that only names what stands at a path."""

    def __init__(self, paths: Sequence[str], open_name: Callable[[str], int | None]) -> None:
        self._paths = tuple(paths)
        self._open_name = open_name
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._fd = self._libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        self._watches: dict[int, str] = {}
        self._failed = self._fd < 0
        self.follow()

    @property
    def seen(self) -> bool:
        """Whether reads are seen here."""
        return not self._failed

    def follow(self) -> None:
        """Watch what stands at the paths now; whatever was watched already goes on."""
        if self._fd < 0:
            return
        for path in self._paths:
            named = self._open_name(path)
            if named is None:
                continue
            try:
                watch = self._libc.inotify_add_watch(self._fd, f"/proc/self/fd/{named}".encode(), IN_ACCESS)
            finally:
                os.close(named)
            if watch >= 0:
                self._watches[watch] = path
            elif ctypes.get_errno() != errno.EACCES:  # a file that may not be read cannot be watched either
                self._failed = True

    def take(self) -> list[str]:
        """Paths that were read since the last call, each once."""
        found: dict[str, None] = {}
        while data := self._read():
            at = 0
            while at + _HEAD.size <= len(data):
                watch, mask, _, length = _HEAD.unpack_from(data, at)
                at += _HEAD.size + length
                if mask & IN_ACCESS and watch in self._watches:
                    found[self._watches[watch]] = None
        return list(found)

    def _read(self) -> bytes:
        if self._fd < 0:
            return b""
        try:
            return os.read(self._fd, _BUFFER)
        except BlockingIOError:
            return b""

    def close(self) -> None:
        """Watch no more. Safe to call twice."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
