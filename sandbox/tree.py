"""A room's files, looked at from outside.

Paths are walked one component after the other from the room's own root, links are never followed, and only regular
files are ever opened. So nothing that a program inside lays out can lead the reader to this machine's files, make it
wait, or make it fail: what cannot be had is ``None``.

CAVEAT: a runner that is not root cannot read what the room's own user may not read either; such a file has an entry
and no content.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections import deque
from collections.abc import Iterator

from redbutton.sandbox.spec import Entry

KINDS = {stat.S_IFREG: "file", stat.S_IFDIR: "dir", stat.S_IFLNK: "link", stat.S_IFSOCK: "socket", stat.S_IFIFO: "fifo"}
CHUNK = 1 << 18
DEEPEST = 64
"""Folders; a chain of thousands would make every look a long one."""
MOST_DIGESTED = 1 << 30
"""Bytes; a file that is longer has no digest."""


class Tree:
    """The files of one room. ``root`` is a descriptor of its root folder and belongs to this object."""

    def __init__(self, root: int) -> None:
        self._root = root

    def close(self) -> None:
        """Let go of the room. After that there is nothing to be seen."""
        if self._root >= 0:
            os.close(self._root)
            self._root = -1

    def stat(self, path: str) -> Entry | None:
        """What stands at a path, or None."""
        fd = self.name(path)
        if fd is None:
            return None
        try:
            return entry(os.fstat(fd))
        except OSError:
            return None
        finally:
            os.close(fd)

    def read(self, path: str, limit: int = 1 << 20) -> bytes | None:
        """The first ``limit`` bytes of a regular file, or None."""
        parts: list[bytes] = []
        for part in self._content(path, limit) or ():
            if part is None:
                return None
            parts.append(part)
        return b"".join(parts)

    def digest(self, path: str) -> str | None:
        """SHA-256 of a regular file, in hexadecimal, or None."""
        made = hashlib.sha256()
        for part in self._content(path, MOST_DIGESTED):
            if part is None:
                return None
            made.update(part)
        return made.hexdigest()

    def listing(self, path: str) -> list[str]:
        """Names in a folder, sorted; empty where there is no such folder. Bytes that are no UTF-8 are escaped."""
        return [name for name, _ in self._names(path)]

    def walk(self, top: str, limit: int = 5000) -> Iterator[tuple[str, Entry]]:
        """Everything below a folder, breadth first, at most ``limit`` entries: absolute path and entry.

        What lies more than ``DEEPEST`` folders down is left out.
        """
        folders = deque([top])
        left = limit
        while folders and left > 0:
            folder = folders.popleft()
            for name, seen in self._names(folder):
                if left <= 0:
                    return
                left -= 1
                path = f"{folder.rstrip('/')}/{name}"
                yield path, seen
                if seen.kind == "dir" and path.count("/") <= DEEPEST:
                    folders.append(path)

    def free(self, path: str) -> tuple[int, int] | None:
        """Bytes and files that still fit in the folder's file system, or None."""
        fd = self.name(path)
        if fd is None:
            return None
        try:
            seen = os.fstatvfs(fd)
            return seen.f_bavail * seen.f_frsize, seen.f_favail
        except OSError:
            return None
        finally:
            os.close(fd)

    def name(self, path: str) -> int | None:
        """A descriptor that only names what stands at the path (``O_PATH``), or None. Whoever asks closes it."""
        if self._root < 0:
            return None
        names = [name for name in path.split("/") if name not in ("", ".")]
        if ".." in names:
            return None
        fd = os.dup(self._root)
        for name in names:
            try:
                further = os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=fd)
            except (OSError, ValueError):
                return None
            finally:
                os.close(fd)
            fd = further
        return fd

    def _content(self, path: str, limit: int) -> Iterator[bytes | None]:
        """The parts of a regular file; None at last where it cannot be read or is longer than can be."""
        named = self.name(path)
        if named is None:
            yield None
            return
        try:
            if not stat.S_ISREG(os.fstat(named).st_mode):
                yield None
                return
            fd = os.open(f"/proc/self/fd/{named}", os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
        except OSError:
            yield None
            return
        finally:
            os.close(named)
        try:
            while limit > 0:
                part = os.read(fd, min(CHUNK, limit))
                if not part:
                    return
                limit -= len(part)
                yield part
        except OSError:
            yield None
        finally:
            os.close(fd)

    def _names(self, path: str) -> list[tuple[str, Entry]]:
        named = self.name(path)
        if named is None:
            return []
        try:
            fd = os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=named)
        except OSError:
            return []
        finally:
            os.close(named)
        found = []
        try:
            for name in sorted(os.listdir(fd)):
                try:
                    found.append((name, entry(os.stat(name, dir_fd=fd, follow_symlinks=False))))
                except OSError:
                    continue
        except OSError:
            return []
        finally:
            os.close(fd)
        return found


def entry(seen: os.stat_result) -> Entry:
    """An entry from what the kernel says."""
    kind = KINDS.get(stat.S_IFMT(seen.st_mode), "other")
    return Entry(
        kind=kind, mode=stat.S_IMODE(seen.st_mode), size=seen.st_size, inode=seen.st_ino, mtime_ns=seen.st_mtime_ns
    )
