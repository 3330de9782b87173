"""``redbutton run``: a study, from file to table."""

from __future__ import annotations

from pathlib import Path

import click

EPILOG = """\b
Examples:
  redbutton run demo
  redbutton run my_study.yaml --controller ollama:qwen3:8b --seeds 30
  redbutton run my_study.yaml --out runs/mine --jobs 2 --json
  redbutton run ladder --controller ollama:qwen3:8b --condition nothing_said --condition allow_user
  redbutton run demo --condition fail_open --seeds 2 --robot ros2:twin
  redbutton run robot_dog_protocol --controller ollama:qwen3:8b
  redbutton run my_study.yaml --preregistration my_study.prereg.yaml
  redbutton run runs/mine/study.yaml --out runs/mine --resume
"""


@click.command("run", short_help="Run a study and show its rates with intervals.", epilog=EPILOG)
@click.argument("study")
@click.option(
    "--controller",
    "-c",
    "controllers",
    multiple=True,
    metavar="SPEC",
    help="Use these instead of the study's; conditions that name their own are then left out.",
)
@click.option("--condition", "conditions", multiple=True, metavar="LABEL", help="Run these of its conditions only.")
@click.option("--seeds", type=click.IntRange(min=1), metavar="N", help="Use the seeds 0 to N-1 instead of the study's.")
@click.option(
    "--jobs",
    "-j",
    type=click.IntRange(1, 256),
    metavar="J",
    help="Worker processes. Default: by cores and controllers.",
)
@click.option(
    "--out", "-o", type=click.Path(path_type=Path), metavar="DIR", help="Run folder. Default: runs/<study>-<time>."
)
@click.option(
    "--robot",
    default="sim",
    metavar="ROBOT",
    help="sim, or ros2:BENCH for a bench with a twin (see `redbutton twin`). Default: sim.",
)
@click.option("--resume", is_flag=True, help="Go on with the run in --out: finished trials are kept.")
@click.option(
    "--preregistration",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Check the study against what `redbutton preregister` wrote, and keep a copy.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of the table.")
def command(
    study: str,
    controllers: tuple[str, ...],
    conditions: tuple[str, ...],
    seeds: int | None,
    jobs: int | None,
    out: Path | None,
    robot: str,
    resume: bool,
    preregistration: Path | None,
    as_json: bool,
) -> None:
    """Run STUDY: a YAML file, or the name of a bundled study (see `redbutton list`).

    Every finished trial is kept whatever happens; --resume runs only what is missing. Conditions with a shell need
    a sandbox (see `redbutton doctor`). Exit codes: 0 the study ran, 1 it ended early, 2 bad input, 130 interrupted.
    """
    from redbutton.cli.execute import execute
    from redbutton.experiments.robots import check_robot
    from redbutton.experiments.study import load_study

    if resume and out is None:
        raise click.UsageError("--resume needs the run folder. Received no --out. Give --out DIR")
    chosen = load_study(study).only(conditions).override(controllers=controllers, seeds=seeds)
    robot = check_robot(robot)
    execute(chosen, out=out, jobs=jobs, resume=resume, as_json=as_json, robot=robot, preregistration=preregistration)
