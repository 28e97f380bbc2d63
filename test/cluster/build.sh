#!/bin/sh
# Builds the cluster and its tests, outside the source tree, and prints the folder they are in. The
# folder's name is the hash of the sources: what is built stays, and is not built again.
#
#   build.sh          build what is missing
#   build.sh tests    and the tests as well, in a folder tests/ inside
#   build.sh check    only say whether this machine can run a cluster
#
# Exit status 3: this machine cannot, and the last line on stdout says why.
#
# RAUTA_CLUSTER_CACHE   where everything is kept (${XDG_CACHE_HOME:-$HOME/.cache}/rauta/cluster)
set -eu

GO_NEEDED=26          # Go 1.N
KUBERNETES=v1.36.3    # what the API server says it is
KEEP_BUILDS=3         # older ones are removed, but for those that clusters were started from
STALE_MINUTES=120     # a build takes no longer
CANNOT=3

here=$(cd "$(dirname "$0")" && pwd)
cache=$("$here/cache.sh")
say() { echo "cluster: $*" >&2; }
cannot() { echo "$*"; exit $CANNOT; }

# One set of flags for everything, tests and vet included: packages compiled with others would be
# compiled anew. Without DWARF, a sixth less to compile; trimmed paths make the caches independent of
# where the sources lie.
export CGO_ENABLED=0 GOWORK=off GOFLAGS='-buildvcs=false -trimpath -gcflags=all=-dwarf=false'
version=k8s.io/component-base/version
link="-s -w -X $version.gitVersion=$KUBERNETES -X $version.gitMajor=1 -X $version.gitMinor=36 -X $version.gitTreeState=clean"

cd "$here"
[ "$(uname -s)" = Linux ] || cannot "it needs Linux, for network namespaces"
command -v go >/dev/null 2>&1 || cannot "there is no Go here (1.$GO_NEEDED or newer is needed)"
# An account without a home has no place for Go's own caches either.
if ! go env GOCACHE >/dev/null 2>&1 || ! mkdir -p "$(go env GOCACHE)" 2>/dev/null; then
  export GOCACHE="$cache/go-build" GOMODCACHE="$cache/go-mod" GOPATH="$cache/go"
fi
# Inside the module, Go of 1.21 or later fetches the version that go.mod asks for, where it may.
found=$(go env GOVERSION 2>/dev/null) || found=$(GOTOOLCHAIN=local go version 2>/dev/null | cut -d' ' -f3) || found=unknown
minor=$(echo "$found" | sed -n 's/^go1\.\([0-9]*\).*/\1/p')
[ "${minor:-0}" -ge $GO_NEEDED ] || cannot "Go here is $found, and 1.$GO_NEEDED or newer is needed"

hash=$( { echo "$found"; find . -type f \( -name '*.go' -o -name 'go.*' -o -name build.sh \) | LC_ALL=C sort | xargs sha256sum; } | sha256sum | cut -c1-16)
bin=$cache/bin/$hash
new=$cache/bin/.new-$$
mkdir -p "$cache/bin"
trap 'rm -rf "$new"' EXIT
trap 'exit 1' INT TERM HUP

if [ ! -x "$cache/check-$hash" ]; then
  rm -f "$cache"/check-*
  go build -ldflags "$link" -o "$cache/check-$hash" ./cmd/check >&2
fi
why=$("$cache/check-$hash") || cannot "$why"
[ "${1:-}" != check ] || exit 0

# put moves what was built to its place; another build may have been faster.
put() { mv -T "$new" "$1" 2>/dev/null || [ -d "$1" ]; }

if [ ! -d "$bin" ]; then
  say "compiling into $bin (the first time, some minutes)"
  mkdir "$new"
  go build -ldflags "$link" -o "$new/" ./cmd/... sigs.k8s.io/gateway-api/conformance/echo-basic >&2
  go test -c -ldflags "$link" -o "$new/" ./conformance >&2
  cp -r "$(go list -m -f '{{.Dir}}' sigs.k8s.io/gateway-api)/config/crd/experimental" "$new/crds"
  chmod -R u+w "$new"
  put "$bin"
fi
if [ "${1:-}" = tests ] && [ ! -d "$bin/tests" ]; then
  say "compiling the tests"
  mkdir "$new"
  go vet ./... >"$new/vet" 2>&1 || echo "go vet is not content" >>"$new/vet"
  # shellcheck disable=SC2046 # one word a package
  go test -c -ldflags "$link" -o "$new/" $(go list -f '{{if .TestGoFiles}}{{.ImportPath}}{{end}}' ./internal/... ./smoke) >&2
  put "$bin/tests"
fi
touch "$bin"
find "$cache/bin" -maxdepth 1 -name '.new-*' -mmin +$STALE_MINUTES -exec rm -rf {} + # of builds that were killed
used=$(for l in "$cache"/run/.*.bin; do readlink "$l" || true; done)
ls -t "$cache/bin" | tail -n +$((KEEP_BUILDS + 1)) | while read -r old; do
  case "$used" in *"/$old"*) ;; *) rm -rf "$cache/bin/${old:?}" ;; esac
done
echo "$bin"
