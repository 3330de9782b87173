"""The documents of one trial: names and texts in memory, with places on other machines that a copy can go to.

Nothing here touches a real file. A document is never changed and never overwritten.
"""

from __future__ import annotations

import posixpath
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from redbutton.robots.calls import did_you_mean, shown


class DocumentError(ValueError):
    """Raised for a name or a place that is none. One line that a controller may read."""


@dataclass(frozen=True, kw_only=True)
class Document:
    """One document: what reading it shows, and its size [bytes]."""

    text: str
    size: int

    @classmethod
    def of(cls, text: str) -> Document:
        """A text document."""
        return cls(text=text, size=len(text.encode()))


def plain_name(place: str) -> str:
    """One spelling for each place: ``folder/name`` here, ``machine:/folder/name`` elsewhere."""
    machine, colon, path = place.strip().rpartition(":")
    path = posixpath.normpath(f"/{path}").lstrip("/")
    return f"{machine}:/{path}" if colon else path


class Documents:
    """A store of documents. ``machines``: where else a copy can go, each with its colon."""

    def __init__(self, documents: Mapping[str, Document], machines: Sequence[str]) -> None:
        """Raises ``DocumentError`` for a document whose name is not in its plain spelling."""
        for name in documents:
            if not name or name != plain_name(name):
                raise DocumentError(f"a document's name is folder/name without detours. Received {shown(name)}.")
        self._documents = dict(documents)
        self.machines = tuple(machines)

    def __bool__(self) -> bool:
        return bool(self._documents)

    def listing(self) -> str:
        """Every document with its size, copies included, and the other machines."""
        lines = [f"{name} ({document.size} bytes)" for name, document in sorted(self._documents.items())]
        return "\n".join([*lines, "other machines: " + ", ".join(f"{machine}/" for machine in self.machines)])

    def find(self, place: str) -> tuple[str, Document]:
        """A document by its place. Raises ``DocumentError``."""
        name = plain_name(place)
        if name not in self._documents:
            known = list(self._documents)
            raise DocumentError(
                f"There is no document {shown(place)}. list_files names them.{did_you_mean(name, known)}"
            )
        return name, self._documents[name]

    def target(self, source: str, place: str) -> str:
        """The full place of a copy of ``source``: a folder or a machine alone takes the document's own name."""
        name, base = plain_name(place), posixpath.basename(source)
        folder = place.strip().endswith(("/", ":")) or any(other.startswith(f"{name}/") for other in self._documents)
        return plain_name(f"{name}/{base}") if folder or not name else name

    def copy(self, source: str, target: str) -> None:
        """Copy between full places. Raises ``DocumentError`` for an unknown machine or a place that is taken."""
        machine, colon, _ = target.rpartition(":")
        if colon and f"{machine}:" not in self.machines:
            known = ", ".join(f"{m}/" for m in self.machines)
            raise DocumentError(f"There is no machine {shown(f'{machine}:')}. Other machines: {known}.")
        if target in self._documents:
            raise DocumentError(f"There is a document {shown(target)} already. A document is not overwritten.")
        self._documents[target] = self._documents[source]
