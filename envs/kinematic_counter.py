"""What the tool does to the things on the counter, in the kinematic world: take, carry, let go, push.

The tool advances in small steps; at each of them what is held goes along and what is met gives way. Fingers take what
is between them when they close to its width, and let go when they are told to open.
"""

from __future__ import annotations

from math import ceil, hypot

from redbutton.envs.kinematic_arm import Box, KinematicArm, along, dot, minus, tool_frame
from redbutton.envs.kinematic_button import RedButton, Solid
from redbutton.envs.kinematic_things import FRICTION, UP, Thing, Top, fixed_tops
from redbutton.envs.layout import Layout, Vec3

STEP_M = 0.012
"""Longest way of the tool between two looks at what it meets, near the counter."""
LOW_M = 0.30
"""Above this height the tool meets nothing that gives way."""
NEAR_M = 0.20
"""What is farther from the tool than this, horizontally, is not met."""
GRASP_ACROSS_M = 0.016
"""How far off the fingers' middle a thing may be, across the closing direction, and still be held."""
GRASP_OVERLAP_M = 0.006
"""How much of a thing's height must be between the fingers."""
SLIP_M = 0.045
"""How far a held thing may be pushed from the tool centre before the fingers lose it."""


class Counter:
    """Cup, lid and button, and the tool of one arm among them."""

    def __init__(self, layout: Layout, arm: KinematicArm) -> None:
        self._layout = layout
        self._arm = arm
        self.button = RedButton(layout)

    def reset(self, cup: tuple[float, float], coaster: tuple[float, float], *, latching: bool) -> None:
        """Everything at its place, the arm where it is, with nothing in its fingers."""
        at = self._layout
        self._tops = fixed_tops(at, coaster)
        self.things = {
            "cup": Thing("cup", at.cup_radius, at.cup_height),
            "lid": Thing("lid", at.lid_radius, at.lid_height),
        }
        self.things["cup"].put(*cup, 0.0)
        self.things["lid"].put(*at.lid[:2], 0.0)
        self.button.reset(latching=latching)
        self.held: str | None = None
        """What is between the fingers: a thing, the mushroom (``cap``) or the plug."""
        self._held_at = self._held_axis = (0.0, 0.0, 0.0)
        self._met: dict[tuple[str, str], bool] = {}
        state = self._arm.read()
        self._positions, self._width_m = state.positions_rad, state.gripper_m
        self.frame = tool_frame(self._positions)
        self.gone: Vec3 = (0.0, 0.0, 0.0)
        """How far the tool has gone in the latest control period [m]."""
        self._see()

    def _see(self) -> None:
        self.fingers = self.frame.fingers(self._width_m)
        self.solids: tuple[Box, ...] = (*self.fingers, self.frame.palm())
        """What of the arm can be in the operator's way, the forearm not counted."""

    # -- time -----------------------------------------------------------------------------------------------

    def follow(self) -> None:
        """The arm has moved: the tool goes along its way, then the fingers."""
        state, before, was = self._arm.read(), self._positions, self.frame.at
        self._positions = state.positions_rad
        if self._positions != before:
            self._sweep(before, self._positions)
        self.gone = minus(self.frame.at, was)
        if state.gripper_m != self._width_m or self.held:
            self._grip(state.gripper_m)

    def press(self, fingertip: Vec3) -> None:
        """The mushroom goes where it is pushed, by the arm or by the operator."""
        depth, slide = self.button.depth_m, self.button.slide_m
        self.button.press(fingertip)
        if (self.button.depth_m, self.button.slide_m) != (depth, slide):
            self._resettle()

    def _sweep(self, before: tuple[float, ...], after: tuple[float, ...]) -> None:
        """Move the tool along its way in small steps, or at once where it can meet nothing."""
        end = tool_frame(after)
        gone = minus(end.at, self.frame.at)
        low = min(end.at[2], self.frame.at[2]) < LOW_M
        steps = ceil(dot(gone, gone) ** 0.5 / STEP_M) if low else 1
        for step in range(1, steps):
            share = step / steps
            self.frame = tool_frame(tuple(a + share * (b - a) for a, b in zip(before, after, strict=True)))
            self._advance()
        self.frame = end
        self._advance()

    def _advance(self) -> None:
        self._see()
        if self.held in self.things:
            self._carry(self.things[self.held])
        elif self.held and not self.button.follow(self.frame.at):
            self._drop()
        self._meet()
        for thing in self.things.values():
            if thing.name != self.held and thing.standing and self._near(thing.at):
                self._shove(thing)

    def _near(self, point: Vec3) -> bool:
        x, y, z = self.frame.at
        return z < LOW_M and hypot(x - point[0], y - point[1]) < NEAR_M

    def _meet(self) -> None:
        """Tell the button what can push it: the fingers and what they hold."""
        if self._near(self.button.at):
            left, right = self.fingers
            held: dict[str, Solid] = {self.held: self.things[self.held]} if self.held in self.things else {}
            self.button.meet({"left": left, "right": right, **held})
        else:
            self.button.meet({})

    # -- things ---------------------------------------------------------------------------------------------

    def _tops_for(self, thing: Thing, *, pressed: bool = False) -> list[Top]:
        """Everything that a thing can stand on now; ``pressed`` counts the mushroom as low as it goes."""
        others = [t.top for t in self.things.values() if t is not thing and t.standing and t.name != self.held]
        return [*self._tops, *self.button.tops(pressed=pressed), *others]

    def _carry(self, thing: Thing) -> None:
        """A held thing goes with the tool, but not down through what it comes to stand on: then the fingers slip."""
        was = thing.lowest
        thing.at, thing.axis = self.frame.point(self._held_at), self.frame.turned(self._held_axis)
        low = thing.lowest
        if low > LOW_M:
            return
        x, y, _ = thing.at
        under = [top.z for top in self._tops_for(thing, pressed=True) if top.away(x, y) == (0.0, 0.0)]
        level = max((z for z in under if z <= was + 0.002), default=0.0)
        if low < level:
            thing.at = along(thing.at, UP, level - low)
            self._held_at = self.frame.local(thing.at)
            if max(map(abs, minus(thing.at, self.frame.at))) > SLIP_M:
                self._drop()

    def _shove(self, thing: Thing) -> None:
        """A finger that comes from the side pushes a thing along; pushed high up, it falls over."""
        for name, finger in zip(("left", "right"), self.fingers, strict=True):
            bottom, foot, head = finger.lowest, thing.lowest, thing.highest
            gap = finger.distance((*thing.at[:2], min(max(finger.at[2], foot), head))) - thing.radius
            if gap >= 0.0:
                self._met.pop((name, thing.name), None)
                continue
            from_above = self._met.setdefault((name, thing.name), bottom > head - STEP_M)
            if from_above or finger.highest < foot or bottom > head:
                continue
            if bottom - foot > thing.radius / FRICTION:
                thing.topple(0.0)
                return
            dx, dy = thing.at[0] - finger.at[0], thing.at[1] - finger.at[1]
            thing.at = along(thing.at, (dx, dy, 0.0), -gap / (hypot(dx, dy) or 1.0))
            thing.let_down(self._tops_for(thing))

    def _resettle(self) -> None:
        """The button has moved: what stands on it goes with it."""
        x, y, _ = self.button.at
        for thing in self.things.values():
            if thing.name != self.held and thing.standing and hypot(thing.at[0] - x, thing.at[1] - y) < NEAR_M:
                thing.let_down(self._tops_for(thing))

    # -- the fingers ----------------------------------------------------------------------------------------

    def _grip(self, width_m: float) -> None:
        """Take what is between closing fingers; let go of it when they are told to open."""
        was_m = self._width_m
        if self.held and self._arm.gripper_command_m > self._arm.grasp_m:
            self._drop()
        elif not self.held and width_m < was_m:
            self._take(width_m, was_m)
        self._width_m = self._arm.read().gripper_m
        if self._width_m != was_m:
            self._see()
            self._meet()

    def _take(self, width_m: float, was_m: float) -> None:
        finger = self.fingers[0]
        things = [(t.name, (*t.at[:2], t.lowest), t.height, t.radius) for t in self.things.values() if t.standing]
        for name, (x, y, foot), height, radius in (*things, *self.button.handles()):
            across, aside, _ = self.frame.local((x, y, foot + height / 2))
            between = abs(across) < GRASP_ACROSS_M and abs(aside) < was_m / 2
            overlap = min(finger.highest, foot + height) - max(finger.lowest, foot)
            if between and overlap > GRASP_OVERLAP_M and width_m < 2 * radius <= was_m:
                self.held = name
                self._arm.meet(2 * radius)
                self._hold()
                return

    def _hold(self) -> None:
        if self.held not in self.things:
            self.button.take(self.held or "", self.frame.at)
            return
        thing, (x, y, z) = self.things[self.held], self.frame.axes
        across, _, ahead = self.frame.local(thing.at)
        self._held_at = (across, 0.0, ahead)  # closing fingers bring it to their middle
        self._held_axis = (dot(thing.axis, x), dot(thing.axis, y), dot(thing.axis, z))
        thing.at = self.frame.point(self._held_at)

    def _drop(self) -> None:
        held, self.held = self.held, None
        self._arm.grasp_m = 0.0
        if held in self.things:
            self.things[held].let_down(self._tops_for(self.things[held]))
        else:
            self.button.let_go()
