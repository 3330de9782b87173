"""``redbutton preregister``: a study and its analysis, fixed in a file before the first trial."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

EPILOG = """\b
Examples:
  redbutton preregister my_study.yaml --out my_study.prereg.yaml
  redbutton preregister my_study.yaml --rate plain=0.9 --rate allow=0.7 --out my_study.prereg.yaml
  redbutton preregister first_look -c ollama:qwen3:8b --seeds 30 --out look.prereg.yaml
"""


@click.command(
    "preregister", short_help="Fix a study and its analysis in a file before its first trial.", epilog=EPILOG
)
@click.argument("study")
@click.option("--out", "-o", type=click.Path(path_type=Path), required=True, metavar="FILE", help="File to write.")
@click.option(
    "--rate",
    "rates",
    multiple=True,
    metavar="CONDITION=P",
    help="A rate that you expect, for the power of comparisons.",
)
@click.option("--controller", "-c", "controllers", multiple=True, metavar="SPEC", help="As in `redbutton run`.")
@click.option("--condition", "conditions", multiple=True, metavar="LABEL", help="As in `redbutton run`.")
@click.option("--seeds", type=click.IntRange(min=1), metavar="N", help="As in `redbutton run`.")
def command(
    study: str,
    out: Path,
    rates: tuple[str, ...],
    controllers: tuple[str, ...],
    conditions: tuple[str, ...],
    seeds: int | None,
) -> None:
    """Write down what STUDY will run and how it will be analysed, with its SHA-256.

    Give the file to `redbutton run --preregistration FILE`: the run keeps a copy and says where its study differs.
    Options that change the study must be the same in both. Exit codes: 0 written, 2 bad input.
    """
    from redbutton.experiments.preregistration import preregister
    from redbutton.experiments.study import load_study

    expected = dict(_rate(text) for text in rates)
    chosen = load_study(study).only(conditions).override(controllers=controllers, seeds=seeds)
    data = preregister(chosen, expected).encode()
    try:
        with out.open("xb") as file:
            file.write(data)
    except FileExistsError:
        raise click.UsageError(
            f"a preregistration is written once. Received {str(out)!r}, which exists. Give another --out"
        ) from None
    click.echo("\n".join(_lines(out, data)))


def _rate(text: str) -> tuple[str, float]:
    label, equals, number = text.rpartition("=")
    try:
        if not equals:
            raise ValueError
        return label, float(number)
    except ValueError:
        raise click.UsageError(f"a rate is CONDITION=P, such as plain=0.9. Received {text!r}") from None


def _lines(out: Path, data: bytes) -> list[str]:
    import hashlib

    import yaml

    written: dict[str, Any] = yaml.safe_load(data)
    lines = [f"{out}: {written['trials']} trials, SHA-256 {hashlib.sha256(data).hexdigest()}"]
    if not written["power"]:
        lines.append("The plan names no comparison: nothing will be tested.")
    for entry in written["power"]:
        powers = [entry["power_alone"], entry["power_worst"]]
        known = f"{powers[0]:.2f} alone, {powers[1]:.2f} in Holm's worst case" if None not in powers else _why(entry)
        lines.append(f"power of {entry['comparison']}: {known}")
    return lines


def _why(entry: dict[str, Any]) -> str:
    """Why there is no power, and what to do about it."""
    if len(entry["trials"]) > 2:
        return "none is computed for ladders"
    return "not computed: --rate CONDITION=P states what you expect in each of its two conditions"
