#!/bin/sh
# check_model.sh MODEL.pml: the model must have no error, and every variant that its first comment lists must have one.
# Exit 77 (skipped) without spin or a C compiler. SPIN and CC name the programs.
set -eu

model=$(realpath "$1")
spin=$(command -v "${SPIN:-spin}" || true)
cc=$(command -v "${CC:-cc}" || true)
if [ -z "$spin" ] || [ -z "$cc" ]; then
  echo "skipped: needs spin (package 'spin') and a C compiler"
  exit 77
fi

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT INT TERM
cd "$dir"

# errors VARIANT…: runs the checker and prints how many errors it found; fails if the search was not complete.
errors() {
  "$spin" "$@" -a "$model" >spin.out 2>&1 || { cat spin.out >&2; return 1; }
  "$cc" -O2 -w -DSAFETY -DCOLLAPSE -DVECTORSZ=4096 -o pan pan.c
  ./pan -m1000000 >pan.out 2>&1 || true
  if grep -q 'max search depth too small\|out of memory' pan.out; then
    cat pan.out >&2
    return 1
  fi
  sed -n 's/.*errors: \([0-9]*\).*/\1/p' pan.out
}

found=$(errors)
if [ "$found" != 0 ]; then
  echo "$model: '$found' errors, expected 0"
  cat pan.out
  exit 1
fi
echo "good: 0 errors, $(sed -n 's/^ *\([0-9.e+]*\) states, stored.*/\1/p' pan.out) states"

variants=$(sed -n '1,/\*\//s/^ \*   \(BUG_[A-Z_]*\).*/\1/p' "$model")
[ -n "$variants" ] || { echo "$model lists no bad variant"; exit 1; }
for variant in $variants; do
  found=$(errors "-D$variant")
  case $found in
    [1-9]*) echo "$variant: found out ($(sed -n 's/^pan:[0-9]*: \(.*\) (at depth.*/\1/p' pan.out | head -1))" ;;
    *) echo "$variant: '$found' errors, expected some"; cat pan.out; exit 1 ;;
  esac
done
