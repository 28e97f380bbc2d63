#!/bin/sh
# RAUTA installed as users install it, in a cluster of its own (test/cluster/README.md): the image of `make image`, the
# manifests of deploy/, real pods. Skipped, with the reason, where that cannot be. ROLLOVERS=10 for more than 2,
# REQUESTS=100000 for as many during each kind. Ends with a line `install: N passed, N failed, N skipped`.
set -eu
name=install
. "$(dirname "$0")/rig.sh"
[ "$(id -u)" = 0 ] || skip "without root there are no users to run pods as"
DIST=$work sh bin/node --disable-warning=ExperimentalWarning tools/dist/dist.ts image
echo "{\"rauta:*\": {\"oci\": \"$work/image\"}}" >"$work/images.json"
report --nodes=1 --images "$work/images.json" --apply crds -- \
  sh bin/node --disable-warning=ExperimentalWarning --test-reporter=spec test/kubernetes/install.ts
