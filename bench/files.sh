#!/usr/bin/env bash
# Small files through a whole supervisor: landed, claimed, counted or normalised, placed, every step durable.
source "$(dirname "$0")/common.sh"
files=${1:-10000}
cat > config.toml <<'TOML'
[tasks.documents]
watch = { dir = "inbox", match = ["*.txt", "*.csv"] }
extract = { output = "out/{name}.json" }
TOML
make_files() {
  python3 - "$1" "$files" <<'PY'
import os, random, sys
out, n = sys.argv[1], int(sys.argv[2])
os.makedirs(out); random.seed(1); bad = 0
for i in range(n):
    broken = random.random() < 0.05; bad += broken
    if i % 2 == 0:
        text = "" if broken else f"hello world {i}\nsecond line of text\n" * 5
        name = f"t{i:06}.txt"
    else:
        text = "id,value,name\n" + "".join(f"{i*10+k},{k*3},name{k}\n" for k in range(10)) + ("9,9\n" if broken else "")
        name = f"c{i:06}.csv"
    with open(f"{out}/{name}", "w") as f: f.write(text)
print(bad)
PY
}
bad=$(make_files inbox)
# Older than the settle time, as files that landed while no supervisor ran are.
sync; python3 -c 'import time; time.sleep(2.1)'
code=0
/usr/bin/time -f '%e %U %S %M' -o time.txt "$bin" run --until-idle --json >summary.json 2>/dev/null || code=$?
read -r wall user sys rss < <(tail -1 time.txt)
python3 - "$files" "$bad" "$wall" "$user" "$sys" "$rss" "$code" <<'PY'
import json, os, sys
files, bad, wall, user, system, rss, code = int(sys.argv[1]), int(sys.argv[2]), *map(float, sys.argv[3:6]), int(sys.argv[6]), int(sys.argv[7])
s = json.load(open("summary.json"))
count = lambda d, end="": sum(1 for r, _, f in os.walk(d) for n in f if n.endswith(end) and (end or not n.endswith(".error.json")))
processed, failed, records = count("processed"), count("failed"), count("failed", ".error.json")
left = sum(1 for n in os.listdir("inbox") if not n.startswith("."))
sidecars = count("out", ".json")
assert (s["succeeded"], s["failed"]) == (files - bad, bad), s
assert (processed, failed, records, left, sidecars) == (files - bad, bad, bad, 0, files - bad), (processed, failed, records, left, sidecars)
assert code == (1 if bad else 0), code
print(f"shiftboss: {files:,} files in {wall:.2f} s = {files / wall:,.0f}/s, cpu {user + system:.2f} s, {rss / 1024:.0f} MB, all accounted for ({bad} bad)")
PY
if have inotifywait; then
  mkdir moved; make_files spare >/dev/null; mkdir watched
  start=$(now)
  ( inotifywait -q -m -e moved_to --format '%f' watched & echo $! > pid; wait ) 2>/dev/null | {
    n=0
    while read -r name; do
      mv "watched/$name" moved/; n=$((n + 1))
      [ "$n" -ge "$files" ] && { now > end; kill "$(cat pid)"; break; }
    done
  } &
  loop=$!
  until [ -s pid ]; do :; done; python3 -c 'import time; time.sleep(0.3)'
  start=$(now)
  # In pieces, so that the kernel's queue of 16,384 events does not overflow.
  find spare -type f -print0 | xargs -0 -n 500 mv -t watched
  wait "$loop" || true
  echo "inotifywait + mv, nothing durable, nothing counted: $(per_second "$files" "$start" "$(cat end)")/s"
fi
