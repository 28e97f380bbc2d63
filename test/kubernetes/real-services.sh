#!/bin/sh
# The tests of real-services.ts in a cluster of their own (test/cluster/README.md), with pods that are programs of this
# machine; skipped, with the reason, where it cannot run. Ends with `real services: N passed, N failed, N skipped`.
set -eu
name='real services'
. "$(dirname "$0")/rig.sh"
pods pod:pod.ts
report --images "$work/images.json" --apply crds,deploy/base/rbac.yaml,deploy/base/gatewayclass.yaml -- \
  sh bin/node --disable-warning=ExperimentalWarning --test-reporter=spec test/kubernetes/real-services.ts
