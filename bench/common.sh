# Shared by the benchmarks: build, a workspace that goes away, and small helpers. Sourced, not run.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
bin=$here/target/release/shiftboss
if [ -n "${BIN:-}" ]; then bin=$(realpath "$BIN"); else (cd "$here" && cargo build --release --locked --quiet); fi
# On a real disk: a tmpfs would make every sync free.
work=$(mktemp -d "$here/target/bench.XXXXXX")
supervisor=
cleanup() {
  if [ -n "$supervisor" ]; then kill "$supervisor" 2>/dev/null || true; wait "$supervisor" 2>/dev/null || true; fi
  rm -rf "$work"
}
trap cleanup EXIT
cd "$work"
now() { date +%s.%N; }
per_second() { python3 -c "print(f'{$1 / ($3 - $2):,.0f}')"; }
have() { command -v "$1" >/dev/null || { echo "  ($1 is not installed: left out)"; return 1; }; }
