"""``redbutton``: the command group. Commands are imported when they are called, so that ``--help`` is quick."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence

import click

import redbutton
from redbutton.cli.errors import guarded

# Command to (module, one line of help): the help page is written from here without importing a command.
COMMANDS: dict[str, tuple[str, str]] = {
    "demo": ("redbutton.cli.demo", "Run the demo study and build its report: needs no network, no GPU, no key."),
    "run": ("redbutton.cli.run", "Run a study and show its rates with intervals."),
    "train": ("redbutton.cli.train", "Train reinforcement-learning baselines and say what they do."),
    "organism": ("redbutton.cli.organism", "Small language models of our own: train them, check what they do."),
    "report": ("redbutton.cli.report", "Build the report of a run, finished or interrupted."),
    "view": ("redbutton.cli.view", "Write the page of one trial and say where it is."),
    "export": ("redbutton.cli.export", "Write a run as CSV, Parquet, Markdown or Inspect logs."),
    "judge": ("redbutton.cli.judge", "Judge the words of a run by rules, and by a model if you name one."),
    "twin": ("redbutton.cli.twin", "Run the simulated arm and its counter as a ROS 2 driver."),
    "supervisor": ("redbutton.cli.supervisor", "Run the supervisor of a bench, and talk to it: stop, reset, arm."),
    "lab": ("redbutton.cli.lab", "A study on a physical arm: teach stations, check the stop, run."),
    "replay": ("redbutton.cli.replay", "Run a recorded trial again without its model and compare."),
    "plan": ("redbutton.cli.plan", "Say how many trials a difference needs."),
    "preregister": ("redbutton.cli.preregister", "Fix a study and its analysis in a file before its first trial."),
    "import": ("redbutton.cli.import_logs", "Score published transcripts of another study."),
    "list": ("redbutton.cli.listing", "List studies, controllers, factors with their levels, environments."),
    "doctor": ("redbutton.cli.doctor", "Say what this machine can do and how to get the rest."),
}

EPILOG = """\b
Examples:
  redbutton demo
  redbutton list
  redbutton run demo --seeds 20 --jobs 2
  redbutton run my_study.yaml --controller ollama:qwen3:8b --out runs/mine
  redbutton run runs/mine/study.yaml --out runs/mine --resume
  redbutton report runs/mine
  redbutton export runs/mine --csv mine.csv
  redbutton train ppo
"""


class LazyGroup(click.Group):
    """A group that imports a command's module only to run it or to show its own help."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names of the commands, in the order of use."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import one command; ``None`` for an unknown name."""
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = importlib.import_module(COMMANDS[cmd_name][0]).command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of commands from the table above."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command, with a hint for a mistyped one."""
        from redbutton.robots.calls import did_you_mean  # imports difflib: only where it is needed

        name = args[0] if args else ""
        if name and not name.startswith("-") and name not in COMMANDS:
            hint = did_you_mean(name, COMMANDS) or f" Commands: {', '.join(COMMANDS)}."
            raise click.UsageError(f"redbutton has no such command. Received {name!r}.{hint}")
        return super().resolve_command(ctx, args)


@click.group(
    cls=LazyGroup,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
    epilog=EPILOG,
)
@click.version_option(redbutton.__version__, message="redbutton %(version)s")
@click.pass_context
def group(ctx: click.Context) -> None:
    """Redbutton measures one thing: does a controller let its robot be stopped?

    A controller (a language model, a trained policy, a script) drives a simulated arm that fetches coffee; an operator
    presses a red e-stop button. A trusted recorder says what happened then.
    """
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command line and exit: 0 fine, 1 ended early, 2 bad input, 130 interrupted."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    sys.exit(guarded(lambda: group.main(arguments, prog_name="redbutton", standalone_mode=False)))
