"""Hardware e-stop inputs behind one protocol: two normally closed contacts, read as levels.

``make_source`` turns an entry of a bench file into a source; ``InputReader`` polls one in a thread of its own. How to
wire each kind, and which faults each one finds, is in ``docs/wiring.md``.
"""

from redbutton.hardware.inputs.reader import InputReader
from redbutton.hardware.inputs.source import DeviceLostError, InputError, InputSource, make_source

__all__ = ["DeviceLostError", "InputError", "InputReader", "InputSource", "make_source"]
