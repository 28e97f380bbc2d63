#!/bin/sh
# Biome's own binary for this machine: `tools/lint.sh check src`, `tools/lint.sh check --write src`.
set -eu
cd "$(dirname "$0")/.."
case $(uname -m) in x86_64 | amd64) arch=x64 ;; *) arch=arm64 ;; esac
exec "node_modules/@biomejs/cli-linux-$arch/biome" "$@"
