#!/bin/sh
# Builds sticky-by-cookie.wasm, or the file that is named. Exit code 77: the toolchain is missing.
here=$(dirname "$0")
exec "$here/../build.sh" balancer "$here" "$@"
