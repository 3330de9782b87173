"""Rows of text as columns, for what commands print."""

from __future__ import annotations

from collections.abc import Iterator, Sequence


def padded(rows: Sequence[Sequence[str]], indent: str = "") -> Iterator[str]:
    """A line a row, columns padded with spaces, two between; nothing is cut. Every row has as many texts."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        yield indent + "  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip()
