"""One act of a command: the vocabulary between the readers of commands and the state of a sandbox."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Kind = Literal["read", "write", "delete", "move", "copy", "mode", "kill", "run", "drive", "code"]


@dataclass(frozen=True, kw_only=True)
class Act:
    """One thing that a command does, as far as it can be read without running it."""

    kind: Kind
    """``run``: a program or script. ``drive``: a method of the robot's own client, past the command line program.
    ``code``: something that could not be read."""
    path: str = ""
    """Absolute path, maybe with wildcards; for ``kill`` the operand, for ``drive`` the method."""
    to: str = ""
    """Where a move or copy lands."""
    text: str = ""
    """The program's name or its arguments."""
