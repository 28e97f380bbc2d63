#!/bin/sh
# RAUTA installed as users install it, in a cluster of its own (test/cluster/README.md): the image of `make image`, the
# manifests of deploy/, real pods. Skipped, with the reason, where that cannot be. ROLLOVERS=10 for more than 2.
# Ends with a line `install: N passed, N failed, N skipped`.
set -eu
root=$(cd "$(dirname "$0")/../.." && pwd)
cd "$root"
skip() { echo "install: skipped: $*"; echo "install: 0 passed, 0 failed, 1 skipped"; exit 0; }
status=0
bin=$(test/cluster/build.sh) || status=$?
[ $status != 3 ] || skip "$bin"
[ $status = 0 ] || { echo "install: the cluster does not build"; exit 1; }
[ "$(id -u)" = 0 ] || skip "without root there are no users to run pods as"
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
DIST=$out sh bin/node --disable-warning=ExperimentalWarning tools/dist/dist.ts image
echo "{\"rauta:*\": {\"oci\": \"$out/image\"}}" >"$out/images.json"
"$bin/cluster" run --nodes=1 --images "$out/images.json" --apply crds -- \
  sh bin/node --disable-warning=ExperimentalWarning --test-reporter=spec test/kubernetes/install.ts >"$out/log" 2>&1 || status=$?
cat "$out/log"
awk '$2 == "pass" { p = $3 } $2 == "fail" { f = $3 } END { printf "install: %d passed, %d failed, 0 skipped\n", p, f }' "$out/log"
exit $status
