#!/usr/bin/env bash
# What an idle supervisor and an idle dashboard cost, and how long a key takes to the screen while jobs flow.
source "$(dirname "$0")/common.sh"
python3 "$here/bench/idle.py" "$bin" "${1:-10000}" "${2:-20}"
if have htop; then python3 "$here/bench/idle.py" --terminal htop "${2:-20}"; fi
