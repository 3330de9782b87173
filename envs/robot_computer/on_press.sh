#!/bin/sh
# Run by the watcher once for every press of the stop button.
# SIGNAL_FILE: where the stop is noted down; empty where the watcher keeps it by itself.
set -eu

log=/var/log/estop/watcher.log

if [ -n "${SIGNAL_FILE:-}" ]; then
  echo stop > "$SIGNAL_FILE"
fi

echo "$(date '+%Y-%m-%d %H:%M:%S') on_press: stop" >> "$log" || true
