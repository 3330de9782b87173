"""Small builder of URDF text from primitives, so that every body of the world is our own.

Format: the URDF XML specification of ROS. Inertia is that of the collision (or first visual) primitive taken as solid.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Vec3 = tuple[float, float, float]
Rgba = tuple[float, float, float, float]


@dataclass(frozen=True)
class Shape:
    """A primitive: ``box`` sizes (x, y, z), ``cylinder`` (radius, length along z), ``sphere`` (radius,). Metres.

    A collision shape that is turned within its link becomes a compound in Bullet, and compounds break bit-exact
    restores: turn the link or the body instead.
    """

    kind: Literal["box", "cylinder", "sphere"]
    size: tuple[float, ...]
    at: Vec3 = (0.0, 0.0, 0.0)
    rpy: Vec3 = (0.0, 0.0, 0.0)
    colour: Rgba = (0.8, 0.8, 0.8, 1.0)

    def geometry(self) -> str:
        """The ``<origin>`` and ``<geometry>`` of this primitive."""
        if self.kind == "box":
            inner = f'<box size="{_join(self.size)}"/>'
        elif self.kind == "cylinder":
            inner = f'<cylinder radius="{self.size[0]:.9g}" length="{self.size[1]:.9g}"/>'
        else:
            inner = f'<sphere radius="{self.size[0]:.9g}"/>'
        return f'<origin xyz="{_join(self.at)}" rpy="{_join(self.rpy)}"/><geometry>{inner}</geometry>'

    def inertia(self, mass: float) -> Vec3:
        """Principal moments as a solid [kg m²], about the primitive's centre."""
        if self.kind == "box":
            x, y, z = (s * s for s in self.size)
            return mass * (y + z) / 12.0, mass * (x + z) / 12.0, mass * (x + y) / 12.0
        radius = self.size[0]
        if self.kind == "sphere":
            moment = 0.4 * mass * radius * radius
            return moment, moment, moment
        side = mass * (3.0 * radius * radius + self.size[1] ** 2) / 12.0
        return side, side, 0.5 * mass * radius * radius


@dataclass(frozen=True)
class Link:
    """A rigid link: one collision primitive at most, any number of visual ones."""

    name: str
    mass: float = 0.0
    collision: Shape | None = None
    visuals: Sequence[Shape] = ()

    def xml(self) -> str:
        """The ``<link>`` element."""
        body = self.collision or (self.visuals[0] if self.visuals else None)
        parts = [f'<link name="{self.name}">']
        ixx, iyy, izz = body.inertia(self.mass) if body and self.mass > 0 else (1e-4, 1e-4, 1e-4)
        origin = f'<origin xyz="{_join(body.at)}" rpy="{_join(body.rpy)}"/>' if body else ""
        parts.append(
            f'<inertial>{origin}<mass value="{self.mass:.9g}"/>'
            f'<inertia ixx="{ixx:.9g}" iyy="{iyy:.9g}" izz="{izz:.9g}" ixy="0" ixz="0" iyz="0"/></inertial>'
        )
        for number, shape in enumerate(self.visuals or ([self.collision] if self.collision else [])):
            name = f"{self.name}_{number}"
            parts.append(
                f'<visual>{shape.geometry()}<material name="{name}">'
                f'<color rgba="{_join(shape.colour)}"/></material></visual>'
            )
        if self.collision:
            parts.append(f"<collision>{self.collision.geometry()}</collision>")
        return "".join(parts) + "</link>"


@dataclass(frozen=True)
class Joint:
    """A joint between two links. Limits in rad or m; effort in N m or N; velocity per second."""

    name: str
    parent: str
    child: str
    kind: Literal["fixed", "revolute", "prismatic"] = "fixed"
    at: Vec3 = (0.0, 0.0, 0.0)
    rpy: Vec3 = (0.0, 0.0, 0.0)
    axis: Vec3 = (0.0, 0.0, 1.0)
    limits: tuple[float, float] = (0.0, 0.0)
    effort: float = 100.0
    velocity: float = 10.0

    def xml(self) -> str:
        """The ``<joint>`` element."""
        moving = ""
        if self.kind != "fixed":
            moving = (
                f'<axis xyz="{_join(self.axis)}"/><limit lower="{self.limits[0]:.9g}" upper="{self.limits[1]:.9g}"'
                f' effort="{self.effort:.9g}" velocity="{self.velocity:.9g}"/>'
            )
        return (
            f'<joint name="{self.name}" type="{self.kind}"><parent link="{self.parent}"/><child link="{self.child}"/>'
            f'<origin xyz="{_join(self.at)}" rpy="{_join(self.rpy)}"/>{moving}</joint>'
        )


def urdf(name: str, links: Sequence[Link], joints: Sequence[Joint] = ()) -> str:
    """The whole robot description as text."""
    inner = "".join(link.xml() for link in links) + "".join(joint.xml() for joint in joints)
    text = f'<?xml version="1.0"?><robot name="{name}">{inner}</robot>'
    # Bullet's importer reads lines of 1,023 characters and breaks a longer one in the middle of a word.
    return text.replace("><", ">\n<")


def _join(values: Sequence[float]) -> str:
    return " ".join(f"{value:.9g}" for value in values)
