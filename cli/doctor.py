"""``redbutton doctor``: what this machine can do, and how to get the rest."""

from __future__ import annotations

import click

EPILOG = """\b
Examples:
  redbutton doctor
  OLLAMA_HOST=http://lab-server:11434 redbutton doctor --json
"""


@click.command("doctor", short_help="Say what this machine can do and how to get the rest.", epilog=EPILOG)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of text.")
def command(as_json: bool) -> int:
    """Check Python, engine, model server, ROS 2, display, sandbox, browser and extras.

    Exit code 0 when the demo can run here, 1 when it cannot; what is merely optional never fails.
    """
    import json
    from dataclasses import asdict

    from redbutton.cli.checks import all_checks

    checks = all_checks()
    able = all(c.ok for c in checks if c.needed)
    if as_json:
        click.echo(json.dumps({"able": able, "checks": [asdict(c) for c in checks]}, indent=2))
        return 0 if able else 1
    width = max(len(c.name) for c in checks)
    for check in checks:
        mark = "ok" if check.ok else "MISSING" if check.needed else "–"
        click.echo(f"{mark:<8}{check.name:<{width}}  {check.found}")
        if not check.ok and check.next_step:
            click.echo(f"{'':<{8 + width}}  {check.next_step}")
    return 0 if able else 1
