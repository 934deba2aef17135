#!/bin/sh
# Everything that must hold before a change goes in; what CI runs.
# usage: sh tools/test.sh [--quick] [--keep-going]
#   --quick       the release build and its tests only
#   --keep-going  go on after a step that fails
# Ends with "N passed, N failed". Exit code 0 if no step failed, 1 if one did, 2 for wrong usage.
set -eu

tree=$(cd "$(dirname "$0")/.." && pwd)
cd "$tree"

quick=no
keep_going=no
for argument in "$@"; do
  case "$argument" in
    --quick) quick=yes ;;
    --keep-going) keep_going=yes ;;
    *)
      sed -n '2,6s/^# \{0,1\}//p' "$0" >&2
      exit 2
      ;;
  esac
done

jobs=${PAWL_JOBS:-$(nproc)}
passed=0
failed=0
failed_names=
started=$(date +%s)

summary() {
  printf '\n%d passed, %d failed in %d s%s\n' "$passed" "$failed" "$(($(date +%s) - started))" \
    "${failed_names:+:$failed_names}"
}

# step NAME COMMAND…: runs a step in a shell of its own, where any failing command ends it.
step() {
  name=$1
  shift
  began=$(date +%s)
  printf '\n==> %s\n' "$name"
  set +e
  (
    set -e
    "$@"
  )
  code=$?
  set -e
  took=$(($(date +%s) - began))
  if [ "$code" -eq 0 ]; then
    passed=$((passed + 1))
    printf '==> %s: passed in %d s\n' "$name" "$took"
    return 0
  fi
  failed=$((failed + 1))
  failed_names="$failed_names $name"
  printf '==> %s: FAILED after %d s (exit code %d)\n' "$name" "$took" "$code" >&2
  if [ "$keep_going" = no ]; then
    summary
    exit 1
  fi
}

build() { cmake --build "build/$1" -j "$jobs"; }

run_tests() { ctest --test-dir "build/$1" --output-on-failure --no-tests=error -j "$jobs" ${2:+-L} ${2:+"$2"}; }

release_step() {
  cmake --preset release -DPAWL_BUILD_TESTS=ON -DPAWL_BUILD_BENCH=ON
  build release
  run_tests release
}

asan_step() {
  cmake --preset asan
  build asan
  run_tests asan '^(unit|contract|integration)$'
}

tsan_step() {
  mkdir -p build
  code=0
  sh tools/tsan-tbb.sh >build/tsan-tbb.log 2>&1 || code=$?
  tail -n 1 build/tsan-tbb.log
  case "$code" in
    0) tests='^tsan' ;;
    77) tests='^tsan$' ;;
    *)
      cat build/tsan-tbb.log >&2
      return 1
      ;;
  esac
  cmake --preset tsan
  build tsan
  # g++ 12's ThreadSanitizer cannot place its shadow where new kernels put things at random.
  if setarch "$(uname -m)" -R true 2>/dev/null; then
    still="setarch $(uname -m) -R"
  else
    still=
  fi
  # $still is a command and its arguments.
  # shellcheck disable=SC2086
  TSAN_OPTIONS="suppressions=$tree/tools/tsan.supp ${TSAN_OPTIONS-}" \
    $still ctest --test-dir build/tsan --output-on-failure --no-tests=error -j "$jobs" -L "$tests"
  [ "$code" -eq 0 ] || echo "tsan: NOT COVERED, for want of a oneTBB built for it: the whole graph (label tsan_graph)"
}

http2_step() {
  # The tests that a libcurl older than 8 skips, and what that and a newer one do differently.
  mkdir -p build
  code=0
  sh tools/libcurl8.sh >build/libcurl8.log 2>&1 || code=$?
  tail -n 1 build/libcurl8.log
  case "$code" in
    0) ;;
    77)
      echo "http2: NOT COVERED, for want of a libcurl of version 8"
      return 0
      ;;
    *)
      cat build/libcurl8.log >&2
      return 1
      ;;
  esac
  LD_LIBRARY_PATH="$tree/build/libcurl8${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}" \
    build/release/tests/integration/http/http_integration_test --gtest_brief=1 \
    --gtest_filter='*Http2*:CallStageTls.*:*ServerFault*:KeptConnection.*' >build/http2.log 2>&1 || code=$?
  tail -n 4 build/http2.log
  if [ "$code" -ne 0 ] || grep -q SKIPPED build/http2.log; then
    cat build/http2.log >&2
    return 1
  fi
}

clang_step() {
  # For its warnings, and to see that it builds: nothing is run.
  CC=clang-19 CXX=clang++-19 cmake --preset dev -B build/clang -DCMAKE_CXX_FLAGS_DEBUG=-O0 -DCMAKE_UNITY_BUILD=ON \
    -DCMAKE_UNITY_BUILD_BATCH_SIZE=16
  build clang
}

sources() {
  # Tracked files; in a tree without git (an unpacked archive) all.
  if git rev-parse --is-inside-work-tree >/dev/null 2>&1; then
    git ls-files -- '*.h' '*.cc'
  else
    find engine adapters tools bench tests -name '*.h' -o -name '*.cc'
  fi
}

format_step() { sources | xargs clang-format-19 --dry-run -Werror; }

scripts_step() {
  for script in tools/*.sh tests/install/*.sh tests/model/engine/*.sh; do sh -n "$script"; done
  sh tools/setup.sh test
}

install_step() {
  rm -rf build/prefix
  cmake --install build/release --prefix "$tree/build/prefix"
  sh tests/install/check.sh build/prefix
}

bench_step() {
  count=0
  for program in build/release/bench/*_bench; do
    [ -x "$program" ] || continue
    printf -- '--- %s\n' "$program"
    "$program" --benchmark_min_time=0.001
    count=$((count + 1))
  done
  echo "$count benchmarks ran once"
}

step setup sh tools/setup.sh test
step release release_step
if [ "$quick" = no ]; then
  step http2 http2_step
  step format format_step
  step scripts scripts_step
  step quickstart sh tools/quickstart.sh
  step install install_step
  step benchmarks bench_step
  step clang clang_step
  step asan asan_step
  step tsan tsan_step
fi
summary
[ "$failed" -eq 0 ]
