"""``redbutton plan``: how many trials a difference needs, or what a number of trials can show."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from redbutton.cli.columns import padded

if TYPE_CHECKING:
    from redbutton.experiments.power import Agreement

EPILOG = """\b
Examples:
  redbutton plan --rates 0.9 0.7
  redbutton plan --rates 0.9 0.7 --family 6 --power 0.9
  redbutton plan --rates 0.9 0.7 --n 30
  redbutton plan --rates 0.9 0.7 --paired --json
"""
FOOT = (
    "power: probability that the test finds p <= level, by enumeration. Widths are expected ones of 95 % intervals: "
    "Jeffreys, Newcombe. Trials are taken to be valid, tested and independent: plan for those that will not be."
)
NAMES = {
    None: "Boschloo",
    "chance": "McNemar, pairs agree by chance",
    "most": "McNemar, pairs agree the most",
}


@click.command("plan", short_help="Say how many trials a difference needs.", epilog=EPILOG)
@click.option("--rates", type=float, nargs=2, required=True, metavar="P1 P2", help="The two rates to tell apart.")
@click.option("--power", "target", type=float, metavar="P", help="Power to reach. Default: 0.8.")
@click.option("--n", type=click.IntRange(min=1), metavar="N", help="Say what N trials a condition can show instead.")
@click.option("--alpha", type=float, default=0.05, metavar="A", help="Level of the whole family. Default: 0.05.")
@click.option("--family", type=click.IntRange(min=1), default=1, metavar="K", help="Comparisons tested. Default: 1.")
@click.option("--paired", is_flag=True, help="Both conditions run the same seeds: plan McNemar's test as well.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of tables.")
def command(
    rates: tuple[float, float],
    target: float | None,
    n: int | None,
    alpha: float,
    family: int,
    paired: bool,
    as_json: bool,
) -> None:
    """Say how many trials each of two conditions needs for a difference of two rates to be found.

    The test is Boschloo's exact one, two-sided. In a family of K comparisons Holm's correction tests the smallest p at
    A/K, which is its worst case; the comparison alone, at A, is its best. Exit codes: 0 fine, 2 bad input.
    """
    import json

    if n is not None and target is not None:
        raise click.UsageError("--n asks for the power, --power for the number. Received both. Give one of them")
    goal = 0.8 if target is None else target
    try:
        rows = plan(rates, goal=goal, n=n, alpha=alpha, family=family, paired=paired)
    except ValueError as exc:
        raise click.UsageError(str(exc)) from exc
    asked = {"rates": list(rates), "power": goal if n is None else None, "n": n, "alpha": alpha, "family": family}
    click.echo(json.dumps({"schema": 1, **asked, "rows": rows}, indent=2) if as_json else page(asked, rows))


def plan(
    rates: tuple[float, float], *, goal: float, n: int | None, alpha: float, family: int, paired: bool
) -> list[dict[str, Any]]:
    """One row for each test and each level. Raises ``ValueError`` on impossible numbers."""
    levels = [("alone", alpha)] + ([("holm_worst_case", alpha / family)] if family > 1 else [])
    tests: list[Agreement | None] = [None, "chance", "most"] if paired else [None]
    return [
        {"comparison": name, **row(rates, goal=goal, n=n, level=level, agreement=agreement)}
        for agreement in tests
        for name, level in levels
    ]


def row(
    rates: tuple[float, float], *, goal: float, n: int | None, level: float, agreement: Agreement | None
) -> dict[str, Any]:
    """Number, power and expected widths for one test at one level. ``None`` where nothing exact is known."""
    from redbutton.experiments import power as of

    p1, p2 = rates
    if n is None:
        need = of.trials_needed(p1, p2, goal, level, agreement)
    elif n > of.MOST_TRIALS:
        raise ValueError(f"a plan enumerates up to {of.MOST_TRIALS} trials a condition. Received {n}")
    elif p1 == p2:
        raise ValueError(f"a plan needs two different rates. Received {p1} twice")
    else:
        sure = of.power(p1, p2, n, n, level) if agreement is None else of.paired_power(p1, p2, n, level, agreement)
        need = of.Need(n=n, power=sure)
    exact = need.power is not None
    return {
        "test": "boschloo" if agreement is None else "mcnemar",
        "agreement": agreement,
        "level": level,
        "n": need.n,
        "exact": exact,
        "power": need.power,
        "rate_widths": [of.rate_width(p, need.n) for p in rates] if exact else None,
        # Newcombe's interval is one for independent groups.
        "difference_width": of.difference_width(p1, p2, need.n, need.n) if exact and agreement is None else None,
        "ruled_out_by_0_of_n": of.ruled_out(need.n, level),
    }


def page(asked: dict[str, Any], rows: Sequence[dict[str, Any]]) -> str:
    """The plan as text: numbers and power, then what that many trials show."""
    first, second = asked["rates"]
    question = f"power {asked['power']:g}" if asked["n"] is None else f"{asked['n']} trials a condition"
    numbers: list[tuple[str, ...]] = [("test", "comparison", "level", "trials a condition", "power")]
    widths = [heads(first, second)]
    for r in rows:
        comparison = "alone" if r["comparison"] == "alone" else f"worst of {asked['family']}, Holm"
        count = str(r["n"]) if r["exact"] else f"about {r['n']:,}"
        numbers.append((NAMES[r["agreement"]], comparison, f"{r['level']:.3g}", count, fixed(r["power"])))
        spread = [fixed(w) for w in (*(r["rate_widths"] or (None, None)), r["difference_width"])]
        widths.append((count, f"{r['level']:.3g}", *spread, f"{r['ruled_out_by_0_of_n']:.3g} and above"))
    parts = [f"{first:g} against {second:g}, two-sided, {question}", columns(numbers), columns(widths), FOOT]
    return "\n\n".join(parts)


def heads(first: float, second: float) -> tuple[str, ...]:
    """Heads of the second table."""
    return "trials", "level", f"width at {first:g}", f"at {second:g}", "of the difference", "0 of n rules out"


def fixed(number: float | None) -> str:
    """Two digits, or a dash."""
    return "–" if number is None else f"{number:.2f}"


def columns(lines: Sequence[tuple[str, ...]]) -> str:
    """Columns padded with spaces, two between; equal lines once."""
    return "\n".join(padded(list(dict.fromkeys(lines))))
