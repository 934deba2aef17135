#!/bin/sh
# Installs the Debian 12 packages that pawl needs and that are missing; changes nothing if none is.
# usage: sh tools/setup.sh run|test|peers
#   run    to build and use the tools
#   test   also to build and run tests, benchmarks and checks
#   peers  also the programs that benchmarks compare pawl with
set -eu

run_packages="g++ cmake ninja-build pkg-config git ca-certificates libconcurrentqueue-dev libtbb-dev
  libcurl4-openssl-dev libgit2-dev libsimdjson-dev libcli11-dev libfmt-dev libdeflate-dev libisal-dev zlib1g-dev libssl-dev
  libedit-dev libncurses-dev libcivetweb-dev prometheus-cpp-dev"
test_packages="libgtest-dev libgmock-dev libbenchmark-dev libboost-dev clang-19 clang-format-19 openssl
  python3 spin xz-utils openssh-client gpg gpg-agent groff-base prometheus"
peer_packages="nginx-light wrk nghttp2-client curl python3-aiohttp python3-requests python3-pygit2 python3-git"

case "${1-}" in
  run) wanted=$run_packages ;;
  test) wanted="$run_packages $test_packages" ;;
  peers) wanted="$run_packages $test_packages $peer_packages" ;;
  *)
    echo "usage: sh tools/setup.sh run|test|peers" >&2
    exit 2
    ;;
esac

if ! command -v dpkg >/dev/null 2>&1; then
  printf 'setup: this is no Debian system; please install what these are there: %s\n' "$wanted" >&2
  exit 1
fi

installed() {
  # A package with configuration files left behind is known to dpkg but not installed.
  dpkg -s "$1" 2>/dev/null | grep -q '^Status: install ok installed$'
}

# For the clang tools any that is on PATH will do, wherever it came from.
present() {
  case "$1" in
    clang-19) installed "$1" || command -v clang++-19 >/dev/null 2>&1 ;;
    clang-format-19) installed "$1" || command -v clang-format-19 >/dev/null 2>&1 ;;
    *) installed "$1" ;;
  esac
}

missing=
for package in $wanted; do
  present "$package" || missing="$missing $package"
done
if [ -z "$missing" ]; then
  echo "setup: every package for '$1' is installed"
  exit 0
fi

if [ "$(id -u)" -eq 0 ]; then
  as_root=
elif command -v sudo >/dev/null 2>&1 && sudo -n true 2>/dev/null; then
  as_root="sudo -n"
else
  echo "setup: not root and no sudo without a password; please install:$missing" >&2
  exit 1
fi

echo "setup: installing$missing"
$as_root env DEBIAN_FRONTEND=noninteractive apt-get update -q
# The packages are words on purpose.
# shellcheck disable=SC2086
$as_root env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends $missing
