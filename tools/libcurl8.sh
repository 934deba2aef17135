#!/bin/sh
# Fetches a libcurl of version 8 or later to try HTTP/2 with: Debian 12's own is older, its backports have one. Built is
# pawl with the system's; the other takes its place at run time:
#   LD_LIBRARY_PATH=build/libcurl8 build/release/tests/integration/http/http_integration_test
# It is only unpacked: nothing outside DIR changes, and root is not needed.
# usage: sh tools/libcurl8.sh [DIR]     (default: build/libcurl8)
# Afterwards DIR holds libcurl.so.4; does nothing if it does already, or if the system's libcurl is of version 8 itself.
# Exit code 0 if HTTP/2 can be tried, 77 if such a libcurl cannot be had on this machine.
set -eu

case "${1-}" in
  -*)
    sed -n '6,8s/^# \{0,1\}//p' "$0" >&2
    exit 2
    ;;
esac

tree=$(cd "$(dirname "$0")/.." && pwd)
mkdir -p "${1-$tree/build/libcurl8}"
dir=$(cd "${1-$tree/build/libcurl8}" && pwd)

without() {
  printf 'libcurl8: no libcurl 8: %s\n' "$1" >&2
  exit 77
}

version=$(pkg-config --modversion libcurl 2>/dev/null) || without "pkg-config knows no libcurl on this machine"
if [ "${version%%.*}" -ge 8 ]; then
  echo "libcurl8: the system's libcurl is $version"
  exit 0
fi
if [ -f "$dir/identity" ]; then
  echo "libcurl8: $(cat "$dir/identity") is in $dir"
  exit 0
fi

for program in apt-get dpkg-deb ldd; do
  command -v "$program" >/dev/null 2>&1 || without "there is no $program on this machine"
done
release=$(sed -n 's/^VERSION_CODENAME=//p' /etc/os-release)
[ -n "$release" ] || without "/etc/os-release names no release"
case "$dir" in *[[:space:]]*) without "apt cannot be led into a folder with a space in its name: $dir" ;; esac

# The system's sources of the release turned into those of its backports, for an apt of our own.
download() {
  sources=$dir/apt/sources
  rm -rf "$dir/apt" "$dir/download"
  mkdir -p "$sources" "$dir/apt/lists/partial" "$dir/download"
  for file in /etc/apt/sources.list /etc/apt/sources.list.d/*.list; do
    [ -f "$file" ] || continue
    sed -n "s/^\(deb[[:space:]].*[[:space:]]$release\)\([[:space:]].*\)/\1-backports\2/p" "$file" |
      sort -u >"$sources/$(basename "$file" .list).list"
  done
  # In the other form of the file a stanza is about one archive or several suites of it.
  for file in /etc/apt/sources.list.d/*.sources; do
    [ -f "$file" ] || continue
    awk -v release="$release" 'BEGIN { RS = ""; ORS = "\n\n" }
      $0 ~ "(^|\n)[Ss]uites:([^\n]*[ \t])?" release "([ \t]|\n|$)" {
        sub(/(^|\n)[Ss]uites:[^\n]*/, "\nSuites: " release "-backports")
        sub(/^\n/, "")
        print
      }' "$file" >"$sources/$(basename "$file")"
  done
  cd "$dir/download"
  own="-q -o Dir::Etc::sourcelist=/dev/null -o Dir::Etc::sourceparts=$sources -o Dir::State::lists=$dir/apt/lists
    -o Dir::Cache::pkgcache= -o Dir::Cache::srcpkgcache= -o APT::Sandbox::User=$(id -un)
    -o Acquire::Retries=1 -o Acquire::http::Timeout=20 -o Acquire::https::Timeout=20"
  # $own is words on purpose.
  # shellcheck disable=SC2086
  apt-get $own update || true
  # Of what is installed no source of ours knows, so the version that is downloaded is the backports'.
  # shellcheck disable=SC2086
  apt-get $own download "libcurl4/$release-backports" || return 1
}
(download) || without "apt has none to offer from $release-backports"

rm -rf "$dir/unpacked" "$dir"/libcurl.so.*
for package in "$dir"/download/libcurl4_*.deb; do dpkg-deb -x "$package" "$dir/unpacked"; done
identity="libcurl $(dpkg-deb -f "$package" Version)"
cp -P "$dir"/unpacked/usr/lib/*/libcurl.so.4* "$dir"
rm -rf "$dir/apt" "$dir/download" "$dir/unpacked"
missing=$(ldd "$dir/libcurl.so.4" | sed -n 's/[[:space:]]*\(.*\) => not found/\1/p')
[ -z "$missing" ] || without "$identity needs libraries that are not installed: $missing"
printf '%s\n' "$identity" >"$dir/identity"
echo "libcurl8: unpacked $identity in $dir"
