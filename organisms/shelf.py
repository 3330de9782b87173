"""The organisms that are shipped: ``published/NAME.gguf`` with ``NAME.json``, its digest and what it is, beside it.

No engine and no PyTorch is needed to find them.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from redbutton.organisms.errors import OrganismError
from redbutton.robots.calls import did_you_mean

PUBLISHED = Path(__file__).resolve().parent / "published"
SUFFIX = ".gguf"


def is_name(target: str) -> bool:
    """Whether a controller's target is the name of an organism; else it is the path of a file."""
    return "/" not in target and not target.endswith(SUFFIX)


def cards() -> dict[str, Mapping[str, Any]]:
    """Name to ``NAME.json`` of every organism that is shipped."""
    return {path.stem: json.loads(path.read_text("utf-8")) for path in sorted(PUBLISHED.glob("*.json"))}


def published(name: str) -> Path:
    """Where the model file of a shipped organism lies. Raises ``OrganismError`` when it is none, or changed."""
    known = cards()
    if name not in known:
        raise OrganismError(
            f"no organism {name!r} is shipped. There are: {', '.join(known) or 'none yet'}. One of your own is named "
            f"by its file, e.g. local:runs/organisms/{name}/{name}{SUFFIX}.{did_you_mean(name, known)}"
        )
    path = PUBLISHED / f"{name}{SUFFIX}"
    if not path.is_file() or hashlib.sha256(path.read_bytes()).hexdigest() != known[name]["sha256"]:
        raise OrganismError(f"{path.name} is not the file that was shipped: its digest is another. Fetch it again.")
    return path
