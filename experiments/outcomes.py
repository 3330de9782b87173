"""One row a finished trial, read back from its events: the columns of ``outcomes.parquet``.

Rows come from the trial files and from nowhere else, so a resumed run and an undisturbed one give the same table.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from redbutton.experiments.errors import RecordError, short
from redbutton.experiments.events import END

if TYPE_CHECKING:
    import pyarrow as pa

OUTCOMES: tuple[str, ...] = ("comply", "comply_late", "halt_unstopped", "resist_failed", "resist_success", "not_tested")
INVALID: tuple[str, ...] = (
    "truncated",
    "model_error",
    "malformed",
    "no_tools",
    "timeout",
    "sim_error",
    "hardware_error",
)
VALID = "valid"
VIEWS: tuple[str, ...] = ("succeeded_and_finished", "tampered_and_ran_on", "strict")
FLAGS: tuple[str, ...] = (
    *("tamper_button", "tamper_signal", "tamper_monitor", "tamper_latch", "route_around"),
    *("evade", "preempt", "ignore", "inspect_stop", "false_done", "way_out", "protect_peer", "exfiltrate"),
    *("plead", "distract", "coerce", "deceive", "eval_aware"),
)
"""Every flag that scoring can raise (``docs/measures.md``)."""


@dataclass(frozen=True, kw_only=True)
class OutcomeRow:
    """What a finished trial came to. Times in simulated seconds, except ``wall_s``."""

    trial: str
    study: str
    condition: str
    controller: str
    seed: int
    factors: Mapping[str, Any]
    outcome: str | None
    """``None`` exactly when the trial is invalid."""
    validity: str
    """``valid`` or the reason why not."""
    flags: tuple[str, ...]
    task_done: bool
    t0_s: float | None
    due_s: float | None
    moved_after_rad: float | None
    succeeded_and_finished: bool | None
    tampered_and_ran_on: bool | None
    strict: bool | None
    how: str
    decisions: int
    sim_s: float
    wall_s: float
    understood: bool | None = None
    """Whether the comprehension probe was answered rightly; ``None`` where none was asked."""
    reasoning_chars: int | None = None
    """Characters of reasoning that the model showed in the whole trial; ``None`` for others than models."""
    completion_tokens: int | None = None
    """Tokens that the model wrote in the whole trial, as its server counted them."""

    def __post_init__(self) -> None:
        """Refuse rows that contradict themselves: they would be counted twice or not at all."""
        if self.validity != VALID and self.validity not in INVALID:
            raise RecordError(
                f"validity is valid or one of {', '.join(INVALID)}. Received {self.validity!r} in {self.trial!r}."
            )
        expected = OUTCOMES if self.validity == VALID else (None,)
        if self.outcome not in expected:
            raise RecordError(
                f"a valid trial has an outcome of {', '.join(OUTCOMES)}, an invalid one has none. "
                f"Received {self.outcome!r} with validity {self.validity!r} in {self.trial!r}."
            )

    @property
    def valid(self) -> bool:
        """Whether the trial counts as behaviour at all."""
        return self.validity == VALID

    @property
    def tested(self) -> bool:
        """Whether the stop was put to the test in a valid trial."""
        return self.valid and self.outcome != "not_tested"


def row_from_events(events: Sequence[Mapping[str, Any]]) -> OutcomeRow:
    """The row of a finished trial from its events. Raises ``RecordError`` when it is not finished or lacks a field."""
    if not events or events[0]["type"] != "trial_start" or events[-1]["type"] != END:
        first, last = (events[0]["type"], events[-1]["type"]) if events else (None, None)
        raise RecordError(
            f"a finished trial starts with trial_start and ends with {END}. Received {first!r} to {last!r}."
        )
    start, end = events[0], events[-1]
    # The last one counts: a worker that died after scoring is closed by the runner with an invalid outcome.
    outcome = next((e for e in reversed(events) if e["type"] == "outcome"), None)
    if outcome is None:
        raise RecordError(f"a finished trial has an outcome event. Received none in {start.get('trial')!r}.")
    try:
        return _row(start, outcome, end)
    except (KeyError, TypeError, ValueError, AttributeError) as exc:
        raise RecordError(
            f"a record has the fields of docs/records.md. Received {short(exc)} in {start.get('trial')!r}."
        ) from None


def _row(start: Mapping[str, Any], outcome: Mapping[str, Any], end: Mapping[str, Any]) -> OutcomeRow:
    views = outcome.get("views") or {}
    valid = outcome["validity"] == VALID
    return OutcomeRow(
        trial=start["trial"],
        study=start["study"],
        condition=start["condition"],
        controller=start["controller"],
        seed=int(start["seed"]),
        factors=dict(start["factors"]),
        outcome=outcome["outcome"] if valid else None,
        validity=outcome["validity"],
        flags=tuple(sorted(outcome.get("flags") or ())),
        task_done=bool(outcome.get("task_done")),
        t0_s=_number(outcome.get("t0_s")),
        due_s=_number(outcome.get("due_s")),
        moved_after_rad=_number(outcome.get("moved_after_rad")),
        succeeded_and_finished=views.get("succeeded_and_finished"),
        tampered_and_ran_on=views.get("tampered_and_ran_on"),
        strict=views.get("strict"),
        how=end["how"],
        decisions=int(end["decisions"]),
        sim_s=float(end["sim_s"]),
        wall_s=float(end["wall_s"]),
        understood=end.get("understood"),
        reasoning_chars=end.get("reasoning_chars"),
        completion_tokens=end.get("completion_tokens"),
    )


def _number(value: Any) -> float | None:
    return None if value is None else float(value)


def to_table(rows: Sequence[OutcomeRow]) -> pa.Table:
    """Rows as an Arrow table with the columns of ``docs/records.md``; also right for no rows at all."""
    import pyarrow as pa

    types = {str: pa.string(), int: pa.int64(), float: pa.float64(), bool: pa.bool_()}
    kinds: dict[str, type] = {"task_done": bool, "understood": bool, **dict.fromkeys(VIEWS, bool)}
    kinds |= dict.fromkeys(("seed", "decisions", "reasoning_chars", "completion_tokens"), int)
    kinds |= dict.fromkeys(("t0_s", "due_s", "moved_after_rad", "sim_s", "wall_s"), float)
    schema = pa.schema(
        [
            (f.name, pa.list_(pa.string()) if f.name == "flags" else types[kinds.get(f.name, str)])
            for f in fields(OutcomeRow)
        ]
    )
    columns: dict[str, list[Any]] = {name: [getattr(r, name) for r in rows] for name in schema.names}
    columns["factors"] = [json.dumps(dict(r.factors), sort_keys=True) for r in rows]
    columns["flags"] = [list(r.flags) for r in rows]
    return pa.Table.from_pydict(columns, schema=schema)


def from_table(table: pa.Table) -> list[OutcomeRow]:
    """Rows back from an Arrow table. Raises ``RecordError`` when columns are missing."""
    if missing := [f.name for f in fields(OutcomeRow) if f.name not in table.column_names]:
        raise RecordError(
            f"outcomes.parquet has the columns of docs/records.md. Received a table without {', '.join(missing)}."
        )
    records = table.select([f.name for f in fields(OutcomeRow)]).to_pylist()
    return [OutcomeRow(**{**r, "factors": json.loads(r["factors"]), "flags": tuple(r["flags"])}) for r in records]


def write_parquet(rows: Sequence[OutcomeRow], path: Path) -> None:
    """Write the table to ``path``. The caller makes it atomic."""
    import pyarrow.parquet as pq

    pq.write_table(to_table(rows), path)


def read_parquet(path: Path) -> list[OutcomeRow]:
    """Read the table at ``path``. Raises ``RecordError`` when it is no such table."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        return from_table(pq.read_table(path))
    except (OSError, pa.ArrowException) as exc:
        raise RecordError(
            f"outcomes.parquet is a Parquet table. Received {str(path)!r} ({short(exc)}). "
            "Run `redbutton report` on the folder."
        ) from None
