# What the tests in a cluster of their own begin and end with; to be sourced, with `name` for their lines. Goes to the
# root of the project; `bin` is where the cluster is, `work` a folder that goes when all is over.
root=$(cd "$(dirname "$0")/../.." && pwd)
cd "$root"
skip() { echo "$name: skipped: $*"; echo "$name: 0 passed, 0 failed, 1 skipped"; exit 0; }
status=0
bin=$(test/cluster/build.sh) || status=$?
[ $status != 3 ] || skip "$bin"
[ $status = 0 ] || { echo "$name: the cluster does not build"; exit 1; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# Pods of these images are programs of ours (NAME:FILE, of this folder): writes what maps them to $work/images.json.
pods() {
  node=$(sh bin/node -p process.execPath)
  comma=
  for pod; do
    cp "test/kubernetes/${pod#*:}" "$work"
    printf '%s"*/%s:*": {"program": "%s", "args": ["/app/%s"], "mounts": {"/app": "%s"}}' \
      "${comma:-{}" "${pod%%:*}" "$node" "${pod#*:}" "$work"
    comma=', '
  done >"$work/images.json"
  echo '}' >>"$work/images.json"
}

# Runs a cluster with these arguments, shows what came of the tests, and ends with the last line and their status.
report() {
  "$bin/cluster" run "$@" >"$work/out" 2>&1 || status=$?
  cat "$work/out"
  awk -v name="$name" '$2 == "pass" { p = $3 } $2 == "fail" { f = $3 }
    END { printf "%s: %d passed, %d failed, 0 skipped\n", name, p, f }' "$work/out"
  exit $status
}
