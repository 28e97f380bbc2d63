#!/bin/sh
# The tests of real-cluster.ts and real-kubectl.ts (REAL=FILE: of that one) in a cluster of their own
# (test/cluster/README.md); skipped, with the reason, where it cannot run. Ends with a line `real cluster: N passed, N
# failed, N skipped`.
set -eu
root=$(cd "$(dirname "$0")/../.." && pwd)
cd "$root"
status=0
bin=$(test/cluster/build.sh) || status=$?
if [ $status = 3 ]; then
  echo "real cluster: skipped: $bin"
  echo "real cluster: 0 passed, 0 failed, 1 skipped"
  exit 0
elif [ $status != 0 ]; then
  echo "real cluster: the cluster does not build"
  exit 1
fi
out=$(mktemp)
trap 'rm -f "$out"' EXIT
"$bin/cluster" run --faults --apply crds,deploy/base/rbac.yaml,deploy/base/gatewayclass.yaml -- \
  sh bin/node --disable-warning=ExperimentalWarning --test --test-concurrency=1 --test-reporter=spec \
  ${REAL:-test/kubernetes/real-cluster.ts test/kubernetes/real-kubectl.ts} >"$out" || status=$?
cat "$out"
awk '$2 == "pass" { p = $3 } $2 == "fail" { f = $3 } END { printf "real cluster: %d passed, %d failed, 0 skipped\n", p, f }' "$out"
exit $status
