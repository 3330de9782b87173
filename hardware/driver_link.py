"""The supervisor's side of the arm's ROS graph: the only publishers to the arm, and what is heard from it.

Everything that arrives is put into ``joint_states`` and ``heard`` by the executor's thread and taken out by the
supervisor's loop; everything that is sent is sent from the loop and waits for no answer: services answer into
``heard``. Optional packages (``control_msgs``, ``controller_manager_msgs``) are used where they can be imported; what
is missing is told once, and done without.

CAVEAT: the count of publishers comes from DDS discovery, which takes its time: a stranger is noticed about when the
driver could first hear it, not before. What keeps strangers out is the network (``docs/deployment.md``).
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from redbutton.estop import Clock
from redbutton.hardware import trajectories
from redbutton.hardware.config import BenchConfig, BenchError
from redbutton.hardware.ros import RosNode, capabilities, command_qos, message_type, sensor_qos

GRAPH_PERIOD_S = 0.02
ANSWER_WITHIN_S = 2.0
"""A service that has not answered by then is told as silent."""


@dataclass(frozen=True, slots=True)
class JointReading:
    """One message of joint states; ``stamp_s`` is the driver's clock, ``t_s`` when it was heard on ours."""

    names: tuple[str, ...]
    positions: tuple[float, ...]
    velocities: tuple[float, ...]
    stamp_s: float
    t_s: float


@dataclass(frozen=True, slots=True)
class Graph:
    """Who else is there: publishers of the topics we command (our own included), and who listens."""

    publishers: int
    subscribers: int


@dataclass(frozen=True, slots=True)
class IncompatibleQos:
    """Somebody's quality of service shuts us out, or ours them."""

    detail: str


@dataclass(frozen=True, slots=True)
class SafetyModeHeard:
    """Value on the arm's safety mode topic."""

    value: Any


@dataclass(frozen=True, slots=True)
class PowerAnswer:
    """What a power service answered; ``action`` is ``on`` or ``off``."""

    action: str
    ok: bool
    detail: str


@dataclass(frozen=True, slots=True)
class Note:
    """Something for the record."""

    kind: str
    detail: dict[str, Any]


Heard: TypeAlias = Graph | IncompatibleQos | SafetyModeHeard | PowerAnswer | Note


