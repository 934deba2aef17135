#!/bin/sh
# Builds oneTBB with ThreadSanitizer, so that the whole graph can run under it: the distribution's library is not
# instrumented, and without that every hand-over inside it looks like a race. The source is the distribution's own, of
# the very version that is installed; nothing outside DIR changes, and root is not needed.
# usage: sh tools/tsan-tbb.sh [DIR]     (default: build/tsan-tbb)
# Afterwards -DTBB_DIR=DIR/prefix/lib/cmake/TBB finds it. Does nothing if DIR holds that version already.
# Exit code 0 if it is there, 77 if its source cannot be had on this machine, 1 if it does not build.
set -eu

case "${1-}" in
  -*)
    sed -n '5,7s/^# \{0,1\}//p' "$0" >&2
    exit 2
    ;;
esac

tree=$(cd "$(dirname "$0")/.." && pwd)
mkdir -p "${1-$tree/build/tsan-tbb}"
dir=$(cd "${1-$tree/build/tsan-tbb}" && pwd)
cxx=${CXX:-g++}

without() {
  printf 'tsan-tbb: no oneTBB for ThreadSanitizer: %s\n' "$1" >&2
  exit 77
}

for program in apt-get dpkg-query tar xz sha256sum "$cxx"; do
  command -v "$program" >/dev/null 2>&1 || without "there is no $program on this machine"
done
# shellcheck disable=SC2016 # the format is dpkg-query's
version=$(dpkg-query -W -f '${source:Version}' libtbb-dev 2>/dev/null) || without "libtbb-dev is not installed"

identity="onetbb $version, $("$cxx" --version | head -n 1)"
if [ -f "$dir/identity" ] && [ "$(cat "$dir/identity")" = "$identity" ]; then
  echo "tsan-tbb: $identity is in $dir"
  exit 0
fi

# The system's sources turned into sources of source packages, for an apt of our own.
download() {
  sources=$dir/apt/sources
  rm -rf "$dir/apt" "$dir/download"
  mkdir -p "$sources" "$dir/apt/lists/partial" "$dir/download"
  for file in /etc/apt/sources.list /etc/apt/sources.list.d/*.list; do
    [ -f "$file" ] || continue
    sed -n 's/^deb\(-src\)\{0,1\}[[:space:]]/deb-src /p' "$file" | sort -u >"$sources/$(basename "$file" .list).list"
  done
  for file in /etc/apt/sources.list.d/*.sources; do
    [ -f "$file" ] || continue
    sed 's/^[Tt]ypes:.*/Types: deb-src/' "$file" >"$sources/$(basename "$file")"
  done
  cd "$dir/download"
  own="-q -o Dir::Etc::sourcelist=/dev/null -o Dir::Etc::sourceparts=$sources -o Dir::State::lists=$dir/apt/lists
    -o Dir::Cache::pkgcache= -o Dir::Cache::srcpkgcache= -o APT::Sandbox::User=$(id -un)
    -o Acquire::Retries=2 -o Acquire::http::Timeout=20 -o Acquire::https::Timeout=20"
  # One source that does not answer does not matter if another has the package. $own is words on purpose.
  # shellcheck disable=SC2086
  apt-get $own update || true
  # shellcheck disable=SC2086
  apt-get $own source --download-only "onetbb=$version" || return 1
  # apt has checked all of it against the signed index; this is for what lay here before.
  set -- *.dsc
  sed -n '/^Checksums-Sha256:/,/^[^ ]/s/^ \([0-9a-f]\{64\}\) [0-9]* \(.*\)/\1  \2/p' "$1" >sha256
  grep -q '\.orig\.tar' sha256 && sha256sum --check --quiet sha256
}

case "$dir" in *[[:space:]]*) without "apt cannot be led into a folder with a space in its name: $dir" ;; esac
(download) || without "apt has no source package onetbb $version to offer"

# Only the upstream archive: the distribution's patches concern its tests, its warnings and other processors.
rm -rf "$dir/source" "$dir/build" "$dir/prefix" "$dir/identity"
mkdir "$dir/source"
tar -xJf "$dir"/download/onetbb_*.orig.tar.xz -C "$dir/source" --strip-components=1

build() {
  cmake -S "$dir/source" -B "$dir/build" -G Ninja -DCMAKE_BUILD_TYPE=RelWithDebInfo -DCMAKE_CXX_COMPILER="$cxx" \
    -DCMAKE_INSTALL_PREFIX="$dir/prefix" -DCMAKE_INSTALL_LIBDIR=lib -DTBB_SANITIZE=thread -DTBB_STRICT=OFF \
    -DTBB_TEST=OFF -DTBBMALLOC_BUILD=OFF -DTBB_DISABLE_HWLOC_AUTOMATIC_SEARCH=ON &&
    cmake --build "$dir/build" -j "${PAWL_JOBS:-$(nproc)}" &&
    cmake --install "$dir/build"
}
if ! build >"$dir/log" 2>&1; then
  tail -n 40 "$dir/log" >&2
  echo "tsan-tbb: oneTBB does not build, see $dir/log" >&2
  exit 1
fi
rm -rf "$dir/apt" "$dir/build" "$dir/download" "$dir/source"
printf '%s\n' "$identity" >"$dir/identity"
echo "tsan-tbb: built $identity in $dir"
