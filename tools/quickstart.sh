#!/bin/sh
# From a fresh clone to results in git: installs what is missing, builds the tools, starts an API server of our own on
# this machine, runs 1,000 tasks against it and shows what is in the repository. Needs no account and no network
# beyond the package mirror.
# usage: sh tools/quickstart.sh
set -eu

tree=$(cd "$(dirname "$0")/.." && pwd)
cd "$tree"

step() { printf '\n==> %s\n' "$*"; }

step "Packages"
sh tools/setup.sh run

step "Build (the first time takes a few minutes)"
if [ ! -f build/release/build.ninja ]; then
  cmake --preset release -DPAWL_BUILD_TESTS=OFF -DPAWL_BUILD_BENCH=OFF
fi
cmake --build build/release --target pawl pawl-mockapi pawl-load
tool() { find "$tree/build/release" -type f -name "$1" | head -n 1; }
pawl=$(tool pawl)
mockapi=$(tool pawl-mockapi)
load=$(tool pawl-load)

work=$(mktemp -d "${TMPDIR:-/tmp}/pawl-quickstart.XXXXXX")
server=
stop_server() {
  if [ -n "$server" ]; then
    kill "$server" 2>/dev/null || true
    wait "$server" 2>/dev/null || true
    server=
  fi
}
trap stop_server EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

step "An API that answers after about 50 ms: pawl-mockapi"
"$mockapi" --port 0 --port-file "$work/port" --latency lognormal:50ms,0.5 >"$work/mockapi.log" 2>&1 &
server=$!
tries=0
until [ -s "$work/port" ]; do
  tries=$((tries + 1))
  if [ "$tries" -gt 100 ] || ! kill -0 "$server" 2>/dev/null; then
    echo "pawl-mockapi did not start:" >&2
    cat "$work/mockapi.log" >&2
    exit 1
  fi
  sleep 0.1
done
url="http://127.0.0.1:$(cat "$work/port")/v1"
echo "it listens on $url"

step "1,000 tasks in 20 streams: pawl-load tasks"
"$load" tasks --count 1000 --streams 20 >"$work/tasks.jsonl"
head -c 200 "$work/tasks.jsonl"
echo " ..."

# So that git can commit on a machine where nobody has told it a name.
if ! git config user.email >/dev/null 2>&1; then
  GIT_AUTHOR_NAME=${GIT_AUTHOR_NAME:-pawl} GIT_AUTHOR_EMAIL=${GIT_AUTHOR_EMAIL:-pawl@localhost}
  GIT_COMMITTER_NAME=$GIT_AUTHOR_NAME GIT_COMMITTER_EMAIL=$GIT_AUTHOR_EMAIL
  export GIT_AUTHOR_NAME GIT_AUTHOR_EMAIL GIT_COMMITTER_NAME GIT_COMMITTER_EMAIL
fi

step "pawl run tasks.jsonl --repo results --base-url $url"
"$pawl" run "$work/tasks.jsonl" --repo "$work/results" --base-url "$url"
stop_server

step "What is in git now: git log --oneline | head"
git -C "$work/results" log --oneline -n 10
records=$(git -C "$work/results" ls-tree -r --name-only HEAD | grep -c '\.json$' || true)
if [ "$records" -ne 1000 ]; then
  echo "quickstart: expected 1,000 records in $work/results, found $records" >&2
  exit 1
fi
git -C "$work/results" fsck --strict

first=$(git -C "$work/results" ls-tree -r --name-only HEAD | grep '\.json$' | head -n 1)
step "One of its $records records: $first"
git -C "$work/results" show "HEAD:$first" | head -c 600
echo

cat <<END

The results stay in $work/results. To try next:
  git -C $work/results log --stat
  $pawl run --help
END
