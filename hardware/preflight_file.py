"""The file that a pre-flight leaves, and who accepts it: the same bench, the same supervisor, and not long ago.

Age is read from ``CLOCK_BOOTTIME``, which goes on while a machine sleeps and cannot be set; the time of the day is in
the file for people only.

CAVEAT: the file is plain JSON beside the bench file. It keeps a lab from forgetting, not from cheating.
"""

from __future__ import annotations

import hashlib
import json
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

from redbutton.estop import Clock
from redbutton.hardware.arming import supervisor_instance
from redbutton.hardware.config import BenchConfig, BenchError
from redbutton.hardware.preflight import PreflightResult
from redbutton.hardware.taught import write_whole

GOOD_FOR_S = 12 * 3600.0
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_NEXT = "Next: redbutton lab check {bench}"


def preflight_path(bench: Path) -> Path:
    """Where the pre-flight of a bench file is kept: beside it."""
    return bench.with_name(f"{bench.stem}.preflight.json")


def boottime_s() -> float:
    """Seconds since this machine started, sleep included."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def config_sha256(config: BenchConfig) -> str:
    """Fingerprint of what a bench file says, profile included. Stations and a URDF's folder have no part in a stop."""
    plain = config.model_dump(mode="json", exclude={"stations"})
    urdf = plain["arm"]["urdf"]
    plain["arm"]["urdf"] = None if urdf is None else Path(urdf).name
    return hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()


def save_preflight(
    path: Path, config: BenchConfig, result: PreflightResult, supervisor: str, clock: Clock = boottime_s
) -> None:
    """Write the result; ``supervisor``: the instance that was asked. Raises ``OSError``."""
    document = {
        **asdict(result),
        "bench": config.name,
        "config_sha256": config_sha256(config),
        "supervisor": supervisor,
        "boot_id": _boot_id(),
        "boottime_s": clock(),
        "at": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
    }
    write_whole(path, json.dumps(document, indent=2) + "\n")


def require_preflight(path: Path, config: BenchConfig, bench: str, clock: Clock = boottime_s) -> dict[str, Any]:
    """The passed pre-flight of this bench and supervisor. Raises ``BenchError`` with the next step."""
    document = _read(path, bench)
    problem = _problem(document, config, clock())
    if problem:
        raise BenchError(f"a bench runs only after its pre-flight. Received {problem}. {_NEXT.format(bench=bench)}")
    return document


def _read(path: Path, bench: str) -> dict[str, Any]:
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        document = None
    except (OSError, ValueError) as exc:
        step = _NEXT.format(bench=bench)
        raise BenchError(f"a pre-flight is readable JSON. Received {str(path)!r} ({exc}). {step}") from None
    if not isinstance(document, dict):
        raise BenchError(f"a bench runs only after its pre-flight. Received none. {_NEXT.format(bench=bench)}")
    return document


def _problem(document: dict[str, Any], config: BenchConfig, now_s: float) -> str:
    if document.get("passed") is not True:
        return f"one that failed: {'; '.join(map(str, document.get('reasons') or ['no reason']))}"
    if document.get("config_sha256") != config_sha256(config):
        return "one of another bench file, or of this one before it was changed"
    if document.get("boot_id") != _boot_id():
        return "one from before this machine was started"
    made_s = document.get("boottime_s")
    age_s = now_s - made_s if isinstance(made_s, (int, float)) else float("nan")
    if not 0.0 <= age_s <= GOOD_FOR_S:
        return f"one of {age_s / 3600:.1f} hours ago; it is good for {GOOD_FOR_S / 3600:g}"
    if document.get("supervisor") != supervisor_instance(config.socket_path):
        return "one with another supervisor than the one that runs now"
    return ""


def _boot_id() -> str:
    return _BOOT_ID.read_text(encoding="utf-8").strip()


__all__ = ["config_sha256", "preflight_path", "require_preflight", "save_preflight"]
