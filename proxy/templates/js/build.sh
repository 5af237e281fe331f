#!/bin/sh
# Builds {{name}}.wasm, or the file that is named. Exit code 77: the toolchain is missing.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
tool="$here/node_modules/.bin/componentize-qjs"
[ -x "$tool" ] || { echo "componentize-qjs is missing: npm install" >&2; exit 77; }
"$tool" --wit "$here/wit" --world {{kind}} --js "$here/plugin.js" --sync --output "${1:-$here/{{name}}.wasm}"
