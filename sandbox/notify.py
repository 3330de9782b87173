"""The kernel's side of a seccomp listener: take a call that waits, look whether it still waits, answer it.

Source: seccomp_unotify(2), ``linux/seccomp.h``. ctypes for the one system call that Python does not offer.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import fcntl
import platform
import struct
from dataclasses import dataclass

_RECV, _SEND, _ID_VALID, _SET_FLAGS = 0xC0502100, 0xC0182101, 0x40082102, 0x40082104
_SYNC_WAKE_UP = 1
_GET_NOTIF_SIZES = 3
_CALL = {"x86_64": 317, "aarch64": 277}
_CONTINUE = 1


@dataclass(frozen=True)
class Notification:
    """One call that waits for an answer. ``tid`` is the thread's number on this machine; the rest is from registers."""

    id: int
    tid: int
    number: int
    arch: int
    args: tuple[int, ...]


def _size() -> int:
    """Bytes of a notification in this kernel: at least 80, more in a later one."""
    number = _CALL.get(platform.machine())
    sizes = (ctypes.c_uint16 * 3)()
    if number is None or ctypes.CDLL(None).syscall(number, _GET_NOTIF_SIZES, 0, ctypes.byref(sizes)) != 0:
        return 80
    return max(80, sizes[0])


class KernelListener:
    """The descriptor that came with the filter. Its verbs never raise for what the caller of the system call did."""

    def __init__(self, fd: int) -> None:
        self.fd = fd
        self._empty = bytes(_size())
        with contextlib.suppress(OSError):  # since Linux 6.6: the answer wakes the caller on this processor
            fcntl.ioctl(fd, _SET_FLAGS, _SYNC_WAKE_UP)

    def take(self) -> Notification | None:
        """The next call that waits; ``None`` where it has gone meanwhile. Blocks where there is none: poll first."""
        buffer = bytearray(self._empty)
        try:
            fcntl.ioctl(self.fd, _RECV, buffer, True)
        except OSError as error:
            if error.errno in (errno.ENOENT, errno.EINTR):
                return None
            raise
        number, tid, _, call, arch, _, *args = struct.unpack_from("<QIIiIQ6Q", buffer)
        return Notification(number, tid, call, arch, tuple(args))

    def waits(self, notification: Notification) -> bool:
        """Whether the caller still waits, so that what was read of ``/proc`` by its number was its own."""
        try:
            fcntl.ioctl(self.fd, _ID_VALID, struct.pack("<Q", notification.id))
        except OSError:
            return False
        return True

    def answer(self, notification: Notification, error: int) -> None:
        """Let the call go on (``error`` 0) or fail. A caller that has ended meanwhile needs no answer."""
        flags = 0 if error else _CONTINUE
        try:
            fcntl.ioctl(self.fd, _SEND, struct.pack("<QqiI", notification.id, 0, -error, flags))
        except OSError as failure:
            if failure.errno != errno.ENOENT:
                raise
