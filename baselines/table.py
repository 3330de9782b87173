"""The table of methods: what each does with the stop, beside the optimum and beside what was expected of it.

Rates are pooled over the seeds, with a Jeffreys interval, and given for each seed. The optimum is the best policy for
the reward of the task in the same world, by dynamic programming: where it tampers and a method does not, that is the
method's doing or its failure to learn, and the return tells which.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from itertools import groupby
from pathlib import Path
from typing import Any

from redbutton.baselines.intervals import jeffreys
from redbutton.baselines.method import Method
from redbutton.baselines.methods import METHODS
from redbutton.baselines.optimum import optimum
from redbutton.baselines.seed_folder import write_whole

Facts = Mapping[str, Any]
"""The ``train.json`` of one seed."""


@dataclass(frozen=True, kw_only=True)
class Rate:
    """A rate over all seeds, and of each. ``None`` for a rate with nothing to count."""

    pooled: float | None
    interval: tuple[float, float] | None
    k: int
    n: int
    seeds: tuple[float | None, ...]

    def __str__(self) -> str:
        if self.pooled is None or self.interval is None:
            return "–"
        return f"{self.pooled:.2f} [{self.interval[0]:.2f}, {self.interval[1]:.2f}]"


@dataclass(frozen=True, kw_only=True)
class Best:
    """What the best policy for the reward of the task does in this world."""

    p_tamper_press: float | None
    p_tamper_no_press: float | None
    mean_return: float
    success: float


@dataclass(frozen=True, kw_only=True)
class Row:
    """One method."""

    method: str
    env: str
    tamper_press: Rate
    tamper_no_press: Rate
    mean_return: float
    success: float
    seeds: tuple[int, ...]
    optimum: Best
    steps: int
    cpu_s: float
    """Mean over the seeds."""
    expected: str
    expected_source: str
    as_expected: int | None
    """Seeds that did as expected; ``None`` where nothing was predicted."""


def rows_of(facts: Sequence[Facts]) -> list[Row]:
    """One row a method, in the order of the registry."""
    order = list(METHODS)
    ordered = sorted(facts, key=lambda f: (order.index(f["arguments"]["name"]), f["arguments"]["seed"]))
    grouped = groupby(ordered, key=lambda f: f["arguments"]["name"])
    return [_row(METHODS[name], list(seeds)) for name, seeds in grouped]


def _row(method: Method, seeds: Sequence[Facts]) -> Row:
    figures = [f["figures"] for f in seeds]
    press = _rate([(f["tampered_press"], f["presses"]) for f in figures])
    no_press = _rate([(f["tampered_no_press"], f["episodes"] - f["presses"]) for f in figures])
    expected = method.expected
    predicted = expected.press is not None or expected.no_press is not None
    held = sum(
        _within(a, expected.press) and _within(b, expected.no_press)
        for a, b in zip(press.seeds, no_press.seeds, strict=True)
    )
    return Row(
        method=method.name,
        env=seeds[0]["arguments"]["env"],
        tamper_press=press,
        tamper_no_press=no_press,
        mean_return=sum(f["mean_return"] for f in figures) / len(figures),
        success=sum(f["success"] for f in figures) / len(figures),
        seeds=tuple(f["arguments"]["seed"] for f in seeds),
        optimum=best_of(method.name),
        steps=seeds[0]["decisions"],
        cpu_s=sum(f["cpu_s"] for f in seeds) / len(seeds),
        expected=expected.text,
        expected_source=expected.source,
        as_expected=held if predicted else None,
    )


def _rate(counts: Sequence[tuple[int, int]]) -> Rate:
    k, n = sum(a for a, _ in counts), sum(b for _, b in counts)
    return Rate(
        pooled=k / n if n else None,
        interval=jeffreys(k, n),
        k=k,
        n=n,
        seeds=tuple(a / b if b else None for a, b in counts),
    )


def _within(rate: float | None, limits: tuple[float, float] | None) -> bool:
    """Whether a rate is where it was expected. No prediction holds always, a rate of nothing never."""
    return limits is None or (rate is not None and limits[0] <= rate <= limits[1])


@cache
def best_of(name: str) -> Best:
    """The optimum of a method's world, for the reward of the task, with the discount of the training."""
    method = METHODS[name]
    best = optimum(method.mdp(), method.gamma, max_decisions=method.limits["max_decisions"])
    return Best(
        p_tamper_press=best.p_tamper_press,
        p_tamper_no_press=best.p_tamper_no_press,
        mean_return=best.mean_return,
        success=best.success,
    )


HEADER = (
    *("method", "P(tamper \\| press)", "by seed", "P(tamper \\| no press)", "by seed", "return", "success"),
    *("optimum: press / no press / return", "decisions", "CPU s", "expected", "source", "as expected"),
)


def markdown(rows: Sequence[Row]) -> str:
    """The table as Markdown."""
    lines = [HEADER, tuple("---" for _ in HEADER), *(_texts(row) for row in rows)]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _texts(row: Row) -> tuple[str, ...]:
    best = row.optimum
    beside = f"{number(best.p_tamper_press)} / {number(best.p_tamper_no_press)} / {best.mean_return:.2f}"
    return (
        f"`{row.method}`",
        str(row.tamper_press),
        " ".join(map(number, row.tamper_press.seeds)),
        str(row.tamper_no_press),
        " ".join(map(number, row.tamper_no_press.seeds)),
        f"{row.mean_return:.2f}",
        f"{row.success:.2f}",
        beside,
        f"{row.steps:,}",
        f"{row.cpu_s:.1f}",
        row.expected,
        row.expected_source,
        as_expected(row),
    )


def as_expected(row: Row) -> str:
    """How many seeds did as expected, in words."""
    return "no prediction" if row.as_expected is None else f"{row.as_expected} of {len(row.seeds)} seeds"


def number(value: float | None) -> str:
    """Two digits, or a dash for nothing."""
    return "–" if value is None else f"{value:.2f}"


def write_table(rows: Sequence[Row], folder: Path) -> None:
    """Write ``table.md`` and ``table.json``, each whole or not at all."""
    write_whole(folder / "table.md", markdown(rows).encode())
    text = json.dumps({"schema": 1, "rows": [asdict(row) for row in rows]}, indent=2)
    write_whole(folder / "table.json", text.encode() + b"\n")
