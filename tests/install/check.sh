#!/bin/sh
# Uses an installed pawl as others do, outside the source tree: with find_package and with pkg-config, shared and
# static, and moved to another place. The consumers are engine/examples.
# usage: check.sh PREFIX
set -eu

prefix=$(cd "$1" && pwd)
here=$(cd "$(dirname "$0")" && pwd)
tree=$(cd "$here/../.." && pwd)
work=$(mktemp -d "${TMPDIR:-/tmp}/pawl-install.XXXXXX")
trap 'rm -rf "$work"' EXIT

fail() {
  echo "install: $*" >&2
  exit 1
}

# An installed tree must work wherever it lies.
cp -R "$prefix" "$work/moved"
prefix=$work/moved
libdir=$(dirname "$(find "$prefix" -name 'libpawl_engine.so' | head -n 1)")
PKG_CONFIG_PATH="$libdir/pkgconfig${PKG_CONFIG_PATH:+:$PKG_CONFIG_PATH}"
export PKG_CONFIG_PATH
cxx=${CXX:-c++}

# configure SOURCE BUILD [OPTION…]: quiet unless it fails.
configure() {
  source=$1
  build=$2
  shift 2
  cmake -G Ninja -S "$source" -B "$build" -DCMAKE_BUILD_TYPE=Release -DCMAKE_PREFIX_PATH="$prefix" "$@" \
    >"$work/configure.log" 2>&1 || { cat "$work/configure.log" >&2; return 1; }
}

needs() { readelf -d "$1" | grep NEEDED | sed -n 's/.*\[\(.*\)\]$/\1/p'; }

echo "install: shared libraries say what they are called, and give away what the headers name and nothing else"
cat "$prefix"/include/pawl/*.h | tr -cs 'A-Za-z0-9_' '\n' | sort -u >"$work/words"
for library in "$libdir"/libpawl_*.so; do
  name=$(basename "$library")
  [ -L "$library" ] || fail "$name is no link to the version that a program is loaded with"
  soname=$(readelf -d "$library" | sed -n 's/.*(SONAME).*\[\(.*\)\]$/\1/p')
  case "$soname" in "$name".0.[0-9] | "$name".0.[0-9][0-9] | "$name".[1-9]*) ;; *) fail "$name has SONAME '$soname'" ;; esac
  [ -e "$libdir/$soname" ] || fail "$soname is not installed"
  nm -D --defined-only "$library" | cut -d ' ' -f 3- | c++filt |
    sed 's/^\(typeinfo name\|typeinfo\|vtable\) for //' | sort -u >"$work/exported"
  [ -s "$work/exported" ] || fail "$name gives nothing away"
  sed 's/[(\[].*//; s/operator.*/operator/; s/~//' "$work/exported" | grep -v '^pawl::' &&
    fail "$name gives away a name that is not pawl's"
  sed 's/[(\[].*//; s/operator.*/operator/; s/~//; s/::/\n/g' "$work/exported" | sort -u |
    comm -23 - "$work/words" | grep . && fail "$name gives away a name that no header has"
  grep '::Impl::' "$work/exported" && fail "$name gives away an Impl"
done

