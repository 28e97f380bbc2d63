#!/bin/sh
# Installs what is missing: the project's own Node and the npm packages, by the lockfile, without install scripts.
# Says what it does; does nothing when all is there.
set -eu
cd "$(dirname "$0")/.."

want=$(cksum < package-lock.json | tr ' ' '-')
stamp=node_modules/.rauta-installed
if [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$want" ] && sh bin/node --version > /dev/null 2>&1; then
  exit 0
fi
if ! command -v npm > /dev/null 2>&1; then
  echo 'deps: npm is needed once to install the packages (any Node >= 18 with npm; on Debian: apt-get install npm)' >&2
  exit 1
fi
echo 'deps: installing Node 26 and the packages of package-lock.json into node_modules (about 350 MB, once)'
npm ci --no-audit --no-fund --loglevel=error
sh bin/node --version > /dev/null
echo "$want" > "$stamp"
echo "deps: done, Node $(sh bin/node --version)"
