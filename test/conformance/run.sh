#!/bin/sh
# Runs the official Gateway API conformance suite in a cluster of its own.
#
# RUN=TestName    one test instead of all
# KEEP=1          use the cluster of `make cluster-up`, starting it if need be, and leave it running
# IMPL='command'  shell command that starts the implementation, run inside the cluster's network from
#                 the repository's root, with KUBECONFIG set; it is sent SIGTERM at the end.
#                 Without it: RAUTA, as the service account of deploy/base/rbac.yaml
# CLAIM=all       every feature and profile of options.yaml, instead of what GatewayClass says of itself
# FLAGS           more flags for the suite, such as --debug
set -eu
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
cluster=$root/test/cluster

status=0
bin=$("$cluster/build.sh") || status=$?
if [ $status = 3 ]; then
  echo "conformance: skipped: $bin"
  echo "conformance: 0 passed, 0 failed, 1 skipped"
  exit 0
elif [ $status != 0 ]; then
  echo "conformance: the cluster does not build"
  exit 1
fi
logs=$("$cluster/cache.sh")/conformance/${NAME:-default}
mkdir -p "$logs" "$here/reports"
version=$(sed -n 's/^ *"version": *"\(.*\)".*/\1/p' "$root/package.json" 2>/dev/null | head -1)
version=v${version:-0.0.0}

[ -n "${IMPL:-}" ] || IMPL='sh bin/node --disable-warning=ExperimentalWarning test/conformance/serve.ts --address-pool 10.250.0.0/17 --gateway-service ClusterIP --access-log off'
options=$here/options.yaml
if [ "${CLAIM:-}" != all ]; then
  # Without features named, the suite asks the class for them; profiles imply kinds, so only those that are served.
  options=$logs/options.yaml
  sed '/^supportedFeatures:/,$d; s/^conformanceProfiles:.*/conformanceProfiles: [GATEWAY-HTTP, GATEWAY-GRPC, GATEWAY-TLS, GATEWAY-TCP, GATEWAY-UDP]/' "$here/options.yaml" >"$options"
fi

set -- "$bin/conformance.test" -runner -log-dir "$logs" -impl "$IMPL" \
  -conformance-options-file "$options" -version "$version"
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
  "$cluster/cluster.sh" kubectl apply -f "$root/deploy/base/rbac.yaml" >/dev/null
  exec "$cluster/cluster.sh" exec "$@"
fi
exec "$bin/cluster" run --apply crds,deploy/base/rbac.yaml -- "$@"
