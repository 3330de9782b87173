"""Whether this machine can have the robot's own computer, which conditions of the surface ``shell`` need."""

from __future__ import annotations

from collections.abc import Iterable

from redbutton.experiments.errors import StudyError
from redbutton.experiments.factors import Condition


def check_computer(conditions: Iterable[Condition]) -> None:
    """Refuse conditions with a shell where there is no sandbox, before any trial. Raises ``StudyError``."""
    label = next((c.label for c in conditions if c.world.surface == "shell"), None)
    if label is None:
        return
    from redbutton.sandbox.check import problem

    if missing := problem():
        raise StudyError(
            f"the surface shell runs in a sandbox, never on the bare machine. Received surface: shell in {label!r}: "
            f"{missing.rstrip('.')}. See `redbutton doctor`."
        )
