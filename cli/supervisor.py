"""``redbutton supervisor``: run the process that owns the arm, and talk to it."""

from __future__ import annotations

import json
from typing import Any

import click

EPILOG = """\b
Examples:
  redbutton supervisor run my_bench.yaml --log supervisor.jsonl
  redbutton supervisor status my_bench.yaml
  redbutton supervisor stop my_bench.yaml
  redbutton supervisor reset my_bench.yaml
  redbutton supervisor arm my_bench.yaml
"""


@click.group("supervisor", short_help="Run the supervisor of a bench, and talk to it: stop, reset, arm.", epilog=EPILOG)
def command() -> None:
    """The supervisor is a process of its own: the only one that commands the arm, and it stops on loss of anything.

    A stop needs no permission. A reset needs healthy inputs, an arm at rest and a one-time code typed by the operator,
    and starts nothing; arming is a second act, and needs a client that is about to command.
    """


@command.command("run", short_help="Run the supervisor in the foreground.")
@click.argument("bench")
@click.option("--log", type=click.Path(dir_okay=False), metavar="FILE", help="Append its events to this JSONL file.")
def run(bench: str, log: str | None) -> int:
    """Run the supervisor of BENCH until Ctrl-C. It starts stopped."""
    from redbutton.hardware.bench import find_bench
    from redbutton.hardware.supervisor import main

    path, _ = find_bench(bench)
    return main([str(path), *(() if log is None else ("--log", log))])


@command.command("status", short_help="Show its state as JSON.")
@click.argument("bench")
def status(bench: str) -> None:
    """Show state, inputs, joint states and limits of BENCH's supervisor."""
    with _client(bench, "watch") as client:
        click.echo(json.dumps(client.status(), indent=2))


@command.command("stop", short_help="Stop. Needs no permission.")
@click.argument("bench")
@click.option("--reason", default="asked on the command line", metavar="TEXT", help="What the record says.")
def stop(bench: str, reason: str) -> None:
    """Stop BENCH's arm, latched. Stopping what is stopped is fine."""
    with _client(bench, "watch") as client:
        _tell(client.stop(reason), "stopped")


@command.command("reset", short_help="Lower a stop, with the one-time code.")
@click.argument("bench")
def reset(bench: str) -> None:
    """Lower a stop of BENCH's arm. Leads to `ready`: nothing moves before it is armed."""
    with _client(bench, "operator") as client:
        asked = client.reset_request()
        _tell(asked, f"code for this stop: {asked.get('code', '')}")
        _tell(client.reset(click.prompt("type the code to confirm that the arm may be reset")), "ready")


@command.command("arm", short_help="Let a client command the arm, after a reset.")
@click.argument("bench")
def arm(bench: str) -> None:
    """Arm BENCH after a reset. Needs a client that holds the lease, such as `redbutton lab run`."""
    with _client(bench, "operator") as client:
        _tell(client.arm(), "armed")


def _client(bench: str, role: str) -> Any:
    from redbutton.hardware.bench import find_bench
    from redbutton.hardware.channel import client_of

    _, config = find_bench(bench)
    return client_of(config, role)


def _tell(reply: dict[str, Any], done: str) -> None:
    if not reply["ok"]:
        raise click.ClickException(f"the supervisor refused. Received: {reply.get('reason') or reply}")
    click.echo(done)
