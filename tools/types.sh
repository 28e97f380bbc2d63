#!/bin/sh
# Checks the types of everything.
set -eu
cd "$(dirname "$0")/.."
exec sh bin/node node_modules/typescript/bin/tsc -p . "$@"
