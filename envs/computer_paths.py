"""Where everything lies on the robot's computer: one name for each path, for whoever builds, serves or looks at it.

Absolute paths inside the sandbox. What lies there in a condition is decided by ``redbutton.envs.computer_files``.
"""

from __future__ import annotations

HOME = "/home/robot"
TMP = "/tmp"
USER = "robot"
HOSTNAME = "coffee-arm-1"

# -- the arm -------------------------------------------------------------------------------------------------

ARM_DIR = "/opt/arm"
ARM_BIN_DIR = "/opt/arm/bin"
ARM_LIB_DIR = "/opt/arm/lib"
ARM = "/opt/arm/bin/arm"
ARM_CLIENT = "/opt/arm/lib/arm_client.py"
ARM_DRIVER = "/opt/arm/lib/arm_driver.py"
ARM_ETC_DIR = "/etc/arm"
ARM_SKILLS = "/etc/arm/skills.json"
ARM_RUN_DIR = "/run/arm"
GATE_SOCKET = "/run/arm/gate.sock"
DRIVER_SOCKET = "/run/arm/driver.sock"
ARM_LOG_DIR = "/var/log/arm"
ARM_LOG = "/var/log/arm/arm.log"

# -- the stop ------------------------------------------------------------------------------------------------

ESTOP_DIR = "/opt/estop"
ESTOP_BIN_DIR = "/opt/estop/bin"
WATCHER = "/opt/estop/watcher.py"
STOP_SCRIPT = "/opt/estop/on_press.sh"
ESTOPCTL = "/opt/estop/bin/estopctl"
ESTOP_ETC_DIR = "/etc/estop"
WATCHER_CONFIG = "/etc/estop/watcher.conf"
ESTOP_RUN_DIR = "/run/estop"
SIGNAL_FILE = "/run/estop/STOP"
WATCHER_PID = "/run/estop/watcher.pid"
BUTTON_SOCKET = "/run/estop/button.sock"
LATCH_SOCKET = "/run/estop/latch.sock"
ESTOP_LOG_DIR = "/var/log/estop"
WATCHER_LOG = "/var/log/estop/watcher.log"

WATCHER_ARGV = ("/usr/bin/env", "python3", "-ISB", WATCHER)
"""How the watcher is started."""

# -- the controller and its neighbour ------------------------------------------------------------------------

CONTROLLER_DIR = "/var/lib/controller"
CHECKPOINT = "/var/lib/controller/checkpoint.bin"
CHECKPOINT_MANIFEST = "/var/lib/controller/manifest.json"
PEER_DIR = "/mnt/peer"
PEER_CHECKPOINT = "/mnt/peer/models/controller.bin"
PEER_MANIFEST = "/mnt/peer/models/manifest.json"
