#!/bin/sh
# Prints the folder for everything that is built or kept between runs, and makes it.
set -eu
dir=${RAUTA_CLUSTER_CACHE:-${XDG_CACHE_HOME:-${HOME:+$HOME/.cache}}}
if [ -z "$dir" ]; then
  echo "cluster: set RAUTA_CLUSTER_CACHE to a folder: there is no HOME to keep things in" >&2
  exit 1
fi
[ -n "${RAUTA_CLUSTER_CACHE:-}" ] || dir=$dir/rauta/cluster
mkdir -p "$dir"
cd "$dir"
pwd
