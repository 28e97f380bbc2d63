#!/bin/sh
# The propagation bench in a cluster of its own (test/cluster/README.md):
# `sh bench/propagation/run.sh [--small] [--out propagation-cluster] [--only scale] [--churns 5]`. About seven minutes on
# two cores, --small a minute, each further churn 100 s. Nothing else should run on the machine.
set -eu
root=$(cd "$(dirname "$0")/../.." && pwd)
cd "$root"
bin=$(test/cluster/build.sh)
exec "$bin/cluster" run --apply crds,deploy/base/rbac.yaml,deploy/base/gatewayclass.yaml -- \
  sh bin/node --disable-warning=ExperimentalWarning bench/propagation/propagation.ts "$@"
