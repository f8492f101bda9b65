#!/usr/bin/env bash
# `shiftboss transform` beside Polars, DuckDB, DataFusion, the reference and mawk. What is measured: bench/README.md.
#   CASES="1m 10m 100m wide cp949 gzip filter files threads"   PEERS="polars duckdb datafusion reference mawk"
#   REPEATS=3   ROWS=100000 (in every case)   SETUP=1 (install the peers)   VENV=folder   BIN=program (build nothing)
source "$(dirname "$0")/common.sh"
export TARGET=$here/target PYTHONDONTWRITEBYTECODE=1
if [ "${SETUP:-}" = 1 ]; then
  export VENV=${VENV:-$TARGET/bench-venv}
  [ -x "$VENV/bin/python" ] || python3 -m venv "$VENV"
  "$VENV/bin/pip" install --quiet polars duckdb datafusion pandas pyarrow
fi
python3 "$here/bench/transform/run.py" "$bin"
