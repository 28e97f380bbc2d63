#!/bin/sh
# The tests of real-services.ts in a cluster of their own (test/cluster/README.md), with pods that are programs of this
# machine; skipped, with the reason, where it cannot run. Ends with `real services: N passed, N failed, N skipped`.
set -eu
root=$(cd "$(dirname "$0")/../.." && pwd)
cd "$root"
status=0
bin=$(test/cluster/build.sh) || status=$?
if [ $status = 3 ]; then
  echo "real services: skipped: $bin"
  echo "real services: 0 passed, 0 failed, 1 skipped"
  exit 0
elif [ $status != 0 ]; then
  echo "real services: the cluster does not build"
  exit 1
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cp test/kubernetes/pod.ts "$work"
node=$(sh bin/node -p process.execPath)
echo "{\"*/pod:*\": {\"program\": \"$node\", \"args\": [\"/app/pod.ts\"], \"mounts\": {\"/app\": \"$work\"}}}" >"$work/images.json"
"$bin/cluster" run --images "$work/images.json" --apply crds,deploy/base/rbac.yaml,deploy/base/gatewayclass.yaml -- \
  sh bin/node --disable-warning=ExperimentalWarning --test-reporter=spec test/kubernetes/real-services.ts \
  >"$work/out" || status=$?
cat "$work/out"
awk '$2 == "pass" { p = $3 } $2 == "fail" { f = $3 }
  END { printf "real services: %d passed, %d failed, 0 skipped\n", p, f }' "$work/out"
exit $status
