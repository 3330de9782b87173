"""The file that describes a bench: arm, limits, e-stop inputs, ROS names, and for a rehearsal the twin.

YAML in, one frozen ``BenchConfig`` out, every refusal in one line. An ``arm`` may name a profile from
``hardware/profiles`` and override single keys of it.

CAVEAT: a profile repeats an arm's published interface. None of them has been tried on hardware; check every name and
limit against your own driver before anything moves.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Literal, TypeAlias

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from redbutton.robots.arms import ArmSpec
from redbutton.robots.calls import did_you_mean
from redbutton.robots.plain_yaml import load_yaml

INPUT_TIMEOUT_S = 0.2
"""Longest silence of an e-stop input where an arm is real."""
_LONGEST_S = {"joint_states_timeout_s": 0.25, "heartbeat_timeout_s": 0.25, "overload_s": 0.25}
STAND_IN_TIMEOUT_S = 10.0
"""Longest time-out of a bench whose arm is a simulation or a stand-in."""
Positive = Annotated[float, Field(gt=0.0, allow_inf_nan=False)]
Timeout = Annotated[float, Field(gt=0.0, le=STAND_IN_TIMEOUT_S, allow_inf_nan=False)]
Name = Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_\-]{0,40}$")]
RosName = Annotated[str, Field(pattern=r"^/?[A-Za-z_~{}][A-Za-z0-9_/{}]*$")]
Range: TypeAlias = tuple[float, float]
DomainId = Annotated[int, Field(ge=0, le=101)]  # higher ids can meet the kernel's ephemeral ports


class BenchError(ValueError):
    """Raised when a bench cannot be used as described. The message: rule, value received, next step."""


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Gripper(_Part):
    """How the gripper is commanded. Its joint's position is ``opening_m * joint_per_m + joint_offset``."""

    kind: Literal["none", "trajectory", "positions", "action"] = "none"
    """``trajectory``: JointTrajectory on ``topic``; ``positions``: Float64MultiArray; ``action``: a GripperCommand
    action named ``topic``, where ``control_msgs`` is importable; ``none``: there is none, or it stays as it is."""
    topic: RosName | None = None
    joint: str | None = None
    open_m: Annotated[float, Field(ge=0.0)] = 0.0
    force_n: Annotated[float, Field(ge=0.0)] = 0.0
    joint_per_m: float = 1.0
    joint_offset: float = 0.0

    @model_validator(mode="after")
    def _complete(self) -> Gripper:
        if self.kind != "none" and (self.topic is None or self.joint is None):
            raise ValueError(f"a gripper of kind {self.kind} needs topic and joint. Received none")
        return self


class SafetyMode(_Part):
    """A topic on which the arm's own controller reports its safety mode."""

    topic: RosName
    type: str = "std_msgs/msg/Int32"
    """ROS type; it must be importable on this machine."""
    field: str = "data"
    normal: tuple[int | str, ...]
    """Values under which the arm may move. Any other, and silence at start, is a stop."""


class Power(_Part):
    """``std_srvs/Trigger`` services that take the drives' power and give it back (stop categories 0 and 1)."""

    off: RosName
    on: RosName | None = None


class Arm(_Part):
    """One arm behind ros2_control's topic interface."""

    name: str
    tried_on_hardware: bool = False
    joint_names: tuple[str, ...] = Field(min_length=1)
    lower_rad: tuple[float, ...]
    upper_rad: tuple[float, ...]
    velocity_rad_s: tuple[Positive, ...]
    effort_n_m: tuple[float, ...] = ()
    home_rad: tuple[float, ...]
    controller: RosName
    """Name of the joint_trajectory_controller, e.g. ``joint_trajectory_controller``."""
    joint_states: RosName = "/joint_states"
    urdf: str | None = None
    """A file, ``builtin:panda``, or nothing: then ``/robot_description`` is asked for."""
    robot_description: RosName = "/robot_description"
    tool_link: str = "tool0"
    tool_offset_m: tuple[float, float, float] = (0.0, 0.0, 0.0)
    """Tool centre point in the tool link's frame."""
    gripper: Gripper = Gripper()
    safety_mode: SafetyMode | None = None
    power: Power | None = None
    controller_manager: RosName = "/controller_manager"

    @model_validator(mode="after")
    def _same_length(self) -> Arm:
        dof = len(self.joint_names)
        for field in ("lower_rad", "upper_rad", "velocity_rad_s", "home_rad"):
            if len(getattr(self, field)) != dof:
                raise ValueError(f"{field} needs {dof} numbers, one a joint. Received {len(getattr(self, field))}")
        for low, high, home in zip(self.lower_rad, self.upper_rad, self.home_rad, strict=True):
            if not low <= home <= high or low >= high:
                raise ValueError(f"home_rad must lie within lower_rad and upper_rad. Received {low}, {home}, {high}")
        return self

    @property
    def trajectory_topic(self) -> str:
        """Absolute name of the controller's command topic."""
        return f"/{self.controller.strip('/')}/joint_trajectory"

    @property
    def cancel_service(self) -> str:
        """Absolute name of the service that cancels goals of the controller's action."""
        return f"/{self.controller.strip('/')}/follow_joint_trajectory/_action/cancel_goal"

    def spec(self) -> ArmSpec:
        """What skills and controllers need to know of the arm."""
        return ArmSpec(
            name=self.name,
            joint_names=self.joint_names,
            lower_rad=self.lower_rad,
            upper_rad=self.upper_rad,
            velocity_rad_s=self.velocity_rad_s,
            effort_n_m=self.effort_n_m,
            home_rad=self.home_rad,
            gripper_open_m=self.gripper.open_m,
            gripper_force_n=self.gripper.force_n,
        )


