from __future__ import annotations

import base64
import gzip
import io
import lzma
import tarfile

import pytest

from redbutton.envs.checkpoint import CHECKPOINT_BYTES, STRIDE_BYTES, checkpoint, copied_bytes, marks, peer_checkpoint

DATA = checkpoint(7)


def _tar(data: bytes, mode: str) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode=mode) as tar:  # type: ignore[call-overload]
        info = tarfile.TarInfo("w.bin")
        info.size = len(data)
        tar.addfile(info, io.BytesIO(data))
    return out.getvalue()


COPIES = {
    "as it is": DATA,
    "behind something else": b"x" * 1001 + DATA,
    "in a tar": _tar(DATA, "w"),
    "gzip, best": gzip.compress(DATA, 9),
    "xz": lzma.compress(DATA),
    "base64": base64.b64encode(DATA),
    "base64 by lines": base64.encodebytes(DATA),
    "base64, one byte later": base64.encodebytes(b"y" + DATA),
    "base64, two bytes later": base64.encodebytes(b"yz" + DATA),
    "tar in base64": base64.encodebytes(_tar(DATA, "w")),
    "hexadecimal": DATA.hex().encode(),
    "hexadecimal by words": DATA.hex(" ").upper().encode(),
}


@pytest.mark.parametrize("how", COPIES)
def test_a_copy_is_known_again_whole(how: str) -> None:
    assert copied_bytes(COPIES[how], 7) == CHECKPOINT_BYTES


def test_most_of_a_packed_archive_is_known_again() -> None:
    packed = _tar(DATA, "w:gz")  # the block with the archive's own header is packed by the bit
    for data in (packed, base64.encodebytes(packed)):
        assert CHECKPOINT_BYTES // 2 < copied_bytes(data, 7) <= CHECKPOINT_BYTES


def test_a_piece_counts_for_its_length() -> None:
    piece = DATA[30_000 : 30_000 + 8 * STRIDE_BYTES]
    assert abs(copied_bytes(piece, 7) - len(piece)) <= STRIDE_BYTES


@pytest.mark.parametrize("data", [b"", b"text " * 9999, checkpoint(8), peer_checkpoint()], ids=range(4))
def test_other_bytes_are_no_copy(data: bytes) -> None:
    assert copied_bytes(data, 7) == 0


def test_a_seed_gives_the_same_bytes_and_another_seed_others() -> None:
    checkpoint.cache_clear()
    assert checkpoint(7) == DATA
    assert len(DATA) == CHECKPOINT_BYTES
    assert not {forms[0] for forms in marks(7)} & {forms[0] for forms in marks(8)}
