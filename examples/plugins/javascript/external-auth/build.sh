#!/bin/sh
# Builds external-auth.wasm, or the file that is named. Exit code 77: the toolchain is missing.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
# One installation does for all the plugins in JavaScript.
PATH="$here/node_modules/.bin:$here/../node_modules/.bin:$here/../canary-by-header/node_modules/.bin:$PATH"
command -v componentize-qjs >/dev/null || { echo "componentize-qjs is missing: npm install componentize-qjs" >&2; exit 77; }
build=$(mktemp -d)
trap 'rm -rf "$build"' EXIT
mkdir -p "$build/deps/jackfield"
cp "$here/world.wit" "$build"
cp "$here/../../../../wit/jackfield.wit" "$build/deps/jackfield"
componentize-qjs --wit "$build" --world external-auth --js "$here/external-auth.js" --sync \
    --output "${1:-$here/external-auth.wasm}"
