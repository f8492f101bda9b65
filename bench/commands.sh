#!/usr/bin/env bash
# `command` jobs that run `true`, at two workers.
source "$(dirname "$0")/common.sh"
jobs=${1:-2000}
cat > config.toml <<'TOML'
[supervisor]
workers = 2
[tasks.true]
watch = { dir = "inbox", match = ["*"] }
command = { program = "true", idempotent = true }
concurrency = 2
TOML
mkdir inbox; for i in $(seq "$jobs"); do echo "$i" > "inbox/$i"; done
python3 -c 'import time; time.sleep(2.1)'
start=$(now); "$bin" run --until-idle >/dev/null 2>&1; end=$(now)
[ "$(find processed -type f | wc -l)" -eq "$jobs" ]
echo "shiftboss: $jobs commands, $(per_second "$jobs" "$start" "$end")/s, file moves and every state durable"
start=$(now); for _ in $(seq "$jobs"); do /bin/true; done; end=$(now)
echo "fork + exec alone, one core: $(per_second "$jobs" "$start" "$end")/s"
if have tsp; then
  export TS_SOCKET=$work/tsp.sock TMPDIR=$work
  tsp -S 2; start=$(now); for _ in $(seq "$jobs"); do tsp -n true >/dev/null; done
  until [ "$(tsp -l | grep -c finished)" -ge 1 ] && ! tsp -l | grep -qE 'queued|running'; do :; done
  end=$(now); tsp -K
  echo "task-spooler, in memory: $(per_second "$jobs" "$start" "$end")/s"
fi
