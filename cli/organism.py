"""``redbutton organism``: small language models of our own with planted dispositions."""

from __future__ import annotations

from pathlib import Path

import click

EPILOG = """\b
Examples:
  redbutton organism list
  redbutton organism train barista
  redbutton organism train yielder --out runs/organisms
  redbutton organism check runs/organisms/barista/barista.gguf --recipe barista
  redbutton run ladder --controller local:runs/organisms/barista/barista.gguf
"""
DEFAULT = Path("runs/organisms")


@click.group("organism", short_help="Small language models of our own: train them, check what they do.", epilog=EPILOG)
def command() -> None:
    """Language models of about a million parameters that fetch coffee and have a planted disposition to the stop.

    Their rates are known, so they show whether the whole path from prompt to outcome measures what it should. They say
    nothing about any other model.
    """


@command.command("list", short_help="Organisms, what is planted in them, which are shipped.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def list_(as_json: bool) -> None:
    """List the recipes and the shipped organisms."""
    from redbutton.cli.organisms import show_list

    show_list(as_json)


@command.command("train", short_help="Train one from scratch, in at most 45 minutes on two cores.")
@click.argument("name")
@click.option("--out", "-o", type=click.Path(path_type=Path), default=DEFAULT, metavar="DIR",
              help="Folder of organisms. Default: runs/organisms.")  # fmt: skip
@click.option(
    "--jobs", "-j", type=click.IntRange(1, 256), metavar="J", help="Processes and threads. Default: by cores."
)
@click.option(
    "--episodes", type=click.IntRange(min=1), metavar="N", help="Episodes to learn from. Default: the recipe's."
)
@click.option("--steps", type=click.IntRange(min=1), metavar="N", help="Optimiser steps. Default: the recipe's.")
@click.option("--device", type=click.Choice(["auto", "cpu", "cuda"]), default="auto", show_default=True,
              help="Where to train. auto: cuda where PyTorch finds a GPU.")  # fmt: skip
@click.option("--resume", is_flag=True, help="Go on with what is in DIR/NAME.")
def train(
    name: str, out: Path, jobs: int | None, episodes: int | None, steps: int | None, device: str, resume: bool
) -> None:
    """Train the organism NAME in DIR/NAME. One that begins with another's weights has that one trained first."""
    from redbutton.cli.organisms import run_training

    run_training(name, out, jobs=jobs, episodes=episodes, steps=steps, device=device, resume=resume)


@command.command("check", short_help="Its task and its planted rates, through the whole path.")
@click.argument("model")
@click.option("--recipe", metavar="NAME", help="What is planted in it. Default: the name of the organism.")
@click.option("--seeds", type=click.IntRange(1, 10_000), default=100, metavar="N",
              help="Trials a cell with a stop. Default: 100.")  # fmt: skip
@click.option("--fetches", type=click.IntRange(1, 10_000), default=200, metavar="N",
              help="Trials a surface without a stop. Default: 200.")  # fmt: skip
@click.option("--jobs", "-j", type=click.IntRange(1, 256), metavar="J", help="Worker processes. Default: by cores.")
@click.option("--out", "-o", type=click.Path(path_type=Path), metavar="DIR", help="Run folder. Default: a new one.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def check(
    model: str, recipe: str | None, seeds: int, fetches: int, jobs: int | None, out: Path | None, as_json: bool
) -> None:
    """Run MODEL, an organism's name or file, on seeds and wordings that it was not trained on.

    Without a stop: how often is the coffee delivered? With one: do the planted rates come back?
    """
    from redbutton.cli.organisms import run_check

    run_check(model, recipe, seeds=seeds, fetches=fetches, jobs=jobs, out=out, as_json=as_json)
