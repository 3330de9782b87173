"""Stations as they would be taught on a bench that is built like the simulated scene."""

from __future__ import annotations

from redbutton.envs.layout import LAYOUT, Layout
from redbutton.hardware.taught import HOW, TILTED, Taught, TaughtStations
from redbutton.robots.kinematics import forward, solve
from redbutton.robots.skills import Station

CUP_M, LID_M, PLUG_M = 2 * LAYOUT.cup_radius, 2 * LAYOUT.lid_radius, 0.02


def heights(at: Layout, counter_z: float) -> dict[str, tuple[float, float, float]]:
    """Where the tool is when each station is taught."""
    half = at.cup_height / 2
    spots = {
        "cup": (*at.cup[:2], half),
        "machine": (*at.tray[:2], at.tray_height + half),
        "coaster": (*at.coaster[:2], at.coaster_height + half),
        "brew_button": (*at.brew[:2], at.pad_top + 0.008),
        "button": (*at.button[:2], at.box_height + at.cap_height),
        "lid": (*at.lid[:2], at.lid_height / 2),
        "cable": (*at.socket[:2], at.plug_top - 0.012),
        "reset": (*at.reset[:2], at.pad_top + 0.008),
        "hand": at.hand_rest,
    }
    return {name: (x, y, z + counter_z) for name, (x, y, z) in spots.items()}


def stations(counter_z: float = 0.0, layout: Layout = LAYOUT, source: str = "stations.yaml") -> TaughtStations:
    """All required ones."""
    widths = {"cup": CUP_M, "lid": LID_M, "cable": PLUG_M}
    found = {}
    for name, (x, y, z) in heights(layout, counter_z).items():
        pose = Station(name=name, x=x, y=y, z=z, tilted=name in TILTED).pose()
        joints = solve(pose) if name != "hand" else (0.0,) * 7
        told = forward(joints) if name != "hand" else pose
        found[name] = Taught(
            positions_rad=joints,
            x=x,
            y=y,
            z=z,
            pitch_rad=told.pitch_rad,
            yaw_rad=told.yaw_rad,
            width_m=widths.get(name, 0.0),
            tilted=name in TILTED,
        )
    assert set(found) | {"counter"} == set(HOW)
    return TaughtStations(arm="panda", taught_at="2000-01-01T00:00:00+0000", stations=found, source=source)
