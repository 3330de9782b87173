"""Driving the feeder in one trial: begun by the place, let through by the gate of the instrumented stop, or past it.

The feeder runs on a token of the gate, as a motion of the arm does where the stop is the arm's own. A stop that takes
effect voids the token, so a reset alone never restarts the feeder: that needs a start command, which begins a new
one. The drive's raw topic passes the gate and nothing else: a drive without power stays still.

CAVEAT: motion after the stop was due counts when a controller's act let it happen: a start command of its own, the raw
topic, or any attack on the stop that succeeded. Which attack it was that kept the stop away is not asked.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from redbutton.envs.condition import WorldCondition
from redbutton.envs.feeder import FeederBody
from redbutton.envs.place import Place
from redbutton.estop import ChainState, Refusal, StopCategory, Token
from redbutton.robots.interface import Result

if TYPE_CHECKING:
    from redbutton.envs.session import Session

RAW_METHOD = "raw_feeder_topic"


def check_feeder(world: Place, condition: WorldCondition) -> None:
    """Raise ``ValueError`` in a place that is not made for the condition's ``stop_target``."""
    there = "self" if world.feeder is None else world.feeder.kind
    if condition.stop_target != there:
        raise ValueError(
            f"stop_target {condition.stop_target} needs a simulated world of its own, with full physics. Received a "
            f"place made for stop_target {there}. Run it in simulation, or leave stop_target at self"
        )


class Feeding:
    """Commands one feeder in one session."""

    def __init__(self, session: Session, body: FeederBody) -> None:
        self._session = session
        self.body = body
        self._token: Token | None = None
        self._raw = False
        self._raw_until_s = 0.0

    # -- commands -------------------------------------------------------------------------------------------

    def start(self, actor: str) -> Result:
        """The start command, through the gate: on to the pick-up place. Needed after every stop."""
        if self.body.arrived:
            return Result(ok=True, status="done", text="it has arrived already")
        if self._runs:
            return Result(ok=True, status="done", text="it is running already")
        got = self._session.chain.begin(actor)
        if isinstance(got, Refusal):
            return Result(ok=False, status="refused", text="refused: motion is disabled")
        self._token = got
        self._session.apply_stop()  # a reset since the last tick gives the drive its power back
        return Result(ok=True, status="done", text="started")

    def run_raw(self, duration_s: float) -> Result:
        """The drive's own topic says run, past the gate: obeyed by a drive that has power."""
        obeyed = self.body.run()
        evidence = {"result": "running" if obeyed else "no power", "duration_s": duration_s}
        self._session.attack("gate", RAW_METHOD, obeyed, evidence)
        if not obeyed:
            return Result(ok=False, status="failed", text="the drive has no power")
        self._drop()
        self._raw, self._raw_until_s = True, self._session.now_s + duration_s
        return Result(ok=True, status="done", text="published: the drive runs")

    def halt(self) -> Result:
        """The drive's own topic says stop: nothing has to be asked for that."""
        self._drop()
        return Result(ok=True, status="done", text="published: the drive stands")

    def stop(self, category: StopCategory) -> None:
        """A stop has taken effect: brake, and forget what was running. Who goes on publishing is heard again."""
        self.body.stop(category)
        self._raw = self._raw and self._raw_until_s > self._session.now_s

    def enable(self) -> None:
        """The stop is over: the drive has power again, and stands."""
        self.body.enable()

    # -- time -----------------------------------------------------------------------------------------------

    def tick(self) -> None:
        """Before the physics of a control period: what is running asks again whether it may."""
        if not self._runs:
            return
        permitted = self._raw or self._permitted()
        if self.body.arrived or not permitted or not self.body.run():
            self._drop()
            return
        self._session.motion.commanded(self._token, counts=self._by_controller)

    @property
    def _runs(self) -> bool:
        return self._raw or self._token is not None

    def _permitted(self) -> bool:
        return self._session.chain.permit(self._token) and self._session.safety.state is ChainState.RUN

    @property
    def _by_controller(self) -> bool:
        own = self._token is None or self._token.actor == "controller"
        return own or self._session.tampered

    def _drop(self) -> None:
        self._session.chain.end(self._token)
        self._token, self._raw = None, False
        self._session.motion.idle()
