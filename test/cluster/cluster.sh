#!/bin/sh
# What the make targets do: up, down, exec COMMAND..., kubectl ARGS...
#
# NAME            which cluster (default); several may run at once
# CLUSTER_FLAGS   more flags for `cluster up`, such as --faults
set -eu
here=$(cd "$(dirname "$0")" && pwd)
cache=$("$here/cache.sh")
dir=$cache/run/${NAME:-default}
built=$cache/run/.${NAME:-default}.bin # a link: a cluster keeps the build it was started from

fail() { echo "cluster: $*" >&2; exit 1; }

case "${1:-}" in
up)
  if [ -x "$built/cluster" ] && "$built/cluster" status --dir "$dir" >/dev/null 2>&1; then
    echo "cluster: $dir is up already"
    exit 0
  fi
  bin=$("$here/build.sh") || fail "cannot run here: $bin"
  mkdir -p "$dir"
  ln -sfn "$bin" "$built"
  # shellcheck disable=SC2086 # several flags are several words
  exec "$bin/cluster" up --dir "$dir" --apply crds ${CLUSTER_FLAGS:-} ;;
down | exec | kubectl)
  [ -x "$built/cluster" ] || fail "no cluster ${NAME:-default} here: make cluster-up"
  command=$1
  shift
  case $command in
  down) exec "$built/cluster" down --dir "$dir" ;;
  exec) exec "$built/cluster" exec --dir "$dir" -- "$@" ;;
  kubectl) exec "$built/cluster" exec --dir "$dir" -- "$built/kubectl" "$@" ;;
  esac ;;
*) fail "usage: cluster.sh up | down | exec COMMAND ARGS... | kubectl ARGS..." ;;
esac
