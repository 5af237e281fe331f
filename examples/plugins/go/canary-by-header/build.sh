#!/bin/sh
# Builds canary-by-header.wasm, or the file that is named. Exit code 77: the toolchain is missing.
exec "$(dirname "$0")/../build.sh" balancer canary-by-header "$@"