class DriverLink:
    """Commands to the arm and readings from it. ``wake`` is called whenever something was heard."""

    def __init__(self, config: BenchConfig, wake: Callable[[], None], clock: Clock = time.monotonic) -> None:
        self.config = config
        self.ros = RosNode("redbutton_supervisor", config.ros.domain_id, config.ros.discovery)
        self.joint_states: deque[JointReading] = deque(maxlen=64)
        self.heard: deque[Heard] = deque(maxlen=1024)
        self.capabilities: dict[str, bool] = {}
        self._wake = wake
        self._clock = clock
        self._motion: Any = None
        self._gripper: Any = None
        self._gripper_action: Any = None
        self._services: dict[str, tuple[Any, Any]] = {}
        self._pending: dict[str, tuple[Any, float]] = {}
        self._told: set[str] = set()
        self._cancel_owed_s: float | None = None
        """Since when goals were to be cancelled but nobody served that."""

    def open(self) -> None:
        """Join the arm's graph. Raises ``BenchError``."""
        self.ros.open()
        self.capabilities = capabilities()
        try:
            self._publish()
            self._subscribe()
            self._make_services()
        except BenchError:
            raise
        except Exception as exc:  # noqa: BLE001 - a name that ROS refuses, or events that this middleware cannot tell
            why = " ".join(str(exc).split())[:200]
            raise BenchError(f"the arm's topics and services must be possible in ROS. Received {why}") from None
        self.ros.node.create_timer(GRAPH_PERIOD_S, self._watch)

    def close(self) -> None:
        """Leave the graph. Safe to call twice."""
        if self._gripper_action is not None:
            self._gripper_action.destroy()
            self._gripper_action = None
        self.ros.close()

    def _publish(self) -> None:
        from rclpy.event_handler import PublisherEventCallbacks
        from trajectory_msgs.msg import JointTrajectory

        arm, node = self.config.arm, self.ros.node
        watch = PublisherEventCallbacks(incompatible_qos=lambda info: self._shut_out(arm.trajectory_topic, info))
        self._motion = node.create_publisher(
            JointTrajectory, arm.trajectory_topic, command_qos(), event_callbacks=watch
        )
        gripper = arm.gripper
        if gripper.kind in ("trajectory", "positions"):
            kind = trajectories.gripper_type(gripper)
            # No stop: a gripper that cannot be commanded stays as it is.
            told = PublisherEventCallbacks(
                incompatible_qos=lambda info: self._tell_once("gripper_incompatible_qos", topic=gripper.topic)
            )
            self._gripper = node.create_publisher(kind, gripper.topic, command_qos(), event_callbacks=told)
        elif gripper.kind == "action":
            self._make_gripper_action()

    def _make_gripper_action(self) -> None:
        if not self.capabilities["control_msgs"]:
            self._tell_once(
                "downgraded", what="gripper", why="control_msgs is not installed: the gripper stays as it is"
            )
            return
        from rclpy.action.client import ActionClient

        kind = message_type("control_msgs/action/GripperCommand")
        self._gripper_action = ActionClient(self.ros.node, kind, str(self.config.arm.gripper.topic))

    def _subscribe(self) -> None:
        from rclpy.event_handler import SubscriptionEventCallbacks
        from sensor_msgs.msg import JointState

        arm, node = self.config.arm, self.ros.node
        watch = SubscriptionEventCallbacks(incompatible_qos=lambda info: self._shut_out(arm.joint_states, info))
        node.create_subscription(JointState, arm.joint_states, self._hear_joints, sensor_qos(), event_callbacks=watch)
        mode = arm.safety_mode
        if mode is None:
            return
        kind = message_type(mode.type)

        def hear(message: Any) -> None:
            self._hear(SafetyModeHeard(getattr(message, mode.field, None)))

        # A mode may be published once for all (transient local, as UR does) or again and again (volatile): one
        # subscription cannot hear both, and the one that does not fit is not a fault.
        quiet = SubscriptionEventCallbacks(incompatible_qos=lambda info: None)
        node.create_subscription(kind, mode.topic, hear, sensor_qos(), event_callbacks=quiet)
        node.create_subscription(kind, mode.topic, hear, _latched_qos(), event_callbacks=quiet)

    def _make_services(self) -> None:
        from action_msgs.srv import CancelGoal

        arm = self.config.arm
        self._add_service("cancel", CancelGoal, arm.cancel_service)
        if arm.power is not None:
            from std_srvs.srv import Trigger

            self._add_service("power_off", Trigger, arm.power.off)
            if arm.power.on is not None:
                self._add_service("power_on", Trigger, arm.power.on)
        if self.capabilities["controller_manager_msgs"]:
            kind = message_type("controller_manager_msgs/srv/SwitchController")
            self._add_service("switch", kind, f"{arm.controller_manager}/switch_controller")

    def _add_service(self, name: str, kind: Any, service: str) -> None:
        self._services[name] = (self.ros.node.create_client(kind, service), kind)

    # -- what is heard: called by the executor's thread -------------------------------------------------------

    def _hear(self, what: Heard) -> None:
        self.heard.append(what)
        self._wake()

    def _hear_joints(self, message: Any) -> None:
        stamp = message.header.stamp
        reading = JointReading(
            names=tuple(message.name),
            positions=tuple(message.position),
            velocities=tuple(message.velocity),
            stamp_s=stamp.sec + stamp.nanosec * 1e-9,
            t_s=self._clock(),
        )
        self.joint_states.append(reading)

    def _shut_out(self, topic: str, info: Any) -> None:
        policy = info.last_policy_kind
        self._hear(IncompatibleQos(f"{topic}: {getattr(policy, 'name', policy)}"))

    def _watch(self) -> None:
        node, arm = self.ros.node, self.config.arm
        publishers = node.count_publishers(arm.trajectory_topic)
        if self._gripper is not None:
            publishers = max(publishers, node.count_publishers(self._gripper.topic_name))
        self.heard.append(Graph(publishers, self._motion.get_subscription_count()))
        now_s = self._clock()
        if self._cancel_owed_s is not None:
            self._cancel_late(now_s - self._cancel_owed_s)
        for name, (future, asked_s) in list(self._pending.items()):
            if now_s - asked_s > ANSWER_WITHIN_S and self._pending.pop(name, None) is not None:
                self._services[name][0].remove_pending_request(future)
                self._tell_result(name, False, f"no answer within {ANSWER_WITHIN_S:g} s")

    def _cancel_late(self, waited_s: float) -> None:
        """The driver's action may have been discovered, or come up, only now."""
        if self._services["cancel"][0].service_is_ready():
            self.cancel_goals()
        elif waited_s > ANSWER_WITHIN_S:
            self._tell_once("cancel_failed", detail=f"nobody serves {self.config.arm.cancel_service}")

    # -- what is sent: called by the loop, waits for nothing --------------------------------------------------

    def hold(self, positions_rad: Sequence[float]) -> None:
        """Send a hold. The gripper stays as it was commanded: held where it is, it would let go of what it holds."""
        self._motion.publish(trajectories.trajectory_message(trajectories.hold(self.config.arm, positions_rad)))

    def motion(self, positions_rad: Sequence[float], velocities_rad_s: Sequence[float], duration_s: float) -> None:
        """Send a command that ends at rest."""
        plan = trajectories.motion(self.config.arm, positions_rad, velocities_rad_s, duration_s)
        self._motion.publish(trajectories.trajectory_message(plan))

    def gripper(self, opening_m: float, duration_s: float) -> None:
        """Send the gripper's opening."""
        gripper = self.config.arm.gripper
        if self._gripper is not None:
            self._gripper.publish(trajectories.gripper_message(gripper, opening_m, duration_s))
        elif self._gripper_action is not None and self._gripper_action.server_is_ready():
            goal = message_type("control_msgs/action/GripperCommand").Goal()
            goal.command.position = trajectories.gripper_joint(gripper, opening_m)
            goal.command.max_effort = gripper.force_n
            self._gripper_action.send_goal_async(goal)

    def cancel_goals(self) -> None:
        """Cancel every goal of the controller's action: a hold on the topic does not end one."""
        owed = not self._ask("cancel")
        self._cancel_owed_s = self._clock() if owed else None

    def power(self, action: str) -> None:
        """Take (``off``) or give (``on``) the drives' power."""
        self._ask(f"power_{action}")

    def _activate(self) -> None:
        """Drivers deactivate their controllers when the power goes: have ours active again."""
        if "switch" not in self._services:
            self._tell_once("downgraded", what="controller_switch", why="controller_manager_msgs is not installed")
            return
        request = self._services["switch"][1].Request()
        request.activate_controllers = [self.config.arm.controller.strip("/")]
        request.strictness = request.BEST_EFFORT
        self._ask("switch", request)

    def _ask(self, name: str, request: Any = None) -> bool:
        """Call a service. False: it is not there."""
        if name not in self._services or name in self._pending:
            return True
        client, kind = self._services[name]
        if not client.service_is_ready():
            if name != "cancel":
                self._tell_result(name, False, f"nobody serves {client.srv_name}")
            return False
        future = client.call_async(kind.Request() if request is None else request)
        self._pending[name] = (future, self._clock())
        future.add_done_callback(lambda done: self._answered(name, done))
        if future.done():
            self._pending.pop(name, None)
        return True

    def _answered(self, name: str, future: Any) -> None:
        self._pending.pop(name, None)
        answer = future.result()
        if answer is None:
            return
        good = bool(getattr(answer, "success", getattr(answer, "ok", True)))
        self._tell_result(name, good, str(getattr(answer, "message", "")))
        if name == "power_on" and good:
            self._activate()

    def _tell_result(self, name: str, good: bool, detail: str) -> None:
        if name.startswith("power_"):
            self._hear(PowerAnswer(name.removeprefix("power_"), good, detail))
        elif not good:
            self._tell_once(f"{name}_failed", detail=detail)

    def _tell_once(self, kind: str, **detail: Any) -> None:
        key = f"{kind} {detail}"
        if key not in self._told:
            self._told.add(key)
            self._hear(Note(kind, detail))


def _latched_qos() -> Any:
    from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy

    return QoSProfile(depth=1, reliability=ReliabilityPolicy.RELIABLE, durability=DurabilityPolicy.TRANSIENT_LOCAL)


__all__ = ["DriverLink", "Graph", "IncompatibleQos", "JointReading", "Note", "PowerAnswer", "SafetyModeHeard"]
