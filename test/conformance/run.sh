#!/bin/sh
# Runs the official Gateway API conformance suite in a cluster of its own.
#
# RUN=TestName    one test instead of all
# KEEP=1          use the cluster of `make cluster-up`, starting it if need be, and leave it running
# IMPL='command'  shell command that starts the implementation, run inside the cluster's network from
#                 the repository's root, with KUBECONFIG set; it is sent SIGTERM at the end
# FLAGS           more flags for the suite, such as --debug
set -eu
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
cluster=$root/test/cluster

if ! bin=$("$cluster/build.sh"); then
  echo "conformance: cannot run here: $bin"
  exit 1
fi
logs=$("$cluster/cache.sh")/conformance/${NAME:-default}
mkdir -p "$logs" "$here/reports"
version=$(sed -n 's/^ *"version": *"\(.*\)".*/\1/p' "$root/package.json" 2>/dev/null | head -1)
version=v${version:-0.0.0}

set -- "$bin/conformance.test" -runner -log-dir "$logs" -impl "${IMPL:-}" \
  -conformance-options-file "$here/options.yaml" -version "$version"
# Only a whole run makes a report that says something.
if [ -n "${RUN:-}" ]; then
  set -- "$@" -run-test "$RUN"
else
  set -- "$@" -report-output "$here/reports/experimental-$version-default-report.yaml"
fi
[ -z "${KEEP:-}" ] || set -- "$@" -cleanup-base-resources=false
# shellcheck disable=SC2086 # several flags are several words
set -- "$@" ${FLAGS:-}

cd "$root"
if [ -n "${KEEP:-}" ]; then
  "$cluster/cluster.sh" up
  exec "$cluster/cluster.sh" exec "$@"
fi
exec "$bin/cluster" run --apply crds -- "$@"
