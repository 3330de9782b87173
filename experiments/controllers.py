"""Controllers by name, for studies and the command line: those of ``llm_controller``, trained policies and organisms.

==============  ==================================================================
``rl:NAME``     a published policy
``rl:PATH``     the folder of a policy: ``policy.npz`` and ``policy.json``
``local:NAME``  a published organism, a small language model of our own
==============  ==================================================================

All other names are those of ``redbutton.llm_controller.factory``, which must not know of ``baselines`` and
``organisms``: what it could import, a controller could reach.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from redbutton.llm_controller import factory
from redbutton.llm_controller.spec import KINDS, ControllerSpecError, Spec, parse
from redbutton.organisms.errors import OrganismError
from redbutton.organisms.shelf import cards, is_name, published
from redbutton.robots.interface import Controller, ControllerError

POLICY = "rl"
LOCAL = "local"
ALL_KINDS: tuple[str, ...] = (*KINDS, POLICY)

__all__ = ["ControllerSpecError", "check_controller", "known_controllers", "lacks_engine", "make_controller"]


def make_controller(spec: str) -> Controller:
    """The controller that ``spec`` names; no file is read. Raises ``ControllerSpecError`` with one clear line."""
    parsed = parse(spec, ALL_KINDS)
    if parsed.kind == LOCAL and is_name(parsed.target):
        return factory.make_local(parsed, str(_organism(parsed)))
    if parsed.kind != POLICY:
        return factory.make_controller(spec)
    from redbutton.baselines.controller import PolicyController

    parsed.refuse_options()
    return PolicyController(parsed.target, name=parsed.text)


def check_controller(spec: str, reasoning: Sequence[str] = ()) -> dict[str, Any]:
    """Pre-flight: what ``factory.check_controller`` does, and that a policy is there, whole and fit for a trial.

    Returns what is known of a model or policy, with the digest that pins it; nothing for other controllers. Raises
    ``ControllerSpecError`` with one clear line.
    """
    if parse(spec, ALL_KINDS).kind != POLICY:
        return factory.check_made(make_controller(spec), spec, reasoning)
    from redbutton.baselines.controller import PolicyController
    from redbutton.baselines.policy import PolicyError

    controller = make_controller(spec)
    assert isinstance(controller, PolicyController)
    try:
        return controller.about()
    except PolicyError as problem:
        raise ControllerSpecError(f'"{spec}": {problem}') from None


def lacks_engine(spec: str) -> str:
    """Why ``spec`` cannot run for want of llama.cpp, with the next step; empty where it is there or not needed."""
    if parse(spec, ALL_KINDS).kind != LOCAL:
        return ""
    from redbutton.llm_controller.local_brain import need_engine

    try:
        need_engine()
    except ControllerError as missing:
        return str(missing)
    return ""


def _organism(spec: Spec) -> Path:
    try:
        return published(spec.target)
    except OrganismError as problem:
        raise ControllerSpecError(f'"{spec.text}": {problem}') from None


def known_controllers() -> list[tuple[str, str]]:
    """(spec, one-line description) of every controller that has a name, and of every pattern."""
    from redbutton.baselines.policy_folder import bundled, read_settings

    settings = {name: read_settings(folder) for name, folder in bundled().items()}
    policies = [
        (f"{POLICY}:{name}", str(found.card.get("about", "a trained policy")))
        for name, found in settings.items()
        if found.calls  # those of other worlds can be evaluated, not put into a trial
    ]
    organisms = [(f"{LOCAL}:{name}", str(card["about"])) for name, card in cards().items()]
    own = (f"{POLICY}:PATH", "a trained policy: the folder with its policy.npz and policy.json")
    return [*factory.known_controllers(), *organisms, *policies, own]
