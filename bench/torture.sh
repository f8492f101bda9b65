#!/usr/bin/env bash
# Files that nobody here wrote, through a watch folder: `bench/torture.sh FOLDER`. Every one has to end processed, or failed
# with a reason that names a place.   SECONDS_MAX=900 (then it hangs)   BIN=program (build nothing)
folder=$(realpath "${1:?a folder of files}")
source "$(dirname "$0")/common.sh"
status=0
for policy in fail reject; do
  mkdir "$policy"
  (cd "$policy" && python3 "$here/bench/torture.py" "$bin" "$folder" "$policy") || status=1
done
exit $status
