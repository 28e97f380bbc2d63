#!/bin/sh
# All tests of the cluster: its parts one by one, and the whole of it, started, used and killed.
# Ends with a line `cluster: N passed, N failed, N skipped`.
set -eu
MOST_LINES=400 # of a Go file
TIMEOUT=10m    # for one test binary

here=$(cd "$(dirname "$0")" && pwd)
cd "$here"

status=0
built=$("$here/build.sh" tests) || status=$?
if [ $status = 3 ]; then
  echo "cluster: skipped: $built"
  echo "cluster: 0 passed, 0 failed, 1 skipped"
  exit 0
elif [ $status != 0 ]; then
  echo "cluster: it does not build"
  echo "cluster: 0 passed, 1 failed, 0 skipped"
  exit 1
fi
out=$(mktemp -d "${TMPDIR:-/tmp}/rauta-test-cluster-XXXXXX")
trap 'rm -rf "$out"' EXIT
trap 'exit 1' INT TERM HUP

# A tree that gofmt and vet are content with is a test as well; vet has looked when it was built.
check() {
  if [ -z "$2" ]; then echo "--- PASS: $1"; else echo "--- FAIL: $1: $2"; fi >"$out/$1"
  [ -z "$2" ] || cat "$out/$1"
}
check gofmt "$("$(go env GOROOT)/bin/gofmt" -l .)"
check vet "$(cat "$built/tests/vet")"
check length "$(find . -name '*.go' -exec wc -l {} + | awk -v most=$MOST_LINES '$2 != "total" && $1 > most { print $2, $1 }')"

# Each test binary runs in its package's folder, as `go test` would run it.
for t in "$built"/*.test "$built"/tests/*.test; do
  name=$(basename "$t" .test)
  for dir in "./internal/$name" "./$name"; do
    [ -d "$dir" ] || continue
    log=$out/$name
    # These are started by others, not by themselves.
    if ! (cd "$dir" && RAUTA_CLUSTER_BUILT=$built "$t" -test.v -test.timeout $TIMEOUT -test.skip '^(TestConformance|TestPlayed|TestInside.*)$') >"$log" 2>&1; then
      grep -q '^--- FAIL' "$log" || echo "--- FAIL: $name ended without naming a test" >>"$log"
      echo "== $name"
      cat "$log"
    fi
  done
done

count() { cat "$out"/* | grep -c "^--- $1" || true; }
grep -h '^--- SKIP' -B1 "$out"/* || true
failed=$(count FAIL)
echo "cluster: $(count PASS) passed, $failed failed, $(count SKIP) skipped"
[ "$failed" = 0 ]
