#!/usr/bin/env bash
# `backup` in a whole supervisor beside `tar | zstd` with the same level and threads, in turn, over the same files. A copy
# by us is also synced, hashed and read back (VERIFY=0: not read back); the pipe is synced at its end.
#   FILES=10000   SIZE=20000 (bytes of each, on the average)   LEVEL=3   REPEATS=3   VERIFY=1   BIN=program (build nothing)
source "$(dirname "$0")/common.sh"
have zstd || exit 0
files=${FILES:-10000} size=${SIZE:-20000} level=${LEVEL:-3} verify=true
if [ "${VERIFY:-1}" = 0 ]; then verify=false; fi
python3 - "$files" "$size" <<'PY'
import os, random, sys
files, size = int(sys.argv[1]), int(sys.argv[2])
draw = random.Random(1)
words = [bytes(draw.choices(b"abcdefghijklmnopqrstuvwxyz", k=draw.randint(2, 9))) for _ in range(5000)]
for n in range(files):
    folder = f"in/{n // 500:03}"
    os.makedirs(folder, exist_ok=True)
    wanted, made = draw.randint(0, 2 * size), []
    while wanted > 0:
        word = draw.choice(words) + b" "
        made.append(word)
        wanted -= len(word)
    with open(f"{folder}/{n}.txt", "wb") as f:
        f.write(b"".join(made))
PY
bytes=$(find in -type f -printf '%s\n' | awk '{ n += $1 } END { print n }')
cores=$(nproc)
cat > config.toml <<TOML
[supervisor]
data_dir = "data"
workers  = $cores
[tasks.copy]
manual = true
backup = { paths = ["in"], dir = "backup", level = $level, verify = $verify }
TOML
sync
echo "$files files, $bytes bytes, level $level, $cores threads, verify = $verify"
for _ in $(seq "${REPEATS:-3}"); do
  start=$(now); tar cf - in | zstd -q -T"$cores" -"$level" -o pipe.tar.zst; sync pipe.tar.zst; end=$(now)
  pipe=$(python3 -c "print($bytes / ($end - $start))")
  size_pipe=$(stat -c %s pipe.tar.zst); rm pipe.tar.zst
  "$bin" trigger copy >/dev/null
  "$bin" run --until-idle >/dev/null 2>&1
  # The job alone, as its row says: the supervisor's start is no part of a copy.
  ms=$("$bin" jobs --json --limit 1 | python3 -c 'import json, sys; print(json.load(sys.stdin)[0]["duration_ms"])')
  size_ours=$(stat -c %s backup/*.tar.zst)
  python3 -c "
ours, pipe = $bytes / ($ms / 1000), $pipe
print(f'backup {ours:,.0f} bytes/s ({$size_ours:,} bytes)   tar | zstd {pipe:,.0f} bytes/s ({$size_pipe:,} bytes)   ratio {ours / pipe:.2f}')"
  rm -r backup
done
