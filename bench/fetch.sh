#!/usr/bin/env bash
# `fetch` in a whole supervisor, every answer on the disk and every state durable, beside clients that keep nothing. What
# is measured: bench/fetch/README.md.
#   CASES="slow quick files large wide"   PEERS="aiohttp curl h2load load"   REPEATS=3   COUNT=100 (in every case)
#   SETUP=1 (install the peers of Python)   VENV=folder   BIN=program, WEB=program (build nothing)
source "$(dirname "$0")/common.sh"
export TARGET=$here/target PYTHONDONTWRITEBYTECODE=1
if [ "${SETUP:-}" = 1 ]; then
  export VENV=${VENV:-$TARGET/bench-venv}
  [ -x "$VENV/bin/python" ] || python3 -m venv "$VENV"
  "$VENV/bin/pip" install --quiet --disable-pip-version-check aiohttp
fi
if [ -z "${WEB:-}" ]; then
  WEB=$(cd "$here" && cargo build --release --locked --quiet --bench web --message-format=json | python3 -c '
import json, sys
for line in sys.stdin:
    made = json.loads(line)
    if made.get("executable") and made["target"]["name"] == "web":
        print(made["executable"])')
fi
python3 "$here/bench/fetch/run.py" "$bin" "$(realpath "$WEB")"
