#!/bin/sh
# The tests of real-*.ts of this folder that are named below (REAL=FILE: of that one) in a cluster of their own
# (test/cluster/README.md); skipped, with the reason, where it cannot run. Ends with a line `real cluster: N passed, N
# failed, N skipped`.
set -eu
name='real cluster'
. "$(dirname "$0")/rig.sh"
all=
for tests in cluster kubectl neighbours outside definitions; do all="$all test/kubernetes/real-$tests.ts"; done
pods site:site-pod.ts
report --faults --images "$work/images.json" --apply crds,deploy/base/rbac.yaml,deploy/base/gatewayclass.yaml -- \
  sh bin/node --disable-warning=ExperimentalWarning --test --test-concurrency=1 --test-reporter=spec \
  ${REAL:-$all}