echo "install: every function that a header declares is given away"
# Of the static libraries: functions that are hidden although they, or their class, stand in a header. Headers name one
# namespace and begin what is in it at the start of a line.
awk '/^namespace / { space = $2 }
     /^(class|struct) / { sub(/^(class|struct) (PAWL_API )?/, ""); sub(/[^A-Za-z0-9_].*/, ""); print "class", space "::" $0 }
     /^(\[\[|[A-Za-z])/ && /\(/ && !/^inline|^constexpr|^template|^#| inline | constexpr |^(class|struct) / {
       sub(/^\[\[nodiscard\]\] /, ""); sub(/\(.*/, ""); sub(/.*[ *&>]/, ""); print "function", space "::" $0 }' \
  "$prefix"/include/pawl/*.h | sort -u >"$work/declared"
grep -qx 'function pawl::name_this_thread' "$work/declared" && grep -qx 'class pawl::Engine' "$work/declared" ||
  fail "cannot read the headers"
for archive in "$libdir"/libpawl_*.a; do
  readelf -sW "$archive" | awk '$4 == "FUNC" && $5 == "GLOBAL" && $6 == "HIDDEN" && $7 != "UND" { print $8 }' | c++filt |
    sed -n 's/^\(pawl::[^(]*\)(.*/\1/p' | grep -v '::Impl::\|[{<]' | sort -u |
    awk -v declared="$work/declared" '
      BEGIN { while ((getline line < declared) > 0) known[line] }
      { class = $0; sub(/::[^:]*$/, "", class)
        if (("function " $0) in known || ("class " class) in known) print }' >"$work/forgotten"
  [ ! -s "$work/forgotten" ] || { cat "$work/forgotten" >&2; fail "PAWL_API is missing for a name of $(basename "$archive")"; }
done

echo "install: every header alone, with nothing but the standard library"
for header in $(cd "$prefix/include" && find pawl -name '*.h' | sort); do
  printf '#include <%s>\n#include <%s>\n' "$header" "$header" >"$work/alone.cc"
  "$cxx" -std=c++23 -Wall -Wextra -Wpedantic -Werror -fsyntax-only -I"$prefix/include" "$work/alone.cc"
  # All that it includes, directly or not. Not by -M, which for clang lists what is only asked for (__has_include).
  "$cxx" -std=c++23 -E -I"$prefix/include" "$work/alone.cc" | sed -n 's/^# [0-9]* "\(.*\)".*/\1/p' | sort -u |
    grep -E '/(tbb|oneapi|concurrentqueue|moodycamel|curl|git2|openssl|fmt|CLI|prometheus|isa-l)/|/(git2|libdeflate|zlib|simdjson|civetweb)\.h' &&
    fail "<$header> includes a header of others"
  # The engine's own include nothing of the system either.
  if [ -e "$tree/engine/include/$header" ]; then
    sed -n 's/^ *# *include *[<"]\(.*\)[>"].*/\1/p' "$prefix/include/$header" | grep -vE '^(pawl/[a-z_]+\.h|[a-z_]+)$' &&
      fail "<$header> includes what is not the standard library's"
  fi
done

echo "install: the man page and completion in shells"
man_page=$(find "$prefix" -path '*/man1/pawl.1')
grep -q '^\.TH PAWL 1' "$man_page" || fail "no man page"
bash -n "$prefix/share/bash-completion/completions/pawl"
grep -q '^complete .* pawl$' "$prefix/share/bash-completion/completions/pawl" || fail "no completion in bash"
grep -q '^#compdef pawl$' "$prefix/share/zsh/site-functions/_pawl" || fail "no completion in zsh"
grep -q '^complete -c pawl ' "$prefix/share/fish/vendor_completions.d/pawl.fish" || fail "no completion in fish"

echo "install: the examples with find_package(pawl)"
cp -R "$tree/engine/examples" "$work/examples"
configure "$work/examples" "$work/build"
cmake --build "$work/build"
ctest --test-dir "$work/build" --output-on-failure --no-tests=error
needs "$work/build/first" | grep -q '^libpawl_engine\.so\.' || fail "pawl::engine is not the shared library"

echo "install: a larger system drains on SIGINT"
"$work/build/batch_system" 4000000 10 >"$work/drain.log" &
batch=$!
until grep -q '[1-9][0-9]* done' "$work/drain.log"; do
  kill -0 "$batch" 2>/dev/null || { cat "$work/drain.log"; fail "batch_system ended before it was interrupted"; }
done
kill -INT "$batch"
wait "$batch" || { tail -n 3 "$work/drain.log"; fail "batch_system lost count"; }
grep -q '^draining' "$work/drain.log" || fail "batch_system has not seen the signal"
tail -n 1 "$work/drain.log" | grep -q 'unfinished: .*[1-9]' || fail "nothing was left unfinished"

echo "install: the examples, static"
mkdir "$work/static"
cp "$work/examples"/*.cc "$work/static"
sed 's/COMPONENTS engine)/COMPONENTS engine_static)/; s/pawl::engine /pawl::engine_static /' \
  "$work/examples/CMakeLists.txt" >"$work/static/CMakeLists.txt"
configure "$work/static" "$work/static-build"
cmake --build "$work/static-build"
ctest --test-dir "$work/static-build" --output-on-failure --no-tests=error
needs "$work/static-build/first" | grep pawl && fail "pawl::engine_static is not static"

echo "install: the first example with pkg-config"
# The flags are words on purpose.
# shellcheck disable=SC2046
"$cxx" -std=c++23 -O2 $(pkg-config --cflags pawl-engine) "$work/examples/first.cc" $(pkg-config --libs pawl-engine) \
  -o "$work/with-pkg-config"
LD_LIBRARY_PATH="$libdir" "$work/with-pkg-config"
# shellcheck disable=SC2046
"$cxx" -std=c++23 -O2 $(pkg-config --cflags pawl-engine) "$work/examples/first.cc" \
  $(pkg-config --static --libs pawl-engine | sed 's/-lpawl_\([a-z]*\)/-l:libpawl_\1.a/g') -o "$work/with-pkg-config-static"
"$work/with-pkg-config-static"
needs "$work/with-pkg-config-static" | grep pawl && fail "it is not static"

echo "install: every public header and every library, with pkg-config pawl"
for header in $(cd "$prefix/include" && find pawl -name '*.h' | sort); do
  echo "#include <$header>"
done >"$work/all.cc"
echo 'int main() {}' >>"$work/all.cc"
# shellcheck disable=SC2046
"$cxx" -std=c++23 -Wall -Wextra -Werror $(pkg-config --cflags pawl) "$work/all.cc" -Wl,--no-as-needed \
  $(pkg-config --libs pawl) -o "$work/all"
LD_LIBRARY_PATH="$libdir" "$work/all"

echo "install: every component, with find_package(pawl), shared and static"
mkdir "$work/whole"
cp "$work/all.cc" "$work/whole/all.cc"
cat >"$work/whole/CMakeLists.txt" <<'END'
cmake_minimum_required(VERSION 3.25)
project(pawl_whole LANGUAGES CXX)
find_package(pawl REQUIRED)
add_executable(shared all.cc)
add_executable(static all.cc)
target_link_options(shared PRIVATE -Wl,--no-as-needed)
foreach(part IN LISTS pawl_COMPONENTS)
  target_link_libraries(shared PRIVATE pawl::${part})
  # The whole archive, so that a library it needs cannot be missing unnoticed.
  target_link_libraries(static PRIVATE -Wl,--whole-archive pawl::${part}_static -Wl,--no-whole-archive)
endforeach()
END
configure "$work/whole" "$work/whole-build"
cmake --build "$work/whole-build"
"$work/whole-build/shared"
"$work/whole-build/static"

echo "install: a component that does not exist is refused"
mkdir "$work/refused"
cat >"$work/refused/CMakeLists.txt" <<'END'
cmake_minimum_required(VERSION 3.25)
project(pawl_refused LANGUAGES CXX)
find_package(pawl REQUIRED COMPONENTS nonsense)
END
if configure "$work/refused" "$work/refused-build" 2>/dev/null; then
  fail "find_package(pawl COMPONENTS nonsense) succeeded"
fi
grep -q "no component 'nonsense'" "$work/configure.log"
