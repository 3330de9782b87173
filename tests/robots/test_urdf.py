"""The URDF builder: well-formed text whose numbers, lines and inertias an importer can trust."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from xml.etree import ElementTree

import pytest

from redbutton.envs import fixtures
from redbutton.robots.arms import PANDA, panda_urdf
from redbutton.robots.engine import Engine
from redbutton.robots.urdf import Joint, Link, Shape, urdf

BULLET_LINE = 1023
"""Bullet's importer reads lines of so many characters and breaks a longer one in the middle of a word."""


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    engine = Engine()
    yield engine
    engine.close()


def _descriptions(made: object) -> list[str]:
    """Every URDF text inside what a builder returns: one, or several by name, perhaps with a place."""
    if isinstance(made, str):
        return [made] if made.startswith("<?xml") else []
    parts = made.values() if isinstance(made, dict) else made if isinstance(made, tuple) else ()
    return [text for part in parts for text in _descriptions(part)]


def _everything() -> dict[str, str]:
    """All bodies of the world, by the name that their description gives them."""
    members = inspect.getmembers(fixtures, inspect.isfunction)
    own = [f for name, f in members if f.__module__ == fixtures.__name__ and not name.startswith("_")]
    builders = [f for f in own if not inspect.signature(f).parameters]
    texts = [panda_urdf(), *(text for build in builders for text in _descriptions(build()))]
    return {ElementTree.fromstring(text).get("name", ""): text for text in texts}


def test_the_bodies_of_the_world_are_all_looked_at() -> None:
    assert {"panda", "cup", "lid", "fixtures", "hand", "counter", "tray", "coaster"} <= set(_everything())


@pytest.mark.parametrize("name", list(_everything()))
def test_every_body_is_well_formed_and_its_joints_name_links_that_exist(name: str) -> None:
    tree = ElementTree.fromstring(_everything()[name])
    links = [link.get("name") for link in tree.findall("link")]
    assert len(links) == len(set(links)) > 0
    for joint in tree.findall("joint"):
        assert {joint.find("parent").get("link"), joint.find("child").get("link")} <= set(links)  # type: ignore[union-attr]


@pytest.mark.parametrize("name", list(_everything()))
def test_no_line_is_longer_than_the_importer_reads(name: str) -> None:
    assert max(map(len, _everything()[name].splitlines())) < BULLET_LINE


def test_a_body_with_very_many_shapes_keeps_its_lines_short_and_loads_whole(engine: Engine) -> None:
    solid = Shape("box", (0.1, 0.1, 0.1))
    seen = [Shape("sphere", (0.01,), (0.001234567 * n, 0.0, 0.0)) for n in range(60)]
    links = [Link("base", 1.0, solid, seen), *(Link(f"arm_{n}", 0.1, solid) for n in range(12))]
    joints = [
        Joint(f"turn_{n}", "base" if n == 0 else f"arm_{n - 1}", f"arm_{n}", "revolute", limits=(-1.0, 1.0))
        for n in range(12)
    ]
    text = urdf("crowd", links, joints)
    assert len(text) > 10 * BULLET_LINE
    assert max(map(len, text.splitlines())) < BULLET_LINE
    assert list(engine.load_urdf(text, fixed=True).joints) == [f"turn_{n}" for n in range(12)]


@pytest.mark.parametrize(
    ("shape", "moments"),
    [
        (Shape("box", (1.0, 2.0, 3.0)), (13 / 12, 10 / 12, 5 / 12)),
        (Shape("sphere", (0.5,)), (0.1, 0.1, 0.1)),
        (Shape("cylinder", (0.5, 2.0)), (0.25 / 4 + 4 / 12, 0.25 / 4 + 4 / 12, 0.125)),
    ],
)
def test_inertia_is_that_of_the_solid_primitive(shape: Shape, moments: tuple[float, float, float]) -> None:
    assert shape.inertia(1.0) == pytest.approx(moments)
    assert shape.inertia(3.0) == pytest.approx(tuple(3.0 * m for m in moments))


def test_a_link_without_shapes_still_has_an_inertia() -> None:
    link = ElementTree.fromstring(Link("empty").xml())
    assert float(link.find("inertial/inertia").get("ixx")) > 0  # type: ignore[union-attr,arg-type]
    assert link.find("collision") is None


def test_a_solid_without_visuals_is_drawn_as_it_collides() -> None:
    link = ElementTree.fromstring(Link("one", 1.0, Shape("box", (1, 2, 3))).xml())
    assert link.find("visual/geometry/box").get("size") == "1 2 3"  # type: ignore[union-attr]


def test_fixed_joints_carry_no_limits_and_moving_ones_do() -> None:
    fixed = ElementTree.fromstring(Joint("a", "p", "c").xml())
    assert fixed.find("limit") is None
    slide = ElementTree.fromstring(Joint("a", "p", "c", "prismatic", limits=(-0.1, 0.2), effort=7.0).xml())
    assert slide.find("limit").attrib == {"lower": "-0.1", "upper": "0.2", "effort": "7", "velocity": "10"}  # type: ignore[union-attr]


def test_the_panda_has_its_published_joints_in_order() -> None:
    tree = ElementTree.fromstring(panda_urdf())
    turning = [joint for joint in tree.findall("joint") if joint.get("type") == "revolute"]
    assert tuple(joint.get("name") for joint in turning) == PANDA.joint_names
    limits = [(float(j.find("limit").get("lower")), float(j.find("limit").get("upper"))) for j in turning]  # type: ignore[union-attr,arg-type]
    assert limits == list(zip(PANDA.lower_rad, PANDA.upper_rad, strict=True))
