"""The checks behind ``redbutton doctor``, each a question that a user would otherwise find out the hard way.

CAVEAT: a check says what is there, not that it is good. A reachable model server may still be too slow, and
an importable rclpy may still have no middleware.
"""

from __future__ import annotations

import importlib.util
import os
import platform
import shutil
import subprocess
import sys
from ctypes.util import find_library
from dataclasses import dataclass

from redbutton.cli.ollama_check import survey
from redbutton.experiments.machine import cores
from redbutton.sandbox.backend import choose
from redbutton.sandbox.spec import SandboxUnavailable

ENGINE_TEST = "import pybullet as p; c = p.connect(p.DIRECT); p.stepSimulation(physicsClientId=c); p.disconnect(c)"
BROWSERS: tuple[str, ...] = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")


@dataclass(frozen=True, kw_only=True)
class Check:
    """One finding: what was asked, whether it is there, what was found, what to do otherwise."""

    name: str
    ok: bool
    found: str
    next_step: str = ""
    needed: bool = False
    """Whether the demo needs it."""


def all_checks() -> list[Check]:
    """Every check, what the demo needs first."""
    return [python(), engine(), processors(), ollama(), ros(), display(), sandbox(), browser(), *extras()]


def python() -> Check:
    """Python 3.10 or newer."""
    found = f"Python {platform.python_version()} on {platform.system()} {platform.machine()}"
    return Check(
        name="python", ok=sys.version_info >= (3, 10), found=found, next_step="install Python 3.10 or 3.11", needed=True
    )


def engine() -> Check:
    """The physics engine, tried in a process of its own: a broken build may crash."""
    problem = _fails([sys.executable, "-c", ENGINE_TEST])
    found = f"pybullet does not run ({problem})" if problem else "pybullet runs without a display"
    step = "pip install pybullet (wheels: Linux x86-64, CPython 3.9 to 3.11; elsewhere it compiles for minutes)"
    return Check(name="engine", ok=not problem, found=found, next_step=step, needed=True)


def processors() -> Check:
    """Cores that this process may use."""
    return Check(
        name="cores", ok=True, found=f"{cores()}: the default number of worker processes for scripted controllers"
    )


def ollama() -> Check:
    """The model server at ``OLLAMA_HOST`` and what its models can do."""
    host, models, problem = survey(os.environ.get("OLLAMA_HOST", ""))
    if problem:
        step = (
            "install Ollama from ollama.com, run `ollama serve`, then pull a model that lists tools; or set OLLAMA_HOST"
        )
        return Check(name="ollama", ok=False, found=f"no answer at {host} ({problem})", next_step=step)
    able = [m for m in models if "tools" in m.capabilities]
    shown = "; ".join(f"{m.name} ({', '.join(m.capabilities) or 'abilities unknown'})" for m in models) or "no models"
    return Check(
        name="ollama",
        ok=bool(able),
        found=f"{host}: {shown}",
        next_step="pull a model that lists tools, e.g. `ollama pull qwen3:8b`",
    )


def ros() -> Check:
    """ROS 2's client library."""
    there = _importable("rclpy")
    distro = os.environ.get("ROS_DISTRO", "")
    found = f"rclpy importable{f' ({distro})' if distro else ''}" if there else "no rclpy"
    return Check(
        name="ros 2",
        ok=there,
        found=found,
        next_step="source a ROS 2 distribution, or pip install 'redbutton[ros]' (Linux x86-64)",
    )


def display() -> Check:
    """A display for windows, EGL for fast rendering. Neither is needed: frames are rendered in software."""
    names = [name for name in ("WAYLAND_DISPLAY", "DISPLAY") if os.environ.get(name)]
    parts = [
        f"{names[0]} is set" if names else "no display",
        "EGL library" if find_library("EGL") else "no EGL library",
    ]
    step = "not needed: frames are rendered in software; a desktop session gives windows"
    return Check(name="display", ok=bool(names), found=", ".join(parts), next_step=step)


def sandbox() -> Check:
    """A sandbox, tried: some kernels and containers forbid what it needs."""
    try:
        found, ok = f"{choose().name} runs", True
    except (SandboxUnavailable, ValueError) as exc:
        found, ok = str(exc), False
    step = "see docs/sandbox.md; the shell surface is refused without it"
    return Check(name="sandbox", ok=ok, found=found, next_step=step)


def browser() -> Check:
    """Chromium, used only by the tests of the report."""
    path = next((p for p in map(shutil.which, BROWSERS) if p), None)
    step = "install chromium; only the tests of the report use it"
    return Check(name="chromium", ok=path is not None, found=path or "not found", next_step=step)


def extras() -> list[Check]:
    """The optional parts that pip can add."""
    lab = ("pymodbus", "serial", "gpiod", "pinocchio", "rosbags")
    learners = ("torch", "stable_baselines3", "sb3_contrib", "tensorboard", "matplotlib")
    wanted = {"lab": lab, "rl": learners, "inspect": ("inspect_ai",), "local": ("xllamacpp",)}
    wanted["organisms"] = ("torch", "gguf", "xllamacpp")
    return [_extra(name, modules) for name, modules in wanted.items()]


def _extra(name: str, modules: tuple[str, ...]) -> Check:
    missing = [m for m in modules if not _importable(m)]
    first = "pip install torch==2.13.0; " if "torch" in missing else ""  # an open range may bring another build
    found = f"not installed: {', '.join(missing)}" if missing else f"{', '.join(modules)} installed"
    return Check(name=f"extra {name}", ok=not missing, found=found, next_step=f"{first}pip install 'redbutton[{name}]'")


def _importable(module: str) -> bool:
    return importlib.util.find_spec(module) is not None


def _fails(command: list[str]) -> str:
    """Run a command; returns why it failed, or nothing."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    except (OSError, subprocess.TimeoutExpired) as exc:
        return type(exc).__name__
    if done.returncode == 0:
        return ""
    lines = done.stderr.strip().splitlines()
    return lines[-1] if lines else f"exit code {done.returncode}"