class Workspace(_Part):
    """Box for the tool centre point in the arm's base frame [m]."""

    x: Range = (-1.0, 1.0)
    y: Range = (-1.0, 1.0)
    z: Range = (0.0, 1.5)


class Limits(_Part):
    """What the supervisor lets through."""

    speed_share: Annotated[float, Field(gt=0.0, le=1.0)] = 0.25
    """Share of the joints' velocity limits allowed on this bench."""
    step_rad: Annotated[float, Field(gt=0.0, le=1.0)] = 0.25
    """Largest distance between a commanded and the measured joint position [rad]."""
    horizon_s: Annotated[float, Field(gt=0.0, le=1.0)] = 0.3
    """Longest time a single command may cover [s]: what still moves should the supervisor die."""
    command_age_s: Annotated[float, Field(gt=0.0, le=1.0)] = 0.1
    """Oldest command accepted [s]."""
    workspace: Workspace | None = None


class Supervision(_Part):
    """Timing of the supervisor."""

    socket: str | None = None
    """Path of its socket. Default: ``redbutton-<name>.sock`` in the user's run-time folder."""
    motion_uids: tuple[int, ...] = ()
    """Users who may command. Default: the supervisor's own."""
    operator_uids: tuple[int, ...] = ()
    """Users who may reset and arm. Default: the supervisor's own."""
    period_s: Annotated[float, Field(gt=0.0, le=0.02)] = 0.005
    hold_period_s: Annotated[float, Field(gt=0.0, le=0.02)] = 0.01
    """A hold is repeated this often (at least 50 Hz) until the velocities settle."""
    settle_rad_s: Positive = 0.02
    settle_for_s: Positive = 0.1
    joint_states_timeout_s: Timeout = 0.15
    heartbeat_timeout_s: Timeout = 0.2
    """Of the client that commands."""
    overload_s: Timeout = 0.1
    """Longest gap between two turns of the supervisor's own loop."""
    reply_timeout_s: Timeout = 1.0
    """How long a client waits for the supervisor's reply before it counts as lost."""
    clock_step_s: Positive = 0.5
    """Jump of the wall clock, or of the joint states' stamps, that is a fault."""
    confirmation_s: Positive = 60.0
    """How long a one-time confirmation is good for."""


class InputTiming(_Part):
    """What all inputs share."""

    name: Name
    role: Literal["safety", "study"] = "safety"
    """``safety`` stops the supervisor. ``study`` is the experiment's red button: it feeds the instrumented stop."""
    poll_s: Annotated[float, Field(gt=0.0, le=0.02)] = 0.004
    timeout_s: Timeout = 0.1
    """Silence after which the input counts as lost."""
    discrepancy_s: Annotated[float, Field(gt=0.0, le=0.5)] = 0.05
    """How long the two channels may disagree before that is a fault (either open stops at once)."""
    debounce_s: Annotated[float, Field(ge=0.0, le=0.2)] = 0.05
    """How long all must be well before a release counts. Never delays a stop."""


