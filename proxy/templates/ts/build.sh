#!/bin/sh
# Checks the types and builds {{name}}.wasm, or the file that is named. Exit code 77: the toolchain is missing.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
tools="$here/node_modules/.bin"
for tool in tsc componentize-qjs; do
    [ -x "$tools/$tool" ] || { echo "$tool is missing: npm install" >&2; exit 77; }
done
build=$(mktemp -d)
trap 'rm -rf "$build"' EXIT
"$tools/tsc" --project "$here" --outDir "$build" >&2
"$tools/componentize-qjs" --wit "$here/wit" --world {{kind}} --js "$build/plugin.js" --sync \
    --output "${1:-$here/{{name}}.wasm}"
