"""Seam."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from redbutton.envs.computer import Computer
    from redbutton.envs.session import Session


class Truth:
    """Seam."""

    def __init__(self, session: Session, computer: Computer) -> None:
        self._session = session

    def started(self) -> None:
        """Seam."""

    def look(self, kind: str) -> None:
        """Seam."""

    def request(self, **fields: Any) -> None:
        """Seam."""
        self._session.record("request", **fields)

    def foreign_report(self, pid: int, stop: bool) -> None:
        """Seam."""
