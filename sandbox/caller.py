"""What can be seen of a process that waits in a system call: its number inside, its memory, where its paths lead.

CAVEAT: memory, working folder and links can change between this look and the call itself. What is read here is for
the record; nothing is allowed or refused by it, and what came of the call is read from the state of the sandbox.
"""

from __future__ import annotations

import ctypes
import functools
import os
import posixpath
import re
import socket
import struct
from typing import Any

_OPENAT2 = 437
_IN_ROOT, _NO_MAGIC_LINKS = 0x10, 0x02
_AT_FDCWD = -100
_PATH_MAX = 4096
_PAGE = 4096
_STANDARD = ("/dev/stdin", "/dev/stdout", "/dev/stderr")
_DESCRIPTOR = re.compile(r"/(?:proc/(self|thread-self|\d+)|dev)/fd/(\d{1,9})")
_PLACE = re.compile(r"/proc/(self|thread-self|\d+)/(root|cwd)(?=/|$)")
_UNREADABLE = (OSError, ValueError, OverflowError)


class _OpenHow(ctypes.Structure):
    _fields_ = (("flags", ctypes.c_uint64), ("mode", ctypes.c_uint64), ("resolve", ctypes.c_uint64))


class _Vector(ctypes.Structure):
    _fields_ = (("start", ctypes.c_void_p), ("length", ctypes.c_size_t))


@functools.cache
def _function(name: str, *kinds: Any) -> Any:
    function = getattr(ctypes.CDLL(None), name)
    function.restype, function.argtypes = ctypes.c_long, kinds
    return function


def _open_in(root: int, path: str) -> int:
    """A descriptor that only names what lies at a path, looked up under a root; -1 where nothing does."""
    how = _OpenHow(os.O_PATH | os.O_CLOEXEC, 0, _IN_ROOT | _NO_MAGIC_LINKS)
    call = _function("syscall", ctypes.c_long, ctypes.c_long, ctypes.c_char_p, ctypes.c_void_p, ctypes.c_size_t)
    return int(call(_OPENAT2, root, os.fsencode(path), ctypes.addressof(how), ctypes.sizeof(how)))


def _read_memory(tid: int, address: int, size: int) -> bytes:
    """Not by ``/proc/PID/mem``: whoever calls `prctl` to be undumpable shuts that to a runner that is not root."""
    buffer = ctypes.create_string_buffer(size)
    here, there = _Vector(ctypes.addressof(buffer), size), _Vector(address, size)
    read = _function("process_vm_readv", ctypes.c_int, *[ctypes.c_void_p, ctypes.c_ulong] * 2, ctypes.c_ulong)
    count = read(tid, ctypes.addressof(here), 1, ctypes.addressof(there), 1, 0)
    return buffer.raw[:count] if count > 0 else b""


def shown(text: str | None) -> str | None:
    """A path for the record: bytes that are no UTF-8 replaced."""
    return None if text is None else os.fsencode(text).decode("utf-8", "replace")


def signed(value: int) -> int:
    """A register as the kernel takes an ``int``."""
    value &= 0xFFFFFFFF
    return value - (1 << 32) if value >> 31 else value


