#!/usr/bin/env bash
# `status` with many finished jobs: counts are kept, so it must not grow with them.
source "$(dirname "$0")/common.sh"
jobs=${1:-100000}
cat > config.toml <<'TOML'
[tasks.documents]
watch = { dir = "inbox", match = ["*.txt"] }
extract = {}
[retention]
succeeded = { age = "30d", count = 1000000 }
TOML
mkdir inbox
python3 - "$jobs" <<'PY'
import sys
for i in range(int(sys.argv[1])):
    with open(f"inbox/{i:06}.txt", "w") as f: f.write("hello\n")
PY
python3 -c 'import time; time.sleep(2.1)'
"$bin" run --until-idle >/dev/null 2>&1
"$bin" run >/dev/null 2>&1 & supervisor=$!
until "$bin" status >/dev/null 2>&1 && "$bin" status --json | grep -q '"state":"running"\|"state": "running"'; do :; done
measure() {
  python3 - "$bin" "$@" <<'PY'
import statistics, subprocess, sys, time
t = []
for _ in range(41):
    s = time.perf_counter(); subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True); t.append((time.perf_counter() - s) * 1000)
print(f"{' '.join(sys.argv[2:])}: median {statistics.median(t):.1f} ms, slowest {max(t):.1f} ms, process start included")
PY
}
echo "$jobs finished jobs, supervisor running:"; measure status; measure status --json; measure jobs --limit 50
kill "$supervisor"; wait "$supervisor" || true; supervisor=
echo "stopped:"; measure status
