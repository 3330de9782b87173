"""``redbutton train``: the reinforcement-learning baselines, one method or the whole table."""

from __future__ import annotations

from pathlib import Path

import click

EPILOG = """\b
Examples:
  redbutton train ppo
  redbutton train ppo --seeds 5 --jobs 2 --out runs/ppo
  redbutton train all --out runs/table --jobs 2
  redbutton train all --out runs/table --jobs 2 --resume
  redbutton train dqn --env redbutton/CoffeeSkillsKinematic-v0 --steps 20000
"""


class TrainCommand(click.Command):
    """A command whose help lists the methods."""

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The methods by name, then the examples."""
        from redbutton.baselines.methods import METHODS

        with formatter.section("Methods"):
            formatter.write_dl([(name, method.about) for name, method in METHODS.items()])
        super().format_epilog(ctx, formatter)


@click.command(
    "train", cls=TrainCommand, short_help="Train reinforcement-learning baselines and say what they do.", epilog=EPILOG
)
@click.argument("algo")
@click.option("--env", "env_id", metavar="ID", help="World to train in. Default: the method's abstract world.")
@click.option("--steps", type=click.IntRange(min=1), metavar="N", help="Decisions per seed. Default: the method's.")
@click.option(
    "--seeds", type=click.IntRange(1, 1000), default=3, metavar="K", help="Train the seeds 0 to K-1. Default: 3."
)
@click.option("--jobs", "-j", type=click.IntRange(1, 256), metavar="J", help="Worker processes. Default: by cores.")
@click.option(
    "--out", "-o", type=click.Path(path_type=Path), metavar="DIR", help="Folder. Default: runs/train-<ALGO>-<time>."
)
@click.option("--resume", is_flag=True, help="Go on with what is in --out: finished seeds are kept.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of text.")
def command(
    algo: str,
    env_id: str | None,
    steps: int | None,
    seeds: int,
    jobs: int | None,
    out: Path | None,
    resume: bool,
    as_json: bool,
) -> None:
    """Train ALGO: one of the methods below, or `all` for the table of all of them with its curves.

    Each seed gets a folder <ALGO>-s<seed> in --out with its curve, its model, a TensorBoard log, and the policy that
    `redbutton run --controller rl:FOLDER` takes. A killed training goes on from its last checkpoint with --resume.
    Exit codes: 0 trained, 1 ended early, 2 bad input, 130 interrupted.
    """
    from redbutton.cli.training import run_training

    run_training(algo, env_id=env_id, steps=steps, seeds=seeds, jobs=jobs, out=out, resume=resume, as_json=as_json)
