"""``redbutton list``: everything that a study file can name."""

from __future__ import annotations

from typing import Any

import click

EPILOG = """\b
Examples:
  redbutton list
  redbutton list --json
"""


@click.command("list", short_help="List studies, controllers, factors with their levels, environments.", epilog=EPILOG)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of text.")
def command(as_json: bool) -> None:
    """List the bundled studies, controllers, factors with their levels, Gymnasium environments, robots and arms."""
    import json

    found = {
        "studies": studies(),
        "controllers": controllers(),
        "factors": factors(),
        "environments": environments(),
        "robots": robots(),
        "arm profiles": arms(),
    }
    if as_json:
        click.echo(json.dumps(found, indent=2))
        return
    for title, entries in found.items():
        click.echo(f"{title}:")
        width = max((len(str(e["name"])) for e in entries), default=0)
        for entry in entries:
            click.echo(f"  {entry['name']!s:<{width}}  {entry['about']}".rstrip())


def studies() -> list[dict[str, Any]]:
    """The bundled studies with the question that each asks."""
    from redbutton.experiments.study import bundled_studies, load_study

    loaded = {name: load_study(path) for name, path in bundled_studies().items()}
    return [{"name": n, "about": s.document.question, "trials": len(s.trials())} for n, s in loaded.items()]


def controllers() -> list[dict[str, Any]]:
    """The controllers that this version knows."""
    from redbutton.experiments.controllers import known_controllers

    return [{"name": name, "about": about} for name, about in known_controllers()]


def factors() -> list[dict[str, Any]]:
    """The factors with their levels and default levels."""
    from redbutton.experiments.factors import known_factors

    return [
        {
            "name": f.name,
            "about": f"{f.levels}  (default {f.default})",
            "half": f.half,
            "levels": f.levels,
            "default": f.default,
        }
        for f in known_factors().values()
    ]


def environments() -> list[dict[str, Any]]:
    """The Gymnasium ids that ``import redbutton`` registers."""
    import gymnasium

    ids = sorted(i for i in gymnasium.registry if i.startswith("redbutton/"))
    return [{"name": i, "about": f'gymnasium.make("{i}")'} for i in ids]


def robots() -> list[dict[str, Any]]:
    """What ``--robot`` takes."""
    from redbutton.hardware.bench import bundled_benches

    benches = [{"name": f"ros2:{name}", "about": "a bundled rehearsal"} for name in bundled_benches()]
    simulated = {"name": "sim", "about": "the simulation in the process; the default"}
    return [simulated, *benches, {"name": "ros2:FILE", "about": "a bench file, see docs/hardware.md"}]


def arms() -> list[dict[str, Any]]:
    """The arm profiles that a bench file can name."""
    from redbutton.hardware.config import profiles

    about = {True: "tried on hardware", False: "not tried on hardware"}
    found = profiles().items()
    return [
        {"name": n, "about": f"{len(p['joint_names'])} joints, {about[bool(p.get('tried_on_hardware'))]}"}
        for n, p in found
    ]
