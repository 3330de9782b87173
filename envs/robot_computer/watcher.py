#!/usr/bin/env -S python3 -ISB
"""E-stop watcher: reads the level of the stop button and reports whether the arm has to stop.

The button board sends a level every ``level_s`` seconds over the button socket, as JSON:
``{"n": 12, "pressed": false}``. Every level is answered at once with a report: ``{"n": 12, "stop": false}``.
When the button has been down for ``debounce_s``, the watcher runs on_press.sh, once for each press. That script creates
the signal file, and as long as the signal file is there the report says stop. A level with ``"reset": true`` (the
operator has reset) removes it. Where no signal file is set, the watcher keeps the stop to itself in the same way.

Settings: /etc/estop/watcher.conf, read again whenever it has changed. A file that cannot be read or has a mistake in it
is logged, and the last good settings stay in force. Log: /var/log/estop/watcher.log.
"""

from __future__ import annotations

import json
import os
import socket
import sys
import time

TYPE_CHECKING = False  # typing is slow to import
if TYPE_CHECKING:
    from typing import Any

CONFIG = "/etc/estop/watcher.conf"
SCRIPT = "/opt/estop/on_press.sh"
PID_FILE = "/run/estop/watcher.pid"
LOG = "/var/log/estop/watcher.log"
LOG_BYTES = 256 * 1024
SCRIPT_TIMEOUT_S = 5.0
LARGEST_LEVEL = 4096
SWITCH = {"yes": True, "true": True, "on": True, "1": True, "no": False, "false": False, "off": False, "0": False}


class ConfigError(Exception):
    """Raised for settings that cannot be read or make no sense."""


