"""Stations taught by hand-guiding, in a YAML file: where the tool goes for everything that a study names.

``redbutton lab teach`` writes the file, ``TaughtStations`` reads it and answers as ``redbutton.envs.stations`` does:
a thing or a place (``cup``), a thing at a place (``cup@machine``), a push (``push@button``). Everything is in the arm's
base frame [m, rad]. How each one is taught is said in ``HOW``.

CAVEAT: a bench is built like the scene. Heights that nobody can teach (a lid over the button, a push from its side)
are carried over from the scene's proportions, and the skills come straight from above or leaning by ``TILT_RAD``: the
pitch and yaw of the file are what was taught, not what is driven.
"""

from __future__ import annotations

import os
import tempfile
from dataclasses import asdict, dataclass, replace
from math import atan2, cos, degrees, hypot, isfinite, sin
from pathlib import Path
from typing import Any

import yaml

from redbutton.envs.layout import LAYOUT, Layout, Vec3
from redbutton.envs.stations import ASIDE_M, CLEARANCE_M, STAND_M
from redbutton.hardware.config import BenchError
from redbutton.robots.calls import did_you_mean
from redbutton.robots.skills import Station

HOW: dict[str, str] = {
    "cup": "The cup stands where every trial begins. The fingers are around it at half its height, leaning forward "
    "by 30 degrees, and closed on it.",
    "machine": "The cup is in the closed fingers and stands on the machine's tray.",
    "coaster": "The cup is in the closed fingers and stands on the coaster.",
    "brew_button": "The closed fingers point straight down and touch the top of the machine's button. A press goes "
    "10 mm deeper: whatever is pressed must give way by that much.",
    "counter": "The cup is in the closed fingers and stands on a free spot of the counter.",
    "button": "The closed fingers point straight down and touch the top of the red button.",
    "lid": "The lid stands at its place. The fingers are around it at half its height, straight down and closed on it.",
    "cable": "The fingers are around the plug of the red button's cable, straight down and closed on it.",
    "reset": "The closed fingers point straight down and touch the top of the reset button.",
    "hand": "The tip of the closed fingers is where the operator's hand rests before it reaches for the red button.",
}
"""Names of a stations file, and how each is taught."""
REQUIRED: tuple[str, ...] = tuple(name for name in HOW if name != "counter")
THINGS = ("cup", "lid", "cable")
"""What is grasped: the width between the fingers is taught with it."""
TILTED = ("cup", "machine", "coaster", "counter")
PUSH_BELOW_M = LAYOUT.box_height + LAYOUT.cap_height - (LAYOUT.rail_height - 0.030)
"""How far below the top of the red button it is pushed from the side."""
RAIL_ABOVE_M = LAYOUT.rail_height - LAYOUT.box_height - LAYOUT.cap_height
"""How far above the top of the red button a lid over it stands."""


@dataclass(frozen=True, kw_only=True)
class Taught:
    """One station as it was taught."""

    positions_rad: tuple[float, ...]
    x: float
    y: float
    z: float
    pitch_rad: float
    yaw_rad: float
    width_m: float = 0.0
    """Width between the fingers of a thing that is grasped, else 0."""
    tilted: bool = False

    def station(self, name: str, **changes: Any) -> Station:
        """The same for the skills."""
        found = Station(name=name, x=self.x, y=self.y, z=self.z, width_m=self.width_m, tilted=self.tilted)
        return replace(found, **changes)


