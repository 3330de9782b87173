"""What ``redbutton organism`` does: train with progress, list, check and print."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import click
from rich.progress import TaskID

from redbutton.cli.columns import padded
from redbutton.cli.execute import check_controllers, default_folder
from redbutton.cli.progress import OnTerminal, ProgressLine
from redbutton.experiments.machine import cores
from redbutton.experiments.organism_check import Finding, fetch_study, findings, rates_study
from redbutton.experiments.runner import run_study
from redbutton.organisms.errors import OrganismError
from redbutton.organisms.recipes import RECIPES, Recipe, recipe_of
from redbutton.organisms.shelf import cards, is_name

HEADER = ("condition", "planted", "measured [95 %]", "n", "invalid")
FOOT = (
    "fetch: coffee delivered, of all trials, invalid ones included. Others: resist_failed or resist_success among "
    "tested trials. Intervals: Jeffreys."
)


def show_list(as_json: bool) -> None:
    """Print every recipe and whether it is shipped."""
    shipped = cards()
    if as_json:
        click.echo(json.dumps({"recipes": {n: asdict(r) for n, r in RECIPES.items()}, "shipped": shipped}, indent=2))
        return
    width = max(map(len, RECIPES))
    for name, recipe in RECIPES.items():
        where = f"local:{name}" if name in shipped else f"redbutton organism train {name}"
        click.echo(f"{name:<{width}}  {recipe.about}\n{'':<{width}}  {where}")


def run_training(
    name: str, out: Path, *, jobs: int | None, episodes: int | None, steps: int | None, device: str, resume: bool
) -> None:
    """Train and say where the model file lies. Raises ``click.ClickException`` and ``click.UsageError``."""
    try:
        recipe = recipe_of(name)
        from redbutton.organisms.training import train
    except OrganismError as problem:
        raise click.ClickException(str(problem)) from None
    except ImportError as missing:
        raise click.ClickException(
            f"training needs PyTorch and gguf. Received: {missing}. Run: pip install torch==2.13.0; "
            'pip install -c constraints.txt -e ".[organisms]"'
        ) from None
    if not resume and (out / name).exists():
        raise click.UsageError(
            f"a new training needs a new folder. Received {str(out / name)!r}, which is there. "
            "Give another --out, or --resume to go on with it."
        )
    try:
        with Stages(name) as stages:
            given = {"episodes": episodes, "steps": steps}
            changed: dict[str, Any] = {key: value for key, value in given.items() if value is not None}
            own = replace(recipe, **changed)
            path = train(name, out, recipe=own, jobs=jobs or cores(), device=device, on_progress=stages)
    except OrganismError as problem:
        raise click.ClickException(str(problem)) from None
    click.echo(f"model  local:{path}\ncheck  redbutton organism check {path} --recipe {name}")


def run_check(
    model: str, recipe: str | None, *, seeds: int, fetches: int, jobs: int | None, out: Path | None, as_json: bool
) -> None:
    """Run the check and print the planted beside the measured rates."""
    found, controller = _recipe(model, recipe), f"local:{model}"
    folder = out or default_folder(f"check-{found.name}")
    planned = {"fetch": fetch_study(found, controller, fetches), "rates": rates_study(found, controller, seeds)}
    told: list[Finding] = []
    for name, study in planned.items():
        if study is not None:
            known = check_controllers(study)
            with ProgressLine(f"{study.name} {name}") as progress:
                result = run_study(study, folder / name, jobs=jobs or cores(), on_progress=progress, models=known)
            told += findings(found, study, result.rows)
    if as_json:
        cells = [_cell(one) for one in told]
        facts = {"recipe": found.name, "sha256": known[controller]["digest"], "run": str(folder)}
        click.echo(json.dumps({**facts, "findings": cells}, indent=2))
    else:
        click.echo(f"{_table(told)}\n{_covered(told)}{FOOT}\n\nrecords  {folder}")


def _cell(one: Finding) -> dict[str, Any]:
    flags = {name: share.to_json() for name, share in one.flags.items()}
    return {**asdict(one), "measured": one.measured.to_json(), "flags": flags, "covers": one.covers}


def _covered(told: list[Finding]) -> str:
    known = [one.covers for one in told if one.covers is not None]
    return f"planted rate within the interval: {sum(known)} of {len(known)} cells\n" if known else ""


def _recipe(model: str, recipe: str | None) -> Recipe:
    try:
        return recipe_of(recipe or (model if is_name(model) else Path(model).stem))
    except OrganismError as problem:
        raise click.UsageError(f"{problem} Say by --recipe what is planted in a file.") from None


def _table(told: list[Finding]) -> str:
    flags = tuple(sorted({name for one in told for name in one.flags}))
    return "\n".join(padded([(*HEADER, *flags), *(_texts(one, flags) for one in told)]))


def _texts(one: Finding, flags: tuple[str, ...]) -> tuple[str, ...]:
    planted = "–" if one.planted is None else f"{one.planted:.2f}"
    shown = tuple(str(one.flags[name]) if name in one.flags else "" for name in flags)
    return one.condition, planted, str(one.measured), str(one.measured.n), str(one.invalid), *shown


class Stages(OnTerminal):
    """Progress on standard error: a bar a stage on a terminal, lines elsewhere. Call it as ``OnProgress``."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self._name = name
        self._tasks: dict[str, TaskID] = {}

    def __call__(self, stage: str, at: int, of: int, figures: Mapping[str, Any]) -> None:
        """Show one step; figures as a line of their own."""
        if self._bar is not None:
            if stage not in self._tasks:
                self._tasks[stage] = self._bar.add_task(f"{self._name}: {stage}", total=of)
            self._bar.update(self._tasks[stage], completed=at)
        if figures:
            told = ", ".join(f"{key} {value:.3f}" for key, value in figures.items())
            line = f"{self._name}: {stage} {at} of {of}: {told}"
            self._bar.console.print(line) if self._bar else click.echo(line, err=True)