class Caller:
    """One thread that waits in a call, by its number on this machine. No verb raises; ``None``: cannot be seen."""

    def __init__(self, tid: int) -> None:
        self._tid = tid
        self._proc = f"/proc/{tid}"

    @functools.cached_property
    def inner_pid(self) -> int:
        """The process's number inside; 0 where it has ended."""
        return self._inner("status", b"NStgid:") or 0

    def _inner(self, name: str, field: bytes) -> int | None:
        try:
            with open(f"{self._proc}/{name}", "rb") as file:
                lines = file.read().splitlines()
        except _UNREADABLE:
            return None
        return next((int(line.split()[-1]) for line in lines if line.startswith(field)), None)

    def behind_pidfd(self, fd: int) -> int | None:
        """The number inside of the process that a pidfd of the caller's means."""
        return self._inner(f"fdinfo/{signed(fd)}", b"NSpid:")

    def memory(self, address: int, size: int) -> bytes:
        """Up to ``size`` bytes at an address; fewer, or none, where its memory ends."""
        try:
            return _read_memory(self._tid, address, size)
        except _UNREADABLE:
            return b""

    def text(self, address: int) -> str | None:
        """The text at an address, as C writes it; ``None`` where there is none of at most 4096 bytes."""
        data = b""
        while len(data) <= _PATH_MAX:
            # Page by page: a text seldom crosses one, and the next may not be there.
            part = self.memory(address + len(data), _PAGE - (address + len(data)) % _PAGE)
            text, end, _ = part.partition(b"\0")
            data += text
            if end:
                return os.fsdecode(data) if len(data) < _PATH_MAX else None
            if not part:
                return None
        return None

    def path(self, start: int | None, text: str | None, follow: bool = False) -> str | None:
        """Where a path leads, absolute inside the sandbox. ``start``: a descriptor, or ``None`` for the working folder.

        Symbolic links on the way are followed as the kernel would follow them, the last one only with ``follow``.
        """
        if text is None:
            return None
        if not text.startswith("/"):
            number = _AT_FDCWD if start is None else signed(start)
            base = self.link("cwd" if number == _AT_FDCWD else f"fd/{number}")
            if base is None:
                return None
            text = f"{base}/{text}" if text else base
        if follow and (descriptor := self.own_descriptor(text)) is not None:
            return self.link(f"fd/{descriptor}")
        text = self._without_magic(text)
        return (self._resolved(text) if follow else None) or self._parent_resolved(text)

    def own_descriptor(self, text: str) -> int | None:
        """The descriptor of the caller's that a path like ``/dev/stdout`` or ``/proc/self/fd/3`` means."""
        if text in _STANDARD:
            return _STANDARD.index(text)
        found = _DESCRIPTOR.fullmatch(text)
        return int(found[2]) if found and found[1] in (None, "self", "thread-self", str(self.inner_pid)) else None

    def _without_magic(self, text: str) -> str:
        """Links of ``/proc`` that lead to places are no text; they are put in here."""
        found = _PLACE.match(text)
        if found and found[2] == "root":
            return text[found.end() :] or "/"
        if found and found[1] in ("self", "thread-self", str(self.inner_pid)):
            return (self.link("cwd") or "") + text[found.end() :]
        return f"/proc/{self.inner_pid}{text[10:]}" if text.startswith("/proc/self/") else text

    def link(self, name: str) -> str | None:
        """Where a link of ``/proc/PID`` points: a path inside the sandbox."""
        try:
            target = os.readlink(f"{self._proc}/{name}")
        except _UNREADABLE:
            return None
        return target if target.startswith("/") else None

    def _parent_resolved(self, path: str) -> str:
        folder, name = posixpath.split(path.rstrip("/"))
        if name in ("", ".", ".."):
            return self._resolved(path) or _plain(path)
        return _plain(f"{self._resolved(folder) or folder}/{name}")

    def _resolved(self, path: str) -> str | None:
        """Look a path up inside the sandbox's root: nothing in there leads out, and nothing is really opened."""
        try:
            root = os.open(f"{self._proc}/root", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        except _UNREADABLE:
            return None
        try:
            fd = _open_in(root, path)
        finally:
            os.close(root)
        if fd < 0:
            return None
        try:
            return os.readlink(f"/proc/self/fd/{fd}")
        except OSError:
            return None
        finally:
            os.close(fd)

    def address(self, pointer: int, length: int) -> str | None:
        """The internet address and port that a ``sockaddr`` names; ``None`` for any other family."""
        data = self.memory(pointer, min(length & 0xFFFFFFFF, 28))
        if len(data) < 8:
            return None
        family, port = struct.unpack_from("=H", data)[0], struct.unpack_from("!H", data, 2)[0]
        if family == socket.AF_INET:
            return f"{socket.inet_ntop(socket.AF_INET, data[4:8])}:{port}"
        if family == socket.AF_INET6 and len(data) >= 24:
            return f"[{socket.inet_ntop(socket.AF_INET6, data[8:24])}]:{port}"
        return None


def _plain(path: str) -> str:
    """Without ``.`` and ``..``, one slash at the beginning."""
    return posixpath.normpath("/" + path.lstrip("/"))
