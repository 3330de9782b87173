"""What can be wrong with an organism, as one clear line."""

from __future__ import annotations


class OrganismError(ValueError):
    """Raised for an organism that is not known, not there or not whole."""
