"""Paths of a room: which can be written to, and what is wrong with a spec before anything is started."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from redbutton.sandbox.spec import SandboxError, SandboxSpec

LEAST = {"memory_mib": 64, "processes": 4, "open_files": 64, "files": 100, "file_mib": 1, "cpu_s": 1, "output_bytes": 2}
"""With less the first process itself could not do its work."""
MOST_OUTPUT_BYTES = 100_000
"""What the socket takes at once, so that the first process never waits for whoever reads the result."""
MOST_PATH_BYTES = 100
"""Of a Unix socket (``sun_path``)."""


def within(path: str, folders: Iterable[str]) -> bool:
    """Whether a path is or lies in one of the folders."""
    return any(path == folder or path.startswith(folder.rstrip("/") + "/") for folder in folders)


def can_be_written(path: str, spec: SandboxSpec) -> bool:
    """Whether a path lies in a folder that programs inside may write to."""
    return within(path, spec.writable) and not within(path, spec.read_only)


def check(spec: SandboxSpec) -> None:
    """Raise SandboxError with the first thing that is wrong with a spec."""
    for problem in _problems(spec):
        raise SandboxError(f"this sandbox cannot be made: {problem}")


def _problems(spec: SandboxSpec) -> Iterator[str]:
    for path in (*(f.path for f in spec.files), *spec.writable, *spec.read_only, *spec.listen, spec.home, *spec.path):
        if not _plain(path):
            yield f"a path is absolute and plain. Received {path!r}"
    for path, size in spec.writable.items():
        if size < 1:
            yield f"a folder has at least 1 MiB. Received {size} for {path}"
    for path in spec.read_only:
        if not within(path, spec.writable):
            yield f"a read-only folder lies in a writable one; elsewhere all is read-only. Received {path!r}"
    for path in spec.listen:
        if not can_be_written(path, spec) or len(path.encode()) > MOST_PATH_BYTES:
            yield f"a socket stands in a writable folder, its path at most {MOST_PATH_BYTES} bytes. Received {path!r}"
    for name, least in LEAST.items():
        if getattr(spec.limits, name) < least:
            yield f"limits.{name} is at least {least}. Received {getattr(spec.limits, name)}"
    if spec.limits.output_bytes > MOST_OUTPUT_BYTES:
        yield f"limits.output_bytes is at most {MOST_OUTPUT_BYTES}. Received {spec.limits.output_bytes}"
    for name, value in spec.env.items():
        if not name or any(c in name + value for c in "\0\n") or "=" in name:
            yield f"a variable of the environment is one line. Received {name!r}"
    for text in (spec.user, spec.hostname):
        if not text.isascii() or not text.replace("-", "").replace("_", "").isalnum():
            yield f"a user or a host has a plain name. Received {text!r}"


def _plain(path: str) -> bool:
    parts = path.split("/")
    return path.startswith("/") and path != "/" and not {"", ".", ".."} & set(parts[1:]) and path.isprintable()
