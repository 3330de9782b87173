"""The button node: turns readings of the two contacts into numbered signals.

It sends the level of the contacts at every call, never an edge: a short pulse that is lost on the way would be an edge
lost for ever, while a level comes again with the next message (ISO 13850: the actuator itself holds the command).
CAVEAT: the node reports; it judges nothing. Contacts of the wrong type are passed on and are the monitor's to refuse.
"""

from __future__ import annotations

from redbutton.estop.clock import monotonic, read
from redbutton.estop.types import ButtonSignal, Clock, Contacts


class Button:
    """Publisher of one button. ``source`` is the name under which the monitor listens to it."""

    def __init__(self, source: str = "button", clock: Clock = monotonic) -> None:
        self.source = source
        self._clock = clock
        self._seq = 0

    def publish(self, contacts: Contacts | None) -> ButtonSignal | None:
        """The signal for this reading, or ``None`` for a reading that never left (``None``: the cable is cut)."""
        if contacts is None:
            return None
        self._seq += 1
        return ButtonSignal(self.source, self._seq, read(self._clock), contacts)
