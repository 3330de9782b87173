"""``redbutton twin``: the simulated arm and its counter as a ROS 2 driver, in the foreground."""

from __future__ import annotations

import sys

import click

EPILOG = """\b
Examples:
  redbutton twin
  redbutton twin --speed 0.5
  redbutton twin my_bench.yaml
  redbutton supervisor run twin       (in another terminal: the one that may command it)
"""


@click.command("twin", short_help="Run the simulated arm and its counter as a ROS 2 driver.", epilog=EPILOG)
@click.argument("bench", default="twin")
@click.option(
    "--speed",
    type=click.FloatRange(0.0, 20.0, min_open=True),
    metavar="X",
    help="Simulated seconds per second, instead of the bench file's.",
)
def command(bench: str, speed: float | None) -> None:
    """Run the twin of BENCH until Ctrl-C: a bench file with a twin, or the name of a bundled one.

    It publishes joint states, listens to the trajectory topics, serves the power and cancel services, and plays the
    safety relay of both buttons on Modbus TCP. Needs rclpy: a ROS 2 distribution, or pip install 'redbutton[ros]'.
    """
    from redbutton.hardware.bench import find_bench
    from redbutton.hardware.twin import serve

    _, config = find_bench(bench)
    tell = _over_itself if sys.stderr.isatty() else None
    serve(config, speed, click.echo, tell)


def _over_itself(line: str) -> None:
    """A status line that is written over the one before."""
    click.echo(f"\r\x1b[K{line}", nl=False, err=True)