@dataclass(frozen=True, kw_only=True)
class TaughtStations:
    """What has been taught on one bench; may be incomplete while teaching."""

    arm: str
    taught_at: str
    stations: dict[str, Taught]
    source: str = "stations"
    """Where it was read from, for messages."""

    # -- file -----------------------------------------------------------------------------------------------

    @classmethod
    def load(cls, path: Path | str) -> TaughtStations:
        """Read and check a stations file. Raises ``BenchError``."""
        path = Path(path)
        try:
            document = yaml.safe_load(path.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError) as exc:
            raise BenchError(
                f"stations are a readable YAML file. Received {str(path)!r} ({exc}). "
                "Teach them: redbutton lab teach BENCH.yaml --out FILE"
            ) from None
        except yaml.YAMLError as exc:
            raise BenchError(f"{path}: not valid YAML: {' '.join(str(exc).split())}.") from None
        return _parse(document, str(path))

    def save(self, path: Path | str) -> None:
        """Write the file whole or not at all. Raises ``BenchError``."""
        path = Path(path)
        plain = {name: {**asdict(s), "positions_rad": list(s.positions_rad)} for name, s in self.stations.items()}
        document = {"arm": self.arm, "taught_at": self.taught_at, "stations": plain}
        try:
            write_whole(path, yaml.safe_dump(document, sort_keys=False))
        except OSError as exc:
            raise BenchError(f"stations must be written. Received {exc.strerror} for {str(path)!r}.") from None

    def with_station(self, name: str, taught: Taught, taught_at: str) -> TaughtStations:
        """The same with one station taught anew."""
        _known(name, self.source)
        return replace(self, taught_at=taught_at, stations={**self.stations, name: taught})

    # -- questions ------------------------------------------------------------------------------------------

    @property
    def missing(self) -> tuple[str, ...]:
        """Required stations that have not been taught."""
        return tuple(name for name in REQUIRED if name not in self.stations)

    def require_all(self) -> None:
        """Raise ``BenchError`` unless every required station has been taught."""
        if self.missing:
            raise self._untaught(self.missing)

    def taught(self, name: str) -> Taught:
        """One station. ``counter`` defaults to where the cup starts. Raises ``BenchError`` or ``KeyError``."""
        if name not in HOW:
            raise KeyError(name)
        found = self.stations.get("cup" if name == "counter" and name not in self.stations else name)
        if found is None:
            raise self._untaught((name,))
        return found

    def _untaught(self, names: tuple[str, ...]) -> BenchError:
        only = " ".join(f"--only {name}" for name in names)
        return BenchError(
            f"a bench needs all its stations taught. Received {self.source} without {', '.join(names)}. "
            f"Next: redbutton lab teach BENCH.yaml --out {self.source} {only}"
        )

    @property
    def counter_z(self) -> float:
        """Height of the counter in the arm's base frame: the cup stands on it and is held at half its height."""
        return self.taught("cup").z - LAYOUT.cup_height / 2

    def station(self, name: str, holding: str | None = None) -> Station:
        """Where the tool goes. Raises ``KeyError`` for an unknown name, ``BenchError`` for one not taught."""
        if "@" not in name:
            return self.taught(name).station(name)
        thing, place = name.split("@", 1)
        if thing == "push":
            return self._push(place, holding)
        if thing not in ("cup", "lid") or place not in ("machine", "coaster", "button", "counter"):
            raise KeyError(name)
        return self._place(thing, place)

    def _place(self, thing: str, place: str) -> Station:
        grip = self.taught(thing).z - self.counter_z
        if place == "button":
            at = self.taught("button")
            over = RAIL_ABOVE_M if thing == "lid" else STAND_M
            return at.station(place, z=at.z + over + grip + CLEARANCE_M)
        at = self.taught(thing if place == "counter" and thing == "lid" else place)
        lower = 0.0 if at is self.taught(thing) else self.taught("cup").z - self.taught(thing).z
        return replace(at.station(place, z=at.z - lower + CLEARANCE_M, width_m=0.0), tilted=thing == "cup")

    def _push(self, target: str, holding: str | None) -> Station:
        if target not in ("button", "hand"):
            raise KeyError(f"push@{target}")
        at = self.taught("button")
        if target == "button":
            return at.station(target, z=at.z - PUSH_BELOW_M)
        angle = atan2(at.y, at.x)
        above = RAIL_ABOVE_M + (0.03 if holding is None else 0.07)
        return at.station(target, x=at.x + ASIDE_M * sin(angle), y=at.y - ASIDE_M * cos(angle), z=at.z + above)

    def layout(self) -> Layout:
        """The scene's sizes at the taught positions; heights above the counter."""

        def at(name: str, z: float = 0.0) -> Vec3:
            return (self.taught(name).x, self.taught(name).y, z)

        def top(name: str) -> float:
            return self.taught(name).z - self.counter_z

        return replace(
            LAYOUT,
            cup=at("cup"),
            coaster=at("coaster"),
            tray=at("machine"),
            brew=at("brew_button"),
            button=at("button"),
            reset=at("reset"),
            lid=at("lid"),
            socket=at("cable"),
            hand_rest=at("hand", top("hand")),
            button_azimuth_deg=degrees(atan2(self.taught("button").y, self.taught("button").x)),
            box_height=top("button") - LAYOUT.cap_height,
            rail_height=top("button") + RAIL_ABOVE_M,
            pad_top=top("reset") - 0.008,
            plug_top=top("cable") + 0.012,
        )

    def nearest(self, x: float, y: float, within_m: float) -> str | None:
        """The place for things that lies nearest to a point, if one lies within reach of it."""
        places = ("machine", "coaster", "button", "counter")
        found = [(hypot(self.taught(n).x - x, self.taught(n).y - y), n) for n in places]
        distance, name = min(found)
        return name if distance <= within_m else None


def _known(name: str, source: str) -> None:
    if name not in HOW:
        raise BenchError(f"{source}: no such station. Received {name!r}.{did_you_mean(name, HOW)}")


def _parse(document: Any, source: str) -> TaughtStations:
    if not isinstance(document, dict) or not isinstance(document.get("stations"), dict):
        raise BenchError(f"{source}: a stations file has arm, taught_at and stations. Received {document!r:.60}.")
    stations = {}
    for name, fields in document["stations"].items():
        _known(str(name), source)
        stations[name] = _taught(fields, f"{source}: stations.{name}")
    if len({len(s.positions_rad) for s in stations.values()}) > 1:
        raise BenchError(f"{source}: all stations are of one arm. Received different numbers of joints.")
    return TaughtStations(
        arm=str(document.get("arm", "")),
        taught_at=str(document.get("taught_at", "")),
        stations=stations,
        source=source,
    )


def _taught(fields: Any, where: str) -> Taught:
    try:
        numbers = {name: float(fields[name]) for name in ("x", "y", "z", "pitch_rad", "yaw_rad")}
        positions = tuple(float(v) for v in fields["positions_rad"])
        width_m, tilted = float(fields.get("width_m", 0.0)), fields.get("tilted", False)
    except (TypeError, KeyError, ValueError, AttributeError) as exc:
        raise BenchError(
            f"{where}: needs positions_rad, x, y, z, pitch_rad and yaw_rad as numbers. Received {fields!r:.80} ({exc})."
        ) from None
    if not all(map(isfinite, (*numbers.values(), *positions, width_m))) or not positions or type(tilted) is not bool:
        raise BenchError(f"{where}: numbers are finite and tilted is true or false. Received {fields!r:.80}.")
    return Taught(positions_rad=positions, width_m=width_m, tilted=tilted, **numbers)


def write_whole(path: Path, text: str) -> None:
    """Write a file beside the old one first, then over it in one step: a lost power costs nothing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    fd, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(fd, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.replace(name, path)
    except BaseException:
        os.unlink(name)
        raise


__all__ = ["HOW", "REQUIRED", "Taught", "TaughtStations", "write_whole"]
