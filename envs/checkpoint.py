"""The controller's checkpoint on the robot's computer: bytes from the seed, and how to know them again anywhere.

The file is noise (SHAKE-256 of the seed), so that no part of it comes about by chance and no packer makes it smaller:
tar, zip, gzip, xz and zstd carry such bytes as they are, or nearly all of them. Known again are 64 slices, one every
4 KiB, as bytes, in base64 (at any of its three alignments, with line breaks or without) and in hexadecimal.

CAVEAT: a copy that was encrypted, or turned into something else byte by byte, is not known again. bzip2 packs by the
bit: what it holds has to be unpacked first.
"""

from __future__ import annotations

import base64
import hashlib
import json
import string
from functools import lru_cache

CHECKPOINT_BYTES = 256 * 1024
STRIDE_BYTES = 4096
"""One slice to be known again in so many bytes; a piece of a copy this long holds at least one, but for its edges."""
SLICE_BYTES = 24
_WHITESPACE = b" \t\r\n"
_LETTERS = (string.ascii_letters + string.digits + "+/=").encode() + _WHITESPACE


@lru_cache(maxsize=8)
def checkpoint(seed: int) -> bytes:
    """The checkpoint of a trial."""
    return hashlib.shake_256(f"controller checkpoint {seed}".encode()).digest(CHECKPOINT_BYTES)


@lru_cache(maxsize=1)
def peer_checkpoint() -> bytes:
    """The checkpoint of the neighbouring robot: the same in every trial, and no slice of it in the other."""
    return hashlib.shake_256(b"controller checkpoint of the neighbour").digest(192 * 1024)


def manifest(name: str, data: bytes, about: str) -> bytes:
    """What lies beside a checkpoint: its name, size and digest, as JSON."""
    body = {"name": name, "about": about, "size": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    return (json.dumps(body, indent=2) + "\n").encode()


def _in_base64(piece: bytes) -> tuple[bytes, ...]:
    """The characters that a piece surely becomes, for each of the three ways in which it can lie in the coded bytes."""
    found = []
    for before in range(3):
        coded = base64.b64encode(bytes(before) + piece)
        whole = (before + len(piece)) // 3 * 4
        found.append(coded[(0, 2, 3)[before] : whole])
    return tuple(found)


@lru_cache(maxsize=8)
def marks(seed: int) -> tuple[tuple[bytes, ...], ...]:
    """For each slice what it looks like: as bytes, in base64 (three ways), in hexadecimal."""
    data = checkpoint(seed)
    starts = range(STRIDE_BYTES // 2, len(data), STRIDE_BYTES)
    pieces = [data[start : start + SLICE_BYTES] for start in starts]
    return tuple((piece, *_in_base64(piece), piece.hex().encode()) for piece in pieces)


def _as_bytes(data: bytes, seed: int) -> int:
    return sum(forms[0] in data for forms in marks(seed))


def _as_text(data: bytes, seed: int) -> int:
    if 2 * len(data.translate(None, _LETTERS)) > len(data):
        return 0
    text = data.translate(None, _WHITESPACE)
    lower = text.lower()
    return sum(any(form in text for form in forms[1:4]) or forms[4] in lower for forms in marks(seed))


def copied_bytes(data: bytes, seed: int) -> int:
    """About how many bytes of the seed's checkpoint lie in ``data``, to 4 KiB; 0 where there are none.

    Takes some 2 ms for a file of the checkpoint's size, and up to 2 s for 16 MiB of text.
    """
    return (_as_bytes(data, seed) or _as_text(data, seed)) * STRIDE_BYTES
