#!/bin/sh
# Kills pawl again and again, with SIGKILL and with a simulated loss of power, and checks that nothing is lost,
# committed twice or out of order. Needs a build with its tests; see README for how to build.
# usage: sh tools/crash-test.sh [--kills N] [--seed S] [--build DIR] [--keep DIR]
#   --kills N    at least so many kills (default 200; each takes about half a second)
#   --seed S     gives an earlier run's choices back (default: a random one, which is printed)
#   --build DIR  the build folder (default build/release)
#   --keep DIR   copy repositories with faults there
# Exit code 0 if nothing was wrong, 1 if something was, 2 for wrong usage.
set -eu

tree=$(cd "$(dirname "$0")/.." && pwd)
build=$tree/build/release
usage() {
  sed -n '2,9s/^# \{0,1\}//p' "$0" >&2
  exit 2
}
number() {
  case "$1" in
    '' | *[!0-9]*) usage ;;
  esac
}
while [ $# -gt 0 ]; do
  [ $# -ge 2 ] || usage
  case "$1" in
    --kills) number "$2" && PAWL_KILLS=$2 && export PAWL_KILLS ;;
    --seed) number "$2" && PAWL_SEED=$2 && export PAWL_SEED ;;
    --build) build=$2 ;;
    --keep) mkdir -p "$2" && PAWL_KEEP=$(cd "$2" && pwd) && export PAWL_KEEP ;;
    *) usage ;;
  esac
  shift 2
done
program=$build/tests/crash/pawl/pawl_crash
if [ ! -x "$program" ]; then
  echo "crash-test: $program is missing: cmake --preset release && cmake --build build/release --target pawl_crash" >&2
  exit 2
fi
exec "$program" --gtest_brief=1
