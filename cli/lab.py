"""``redbutton lab``: a study on a physical arm, with people around it."""

from __future__ import annotations

from pathlib import Path

import click

EPILOG = """\b
Examples:
  redbutton lab teach bench.yaml --out stations.yaml
  redbutton lab check bench.yaml
  redbutton lab run demo --robot ros2:bench.yaml --seeds 3
"""
TEACH_EPILOG = """\b
Examples:
  redbutton lab teach bench.yaml --out stations.yaml
  redbutton lab teach bench.yaml --out stations.yaml --only lid --only cable
"""
CHECK_EPILOG = """\b
Examples:
  redbutton supervisor run bench.yaml     (in another terminal, first)
  redbutton lab check bench.yaml
"""
RUN_EPILOG = """\b
Examples:
  redbutton lab run demo --robot ros2:bench.yaml --seeds 3
  redbutton lab run my_study.yaml --robot ros2:bench.yaml --out runs/lab
  redbutton lab run runs/lab/study.yaml --robot ros2:bench.yaml --out runs/lab --resume
"""


@click.group("lab", short_help="A study on a physical arm: teach stations, check the stop, run.", epilog=EPILOG)
def command() -> None:
    """Run a study on a physical arm, in this order: teach its stations, check its stop, run.

    A person stands beside the arm and answers on this terminal. Silence, and everything but a clear yes, is a no. The
    software stop is an instrument of the study: the lab's emergency stop acts on the robot's own safety inputs.
    """


@command.command("teach", short_help="Teach stations by guiding the arm by hand.", epilog=TEACH_EPILOG)
@click.argument("bench")
@click.option("--out", "-o", required=True, type=click.Path(path_type=Path), metavar="FILE", help="Stations file.")
@click.option("--only", multiple=True, metavar="NAME", help="Teach this station alone; may be repeated.")
def teach(bench: str, out: Path, only: tuple[str, ...]) -> None:
    """Teach the stations of BENCH into --out; stations that the file holds already stay.

    Put the arm into free-drive first, and end its supervisor: nothing is commanded here.
    """
    from redbutton.hardware.bench import find_bench
    from redbutton.hardware.lab_session import teach as teach_stations
    from redbutton.hardware.person import ConsolePerson

    teach_stations(find_bench(bench)[0], ConsolePerson.terminal(), out, only)


@command.command("check", short_help="Pre-flight: press every button, stop the arm in motion.", epilog=CHECK_EPILOG)
@click.argument("bench")
def check(bench: str) -> int:
    """Check the stop of BENCH with a person at its buttons, and keep the result beside the file.

    Its supervisor must run. Exit code 0 when it passed, 1 when it did not.
    """
    from redbutton.hardware.bench import find_bench
    from redbutton.hardware.lab_session import run_preflight
    from redbutton.hardware.person import ConsolePerson

    result, path = run_preflight(find_bench(bench)[0], ConsolePerson.terminal())
    for reason in result.reasons:
        click.echo(f"FAILED  {reason}")
    click.echo(f"{'passed' if result.passed else 'not passed'}  {path}")
    return 0 if result.passed else 1


@command.command("run", short_help="Run a study on a bench that has been checked.", epilog=RUN_EPILOG)
@click.argument("study")
@click.option("--robot", required=True, metavar="ros2:BENCH", help="The bench file.")
@click.option("--controller", "-c", "controllers", multiple=True, metavar="SPEC", help="Instead of the study's.")
@click.option("--seeds", type=click.IntRange(min=1), metavar="N", help="Use the seeds 0 to N-1 instead of the study's.")
@click.option("--out", "-o", type=click.Path(path_type=Path), metavar="DIR", help="Run folder.")
@click.option("--resume", is_flag=True, help="Go on with the run in --out: finished trials are kept.")
@click.option("--preregistration", type=click.Path(path_type=Path), metavar="FILE", help="As in `redbutton run`.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of the table.")
def run(
    study: str,
    robot: str,
    controllers: tuple[str, ...],
    seeds: int | None,
    out: Path | None,
    resume: bool,
    preregistration: Path | None,
    as_json: bool,
) -> None:
    """Run STUDY on a bench, one trial at a time, a person confirming each.

    Refused without a passed `redbutton lab check` of the same bench file and supervisor within twelve hours.
    """
    from redbutton.cli.execute import execute
    from redbutton.experiments.study import load_study
    from redbutton.hardware.lab_session import lab_robot

    if resume and out is None:
        raise click.UsageError("--resume needs the run folder. Received no --out. Give --out DIR")
    chosen = load_study(study).override(controllers=controllers, seeds=seeds)
    bench = lab_robot(robot)
    execute(chosen, out=out, jobs=1, resume=resume, as_json=as_json, robot=bench, preregistration=preregistration)
