"""What a run was made with: versions, git revision, machine. Names no user and no host."""

from __future__ import annotations

import os
import platform
import subprocess
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

PACKAGES: tuple[str, ...] = ("redbutton", "pybullet", "gymnasium", "numpy", "scipy", "pydantic", "ollama", "pyarrow")


@cache
def versions() -> dict[str, str | None]:
    """Version of Python and of the packages that can change a result; ``None`` for one that is not installed."""
    return {"python": platform.python_version(), **{name: _version(name) for name in PACKAGES}}


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def machine() -> dict[str, Any]:
    """System, architecture and cores of this machine."""
    return {"system": platform.system(), "release": platform.release(), "machine": platform.machine(), "cores": cores()}


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def git_revision(folder: Path | None = None) -> dict[str, Any] | None:
    """Revision of the checkout that the package runs from, and whether it was changed; ``None`` outside a checkout."""
    root = Path(__file__).resolve().parents[1] if folder is None else folder
    if folder is None and not (root / ".git").exists():
        return None  # an installed package inside somebody's own repository: that revision says nothing about us
    revision = _git(root, "rev-parse", "HEAD")
    if revision is None:
        return None
    return {"revision": revision.strip(), "dirty": bool(_git(root, "status", "--porcelain", "--untracked-files=no"))}


def _git(root: Path, *args: str) -> str | None:
    command = ["git", "-C", str(root), *args]
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=10, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return None