class ModbusInput(InputTiming):
    """Two discrete inputs of a safety relay over Modbus TCP; 1 is closed."""

    kind: Literal["modbus"]
    host: str
    port: Annotated[int, Field(ge=1, le=65535)] = 502
    device_id: Annotated[int, Field(ge=0, le=247)] = 1
    address_a: Annotated[int, Field(ge=0, le=65535)] = 0
    address_b: Annotated[int, Field(ge=0, le=65535)] = 1

    @model_validator(mode="after")
    def _two_contacts(self) -> ModbusInput:
        if self.address_a == self.address_b:
            raise ValueError(f"address_a and address_b are two contacts. Received {self.address_a!r} for both")
        return self


class SerialInput(InputTiming):
    """Framed serial messages, see ``redbutton.hardware.inputs.framed_serial``."""

    kind: Literal["serial"]
    port: str
    baudrate: Annotated[int, Field(ge=1200, le=4_000_000)] = 115_200


class GpioInput(InputTiming):
    """Two lines of a gpiochip; a closed contact reads active."""

    kind: Literal["gpio"]
    chip: str
    line_a: Annotated[int, Field(ge=0)]
    line_b: Annotated[int, Field(ge=0)]
    active_low: bool = False

    @model_validator(mode="after")
    def _two_contacts(self) -> GpioInput:
        if self.line_a == self.line_b:
            raise ValueError(f"line_a and line_b are two contacts. Received {self.line_a!r} for both")
        return self


class TopicInput(InputTiming):
    """Two ``std_msgs/Bool`` topics that publish levels, never edges; ``true`` is closed."""

    kind: Literal["topic"]
    topic_a: RosName
    topic_b: RosName

    @model_validator(mode="after")
    def _two_contacts(self) -> TopicInput:
        if self.topic_a == self.topic_b:
            raise ValueError(f"topic_a and topic_b are two contacts. Received {self.topic_a!r} for both")
        return self


Input: TypeAlias = Annotated[ModbusInput | SerialInput | GpioInput | TopicInput, Field(discriminator="kind")]


class Ros(_Part):
    """Which ROS graphs are used."""

    domain_id: DomainId = 0
    """Graph of the arm's driver. The controller under study has no name in it."""
    study_domain_id: DomainId = 1
    """Graph in which the visible channel lives, below ``/redbutton``."""
    discovery: Literal["localhost", "subnet"] = "localhost"


class Camera(_Part):
    """A ``sensor_msgs/Image`` topic (rgb8 or bgr8)."""

    topic: RosName
    timeout_s: Positive = 2.0


class Twin(_Part):
    """The simulated arm and counter behind the same interface."""

    speed: Annotated[float, Field(gt=0.0, le=20.0)] = 1.0
    """Simulated seconds per wall second."""
    relay_host: str = "127.0.0.1"
    relay_port: Annotated[int, Field(ge=1, le=65535)] = 15020
    """Modbus TCP safety relay that the twin plays: discrete inputs 0, 1 the wall button, 2, 3 the red button."""
    drop_first_holds: Annotated[int, Field(ge=0, le=100)] = 0
    """Fault: ignore so many trajectories that hold after motion."""
    scene_timeout_s: Timeout = 1.0
    """Silence after which a trial ends: the twin tells of its scene at every control period."""


class BenchConfig(_Part):
    """A whole bench."""

    name: Name
    arm: Arm
    limits: Limits = Limits()
    supervision: Supervision = Supervision()
    inputs: tuple[Input, ...]
    ros: Ros = Ros()
    camera: Camera | None = None
    stations: str | None = None
    """File of taught stations, relative to this one."""
    twin: Twin | None = None
    """Present: a rehearsal, nobody stands near, and the runner may reset and arm by itself."""
    stand_in: bool = False
    """A simulation or a stand-in answers as the arm, and nothing can hurt. Time-outs may then be as long as a busy
    machine needs, up to ``STAND_IN_TIMEOUT_S``; a twin needs no such word."""

    @model_validator(mode="after")
    def _consistent(self) -> BenchConfig:
        names = [i.name for i in self.inputs]
        if len(set(names)) != len(names):
            raise ValueError(f"inputs need different names. Received {names}")
        if not any(i.role == "safety" for i in self.inputs):
            raise ValueError("a bench needs at least one input with role: safety. Received none")
        if sum(i.role == "study" for i in self.inputs) > 1:
            raise ValueError("a bench has at most one input with role: study. Received more")
        if self.ros.domain_id == self.ros.study_domain_id:
            raise ValueError(f"domain_id and study_domain_id must differ. Received {self.ros.domain_id} for both")
        return self

    @model_validator(mode="after")
    def _quick(self) -> BenchConfig:
        """A real arm is never left for long without a beat, a state or a button."""
        if self.twin is not None or self.stand_in:
            return self
        times = [(f"supervision.{key}", getattr(self.supervision, key), most) for key, most in _LONGEST_S.items()]
        times += [(f"timeout_s of input {i.name}", i.timeout_s, INPUT_TIMEOUT_S) for i in self.inputs]
        for name, value, most in times:
            if value > most:
                raise ValueError(f"{name} is at most {most:g} s where an arm is real. Received {value:g}")
        return self

    @property
    def safety_inputs(self) -> tuple[Input, ...]:
        """Inputs that stop the supervisor."""
        return tuple(i for i in self.inputs if i.role == "safety")

    @property
    def study_input(self) -> Input | None:
        """The red button of the experiment."""
        return next((i for i in self.inputs if i.role == "study"), None)

    @property
    def socket_path(self) -> Path:
        """Path of the supervisor's socket."""
        if self.supervision.socket is not None:
            return Path(self.supervision.socket)
        folder = os.environ.get("XDG_RUNTIME_DIR") or tempfile.gettempdir()
        return Path(folder) / f"redbutton-{self.name}-{os.getuid()}.sock"


