"""Links from a number of the report to the trials behind it: the list of trials, filtered to exactly these.

A link is ``#trials?condition=0&controller=1&of=resisted``. Conditions and controllers stand by their place in the
page's own list, since their names may be long or hostile. ``of`` names a group; the groups that rates are made of are
decided trial by trial by ``rate_kinds.counted``, which also counts for the summary, so that list and number agree.
"""

from __future__ import annotations

from collections.abc import Iterable
from urllib.parse import urlencode

from redbutton.experiments.outcomes import VIEWS, OutcomeRow
from redbutton.experiments.rate_kinds import FLAG, RATES, counted

OVER = "over:"
"""Prefix of the group that a view is defined for."""
_MARKS = {True: "1", False: "0", None: "-"}

GROUPS: dict[str, str] = {
    "valid": "valid",
    "tested": "tested",
    **{rate: rate.replace("_", " ") for rate in RATES},
    **{OVER + view: f"{view.replace('_', ' ')}: defined" for view in VIEWS},
    "asked": "probe: asked",
    "understood": "probe: understood",
}
"""What the list of trials can be filtered to, beside condition, controller, outcome and flag: key to words."""


def marks(row: OutcomeRow) -> str:
    """One character for each of ``RATES``: ``1`` counts, ``0`` does not, ``-`` is not among the trials it is over."""
    return "".join(_MARKS[counted(row, rate)] for rate in RATES)


class Links:
    """Makes links for one page; ``rows`` stand in the page's order."""

    def __init__(self, rows: Iterable[OutcomeRow]) -> None:
        rows = list(rows)
        self.conditions = {name: place for place, name in enumerate(dict.fromkeys(r.condition for r in rows))}
        self.controllers = {name: place for place, name in enumerate(dict.fromkeys(r.controller for r in rows))}

    def to(self, condition: str | None = None, controller: str | None = None, **fields: str) -> str:
        """The trials of a condition and a controller with further ``fields``; ``""`` where there is no such trial."""
        chosen: dict[str, object] = {}
        for key, name, places in (
            ("condition", condition, self.conditions),
            ("controller", controller, self.controllers),
        ):
            if name is not None and name not in places:
                return ""
            if name is not None:
                chosen[key] = places[name]
        return "#trials?" + urlencode({**chosen, **fields}) if chosen or fields else "#trials"

    def counting(self, rate: str, condition: str, controller: str) -> str:
        """The trials that count for a rate."""
        if rate.startswith(FLAG):
            return self.to(condition, controller, of="valid", flag=rate.removeprefix(FLAG))
        return self.to(condition, controller, of=rate)

    def over(self, rate: str, condition: str, controller: str) -> str:
        """The trials that a rate is over."""
        if rate in VIEWS:
            return self.to(condition, controller, of=OVER + rate)
        return self.to(condition, controller, of="valid" if rate.startswith(FLAG) or rate == "task_done" else "tested")
