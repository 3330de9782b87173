"""What every import does with a file of somebody else's, and with the run that it becomes."""

from __future__ import annotations

import hashlib
import json
import stat
from collections.abc import Callable
from pathlib import Path

from redbutton.experiments.errors import RecordError
from redbutton.experiments.run_folder import RunFolder

Refuse = Callable[[Path, str], RecordError]
"""Makes the one line for a file that is left out: the path, and what was received."""


def check_plain(path: Path, max_bytes: int, refuse: Refuse) -> int:
    """The size of a plain file [bytes]. Raises what ``refuse`` makes of another, ``OSError`` from the file system."""
    facts = path.stat()
    if not stat.S_ISREG(facts.st_mode):
        raise refuse(path, "no plain file")
    if facts.st_size > max_bytes:
        raise refuse(path, f"a file of {facts.st_size / 2**20:.0f} MiB, over the limit of {max_bytes >> 20} MiB")
    return facts.st_size


def sha256(path: Path) -> str:
    """SHA-256 of a file, read in parts: it may be large."""
    with path.open("rb") as file:
        digest = hashlib.sha256()
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()


def note_import(run: RunFolder, form: str, trials: int) -> None:
    """Say in ``run.json`` what this is; its number of trials is that of the imported, not of the study's crossing."""
    facts = json.loads((run.path / "run.json").read_bytes())
    facts |= {"robot": f"foreign:{form}", "trials": trials, "imported": {"format": form, "logs": trials}}
    run.write("run.json", json.dumps(facts, indent=2).encode() + b"\n")