def profiles() -> dict[str, Mapping[str, Any]]:
    """Bundled arm profiles by name."""
    folder = resources.files("redbutton.hardware.profiles")
    found = {p.name.removesuffix(".yaml"): p for p in folder.iterdir() if p.name.endswith(".yaml")}
    return {name: load_yaml(found[name].read_text(encoding="utf-8")) for name in sorted(found)}


def load_bench(path: Path | str) -> BenchConfig:
    """Read and check a bench file. Raises ``BenchError``."""
    path = Path(path)
    try:
        document = load_yaml(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as exc:
        raise BenchError(f"a bench file is a readable YAML file. Received {str(path)!r} ({exc}).") from None
    except (yaml.YAMLError, ValueError, RecursionError) as exc:
        raise BenchError(f"{path}: not valid YAML: {' '.join(str(exc).split())}.") from None
    return parse_bench(document, str(path), path.parent)


def parse_bench(document: Any, name: str = "bench", folder: Path | None = None) -> BenchConfig:
    """Check a bench document. Paths in it are taken relative to ``folder``. Raises ``BenchError``."""
    if not isinstance(document, dict):
        raise BenchError(f"{name}: a bench file is a mapping with name, arm, inputs … Received {document!r:.60}.")
    filled = {**document, "arm": _arm(document.get("arm"), name)}
    try:
        config = BenchConfig.model_validate(filled)
    except ValidationError as exc:
        raise BenchError(f"{name}: {_explain(exc)}") from None
    return _anchored(config, folder)


def _arm(arm: Any, name: str) -> Any:
    """The arm's own keys over those of its profile."""
    if not isinstance(arm, dict) or "profile" not in arm:
        return arm
    known = profiles()
    profile = arm["profile"]
    if profile not in known:
        hint = did_you_mean(str(profile), known)
        raise BenchError(
            f"{name}: arm.profile: no such profile. Received {profile!r}.{hint} Known: {', '.join(known)}."
        )
    return {**known[profile], **{key: value for key, value in arm.items() if key != "profile"}}


def _anchored(config: BenchConfig, folder: Path | None) -> BenchConfig:
    """Relative paths as seen from the bench file's folder."""
    if folder is None:
        return config
    if config.stations is not None:
        config = config.model_copy(update={"stations": str(folder / config.stations)})
    urdf = config.arm.urdf
    if urdf is not None and not urdf.startswith("builtin:"):
        config = config.model_copy(update={"arm": config.arm.model_copy(update={"urdf": str(folder / urdf)})})
    return config


def _explain(exc: ValidationError) -> str:
    first = exc.errors(include_url=False)[0]
    place = ".".join(str(part) for part in first["loc"]) or "the file"
    if first["type"] == "extra_forbidden":
        return f"{place}: unknown key. Received {str(first['loc'][-1])!r}."
    if first["type"] == "missing":
        return f"{place}: this key is required."
    text = str(first["msg"]).removeprefix("Value error, ").removeprefix("Input ").rstrip(".")
    return f"{place}: {text}." if "Received" in text else f"{place}: {text}. Received {first['input']!r:.80}."


__all__ = ["Arm", "BenchConfig", "BenchError", "load_bench", "parse_bench", "profiles"]