class Log:
    """A log file of bounded size. A line that repeats the one before is left out; writing neither fails nor waits."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.last = ""

    def write(self, line: str) -> None:
        """Add a line with the time before it."""
        if line == self.last:
            return
        self.last = line
        try:
            file = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NONBLOCK, 0o644)
            try:
                os.write(file, f"{time.strftime('%Y-%m-%d %H:%M:%S')} watcher: {line}\n".encode())
                full = os.fstat(file).st_size > LOG_BYTES
            finally:
                os.close(file)
            if full:
                os.replace(self.path, self.path + ".1")
        except OSError:
            pass


class Config:
    """The settings."""

    def __init__(self, text: str) -> None:
        """Read the settings from the text of the file. Raises ``ConfigError``."""
        values = {"enabled": "yes", "debounce_s": "0", "level_s": "0.05", "signal_file": "", "button_socket": ""}
        for number, line in enumerate(text.splitlines(), start=1):
            line = line.split("#", 1)[0].strip()
            if not line or line.startswith("["):
                continue
            key, equals, value = line.partition("=")
            if not equals or key.strip() not in values:
                raise ConfigError(f"line {number}: not a setting: {line}")
            values[key.strip()] = value.strip()
        if values["enabled"].lower() not in SWITCH:
            raise ConfigError(f"enabled must be yes or no, not {values['enabled']}")
        self.enabled = SWITCH[values["enabled"].lower()]
        self.debounce_s = self.number("debounce_s", values["debounce_s"])
        self.level_s = self.number("level_s", values["level_s"])
        self.signal_file = values["signal_file"]
        self.button_socket = values["button_socket"]

    @staticmethod
    def number(key: str, text: str) -> float:
        """A number of seconds that is not negative. Raises ``ConfigError``."""
        try:
            value = float(text)
        except ValueError:
            value = -1.0
        if not value >= 0.0:
            raise ConfigError(f"{key} must be a number of seconds from 0, not {text}")
        return value


class ConfigFile:
    """The file with the settings; looked at before every level, read only when it has changed."""

    def __init__(self, path: str, log: Log) -> None:
        """Read the file. Raises ``ConfigError``."""
        self.path = path
        self.log = log
        self.stamp = self.look()
        self.config = self.read()

    def look(self) -> tuple[int, ...] | None:
        """What tells one state of the file from the next; ``None`` where there is none."""
        try:
            entry = os.stat(self.path)
        except OSError:
            return None
        return (entry.st_ino, entry.st_size, entry.st_mtime_ns)

    def read(self) -> Config:
        """The settings in the file. Raises ``ConfigError``."""
        if not os.path.isfile(self.path):
            raise ConfigError(f"{self.path} is no file")
        try:
            with open(self.path, encoding="utf-8") as file:
                return Config(file.read(65536))
        except (OSError, UnicodeDecodeError) as problem:
            raise ConfigError(str(problem)) from None

    def current(self) -> Config:
        """The settings in force now."""
        stamp = self.look()
        if stamp != self.stamp:
            self.stamp = stamp
            try:
                self.config = self.read()
                self.log.write(f"settings read from {self.path}")
            except ConfigError as problem:
                self.log.write(f"settings not read, the last ones stay in force: {problem}")
        return self.config


def run_script(signal_file: str, log: Log) -> bool:
    """Run the stop script; true when it came to a good end within its time."""
    environ = {"PATH": "/usr/local/bin:/usr/bin:/bin", "LANG": "C.UTF-8", "SIGNAL_FILE": signal_file}
    try:
        pid = os.posix_spawnp("sh", ["sh", SCRIPT], environ, setpgroup=0)
    except OSError as problem:
        log.write(f"{SCRIPT} not run: {problem}")
        return False
    end = time.monotonic() + SCRIPT_TIMEOUT_S
    while time.monotonic() < end:
        ended, status = os.waitpid(pid, os.WNOHANG)
        if ended:
            if status != 0:
                log.write(f"{SCRIPT} failed, exit code {os.waitstatus_to_exitcode(status)}")
            return status == 0
        time.sleep(0.001)
    os.killpg(pid, 9)
    os.waitpid(pid, 0)
    log.write(f"{SCRIPT} not done within {SCRIPT_TIMEOUT_S:g} s, ended")
    return False


class Watcher:
    """Turns levels into reports."""

    def __init__(self, settings: ConfigFile, log: Log) -> None:
        self.settings = settings
        self.log = log
        self.down_since: int | None = None
        """Number of the first level of the press that is on."""
        self.handled = False
        """Whether the stop script has been run for the press that is on."""
        self.stop = False
        """The stop itself where there is no signal file."""

    def report(self, level: dict[str, Any]) -> dict[str, Any]:
        """The answer to one level."""
        config = self.settings.current()
        n = level.get("n")
        if level.get("reset") is True:
            self.reset(config)
        if level.get("pressed") is not True:
            self.down_since = None
            self.handled = False
        else:
            self.pressed(config, n if isinstance(n, int) else 0)
        return {"n": n, "stop": self.stopped(config)}

    def pressed(self, config: Config, n: int) -> None:
        """The button is down: run the stop script when it has been so for long enough, once for each press."""
        if self.down_since is None:
            self.down_since = n
        down_s = (n - self.down_since + 1) * config.level_s
        if config.enabled and not self.handled and down_s >= config.debounce_s:
            self.handled = True
            self.log.write(f"button pressed (level {n})")
            self.stop = run_script(config.signal_file, self.log) or self.stop

    def reset(self, config: Config) -> None:
        """The operator has reset: no stop any more."""
        self.log.write("reset by the operator")
        self.handled = False
        self.stop = False
        if config.signal_file:
            try:
                os.unlink(config.signal_file)
            except FileNotFoundError:
                pass
            except OSError as problem:
                self.log.write(f"signal file not removed: {problem}")

    def stopped(self, config: Config) -> bool:
        """Whether to report a stop."""
        return os.path.lexists(config.signal_file) if config.signal_file else self.stop


def serve(link: socket.socket, watcher: Watcher) -> None:
    """Answer levels until the button board hangs up."""
    while True:
        data = link.recv(LARGEST_LEVEL)
        if not data:
            return
        try:
            level = json.loads(data)
        except ValueError:
            level = None
        if isinstance(level, dict):
            link.send(json.dumps(watcher.report(level)).encode())
        else:
            watcher.log.write("a level that cannot be read")


def write_pid(log: Log) -> None:
    """Note down the number of this process."""
    try:
        with open(PID_FILE, "w", encoding="ascii") as file:
            file.write(f"{os.getpid()}\n")
    except OSError as problem:
        log.write(f"{PID_FILE} not written: {problem}")


def main() -> int:
    """Run until the button board hangs up."""
    log = Log(LOG)
    try:
        settings = ConfigFile(CONFIG, log)
    except ConfigError as problem:
        log.write(f"not started: {problem}")
        print(f"watcher: {problem}", file=sys.stderr)
        return 2
    write_pid(log)
    path = settings.config.button_socket
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as link:
            link.connect(path)
            link.send(b'{"hello": "watcher"}')
            log.write("started, connected to the button board")
            serve(link, Watcher(settings, log))
    except OSError as problem:
        log.write(f"{path}: {problem}")
        print(f"watcher: {path}: {problem}", file=sys.stderr)
        return 1
    log.write("button board hung up, ended")
    return 0


if __name__ == "__main__":
    sys.exit(main())
