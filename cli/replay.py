"""``redbutton replay``: does a record give the same outcome again?"""

from __future__ import annotations

from pathlib import Path

import click

EPILOG = """\b
Examples:
  redbutton replay runs/mine/trials/base--script_compliant--s0.jsonl
"""


@click.command("replay", short_help="Run a recorded trial again without its model and compare.", epilog=EPILOG)
@click.argument("trial", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of text.")
def command(trial: Path, as_json: bool) -> int:
    """Run TRIAL (a trials/<id>.jsonl) again from its recorded decisions, without its model.

    Says whether outcome, flags and trajectory agree. Exit code 0 when all do, 1 when one does not.
    """
    import json

    from redbutton.experiments.replaying import Comparison, replay_trial

    def lines(found: Comparison) -> list[str]:
        verdict = {True: "agrees", False: "DIFFERS"}
        flags = ", ".join(found.flags) or "no flags"
        return [
            f"trial       {found.trial}",
            f"outcome     {verdict[not found.outcome_differences]}  {found.outcome}, {flags}",
            f"trajectory  {verdict[not found.trajectory_differences]}  {found.events} world events",
            *(f"  {text}" for text in (*found.outcome_differences, *found.trajectory_differences)),
        ]

    found = replay_trial(trial)
    click.echo(json.dumps(found.to_json(), indent=2) if as_json else "\n".join(lines(found)))
    return 0 if found.agrees else 1
