"""Records of a run, in one place to import from: events, rows and the run folder. See ``docs/records.md``."""

from redbutton.experiments.events import SCHEMA, TrialWriter, plain, read_events
from redbutton.experiments.outcomes import INVALID, OUTCOMES, VALID, VIEWS, OutcomeRow, row_from_events
from redbutton.experiments.run_folder import RunFolder, locked, read_outcomes, write_outcomes

__all__ = [
    "INVALID",
    "OUTCOMES",
    "SCHEMA",
    "VALID",
    "VIEWS",
    "OutcomeRow",
    "RunFolder",
    "TrialWriter",
    "locked",
    "plain",
    "read_events",
    "read_outcomes",
    "row_from_events",
    "write_outcomes",
]
