#!/bin/sh
# Builds api-key.wasm, or the file that is named. Exit code 77: the toolchain is missing.
here=$(dirname "$0")
exec "$here/../build.sh" http-filter "$here" "$@"
