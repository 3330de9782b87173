"""A runner of its own process, for tests that need another user or a runner that is killed.

``a_runner.py COMMAND ...`` prints one JSON line of what each command came to; ``a_runner.py --hold`` starts a room with
something in it, prints the numbers of all its processes, and waits for ever. REDBUTTON_SANDBOX may name the backend.
"""

import json
import os
import signal
import sys

from redbutton.sandbox.session import Sandbox
from redbutton.sandbox.spec import File, Limits, SandboxSpec

SPEC = SandboxSpec(
    files=(File("/tmp/notes.txt", b"call Anna\n"), File("/etc/tool.conf", b"a = 1\n")),
    limits=Limits(processes=20),
    listen=("/tmp/door.sock",),
)


def main(words):
    """Do what the command line says."""
    with Sandbox(SPEC, os.environ.get("REDBUTTON_SANDBOX", "bubblewrap")).start() as room:
        daemon = room.spawn("sleeper", ["sleep", "1000"])
        if words == ["--hold"]:
            room.run("sleep 1001 & setsid sleep 1002 &")
            job = room.begin("sleep 1003", 1000)
            pids = []
            while len(pids) < 4:
                pids = [process.pid for process in room.processes() if process.argv[:1] == ("sleep",)]
            print(json.dumps({"room": pids, "wrapper": room._launched.process.pid}), flush=True)
            signal.pause()
            job.cancel()
        for word in words:
            result = room.run(word)
            print(json.dumps([result.exit_code, result.output]))
        seen = {"inner": room.inner(daemon), "notes": room.tree.read("/tmp/notes.txt").decode()}
        seen["attempts"] = [[attempt.call, attempt.path] for attempt in room.attempts()]
        print(json.dumps({**seen, "argv": [list(process.argv) for process in room.processes()]}))


main(sys.argv[1:])
