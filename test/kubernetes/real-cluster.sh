#!/bin/sh
# The tests of real-cluster.ts and real-kubectl.ts (REAL=FILE: of that one) in a cluster of their own
# (test/cluster/README.md); skipped, with the reason, where it cannot run. Ends with a line `real cluster: N passed, N
# failed, N skipped`.
set -eu
name='real cluster'
. "$(dirname "$0")/rig.sh"
report --faults --apply crds,deploy/base/rbac.yaml,deploy/base/gatewayclass.yaml -- \
  sh bin/node --disable-warning=ExperimentalWarning --test --test-concurrency=1 --test-reporter=spec \
  ${REAL:-test/kubernetes/real-cluster.ts test/kubernetes/real-kubectl.ts}
